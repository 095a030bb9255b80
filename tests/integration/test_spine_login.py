"""Logins and TLS: who gets in, what the upstream is asked, what travels in clear."""
import base64
import socket
import ssl
import time
import warnings

import pytest

import spine_tools as tools
from imapjudge import certs, imapclient


@pytest.fixture
def tls(tmp_path):
    """A CA, a certificate for 127.0.0.1 and localhost, and one for another host."""
    folder = tmp_path / 'tls'
    certs.make_ca(folder)
    certs.make_cert(folder)
    certs.make_cert(folder, 'other', hosts=('mail.example.org',), addresses=())
    return folder


def refused(client, user, password):
    result = client.cmd('LOGIN "%s" "%s"' % (user, password))
    assert result.status == 'NO', result
    return result


# ---- proofs

def test_wrong_password_is_refused_in_the_upstreams_words(proxy, server, user, connect):
    with server.client() as direct:
        truth = refused(direct, user, 'wrong')
    said = refused(connect(proxy.port), user, 'wrong')
    assert (said.code, said.text) == (truth.code, truth.text)
    assert said.code == 'AUTHENTICATIONFAILED'


def test_wrong_password_by_authenticate_plain(proxy, user, connect):
    client = connect(proxy.port)
    wrong, right = (base64.b64encode(b'\0%s\0%s' % (user.encode(), p)) for p in (b'wrong', b'pw'))
    assert client.cmd(b'AUTHENTICATE PLAIN ' + wrong).code == 'AUTHENTICATIONFAILED'
    tag = client.start('AUTHENTICATE PLAIN')
    assert client.read_response().kind == 'continue'
    client.send_raw(b'*\r\n')
    assert client.wait(tag).status == 'BAD'
    tag = client.start('AUTHENTICATE PLAIN')
    assert client.read_response().kind == 'continue'
    client.send_raw(right + b'\r\n')
    assert client.wait(tag).ok
    client.select()


def test_second_login_with_a_proven_secret_asks_nobody(proxy, server, user, tap, connect):
    first = connect(proxy.port, user)
    if server.facts.condstore:
        tools.wait_until(lambda: any(c.done for c in tap.since().of('ENABLE')))      # not waited for by the login
    mark = tap.mark()
    for _ in range(5):
        connect(proxy.port, user)
    assert tap.since(mark).connections == 0 and tap.since(mark).commands == []
    first.logout()
    connect(proxy.port, user)
    assert tap.since(mark).connections == 0


def test_many_logins_at_once_are_one_verification(proxy, user, tap, connect):
    clients = [connect(proxy.port) for _ in range(20)]
    tags = [client.start('LOGIN %s pw' % user) for client in clients]
    assert all(client.wait(tag).ok for client, tag in zip(clients, tags))
    assert tap.total == 1


def test_wrong_password_never_sees_what_is_cached(make_proxy, server, user, tap, connect):
    proxy = make_proxy(tap.port, kind=tools.Configured, sections='auth { failures_per_login = 0 }')
    server.fill(user, 'INBOX', tools.mails(3))
    owner = connect(proxy.port, user)
    owner.select()
    owner.fetch('1:*', 'BODY.PEEK[]')
    for _ in range(2):
        stranger = connect(proxy.port)
        for password in ('wrong', '', 'pw ', 'PW', 'p', 'pww'):
            refused(stranger, user, password)
        for command in ('SELECT INBOX', 'EXAMINE INBOX', 'FETCH 1 BODY.PEEK[]', 'UID FETCH 1:* FLAGS', 'LIST "" *',
                        'STATUS INBOX (MESSAGES)', 'IDLE'):
            result = stranger.cmd(command)
            assert result.status == 'BAD' and not result.untagged, command
        stranger.close()
        # the same while the upstream cannot be asked
        tap.refuse(True)
        tap.kill_all()
    stranger = connect(proxy.port)
    assert stranger.cmd('LOGIN "%s" wrong' % user).status == 'NO'
    assert stranger.cmd('SELECT INBOX').status == 'BAD'


