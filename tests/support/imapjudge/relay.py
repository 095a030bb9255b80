"""TCP relay on an asyncio loop in a thread of its own: what the tap, the link emulator and the faulty relay stand on.

All methods without an underscore may be called from the test's thread.
"""
import asyncio
import threading

from . import ports

READ_MAX = 256 * 1024


class _Side(asyncio.Protocol):
    """One socket of a relayed connection."""

    def __init__(self, conn, name):
        self.conn = conn
        self.name = name
        self.transport = None
        self.other = None
        self.early = []

    def connection_made(self, transport):
        self.transport = transport
        transport.set_write_buffer_limits(high=512 * 1024, low=128 * 1024)
        self.conn.side_made(self)

    def data_received(self, data):
        self.conn.received(self, data)

    def eof_received(self):
        self.conn.ended(self)
        return True

    def connection_lost(self, _error):
        self.conn.lost(self)

    def pause_writing(self):
        self.conn.want_reading(self.other, False)

    def resume_writing(self):
        self.conn.want_reading(self.other, True)


class RelayConnection:
    """A client's connection and ours to the upstream. Subclasses override from_client() and from_server()."""

    def __init__(self, relay, number):
        self.relay = relay
        self.number = number
        self.client = _Side(self, 'client')
        self.server = _Side(self, 'server')
        self.client.other, self.server.other = self.server, self.client
        self.open = False
        self.closed = False
        self._halted = {self.client: set(), self.server: set()}
        self._ended = set()

    # ---- to override

    def from_client(self, data):
        self.send_server(data)

    def from_server(self, data):
        self.send_client(data)

    # ---- for subclasses

    def send_client(self, data):
        if not self.closed and self.client.transport is not None:
            self.client.transport.write(data)

    def send_server(self, data):
        if not self.closed and self.server.transport is not None:
            self.server.transport.write(data)

    def halt(self, side, why, halted):
        """Stop or resume reading a side for a reason of the subclass's own."""
        self._reading(side, why, not halted)

    def cut(self, abort_client=False):
        """The upstream is gone at once; the client still gets what was sent to it (unless abort_client: RST)."""
        if self.closed:
            return
        self.closed = True
        for side, abort in ((self.server, True), (self.client, abort_client)):
            if side.transport is not None:
                (side.transport.abort if abort else side.transport.close)()
        self.relay.forget(self)

    # ---- plumbing

    def side_made(self, side):
        if side is self.client:
            side.transport.pause_reading()
            asyncio.ensure_future(self._dial())

    async def _dial(self):
        try:
            await self.relay.loop.create_connection(lambda: self.server, *self.relay.upstream)
        except OSError:
            self.cut()
            return
        if self.closed:
            self.server.transport.abort()
            return
        self.open = True
        self._apply(self.client)

    def received(self, side, data):
        if self.closed:
            return
        if side is self.client:
            self.relay.octets_up += len(data)
            self.from_client(data)
        else:
            self.relay.octets_down += len(data)
            self.from_server(data)

    def ended(self, side):
        """One side sent its FIN: hand it on behind the data. Subclasses that hold data back override it."""
        self.pass_end(side)

    def pass_end(self, side):
        self._ended.add(side)
        other = side.other
        if len(self._ended) == 2 or other.transport is None:
            self.close()
        elif not self.closed and other.transport.can_write_eof():
            other.transport.write_eof()

    def lost(self, side):
        if self.closed:
            return
        if side.other.transport is not None and not side.other.transport.is_closing():
            side.other.transport.close()
        self.close()

    def close(self):
        if self.closed:
            return
        self.closed = True
        for side in (self.client, self.server):
            if side.transport is not None:
                side.transport.close()
        self.relay.forget(self)

    def want_reading(self, side, wanted):
        self._reading(side, 'buffer', wanted)

    def _reading(self, side, why, wanted):
        (self._halted[side].discard if wanted else self._halted[side].add)(why)
        self._apply(side)

    def _apply(self, side):
        transport = side.transport
        if transport is None or transport.is_closing():
            return
        wanted = not self._halted[side] and (side is self.server or self.open)
        if wanted and not transport.is_reading():
            transport.resume_reading()
        elif not wanted and transport.is_reading():
            transport.pause_reading()


class Relay:
    """with Relay(port) as relay: connect to relay.port.  upstream: (host, port)."""
    connection_class = RelayConnection

    def __init__(self, upstream_port, upstream_host='127.0.0.1', port=None):
        self.upstream = (upstream_host, upstream_port)
        self.host = '127.0.0.1'
        self.port = port
        self.octets_up = self.octets_down = 0
        self.total = self.peak = 0
        self.refusing = False
        self.loop = asyncio.new_event_loop()
        self._live = []
        self._server = None
        self._thread = None

    @property
    def current(self):
        """Connections open now."""
        return len(self._live)

    def start(self):
        self.port = self.port or ports.free_port()
        self._thread = threading.Thread(target=self._run, name=type(self).__name__, daemon=True)
        self._thread.start()
        self.call(self._listen)
        return self

    def _run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
        self.loop.close()

    def _listen(self):
        return self.loop.create_server(self._accept, self.host, self.port)

    def _accept(self):
        self.total += 1
        conn = self.connection_class(self, self.total)
        if self.refusing:
            return _Refuse()
        self._live.append(conn)
        self.peak = max(self.peak, len(self._live))
        self.accepted(conn)
        return conn.client

    def accepted(self, conn):
        """For subclasses: on the loop, a connection came."""

    def forget(self, conn):
        if conn in self._live:
            self._live.remove(conn)

    def call(self, function, *args):
        """Run a function (or one that returns a coroutine) on the loop and wait for what it gives."""
        async def wrapped():
            result = function(*args)
            return await result if asyncio.iscoroutine(result) else result
        result = asyncio.run_coroutine_threadsafe(wrapped(), self.loop).result(30)
        if function == self._listen:
            self._server = result
        return result

    def live(self):
        return list(self._live)

    def kill_all(self):
        """Close every connection at once; returns how many."""
        def kill():
            victims = self.live()
            for conn in victims:
                conn.cut(abort_client=True)
            return len(victims)
        return self.call(kill)

    def refuse(self, refusing=True):
        """New connections are accepted by the kernel and closed at once; old ones stay."""
        self.refusing = refusing

    def stop(self):
        if self._thread is None:
            return
        self.kill_all()
        self.call(self._server.close)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self._thread = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()


class _Refuse(asyncio.Protocol):
    def connection_made(self, transport):
        transport.abort()
