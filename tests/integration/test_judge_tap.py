"""The counting tap counts right and cuts where it is told."""
import time

import pytest

from imapjudge.imapclient import IMAPClosed, IMAPTimeout, Lit


@pytest.fixture
def filled(server, user):
    server.fill(user, 'INBOX', [b'Subject: %d\r\n\r\n%s' % (n, b'line of text\r\n' * 1000) for n in range(5)])
    return user


def test_commands_are_counted_and_literals_are_not_taken_for_commands(connect, tap, user):
    client = connect(tap.port, user)
    mail = b'Subject: x\r\n\r\nA1 FETCH 1 BODY[]\r\nA2 NOOP\r\n'
    client.must('APPEND INBOX ', Lit(mail, sync=True))
    client.must('APPEND INBOX ', Lit(mail, sync=False))
    client.select()
    assert tap.verbs() == {'LOGIN': 1, 'APPEND': 2, 'SELECT': 1}
    assert [c.octets for c in tap.since().of('APPEND')] == [len(mail)] * 2
    assert all(c.status == 'OK' for c in tap.commands)


def test_a_refused_literal_is_no_command_and_hides_none(connect, tap, user):
    client = connect(tap.port, user)
    assert client.cmd('APPEND nosuch ', Lit(b'x' * 50, sync=True)).code == 'TRYCREATE'
    client.must('NOOP')
    assert tap.verbs() == {'LOGIN': 1, 'APPEND': 1, 'NOOP': 1}
    assert tap.since().of('APPEND')[0].status == 'NO'


def test_idle_and_authenticate_lines_are_no_commands(connect, tap, user):
    client = connect(tap.port)
    client.send_raw('a AUTHENTICATE PLAIN\r\n')
    assert client.read_response().kind == 'continue'
    client.send_raw('*\r\n')
    assert client.read_response().name in ('BAD', 'NO')
    client.login(user)
    client.idle()
    client.done()
    client.must('NOOP')
    assert tap.verbs() == {'AUTHENTICATE': 1, 'LOGIN': 1, 'IDLE': 1, 'NOOP': 1}


@pytest.mark.parametrize('items, content', [
    ('FLAGS', False), ('(UID RFC822.SIZE ENVELOPE)', False), ('BODYSTRUCTURE', False), ('BODY', False), ('FULL', False),
    ('BODY[]', True), ('BODY.PEEK[HEADER.FIELDS (Subject)]', True), ('(FLAGS BODY.PEEK[1]<0.10>)', True),
    ('RFC822', True), ('(RFC822.HEADER)', True), ('RFC822.TEXT', True), ('BINARY.PEEK[1]', True), ('body[text]', True)])
def test_content_fetches(connect, tap, filled, items, content):
    client = connect(tap.port, filled)
    client.select()
    client.must('UID FETCH 1 ' + items)
    client.must('SEARCH SUBJECT "BODY[]"')
    assert len(tap.content_fetches) == content


def test_turns_count_waiting_not_commands(connect, tap, user, link):
    # The link's delay makes sure that no reply overtakes a pipelined command.
    tap.upstream = ('127.0.0.1', link.port)
    client = connect(tap.port, user)
    client.select()
    link.shape(delay=0.02)
    mark = tap.mark()
    tags = [client.start('UID SEARCH ALL') for _ in range(50)]
    for tag in tags:
        client.wait(tag)
    assert tap.since(mark).turns() == 1
    mark = tap.mark()
    for _ in range(4):
        client.must('UID SEARCH ALL')
    assert tap.since(mark).turns() == 4
    # a window of two: ten commands are five turns
    mark = tap.mark()
    tags = [client.start('UID SEARCH ALL'), client.start('UID SEARCH ALL')]
    for _ in range(4):
        for tag in tags:
            client.wait(tag)
        tags = [client.start('UID SEARCH ALL'), client.start('UID SEARCH ALL')]
    for tag in tags:
        client.wait(tag)
    assert tap.since(mark).turns() == 5
    mark = tap.mark()
    client.must('APPEND INBOX ', Lit(b'a: b\r\n\r\n', sync=True))
    assert tap.since(mark).turns() == 2, 'a synchronising literal costs one turn more'