def test_t8_t44_another_login_sees_nothing_of_the_first(proxy, server, user, tap, connect):
    server.fill(user, 'INBOX', tools.mails(3))
    other = server.new_user()
    server.fill(other, 'INBOX', [tools.mail(7)])
    first = connect(proxy.port, user)
    first.select()
    first.fetch('1:*', 'BODY.PEEK[]')
    second = connect(proxy.port, other)
    assert second.select().exists == 1
    assert second.fetch('1', 'BODY.PEEK[]')[1]['BODY[]'] == tools.mail(7)
    assert first.fetch('1', 'BODY.PEEK[]')[1]['BODY[]'] == tools.mail(1)


def test_secret_is_proven_again_after_its_time_and_a_changed_one_is_refused(server, tap, make_proxy, connect):
    name = server.add_user('changing', 'old')
    proxy = make_proxy(tap.port, kind=tools.Configured, sections='auth { ttl = 1s }',
                       upstream='account_linger = 5m')
    connect(proxy.port, name, 'old').select()
    proven = time.monotonic()
    server.add_user(name, 'new')
    time.sleep(max(0, proven + 1.1 - time.monotonic()))     # its time is over
    mark = tap.mark()
    refused(connect(proxy.port), name, 'old')
    assert tap.since(mark).connections == 1
    connect(proxy.port, name, 'new').select()


def test_secrets_are_neither_in_the_log_nor_in_the_cache(server, tap, make_proxy, connect):
    secret = 'Tr0ub4dor-and-3'
    name = server.add_user('careful', secret)
    proxy = make_proxy(tap.port, kind=tools.Configured, cache='size = 16M')
    client = connect(proxy.port, name, secret)
    client.select()
    refused(connect(proxy.port), name, secret + 'x')
    connect(proxy.port).cmd(b'AUTHENTICATE PLAIN ' + base64.b64encode(b'\0careful\0' + secret.encode()))
    connect(proxy.port).cmd('LOGIN careful %s garbage (' % secret)
    client.logout()
    assert proxy.stop() == 0
    needles = [secret.encode(), base64.b64encode(b'\0careful\0' + secret.encode())]
    for path in [p for p in proxy.folder.rglob('*') if p.is_file()]:
        data = path.read_bytes()
        assert not any(needle in data for needle in needles), path


@pytest.mark.parametrize('name, password', [('with"quote', 'p"w\\'), ('any-sp ace', 'pw'), ('any-d{3}', 'pw')])
def test_t40_odd_names_and_passwords(server, fake, make_proxy, connect, name, password):
    fake.users = {name: password}
    client = connect(make_proxy(fake.port).port)
    quoted = tuple(v.replace('\\', '\\\\').replace('"', '\\"') for v in (name, password))
    assert client.cmd('LOGIN "%s" "%s"' % quoted).ok
    other = connect(client.port)
    assert other.cmd('LOGIN ', imapclient.Lit(name.encode()), ' ', imapclient.Lit(password.encode(), sync=False)).ok
    refused(connect(client.port), quoted[0], 'pw' + quoted[1])


@pytest.mark.parametrize('refusal', ['NO [AUTHENTICATIONFAILED] who are you', 'NO [UNAVAILABLE] not now', 'BAD what',
                                     'NO [LIMIT] too many connections', '* BYE overloaded'])
