"""A relay that lies, to prove the harness: each fault changes one answer (the third occasion it finds), unless its
text says that it goes on. A fault works on whole responses of one connection."""
import re

from imapjudge import relay, wire

import faulty_search

NUMBER = re.compile(rb'\* (\d+) ')
UID = re.compile(rb'(\bUID )(\d+)')
LITERAL = re.compile(rb'(BODY\[[^\]]*\](?:<\d+>)?|RFC822(?:\.TEXT|\.HEADER)?) \{(\d+)\}\r\n')


class Fault:
    """wants(response, conn): an occasion; change(response, conn) -> list of responses said instead."""
    occasion = 3
    once = True

    def __init__(self):
        self.seen = self.fired = 0

    def answer(self, response, conn):
        if self.fired and self.once or not self.wants(response, conn):
            return [response]
        self.seen += 1
        if self.seen < self.occasion:
            return [response]
        changed = self.change(response, conn)
        self.fired += changed != [response]
        return changed

    def command(self, line, conn):
        return line

    def chunk(self, data, conn):
        """All that came at once."""
        return data

    def wants(self, response, conn):
        return False

    def change(self, response, conn):
        return []


class SwallowedExpunge(Fault):
    def wants(self, response, conn):
        return re.match(rb'\* \d+ EXPUNGE|\* VANISHED \d', response) is not None


class SwappedUids(Fault):
    """Two FETCH lines of one command exchange their UIDs."""

    def __init__(self):
        super().__init__()
        self._held = None

    def wants(self, response, conn):
        return b'FETCH' in conn.verb and b' FETCH (' in response[:20] and UID.search(response[:60]) is not None

    def answer(self, response, conn):
        if self._held is not None:
            held, self._held = self._held, None
            if held[0] is not conn:
                return [held[1], response]
            other = UID.search(response[:60])
            if not self.wants(response, conn) or other.group(2) == UID.search(held[1][:60]).group(2):
                return [held[1], response]
            self.fired += 1
            mine = UID.search(held[1][:60]).group(2)
            return [UID.sub(lambda m: m.group(1) + other.group(2), held[1], count=1),
                    UID.sub(lambda m: m.group(1) + mine, response, count=1)]
        if not self.fired and self.wants(response, conn):
            self.seen += 1
            if self.seen >= self.occasion:
                self._held = (conn, response)
                return []
        return [response]


class StaleFlag(Fault):
    """Flag changes of another session are kept from this one. It goes on: a client that never asked for the flags of
    that message could not notice a single one."""
    once = False

    def wants(self, response, conn):
        return conn.verb == b'NOOP' and b' FETCH (' in response[:20]


class LostSeen(Fault):
    """BODY[..] becomes BODY.PEEK[..] on its way up: nothing is marked \\Seen. It goes on."""

    def command(self, line, conn):
        changed = re.sub(rb'\bBODY\[', b'BODY.PEEK[', line) if b'FETCH' in line else line
        self.fired += changed != line
        return changed


class OffByOnePartial(Fault):
    """A partial is one octet short."""

    def wants(self, response, conn):
        found = LITERAL.search(response)
        return found is not None and b'<' in found.group(1) and int(found.group(2)) > 1

    def change(self, response, conn):
        found = LITERAL.search(response)
        size = int(found.group(2))
        return [response[:found.start()] + b'%s {%d}\r\n' % (found.group(1), size - 1)
                + response[found.end():found.end() + size - 1] + response[found.end() + size:]]


class OtherBody(Fault):
    """The octets of another message, told before."""

    def __init__(self):
        super().__init__()
        self._last = None

    def wants(self, response, conn):
        found = LITERAL.search(response)
        if found is None or found.group(1) not in (b'BODY[]', b'BODY[TEXT]', b'RFC822'):
            return False
        octets = response[found.end():found.end() + int(found.group(2))]
        before, self._last = self._last, octets
        self._before = before
        return before is not None and before != octets

    def change(self, response, conn):
        found = LITERAL.search(response)
        return [response[:found.start()] + b'%s {%d}\r\n' % (found.group(1), len(self._before)) + self._before
                + response[found.end() + int(found.group(2)):]]


class WrongUidnext(Fault):
    def wants(self, response, conn):
        return b'[UIDNEXT ' in response[:20]

    def change(self, response, conn):
        return [re.sub(rb'UIDNEXT (\d+)', lambda m: b'UIDNEXT %d' % (int(m.group(1)) + 1), response)]


class FetchTwice(Fault):
    """A FETCH line with content is told twice."""

    def wants(self, response, conn):
        return b'FETCH' in conn.verb and LITERAL.search(response) is not None

    def change(self, response, conn):
        return [response, response]


class MissingExists(Fault):
    def wants(self, response, conn):
        return conn.verb not in (b'SELECT', b'EXAMINE') and re.match(rb'\* \d+ EXISTS', response) is not None


class SearchShort(Fault):
    """It goes on: beside a write a search may lack that message."""
    once = False

    def wants(self, response, conn):
        is_free = re.search(rb'\b(RECENT|NEW|OLD)\b', conn.asked) is not None     # what they are may differ
        return re.match(rb'\* SEARCH( \d+)+\r', response) is not None and not is_free

    def change(self, response, conn):
        return [response.rstrip().rsplit(b' ', 1)[0] + b'\r\n']


