"""Logins by token: XOAUTH2, OAUTHBEARER (RFC 7628), and AUTHENTICATE in all its forms. Design section 8 "Tokens",
protocol T40."""
import base64
import hashlib
import hmac
import json
import pathlib
import shutil
import tempfile
import time

import pytest

import secrets_tools
import spine_tools as tools
from imapjudge import certs, dovecot as judge_dovecot, imapclient
from secrets_tools import ERROR, oauthbearer, plain, xoauth2

MAKERS = {'XOAUTH2': xoauth2, 'OAUTHBEARER': oauthbearer}


@pytest.fixture
def upstream():
    with secrets_tools.SecretServer() as instance:
        instance.mailbox('INBOX').add(tools.mail(1))
        yield instance
    assert not instance.errors, instance.errors


def authenticate(client, mechanism, *answers, initial=True):
    """The tagged result; the first answer as initial response or not, the others to what is asked."""
    answers = list(answers)
    first = answers.pop(0) if initial else None
    tag = client.start(b'AUTHENTICATE ' + mechanism.encode() + (b' ' + first if initial else b''))
    asked = []
    while True:
        response = client.read_response()
        if response.kind != 'continue':
            break
        asked.append(response.raw)
        client.send_raw(answers.pop(0) + b'\r\n')
    assert response.raw.startswith(tag if isinstance(tag, bytes) else tag.encode()), response
    return response, asked


# ---- coming in

@pytest.mark.parametrize('mechanism', sorted(MAKERS))
@pytest.mark.parametrize('initial', [True, False])
def test_t40_a_token_is_taken_where_the_upstream_takes_it(upstream, make_proxy, connect, mechanism, initial):
    upstream.allow('anna@example.org', 'tok.1')
    client = connect(make_proxy(upstream.port).port)
    response, asked = authenticate(client, mechanism, MAKERS[mechanism]('anna@example.org', 'tok.1'), initial=initial)
    assert response.name == 'OK' and asked == ([] if initial else [b'+ \r\n'])
    client.select()
    assert [e[:4] for e in upstream.logins] == [(mechanism, 'anna@example.org', 'tok.1', True)]


@pytest.mark.parametrize('mechanism', sorted(MAKERS))
def test_t40_a_refused_token_is_told_why_first(upstream, make_proxy, connect, mechanism):
    client = connect(make_proxy(upstream.port).port)
    answer = b'' if mechanism == 'XOAUTH2' else b'AQ=='
    for _ in range(2):      # the second is a repetition
        response, asked = authenticate(client, mechanism, MAKERS[mechanism]('anna', 'bad'), answer)
        assert asked == [b'+ ' + ERROR + b'\r\n']
        assert (response.name, response.code) == ('NO', 'AUTHENTICATIONFAILED')
    assert len(upstream.logins) == 1
    response, asked = authenticate(client, mechanism, MAKERS[mechanism]('anna', 'bad'), b'*')
    assert response.name == 'BAD'
    upstream.allow('anna', 'good')
    assert authenticate(client, mechanism, MAKERS[mechanism]('anna', 'good'))[0].name == 'OK'


def test_t40_mechanisms_are_offered_as_the_upstream_was_last_seen_to(upstream, make_proxy, connect):
    upstream.allow('anna', 'pw')
    proxy = make_proxy(upstream.port)
    assert b'XOAUTH2' not in connect(proxy.port).greeting.raw       # nothing is known of it yet
    connect(proxy.port, 'anna', 'pw')
    client = connect(proxy.port)
    for said in (client.greeting.raw, client.must('CAPABILITY').named('CAPABILITY')[0].raw):
        assert b' AUTH=PLAIN' in said and b' AUTH=XOAUTH2' in said and b' AUTH=OAUTHBEARER' in said
    upstream.mechanisms = ['XOAUTH2']
    assert client.cmd('LOGIN bo pw').status == 'NO'
    said = connect(proxy.port).greeting.raw
    assert b'AUTH=XOAUTH2' in said and b'OAUTHBEARER' not in said


