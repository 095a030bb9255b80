"""Edges of a session: input that comes at odd times, literals nobody wants, ends in every state."""
import socket
import time

import pytest

import spine_tools as tools

MAIL = tools.mail(1)


def logged_in(port, user, select=None):
    raw = tools.Raw(port)
    raw.line()
    raw.send(b'a LOGIN %s pw\r\n' % user.encode())
    raw.until(b'a OK')
    raw.line()
    if select:
        raw.send(b'b SELECT %s\r\n' % select)
        raw.until(b'b OK')
        raw.line()
    return raw


def answers_noop(raw, tag=b'z'):
    """The session goes on: exactly this command is answered next."""
    raw.send(tag + b' NOOP\r\n')
    said = raw.until(tag + b' OK')
    raw.line()
    return said


def count(server, user, mailbox='INBOX'):
    with server.client(user) as direct:
        return int(direct.must('STATUS %s (MESSAGES)' % mailbox).status_items()['MESSAGES'])


def test_append_pipelined_behind_the_login(proxy, user):
    raw = tools.Raw(proxy.port)
    raw.line()
    raw.send(b'a LOGIN %s pw\r\nb APPEND INBOX {%d+}\r\n%s\r\nc NOOP\r\n' % (user.encode(), len(MAIL), MAIL))
    raw.until(b'a OK')
    raw.until(b'b ')
    raw.until(b'c OK')


@pytest.mark.parametrize('sync', [True, False])
@pytest.mark.parametrize('tail', ['flags', 'words'])
def test_what_stands_behind_the_message_is_bad_and_nothing_is_appended(proxy, server, user, sync, tail):
    raw = logged_in(proxy.port, user)
    plus = b'' if sync else b'+'
    raw.send(b'b APPEND INBOX {%d%s}\r\n' % (len(MAIL), plus))
    if sync:
        assert raw.line().startswith(b'+')
    if tail == 'words':
        raw.send(MAIL + b' and more\r\n')
    else:
        raw.send(MAIL + b' (\\Seen)\r\n')     # of another message, which does not come
    assert raw.until(b'\r\n').startswith(b'b BAD')
    answers_noop(raw)
    assert count(server, user) == 0
    raw.send(b'c APPEND INBOX {%d+}\r\n%s\r\n' % (len(MAIL), MAIL))
    raw.until(b'c OK')
    assert count(server, user) == 1


def test_empty_message_is_refused_as_the_upstream_does(proxy, user):
    for sync in (True, False):
        raw = logged_in(proxy.port, user)
        raw.send(b'b APPEND INBOX {0%s}\r\n' % (b'' if sync else b'+'))
        if not sync:
            raw.send(b'\r\n')
        said = raw.line()
        if said.startswith(b'+'):
            raw.send(b'\r\n')
            said = raw.line()
        assert said.startswith(b'b NO'), said
        answers_noop(raw)


@pytest.mark.parametrize('junk', [b'junk\r\n', b'x {5}\r\n', b'x {5+}\r\nhello\r\n', b'y' * 100_000 + b'\r\n',
                                  b'x {99999999+}\r\n'])
def test_junk_in_idle_is_bad_and_hurts_nothing(proxy, user, junk):
    if junk.startswith(b'x {9'):
        junk += b'z' * 99_999_999 + b'\r\n'
    raw = logged_in(proxy.port, user, b'INBOX')
    raw.send(b'i IDLE\r\n')
    assert raw.until(b'+ idling\r\n')
    raw.send(junk)
    raw.send(b'DONE\r\n')
    raw.until(b'i ', 60)
    answers_noop(raw)


def test_pipelined_done(proxy, user):
    raw = logged_in(proxy.port, user, b'INBOX')
    raw.send(b'i IDLE\r\ndone\r\nj IDLE\r\nDONE\r\nk NOOP\r\n')
    said = raw.until(b'k OK')
    assert said.index(b'+ idling') < said.index(b'i OK') < said.index(b'j OK')
    assert said.count(b'+ idling') == 2


