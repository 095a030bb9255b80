"""The scripted upstream: plausible by default, a liar on request."""
import ssl

import pytest

from imapjudge import certs
from imapjudge.fakeserver import FakeServer, split_responses
from imapjudge.imapclient import IMAPClient, IMAPClosed, IMAPRefused, IMAPTimeout, Lit

MAIL = b'From: a@example.com\r\nSubject: number %d\r\n\r\nbody of %d\r\n'


@pytest.fixture
def box(fake):
    inbox = fake.mailbox()
    for number in range(1, 6):
        inbox.add(MAIL % (number, number), date='01-Jan-2024 00:00:00 +0000')
    fake.mailbox('Trash')
    return inbox


@pytest.fixture
def client(fake, box, connect):
    return connect(fake.port, 'anybody')


def test_plausible_reading(client):
    result = client.select()
    assert result.exists == 5 and result.codes()['UIDNEXT'] == b'6' and result.code == 'READ-WRITE'
    told = client.fetch('2,4', '(UID FLAGS RFC822.SIZE BODY.PEEK[HEADER.FIELDS (subject)] BODY[TEXT]<0.4>)')
    assert told[2]['BODY[HEADER.FIELDS (SUBJECT)]'] == b'Subject: number 2\r\n\r\n'
    assert told[4]['BODY[TEXT]<0>'] == b'body' and told[4]['UID'] == 4
    assert told[2]['FLAGS'] == [b'\\Seen'], 'reading sets it, and says so'
    assert client.must('UID SEARCH OR SUBJECT "number 1" BODY "of 5"').search() == [1, 5]
    assert client.must('SEARCH NOT SEEN 2:5').search() == [3, 5]
    assert client.must('STATUS Trash (MESSAGES UIDNEXT)').status_items() == {'MESSAGES': 0, 'UIDNEXT': 1}
    assert {r.data[-1] for r in client.must('LIST "" "*"').named('LIST')} == {b'INBOX', b'Trash'}


def test_plausible_writing(client, fake, box):
    client.select()
    assert client.must('APPEND INBOX (\\Flagged) ', Lit(b'a: b\r\n\r\n')).code_args == b'1000 6'
    assert client.cmd('APPEND nosuch ', Lit(b'a: b\r\n\r\n')).code == 'TRYCREATE'
    assert client.must('STORE 1:2 +FLAGS (\\Deleted)').fetch()[2]['FLAGS'] == [b'\\Deleted']
    assert client.must('UID MOVE 3 Trash').codes()['COPYUID'] == b'1000 3 1'
    assert [r.num for r in client.must('EXPUNGE').named('EXPUNGE')] == [1, 1]
    assert [m.uid for m in box.messages] == [4, 5, 6] and len(fake.mailbox('Trash').messages) == 1
    assert client.cmd('BOGUS').status == 'BAD'


def test_condstore_and_qresync(client, connect, fake, box):
    client.must('ENABLE QRESYNC')
    start = int(client.select().codes()['HIGHESTMODSEQ'])
    client.must('UID STORE 2 +FLAGS (\\Flagged)')
    assert set(client.must('UID FETCH 1:* (FLAGS) (CHANGEDSINCE %d)' % start).fetch_by_uid()) == {2}
    assert client.cmd('UID STORE 1:2 (UNCHANGEDSINCE %d) +FLAGS (x)' % start).codes()['MODIFIED'] == b'2'
    fake.change(lambda: box.expunge([5]))
    assert client.must('NOOP').named('VANISHED')[0].data == [5]
    again = connect(fake.port, 'anybody')
    again.must('ENABLE QRESYNC')
    result = again.select(extra='(QRESYNC (1000 %d))' % start)
    assert result.named('VANISHED')[0].data[-1] == 5 and set(result.fetch_by_uid()) == {1, 2}


def test_idle_hears_of_changes(client, fake, box):
    client.select()
    client.idle()
    fake.change(lambda: box.add(MAIL % (6, 6)))
    fake.change(lambda: box.set_flags(1, {'\\Seen'}))
    got = client.idle_wait(lambda r: len(r) >= 2)
    assert [r.name for r in got] == ['EXISTS', 'FETCH']
    assert client.done().ok
    # EXPUNGE is held back during FETCH and told at NOOP
    fake.change(lambda: box.expunge([1]))
    assert not client.must('FETCH 2 FLAGS').named('EXPUNGE')
    assert client.must('NOOP').named('EXPUNGE')


