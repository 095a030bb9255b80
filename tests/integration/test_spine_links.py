"""Links that are behind, that die, and messages that vanish while they are being fetched."""
import socket
import threading
import time

import pytest

import spine_tools as tools
from imapjudge import fakeserver, imapclient


def fill_fake(fake, number=3, octets=0):
    box = fake.mailbox('INBOX')
    for n in range(1, number + 1):
        box.add(tools.mail(n, octets))
    return box


# ---- a link that is behind the feed (design 5.8)

def test_new_mail_on_a_bulk_link_that_has_not_heard_of_it(proxy, server, user, tap, connect):
    server.fill(user, 'INBOX', tools.mails(3))
    client = connect(proxy.port, user)
    client.select()
    assert len(client.uid_fetch('1:3', 'BODY.PEEK[]')) == 3
    for number in range(4, 14):
        server.fill(user, 'INBOX', [tools.mail(number)])
        client.idle()
        client.idle_wait(lambda got: any(r.name == 'EXISTS' and r.num == number for r in got))
        client.done()
        fetched = client.must('UID FETCH %d (BODY.PEEK[] ENVELOPE)' % number).fetch_by_uid()
        assert fetched[number]['BODY[]'] == tools.mail(number)
    # what came was also kept
    mark = tap.mark()
    other = connect(proxy.port, user)
    other.select()
    assert {u: i['BODY[]'] for u, i in other.uid_fetch('1:*', 'BODY.PEEK[]').items()} == \
        {n: tools.mail(n) for n in range(1, 14)}
    assert tap.since(mark).content_fetches == []


def test_link_is_told_before_it_is_asked_for_a_uid_it_cannot_know(fake, make_proxy, connect):
    box = fill_fake(fake)
    client = connect(make_proxy(fake.port).port, 'anna')
    client.select()
    client.fetch('1:3', 'BODY.PEEK[]')
    for number in (4, 5):
        fake.change(lambda: box.add(tools.mail(number)))
        client.idle()
        client.idle_wait(lambda got: any(r.name == 'EXISTS' and r.num == number for r in got))
        client.done()
        assert client.fetch(str(number), 'BODY.PEEK[]')[number]['BODY[]'] == tools.mail(number)
    asked = [c for c in fake.seen('UID FETCH') if b'BODY.PEEK[]' in c.args and c.args.split()[0] in (b'4', b'5')]
    assert len(asked) == 2, 'asked again: %r' % asked


def test_t2_ok_without_data_is_asked_once_more_and_never_taken_for_an_expunge(fake, make_proxy, connect):
    fill_fake(fake)
    swallowed = []

    def swallow(conn, command):
        if b'BODY.PEEK[]' not in command.args:
            return conn.default(command)
        swallowed.append(command)
        return b'%s OK done\r\n' % command.tag
    client = connect(make_proxy(fake.port).port, 'anna')
    client.select()
    fake.on('UID FETCH', swallow)
    result = client.cmd('FETCH 2 BODY.PEEK[]')
    assert 1 <= len(swallowed) <= 3
    assert 2 not in result.fetch() or 'BODY[]' not in result.fetch()[2]
    fake.off()
    assert not client.must('NOOP').named('EXPUNGE')
    assert client.fetch('2', 'BODY.PEEK[]')[2]['BODY[]'] == tools.mail(2)


# ---- messages that vanish (T1, T20)

FILLERS = {'BODY[]': b'NIL', 'ENVELOPE': b'(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)',
           'BODYSTRUCTURE': b'("text" "plain" NIL NIL NIL "7bit" 0 0 NIL NIL NIL NIL)',
           'INTERNALDATE': b'"01-Jan-1970 00:00:00 +0000"'}
ITEMS = 'ENVELOPE INTERNALDATE BODYSTRUCTURE BODY.PEEK[]'


@pytest.mark.parametrize('how', ['code', 'expunge'])
def test_t1_filler_for_a_vanished_message_is_never_kept(fake, make_proxy, connect, how):
    """The upstream says well-formed filler for UID 2 and that something was expunged; UID 2 is there after all."""
    box = fill_fake(fake)
    vague = []

    def fill_in(conn, command):
        if b'BODY.PEEK[]' not in command.args:
            return conn.default(command)
        vague.append(command)
        message = box.by_uid(2)
        message.answers = dict(FILLERS)
        answer = conn.default(command)
        message.answers = {}
        if how == 'code':
            return answer.replace(command.tag + b' OK done',
                                  command.tag + b' OK [EXPUNGEISSUED] Some messages were already expunged')
        # of a message the link thinks is there and the feed never heard of: cannot be mapped to a UID
        end = answer.rindex(command.tag)
        return answer[:end] + b'* 9 EXPUNGE\r\n' + answer[end:]
    proxy = make_proxy(fake.port)
    first = connect(proxy.port, 'anna')
    first.select()
    fake.on('UID FETCH', fill_in, times=3)
    first.cmd('UID FETCH 1:3 (%s)' % ITEMS)
    assert vague
    fake.off()
    second = connect(proxy.port, 'anna')
    second.select()
    fetched = second.uid_fetch('1:3', '(%s)' % ITEMS)
    with fakeserver_truth(fake) as truth:
        assert fetched == truth.uid_fetch('1:3', '(%s)' % ITEMS)