def test_one_refusal_on_reconnecting_throws_nobody_out(fake, make_proxy, connect, refusal):
    """Design 8: one frightening answer must not end an office's sessions."""
    for n in (1, 2):
        fake.mailbox('INBOX').add(tools.mail(n))
    proxy = make_proxy(fake.port)
    clients = [connect(proxy.port, 'anna', timeout=30) for _ in range(3)]
    for client in clients:
        client.select()
        client.fetch('1', 'BODY.PEEK[]')

    def refuse(conn, command):
        if refusal.startswith('*'):
            conn.send(refusal + '\r\n')
            conn.cut()
        conn.send(command.tag + b' ' + refusal.encode() + b'\r\n')
    fake.on('AUTHENTICATE', refuse, times=1)
    logins = len(fake.seen('AUTHENTICATE'))
    fake.drop_all()
    fake.wait_for('AUTHENTICATE', logins + 1, 20)
    for client in clients:
        assert client.fetch('1', 'BODY.PEEK[]')[1]['BODY[]'] == tools.mail(1)
    fake.change(lambda: fake.mailbox('INBOX').add(tools.mail(3)))
    heard = [client.must('NOOP').exists for client in clients]      # it may be back already
    if 'FAILED' in refusal and not tools.LONG:
        return      # the secret rests for a minute before it is tried again
    for client, count in zip(clients, heard):
        if count != 3:
            tools.wait_until(lambda c=client: c.must('NOOP').exists == 3, 80, 'the new mail')
        assert client.fetch('2:3', 'BODY.PEEK[]')[3]['BODY[]'] == tools.mail(3)


def test_upstream_away_is_told_as_that(make_proxy, connect):
    from imapjudge import ports
    client = connect(make_proxy(ports.free_port()).port)
    result = refused(client, 'anna', 'pw')
    assert result.code == 'UNAVAILABLE'


# ---- clients: cleartext, TLS

def listener(tls, kind, more=''):
    return 'tls = %s cert = "%s/server.pem" key = "%s/server.key" %s' % (kind, tls, tls, more)


def test_cleartext_login_is_refused_where_it_is_not_allowed(server, user, tap, make_proxy, connect, tls):
    proxy = make_proxy(tap.port, kind=tools.Configured, listener=listener(tls, 'starttls', 'allow_cleartext = no'))
    client = connect(proxy.port)
    assert b'LOGINDISABLED' in client.greeting.raw and b'AUTH=PLAIN' not in client.greeting.raw
    result = refused(client, user, 'pw')
    assert result.code == 'PRIVACYREQUIRED'
    plain = base64.b64encode(b'\0%s\0pw' % user.encode())
    assert client.cmd(b'AUTHENTICATE PLAIN ' + plain).code == 'PRIVACYREQUIRED'
    assert tap.total == 0, 'the upstream was asked about a login in clear'
    client.starttls(tls / 'ca.pem')
    offered = client.capability()
    assert 'LOGINDISABLED' not in offered and 'STARTTLS' not in offered and 'AUTH=PLAIN' in offered
    client.login(user, 'pw')
    client.select()
    assert client.cmd('STARTTLS').status == 'BAD'


def test_implicit_tls(server, user, tap, make_proxy, connect, tls):
    server.fill(user, 'INBOX', [tools.mail(1, 300_000)])
    proxy = make_proxy(tap.port, kind=tools.Configured, listener=listener(tls, 'implicit'))
    client = connect(proxy.port, user, tls=tls / 'ca.pem', timeout=30)
    assert client.sock.version() in ('TLSv1.2', 'TLSv1.3')
    client.select()
    assert client.fetch('1', 'BODY.PEEK[]')[1]['BODY[]'] == tools.mail(1, 300_000)
    client.append('INBOX', tools.mail(2, 300_000))
    assert client.fetch('2', 'BODY.PEEK[]')[2]['BODY[]'] == tools.mail(2, 300_000)
    client.idle()
    server.fill(user, 'INBOX', [tools.mail(3)])
    client.idle_wait(lambda got: any(r.name == 'EXISTS' and r.num == 3 for r in got))
    client.done()
    client.logout()
    # clear text on a TLS port gets no answer to a command
    raw = tools.Raw(proxy.port)
    raw.send(b'a LOGIN %s pw\r\nb SELECT INBOX\r\n' % user.encode() * 20)
    assert b'OK' not in raw.rest()
    raw.close()


