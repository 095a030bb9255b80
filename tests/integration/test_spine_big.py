"""200 MB up and down in constant memory.

Under a sanitizer memory means nothing: set IMAPCACHED_RELEASE_BIN to a binary without (or IMAPCACHED_BIG to measure
whatever IMAPCACHED_BIN is)."""
import os
import socket
import subprocess
import threading

import pytest

import spine_tools as tools
from imapjudge import imapclient, proxy as judge_proxy

OCTETS = 200_000_000
ROOM = 40_000_000       # what the proxy may grow by


def is_sanitized(binary):
    return b'__asan_init' in subprocess.run(['nm', '-D', binary], stdout=subprocess.PIPE, check=False,
                                            stderr=subprocess.DEVNULL).stdout


@pytest.fixture
def lean(request, make_proxy, tap, monkeypatch):
    """The proxy without sanitizers, before the tap."""
    binary = os.environ.get('IMAPCACHED_RELEASE_BIN') or os.environ.get('IMAPCACHED_BIN')
    if not binary:
        pytest.skip('IMAPCACHED_BIN is not set')
    if is_sanitized(binary) and not os.environ.get('IMAPCACHED_BIG'):
        pytest.skip('needs a binary without sanitizers (IMAPCACHED_RELEASE_BIN), or IMAPCACHED_BIG')
    tap.parse = False

    class Lean(judge_proxy.Proxy):
        def __init__(self, _, *arguments, **options):
            super().__init__(binary, *arguments, **options)
    return make_proxy(tap.port, kind=Lean, log_level='info')


class Pattern:
    """A mail of OCTETS octets that is never whole in memory."""
    head = tools.mail(1)
    block = b''.join(b'%075d\r\n' % n for n in range(1000))

    @classmethod
    def blocks(cls):
        left = OCTETS
        for piece in [cls.head] + [cls.block] * (OCTETS // len(cls.block) + 1):
            piece = piece[:left]
            left -= len(piece)
            yield piece
            if not left:
                return


def upload(port, user, mailbox='INBOX'):
    client = imapclient.IMAPClient('127.0.0.1', port, timeout=120).login(user)
    client.send_raw(b'up APPEND %s {%d}\r\n' % (mailbox.encode(), OCTETS))
    assert client.read_response().kind == 'continue'
    for piece in Pattern.blocks():
        client.sock.sendall(piece)
    client.sock.sendall(b'\r\n')
    result = client.wait('up', 120)
    assert result.ok, result
    client.close()


def download(port, user):
    """Compares while it reads."""
    raw = tools.Raw(port)
    raw.line()
    raw.send(b'a LOGIN %s pw\r\nb EXAMINE INBOX\r\n' % user.encode())
    raw.until(b'\r\nb OK')
    raw.line()
    raw.send(b'c FETCH 1 (BODY.PEEK[])\r\n')
    assert raw.line(60) == b'* 1 FETCH (BODY[] {%d}\r\n' % OCTETS
    wanted = Pattern.blocks()
    for piece in wanted:
        while len(raw.data) < len(piece):
            chunk = raw.sock.recv(1 << 20)
            assert chunk, 'closed'
            raw.data += chunk
        assert raw.data.startswith(piece)
        del raw.data[:len(piece)]
    assert raw.line() == b')\r\n' and raw.line(60).startswith(b'c OK')
    raw.close()


def test_two_hundred_megabytes_up_and_down_in_constant_memory(lean, server, user, record_property):
    with lean.client(user) as client:
        client.select()
        client.must('NOOP')
    start = lean.rss(peak=True)
    upload(lean.port, user)
    after_upload = lean.rss(peak=True)
    download(lean.port, user)
    after_fetch = lean.rss(peak=True)
    download(lean.port, user)
    again = lean.rss(peak=True)
    text = 'peak RSS, MB: before %.1f, after a 200 MB APPEND %.1f, after a 200 MB FETCH %.1f, after another, cached, %.1f' \
        % tuple(n / 1e6 for n in (start, after_upload, after_fetch, again))
    print(text)
    record_property('peak_rss', text)
    assert after_upload < start + ROOM, text
    # octets read from the store's map count as resident, but the kernel may take them back
    anonymous = anonymous_rss(lean)
    print('anonymous now: %.1f MB' % (anonymous / 1e6))
    record_property('anonymous_rss', anonymous)
    assert after_fetch - mapped_rss(lean) < start + ROOM, text
    assert anonymous < start + ROOM, text


def field(proxy, name):
    for line in open('/proc/%d/status' % proxy.process.pid, encoding='ascii'):
        if line.startswith(name + ':'):
            return int(line.split()[1]) * 1024
    raise AssertionError(name)


def anonymous_rss(proxy):
    return field(proxy, 'RssAnon')


def mapped_rss(proxy):
    return field(proxy, 'RssFile')


def test_slow_reader_and_slow_writer_of_large_mail_cost_little(lean, server, user):
    """Both stop in the middle; the proxy holds a bounded part."""
    upload(server.port, user)
    with lean.client(user) as client:
        client.select()
    before = anonymous_rss(lean)
    readers = [tools.Raw(lean.port, receive_buffer=16384) for _ in range(3)]
    for raw in readers:
        raw.line()
        raw.send(b'a LOGIN %s pw\r\nb EXAMINE INBOX\r\nc FETCH 1 (BODY.PEEK[])\r\n' % user.encode())
        raw.until(b'{%d}\r\n' % OCTETS)
    writers = [tools.Raw(lean.port) for _ in range(3)]
    for raw in writers:
        raw.line()
        raw.send(b'a LOGIN %s pw\r\nb APPEND INBOX {%d+}\r\n' % (user.encode(), OCTETS))
        raw.until(b'a OK')
        raw.sock.settimeout(3)
        try:
            for piece, _ in zip(Pattern.blocks(), range(200)):
                raw.send(piece)
        except socket.timeout:
            pass
    done = threading.Thread(target=download, args=(lean.port, user))
    done.start()
    done.join(100)
    assert not done.is_alive()
    assert anonymous_rss(lean) < before + ROOM
    for raw in readers + writers:
        raw.close()