def fakeserver_truth(fake):
    client = imapclient.IMAPClient('127.0.0.1', fake.port).login('anna')
    client.select(examine=True)
    return client


def expunge(server, user, uid, mailbox='INBOX'):
    with server.client(user) as direct:
        direct.select(mailbox)
        direct.must('UID STORE %d +FLAGS.SILENT (\\Deleted)' % uid)
        direct.must('EXPUNGE')


@pytest.mark.parametrize('command', ['FETCH', 'UID FETCH'])
def test_expunge_while_another_client_fetches(server, user, link, make_proxy, connect, command):
    bodies = tools.mails(20, 20_000)
    server.fill(user, 'INBOX', bodies)
    proxy = make_proxy(link.port)
    reader, watcher = connect(proxy.port, user, timeout=30), connect(proxy.port, user)
    for client in (reader, watcher):
        client.select()
    link.shape(delay=0.02, bandwidth=200_000)
    tag = reader.start('%s 1:20 (UID BODY.PEEK[])' % command)
    first = reader.read_response()
    assert first.data[0] == ('UID', 1)
    watcher.idle()
    expunge(server, user, 15)
    watcher.idle_wait(lambda got: any(r.name == 'EXPUNGE' and r.num == 15 for r in got))
    watcher.done()
    result = reader.wait(tag, 30)
    fetched = {items['UID']: items for items in result.fetch().values() if 'BODY[]' in items}
    for uid, items in fetched.items():
        assert items['BODY[]'] == bodies[uid - 1] or (uid == 15 and items['BODY[]'] is None)
    assert set(range(2, 21)) - {15} <= set(fetched)
    if command == 'FETCH':
        assert not result.named('EXPUNGE'), 'EXPUNGE told during FETCH'
        assert all(r.num == dict(r.data)['UID'] for r in result.named('FETCH')), 'numbers moved during FETCH'
        told = reader.must('NOOP')
        assert [r.num for r in told.named('EXPUNGE')] == [15]
    else:
        told = result if result.named('EXPUNGE') else reader.must('NOOP')
        assert [r.num for r in told.named('EXPUNGE')] == [15]
    assert reader.fetch('15:19', 'UID') == {n: {'UID': n + 1} for n in range(15, 20)}


def test_t20_message_gone_before_it_was_fetched_keeps_its_number(proxy, server, user, tap, connect):
    """T20: the view still shows it, the upstream has it no more, and nobody has read it."""
    server.fill(user, 'INBOX', tools.mails(5))
    client, watcher = connect(proxy.port, user), connect(proxy.port, user)
    for each in (client, watcher):
        each.select()
    client.fetch('4', 'BODY.PEEK[]')
    watcher.idle()
    expunge(server, user, 2)
    expunge(server, user, 4)
    watcher.idle_wait(lambda got: sum(r.name == 'EXPUNGE' for r in got) == 2)
    result = client.cmd('FETCH 1:5 (UID BODY.PEEK[])')
    assert not result.named('EXPUNGE')
    fetched = result.fetch()
    for number in (1, 3, 5):
        assert fetched[number] == {'UID': number, 'BODY[]': tools.mail(number)}
    assert 'BODY[]' not in fetched.get(2, {}) or fetched[2]['BODY[]'] is None
    assert fetched.get(4, {'BODY[]': tools.mail(4)})['BODY[]'] == tools.mail(4)
    assert 2 in fetched or (result.ok and result.code == 'EXPUNGEISSUED') or result.status == 'NO'
    # a store on it harms nobody
    client.cmd('STORE 2 +FLAGS (\\Flagged)')
    told = client.must('NOOP')
    assert sorted(r.num for r in told.named('EXPUNGE')) in ([2, 3], [2, 4])
    assert client.must('UID SEARCH ALL').search() == [1, 3, 5]
    with server.client(user) as direct:
        direct.select(examine=True)
        assert direct.must('UID SEARCH FLAGGED').search() == []


# ---- links that die

