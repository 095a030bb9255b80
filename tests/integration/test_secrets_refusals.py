"""To the provider a whole office is one address: failures are counted here, refusals are repeated without asking, and
nobody is delayed by another's mistakes. Design section 8 "Refusals"."""
import socket
import threading
import time

import pytest

import secrets_tools
import spine_tools as tools
from imapjudge import dovecot as judge_dovecot, imapclient


@pytest.fixture
def upstream():
    with secrets_tools.SecretServer() as instance:
        instance.allow('anna', 'pw')
        instance.allow('bo', 'pw')
        yield instance
    assert not instance.errors, instance.errors


def login(port, user, password, timeout=70):
    """(tagged result, seconds it took)"""
    with imapclient.IMAPClient('127.0.0.1', port, timeout=timeout) as client:
        began = time.monotonic()
        result = client.cmd('LOGIN "%s" "%s"' % (user, password))
        return result, time.monotonic() - began


def all_at_once(port, attempts):
    """[(tagged result, seconds)] of logins begun together, in the order given."""
    results = [None] * len(attempts)

    def run(i):
        try:
            results[i] = login(port, *attempts[i])
        except imapclient.IMAPClosed:
            pass        # held until the end of the test
    threads = [threading.Thread(target=run, args=(i,), daemon=True) for i in range(len(attempts))]
    for thread in threads:
        thread.start()
    return results, threads


def test_five_wrong_logins_do_not_delay_another_users_login(upstream, make_proxy):
    upstream.delay = 3        # the upstream slows down whoever is wrong
    proxy = make_proxy(upstream.port)
    results, threads = all_at_once(proxy.port, [('anna', 'wrong%d' % n) for n in range(5)])
    tools.wait_until(lambda: upstream.attempts(), what='the first wrong login')
    for _ in range(3):
        result, seconds = login(proxy.port, 'bo', 'pw')
        assert result.ok and seconds < 1
    del results, threads    # some are still held; they end with the proxy
    assert len([e for e in upstream.attempts() if not e[3]]) <= 2


def test_the_same_wrong_secret_is_asked_about_once(upstream, make_proxy):
    upstream.delay = 0.5
    proxy = make_proxy(upstream.port)
    times = []
    for _ in range(5):
        result, seconds = login(proxy.port, 'anna', 'wrong')
        assert (result.status, result.code, result.text) == ('NO', 'AUTHENTICATIONFAILED', b'not you')
        times.append(seconds)
    assert len(upstream.logins) == 1
    # each takes as long as the upstream's own answer did
    assert all(0.45 < t < 1.5 for t in times), times
    result, seconds = login(proxy.port, 'anna', 'pw')
    assert result.ok and seconds < 0.5


def test_a_refusal_is_not_repeated_for_ever(upstream, make_proxy):
    proxy = make_proxy(upstream.port, kind=tools.Configured, sections='auth { retry = 1s }')
    assert login(proxy.port, 'anna', 'soon')[0].status == 'NO'
    upstream.allow('anna', 'soon')
    assert login(proxy.port, 'anna', 'soon')[0].status == 'NO'
    time.sleep(1)
    assert login(proxy.port, 'anna', 'soon')[0].ok
    assert len(upstream.logins) == 2


def test_failures_a_minute_and_then_the_right_password_waits(upstream, make_proxy):
    proxy = make_proxy(upstream.port, kind=tools.Configured,
                       sections='auth { failures_per_login = 20 failures_per_address = 0 }')
    for n in range(20):
        assert login(proxy.port, 'anna', 'wrong%d' % n)[0].status == 'NO'
    result, seconds = login(proxy.port, 'anna', 'pw')
    assert result.ok and 1 < seconds < 4        # one each three seconds


def test_t8_guesses_are_not_compared_with_what_was_proven(upstream, make_proxy):
    """An address that has failed too often hears nothing of the right secret either, though it was proven a moment ago;
    the address that it was proven from is not held up."""
    proxy = make_proxy(upstream.port, kind=tools.Configured, listener='', sections='limits { login_timeout = 5s }')
    assert login(proxy.port, 'anna', 'pw')[0].ok

    def from_elsewhere(password, timeout):
        client = imapclient.IMAPClient('127.0.0.1', proxy.port, timeout=timeout, connect=False)
        client.sock = socket.create_connection(('127.0.0.1', proxy.port), timeout, source_address=('127.0.0.9', 0))
        client.greeting = client.read_response()
        with client:
            return client.cmd('LOGIN anna "%s"' % password)
    for guess in ('a', 'b'):
        assert from_elsewhere(guess, 10).status == 'NO'
    with pytest.raises((imapclient.IMAPTimeout, imapclient.IMAPClosed)):
        from_elsewhere('pw', 3)
    assert login(proxy.port, 'anna', 'pw')[1] < 0.5
    assert [e[2] for e in upstream.logins] == ['pw', 'a', 'b']


