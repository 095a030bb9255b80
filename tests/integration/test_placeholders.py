"""What servers say of a message that is not there any more, or not there this moment (T1, T2): told as they say it, where
it is said, and never kept."""
import glob
import os

import pytest

import spine_tools as tools
from imapjudge import fakeserver, servers

ITEMS = ('BODY.PEEK[]', 'BODY.PEEK[HEADER]', 'BODY.PEEK[TEXT]', 'BODY.PEEK[1]', 'ENVELOPE', 'BODYSTRUCTURE', 'BODY', 'RFC822.SIZE',
         'INTERNALDATE', 'BODY.PEEK[HEADER.FIELDS (SUBJECT)]', 'BODY.PEEK[HEADER.FIELDS (X-NONE)]', 'BODY.PEEK[]<5.20>',
         'BODY.PEEK[HEADER.FIELDS.NOT (TO)]', 'BODY.PEEK[1.MIME]', 'BODY.PEEK[2]')
FILLER = {
    'BODY[]': b'NIL', 'BODY[TEXT]': b'NIL', 'BODY[HEADER]': b'NIL', 'BODY[1]': b'""',
    'ENVELOPE': b'(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)', 'INTERNALDATE': b'"01-Jan-1970 00:00:00 +0000"',
    'BODY': b'("text" "plain" NIL NIL NIL "7bit" 0 0)', 'BODYSTRUCTURE': b'("text" "plain" NIL NIL NIL "7bit" 0 0 NIL NIL NIL NIL)',
    'RFC822.SIZE': b'0'}


def told(client, uid, item):
    """What is said of one item, without the number and the UID; None when nothing is."""
    items = client.must('UID FETCH %d (%s)' % (uid, item)).fetch_by_uid().get(uid)
    return items and {k: v for k, v in items.items() if k not in ('UID', 'FLAGS', 'MODSEQ')}


def compare_all(proxied, direct, uid):
    """A fresh look at every item is what the server says now."""
    for item in ITEMS:
        assert told(proxied, uid, item) == told(direct, uid, item), item


# ---- Dovecot: filler and [EXPUNGEISSUED]

@pytest.mark.parametrize('item', FILLER)
@pytest.mark.parametrize('marked', ['EXPUNGEISSUED', 'expunge'])
def test_t1_filler_of_an_expunged_message_is_never_kept(make_proxy, fake, connect, item, marked):
    """Once the server has said filler (to a link that saw the message as gone), the message being there all the same."""
    for number in range(1, 4):
        fake.mailbox().add(tools.mail(number, 3000))
    proxy = make_proxy(fake.port)
    client = connect(proxy.port, 'u0')
    client.select()

    def filler(conn, command):
        if b'BODY' not in command.args and b'ENVELOPE' not in command.args and b'INTERNALDATE' not in command.args \
                and b'SIZE' not in command.args:
            return conn.send(conn.default(command))
        conn.untagged(b'2 FETCH (UID 2 %s %s)' % (item.encode(), FILLER[item]))
        if marked == 'expunge' and 3 in conn.known:
            conn.untagged('3 EXPUNGE')
            fake.mailbox().expunge([3])
            conn.known.remove(3)
        conn.ok(command, code='EXPUNGEISSUED' if marked == 'EXPUNGEISSUED' else None)
    fake.on('UID FETCH', filler, 1 if marked == 'expunge' else 2)
    asked = item.replace('BODY[', 'BODY.PEEK[')
    client.cmd('UID FETCH 2 (%s)' % asked)
    fake.off()
    with connect(fake.port, 'u0') as direct:
        direct.select(examine=True)
        again = connect(proxy.port, 'u0')
        again.select()
        assert told(again, 2, asked) == told(direct, 2, asked)


# ---- Cyrus: nothing at all, and OK

@pytest.mark.parametrize('item', ['BODY.PEEK[]', 'ENVELOPE', 'INTERNALDATE', 'BODY.PEEK[HEADER.FIELDS (SUBJECT)]'])
def test_t2_ok_without_data_is_never_kept(make_proxy, fake, connect, item):
    fake.mailbox().add(tools.mail(1, 3000))
    proxy = make_proxy(fake.port)
    client = connect(proxy.port, 'u0')
    client.select()
    fake.on('UID FETCH', lambda conn, command: (
        conn.send(conn.default(command)) if b'FLAGS' in command.args else conn.ok(command)))
    assert not told(client, 1, item)        # as the upstream says it
    fake.off()
    assert told(client, 1, item)
    assert client.must('NOOP').named('EXPUNGE') == []


