"""A small raw IMAP client for tests: sends anything, reads everything, keeps a transcript.

Synchronous, one socket, no thread. Every wait has a timeout (IMAPTimeout); a closed connection is IMAPClosed.
"""
import collections
import contextlib
import select
import socket
import ssl
import time

from . import wire


class IMAPTimeout(Exception):
    """The server did not answer in time."""


class IMAPClosed(Exception):
    """The server closed the connection; .responses are those not yet handed out."""


class IMAPRefused(Exception):
    """A command a test needs was not answered OK."""


class Lit:
    """A literal inside a command; sync=False sends {n+} and does not wait."""

    def __init__(self, data, sync=True):
        self.data = data
        self.sync = sync


class Result:
    """What one command brought: status, code, code_args, text of the tagged line, and the untagged responses."""

    def __init__(self, tagged, untagged):
        self.tagged = tagged
        self.status = tagged.name
        self.code = tagged.code
        self.code_args = tagged.code_args
        self.text = tagged.text
        self.untagged = untagged

    @property
    def ok(self):
        return self.status == 'OK'

    def named(self, name):
        return [r for r in self.untagged if r.name == name]

    def codes(self):
        """Response codes of untagged OK lines and of the tagged line: {name: args or b''}."""
        found = {r.code: r.code_args or b'' for r in self.untagged if r.code}
        if self.code:
            found[self.code] = self.code_args or b''
        return found

    @property
    def exists(self):
        nums = [r.num for r in self.named('EXISTS')]
        return nums[-1] if nums else None

    def fetch(self):
        """{sequence number: {item: value}}, lines of one message merged."""
        out = {}
        for response in self.named('FETCH'):
            out.setdefault(response.num, {}).update(response.data)
        return out

    def fetch_by_uid(self):
        return {items['UID']: items for items in self.fetch().values() if 'UID' in items}

    def search(self):
        """Sorted numbers of all SEARCH lines."""
        return sorted(n for r in self.named('SEARCH') for n in r.data if isinstance(n, int))

    def status_items(self):
        """{item: number} of the (last) STATUS line."""
        out = {}
        for response in self.named('STATUS'):
            values = response.data[-1]
            out = {bytes(values[i]).decode().upper(): values[i + 1] for i in range(0, len(values), 2)}
        return out

    def __repr__(self):
        return '<%s %r, %d untagged>' % (self.status, self.tagged, len(self.untagged))