def test_t40_an_upstream_that_nothing_is_known_of_is_asked(make_proxy, connect, tmp_path):
    folder = tmp_path / 'tls'
    certs.make_ca(folder)
    certs.make_cert(folder)
    with secrets_tools.SecretServer(tls=(folder / 'server.pem', folder / 'server.key')) as upstream:
        proxy = make_proxy(upstream.port, kind=tools.Configured, scheme='imaps', host='localhost',
                           upstream='ca_file = "%s"' % (folder / 'ca.pem'))
        tools.wait_until(lambda: b'XOAUTH2' in connect(proxy.port).greeting.raw, 5, 'the offer')
        assert not upstream.seen('AUTHENTICATE', 'LOGIN') and upstream.seen('LOGOUT') and upstream.total == 1


def test_t40_an_upstream_without_tokens_gets_none(upstream, make_proxy, connect):
    upstream.mechanisms = ['PLAIN']
    client = connect(make_proxy(upstream.port).port)
    response, _ = authenticate(client, 'XOAUTH2', xoauth2('anna', 'tok'))
    assert (response.name, response.code) == ('NO', 'CANNOT')
    assert not upstream.seen('AUTHENTICATE', 'LOGIN')
    upstream.allow('anna', 'pw')
    assert authenticate(client, 'PLAIN', plain('anna', 'pw'))[0].name == 'OK'


@pytest.mark.parametrize('initial', [True, False])
def test_t40_the_mechanism_login(upstream, make_proxy, connect, initial):
    upstream.allow('anna', 'p w"\\')
    client = connect(make_proxy(upstream.port).port)
    name, secret = base64.b64encode(b'anna'), base64.b64encode(b'p w"\\')
    response, asked = authenticate(client, 'LOGIN', name, secret, initial=initial)
    prompts = [b'+ ' + base64.b64encode(p) + b'\r\n' for p in (b'Username:', b'Password:')]
    assert response.name == 'OK' and asked == prompts[initial:]
    other = connect(client.port)
    assert authenticate(other, 'LOGIN', name, b'*')[0].name == 'BAD'
    assert authenticate(other, 'LOGIN', b'*', initial=False)[0].name == 'BAD'
    assert authenticate(other, 'LOGIN', name, b'no base64')[0].name == 'BAD'
    assert authenticate(other, 'LOGIN', b'', secret, initial=False)[0].name in ('BAD', 'NO')
    assert authenticate(other, 'LOGIN', name, secret)[0].name == 'OK'


WRONG = [b'', b'Zg', b'====', b'user', base64.b64encode(b'user=anna'), base64.b64encode(b'user=anna\1auth=Bearer t\1'),
         base64.b64encode(b'user=anna\1auth=Bearer t\1\1x'), base64.b64encode(b'user=\1auth=Bearer t\1\1'),
         base64.b64encode(b'user=a\r\nb\1auth=Bearer t\1\1'), base64.b64encode(b'n,a=anna,\1auth=Bearer t\1'),
         base64.b64encode(b'n,,\1auth=Bearer t\1\1'), base64.b64encode(b'\0anna'), b'A' * 40000,
         base64.b64encode(b'\0anna\0' + b'x' * 20000)]


@pytest.mark.parametrize('mechanism', ['PLAIN', 'XOAUTH2', 'OAUTHBEARER'])
@pytest.mark.parametrize('initial', [True, False])
def test_t40_what_is_not_of_the_grammar_is_not_asked_about(upstream, make_proxy, connect, mechanism, initial):
    proxy = make_proxy(upstream.port, kind=tools.Configured, sections='limits { bad_commands = 100 }')
    client = connect(proxy.port)
    for answer in WRONG:
        said = answer or b'=' if initial else answer
        assert authenticate(client, mechanism, said, initial=initial)[0].name in ('BAD', 'NO'), answer
    assert not upstream.seen('AUTHENTICATE', 'LOGIN')
    upstream.allow('anna', 'pw')
    assert client.cmd('LOGIN anna pw').ok


def test_t40_pipelined_commands_wait_for_the_answer_to_a_token(upstream, make_proxy, connect):
    client = connect(make_proxy(upstream.port).port)
    client.send_raw(b'a AUTHENTICATE XOAUTH2\r\n' + xoauth2('anna', 'bad') + b'\r\n\r\nb NOOP\r\n'
                    b'c AUTHENTICATE PLAIN\r\n*\r\n')
    said = [client.read_response().raw for _ in range(6)]
    assert [line[:3] for line in said] == [b'+ \r', b'+ ' + ERROR[:1], b'a N', b'b O', b'+ \r', b'c B'], said