def test_what_is_no_refusal_is_neither_repeated_nor_counted(upstream, make_proxy):
    proxy = make_proxy(upstream.port)
    for refusal in ['NO [UNAVAILABLE] not now', 'NO [LIMIT] too many'] * 3:
        upstream.refusal = refusal
        result, seconds = login(proxy.port, 'anna', 'other')
        assert (result.status, result.code) == ('NO', refusal.split()[1].strip('[]'))
        assert seconds < 1
    upstream.allow('anna', 'other')
    assert login(proxy.port, 'anna', 'other')[0].ok


def test_a_flood_of_large_logins_does_not_end_the_process(upstream, make_proxy, connect):
    upstream.delay = 1
    proxy = make_proxy(upstream.port, kind=tools.Configured,
                       sections='auth { failures_per_login = 0 failures_per_address = 0 }')
    clients = []
    for n in range(150):
        client = connect(proxy.port)
        secret = b'x%d' % n * 4000
        client.send_raw(b'a LOGIN user%d {%d+}\r\n%s\r\n' % (n % 15, len(secret[:16000]), secret[:16000]))
        clients.append(client)
    assert login(proxy.port, 'bo', 'pw')[0].ok
    for client in clients[::10]:
        assert client.read_response(40).name == 'NO'
    for client in clients:
        client.close()
    assert login(proxy.port, 'bo', 'pw')[0].ok
    # more than is served at all
    big = connect(proxy.port)
    assert big.cmd(b'LOGIN bo {60000+}\r\n' + b'x' * 60000).status == 'NO'
    assert big.cmd(b'LOGIN {60000+}\r\n' + b'x' * 60000 + b' pw').status == 'NO'


def test_clients_that_leave_while_they_wait(upstream, make_proxy, connect):
    upstream.delay = 0.3
    proxy = make_proxy(upstream.port)
    for n in range(40):
        client = connect(proxy.port)
        client.send_raw(b'a LOGIN anna wrong%d\r\n' % n)
        if n % 3 == 0:
            time.sleep(0.02)
        client.close()
    tools.wait_until(lambda: login(proxy.port, 'bo', 'pw')[0].ok, what='a login')


@pytest.mark.skipif(not tools.LONG, reason='waits for Dovecot: IMAPCACHED_LONG=1')
@pytest.mark.parametrize('kind', ['five different secrets', 'the same secret five times', 'one wrong secret'])
def test_five_wrong_logins_at_dovecot_with_its_penalty(make_proxy, kind):
    """How long another user's login takes after wrong ones, direct and proxied; pytest -s shows the figures.

    One wrong login makes the next one from that address wait 4 s, a second secret 8 s; Dovecot forgets that some 12 s
    after the last secret it had not been given before. The same secret five times takes 20 s directly, each try
    being held up, so that all is forgotten then; here it is asked about once, and the four refusals said again are not
    held up. So the moments are to be the same for a comparison."""
    secrets = {'f': ['wrong%d' % n for n in range(5)], 't': ['wrong'] * 5, 'o': ['wrong']}[kind[0]]
    taken = {}
    for way in ('direct', 'proxied'):
        with judge_dovecot.Dovecot(users=4, auth_failure_delay='2 secs', penalty=True) as upstream:
            port = upstream.port if way == 'direct' else make_proxy(upstream.port).port
            began = time.monotonic()
            for secret in secrets:
                _, threads = all_at_once(port, [('u0', secret)])
                threads[0].join(25 if way == 'direct' else 3)     # one that is held is not waited for
            wrong = time.monotonic() - began
            if way == 'proxied' and kind[0] != 'f':
                time.sleep(max(0, taken['direct'][1] - wrong))
            result, seconds = login(port, 'u1', 'pw')
            assert result.ok
            taken[way] = seconds, wrong
    print('\n%s: another login takes %.1f s direct (the wrong ones %.1f), %.1f s proxied (the wrong ones %.1f)'
          % ((kind,) + taken['direct'] + taken['proxied']))
    assert taken['proxied'][0] <= taken['direct'][0] + 0.5
