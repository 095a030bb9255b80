"""SEARCH in a mailbox of 100,000: as narrow as the client asked, however long the sets are (design section 6)."""
import pytest

import search_tools as search
import spine_tools as tools
from imapjudge import dovecot as judge_dovecot, tap as judge_tap

MANY = 100_000
AT_ONCE = 20_000
UNSEEN = [7, 1_000, 9_999, 20_000, 20_001, 34_567, 50_000, 65_536, 77_777, 88_888, 99_999, 100_000]
LINE = 64 * 1024       # Dovecot's limit, unless it is told otherwise


@pytest.fixture(scope='module')
def full():
    """A Dovecot that takes so many in some seconds: user "many", all seen but UNSEEN, every other one flagged."""
    mail = b'From: anna@example.com\r\nSubject: one of many\r\n\r\nnothing but a kitchen\r\n'
    seen = [b' (\\Seen) ', b' (\\Seen \\Flagged) ']
    with judge_dovecot.Dovecot(users=0, mail_format='mdbox') as server:
        server.add_user('many')
        with server.client('many', timeout=120) as client:
            for first in range(0, MANY, AT_ONCE):
                parts = [b'%s"%s" {%d+}\r\n%s' % (seen[n % 2], search.OLD.encode(), len(mail), mail)
                         for n in range(first, first + AT_ONCE)]
                client.must(b'APPEND INBOX' + b''.join(parts), timeout=120)
            client.select()
            client.must('UID STORE %s -FLAGS.SILENT (\\Seen)' % ','.join(map(str, UNSEEN)))
        yield server


@pytest.fixture
def opened(full, make_proxy, connect):
    """(tap, Pair), at rest, all known but what content says."""
    with judge_tap.Tap(full.port) as tap:
        proxy = make_proxy(tap.port, kind=tools.Configured, sections=search.SETTLED)
        pair = search.Pair(connect(proxy.port, 'many', timeout=60), connect(full.port, 'many', timeout=60))
        pair.client.select()
        pair.direct.select(examine=True)
        pair.client.must('FETCH %d (FLAGS)' % MANY)
        search.at_rest(tap)
        yield tap, pair


def test_unseen_body_among_100000_asks_about_twelve(opened):
    tap, pair = opened
    for criteria in ('UNSEEN BODY "kitchen"', 'BODY "garden" UNSEEN', 'NOT OR SEEN TEXT "kitchen"'):
        mark = search.at_rest(tap)
        pair.search(criteria)
        since = tap.since(mark)
        assert search.asked(since, MANY) == UNSEEN
        assert len(search.searches(since)) == 1 and since.octets_up < 300 and since.octets_down < 600
        mark = search.at_rest(tap)
        pair.search(criteria)
        assert tap.since(mark).octets_up == 0


def test_long_sets_are_several_commands_in_one_flight(opened):
    tap, pair = opened
    mark = search.at_rest(tap)
    pair.search('FLAGGED SUBJECT "many"')
    since = tap.since(mark)
    commands = search.searches(since)
    assert search.asked(since, MANY) == [n for n in range(2, MANY + 1, 2)]
    assert len(commands) > 1 and all(len(c.line) <= LINE for c in commands)
    assert search.one_flight(since, pair.direct)
    mark = search.at_rest(tap)
    pair.search('SUBJECT "many" FLAGGED UNSEEN')
    assert tap.since(mark).octets_up == 0


def test_all_of_100000_are_one_short_question(opened):
    tap, pair = opened
    mark = search.at_rest(tap)
    pair.search('FROM "anna"')
    since = tap.since(mark)
    assert search.asked(since, MANY) == list(range(1, MANY + 1))
    assert since.octets_up < 200 and since.octets_down < 1000
    mark = search.at_rest(tap)
    for criteria in ('FROM "anna"', 'UNSEEN FROM "anna"', 'NOT FROM "anna"', 'FLAGGED FROM "anna"', 'UID 5:900 FROM "anna"'):
        pair.search(criteria)
    assert tap.since(mark).octets_up == 0


def _lists(number, highest):
    """So many that say different things of flags, each of two leaves."""
    flags = ('ANSWERED', 'FLAGGED', 'DELETED', 'DRAFT')
    if highest:
        return ' '.join('NOT (SEEN MODSEQ %d)' % (highest + n) for n in range(number))
    return ' '.join('NOT (%s SEEN %s OR %s %s)' % ((flags[n % 4], ) + tuple(
        ('UN' if n >> bit & 1 else '') + flags[(n + bit) % 4] for bit in (2, 3, 4))) for n in range(number))


def test_what_would_hold_up_everybody_is_left_to_the_upstream(opened):
    """Each MODSEQ looks at all messages; what is asked for twice is looked for once."""
    tap, pair = opened
    highest = int(pair.direct.must('STATUS INBOX (HIGHESTMODSEQ)').status_items()['HIGHESTMODSEQ'])
    pair.search('UNSEEN MODSEQ %d' % highest)
    mark = search.at_rest(tap)
    pair.search('UNSEEN ' + _lists(300, None))
    pair.search('UNSEEN ' + _lists(40, highest))
    assert tap.since(mark).octets_up == 0
    criteria = 'UNSEEN ' + _lists(200, highest)
    pair.search(criteria)
    assert [len(c.line) > len(criteria) for c in tap.since(mark).commands if c.verb == 'UID SEARCH'] == [True]
