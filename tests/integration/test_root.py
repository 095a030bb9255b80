"""The program's root: command line, configuration, signals, listeners, TLS contexts, limits, the end."""
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import time

import pytest
from imapjudge import certs, imapclient, ports, procs

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope='session')
def binary():
    path = os.environ.get('IMAPCACHED_BIN')
    if not path:
        pytest.skip('IMAPCACHED_BIN is not set')
    return path


def run(binary, *arguments):
    return subprocess.run([binary, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=60, check=False)


class Program:
    """imapcached with a configuration file and nothing else."""

    def __init__(self, binary, folder):
        self.binary, self.folder = binary, folder
        self.config = folder / 'imapcached.conf'
        self.log_path = folder / 'log'
        self.process = None

    def configure(self, text):
        self.config.write_text(text)

    def start(self, port):
        with open(self.log_path, 'ab') as log:
            self.process = subprocess.Popen([self.binary, '--config', str(self.config), '--log-level', 'debug'],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            preexec_fn=procs.die_with_parent)
        self.wait_for(lambda: accepts(port))

    def wait_for(self, condition, seconds=20):
        deadline = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.02)

    def log(self):
        return self.log_path.read_text(errors='replace')

    def reload(self, expected='configuration reloaded'):
        said = self.log().count(expected)
        self.process.send_signal(signal.SIGHUP)
        self.wait_for(lambda: self.log().count(expected) > said)

    def end(self):
        self.process.terminate()
        return self.process.wait(30)


def accepts(port):
    try:
        socket.create_connection(('127.0.0.1', port), timeout=1).close()
        return True
    except OSError:
        return False


@pytest.fixture
def program(binary, tmp_path, request):
    made = Program(binary, tmp_path)
    logs = getattr(request.node, 'judge_logs', lambda: [])
    request.node.judge_logs = lambda: logs() + [('imapcached log', made.log())]
    yield made
    if made.process is not None and made.process.poll() is None:
        status = made.end()
        assert status == 0, made.log()
    assert 'Sanitizer' not in made.log() and 'runtime error' not in made.log()


@pytest.fixture
def tls(tmp_path):
    """A CA and two certificates of it: first, second."""
    folder = tmp_path / 'tls'
    certs.make_ca(folder)
    certs.make_cert(folder, 'first')
    certs.make_cert(folder, 'second')
    return folder


# ---- command line and configuration

def test_version_and_help(binary):
    version = run(binary, '--version')
    assert version.returncode == 0 and version.stdout.startswith('imapcached ')
    usage = run(binary, '--help')
    assert usage.returncode == 0 and '--upstream URL' in usage.stdout and not usage.stderr


@pytest.mark.parametrize('arguments, words', [
    ((), ['no upstream', '--upstream URL']),
    (('--upstram', 'x'), ['--upstram']),
    (('--upstream', 'mail.example.org'), ['--upstream mail.example.org', 'imaps://HOST']),
    (('--upstream', 'imaps://x', '--listen', '1143'), ['--listen 1143', 'ADDRESS:PORT']),
    (('--upstream', 'imaps://x', '--listen', '0.0.0.0:1143'), ['nobody could log in']),
    (('--config', '/nowhere.conf'), ['/nowhere.conf', 'No such file']),
])
def test_wrong_command_lines_end_with_2(binary, arguments, words):
    result = run(binary, *arguments)
    assert result.returncode == 2 and result.stdout == ''
    for word in words:
        assert word in result.stderr


def test_mistake_in_the_file_is_named(binary, tmp_path):
    path = tmp_path / 'imapcached.conf'
    path.write_text('# comment\nupstream "a" {\n  url = imaps://x\n  ur = 3\n}\n')
    result = run(binary, '--config', path)
    assert result.returncode == 2
    assert result.stderr.startswith('%s:4: unknown key \'ur\' in section upstream' % path)


