"""The private Dovecot, the client's parsing, the mail generator, and the runner of the proxy."""
import stat

import pytest

from imapjudge import mailgen, ports, proxy as judge_proxy, wire
from imapjudge.dovecot import Dovecot
from imapjudge.imapclient import IMAPRefused, Lit

# A stand-in for the binary: listens, and leaves as it is told by its first argument behind the fixed ones.
STAND_IN = '''#!/usr/bin/python3
import signal, socket, sys
how = sys.argv[-1]
if how == 'never-up':
    sys.exit('bad luck')
listener = socket.create_server(('127.0.0.1', int(sys.argv[4].split(':')[1])))
assert sys.argv[1:4:2] == ['--upstream', '--listen'] and sys.argv[5] == '--cache' and sys.argv[7] == '--log-level'
print('ready', flush=True)
if how == 'ubsan':
    print('x.c:1:2: runtime error: signed integer overflow', file=sys.stderr, flush=True)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(23 if how == 'leak' else 0))
while True:
    listener.accept()[0].close()
'''


@pytest.fixture
def stand_in(tmp_path):
    path = tmp_path / 'stand-in'
    path.write_text(STAND_IN)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return lambda how: judge_proxy.Proxy(path, 1, tmp_path / how, [how])


def test_proxy_runner(stand_in):
    good = stand_in('good').start()
    assert good.running() and good.rss() > 100_000 and good.rss(peak=True) >= good.rss()
    first = good.process.pid
    good.restart()
    assert good.process.pid != first
    good.kill9()
    assert not good.running()
    good.start()
    assert good.end() == (0, '') and good.log_text().count('ready') == 3


def test_proxy_runner_sees_bad_ends(stand_in):
    assert stand_in('leak').start().end() == (23, '')
    assert stand_in('ubsan').start().end() == (0, 'runtime error: ')
    with pytest.raises(judge_proxy.ProxyError, match='bad luck'):
        stand_in('never-up').start()


@pytest.mark.parametrize('mail_format', ['sdbox', 'mdbox', 'maildir'])
def test_twins_are_identical(mail_format):
    with Dovecot(users=2, mail_format=mail_format) as server:
        server.fill('u0', 'INBOX', mailgen.Generator(3).mails(20))
        server.fill('u0', 'Work', mailgen.Generator(4).mails(5))
        with server.client('u0') as client:
            client.select()
            client.must('STORE 1:3 +FLAGS (\\Deleted Own)')
            client.must('EXPUNGE')
        server.copy_user('u0', 'u1')
        told = []
        for user in ('u0', 'u1'):
            with server.client(user) as client:
                client.must('ENABLE CONDSTORE')
                codes = client.select(examine=True).codes()
                told.append(({k: codes[k] for k in ('UIDVALIDITY', 'UIDNEXT', 'HIGHESTMODSEQ')},
                             client.fetch('1:*', '(UID FLAGS MODSEQ INTERNALDATE BODY.PEEK[])')))
        assert told[0] == told[1] and len(told[0][1]) == 17


def test_dovecot_logins_and_tls(dovecot, user):
    with pytest.raises(IMAPRefused):
        dovecot.client(user, 'wrong')
    with pytest.raises(IMAPRefused):
        dovecot.client('nosuchuser')
    with dovecot.client(user, tls=True) as client:
        assert client.must('NOOP').ok
    with dovecot.client() as client:
        client.starttls(dovecot.ca_file)
        client.login(user)


def test_dovecot_many_connections_and_restart():
    with Dovecot(users=1) as server:
        clients = [server.client('u0') for _ in range(40)]
        for client in clients:
            client.close()
        server.add_user('u0', 'other')
        server.restart()
        with pytest.raises(IMAPRefused):
            server.client('u0', 'pw')
        server.client('u0', 'other').close()


def test_generated_mail_is_deterministic_and_accepted(dovecot, user):
    mails = mailgen.Generator(5).mails(150)
    assert [m.octets for m in mails] == [m.octets for m in mailgen.Generator(5).mails(150)]
    assert [m.octets for m in mails] != [m.octets for m in mailgen.Generator(6).mails(150)]
    kinds = {m.name for m in mails}
    assert kinds >= {'plain', 'alternative', 'attachments', 'nested', 'eight_bit', 'odd_folds', 'no_blank_line',
                     'empty_body', 'long_lines', 'deep', 'large'}
    dovecot.fill(user, 'INBOX', mails)
    with dovecot.client(user) as client:
        client.select()
        told = client.fetch('1:*', 'BODY.PEEK[]')
        assert [told[n]['BODY[]'] for n in range(1, 151)] == [m.octets for m in mails]