# ---- tokens that expire (the clock is the real one)

def test_t40_a_token_expires_its_session_is_ended_the_newer_ones_goes_on(upstream, make_proxy, connect):
    """Both go on over the loss of all links, by the newer token; then the older one is verified by itself, refused
    twice, and its session is told to log in afresh. Nothing of the mailbox is fetched again."""
    proxy = make_proxy(upstream.port, kind=tools.Configured, sections='auth { reverify = 8s retry = 3s }')
    clients = []
    for token, seconds in (('short', 3), ('long', 60)):
        upstream.allow('anna', token, seconds)
        client = connect(proxy.port)
        assert authenticate(client, 'XOAUTH2', xoauth2('anna', token))[0].name == 'OK'
        client.select()
        client.fetch('1', 'BODY.PEEK[]')
        clients.append(client)
    short, long = clients
    fetched = len(upstream.seen('UID FETCH'))
    short.idle()
    time.sleep(3)       # its token is no longer valid, which nobody has noticed
    before = len(upstream.logins)
    upstream.drop_all()
    tools.wait_until(lambda: len(upstream.logins) > before, what='a reconnect')
    assert upstream.logins[before][2:4] == ('long', True)
    said = tools.until_bye(short, 25)
    assert [r.name for r in said if r.name == 'BYE'] == ['BYE'], said
    assert [e[3] for e in upstream.attempts('short')][-2:] == [False, False]
    assert long.must('NOOP').ok
    upstream.allow('anna', 'fresh', 60)
    again = connect(proxy.port)
    assert authenticate(again, 'XOAUTH2', xoauth2('anna', 'fresh'))[0].name == 'OK'
    again.select()
    assert again.fetch('1', 'BODY.PEEK[]')[1]['BODY[]'] == tools.mail(1)
    bodies = [c for c in upstream.seen('UID FETCH')[fetched:] if b'BODY' in c.args]
    assert not bodies


def test_t27_with_no_valid_token_left_all_are_told_to_log_in_afresh(upstream, make_proxy, connect):
    proxy = make_proxy(upstream.port, kind=tools.Configured, sections='auth { retry = 3s }')
    upstream.allow('anna', 'only', 2)
    client = connect(proxy.port)
    assert authenticate(client, 'XOAUTH2', xoauth2('anna', 'only'))[0].name == 'OK'
    client.select()
    client.fetch('1', 'BODY.PEEK[]')
    client.idle()
    time.sleep(2)
    upstream.drop_all()
    said = tools.until_bye(client, 15)
    assert [r.name for r in said if r.name == 'BYE'] == ['BYE'], said
    upstream.allow('anna', 'next', 60)
    again = connect(proxy.port)
    assert authenticate(again, 'XOAUTH2', xoauth2('anna', 'next'))[0].name == 'OK'
    again.select()
    mark = len(upstream.commands)
    assert again.fetch('1', 'BODY.PEEK[]')[1]['BODY[]'] == tools.mail(1)     # kept in the store
    assert not [c for c in upstream.commands[mark:] if b'BODY' in c.args]


def test_t40_with_share_secret_a_token_that_names_another_sees_nothing_of_his(upstream, make_proxy, connect):
    """The upstream looks at the token alone: 'bo' by Anna's name is Bo."""
    owner = {'anna-token': 'INBOX', 'bo-token': 'Bo'}
    upstream.mailbox('Bo').add(tools.mail(7))

    def enter(conn, command):
        token = base64.b64decode(command.args.split()[1]).split(b'Bearer ')[1].rstrip(b'\1').decode()
        conn.user = owner[token]
        conn.ok(command, 'in', 'CAPABILITY ' + upstream.capabilities)

    def select(conn, command):
        command.args = command.args.replace(b'INBOX', conn.user.encode())
        return conn.default(command)
    upstream.on('AUTHENTICATE', enter)
    upstream.on('SELECT', select).on('EXAMINE', select)
    proxy = make_proxy(upstream.port, kind=tools.Configured, sections='auth { share = secret }')
    for token, mail in (('anna-token', 1), ('bo-token', 7), ('anna-token', 1)):
        client = connect(proxy.port)
        assert authenticate(client, 'XOAUTH2', xoauth2('anna', token))[0].name == 'OK'
        client.select()
        assert client.fetch('1', 'BODY.PEEK[]')[1]['BODY[]'] == tools.mail(mail)