@pytest.mark.parametrize('said', [b'*\r\n', b'!!!!\r\n', b'x {5}\r\n', b'\r\n', b'A' * 30_000 + b'\r\n'])
def test_odd_answers_to_authenticate(proxy, user, said):
    raw = tools.Raw(proxy.port)
    raw.line()
    raw.send(b'a AUTHENTICATE PLAIN\r\n')
    assert raw.line().startswith(b'+')
    raw.send(said)
    assert raw.until(b'a ') and raw.line().startswith((b'BAD', b'NO'))
    raw.send(b'b LOGIN %s pw\r\n' % user.encode())
    raw.until(b'b OK')


def test_literal_too_long_for_a_mailbox_name_is_not_asked_for(proxy, user):
    raw = logged_in(proxy.port, user)
    for size in (10_000_000, 300_000):
        raw.send(b'b APPEND {%d}\r\n' % size)
        said = raw.line()
        assert said.startswith((b'b BAD', b'b NO')), said
        answers_noop(raw)


@pytest.mark.parametrize('state', ['fresh', 'logged in', 'selected', 'idle', 'upload', 'authenticate', 'half a line'])
def test_client_that_ends_its_side_is_let_go(proxy, user, state):
    if state in ('fresh', 'authenticate', 'half a line'):
        raw = tools.Raw(proxy.port)
        raw.line()
    else:
        raw = logged_in(proxy.port, user, b'INBOX' if state in ('selected', 'idle') else None)
    raw.send({'idle': b'i IDLE\r\n', 'upload': b'u APPEND INBOX {1000+}\r\nhalf', 'authenticate': b'a AUTHENTICATE PLAIN\r\n',
              'half a line': b'a CAPAB'}.get(state, b''))
    if state in ('idle', 'authenticate'):
        raw.until(b'+ ')
    raw.sock.shutdown(socket.SHUT_WR)
    raw.rest(5)


def test_pipelined_commands_before_the_end_are_all_answered(proxy, server, user):
    server.fill(user, 'INBOX', tools.mails(3))
    raw = tools.Raw(proxy.port)
    raw.send(b'a LOGIN %s pw\r\nb SELECT INBOX\r\nc FETCH 1:* BODY.PEEK[]\r\n'
             b'd APPEND INBOX {%d+}\r\n%s\r\ne STATUS INBOX (MESSAGES)\r\n' % (user.encode(), len(MAIL), MAIL))
    raw.sock.shutdown(socket.SHUT_WR)
    said = raw.rest(20)
    assert [b'%s OK' % tag in said for tag in (b'a', b'b', b'c', b'd', b'e')] == [True] * 5, said[-400:]


@pytest.mark.parametrize('command', [b'DELETE Box', b'RENAME Box Other'])
def test_client_that_removes_the_mailbox_it_is_in(proxy, server, user, command):
    server.fill(user, 'Box', tools.mails(2))
    raw = logged_in(proxy.port, user, b'Box')
    raw.send(b'c FETCH 1:* BODY.PEEK[]\r\n')
    raw.until(b'c OK')
    raw.send(b'd ' + command + b'\r\n')
    said = raw.rest(20)
    assert b'd OK' in said and b'* BYE' in said, said
    raw = logged_in(proxy.port, user)
    raw.send(b'e SELECT Box\r\n')
    assert b'e NO' in raw.until(b'e NO')


def test_uid_expunge_is_not_offered_where_the_upstream_has_none(fake, make_proxy, connect):
    fake.capabilities = 'IMAP4rev1 SASL-IR LITERAL+ IDLE'
    box = fake.mailbox()
    for number in (1, 2):
        box.add(tools.mail(number), ('\\Deleted',))
    client = connect(make_proxy(fake.port).port, 'joe')
    client.select()
    assert client.cmd('UID EXPUNGE 1').status == 'BAD'
    assert not fake.seen('EXPUNGE')
    assert len(client.fetch('1:*', 'UID')) == 2