def test_check_config(binary, tmp_path, tls):
    path = tmp_path / 'imapcached.conf'
    text = ('upstream a { url = imaps://x ca_file = "%(d)s/ca.pem" }\n'
            'listener l { address = 0.0.0.0:993 tls = implicit cert = "%(d)s/first.pem" key = "%(d)s/%(k)s.key" }\n')
    path.write_text(text % {'d': tls, 'k': 'first'})
    good = run(binary, '--check-config', '--config', path)
    assert good.returncode == 0 and 'configuration is good' in good.stdout, good.stderr
    path.write_text(text % {'d': tls, 'k': 'second'})
    mismatch = run(binary, '--check-config', '--config', path)
    assert mismatch.returncode == 2 and 'second.key' in mismatch.stderr
    (tls / 'first.pem').write_text('no certificate')
    broken = run(binary, '--check-config', '--config', path)
    assert broken.returncode == 2 and 'first.pem' in broken.stderr


def test_example_configuration_is_good(binary):
    result = run(binary, '--check-config', '--config', ROOT / 'conf' / 'imapcached.conf')
    assert result.returncode == 0, result.stderr


def test_port_in_use_ends_with_1(binary, tmp_path):
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        result = run(binary, '--upstream', 'imap://127.0.0.1', '--cache', tmp_path / 'cache',
                     '--listen', '127.0.0.1:%d' % taken.getsockname()[1])
    assert result.returncode == 1 and 'cannot listen on 127.0.0.1' in result.stderr


def test_cache_of_another_process_ends_with_1(binary, proxy):
    result = run(binary, '--upstream', 'imap://127.0.0.1', '--cache', proxy.cache,
                 '--listen', '127.0.0.1:%d' % ports.free_port())
    assert result.returncode == 1 and 'cannot start' in result.stderr


# ---- the end

@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_signal_says_bye_and_ends_in_order(proxy, user, connect, number):
    greeted, logged_in, selected, idling = (connect(proxy.port) for _ in range(4))
    for client in (logged_in, selected, idling):
        client.login(user, 'pw')
    selected.must('SELECT INBOX')
    idling.must('SELECT INBOX')
    idling.idle()
    began = time.monotonic()
    proxy.signal(number)
    for client in (greeted, logged_in, selected, idling):
        with pytest.raises(imapclient.IMAPClosed) as closed:
            while client.read_response().name != 'BYE':
                pass
            client.read_response()
        assert closed
    assert proxy.process.wait(20) == 0
    assert time.monotonic() - began < 5
    assert 'msg=stopped' in proxy.log()


def test_client_that_never_reads_does_not_hold_up_the_end(proxy):
    silent = socket.create_connection(('127.0.0.1', proxy.port))
    with silent:
        began = time.monotonic()
        assert proxy.stop() == 0
        assert time.monotonic() - began < 12


def test_second_signal_ends_at_once_and_the_cache_survives(proxy, server, user, connect):
    server.fill(user, 'INBOX', [b'Subject: one\r\n\r\nbody\r\n'])
    connect(proxy.port, user).must('SELECT INBOX')
    proxy.signal(signal.SIGTERM)
    proxy.signal(signal.SIGINT)
    assert proxy.process.wait(20) == 3
    proxy.start()
    client = connect(proxy.port, user)
    client.must('SELECT INBOX')
    assert bytes(client.fetch(1, 'BODY.PEEK[TEXT]')[1]['BODY[TEXT]']) == b'body\r\n'


# ---- reload

def served_certificate(port):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with context.wrap_socket(socket.create_connection(('127.0.0.1', port), timeout=10)) as sock:
        return sock.getpeercert(binary_form=True)


def der(path):
    text = path.read_text()
    return ssl.PEM_cert_to_DER_cert(text[:text.index('-----END CERTIFICATE-----')] + '-----END CERTIFICATE-----\n')


def config_text(server, folder, listeners, extra=''):
    return ('upstream a { url = imap://127.0.0.1:%d }\ncache { dir = "%s/cache" size = 64M }\n%s\n%s\n'
            % (server.port, folder, '\n'.join(listeners), extra))


