"""The cache as its users see it: full, damaged, taken away, of another account; never wrong, only slower."""
import random
import shutil

import pytest

import spine_tools as tools


def read_all(port, user, connect, count):
    client = connect(port, user, timeout=60)
    client.select()
    return {uid: items['BODY[]'] for uid, items in client.must('UID FETCH 1:%d BODY.PEEK[]' % count,
                                                              timeout=60).fetch_by_uid().items()}


def test_more_mail_than_the_cache_may_hold(server, user, tap, make_proxy, connect):
    """45 MB of mail and a cache of 16 MB: everything is right, some of it kept, the files bounded."""
    bodies = {n: tools.mail(n, 300_000 if n % 3 else 1_500_000) for n in range(1, 66)}
    server.fill(user, 'INBOX', list(bodies.values()))
    proxy = make_proxy(tap.port, kind=tools.Configured, cache='size = 16M')
    for _ in range(2):
        client = connect(proxy.port, user, timeout=60)
        client.select()
        for uid in bodies:
            assert client.uid_fetch(str(uid), 'BODY.PEEK[]')[uid]['BODY[]'] == bodies[uid], uid
    mark = tap.mark()
    client.uid_fetch('1:65', '(ENVELOPE RFC822.SIZE)')
    client.uid_fetch('1:65', '(ENVELOPE RFC822.SIZE)')
    assert len(tap.since(mark).of('UID FETCH')) <= 2, 'small items are not kept'
    mark = tap.mark()
    client.uid_fetch('65', 'BODY.PEEK[]')
    assert tap.since(mark).content_fetches == [], 'what was read last is not kept'
    used = sum(path.stat().st_blocks * 512 for path in proxy.cache.rglob('data.mdb'))
    assert used < 1.25 * 16 * 1024 * 1024 + 4_000_000, used
    assert proxy.restart()
    assert read_all(proxy.port, user, connect, 65) == bodies


