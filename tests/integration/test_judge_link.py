"""The link emulator: delay, shared bandwidth, stall, cut. Lower bounds are exact; upper ones leave room for a loaded
machine and still tell waiting once from waiting for each."""
import time

import pytest

from imapjudge.imapclient import IMAPClosed, IMAPTimeout


@pytest.fixture
def big(server, user):
    server.fill(user, 'INBOX', [b'Subject: big\r\n\r\n' + b'0123456789abcdef\r\n' * 100_000])
    return user


def seconds(function):
    started = time.monotonic()
    function()
    return time.monotonic() - started


def test_delay(connect, link, user):
    client = connect(link.port, user)
    assert seconds(lambda: client.must('NOOP')) < 0.5
    link.shape(delay=0.05)
    assert 0.099 <= seconds(lambda: client.must('NOOP')) < 1
    assert 0.099 <= seconds(lambda: [client.wait(t) for t in [client.start('NOOP') for _ in range(50)]]) < 2
    assert seconds(lambda: connect(link.port)) > 0.149, 'a new connection pays for its handshake'


def test_order_and_octets_survive(connect, link, server, big):
    link.shape(delay=0.01, bandwidth=20_000_000)
    through, direct = connect(link.port, big), server.client(big)
    through.select()
    direct.select()
    assert through.fetch(1, 'BODY.PEEK[]') == direct.fetch(1, 'BODY.PEEK[]')
    direct.close()


def test_bandwidth_is_kept_and_shared(connect, link, big):
    clients = [connect(link.port, big, timeout=30) for _ in range(2)]
    for client in clients:
        client.select()
    link.shape(bandwidth=1_000_000)
    one = seconds(lambda: clients[0].must('FETCH 1 BODY.PEEK[]<0.500000>'))
    assert 0.45 <= one < 2

    def both():
        for client, tag in [(c, c.start('FETCH 1 BODY.PEEK[]<0.500000>')) for c in clients]:
            client.wait(tag)
    assert 0.95 <= seconds(both) < 3


def test_a_bulk_download_leaves_others_their_share(connect, link, big):
    bulk, quick = connect(link.port, big, timeout=30), connect(link.port, big)
    bulk.select()
    link.shape(delay=0.01, bandwidth=1_000_000)
    tag = bulk.start('FETCH 1 BODY.PEEK[]')
    time.sleep(0.3)
    assert seconds(lambda: quick.must('NOOP')) < 0.6
    assert bulk.wait(tag).ok


def test_stall_and_cut(connect, link, user):
    client = connect(link.port, user)
    link.stall()
    tag = client.start('NOOP')
    with pytest.raises(IMAPTimeout):
        client.wait(tag, timeout=0.3)
    link.stall(False)
    assert client.wait(tag).ok
    assert link.cut() == 1
    with pytest.raises(IMAPClosed):
        client.cmd('NOOP')
    with pytest.raises((OSError, IMAPClosed)):
        connect(link.port)
    link.mend()
    connect(link.port, user)


def test_end_of_stream_comes_behind_the_data(connect, link, user):
    client = connect(link.port, user)
    link.shape(delay=0.05)
    assert client.cmd('LOGOUT').ok
    assert client.read_until_closed() == b''
