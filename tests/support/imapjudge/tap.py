"""Counting tap: a relay before the upstream that counts and records what the proxy sends, and cuts on demand.

Commands are found by following literals, so octets of mail are never taken for commands. For a leg under TLS use
Tap(port, parse=False): connections and octets only.
"""
import collections
import re
import time

from . import relay, wire

_CONTENT = re.compile(rb'(?i)\b(?:BODY(?:\.PEEK)?\[|BINARY(?:\.PEEK)?\[|RFC822(?!\.SIZE))')
_NO_SYNC = re.compile(rb'\+\}\r?\n\Z')


class Command:
    """One command as sent upstream. verb is upper-case, with UID: 'UID FETCH'. line has no literal octets.
    turn: how many round trips of its connection had to end before it could be sent, plus one."""
    __slots__ = ('conn', 'tag', 'verb', 'line', 'sent', 'done', 'status', 'turn', 'octets')

    def __init__(self, conn, line, octets, turn):
        words = line.split(None, 3)
        self.conn = conn
        self.tag = words[0] if words else b''
        verb = words[1].upper() if len(words) > 1 else b''
        if verb == b'UID' and len(words) > 2:
            verb += b' ' + words[2].upper()
        self.verb = verb.decode('latin-1')
        self.line = line.rstrip(b'\r\n')
        self.octets = octets
        self.turn = turn
        self.sent = time.monotonic()
        self.done = self.status = None

    @property
    def asks_content(self):
        """A FETCH of message octets: BODY[..], BODY.PEEK[..], RFC822, .HEADER, .TEXT, BINARY[..]."""
        return self.verb in ('FETCH', 'UID FETCH') and bool(_CONTENT.search(self.line))

    def __repr__(self):
        return '<%d %s -> %s>' % (self.conn, self.line[:120].decode('latin-1'), self.status)


class _Up(wire.Scanner):
    """Client to server."""

    def __init__(self, conn):
        super().__init__()
        self.conn = conn
        self.literal_octets = 0
        self.waiting = False
        self.base_turn = 0

    def on_line_start(self, offset, first):
        self.base_turn = self.conn.seen_turn + 1
        self.literal_octets = 0

    def on_literal(self, offset, octets):
        self.literal_octets += octets
        self.waiting = not _NO_SYNC.search(self._parts[-1])

    def on_line(self, offset, end, text):
        self.waiting = False
        self.conn.command_line(text, self.literal_octets, self.base_turn)

    def pending_tag(self):
        return self._parts[0].split(None, 1)[0] if self.waiting and self._parts else None


class _Down(wire.Scanner):
    """Server to client."""

    def __init__(self, conn):
        super().__init__(starred=False)
        self.conn = conn

    def on_line_start(self, offset, first):
        if first not in b'*+':
            self.conn.tagged_begins(offset)
        elif first == 0x2b:
            self.conn.continuation()

    def on_literal(self, offset, octets):
        self.conn.literal_begins(offset, octets)

    def on_line(self, offset, end, text):
        if text[:1] not in b'*+':
            self.conn.tagged(text)


class TapConnection(relay.RelayConnection):
    def __init__(self, tap, number):
        super().__init__(tap, number)
        self.up = _Up(self)
        self.down = _Down(self)
        self.seen_turn = 0
        self.cut_at = None
        self.literal_seen = False
        self._open = {}
        self._continuing = None

    def from_client(self, data):
        if self.relay.parse:
            self.up.feed(data)
        self.send_server(data)

    def from_server(self, data):
        if not self.relay.parse:
            self.send_client(data)
            return
        start = self.down.offset
        self.down.feed(data)
        if self.cut_at is not None and self.cut_at < start + len(data):
            self.send_client(data[:max(0, self.cut_at - start)])
            self.relay.cuts += 1
            self.cut()
            return
        self.send_client(data)

    # ---- what the scanners report

    def command_line(self, text, octets, turn):
        if self._continuing:
            if self._continuing.verb == 'IDLE':
                self._continuing = None
            return
        if not text.strip():
            return
        command = Command(self.number, text, octets, turn)
        if command.verb in ('IDLE', 'AUTHENTICATE'):
            self._continuing = command
        self._open[command.tag] = command
        self.relay.commands.append(command)

    def continuation(self):
        if self.up.waiting:
            self.up.waiting = False
            self.up.base_turn += 1

    def tagged_begins(self, offset):
        trigger = self.relay.trigger
        if trigger is None or trigger.kind != 'tagged' or self.cut_at is not None:
            return
        # Dovecot and most servers answer in order; the oldest open command is the one answered now.
        first = next(iter(self._open.values()), None)
        if first is None or (trigger.verb and trigger.verb not in first.verb):
            return
        if trigger.after_literal and not self.literal_seen:
            return
        self.cut_at = offset
        self.relay.fired(trigger)

    def literal_begins(self, offset, octets):
        self.literal_seen = True
        trigger = self.relay.trigger
        if trigger is None or trigger.kind != 'literal' or octets < trigger.least or self.cut_at is not None:
            return
        self.cut_at = offset + min(trigger.after, octets)
        self.relay.fired(trigger)

    def tagged(self, text):
        words = text.split(None, 2)
        if len(words) < 2:
            return
        if words[0] == self.up.pending_tag():
            self.up.cancel_literal()
        command = self._open.pop(words[0], None)
        if command is None:
            return
        if self._continuing is command:
            self._continuing = None
        command.status = words[1].decode('latin-1').upper()
        command.done = time.monotonic()
        self.seen_turn = max(self.seen_turn, command.turn)
        self.literal_seen = False