def test_connections_and_octets(connect, tap, filled):
    one = connect(tap.port, filled)
    two = connect(tap.port, filled)
    assert (tap.current, tap.total, tap.peak) == (2, 2, 2)
    mark = tap.mark()
    one.select()
    octets = one.octets_in
    one.fetch(1, 'BODY.PEEK[]')
    assert tap.since(mark).octets_down >= one.octets_in - octets
    assert tap.octets_up == one.octets_out + two.octets_out
    two.logout()
    until(lambda: tap.current == 1)
    assert tap.since(mark).connections == 0 and tap.total == 2


def test_cut_in_literal(connect, tap, filled):
    client = connect(tap.port, filled)
    client.select()
    tap.cut_in_literal(after=1000, least=5000)
    client.must('FETCH 1 BODY.PEEK[HEADER]')
    client.send_raw('x FETCH 1 BODY.PEEK[]\r\n')
    said = client.read_until_closed()
    head, _, octets = said.partition(b'\r\n')
    assert head.startswith(b'* 1 FETCH (BODY[] {') and len(octets) == 1000
    assert tap.cuts == 1 and tap.current == 0
    again = connect(tap.port, filled)
    again.select()
    again.must('FETCH 1 BODY.PEEK[]')


def test_cut_between_literal_and_tagged_ok(connect, tap, filled):
    client = connect(tap.port, filled)
    client.select()
    tap.cut_before_tagged('FETCH', after_literal=True)
    client.must('FETCH 1 FLAGS')
    client.send_raw('x FETCH 1 BODY.PEEK[]\r\n')
    said = client.read_until_closed()
    assert said.endswith(b'line of text\r\n)\r\n') and b'\r\nx OK' not in said


def test_cut_before_the_tagged_line_of_a_write(connect, server, tap, filled):
    client = connect(tap.port, filled)
    client.select()
    tap.cut_before_tagged('STORE')
    with pytest.raises(IMAPClosed):
        client.cmd('UID STORE 1 +FLAGS (\\Flagged)')
    with server.client(filled) as direct:
        direct.select()
        assert b'\\Flagged' in direct.fetch(1, 'FLAGS')[1]['FLAGS']


def test_stall_and_go_on(connect, tap, user):
    client = connect(tap.port, user)
    tap.stall()
    tag = client.start('NOOP')
    with pytest.raises(IMAPTimeout):
        client.wait(tag, timeout=0.3)
    tap.stall(False)
    assert client.wait(tag).ok


def test_kill_and_refuse(connect, tap, user):
    client = connect(tap.port, user)
    assert tap.kill_all() == 1
    with pytest.raises(IMAPClosed):
        client.cmd('NOOP')
    tap.refuse()
    with pytest.raises((OSError, IMAPClosed)):
        connect(tap.port)
    tap.refuse(False)
    connect(tap.port, user)


def test_throughput(connect, tap, server, user):
    """The tap must not be what a bulk test measures."""
    size = 29_000_000
    server.fill(user, 'INBOX', [b'Subject: big\r\n\r\n' + b'0123456789abcdef' * 63 * (size // 1000) + b'\r\n'])
    client = connect(tap.port, user, timeout=60)
    client.select()
    rates = []
    for _ in range(3):
        client.send_raw('x FETCH 1 BODY.PEEK[]\r\n')
        started, got, end = time.monotonic(), 0, b''
        while not end.endswith(b').\r\n'):
            end = client.sock.recv(1 << 20)
            got += len(end)
        assert got > size
        rates.append(got / (time.monotonic() - started) / 1e6)
    assert max(rates) >= 50, rates


def until(claim, timeout=5.0):
    deadline = time.monotonic() + timeout
    while not claim():
        assert time.monotonic() < deadline, 'still not so'
        time.sleep(0.01)