@pytest.mark.parametrize('version', [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_tls_is_refused(tap, make_proxy, tls, version):
    proxy = make_proxy(tap.port, kind=tools.Configured, listener=listener(tls, 'implicit'))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers('ALL:@SECLEVEL=0')
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')     # old versions are what this is about
        context.minimum_version = context.maximum_version = version
    with pytest.raises((ssl.SSLError, ConnectionError)):
        context.wrap_socket(socket.create_connection(('127.0.0.1', proxy.port), timeout=10))


@pytest.mark.parametrize('split', [False, True], ids=['together', 'apart'])
def test_t41_plaintext_behind_starttls_does_nothing(server, user, tap, make_proxy, tls, split):
    """T41: what came in clear behind STARTTLS is not carried out after the handshake, nor before."""
    proxy = make_proxy(tap.port, kind=tools.Configured, listener=listener(tls, 'starttls', 'allow_cleartext = yes'))
    raw = tools.Raw(proxy.port)
    raw.line()
    injected = b'x LOGIN %s pw\r\ny CREATE injected\r\nz NOOP\r\n' % user.encode()
    if split:
        raw.send(b'a STARTTLS\r\n')
        time.sleep(0.005)
        raw.send(injected)
    else:
        raw.send(b'a STARTTLS\r\n' + injected)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(tls / 'ca.pem')
    try:
        said = raw.line()
        assert said.startswith((b'a OK', b'a BAD', b'* BYE')), said
        with context.wrap_socket(raw.sock, server_hostname='127.0.0.1') as secured:
            secured.settimeout(2)
            secured.sendall(b'b NOOP\r\n')
            answer = secured.recv(4096)
            assert answer.startswith(b'b OK'), 'carried over: %r' % answer
    except (OSError, imapclient.IMAPClosed):
        pass        # ending the connection is as good
    assert not [c for c in tap.since().commands], tap.since().commands
    with server.client(user) as direct:
        assert len(direct.must('LIST "" *').named('LIST')) == 1


def test_certificate_of_another_ca_is_refused_by_the_client_alone(tap, make_proxy, connect, tls, user):
    """A broken handshake of one client is nobody else's matter."""
    proxy = make_proxy(tap.port, kind=tools.Configured, listener=listener(tls, 'implicit'))
    with pytest.raises(ssl.SSLError):
        connect(proxy.port, tls=ssl.create_default_context())
    raw = tools.Raw(proxy.port)
    raw.send(b'\x16\x03\x01\xff\xff' + b'\xee' * 70_000)
    raw.rest()
    connect(proxy.port, user, tls=tls / 'ca.pem').select()


# ---- the upstream's side

def test_imaps_upstream_with_its_ca(server, user, make_proxy, connect):
    server.fill(user, 'INBOX', [tools.mail(1, 200_000)])
    for host in ('127.0.0.1', 'localhost'):
        proxy = make_proxy(server.tls_port, kind=tools.Configured, scheme='imaps', host=host,
                           upstream='ca_file = "%s"' % server.ca_file)
        client = connect(proxy.port, user)
        client.select()
        assert client.fetch('1', 'BODY.PEEK[]')[1]['BODY[]'] == tools.mail(1, 200_000)


def test_starttls_upstream_with_its_ca(server, user, make_proxy, connect, tap):
    """Nothing but STARTTLS and what it needs is seen in clear."""
    proxy = make_proxy(tap.port, kind=tools.Configured, upstream='ca_file = "%s"' % server.ca_file)
    connect(proxy.port, user).select()
    assert {'STARTTLS'} <= {c.verb for c in tap.commands if c.verb.isalpha()}
    assert not {'LOGIN', 'AUTHENTICATE'} & {c.verb for c in tap.commands}


def certificate_trouble(fake, user):
    """What a server whose certificate is not accepted must never hear."""
    return [c for c in fake.commands if c.verb in ('LOGIN', 'AUTHENTICATE')]


@pytest.mark.parametrize('case', ['wrong name', 'unknown ca', 'expected'])
@pytest.mark.parametrize('kind', ['imaps', 'starttls'])
def test_upstream_certificate_is_verified(make_proxy, connect, tls, case, kind, tmp_path):
    from imapjudge import fakeserver
    name = 'other' if case == 'wrong name' else 'server'
    pair = (tls / (name + '.pem'), tls / (name + '.key'))
    ca_file = tls / 'ca.pem'
    if case == 'unknown ca':
        ca_file = certs.make_ca(tmp_path / 'strange', 'Strange CA')
    with fakeserver.FakeServer(**{'tls' if kind == 'imaps' else 'starttls': pair}) as fake:
        proxy = make_proxy(fake.port, kind=tools.Configured, scheme='imaps' if kind == 'imaps' else 'imap',
                           upstream='ca_file = "%s"' % ca_file)
        result = connect(proxy.port).cmd('LOGIN anna pw', timeout=30)
        assert result.ok == (case == 'expected'), result
        assert bool(certificate_trouble(fake, 'anna')) == (case == 'expected')


def test_t41_plaintext_behind_the_upstreams_starttls_does_nothing(make_proxy, connect, tls):
    """T41, the other leg: answers injected in clear are not taken for the server's."""
    from imapjudge import fakeserver
    with fakeserver.FakeServer(starttls=(tls / 'server.pem', tls / 'server.key'), users={'anna': 'right'}) as fake:
        fake.starttls_extra = b'* CAPABILITY IMAP4rev1 AUTH=PLAIN X-INJECTED\r\nA2 OK in\r\nA3 OK in\r\nA4 OK in\r\n'
        proxy = make_proxy(fake.port, kind=tools.Configured, upstream='ca_file = "%s"' % (tls / 'ca.pem'))
        client = connect(proxy.port, timeout=30)
        assert client.cmd('LOGIN anna wrong').status == 'NO'
        assert client.cmd('LOGIN anna right').status == 'NO', 'the injection was passed over'
        assert not certificate_trouble(fake, 'anna')
        fake.starttls_extra = b''
        assert client.cmd('LOGIN anna right').ok


@pytest.mark.parametrize('trick', ['preauth', 'no starttls', 'starttls refused'])
def test_t41_upstream_that_talks_its_way_out_of_tls_gets_no_secret(make_proxy, connect, tls, trick):
    from imapjudge import fakeserver
    pair = None if trick == 'no starttls' else (tls / 'server.pem', tls / 'server.key')
    greeting = '* PREAUTH [CAPABILITY IMAP4rev1] welcome\r\n' if trick == 'preauth' else None
    capabilities = fakeserver.CAPABILITIES + (' LOGINDISABLED' if trick == 'no starttls' else '')
    with fakeserver.FakeServer(starttls=pair, greeting=greeting, capabilities=capabilities) as fake:
        if trick == 'starttls refused':
            fake.on('STARTTLS', lambda conn, command: conn.no(command, 'not today'))
        proxy = make_proxy(fake.port, kind=tools.Configured, upstream='ca_file = "%s"' % (tls / 'ca.pem'))
        assert connect(proxy.port, timeout=30).cmd('LOGIN anna pw').status == 'NO'
        assert not certificate_trouble(fake, 'anna')


def test_mailbox_opened_while_the_server_is_away_is_served_when_it_is_back(fake, make_proxy, connect):
    """Kept from a session before, used by nobody when its link went, for the third time within a minute."""
    fake.mailbox('INBOX').add(tools.mail(1))
    proxy = make_proxy(fake.port)
    first = connect(proxy.port, 'anna', timeout=20)
    first.select()
    for _ in range(2):
        first.fetch('1', 'FLAGS')
        selects = len(fake.seen('SELECT'))
        fake.drop_all()
        fake.wait_for('SELECT', selects + 1, 20)
    first.fetch('1', 'FLAGS')
    first.must('LOGOUT')
    fake.on('AUTHENTICATE', lambda conn, command: conn.cut(), times=2)
    fake.drop_all()
    second = connect(proxy.port, 'anna', timeout=20)
    assert second.cmd('LIST "" *').status == 'NO'
    second.select()