class SplitLine(Fault):
    """The items of one message in two FETCH lines."""

    def wants(self, response, conn):
        return b'FETCH' in conn.verb and re.search(rb'RFC822\.SIZE \d+ INTERNALDATE|INTERNALDATE "[^"]*" RFC822\.SIZE',
                                                   response) is not None

    def change(self, response, conn):
        number = NUMBER.match(response).group(1)
        found = re.search(rb'INTERNALDATE "[^"]*"', response)
        uid = UID.search(response[:60])
        rest = (response[:found.start()] + response[found.end():]).replace(b'  ', b' ')
        more = uid.group() + b' ' if uid else b''
        return [rest, b'* %s FETCH (%s%s)\r\n' % (number, more, found.group())]


class EarlyExpunge(Fault):
    """An EXPUNGE told during FETCH."""

    def wants(self, response, conn):
        return conn.verb == b'FETCH' and b' OK ' in response[:20] and response[:1] != b'*'

    def change(self, response, conn):
        return [b'* 1 EXPUNGE\r\n', response]


class UnaskedItem(Fault):
    def wants(self, response, conn):
        return conn.verb.endswith(b'FETCH') and b' FETCH (' in response[:20] and b'RFC822.SIZE' not in response

    def change(self, response, conn):
        return [response.replace(b' FETCH (', b' FETCH (RFC822.SIZE 1 ', 1)]


class StoreNotEchoed(Fault):
    def wants(self, response, conn):
        return conn.verb.endswith(b'STORE') and b' FETCH (' in response[:20] and b'FLAGS' in response


class OkForNo(Fault):
    """A refusal is told as success: nothing lost, nothing claimed."""

    def wants(self, response, conn):
        return b' NO ' in response[:20] and response[:1] != b'*' and conn.verb not in (b'SELECT', b'LOGIN')

    def change(self, response, conn):
        return [response.replace(b' NO ', b' OK ', 1)]


class LostAppend(Fault):
    """An APPEND is answered OK and thrown away."""

    def command(self, line, conn):
        if b' APPEND ' in line[:14] and line.rstrip().endswith(b'+}') and not self.fired:
            self.seen += 1
            if self.seen == self.occasion:
                self.fired += 1
                return re.sub(rb'APPEND "[^"]*"', b'APPEND "Scratch/a"', line)
        return line


FAULTS = {
    'swallowed-expunge': SwallowedExpunge, 'swapped-uids': SwappedUids, 'stale-flag': StaleFlag,
    'lost-seen': LostSeen, 'off-by-one-partial': OffByOnePartial, 'other-body': OtherBody,
    'wrong-uidnext': WrongUidnext, 'fetch-twice': FetchTwice, 'missing-exists': MissingExists,
    'search-short': SearchShort,
    'split-line': SplitLine, 'early-expunge': EarlyExpunge, 'unasked-item': UnaskedItem,
    'store-not-echoed': StoreNotEchoed, 'ok-for-no': OkForNo, 'append-elsewhere': LostAppend,
    **faulty_search.FAULTS,
}


class _Up(wire.Scanner):
    """Remembers the command at work; literals are left alone."""

    def __init__(self, conn):
        super().__init__()
        self.conn = conn

    def on_line(self, offset, end, text):
        words = text.upper().split(None, 3)
        if len(words) > 1:
            self.conn.verb = b' '.join(words[1:3]) if words[1] == b'UID' else words[1]


class FaultyConnection(relay.RelayConnection):
    def __init__(self, owner, number):
        super().__init__(owner, number)
        self.verb = b''
        self.asked = b''            # the whole command at work
        self.box = None
        self._up = _Up(self)
        self._down = b''

    def from_client(self, data):
        # The harness writes each command in one piece, so a chunk is a command (or literal octets).
        data = self.relay.fault.chunk(data, self)
        line, end, rest = data.partition(b'\n')
        if self._up._skip:
            self.asked += data
        else:
            self.asked = data
            line = self.relay.fault.command(line + end, self)
            end = b''
        self._up.feed(data)
        self.send_server(line + end + rest)

    def from_server(self, data):
        self._down += data
        out = []
        while True:
            end = _whole(self._down)
            if end is None:
                break
            response, self._down = self._down[:end], self._down[end:]
            out += self.relay.fault.answer(response, self)
        if self._down[:1] == b'+':
            out.append(self._down)
            self._down = b''
        if out:
            self.send_client(b''.join(out))


def _whole(data):
    scan = 0
    while True:
        end = data.find(b'\n', scan) + 1
        if not end:
            return None
        literal = wire.literal_at_end(data[max(0, end - 40):end])
        if literal is None:
            return end
        scan = end + literal[0]
        if scan > len(data):
            return None


class FaultyRelay(relay.Relay):
    """Relay with one fault by name; .fault.fired counts."""
    connection_class = FaultyConnection

    def __init__(self, upstream_port, name, **options):
        super().__init__(upstream_port, **options)
        self.fault = FAULTS[name]()
