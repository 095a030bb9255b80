"""What the counting tests of SEARCH share: a mailbox whose mails every criterion parts differently, and what the tap saw
of searches: which UIDs were asked about, and with which words."""
import dataclasses
import re

import spine_tools as tools

OLD = '12-Mar-2019 10:00:00 +0000'
SETTLED = 'search { settle = 0s }'
_CRITERION = re.compile(rb'\b(FROM|TO|CC|BCC|SUBJECT|HEADER|BODY|TEXT|BEFORE|ON|SINCE|SENT\w+|LARGER|SMALLER|OLDER|YOUNGER|'
                        rb'X-GM-RAW)\b', re.I)
_UIDS = re.compile(rb'\bUID ([\d:,*]+)', re.I)
_ASKS = ('UID SEARCH', 'SEARCH', 'UID SORT', 'SORT', 'UID THREAD', 'THREAD')


@dataclasses.dataclass
class Dated:
    """A mail that is not new, so that nothing of it has to settle."""
    octets: bytes
    flags: tuple = ()
    date: str = OLD


def mail(number, date=OLD, flags=()):
    sender = ('anna', 'bert')[number % 2]
    words = ' '.join(w for n, w in ((2, 'invoice'), (3, 'river'), (5, 'paper')) if number % n == 0)
    octets = (b'From: %s@example.com\r\nTo: team@example.com\r\nSubject: %s number %d\r\nMessage-ID: <%d@example.com>\r\n'
              b'Date: Tue, %d Mar 2019 10:00:00 +0000\r\n\r\nbody %d %s\r\n'
              % (sender.encode(), words.encode(), number, number, 1 + number * 7 % 28, number,
                 b'kitchen' if number % 4 == 0 else b'garden'))
    return Dated(octets, flags, date)


def mails(number, **options):
    return [mail(n, **options) for n in range(1, number + 1)]


def at_rest(tap):
    """Until all that was sent upstream is answered, but for IDLE: what is sent after this was asked for after this."""
    def rests():
        is_idling = False
        for command in list(tap.commands):
            if command.verb == 'IDLE' and command.done is None:
                is_idling = True
            elif command.done is None and command.conn in [c.number for c in tap.live()]:
                return False
        return is_idling
    tools.wait_until(rests, 20, 'rest')
    return tap.mark()


def searches(since):
    """The questions about content, sorting and threads among what was sent; not how a mailbox is mapped."""
    return [c for c in since.commands if c.verb in _ASKS and (_CRITERION.search(c.line) or 'SEARCH' not in c.verb)]


def asked(since, highest):
    """The UIDs those questions name, sorted; a closed set below what there is, or the test fails."""
    named = []
    for command in searches(since):
        sets = _UIDS.findall(command.line.split(None, 3)[3])
        assert sets, 'about all: %r' % command
        assert b'*' not in sets[0], 'no closed set: %r' % command
        for part in sets[0].split(b','):
            first, _, last = part.partition(b':')
            first, last = sorted((int(first), int(last or first)))
            assert last <= highest, 'beyond what there is: %r' % command
            named += range(first, last + 1)
    assert len(named) == len(set(named)), 'asked twice: %r' % searches(since)
    return sorted(named)


def one_flight(since, direct):
    """All of those questions were sent before the answer to the first; the answers are told apart by ESEARCH alone."""
    if 'ESEARCH' not in direct.capability():
        return True
    first = min(c.done for c in searches(since))
    return all(c.sent <= first for c in searches(since))


class Pair:
    """The same mailbox through the proxy and directly."""

    def __init__(self, client, direct):
        self.client, self.direct = client, direct

    def search(self, criteria, verb='UID SEARCH'):
        """The result through the proxy, when it is the upstream's own."""
        got, wanted = (side.must('%s %s' % (verb, criteria), timeout=60) for side in (self.client, self.direct))
        assert numbers(got) == numbers(wanted), '%s %s' % (verb, criteria)
        return numbers(got)

    def catch_up(self):
        """Both have heard of the same."""
        def same():
            for side in (self.client, self.direct):
                side.must('NOOP')
            return pictures(self.client) == pictures(self.direct)
        tools.wait_until(same, 20, 'the same mailbox on both sides')


def numbers(result):
    """Of SEARCH in ascending order, of SORT in the order told, of THREAD as they stand."""
    told = [bytes(r.raw) for r in result.untagged if r.name in ('SORT', 'THREAD')]
    return result.search() if not told else b''.join(told).split(None, 2)[2:]


def pictures(client):
    return {uid: sorted(bytes(f) for f in items['FLAGS'] if bytes(f) != b'\\Recent')
            for uid, items in client.must('UID FETCH 1:* (FLAGS)').fetch_by_uid().items()}