@pytest.mark.parametrize('what', ['content', 'index', 'both'])
@pytest.mark.parametrize('how', ['noise', 'zeros', 'cut', 'gone'])
def test_damaged_cache_is_never_believed(proxy, server, user, connect, what, how):
    bodies = {n: tools.mail(n, n * 3_000) for n in range(1, 31)}
    server.fill(user, 'INBOX', list(bodies.values()))
    assert read_all(proxy.port, user, connect, 30) == bodies
    assert proxy.stop() == 0
    choose = random.Random(what + how)
    for name in ('content', 'index') if what == 'both' else (what,):
        path = proxy.cache / name / 'data.mdb'
        if how == 'gone':
            shutil.rmtree(path.parent)
            continue
        # LMDB extends its file to the map's size on some systems: damage where there is data
        octets = min(path.stat().st_size, path.stat().st_blocks * 512)
        with open(path, 'r+b') as file:
            if how == 'cut':
                file.truncate(octets // 2)
                continue
            for _ in range(60):
                file.seek(choose.randrange(8192, max(8193, octets - 300)))
                file.write(bytes(300) if how == 'zeros' else choose.randbytes(300))
    for _ in range(8):      # a damaged page may kill a process that maps it; the next one starts without it
        proxy.start()
        try:
            assert read_all(proxy.port, user, connect, 30) == bodies
            with server.client(user) as direct:
                tools.same_mailbox(direct, connect(proxy.port, user, timeout=60))
            break
        except (OSError, tools.imapclient.IMAPClosed, AssertionError):
            if proxy.running():
                raise
            proxy.process.wait()
    else:
        raise AssertionError('it does not come to rest')


def test_two_logins_of_one_name_share_and_two_names_do_not(proxy, server, user, tap, connect):
    other = server.new_user()
    for name in (user, other):
        server.fill(name, 'INBOX', [tools.mail(1)])
    for name in (user, other):
        mark = tap.mark()
        assert read_all(proxy.port, name, connect, 1) == {1: tools.mail(1)}
        assert len(tap.since(mark).content_fetches) == 1
        mark = tap.mark()
        assert read_all(proxy.port, name, connect, 1) == {1: tools.mail(1)}
        assert tap.since(mark).content_fetches == []


def test_headers_and_parts_are_cut_from_what_is_cached(proxy, server, user, tap, connect):
    """And are octet for octet what the upstream would have said."""
    from imapjudge import mailgen
    server.fill(user, 'INBOX', mailgen.Generator(21, big=40_000).mails(60))
    client, direct = connect(proxy.port, user, timeout=60), connect(server.port, user, timeout=60)
    for each in (client, direct):
        each.select(examine=True)
    client.must('FETCH 1:* BODY.PEEK[]', timeout=60)
    for items in ('BODY.PEEK[HEADER]', 'BODY.PEEK[TEXT]', 'BODY.PEEK[HEADER.FIELDS (subject X-FOLDED received)]',
                  'BODY.PEEK[HEADER.FIELDS.NOT (Received To)]', 'BODY.PEEK[]<0.10>', 'BODY.PEEK[]<77.1000>',
                  'BODY.PEEK[TEXT]<5.50>', 'BODY.PEEK[]<100000000.5>', 'RFC822', 'RFC822.HEADER', 'RFC822.TEXT',
                  'BODY.PEEK[1]', 'BODY.PEEK[1.MIME]', 'BODY.PEEK[2.1]', 'BODY.PEEK[HEADER]<0.20>', 'ENVELOPE', 'FULL'):
        mine, truth = (each.must('FETCH 1:* %s' % items, timeout=60).fetch() for each in (client, direct))
        for each in (mine, truth):
            for values in each.values():
                values.pop('FLAGS', None)
        assert mine == truth, items


# ---- links

def test_t28_one_connection_for_each_mailbox_in_use(server, user, tap, make_proxy, connect):
    names = ['INBOX', 'Work', 'Play']
    for name in names:
        server.fill(user, name, tools.mails(2))
    proxy = make_proxy(tap.port, kind=tools.Configured, upstream='bulk_linger = 300ms')
    clients = [connect(proxy.port, user) for _ in range(12)]
    for number, client in enumerate(clients):
        client.select(names[number % 3])
        client.fetch('1:2', 'BODY.PEEK[]')
        client.idle()
    tools.wait_until(lambda: tap.current == 3, 10, 'three connections')
    for name in names:
        server.fill(user, name, [tools.mail(3)])
    for client in clients:
        client.idle_wait(lambda got: any(r.name == 'EXISTS' and r.num == 3 for r in got))
        client.done()
    assert tap.peak <= 5


def test_upstream_that_falls_silent_holds_up_only_what_needs_it(server, user, tap, make_proxy, connect):
    server.fill(user, 'INBOX', tools.mails(4))
    proxy = make_proxy(tap.port, kind=tools.Configured, upstream='command_timeout = 2s connect_timeout = 2s')
    waiting, reading = connect(proxy.port, user, timeout=30), connect(proxy.port, user)
    for client in (waiting, reading):
        client.select()
        client.fetch('1:3', 'BODY.PEEK[]')
    tap.stall()
    tag = waiting.start('FETCH 4 BODY.PEEK[]')
    for _ in range(3):
        assert reading.fetch('1:3', '(UID BODY.PEEK[])')[2]['BODY[]'] == tools.mail(2)
    result = waiting.wait(tag, 30)      # a new link may have done it, else NO
    assert result.ok and result.fetch()[4]['BODY[]'] == tools.mail(4) or result.code == 'UNAVAILABLE', result
    tap.stall(False)
    tools.wait_until(lambda: waiting.cmd('FETCH 4 BODY.PEEK[]').ok, 20)
    assert waiting.fetch('4', 'BODY.PEEK[]')[4]['BODY[]'] == tools.mail(4)


def test_client_that_goes_away_in_the_middle_of_anything_leaves_nothing_behind(proxy, server, user, tap, connect):
    server.fill(user, 'INBOX', [tools.mail(1), tools.mail(2, 3_000_000)])
    for octets in (b'd APPEND INBOX {5000}\r\nSubject: half', b'd APPEND INBOX {5000+}\r\nSubject: half\r\n',
                   b'd APPEND INBOX {900000+}\r\n' + tools.mail(9, 800_000)[:800_000], b'd FETCH 2 BODY.PEEK[]\r\n',
                   b'd UID STORE 1 +FLAGS (\\Fl', b'd IDLE\r\n', b'd SEARCH SUBJECT {10}\r\n', b'd COPY 1 INBOX\r\n' * 0):
        raw = tools.Raw(proxy.port, receive_buffer=8192)
        raw.line()
        raw.send(b'a LOGIN %s pw\r\nb SELECT INBOX\r\n' % user.encode() + octets)
        raw.until(b'\r\nb OK')
        raw.sock.setsockopt(tools.socket.SOL_SOCKET, tools.socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
        raw.close()
    client = connect(proxy.port, user, timeout=30)
    client.select()
    assert client.fetch('2', 'BODY.PEEK[]')[2]['BODY[]'] == tools.mail(2, 3_000_000)
    client.must('NOOP')
    with server.client(user) as direct:
        tools.same_mailbox(direct, client)
        direct.select(examine=True)
        assert direct.must('UID SEARCH ALL').search() == [1, 2]
        assert direct.must('UID SEARCH FLAGGED').search() == []
