"""Protocol T41, the server's side: nothing that came in clear behind STARTTLS is carried out, before the handshake or
after it. The upstream's side: tests/unit/upstream/test_starttls_cases.c."""
import ssl

import pytest

import spine_tools as tools
from imapjudge import certs, imapclient

INJECTED = {'a command': b'x NOOP\r\n', 'a login': b'x LOGIN anna pw\r\n', 'half a line': b'x LOGIN an',
            'an empty line': b'\r\n', 'one octet': b'x',
            'a literal': b'x LOGIN anna {2+}\r\npw\r\n', 'an open literal': b'x LOGIN anna {200+}\r\np',
            'AUTHENTICATE': b'x AUTHENTICATE PLAIN AGFubmEAcHc=\r\n', 'STARTTLS again': b'x STARTTLS\r\n',
            'NUL': b'\0\r\n',
            'much': b'x NOOP\r\n' * 20_000}


@pytest.fixture
def tls(tmp_path):
    folder = tmp_path / 'tls'
    certs.make_ca(folder)
    certs.make_cert(folder)
    return folder


@pytest.fixture
def starttls_proxy(fake, make_proxy, tls):
    fake.users = {'anna': 'pw'}
    return make_proxy(fake.port, kind=tools.Configured, listener='tls = starttls cert = "%s/server.pem" '
                      'key = "%s/server.key" allow_cleartext = yes' % (tls, tls))


def context(tls):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.load_verify_locations(tls / 'ca.pem')
    return made


@pytest.mark.parametrize('what', sorted(INJECTED))
@pytest.mark.parametrize('together', [True, False])
def test_t41_nothing_injected_behind_starttls_is_carried_out(starttls_proxy, fake, tls, what, together):
    raw = tools.Raw(starttls_proxy.port)
    raw.line()
    if together:
        raw.send(b'a STARTTLS\r\n' + INJECTED[what])
    else:
        raw.send(b'a STARTTLS\r\n')
        assert raw.line().startswith(b'a OK')
        raw.send(INJECTED[what])
    try:
        if together:
            assert raw.line()[:4] in (b'a OK', b'a BA', b'* BY')
        with context(tls).wrap_socket(raw.sock, server_hostname='127.0.0.1') as secured:
            secured.settimeout(2)
            secured.sendall(b'b NOOP\r\n')
            assert secured.recv(4096).startswith(b'b OK')
    except (OSError, imapclient.IMAPClosed):
        pass        # ending the connection is as good
    assert not fake.seen('LOGIN', 'AUTHENTICATE')
    other = imapclient.IMAPClient('127.0.0.1', starttls_proxy.port)      # nobody else is troubled
    other.starttls(context(tls))
    assert b'STARTTLS' not in other.must('CAPABILITY').named('CAPABILITY')[0].raw
    assert other.cmd('STARTTLS').status == 'BAD'
    assert other.cmd('LOGIN anna pw').ok
    assert other.cmd('STARTTLS').status == 'BAD'
    other.close()


def test_t41_nothing_known_in_clear_is_known_inside(starttls_proxy, fake, tls):
    """A login begun in clear and not ended is not ended inside."""
    raw = tools.Raw(starttls_proxy.port)
    raw.line()
    raw.send(b'a AUTHENTICATE PLAIN\r\n')
    assert raw.line() == b'+ \r\n'
    raw.send(b'*\r\n')
    assert raw.line().startswith(b'a BAD')
    raw.send(b'b STARTTLS\r\n')
    assert raw.line().startswith(b'b OK')
    with context(tls).wrap_socket(raw.sock, server_hostname='127.0.0.1') as secured:
        secured.settimeout(5)
        secured.sendall(b'AGFubmEAcHc=\r\n')
        assert b'BAD' in secured.recv(4096)
    assert not fake.seen('LOGIN', 'AUTHENTICATE')