def test_t1_omission_by_cyrus_is_no_expunge_and_not_kept(make_proxy, connect):
    """A message expunged elsewhere: Cyrus leaves it out and says OK."""
    with servers.KINDS['cyrus'](users=2) as server:
        user = server.new_user()
        server.fill(user, 'INBOX', tools.mails(3, 2000))
        proxy = make_proxy(server.port)
        client = connect(proxy.port, user)
        client.select()
        with server.client(user) as direct:
            direct.select()
            direct.must('UID STORE 2 +FLAGS (\\Deleted)')
            direct.must('EXPUNGE')
            for item in ITEMS:
                client.cmd('UID FETCH 1:3 (%s)' % item)
            client.must('NOOP')
            assert client.must('UID SEARCH ALL').search() == [1, 3]
            for uid in (1, 3):
                compare_all(client, direct, uid)


# ---- Courier: a message of its own making

STANDIN = (b'From: System Administrator <root@localhost>\r\nSubject: message unavailable\r\n\r\n'
           b'This message is no longer available on the server.\r\n')
ADDRESS = b'(("System Administrator" NIL "root" "localhost"))'
OF_STANDIN = {'ENVELOPE': b'(NIL "message unavailable" %s %s %s NIL NIL NIL NIL NIL)' % (ADDRESS, ADDRESS, ADDRESS),
              'BODYSTRUCTURE': b'("text" "plain" NIL NIL NIL "8bit" 52 1 NIL NIL NIL)',
              'BODY': b'("text" "plain" NIL NIL NIL "8bit" 52 1)', 'RFC822.SIZE': b'129',
              'INTERNALDATE': b'"30-Nov-2026 10:35:22 +0000"'}


@pytest.fixture
def courierish():
    with fakeserver.FakeServer(capabilities='IMAP4rev1 UIDPLUS IDLE', greeting=lambda conn: (
            '* OK [CAPABILITY IMAP4rev1 UIDPLUS IDLE] Courier-IMAP ready. Copyright 1998-2018\r\n')) as server:
        yield server
    assert not server.errors


@pytest.mark.parametrize('item', ITEMS)
def test_t1_standin_of_courier_is_never_kept(make_proxy, courierish, connect, item):
    """As courier-imap 5.0.13 says it of a message whose file it does not find that moment."""
    message = courierish.mailbox().add(tools.mail(1, 2000))
    proxy = make_proxy(courierish.port)
    client = connect(proxy.port, 'u0')
    client.select()
    client.must('UID FETCH 1 (FLAGS)')
    octets, message.octets = message.octets, STANDIN
    message.answers.update(OF_STANDIN)
    seen = told(client, 1, item)
    if item == 'BODY.PEEK[]':
        assert seen['BODY[]'] == STANDIN        # told as the upstream says it
    message.octets = octets
    message.answers.clear()
    with connect(courierish.port, 'u0') as direct:
        direct.select(examine=True)
        again = connect(proxy.port, 'u0')
        again.select()
        compare_all(again, direct, 1)


def test_what_courier_says_of_a_message_that_is_there_is_kept(make_proxy, courierish, connect):
    courierish.mailbox().add(tools.mail(1, 2000))
    proxy = make_proxy(courierish.port)
    client = connect(proxy.port, 'u0')
    client.select()
    asked = ('BODY.PEEK[]', 'ENVELOPE', '(INTERNALDATE RFC822.SIZE)', 'BODY.PEEK[HEADER.FIELDS (SUBJECT)]')
    for item in asked:
        client.must('UID FETCH 1 %s' % item)
    mark = len(courierish.commands)
    for item in asked:
        client.must('UID FETCH 1 %s' % item)
    assert [c for c in courierish.commands[mark:] if c.verb == 'UID FETCH'] == []


def test_t1_courier_itself_with_a_file_away_for_a_moment(make_proxy, connect):
    """(Where Courier has noticed, the mail comes back under another UID.)"""
    with servers.KINDS['courier'](users=2) as courier:
        user = courier.new_user()
        courier.fill(user, 'INBOX', tools.mails(3, 2000))
        with courier.client(user) as direct:
            direct.select()                 # the files get the names they keep
        path, = [p for p in glob.glob('%s/**/cur/*' % courier.home(user), recursive=True)
                 if b'mail 1 says' in open(p, 'rb').read()]
        proxy = make_proxy(courier.port)
        client = connect(proxy.port, user, timeout=30)
        client.select()
        client.must('UID FETCH 2 (BODY.PEEK[])')        # both links are up
        away = '%s/away' % courier.home(user)
        os.rename(path, away)
        for item in ITEMS:
            client.must('UID FETCH 1 (%s)' % item)
        os.rename(away, path)
        client.must('UID FETCH 3 (ENVELOPE)')           # each connection of Courier holds on to the message it read last
        client.must('UID FETCH 3 (BODY.PEEK[])')
        with courier.client(user, timeout=30) as direct:
            direct.select(examine=True)
            again = connect(proxy.port, user, timeout=30)
            again.select()
            tools.wait_until(lambda: again.must('NOOP') and again.must('UID SEARCH ALL').search() ==
                             direct.must('UID SEARCH ALL').search(), 30)
            for uid in direct.must('UID SEARCH ALL').search():
                compare_all(again, direct, uid)