def test_modified_in_a_no_is_told_in_the_clients_numbers(fake, make_proxy, connect):
    box = fake.mailbox()
    for uid in (10, 20, 30):
        box.add(tools.mail(uid), (), uid=uid)
    fake.on('UID STORE', lambda conn, command: conn.no(command, 'all of it failed', code='MODIFIED 20:30'))
    client = connect(make_proxy(fake.port).port, 'joe')
    client.select()
    refused = client.cmd('STORE 2:3 (UNCHANGEDSINCE 1) +FLAGS (\\Seen)')
    assert (refused.code, bytes(refused.code_args)) == ('MODIFIED', b'2:3'), refused
    by_uid = client.cmd('UID STORE 20:30 (UNCHANGEDSINCE 1) +FLAGS (\\Seen)')
    assert (by_uid.code, bytes(by_uid.code_args)) == ('MODIFIED', b'20:30'), by_uid


def test_close_that_could_not_expunge_leaves_the_mailbox_open(fake, make_proxy, connect):
    fake.mailbox().add(tools.mail(1), ('\\Deleted',))
    client = connect(make_proxy(fake.port).port, 'joe')
    client.select()
    port_away = {'times': 0}

    def away(conn, command):
        port_away['times'] += 1
        conn.cut()
    fake.on('UID EXPUNGE', away)
    fake.on('EXPUNGE', away)
    closed = client.cmd('CLOSE', timeout=20)
    if closed.status == 'NO':
        assert client.cmd('NOOP').ok
        assert client.fetch('1', 'UID')
    assert port_away['times'] > 0


def test_keywords_of_a_refused_store_do_not_pile_up(fake, make_proxy, connect):
    """A client cannot fill the mailbox's table of keywords with names the upstream never took."""
    fake.mailbox().add(tools.mail(1))
    fake.on('UID STORE', lambda conn, command: conn.no(command, 'no keywords here'))
    client = connect(make_proxy(fake.port).port, 'joe')
    client.select()
    for batch in range(21):
        words = ' '.join('k%d' % n for n in range(batch * 200, batch * 200 + 200))
        assert client.cmd('STORE 1 +FLAGS.SILENT (%s)' % words).status == 'NO'
    fake.off('UID STORE')
    client.must('STORE 1 +FLAGS (Honest)')
    deadline = time.monotonic() + 5
    while b'Honest' not in [bytes(f) for f in client.fetch('1', 'FLAGS')[1]['FLAGS']]:
        assert time.monotonic() < deadline
        client.must('NOOP')


def test_t23_status_names_no_modseq_beyond_what_the_client_was_told(proxy, server, user, connect):
    server.fill(user, 'INBOX', tools.mails(3))
    client, neighbour = connect(proxy.port, user), connect(proxy.port, user)
    client.must('ENABLE QRESYNC')
    chosen = client.select()
    told = int(chosen.codes()['HIGHESTMODSEQ'])
    uidvalidity = int(chosen.codes()['UIDVALIDITY'])
    neighbour.select()
    neighbour.must('STORE 2 +FLAGS.SILENT (\\Deleted)')
    neighbour.must('EXPUNGE')
    status = client.must('STATUS INBOX (HIGHESTMODSEQ)')
    gone = [r for r in status.untagged if r.name in ('VANISHED', 'EXPUNGE')]
    modseq = int(status.status_items()['HIGHESTMODSEQ'])
    assert gone or modseq == told, status
    again = connect(proxy.port, user)
    again.must('ENABLE QRESYNC')
    resync = again.must('SELECT INBOX (QRESYNC (%d %d))' % (uidvalidity, modseq))
    assert gone or resync.named('VANISHED'), resync
