"""Clients that talk nonsense, break off at any moment, or ask for far too much. The proxy stays up, goes on serving a
normal client, speaks nothing but IMAP, and holds no more descriptors and memory than before."""
import concurrent.futures
import random
import socket
import time

import pytest

import hostile_tools as hostile
import spine_tools as tools
from imapjudge import dialects, imapclient, mailgen

MB = 1 << 20


@pytest.fixture
def filled(server, user):
    """The user's INBOX holds 40 mails of all kinds: {UID: octets}; other mailboxes are there, empty."""
    server.fill(user, 'INBOX', mailgen.Generator(7).mails(40))
    with server.client(user) as client:
        for box in dialects.MAILBOXES:
            client.must('CREATE "%s"' % box)
        client.select()
        return {uid: items['BODY[]'] for uid, items in tools.whole(client, items='(UID BODY.PEEK[])').items()}


@pytest.fixture
def sturdy(make_proxy, tap):
    return make_proxy(tap.port, env=hostile.sanitizer_env())


@pytest.mark.parametrize('seed', range(60 if tools.LONG else 2))
def test_nonsense(seed, sturdy, user, filled):
    hostile.check_serves(sturdy.port, user, filled)
    health = hostile.Health(sturdy)
    fds, before = health.fds(), sturdy.rss()

    def sessions(part):
        mutator = hostile.Mutator('%d.%d' % (seed, part))
        for _ in range(30):
            hostile.hostile_session(sturdy.port, mutator, user)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(sessions, part) for part in range(4)]:
            done.result()
    hostile.check_serves(sturdy.port, user, filled)
    health.settles_at(fds + 8)          # links of other mailboxes, for bodies, of the utility
    health.burns_less_than(0.2)
    assert sturdy.rss() < before + 40 * MB


def test_ten_thousand_commands_at_once(sturdy, user, filled, connect):
    """All written before anything is read; answered in order, each as if it were alone."""
    client = connect(sturdy.port, user, timeout=60)
    client.select()
    texts = ['NOOP', 'FETCH 3 (UID FLAGS)', 'UID FETCH 5 (UID RFC822.SIZE)', 'SEARCH 1:10', 'STATUS "Trash" (MESSAGES)', 'CAPABILITY',
             'UID FETCH 4 BODY.PEEK[HEADER.FIELDS (Subject)]', 'NONSENSE', 'FETCH 99 FLAGS', 'UID STORE 2 +FLAGS.SILENT (\\Flagged)']
    octets = b''.join(b'p%d %s\r\n' % (n, texts[n % 10].encode()) for n in range(10_000))
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        writer = pool.submit(client.send_raw, octets)
        order = []
        while len(order) < 10_000:
            response = client.read_response(60)
            if response.kind == 'tagged':
                order.append((response.tag, response.name))
        writer.result()
    expected = ['OK'] * 7 + ['BAD', 'BAD', 'OK']
    assert order == [('p%d' % n, expected[n % 10]) for n in range(10_000)]


def test_continuation_never_stands_in_a_mail(sturdy, user, server):
    """A client that pipelines a command with a synchronising literal behind a large FETCH and reads slowly."""
    big = tools.mail(1, 3 * MB)
    server.fill(user, 'INBOX', [big])
    raw = tools.Raw(sturdy.port, receive_buffer=8192)
    raw.send(b'a LOGIN %s pw\r\nb SELECT INBOX\r\nc FETCH 1 BODY.PEEK[]\r\nd SELECT {5}\r\n' % user.encode())
    raw.until(b'BODY[] {%d}\r\n' % len(big))
    time.sleep(0.5)
    raw.until(b'+ OK\r\n')
    raw.send(b'INBOX\r\ne LOGOUT\r\n')
    assert b'd OK' in raw.rest()
    raw.close()
    # and in the stream as a whole it stands behind the tagged line of the FETCH
    raw = tools.Raw(sturdy.port, receive_buffer=8192)
    raw.send(b'a LOGIN %s pw\r\nb SELECT INBOX\r\nc FETCH 1 BODY.PEEK[]\r\nd SELECT {5}\r\nINBOX\r\ne LOGOUT\r\n' % user.encode())
    said = raw.rest()
    raw.close()
    start = said.index(b'BODY[] {%d}\r\n' % len(big)) + len(b'BODY[] {%d}\r\n' % len(big))
    assert said[start:start + len(big)] == big
    assert said.index(b'+ OK') > said.index(b'c OK')