class IMAPClient:
    """One connection. tls: None, True (implicit, unverified), a CA file, or an SSLContext."""

    def __init__(self, host, port, tls=None, timeout=10.0, name='', keep=100000, connect=True):
        self.host, self.port, self.timeout = host, port, timeout
        self.name = name
        self.transcript = collections.deque(maxlen=keep)
        self.greeting = None
        self.sock = None
        self.octets_in = self.octets_out = 0
        self._buf = bytearray()
        self._pos = 0
        self._tag = 0
        self._idle_tag = None
        self._done = {}
        self._loose = []
        self._held = None       # octets to be sent in one piece; None: each at once
        if connect:
            self.connect(tls)

    # ---- connection

    def connect(self, tls=None):
        self.sock = socket.create_connection((self.host, self.port), timeout=self.timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self._wrap(tls)
        self.greeting = self.read_response()

    def _wrap(self, tls):
        if not isinstance(tls, ssl.SSLContext):
            context = ssl.create_default_context(cafile=None if tls is True else str(tls))
            if tls is True:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            tls = context
        self.sock = tls.wrap_socket(self.sock, server_hostname=self.host)

    def starttls(self, tls=True):
        result = self.cmd('STARTTLS')
        if not result.ok:
            raise IMAPRefused(result)
        self._buf.clear()
        self._pos = 0
        self._wrap(tls)
        return result

    def close(self):
        if self.sock is not None:
            self.sock.close()
            self.sock = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def dump(self, last=40):
        """The last lines of the transcript, readable."""
        lines = []
        for when, direction, data in list(self.transcript)[-last:]:
            text = data if len(data) <= 500 else data[:400] + b' ...%d octets... ' % (len(data) - 450) + data[-50:]
            shown = text.decode('latin-1').replace('\r\n', '\\r\\n ')
            lines.append('%.3f %s%s %s' % (when, self.name and self.name + ' ', direction, shown))
        return '\n'.join(lines)

    # ---- octets

    def send_raw(self, data):
        if isinstance(data, str):
            data = data.encode('utf-8')
        self.transcript.append((time.time() % 1000, 'C:', data))
        self.octets_out += len(data)
        if self._held is not None:
            self._held += data
        else:
            self._send(data)

    @contextlib.contextmanager
    def together(self):
        """What is sent inside goes out in one piece: a busy machine does not part it. A read sends what there is."""
        self._held = bytearray()
        try:
            yield
        finally:
            held, self._held = self._held, None
            self._send(held)

    def _send(self, data):
        try:
            self.sock.settimeout(self.timeout)
            self.sock.sendall(data)
        except socket.timeout:
            raise IMAPTimeout('%s: sending' % self.name) from None
        except OSError as error:
            raise IMAPClosed(str(error)) from None

    def _fill(self, deadline):
        if self._held:
            held, self._held = self._held, bytearray()
            self._send(held)
        left = deadline - time.monotonic()
        if left <= 0:
            raise IMAPTimeout('%s: no answer; transcript:\n%s' % (self.name, self.dump(12)))
        try:
            self.sock.settimeout(left)
            data = self.sock.recv(262144)
        except (socket.timeout, ssl.SSLWantReadError):
            raise IMAPTimeout('%s: no answer; transcript:\n%s' % (self.name, self.dump(12))) from None
        except OSError as error:
            raise IMAPClosed(str(error)) from None
        if not data:
            raise IMAPClosed('%s: closed by peer' % self.name)
        self.octets_in += len(data)
        if self._pos:
            del self._buf[:self._pos]
            self._pos = 0
        self._buf += data

    def read_raw(self, octets, timeout=None):
        """Exactly so many octets as they came."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while len(self._buf) - self._pos < octets:
            self._fill(deadline)
        data = bytes(self._buf[self._pos:self._pos + octets])
        self._pos += octets
        return data

    def read_until_closed(self, timeout=None):
        """All octets up to the peer's close."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        try:
            while True:
                self._fill(deadline)
        except IMAPClosed:
            data = bytes(self._buf[self._pos:])
            self._pos = len(self._buf)
            return data

    def _whole(self, scan):
        """(end of a complete response at self._pos or None, where to look on)."""
        buf = self._buf
        while True:
            end = buf.find(b'\n', scan)
            if end < 0:
                return None, max(scan, len(buf) - 1)
            end += 1
            if buf[end - 3:end - 2] == b'}':
                literal = wire.literal_at_end(bytes(buf[max(self._pos, end - 40):end]))
                if literal:
                    if end + literal[0] > len(buf):
                        return None, None
                    scan = end + literal[0]
                    continue
            return end, None

    def read_response(self, timeout=None):
        """The next response, whatever it is."""
        if timeout is None:
            timeout = self.timeout
        deadline = time.monotonic() + timeout
        while True:
            end, _ = self._whole(self._pos)
            if end is not None:
                raw = bytes(self._buf[self._pos:end])
                self._pos = end
                self.transcript.append((time.time() % 1000, 'S:', raw))
                return wire.Response(raw)
            self._fill(deadline)

    def pending(self):
        """Responses that have arrived already; never waits."""
        out = []
        while True:
            end, _ = self._whole(self._pos)
            if end is not None:
                out.append(self.read_response())
                continue
            if isinstance(self.sock, ssl.SSLSocket) and self.sock.pending():
                self._fill(time.monotonic() + 1)
                continue
            try:
                readable = select.select([self.sock], [], [], 0)[0]
            except (ValueError, OSError):
                return out
            if not readable:
                return out
            try:
                self._fill(time.monotonic() + 1)
            except (IMAPClosed, IMAPTimeout):
                return out

    # ---- commands

    def new_tag(self):
        self._tag += 1
        return 'T%d' % self._tag

    def start(self, *parts, tag=None):
        """Send a command without waiting for its end; returns the tag. A synchronising literal is waited for;
        if the server refuses it, the rest is not sent."""
        tag = tag or self.new_tag()
        out = [tag.encode() + b' ']
        for part in parts:
            if not isinstance(part, Lit):
                out.append(part.encode('utf-8') if isinstance(part, str) else part)
                continue
            out.append(b'{%d%s}\r\n' % (len(part.data), b'' if part.sync else b'+'))
            if part.sync:
                self.send_raw(b''.join(out))
                out = []
                if not self._wait_continue(tag):
                    return tag
            out.append(part.data)
        out.append(b'\r\n')
        self.send_raw(b''.join(out))
        return tag

    def start_all(self, commands):
        """Several of them, each a sequence of parts, in one write; none has a literal to wait with. Returns the tags."""
        tags, out = [], []
        for parts in commands:
            tags.append(self.new_tag())
            out.append(tags[-1].encode() + b' ')
            for part in parts:
                if isinstance(part, Lit):
                    out += [b'{%d+}\r\n' % len(part.data), part.data]
                else:
                    out.append(part.encode('utf-8') if isinstance(part, str) else part)
            out.append(b'\r\n')
        self.send_raw(b''.join(out))
        return tags

    def _wait_continue(self, tag):
        while True:
            response = self.read_response()
            if response.kind == 'continue':
                return True
            if self._file(response) and response.tag == tag:
                return False

    def _file(self, response):
        """True when it was a tagged response."""
        if response.kind != 'tagged':
            self._loose.append(response)
            return False
        self._done[response.tag] = Result(response, self._loose)
        self._loose = []
        return True

    def wait(self, tag, timeout=None):
        """The result of a started command. Untagged responses go to the command whose tagged line follows them."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while tag not in self._done:
            self._file(self.read_response(deadline - time.monotonic()))
        return self._done.pop(tag)

    def wait_all(self, tags):
        """The results of started commands in the order in which they were done."""
        deadline = time.monotonic() + self.timeout
        while not set(tags) <= set(self._done):
            self._file(self.read_response(deadline - time.monotonic()))
        return {tag: self._done.pop(tag) for tag in list(self._done) if tag in tags}

    def cmd(self, *parts, timeout=None, tag=None):
        """Send a command and wait: cmd('APPEND x ', Lit(b'...')) -> Result."""
        return self.wait(self.start(*parts, tag=tag), timeout)

    def must(self, *parts, timeout=None):
        """cmd() that has to be answered OK."""
        result = self.cmd(*parts, timeout=timeout)
        if not result.ok:
            raise IMAPRefused('%s: %r' % (parts[0], result))
        return result

    def login(self, user='u0', password='pw'):
        self.must('LOGIN "%s" "%s"' % (user, password))
        return self

    def logout(self):
        try:
            return self.cmd('LOGOUT')
        finally:
            self.close()

    def capability(self):
        return {bytes(c).decode().upper() if not isinstance(c, int) else str(c)
                for r in self.must('CAPABILITY').named('CAPABILITY') for c in r.data}

    def select(self, mailbox='INBOX', extra='', examine=False):
        return self.must('%s "%s"%s' % ('EXAMINE' if examine else 'SELECT', mailbox, extra and ' ' + extra))

    @property
    def has_literal_plus(self):
        """Unless the greeting names capabilities and LITERAL+ is none of them."""
        greeting = self.greeting
        return greeting is None or greeting.code != 'CAPABILITY' or b'LITERAL+' in bytes(greeting.code_args).upper()

    def append(self, mailbox, mail, flags='', date='', sync=None):
        """sync: whether to wait with the literal; None: where the server wants it."""
        if sync is None:
            sync = not self.has_literal_plus
        head = 'APPEND "%s" %s%s' % (mailbox, '(%s) ' % flags if flags else '', '"%s" ' % date if date else '')
        return self.must(head, Lit(mail, sync))

    def fetch(self, numbers, items):
        return self.must('FETCH %s %s' % (numbers, items)).fetch()

    def uid_fetch(self, uids, items):
        return self.must('UID FETCH %s %s' % (uids, items)).fetch_by_uid()

    # ---- IDLE

    def idle(self):
        """Start IDLE and wait for the continuation; untagged responses before it are kept for done()."""
        self._idle_tag = self.new_tag()
        self.send_raw(self._idle_tag + ' IDLE\r\n')
        if not self._wait_continue(self._idle_tag):
            raise IMAPRefused(self._done.pop(self._idle_tag))

    def idle_wait(self, enough, timeout=None):
        """Read until enough(list of responses) is true; returns the list."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        got = self._loose
        self._loose = []
        while not enough(got):
            got.append(self.read_response(deadline - time.monotonic()))
        return got

    def done(self, timeout=None):
        self.send_raw('DONE\r\n')
        tag, self._idle_tag = self._idle_tag, None
        return self.wait(tag, timeout)
