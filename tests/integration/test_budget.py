"""More mailboxes than links: who has one, who is parked, and that everybody hears of everything (design section 8)."""
import time

import pytest

import spine_tools as tools


def idlers(proxy, connect, user, names):
    clients = []
    for name in names:
        client = connect(proxy.port, user, timeout=30)
        client.select(name)
        client.idle()
        clients.append(client)
    return clients


def test_t28_25_idle_mailboxes_on_5_links(dovecot, user, tap, make_proxy, connect):
    """All hear new mail within a minute, and there are never more than five connections."""
    names = ['m%d' % n for n in range(25)]
    direct = connect(dovecot.port, user)
    for name in names:
        direct.must('CREATE ' + name)
    proxy = make_proxy(tap.port, kind=tools.Configured, upstream='max_connections = 5')
    clients = idlers(proxy, connect, user, names)
    sent = {}
    for name in names:
        direct.append(name, tools.mail(1))
        sent[name] = time.monotonic()
    slowest = 0
    for name, client in zip(names, clients):
        client.idle_wait(lambda got: any(r.name == "EXISTS" and r.num == 1 for r in got), 62)
        slowest = max(slowest, time.monotonic() - sent[name])
    print('slowest %.1f s, connections at most %d' % (slowest, tap.peak))
    assert slowest < 60
    assert tap.peak <= 5
    for client in clients:
        client.done()
    for name, client in list(zip(names, clients))[::4]:      # a client's need brings a parked one back at once
        began = time.monotonic()
        assert client.uid_fetch('1', 'BODY.PEEK[]')[1]['BODY[]'] == tools.mail(1)
        client.must('UID STORE 1 +FLAGS (\\Seen)')
        assert time.monotonic() - began < 5
    assert tap.peak <= 5


@pytest.mark.parametrize('most', [1, 2])
def test_t28_smallest_budgets(dovecot, user, tap, make_proxy, connect, most):
    """Four mailboxes, reading, writing, moving between them, listing, appending: all done, one or two connections."""
    direct = connect(dovecot.port, user)
    for n in range(4):
        direct.must('CREATE b%d' % n)
        direct.append('b%d' % n, tools.mail(n))
    proxy = make_proxy(tap.port, kind=tools.Configured, upstream='max_connections = %d' % most)
    clients = [connect(proxy.port, user, timeout=30) for _ in range(4)]
    for n, client in enumerate(clients):
        client.select('b%d' % n)
    for turn in range(3):
        for n, client in enumerate(clients):
            client.must('UID STORE 1 +FLAGS (turn%d)' % turn)
            assert client.uid_fetch('1', 'BODY.PEEK[]')[1]['BODY[]'] == tools.mail(n)
            client.append('b%d' % ((n + 1) % 4), tools.mail(10 * turn + n))
            client.must('LIST "" *')
    for n, client in enumerate(clients):
        tools.wait_until(lambda c=client: c.must('NOOP') and len(c.must('UID SEARCH ALL').search()) == 4)
    for n, client in enumerate(clients):
        client.must('UID COPY 2 b%d' % ((n + 1) % 4))
    for client in clients:
        tools.wait_until(lambda c=client: c.must('NOOP') and len(c.must('UID SEARCH ALL').search()) == 5)
    assert tap.peak <= most


def test_t6_mailbox_made_again_while_parked(dovecot, user, tap, make_proxy, connect):
    """The name of a parked mailbox is given to another one: its sessions end, or are told the truth."""
    direct = connect(dovecot.port, user)
    for name in ('one', 'two'):
        direct.must('CREATE ' + name)
        for n in range(1, 4):
            direct.append(name, tools.mail(n, 2000))
    proxy = make_proxy(tap.port, kind=tools.Configured, upstream='max_connections = 1')
    first, second = connect(proxy.port, user, timeout=30), connect(proxy.port, user, timeout=30)
    first.select('one')
    assert first.uid_fetch('1', 'BODY.PEEK[]')[1]['BODY[]'] == tools.mail(1, 2000)
    second.select('two')
    second.must('UID STORE 1 +FLAGS (x)')
    direct.must('DELETE one')
    direct.must('CREATE one')
    for n in range(1, 4):
        direct.append('one', tools.mail(50 + n, 2000))
    first.send_raw(b'x UID FETCH 2 (BODY.PEEK[])\r\n')
    data = first.read_until_closed(20)
    assert b'* BYE' in data and b'number 52' not in data
    again = connect(proxy.port, user, timeout=30)
    again.select('one')
    assert again.uid_fetch('2', 'BODY.PEEK[]')[2]['BODY[]'] == tools.mail(52, 2000)


