"""What the spine tests share: imapcached with a configuration file, mails with known bodies, waiting."""
import os
import socket
import time

from imapjudge import imapclient, proxy as judge_proxy

LONG = bool(os.environ.get('IMAPCACHED_LONG'))
CONTENT = ('BODY', 'BINARY', 'RFC822')


def mail(number, octets=0):
    """A well-formed mail whose body says which one it is and has at least @octets octets."""
    line = b'mail %d says something of its own, line after line, so that no two are alike\r\n' % number
    body = line * (octets // len(line) + 1)
    return (b'From: Anna <anna@example.com>\r\nTo: Bo <bo@example.com>\r\nSubject: number %d\r\n'
            b'Message-ID: <%d@example.com>\r\nDate: Mon, 7 Sep 2020 10:00:00 +0000\r\n\r\n' % (number, number)) + body


def mails(number, octets=0):
    return [mail(n, octets) for n in range(1, number + 1)]


def wait_until(condition, seconds=10.0, what='condition'):
    """Polls; returns what condition() gave."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < deadline, '%s does not come true in %.0f s' % (what, seconds)
        time.sleep(0.02)


def whole(client, numbers='1:*', items='(UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])', timeout=60):
    """{UID: items} of the selected mailbox."""
    return client.must('UID FETCH %s %s' % (numbers, items), timeout=timeout).fetch_by_uid()


def same_mailbox(left, right, mailbox='INBOX'):
    """Both clients (one direct, one proxied) see the same UIDs, flags, dates, sizes and octets."""
    pictures = []
    for client in (left, right):
        client.select(mailbox, examine=True)
        client.must('NOOP')
        picture = whole(client)
        for items in picture.values():
            items['FLAGS'] = sorted(bytes(f) for f in items['FLAGS'] if bytes(f) != b'\\Recent')
        pictures.append(picture)
    assert sorted(pictures[0]) == sorted(pictures[1]), 'only left: %r, only right: %r' % (
        sorted(pictures[0].keys() - pictures[1].keys()), sorted(pictures[1].keys() - pictures[0].keys()))
    for uid, items in pictures[0].items():
        assert items == pictures[1][uid], 'UID %d differs' % uid
    return pictures[0]


def events(client, seconds=0.3):
    """What the server says of its own accord during that time."""
    out = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            out.append(client.read_response(max(0.01, deadline - time.monotonic())))
        except imapclient.IMAPTimeout:
            break
    return out


def until_bye(client, seconds=10.0):
    """All responses up to the close of the connection; the last but the tagged ones has to be BYE."""
    out = []
    deadline = time.monotonic() + seconds
    try:
        while True:
            out.append(client.read_response(max(0.01, deadline - time.monotonic())))
    except imapclient.IMAPClosed:
        pass
    return out


class Raw:
    """A socket without any idea of IMAP."""

    def __init__(self, port, receive_buffer=None):
        self.sock = socket.socket()
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(20)
        self.sock.connect(('127.0.0.1', port))
        self.data = bytearray()

    def until(self, needle, seconds=20):
        """Octets up to and with @needle; what is behind it stays."""
        self.sock.settimeout(seconds)
        seen = 0
        while (found := self.data.find(needle, seen)) < 0:
            seen = max(0, len(self.data) - len(needle))
            chunk = self.sock.recv(1 << 20)
            if not chunk:
                raise imapclient.IMAPClosed('closed after %r' % self.data[-200:])
            self.data += chunk
        end = found + len(needle)
        taken = bytes(self.data[:end])
        del self.data[:end]
        return taken

    def line(self, seconds=20):
        return self.until(b'\r\n', seconds)

    def rest(self, seconds=20):
        """Everything up to the peer's close."""
        self.sock.settimeout(seconds)
        try:
            while True:
                chunk = self.sock.recv(1 << 20)
                if not chunk:
                    break
                self.data += chunk
        except ConnectionError:
            pass
        taken, self.data = bytes(self.data), bytearray()
        return taken

    def send(self, data):
        self.sock.sendall(data)

    def close(self):
        self.sock.close()


class Configured(judge_proxy.Proxy):
    """imapcached whose upstream and listeners stand in a configuration file.

    upstream, listener, limits, auth, cache: further lines of those sections; scheme and host of the upstream's URL."""

    def __init__(self, binary, upstream_port, folder, listener='', upstream='', sections='', cache='',
                 scheme='imap', host='127.0.0.1', log_level='debug', env=None):
        super().__init__(binary, upstream_port, folder, (), log_level, env=env)
        self.config = self.folder / 'imapcached.conf'
        self.config.write_text(
            'upstream up { url = %s://%s:%d\n%s\n}\nlistener l { address = 127.0.0.1:%d\n%s\n}\n'
            'cache { dir = "%s"\n%s\n}\n%s\n' % (scheme, host, upstream_port, upstream, self.port, listener,
                                                self.cache, cache, sections))
        self.arguments = ['--config', str(self.config), '--log-level', log_level]