# ---- a real server that looks at the time in a token

def jwt(key, user, seconds):
    def part(what):
        return base64.urlsafe_b64encode(what).rstrip(b'=')
    now = int(time.time())
    head = part(json.dumps({'alg': 'HS256', 'typ': 'JWT'}).encode())
    body = part(json.dumps({'email': user, 'sub': user, 'iat': now, 'exp': now + seconds}).encode())
    signed = head + b'.' + body
    return (signed + b'.' + part(hmac.new(key, signed, hashlib.sha256).digest())).decode()


@pytest.fixture(scope='module')
def token_dovecot():
    """Dovecot that takes JWTs with HS256; .key signs them."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix='imapjudge-'))
    folder.chmod(0o755)         # its authentication process is not root
    key = b'a key of thirty-two octets, not 1'
    (folder / 'default' / 'HS256').mkdir(parents=True)
    (folder / 'default' / 'HS256' / 'default').write_bytes(base64.b64encode(key))
    config = folder / 'oauth2.conf'
    config.write_text('introspection_mode = local\nlocal_validation_key_dict = fs:posix:prefix=%s/\n' % folder)
    extra = ('auth_mechanisms = plain login xoauth2 oauthbearer\n'
             'passdb {\n  driver = oauth2\n  mechanisms = xoauth2 oauthbearer\n  args = %s\n}\n' % config)
    with judge_dovecot.Dovecot(users=4, extra=extra) as upstream:
        upstream.key = key
        yield upstream
    shutil.rmtree(folder)


@pytest.mark.parametrize('mechanism', sorted(MAKERS))
def test_t40_tokens_before_dovecot(token_dovecot, make_proxy, connect, mechanism):
    user = token_dovecot.new_user()
    token_dovecot.fill(user, 'INBOX', tools.mails(2))
    good, expired = jwt(token_dovecot.key, user, 300), jwt(token_dovecot.key, user, -10)
    with token_dovecot.client() as direct:
        truth, asked = authenticate(direct, mechanism, MAKERS[mechanism](user, expired), b'')
    client = connect(make_proxy(token_dovecot.port).port)
    said, also_asked = authenticate(client, mechanism, MAKERS[mechanism](user, expired), b'')
    assert (said.name, said.code, said.text) == (truth.name, truth.code, truth.text) and also_asked == asked
    assert authenticate(client, mechanism, MAKERS[mechanism](user, good))[0].name == 'OK'
    client.select()
    assert client.fetch('1', 'BODY.PEEK[]')[1]['BODY[]'] == tools.mail(1)


def test_t40_a_token_of_dovecot_expires(token_dovecot, make_proxy, connect):
    """The whole 60 seconds with IMAPCACHED_LONG, else a few."""
    user, seconds = token_dovecot.new_user(), 60 if tools.LONG else 5
    proxy = make_proxy(token_dovecot.port, kind=tools.Configured,
                       sections='auth { reverify = %ds retry = 6s }' % (seconds + 1))
    first, second = connect(proxy.port), connect(proxy.port)
    began = time.monotonic()
    assert authenticate(first, 'XOAUTH2', xoauth2(user, jwt(token_dovecot.key, user, seconds)))[0].name == 'OK'
    assert authenticate(second, 'XOAUTH2', xoauth2(user, jwt(token_dovecot.key, user, 600)))[0].name == 'OK'
    for client in (first, second):
        client.select()
    first.idle()
    said = tools.until_bye(first, seconds + 20)
    assert [r.name for r in said if r.name == 'BYE'] == ['BYE'], said
    assert time.monotonic() - began >= seconds
    assert second.must('NOOP').ok
    with pytest.raises(imapclient.IMAPRefused):
        connect(proxy.port, user, 'no password')