def test_t6_same_uidvalidity_while_parked(fake, make_proxy, connect):
    """The same with a server that gives the same UIDVALIDITY, UIDNEXT and counts again."""
    for name in ('one', 'two'):
        for n in range(1, 4):
            fake.mailbox(name).add(tools.mail(n, 2000))
    proxy = make_proxy(fake.port, kind=tools.Configured, upstream='max_connections = 1')
    first, second = connect(proxy.port, 'anna', timeout=30), connect(proxy.port, 'anna', timeout=30)
    first.select('one')
    first.uid_fetch('1:3', '(INTERNALDATE RFC822.SIZE)')
    assert first.uid_fetch('1', 'BODY.PEEK[]')[1]['BODY[]'] == tools.mail(1, 2000)
    second.select('two')
    second.must('UID STORE 1 +FLAGS (x)')

    def made_again():
        fake._mailboxes.pop('one')
        for n in range(1, 4):
            fake.mailbox('one').add(tools.mail(50 + n, 2500))
    fake.change(made_again)
    first.send_raw(b'x UID FETCH 2 (BODY.PEEK[])\r\n')
    data = first.read_until_closed(20)
    assert b'* BYE' in data and b'number 52' not in data


def test_four_uploads_do_not_keep_readers_waiting(dovecot, user, tap, make_proxy, connect):
    dovecot.fill(user, 'INBOX', tools.mails(5, 3000))
    proxy = make_proxy(tap.port, kind=tools.Configured, upstream='max_connections = 5')
    reader = connect(proxy.port, user, timeout=20)
    reader.select()
    stuck = []
    for n in range(4):
        client = connect(proxy.port, user, timeout=20)
        client.send_raw(b'a APPEND INBOX {100000}\r\n')
        stuck.append(client)
    time.sleep(0.5)
    began = time.monotonic()
    assert reader.uid_fetch('1:5', 'BODY.PEEK[]')[5]['BODY[]'] == tools.mail(5, 3000)
    reader.must('UID STORE 1 +FLAGS (\\Seen)')
    reader.must('LIST "" *')
    reader.select('INBOX')
    assert time.monotonic() - began < 5
    assert tap.peak <= 5


def poisonous(fake, uid):
    """Whoever asks for the octets of that message loses its link."""
    asked = []

    def fetch(conn, command):
        uids = [n for part in command.args.split(None, 1)[0].decode().split(',')
                for n in range(int(part.split(':')[0]), int(part.split(':')[-1]) + 1)] if b'*' not in command.args else []
        if uid not in uids or b'BODY.PEEK[' not in command.args:
            return conn.send(conn.default(command))
        asked.append(uids)
        return conn.cut()
    fake.on('UID FETCH', fetch)
    return asked


def test_link_dying_twice_on_one_poisonous_command(fake, make_proxy, connect):
    """Sent twice, then NO; whoever has a command on the same link is served."""
    for name in ('INBOX', 'other'):
        for n in range(1, 6):
            fake.mailbox(name).add(tools.mail(n, 500))
    proxy = make_proxy(fake.port)
    client, other = connect(proxy.port, 'anna', timeout=30), connect(proxy.port, 'anna', timeout=30)
    client.select()
    other.select('other')
    asked = poisonous(fake, 3)
    poison = client.start('UID FETCH 3 (BODY.PEEK[])')
    good = [other.start('UID FETCH %d (BODY.PEEK[])' % n) for n in (1, 2, 4, 5)]
    assert not client.wait(poison, 30).ok
    assert len(asked) == 2
    for tag, n in zip(good, (1, 2, 4, 5)):
        assert other.wait(tag, 30).fetch_by_uid()[n]['BODY[]'] == tools.mail(n, 500)
    for n in (1, 2, 4, 5):
        assert client.uid_fetch(str(n), 'BODY.PEEK[]')[n]['BODY[]'] == tools.mail(n, 500)


def test_poison_among_many_messages(fake, make_proxy, connect):
    """Asked for together with others, it is the only one that is not to be had."""
    for n in range(1, 10):
        fake.mailbox('INBOX').add(tools.mail(n, 500))
    proxy = make_proxy(fake.port)
    client = connect(proxy.port, 'anna', timeout=60)
    client.select()

    def fetch(conn, command):
        answer = conn.default(command)
        at = answer.find(b'UID 4 ')
        if at >= 0 and b'BODY[' in answer:
            return conn.send_cut(answer, answer.rfind(b'* ', 0, at))
        return conn.send(answer)
    fake.on('UID FETCH', fetch)
    result = client.cmd('UID FETCH 1:9 (BODY.PEEK[])', timeout=60)
    assert not result.ok
    got = result.fetch_by_uid()
    got.update(client.uid_fetch('5:9', 'BODY.PEEK[]'))
    assert sorted(got) == [1, 2, 3, 5, 6, 7, 8, 9]
    assert all(got[n]['BODY[]'] == tools.mail(n, 500) for n in got)
