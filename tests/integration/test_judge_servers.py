"""The judge's three servers: started and ended, users, passwords, TLS, IDLE, twins."""
import pytest

from imapjudge import mailgen, servers

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope='module', params=sorted(servers.KINDS))
def running(request):
    with servers.KINDS[request.param](users=4) as server:
        yield server


def test_logins_and_passwords(running):
    name = running.add_user('somebody', 'first')
    assert not running.client().cmd('LOGIN "somebody" "pw"').ok
    with running.client(name, 'first') as client:
        assert client.cmd('NOOP').ok
    running.add_user('somebody', 'second')
    assert not running.client().cmd('LOGIN "somebody" "first"').ok
    running.client(name, 'second').close()
    running.client(running.new_user()).close()
    running.client('any-body').close()
    assert running.log()


def test_tls(running):
    with running.client(running.new_user(), tls=True) as client:
        assert client.select().ok
    with running.client() as client:
        assert client.starttls(running.ca_file)
        assert client.login('any-tls').select().ok


def test_facts(running):
    user = running.new_user()
    with running.client(user) as client:
        offered = client.capability()
        assert ('LITERAL+' in offered) == running.facts.literal_plus
        assert ('CONDSTORE' in offered, 'QRESYNC' in offered) == (running.facts.condstore, running.facts.qresync)
        assert client.cmd('CREATE "%s"' % running.box('Work/in progress')).ok
        told = {bytes(r.data[-1]): bytes(r.data[1]) for r in client.must('LIST "" "*"').named('LIST')}
        assert told[running.box('Work/in progress').encode()] == running.facts.delimiter.encode()
        assert client.cmd('NONSENSE').status == ('NO' if running.facts.is_bad_no else 'BAD')


def test_idle_tells_at_once(running):
    user = running.new_user()
    with running.client(user) as one, running.client(user) as other:
        one.must('SELECT INBOX')
        one.idle()
        other.append('INBOX', b'Subject: x\r\n\r\ny\r\n')
        one.idle_wait(lambda got: any(r.name == 'EXISTS' and r.num == 1 for r in got), timeout=5)
        assert one.done().ok


def picture(server, user, mailbox):
    with server.client(user) as client:
        validity = client.select(mailbox).codes()['UIDVALIDITY']
        told = client.uid_fetch('1:*', '(FLAGS INTERNALDATE BODY.PEEK[])')
        return validity, {uid: (sorted(f for f in items['FLAGS'] if f != b'\\Recent'), items['INTERNALDATE'], items['BODY[]'])
                          for uid, items in told.items()}


def test_twins_are_identical(running):
    source, target = running.new_user(), running.new_user()
    work = running.box('Work/deep')
    running.fill(source, 'INBOX', mailgen.Generator(3).mails(12))
    running.fill(source, work, mailgen.Generator(4).mails(3))
    with running.client(source) as client:
        client.must('SELECT INBOX')
        client.must('STORE 2,5 +FLAGS.SILENT (\\Deleted)')
        client.must('EXPUNGE')
        client.must('STORE 1 +FLAGS.SILENT (keyword)')
        client.must('CLOSE')
    running.copy_user(source, target)
    for mailbox in ('INBOX', work):
        one, other = picture(running, source, mailbox), picture(running, target, mailbox)
        assert len(one[1]) == (10 if mailbox == 'INBOX' else 3)
        assert one[1] == other[1]
        if running.facts.name != 'cyrus':
            assert one[0] == other[0]
    running.remove_user_mail(target)
    with running.client(target) as client:
        assert client.select().exists == 0


def test_restart_keeps_the_mail(running):
    user = running.new_user()
    running.fill(user, 'INBOX', [b'Subject: kept\r\n\r\nx\r\n'])
    running.restart()
    with running.client(user) as client:
        assert client.select().exists == 1