def test_logins(connect):
    with FakeServer(users={'anna': 'secret'}) as server:
        with pytest.raises(IMAPRefused):
            connect(server.port, 'anna', 'wrong')
        client = connect(server.port)
        client.must('AUTHENTICATE PLAIN AGFubmEAc2VjcmV0')
        assert [c.verb for c in server.commands] == ['LOGIN', 'AUTHENTICATE']


def test_cut_at_a_given_octet(client, fake):
    client.select()
    fake.on('FETCH', lambda conn, command: conn.send_cut(conn.default(command), 37), times=1)
    client.send_raw('x FETCH 1 BODY.PEEK[]\r\n')
    assert len(client.read_until_closed()) == 37
    assert fake.commands[-1].verb == 'FETCH'


def test_lies_garbage_bye_and_odd_orders(client, connect, fake, box):
    client.select()
    box.by_uid(2).answers['ENVELOPE'] = b'(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)'
    assert client.fetch(2, 'ENVELOPE')[2]['ENVELOPE'] == [None] * 10
    fake.on('UID FETCH', lambda conn, command: b''.join(
        sorted(split_responses(conn.default(command)), key=lambda r: (r[:1] != b'*', r), reverse=False)[::-1][1:]
        + [command.tag + b' OK turned round\r\n']), times=1)
    turned = client.must('UID FETCH 1:3 (FLAGS)')
    assert [r.num for r in turned.named('FETCH')] == [3, 2, 1]
    fake.on('NOOP', lambda conn, command: conn.send(b'\0\xff garbage {5}\r\n'), times=1)
    client.send_raw('g NOOP\r\n')
    assert client.read_raw(16).startswith(b'\0\xff garbage')
    fake.on('NOOP', lambda conn, command: conn.bye('had enough'), times=1)
    other = connect(fake.port, 'anybody')
    with pytest.raises(IMAPClosed):
        other.cmd('NOOP')
    assert other._loose[-1].name == 'BYE'


def test_mangle_touches_everything_said(fake, box, connect):
    fake.mangle = lambda conn, data: data.replace(b'fake ready', b'mangled')
    assert b'mangled' in connect(fake.port).greeting.raw


def test_stall(client, fake):
    fake.on('NOOP', lambda conn, command: conn.stall(), times=1)
    with pytest.raises(IMAPTimeout):
        client.cmd('NOOP', timeout=0.3)


def test_commands_are_recorded_with_their_literals(client, fake):
    client.must('APPEND INBOX ', Lit(b'x: y\r\n\r\n', sync=False))
    command = fake.wait_for('APPEND')[0]
    assert command.values[-1] == b'x: y\r\n\r\n' and command.conn == 1


def test_greeting_and_early_close(connect):
    with FakeServer(greeting=b'* BYE not today\r\n') as server:
        server.on('LOGIN', lambda conn, command: conn.reset())
        client = connect(server.port)
        assert client.greeting.name == 'BYE'
        with pytest.raises(IMAPClosed):
            client.cmd('LOGIN a b')


def test_errors_of_scripts_are_kept(connect):
    with FakeServer() as server:
        server.on('NOOP', lambda conn, command: 1 // 0)
        with pytest.raises(IMAPClosed):
            connect(server.port, 'x').cmd('NOOP')
        assert isinstance(server.errors[0], ZeroDivisionError)


def test_tls_and_starttls(tmp_path, connect):
    ca_file = certs.make_ca(tmp_path)
    pair = certs.make_cert(tmp_path)
    with FakeServer(tls=pair) as server:
        connect(server.port, 'x', tls=ca_file).must('NOOP')
        with pytest.raises((ssl.SSLError, IMAPClosed, OSError)):
            IMAPClient('127.0.0.1', server.port, tls=certs.make_ca(tmp_path / 'other'))
    with FakeServer(starttls=pair) as server:
        client = connect(server.port)
        assert 'STARTTLS' in client.capability()
        client.starttls(ca_file)
        assert 'STARTTLS' not in client.capability()
        client.login('x')
    with FakeServer(starttls=pair) as server:
        server.starttls_extra = b'* OK injected\r\n'
        client = connect(server.port)
        client.send_raw('a STARTTLS\r\n')
        assert client.read_response().name == 'OK'
        assert b'injected' in client.read_response().raw
