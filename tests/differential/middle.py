"""What stands between the subject and its upstream: hides capabilities, and cuts the subject's links.

Hiding: words are taken out of every capability list and what belongs to them out of the answers; a command that needs
what was not offered is answered BAD and remembered in .unoffered, which ends the run.
Cutting: hang_up() between commands, returning when the subject has seen the end of every link, with new links held
or refused until let go; arm() for one cut amid the next command."""
import asyncio
import collections
import re

from imapjudge import relay, wire

_QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*"')
_LISTS = re.compile(rb'(?i)(\* CAPABILITY |\[CAPABILITY )([^\]\r\n]*)')
_CHILDREN = re.compile(rb'(?i)\\Has(No)?Children ?')
_NAMES = re.compile(rb'Dovecot|Cyrus|Courier')
# NAME is none: it hides what server it is.
NEEDS = {
    'QRESYNC': rb'ENABLE.* QRESYNC|\(QRESYNC|\bVANISHED\)',
    'CONDSTORE': rb'ENABLE.* CONDSTORE|\(CONDSTORE\)|CHANGEDSINCE|\bMODSEQ|HIGHESTMODSEQ',
    'UIDPLUS': rb'^\S+ UID EXPUNGE',
    'ESEARCH': rb'SEARCH RETURN',
    'LITERAL+': rb'\{\d+\+\}\r\n$',
    'IDLE': rb'^\S+ IDLE',
    'MOVE': rb'^\S+ (UID )?MOVE',
    'UNSELECT': rb'^\S+ UNSELECT',
    'ENABLE': rb'^\S+ ENABLE',
    'LIST-STATUS': rb'^\S+ LIST .*RETURN \(.*STATUS',
    'LIST-EXTENDED': rb'^\S+ LIST (\(|\S+ \(|.* RETURN )',
    'NAMESPACE': rb'^\S+ NAMESPACE',
    'CHILDREN': None,
    'MULTIAPPEND': None,
    'BINARY': rb'~\{\d',
    'SASL-IR': rb'^\S+ AUTHENTICATE \S+ ',
    'ID': rb'^\S+ ID ',
    'NAME': None,
}
# How the subject's knowledge of a mailbox was brought up to date: counted in Middle.rungs.
RUNGS = {
    'QRESYNC': re.compile(rb' UID FETCH 1:\* \(UID FLAGS[^)]*\) \(CHANGEDSINCE \d+ VANISHED\)|\(QRESYNC \('),
    'CONDSTORE': re.compile(rb' UID FETCH 1:\* \(UID FLAGS[^)]*\) \(CHANGEDSINCE \d+\)'),
    'scan': re.compile(rb' UID FETCH 1:\* \(UID FLAGS[^)]*\)\r\n'),
    'SEARCH ALL': re.compile(rb' UID SEARCH ALL\r\n'),
}
CODES = {'CONDSTORE': rb'HIGHESTMODSEQ|NOMODSEQ', 'UIDPLUS': rb'APPENDUID|COPYUID'}


class _Lines:
    """A stream in pieces: whole lines outside literals go through change(), literal octets pass as they come. A line
    that change() makes nothing of goes with the non-synchronising literals behind it."""

    def __init__(self, change):
        self._change = change
        self._skip = 0
        self._dropping = False
        self._rest = b''

    def feed(self, data):
        out = []
        data = self._rest + data
        while data:
            if self._skip:
                piece, data = data[:self._skip], data[self._skip:]
                self._skip -= len(piece)
                out.append(b'' if self._dropping else piece)
                continue
            end = data.find(b'\n') + 1
            if not end:
                break
            line, data = data[:end], data[end:]
            literal = wire.literal_at_end(line)
            kept = b'' if self._dropping else self._change(line)
            self._dropping = not kept and literal is not None and literal[1]
            if literal is not None and (kept or self._dropping):
                self._skip = literal[0]
            out.append(kept)
        self._rest = data
        return b''.join(out)


