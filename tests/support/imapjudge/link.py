"""Link emulator: a relay with delay, bandwidth shared by all its connections, cut and stall. User space only.

Each direction is one wire: connections take turns on it, so one bulk download leaves the others their share.
"""
import asyncio
import collections

from . import relay

QUANTUM = 8 * 1024
QUEUE_WITH_BANDWIDTH = 64 * 1024
QUEUE_WITHOUT = 8 * 1024 * 1024
LATE_MAX = 0.25
_END = b''


class _Flow:
    """What one connection has waiting in one direction."""

    def __init__(self, conn, source, deliver):
        self.conn = conn
        self.source = source
        self.deliver = deliver
        self.waiting = collections.deque()
        self.octets = 0
        self.in_turn = False


class Wire:
    """One direction."""

    def __init__(self, loop, delay, bandwidth):
        self.loop = loop
        self.delay = delay
        self.bandwidth = bandwidth
        self.stalled = False
        self._turn = collections.deque()
        self._air = collections.deque()
        self._free_at = 0.0
        self._timer = None
        self._air_timer = None

    @property
    def queue_max(self):
        return QUEUE_WITH_BANDWIDTH if self.bandwidth else QUEUE_WITHOUT

    def put(self, flow, data):
        if not (self.delay or self.bandwidth or self.stalled or self._air or flow.waiting):
            flow.deliver(data)
            return
        flow.waiting.append(data)
        flow.octets += len(data)
        if flow.octets > self.queue_max:
            flow.conn.halt(flow.source, 'link', True)
        if not flow.in_turn:
            flow.in_turn = True
            self._turn.append(flow)
        self.kick()

    def kick(self, late=0.0):
        """Put on the wire what may go now. late: how much of lost time a busy wire may make up for."""
        if self.stalled or self._timer is not None:
            return
        now = self.loop.time()
        while self._turn:
            if self._free_at - now > 0.001:
                self._timer = self.loop.call_at(self._free_at, self._free)
                return
            flow = self._turn.popleft()
            data = self._take(flow)
            if flow.waiting:
                self._turn.append(flow)
            else:
                flow.in_turn = False
            self._free_at = max(self._free_at, now - late)
            if self.bandwidth:
                self._free_at += len(data) / self.bandwidth
            self._air.append((max(now, self._free_at) + self.delay, flow, data))
        self._land()

    def _free(self):
        # Timers fire late, on a loaded machine very late; the rate shall be the one asked for all the same.
        self._timer = None
        self.kick(LATE_MAX)
        self._land()

    def _take(self, flow):
        data = flow.waiting.popleft()
        if self.bandwidth and len(data) > QUANTUM:
            flow.waiting.appendleft(data[QUANTUM:])
            data = data[:QUANTUM]
        flow.octets -= len(data)
        if flow.octets <= self.queue_max // 2:
            flow.conn.halt(flow.source, 'link', False)
        return data

    def _land(self):
        if self._air_timer is not None:
            self._air_timer.cancel()
            self._air_timer = None
        now = self.loop.time() + 0.0005
        while self._air and self._air[0][0] <= now:
            _, flow, data = self._air.popleft()
            flow.deliver(data)
        if self._air:
            self._air_timer = self.loop.call_at(self._air[0][0], self._land)


class LinkConnection(relay.RelayConnection):
    def __init__(self, link, number):
        super().__init__(link, number)
        self._up = _Flow(self, self.client, lambda data: self._arrive(self.client, data, self.send_server))
        self._down = _Flow(self, self.server, lambda data: self._arrive(self.server, data, self.send_client))

    async def _dial(self):
        # The three-way handshake costs a round trip of the emulated link.
        await asyncio.sleep(self.relay.up.delay + self.relay.down.delay)
        await super()._dial()

    def _arrive(self, source, data, send):
        if data is _END:
            self.pass_end(source)
        else:
            send(data)

    def from_client(self, data):
        self.relay.up.put(self._up, data)

    def from_server(self, data):
        self.relay.down.put(self._down, data)

    def ended(self, side):
        if side is self.client:
            self.relay.up.put(self._up, _END)
        else:
            self.relay.down.put(self._down, _END)


class Link(relay.Relay):
    """with Link(upstream_port, delay=0.05, bandwidth=2_500_000) as link: 100 ms round trip, 20 Mbit/s each way.

    delay: seconds one way; bandwidth: octets a second each way, None: no limit."""
    connection_class = LinkConnection

    def __init__(self, upstream_port, upstream_host='127.0.0.1', port=None, delay=0.0, bandwidth=None):
        super().__init__(upstream_port, upstream_host, port)
        self.up = Wire(self.loop, delay, bandwidth)
        self.down = Wire(self.loop, delay, bandwidth)

    def shape(self, delay=None, bandwidth=None):
        """Change delay or bandwidth (0: no limit) of the running link."""
        def apply():
            for wire in (self.up, self.down):
                wire.delay = wire.delay if delay is None else delay
                wire.bandwidth = wire.bandwidth if bandwidth is None else bandwidth or None
        self.call(apply)

    def stall(self, stalled=True):
        """Nothing arrives any more in either direction, connections stay open; False lets all go on."""
        def apply():
            for wire in (self.up, self.down):
                wire.stalled = stalled
                wire.kick()
        self.call(apply)

    def cut(self):
        """All connections die at once and new ones are refused until mend()."""
        self.refuse(True)
        return self.kill_all()

    def mend(self):
        self.refuse(False)