def read_cut(client, body, timeout=20):
    """(whole answer or None, octets of the body that came) of FETCH 1 BODY.PEEK[]; what came is never wrong."""
    client.send_raw(b'x FETCH 1 (BODY.PEEK[])\r\n')
    data = b''
    deadline = time.monotonic() + timeout
    try:
        while b'\r\nx ' not in data[-200:] or not data.endswith(b'\r\n'):
            assert time.monotonic() < deadline, 'neither answered nor closed: ...%r' % data[-200:]
            data += client.read_raw(1, deadline - time.monotonic()) + client.read_raw(len(client._buf) - client._pos)
    except imapclient.IMAPClosed:
        data += bytes(client._buf[client._pos:])
        head = b'* 1 FETCH (BODY[] {%d}\r\n' % len(body)
        if not data.startswith(head):
            assert head.startswith(data[:len(head)]) or data.startswith(b'* BYE'), data[:100]
            return None, 0
        came = data[len(head):]
        assert body.startswith(came), 'closed, but what came before is not the beginning of the mail'
        return None, len(came)
    assert data.startswith(b'* 1 FETCH (BODY[] {%d}\r\n%s)\r\nx OK' % (len(body), body)), data[:80] + data[-300:]
    return data, len(body)


@pytest.mark.parametrize('after', [1, 70_000, 999_000])
def test_link_dies_in_the_middle_of_a_literal(proxy, server, user, tap, connect, after):
    body = tools.mail(1, 1_000_000)
    server.fill(user, 'INBOX', [body])
    client = connect(proxy.port, user)
    client.select()
    tap.cut_in_literal(after, least=500_000)
    answer, octets = read_cut(client, body)
    assert tap.cuts == 1
    if answer is None:
        client = connect(proxy.port, user)
        client.select()
    else:
        # design 5.3: resumed, not begun anew once octets were through
        again = tap.content_fetches[-1]
        assert after < 70_000 or b'BODY.PEEK[]<' in again.line, again
    other = connect(proxy.port, user)
    other.select()
    for each in (client, other):
        assert each.fetch('1', 'BODY.PEEK[]')[1]['BODY[]'] == body


def test_link_dies_twice_in_one_literal(proxy, server, user, tap, connect):
    body = tools.mail(1, 1_000_000)
    server.fill(user, 'INBOX', [body])
    client = connect(proxy.port, user)
    client.select()
    tap.cut_in_literal(100_000, least=200_000, times=2)
    read_cut(client, body)
    assert tap.cuts == 2
    other = connect(proxy.port, user)
    other.select()
    assert other.fetch('1', 'BODY.PEEK[]')[1]['BODY[]'] == body


def test_link_dies_for_good_in_a_literal_and_nothing_is_padded(server, user, tap, make_proxy, connect):
    body = tools.mail(1, 1_000_000)
    server.fill(user, 'INBOX', [body, tools.mail(2)])
    proxy = make_proxy(tap.port, kind=tools.Configured, upstream='command_timeout = 3s connect_timeout = 2s')
    client = connect(proxy.port, user)
    client.select()
    client.fetch('2', 'BODY.PEEK[]')  # the link for bodies is up: none may be had after the cut
    tap.refuse(True)
    tap.cut_in_literal(300_000, least=500_000, times=2)     # the feed's link goes on where that of bodies was cut
    client.send_raw(b'x FETCH 1 (BODY.PEEK[])\r\n')
    tools.wait_until(lambda: tap.cuts == 2)
    tap.kill_all()
    data = client.read_until_closed(90)
    head = b'* 1 FETCH (BODY[] {%d}\r\n' % len(body)
    assert data.startswith(head) and len(data) < len(head) + len(body)
    assert body.startswith(data[len(head):])
    tap.refuse(False)
    other = connect(proxy.port, user, timeout=30)
    other.select()
    assert other.fetch('1', 'BODY.PEEK[]')[1]['BODY[]'] == body


def test_link_dies_between_literal_and_tagged_ok(proxy, server, user, tap, connect):
    bodies = tools.mails(5, 5_000)
    server.fill(user, 'INBOX', bodies)
    client = connect(proxy.port, user)
    client.select()
    client.fetch('1:*', 'FLAGS')        # the mailbox is known
    tap.cut_before_tagged('FETCH', after_literal=True)
    fetched = client.must('UID FETCH 1:5 BODY.PEEK[]').fetch_by_uid()
    assert tap.cuts == 1
    other = connect(proxy.port, user)
    other.select()
    for got in (fetched, other.uid_fetch('1:5', 'BODY.PEEK[]')):
        assert {u: i['BODY[]'] for u, i in got.items()} == dict(enumerate(bodies, 1))