def test_no_word_in_the_middle_of_a_mail(sturdy, user, server):
    """SIGTERM while a mail is half told: the connection ends, no BYE stands in the mail."""
    big = tools.mail(1, 6 * MB)
    server.fill(user, 'INBOX', [big])
    hostile.check_serves(sturdy.port, user, {1: big})
    raw = tools.Raw(sturdy.port, receive_buffer=8192)
    raw.send(b'a LOGIN %s pw\r\nb SELECT INBOX\r\nc FETCH 1 BODY.PEEK[]\r\n' % user.encode())
    raw.until(b'BODY[] {%d}\r\n' % len(big))
    time.sleep(0.3)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        stopped = pool.submit(sturdy.stop)
        time.sleep(0.3)
        got = raw.rest()
        assert stopped.result() == 0
    raw.close()
    assert len(got) < len(big) and big.startswith(got)


def cut_off(port, octets, at, how):
    sock = socket.create_connection(('127.0.0.1', port), timeout=10)
    sock.sendall(octets[:at])
    if how == 'later':
        sock.settimeout(0.03)
        try:
            while sock.recv(1 << 18):
                pass
        except socket.timeout:
            pass
    elif how == 'reset':
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
    sock.close()


def test_clients_that_leave_at_any_moment(sturdy, user, server, filled):
    """In the middle of the login, of a FETCH of a large body, of an APPEND, of IDLE; closed, reset, or after a while."""
    big = tools.mail(41, 2 * MB)
    server.fill(user, 'INBOX', [big])
    filled[41] = big
    health = hostile.Health(sturdy)
    hostile.check_serves(sturdy.port, user, filled)
    fds = health.fds()
    login = b'a LOGIN %s pw\r\nb SELECT INBOX\r\n' % user.encode()
    body = tools.mail(1, 20_000)
    scripts = [login + b'c UID FETCH 1:* BODY.PEEK[]\r\nd UID FETCH 41 BODY[]\r\n', login + b'c IDLE\r\nDONE\r\nd IDLE\r\n',
               login + b'c APPEND "Trash" (\\Seen) {%d+}\r\n%s\r\nd NOOP\r\n' % (len(body), body),
               login + b'c APPEND "Trash" {%d}\r\n%s\r\n' % (len(body), body),
               b'a AUTHENTICATE PLAIN\r\nAHUwAHB3\r\nb NOOP\r\n',
               login + b'c UID SEARCH TEXT "order"\r\nd UID COPY 1:5 Trash\r\ne UID STORE 1:40 +FLAGS (x)\r\n']
    rnd = random.Random(5)
    for _ in range(1500 if tools.LONG else 100):
        script = rnd.choice(scripts)
        cut_off(sturdy.port, script, rnd.choice((len(script), rnd.randrange(len(script)))), rnd.choice(('now', 'later', 'reset')))
    hostile.check_serves(sturdy.port, user, filled)
    health.settles_at(fds + 8)
    health.burns_less_than(0.2)
    with server.client(user) as direct:        # an upload that was not complete is not there
        direct.select('Trash')
        appended = [o['BODY[]'] for o in tools.whole(direct, items='(UID BODY.PEEK[])').values()]
        assert all(o == body or o in filled.values() for o in appended)