class _Trigger:
    def __init__(self, kind, times, **options):
        self.kind = kind
        self.times = times
        self.__dict__.update(options)


class View:
    """What was seen since a mark."""

    def __init__(self, tap, mark):
        self._mark = mark
        self.commands = tap.commands[mark['commands']:]
        self.octets_up = tap.octets_up - mark['up']
        self.octets_down = tap.octets_down - mark['down']
        self.connections = tap.total - mark['total']

    def verbs(self):
        return collections.Counter(c.verb for c in self.commands)

    def of(self, *verbs):
        return [c for c in self.commands if c.verb in verbs]

    @property
    def content_fetches(self):
        return [c for c in self.commands if c.asks_content]

    def turns(self, conn=None):
        """Link turns: the longest chain of commands each of which could be sent only after the reply to the one
        before it, on any one connection (or on @conn). A synchronising literal costs one more."""
        deepest = collections.Counter()
        for command in self.commands:
            before = self._mark['turns'].get(command.conn, 0)
            deepest[command.conn] = max(deepest[command.conn], command.turn - before)
        if conn is not None:
            return deepest[conn]
        return max(deepest.values(), default=0)


class Tap(relay.Relay):
    """with Tap(upstream_port) as tap: the proxy connects to tap.port.

    current, total, peak: connections; octets_up, octets_down; commands: list of Command, oldest first."""
    connection_class = TapConnection

    def __init__(self, upstream_port, upstream_host='127.0.0.1', port=None, parse=True):
        super().__init__(upstream_port, upstream_host, port)
        self.parse = parse
        self.commands = []
        self.cuts = 0
        self.trigger = None
        self._everyone = []

    def accepted(self, conn):
        self._everyone.append(conn)

    def mark(self):
        """A point in time for since()."""
        return {'commands': len(self.commands), 'up': self.octets_up, 'down': self.octets_down,
                'total': self.total, 'turns': {c.number: c.seen_turn for c in self._everyone}}

    def since(self, mark=None):
        """Counts since a mark, or since the start."""
        return View(self, mark or {'commands': 0, 'up': 0, 'down': 0, 'total': 0, 'turns': {}})

    def verbs(self):
        return self.since().verbs()

    @property
    def content_fetches(self):
        return self.since().content_fetches

    # ---- cutting

    def fired(self, trigger):
        trigger.times -= 1
        if trigger.times <= 0:
            self.trigger = None

    def cut_in_literal(self, after, least=1, times=1):
        """Kill a connection once @after octets of a server literal of at least @least octets went through."""
        self.trigger = _Trigger('literal', times, after=after, least=least)

    def cut_before_tagged(self, verb='', after_literal=False, times=1):
        """Kill a connection when all of an answer but its tagged line went through: commands whose verb contains
        @verb; with @after_literal only answers that carried a literal."""
        self.trigger = _Trigger('tagged', times, verb=verb, after_literal=after_literal)

    def uncut(self):
        self.trigger = None

    # ---- stalling

    def stall(self, stalled=True, up=True, down=True):
        """Stop (or resume) passing octets on all present connections; they stay open."""
        def apply():
            for conn in self.live():
                if up:
                    conn.halt(conn.client, 'stall', stalled)
                if down:
                    conn.halt(conn.server, 'stall', stalled)
        self.call(apply)