def test_value_without_a_tagged_ok_is_not_kept(fake, make_proxy, connect):
    """The upstream says wrong octets and hangs up before OK: they must not be in the cache."""
    fill_fake(fake)
    lies = []

    def lie(conn, command):
        if b'BODY.PEEK[]' not in command.args:
            return conn.default(command)
        lies.append(command)
        answer = conn.default(command)
        conn.send_cut(answer.replace(b'mail 2 says', b'MAIL 2 LIES'), answer.rindex(command.tag))
        return None
    proxy = make_proxy(fake.port)
    first = connect(proxy.port, 'anna')
    first.select()
    first.fetch('1:*', 'FLAGS')         # the mailbox is known
    fake.on('UID FETCH', lie, times=1)
    try:
        first.cmd('FETCH 2 BODY.PEEK[]')
    except imapclient.IMAPClosed:
        pass
    assert lies
    fake.off()
    proxy.restart()
    second = connect(proxy.port, 'anna')
    second.select()
    assert second.fetch('2', 'BODY.PEEK[]')[2]['BODY[]'] == tools.mail(2)


def test_command_whose_link_dies_twice_is_refused_and_not_sent_again(fake, make_proxy, connect):
    fill_fake(fake)
    poison = []

    def hang_up(conn, command):
        if b'BODYSTRUCTURE' not in command.args:
            return conn.default(command)
        poison.append(command)
        conn.cut()
        return None
    client = connect(make_proxy(fake.port).port, 'anna', timeout=30)
    client.select()
    fake.on('UID FETCH', hang_up)
    result = client.cmd('FETCH 2 BODYSTRUCTURE')
    assert result.status == 'NO' and len(poison) == 2
    # the others and this client go on
    assert client.fetch('1', 'BODY.PEEK[]')[1]['BODY[]'] == tools.mail(1)


def test_garbage_from_the_upstream_hurts_nobody(fake, make_proxy, connect):
    fill_fake(fake)
    garbage = [b'* 2 FETCH (BODY[] {5}\r\nab', b'\xff\xfe\0\0\r\n\r\n)(*&\r\n', b'* 1 FETCH ((((((((((\r\n',
               b'* 4294967299 EXISTS\r\n* 0 FETCH ()\r\n* 7 EXPUNGE\r\n', b'* VANISHED 1:4294967295\r\n',
               b'(' * 300_000, b'* 1 FETCH (BODY[] {99999999999999999999}\r\n', b'* 2 FETCH (UID 3 BODY[] "x" UID 1)\r\n']
    proxy = make_proxy(fake.port)
    for number, octets in enumerate(garbage):
        client = connect(proxy.port, 'anna', timeout=30)
        client.select()
        fake.on('UID FETCH', lambda conn, command, octets=octets: conn.send_cut(octets, len(octets)), times=1)
        try:
            client.cmd('FETCH %d BODY.PEEK[]<%d.10>' % (number % 3 + 1, number))
        except imapclient.IMAPClosed:
            pass
        fake.off()
    client = connect(proxy.port, 'anna', timeout=30)
    client.select()
    assert {n: i['BODY[]'] for n, i in client.fetch('1:3', 'BODY.PEEK[]').items()} == \
        {n: tools.mail(n) for n in (1, 2, 3)}
    assert client.must('UID SEARCH ALL').search() == [1, 2, 3]


# ---- a client that stops reading

def test_client_that_stops_reading_holds_up_nobody(server, user, tap, make_proxy, connect):
    """In the middle of 50 MB; others read other mail, the same mail, and new mail meanwhile."""
    big = tools.mail(1, 50_000_000)
    server.fill(user, 'INBOX', [big, tools.mail(2), tools.mail(3, 2_000_000)])
    proxy = make_proxy(tap.port, log_level='info')
    lazy = tools.Raw(proxy.port, receive_buffer=8192)
    lazy.line()
    lazy.send(b'a LOGIN %s pw\r\nb SELECT INBOX\r\nc FETCH 1 (BODY.PEEK[])\r\n' % user.encode())
    lazy.until(b'* 1 FETCH (BODY[] {%d}\r\n' % len(big))
    others = [connect(proxy.port, user, timeout=60) for _ in range(3)]
    for client in others:
        client.select()
    began = time.monotonic()
    assert others[0].fetch('2', 'BODY.PEEK[]')[2]['BODY[]'] == tools.mail(2)
    quick = time.monotonic() - began
    results = []
    threads = [threading.Thread(target=lambda c=c: results.append(c.fetch('1', 'BODY.PEEK[]')[1]['BODY[]'] == big))
               for c in others[:2]]
    for thread in threads:
        thread.start()
    assert others[2].fetch('3', 'BODY.PEEK[]')[3]['BODY[]'] == tools.mail(3, 2_000_000)
    server.fill(user, 'INBOX', [tools.mail(4)])
    others[2].idle()
    others[2].idle_wait(lambda got: any(r.name == 'EXISTS' and r.num == 4 for r in got))
    others[2].done()
    for thread in threads:
        thread.join(60)
    assert results == [True, True]
    assert quick < 5
    assert len([c for c in tap.content_fetches if c.line.split()[3] == b'1']) == 1
    # it reads on at last, and gets the rest
    lazy.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    rest = lazy.until(b'\r\nc OK', 60)
    assert rest[:len(big)] == big
    lazy.close()