class MiddleConnection(relay.RelayConnection):
    def __init__(self, owner, number):
        super().__init__(owner, number)
        self._up, self._down = _Lines(self._asked), _Lines(self._told)
        self._hanging = False
        self.gone = asyncio.Event()

    async def _dial(self):
        await self.relay.let_go.wait()
        if not self.closed:
            await super()._dial()

    # ---- hiding

    def _asked(self, line):
        bare = _QUOTED.sub(b'""', line)
        for name, pattern in self.relay.needs:
            if pattern.search(bare):
                self.relay.unoffered.append('%s: %s' % (name, line.decode('latin-1').strip()))
                self.send_client(line.split(b' ', 1)[0] + b' BAD Not offered\r\n')
                return b''
        return line

    def _told(self, line):
        hidden = self.relay.hidden
        line = _LISTS.sub(lambda m: m.group(1) + b' '.join(
            w for w in m.group(2).split() if w.decode('latin-1').upper() not in hidden), line)
        if self.relay.codes is not None and self.relay.codes.search(line):
            return b'' if line.startswith(b'* ') else self.relay.codes.sub(rb'\1', line)
        if 'CHILDREN' in hidden and line.startswith(b'* LIST '):
            line = _CHILDREN.sub(b'', line)
        if 'NAME' in hidden and line[:2] == b'* ':
            line = b'* ID NIL\r\n' if line.startswith(b'* ID ') else _NAMES.sub(b'Server', line)
        return line

    def from_client(self, data):
        for name, pattern in RUNGS.items():
            self.relay.rungs[name] += len(pattern.findall(data))
        self._pass('up', self._up.feed(data) if self.relay.hidden else data, self.send_server)

    def from_server(self, data):
        self._pass('down', self._down.feed(data) if self.relay.hidden else data, self.send_client)

    # ---- cutting

    def _pass(self, way, data, send):
        part = self.relay.strikes(way, data)
        if part is None:
            send(data)
            return
        send(data[:part])
        for conn in (self.relay.live() if self.relay.strikes_all else [self]):
            conn.cut()

    def hang_up(self):
        self._hanging = True
        self._halted[self.client].clear()
        if not self.open:
            self.cut(abort_client=True)
            self.gone.set()
            return
        self._apply(self.client)
        self.server.transport.abort()
        self.client.transport.write_eof()

    def ended(self, side):
        if self._hanging:
            self.gone.set()
            self.close()
        else:
            super().ended(side)

    def lost(self, side):
        if self._hanging and side is self.server:
            return
        self.gone.set()
        super().lost(side)

    def received(self, side, data):
        if not self._hanging:
            super().received(side, data)


class Middle(relay.Relay):
    """with Middle(port, hide=('QRESYNC',)) as middle: the subject's upstream is middle.port."""
    connection_class = MiddleConnection

    def __init__(self, upstream_port, hide=(), **options):
        super().__init__(upstream_port, **options)
        self.hidden = frozenset(hide)
        if self.hidden - set(NEEDS):
            raise ValueError('cannot hide %s' % sorted(self.hidden - set(NEEDS)))
        self.needs = [(name, re.compile(NEEDS[name], re.I)) for name in sorted(self.hidden) if NEEDS[name]]
        codes = [CODES[name] for name in sorted(self.hidden) if name in CODES]
        self.codes = re.compile(rb'(?i)^(\S+ OK )\[(?:' + b'|'.join(codes) + rb')\b[^\]]*\] ?') if codes else None
        self.unoffered = []
        self.rungs = collections.Counter()
        self.let_go = asyncio.Event()
        self.let_go.set()
        self.cuts = 0
        self._strike = None
        self.strikes_all = False

    def hang_up(self):
        """End every link and wait until the subject has closed its side too; returns how many."""
        async def work():
            links = self.live()
            for conn in links:
                conn.hang_up()
            for conn in links:
                await asyncio.wait_for(conn.gone.wait(), 20)
            self.cuts += len(links)
            return len(links)
        return self.call(work)

    def hold(self, held=True):
        """New links are accepted but go no further until hold(False)."""
        self.call(self.let_go.clear if held else self.let_go.set)

    def arm(self, way, count, part, everyone):
        """Cut the link (or every link) that carries the count-th piece going @way, 'up' or 'down', after so much of
        it (0..1)."""
        def work():
            self._strike, self.strikes_all = [way, count, part], everyone
        self.call(work)

    def disarm(self):
        """True when the cut was made."""
        def work():
            armed, self._strike = self._strike, None
            return armed is None
        return self.call(work)

    def strikes(self, way, data):
        """How much of @data still goes through, or None: all, and no cut."""
        if self._strike is None or self._strike[0] != way or not data:
            return None
        self._strike[1] -= 1
        if self._strike[1] > 0:
            return None
        part = self._strike[2]
        self._strike = None
        self.cuts += 1
        return int(part * len(data))