def test_reload_takes_new_certificates_and_keeps_sessions(program, server, user, tls, tmp_path):
    plain, secure = ports.free_ports(2)
    listeners = ['listener p { address = 127.0.0.1:%d tls = starttls cert = "%s/first.pem" key = "%s/first.key" }'
                 % (plain, tls, tls),
                 'listener s { address = 127.0.0.1:%d tls = implicit cert = "%s/first.pem" key = "%s/first.key" }'
                 % (secure, tls, tls)]
    program.configure(config_text(server, tmp_path, listeners))
    program.start(secure)
    assert served_certificate(secure) == der(tls / 'first.pem')
    old = imapclient.IMAPClient('127.0.0.1', secure, tls=tls / 'ca.pem').login(user, 'pw')
    old.must('SELECT INBOX')
    waiting = imapclient.IMAPClient('127.0.0.1', plain)
    program.configure(config_text(server, tmp_path, listeners).replace('first', 'second'))
    program.reload()
    assert served_certificate(secure) == der(tls / 'second.pem')
    old.must('NOOP')
    waiting.starttls(tls / 'ca.pem')
    waiting.login(user, 'pw').must('SELECT INBOX')
    for client in (old, waiting):
        client.close()


def test_reload_of_a_bad_file_changes_nothing(program, server, user, tmp_path):
    port = ports.free_port()
    good = config_text(server, tmp_path, ['listener l { address = 127.0.0.1:%d }' % port])
    program.configure(good)
    program.start(port)
    client = imapclient.IMAPClient('127.0.0.1', port).login(user, 'pw')
    program.configure(good + 'cache { sise = 3 }\n')
    program.reload(expected='configuration not taken over')
    assert 'imapcached.conf:' in program.log() and 'sise' in program.log()
    client.must('NOOP')
    imapclient.IMAPClient('127.0.0.1', port).login(user, 'pw').close()
    client.close()


def test_reload_opens_and_closes_listeners(program, server, user, tmp_path):
    first, second, third = ports.free_ports(3)

    def listeners(*numbers):
        return config_text(server, tmp_path, ['listener l%d { address = 127.0.0.1:%d }' % (n, n) for n in numbers])
    program.configure(listeners(first, second))
    program.start(second)
    client = imapclient.IMAPClient('127.0.0.1', first).login(user, 'pw')
    program.configure(listeners(second, third))
    program.reload()
    assert not accepts(first) and accepts(second) and accepts(third)
    client.must('NOOP')
    client.close()


# ---- limits

def test_sessions_are_limited_in_all_and_by_address(program, server, user, tmp_path):
    port = ports.free_port()
    listener = ['listener l { address = 127.0.0.1:%d }' % port]
    program.configure(config_text(server, tmp_path, listener, 'limits { sessions = 3 sessions_per_address = 2 }'))
    program.start(port)
    kept = [patient_client(port) for _ in range(2)]
    kept[0].login(user, 'pw')
    assert refusal(port) == b'* BYE [LIMIT] Too many connections from your address\r\n'
    other = socket.create_connection(('127.0.0.1', port), source_address=('127.0.0.2', 0), timeout=10)
    assert other.recv(100).startswith(b'* OK')
    assert refusal(port, '127.0.0.3') == b'* BYE [LIMIT] Too many connections\r\n'
    kept[1].close()
    kept.append(patient_client(port))
    kept[0].must('NOOP')
    for client in kept:
        client.close()
    other.close()


def patient_client(port, seconds=5):
    """A place may become free only a moment after its client has gone."""
    deadline = time.monotonic() + seconds
    while True:
        client = imapclient.IMAPClient('127.0.0.1', port)
        if client.greeting.name == 'OK' or time.monotonic() > deadline:
            assert client.greeting.name == 'OK'
            return client
        client.close()
        time.sleep(0.05)


def refusal(port, source='127.0.0.1'):
    with socket.create_connection(('127.0.0.1', port), source_address=(source, 0), timeout=10) as sock:
        answer = b''
        while chunk := sock.recv(1000):
            answer += chunk
        return answer