def test_two_hundred_come_and_go(sturdy, user, filled):
    """All at once, three times; half of them leave without a word."""
    health = hostile.Health(sturdy)
    hostile.check_serves(sturdy.port, user, filled)
    fds = health.fds()

    def visit(number):
        client = imapclient.IMAPClient('127.0.0.1', sturdy.port, timeout=60)
        client.login(user)
        client.select()
        assert len(client.fetch('1:*', '(UID FLAGS)')) == 40
        if number % 2:
            client.logout()
        return client
    sizes = []
    for _ in range(3):
        with concurrent.futures.ThreadPoolExecutor(50) as pool:
            clients = list(pool.map(visit, range(200)))
        for client in clients:
            client.close()
        health.settles_at(fds + 4)
        sizes.append(sturdy.rss())
    assert sizes[2] < sizes[0] + 10 * MB, [s // MB for s in sizes]
    hostile.check_serves(sturdy.port, user, filled)


def test_slow_and_silent_ones_hold_up_nobody(sturdy, user, filled):
    """Octet by octet, without reading, half closed: others are served meanwhile, and these get what is theirs."""
    slow = tools.Raw(sturdy.port)
    deaf = [tools.Raw(sturdy.port, receive_buffer=4096) for _ in range(5)]
    for raw in deaf:
        raw.send(b'a LOGIN %s pw\r\nb SELECT INBOX\r\n' % user.encode())
        raw.send(b''.join(b'c%d UID FETCH 1:* BODY.PEEK[]\r\n' % n for n in range(50)))
    said = b'a LOGIN %s pw\r\nb APPEND Trash {20}\r\nSubject: slow\r\n\r\nabc\r\nc LOGOUT\r\n' % user.encode()
    for at in range(len(said)):
        slow.send(said[at:at + 1])
        if at % 40 == 0:
            hostile.check_serves(sturdy.port, user, filled)
    got = slow.rest()
    assert b'b OK' in got and b'c OK' in got
    for raw in deaf[:3]:
        raw.sock.shutdown(socket.SHUT_WR)
        answer = raw.rest(60)
        assert answer.count(b'OK Fetch completed') == 50
    for raw in deaf + [slow]:
        raw.close()
    hostile.check_serves(sturdy.port, user, filled)


ODD_LINES = [
    b'\0', b'\0\0\0 NOOP', b'x \0', b'x NOOP\0', b'\xff\xfe\xfd', b'x LOGIN \xff \xfe', b'x LOGIN "\xc3\xa4" "\xc3"', b'x FETCH 1 BODY[\0]',
    b'x SEARCH SUBJECT "\xff"', b'* NOOP', b'+ NOOP', b'x', b' ', b'x ', b'x  NOOP', b'%', b'x UID', b'x UID UID FETCH 1 FLAGS',
    b'x SELECT ' + b'(' * 60_000, b'x ' + b'A' * 60_000, b'A' * 60_000 + b' NOOP', b'x SEARCH ' + b'NOT ' * 15_000 + b'ALL',
    b'x FETCH ' + b'1:*,' * 15_000 + b'1 FLAGS', b'x FETCH 1 (' + b'FLAGS ' * 10_000 + b'UID)', b'x LIST "" "' + b'%*' * 20_000 + b'"',
    b'x STORE 1 +FLAGS (' + b'a ' * 20_000 + b'b)', b'x ID (' + b'"a" "b" ' * 5_000 + b'"c" "d")', b'x SELECT "' + b'\\"' * 20_000 + b'"',
    b'x SEARCH ' + b'OR ' * 9_000 + b'ALL ' * 9_000 + b'ALL', b'x STATUS INBOX (' + b'MESSAGES ' * 5_000 + b')',
    b'x FETCH 1 BODY.PEEK[HEADER.FIELDS (' + b'a ' * 25_000 + b'b)]', b'x FETCH 1 BODY[' + b'1.' * 20_000 + b'1]',
    b'x SELECT "a\rb"', b'x CREATE "a\nb"', b'x COPY 1 "x\0y"', b'x APPEND INBOX (\\Seen {3+}\r\nabc', b'x ENABLE ' + b'A ' * 20_000,
    b'x LOGIN {18446744073709551616+}', b'x {9999999999}', b'{5}', b'x {-5}', b'x {5+']


@pytest.mark.parametrize('state', ['greeted', 'selected'])
def test_lines_that_no_client_sends(state, sturdy, user, server):
    """Answered in protocol or by the end of the connection; a command behind it is answered, unless it ended."""
    server.fill(user, 'INBOX', tools.mails(2))
    prefix = b'' if state == 'greeted' else b'l LOGIN %s pw\r\ns SELECT INBOX\r\n' % user.encode()
    for line in ODD_LINES:
        raw = tools.Raw(sturdy.port)
        said = prefix + line + b'\r\nz1 NOOP\r\nz2 LOGOUT\r\n'
        raw.send(said)
        got = raw.rest()
        raw.close()
        hostile.check_stream(got, said)
        assert b'z2 OK' in got or b'* BYE' in got, line[:100]
    hostile.check_serves(sturdy.port, user, {n: tools.mail(n) for n in (1, 2)})


def test_four_gigabytes_that_do_not_come(sturdy, user):
    """Refused at once; what comes then is swallowed, not obeyed."""
    raw = tools.Raw(sturdy.port)
    raw.line()
    raw.send(b'x SELECT {4294967296+}\r\nz1 NOOP\r\n')
    assert raw.line().startswith((b'x NO', b'x BAD', b'* BYE'))
    with pytest.raises(socket.timeout):
        raw.line(0.3)
    raw.close()