@pytest.mark.skipif(mailgen.real_mail_folder() is None, reason='no real mail beside the project')
def test_real_mail_is_accepted(dovecot, user):
    mails = mailgen.real_mails()
    assert len(mails) > 100
    dovecot.fill(user, 'INBOX', mails)
    with dovecot.client(user) as client:
        client.select()
        for number, items in client.fetch('1:*', '(ENVELOPE BODYSTRUCTURE BODY.PEEK[])').items():
            assert items['BODY[]'] == mails[number - 1].octets, mails[number - 1].name


@pytest.mark.parametrize('raw, pairs', [
    (b'* 1 FETCH (UID 7 FLAGS (\\Seen Work))\r\n', [('UID', 7), ('FLAGS', [b'\\Seen', b'Work'])]),
    (b'* 1 FETCH (BODY[HEADER.FIELDS ("Subject" from)] {4}\r\na)\r\n UID 3)\r\n',
     [('BODY[HEADER.FIELDS (SUBJECT FROM)]', b'a)\r\n'), ('UID', 3)]),
    (b'* 1 FETCH (BODY[1.MIME]<5> "a\\"b\\\\" BODY[2] NIL)\r\n', [('BODY[1.MIME]<5>', b'a"b\\'), ('BODY[2]', None)]),
    (b'* 1 FETCH (BINARY[1] ~{2}\r\n\0\n MODSEQ (12))\r\n', [('BINARY[1]', b'\0\n'), ('MODSEQ', [12])]),
])
def test_fetch_parsing(raw, pairs):
    assert wire.Response(raw).data == pairs


@pytest.mark.parametrize('raw', [b'* 1 FETCH (UID 7\r\n', b'* 1 FETCH UID 7\r\n', b'* 1 FETCH (UID 7) x\r\n',
                                 b'* 1 FETCH (BODY[] {9}\r\nabc)\r\n', b'* 1 FETCH (UID)\r\n'])
def test_bad_fetch_is_refused(raw):
    with pytest.raises(wire.ParseError):
        wire.Response(raw).data


def test_scanner_finds_the_same_lines_at_every_split():
    stream = (b'a1 LOGIN {3+}\r\nabc {2}\r\nxy\r\n* 2 FETCH (BODY[] {5}\r\n\r\n{1} UID 3)\r\n'
              b'a2 NOOP\n+ go\r\n* LIST () "/" {3}\r\nbox\r\n')

    def scan(pieces):
        seen = []

        class Seen(wire.Scanner):
            def on_line_start(self, offset, first):
                seen.append(('start', offset, first))

            def on_literal(self, offset, octets):
                seen.append(('literal', offset, octets))

            def on_line(self, offset, end, text):
                seen.append(('line', offset, end, text))
        scanner = Seen()
        for piece in pieces:
            scanner.feed(piece)
        assert scanner.offset == len(stream)
        return seen

    whole = scan([stream])
    assert [e[3] for e in whole if e[0] == 'line'][:3] == [
        b'a1 LOGIN {3+}\r\n {2}\r\n\r\n', b'* 2 FETCH (BODY[] {5}\r\n UID 3)\r\n', b'a2 NOOP\n']
    assert scan([bytes([octet]) for octet in stream]) == whole
    for at in range(1, len(stream)):
        assert scan([stream[:at], stream[at:]]) == whole, at


def test_pipelining_keeps_results_apart(fake, connect):
    fake.mailbox().add(b'a: b\r\n\r\n')
    client = connect(fake.port, 'x')
    client.select()
    first, second = client.start('FETCH 1 UID'), client.start('SEARCH ALL')
    assert client.wait(second).search() == [1]
    assert client.wait(first).fetch() == {1: {'UID': 1}}
    assert client.cmd('APPEND nosuch ', Lit(b'x')).code == 'TRYCREATE'
    assert client.must('APPEND INBOX ', Lit(b'x: y\r\n\r\n')).code_args == b'1000 2'


def test_free_ports_differ():
    assert len(set(ports.free_ports(20))) == 20
