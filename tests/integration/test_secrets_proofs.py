"""Several secrets of one login: each is verified again by itself, and its own sessions end with it. Design section 8
"Proofs"."""
import time

import pytest

import secrets_tools
import spine_tools as tools
from imapjudge import imapclient, tap as judge_tap

AGAIN = 'auth { ttl = 10m reverify = 1s retry = 1s }'


@pytest.fixture
def upstream():
    with secrets_tools.SecretServer() as instance:
        yield instance
    assert not instance.errors, instance.errors


def idle_ends(client, seconds=15):
    """The BYE that ends it, read in IDLE."""
    said = tools.until_bye(client, seconds)
    byes = [r for r in said if r.name == 'BYE']
    assert len(byes) == 1, said
    return byes[0]


def test_two_secrets_one_revoked_its_session_in_idle_is_ended_the_other_goes_on(upstream, make_proxy, connect):
    upstream.mailbox('INBOX').add(tools.mail(1))
    upstream.allow('anna', 'old')
    upstream.allow('anna', 'new')
    proxy = make_proxy(upstream.port, kind=tools.Configured, sections=AGAIN)
    old, new = connect(proxy.port, 'anna', 'old'), connect(proxy.port, 'anna', 'new')
    for client in (old, new):
        client.select()
        client.fetch('1', 'BODY.PEEK[]')
    old.idle()
    upstream.revoke('anna', 'old')
    idle_ends(old)
    refused = [entry for entry in upstream.attempts('old') if not entry[3]]
    assert len(refused) == 2 and refused[1][4] - refused[0][4] >= 0.99
    upstream.change(lambda: upstream.mailbox('INBOX').add(tools.mail(2)))
    tools.wait_until(lambda: new.must('NOOP').exists == 2, what='new mail')
    assert new.fetch('2', 'BODY.PEEK[]')[2]['BODY[]'] == tools.mail(2)
    stranger = connect(proxy.port)
    assert stranger.cmd('LOGIN anna old').status == 'NO'
    assert stranger.cmd('SELECT INBOX').status == 'BAD'


def test_a_changed_password_ends_the_sessions_of_the_old_one(dovecot, tap, make_proxy, connect):
    """Dovecot: the password was changed, one client does not know yet."""
    name = dovecot.add_user('pair', 'first')
    proxy = make_proxy(tap.port, kind=tools.Configured, sections=AGAIN)
    first = connect(proxy.port, name, 'first')
    first.select()
    dovecot.add_user(name, 'second')
    second = connect(proxy.port, name, 'second')     # 'first' is wrong from here on
    second.select()
    first.idle()
    idle_ends(first)
    time.sleep(1.5)     # another round
    assert second.must('NOOP').ok
    assert connect(proxy.port).cmd('LOGIN %s first' % name).status == 'NO'


@pytest.mark.parametrize('refusal', ['NO [UNAVAILABLE] not now', 'NO [LIMIT] too many', 'NO [ALERT] strange things',
                                     '* BYE overloaded', 'BAD what', 'NO [PRIVACYREQUIRED] encrypt'])
def test_t27_what_does_not_speak_of_the_secret_ends_no_session(upstream, make_proxy, connect, refusal):
    upstream.allow('anna', 'pw')
    proxy = make_proxy(upstream.port, kind=tools.Configured, sections=AGAIN)
    client = connect(proxy.port, 'anna', 'pw')
    client.select()
    client.idle()
    before = len(upstream.seen('AUTHENTICATE'))

    def refuse(conn, command):
        if refusal.startswith('*'):
            conn.send(refusal + '\r\n')
            conn.cut()
        conn.send(command.tag + b' ' + refusal.encode() + b'\r\n')
    upstream.on('AUTHENTICATE', refuse)
    upstream.wait_for('AUTHENTICATE', before + 3, 20)
    assert not tools.events(client, 0.2)
    upstream.off()
    upstream.wait_for('AUTHENTICATE', before + 5, 20)
    client.done()
    assert client.must('NOOP').ok


def test_links_come_back_with_another_secret_and_the_refused_one_is_looked_into(upstream, make_proxy, connect):
    """All links die; the newest secret has been revoked; nothing but its own session ends."""
    upstream.mailbox('INBOX').add(tools.mail(1))
    upstream.allow('anna', 'one')
    upstream.allow('anna', 'two')
    proxy = make_proxy(upstream.port, kind=tools.Configured, sections='auth { retry = 1s }')
    one, two = connect(proxy.port, 'anna', 'one'), connect(proxy.port, 'anna', 'two')
    for client in (one, two):
        client.select()
    two.idle()
    upstream.revoke('anna', 'two')
    upstream.drop_all()
    tools.wait_until(lambda: [e for e in upstream.attempts('two') if not e[3]], what='a refusal')
    upstream.change(lambda: upstream.mailbox('INBOX').add(tools.mail(2)))
    tools.wait_until(lambda: one.must('NOOP').exists == 2, what='new mail')
    idle_ends(two)
    assert one.must('NOOP').ok


def test_t8_every_secret_is_asked_about_upstream_before_it_is_believed(upstream, make_proxy, connect):
    upstream.allow('anna', 'one')
    proxy = make_proxy(upstream.port)
    connect(proxy.port, 'anna', 'one').select()
    assert connect(proxy.port).cmd('LOGIN anna two').status == 'NO'
    upstream.allow('anna', 'three')
    connect(proxy.port, 'anna', 'three').select()
    assert [(e[2], e[3]) for e in upstream.logins if e[2] != 'one'] == [('two', False), ('three', True)]


def test_an_authorisation_identity_is_an_account_of_its_own(upstream, make_proxy, connect):
    seen = []

    def enter(conn, command):
        seen.append(command.args.split()[1])
        conn.user = 'x'
        conn.ok(command, 'in', 'CAPABILITY ' + upstream.capabilities)
    upstream.on('AUTHENTICATE', enter)
    proxy = make_proxy(upstream.port)
    for authzid in ('', 'boss', 'bo', 'anna'):
        client = connect(proxy.port)
        client.must(b'AUTHENTICATE PLAIN ' + secrets_tools.plain('anna', 'pw', authzid))
    plain = secrets_tools.plain
    assert seen == [plain('anna', 'pw'), plain('anna', 'pw', 'boss'), plain('anna', 'pw', 'bo')]


def test_t27_sessions_stay_while_the_upstream_cannot_be_asked(upstream, make_proxy, connect):
    upstream.mailbox('INBOX').add(tools.mail(1))
    upstream.allow('anna', 'pw')
    with judge_tap.Tap(upstream.port) as tap:
        _stay(upstream, tap, make_proxy, connect)


def _stay(upstream, tap, make_proxy, connect):
    proxy = make_proxy(tap.port, kind=tools.Configured, sections=AGAIN)
    client = connect(proxy.port, 'anna', 'pw')
    client.select()
    client.fetch('1', 'BODY.PEEK[]')
    tap.refuse(True)
    tap.kill_all()
    time.sleep(3)       # several rounds of verifying again
    assert client.fetch('1', 'BODY.PEEK[]')[1]['BODY[]'] == tools.mail(1)
    with pytest.raises(imapclient.IMAPRefused):
        connect(proxy.port, 'anna', 'guess')
    tap.refuse(False)
    upstream.change(lambda: upstream.mailbox('INBOX').add(tools.mail(2)))
    tools.wait_until(lambda: client.cmd('NOOP').exists == 2, 40, 'new mail')
