"""Everything a client sizes has a limit, answered in protocol; others never notice."""
import time

import pytest

import spine_tools as tools
from imapjudge import imapclient

LIMITS = ('limits { line = 8K command = 32K literal = 16K append = 1M login_timeout = 1s bad_commands = 5 '
          'pipelined_commands = 16 }')


@pytest.fixture
def limited(make_proxy, tap):
    return make_proxy(tap.port, kind=tools.Configured, sections=LIMITS)


def quick_login(port, user):
    raw = tools.Raw(port)
    raw.line()
    raw.send(b'a LOGIN %s pw\r\n' % user.encode())
    assert raw.line().startswith(b'a OK')
    return raw


def test_long_line_is_refused_and_the_next_command_is_answered(limited, user):
    raw = quick_login(limited.port, user)
    raw.send(b'b SELECT "' + b'x' * 20_000 + b'"\r\nc NOOP\r\n')
    assert raw.line().startswith((b'b BAD', b'b NO'))
    assert raw.line().startswith(b'c OK')
    # without any line end it ends too, and what is read stays small
    before = limited.rss()
    raw.send(b'd SELECT "')
    for _ in range(60):
        raw.send(b'y' * 100_000)
    raw.send(b'"\r\ne NOOP\r\n')
    answer = raw.until(b'e OK', 30)
    assert answer.count(b'd NO') + answer.count(b'd BAD') == 1
    assert limited.rss() < before + 5_000_000
    raw.close()


def test_long_line_before_login(limited):
    raw = tools.Raw(limited.port)
    raw.line()
    raw.send(b'z' * 30_000 + b'\r\na CAPABILITY\r\n')
    said = raw.until(b'a OK', 10)
    assert b'BAD' in said or b'NO' in said
    raw.close()


def test_t32_literal_too_big_is_not_asked_for(limited, user, connect):
    client = connect(limited.port, user)
    result = client.cmd('SELECT ', imapclient.Lit(b'x' * 20_000))
    assert result.status in ('NO', 'BAD')
    client.must('NOOP')
    client.must('STATUS ', imapclient.Lit(b'INBOX'), ' (MESSAGES)')


def test_non_synchronising_literal_too_big_is_swallowed(limited, user, connect):
    client = connect(limited.port, user)
    big = b'a LOGOUT\r\nb CREATE injected\r\n' * 2_000
    result = client.cmd('SELECT ', imapclient.Lit(big, sync=False))
    assert result.status in ('NO', 'BAD')
    client.must('NOOP')
    assert len(client.must('LIST "" *').named('LIST')) == 1


@pytest.mark.parametrize('announced', [b'99999999999999999999999', b'4294967296', b'18446744073709551617', b'-1', b'1x', b''])
def test_absurd_literals_end_in_protocol(limited, user, announced):
    for plus in (b'', b'+'):
        raw = quick_login(limited.port, user)
        raw.send(b'b SELECT {%s%s}\r\nc NOOP\r\n' % (announced, plus))
        said = raw.line()
        assert said.startswith((b'b BAD', b'b NO', b'* BYE')), said
        raw.close()


def test_many_literals_in_one_command(limited, user, connect):
    client = connect(limited.port, user)
    client.select()
    parts = ['SEARCH']
    for _ in range(40):
        parts += [' SUBJECT ', imapclient.Lit(b'w' * 1_000, sync=False)]
    result = client.cmd(*parts)
    assert result.status in ('NO', 'BAD')
    client.must('NOOP')


def test_message_larger_than_the_limit_is_refused(limited, user, server, connect):
    client = connect(limited.port, user)
    for sync in (True, False):
        result = client.cmd('APPEND INBOX ', imapclient.Lit(tools.mail(1, 1_200_000), sync=sync))
        assert result.status == 'NO' and result.code in ('TOOBIG', 'LIMIT'), result
        client.must('NOOP')
    client.append('INBOX', tools.mail(1, 900_000))
    with server.client(user) as direct:
        assert direct.must('STATUS INBOX (MESSAGES)').status_items() == {'MESSAGES': 1}


def test_too_many_bad_commands_end_with_bye(limited, user, connect):
    client = connect(limited.port, user)
    for _ in range(2):
        for _ in range(4):
            assert client.cmd('NONSENSE').status == 'BAD'
        client.must('NOOP')         # in a row
    client.send_raw(b''.join(b'n%d NONSENSE\r\n' % n for n in range(50)))
    said = tools.until_bye(client)
    assert len([r for r in said if r.name == 'BAD']) <= 5 and said[-1].name == 'BYE'


def test_login_takes_too_long(limited, user):
    began = time.monotonic()
    raws = [tools.Raw(limited.port) for _ in range(3)]
    raws[1].line()
    raws[1].send(b'a CAPABILITY\r\n')
    raws[2].line()
    raws[2].send(b'a LOGIN ')
    for raw in raws:
        assert b'* BYE' in raw.rest(10)
        raw.close()
    assert 0.5 < time.monotonic() - began < 5


def test_login_that_came_in_time_is_not_cut(limited, user, connect):
    client = connect(limited.port, user)
    time.sleep(1.5)
    client.select()


def test_pipelining_beyond_the_limit_waits_and_loses_nothing(limited, user, connect):
    client = connect(limited.port, user, timeout=30)
    client.select()
    count = 3_000
    client.send_raw(b''.join(b'p%d NOOP\r\n' % n for n in range(count)))
    assert [client.wait('p%d' % n).status for n in range(count)] == ['OK'] * count


def test_t43_deep_nesting_and_long_sets_are_refused_not_followed(limited, user, connect, server):
    server.fill(user, 'INBOX', tools.mails(3))
    client = connect(limited.port, user)
    client.select()
    for command in ('SEARCH ' + '(' * 2_000 + 'ALL' + ')' * 2_000, 'SEARCH ' + 'NOT ' * 1_900 + 'ALL',
                    'SEARCH ' + 'OR ALL (SEEN ' * 1_000 + 'ALL' + ')' * 1_000, 'FETCH 1 ' + '(' * 3_000,
                    'FETCH ' + ','.join(['1:3'] * 2_000) + ' BODY.PEEK[' + '1.' * 200 + '1]',
                    'LIST "" ' + '(' * 3_000, 'ID ' + '(' * 3_000):
        result = client.cmd(command)
        assert result.status in ('NO', 'BAD') or command.startswith('FETCH 1:3'), command[:30]
        client.must('NOOP')
    assert client.must('SEARCH ' + 'OR ' * 1_000 + 'SEEN ' * 1_000 + 'ALL').search() == [1, 2, 3]  # wide, not deep


def test_half_a_command_and_silence_hold_up_nobody(limited, user, connect):
    half = [quick_login(limited.port, user) for _ in range(5)]
    for number, raw in enumerate(half):
        raw.send([b'b SELECT', b'b APPEND INBOX {100}\r\n', b'b APPEND INBOX {100+}\r\nSubject:', b'b IDLE\r\nDO',
                  b'b FETCH 1 BODY.PEEK[HEADER.FIELDS ({4}\r\n'][number])
    client = connect(limited.port, user)
    client.select()
    client.append('INBOX', tools.mail(1))
    assert client.fetch('1', 'BODY.PEEK[]')[1]['BODY[]'] == tools.mail(1)
    for raw in half:
        raw.close()


def test_upstream_that_announces_too_much_is_left(fake, make_proxy, connect):
    """A literal of 2^60 octets, a line without end: the link goes, the client gets an answer, memory stays small."""
    box = fake.mailbox('INBOX')
    for n in (1, 2):
        box.add(tools.mail(n))
    proxy = make_proxy(fake.port)
    client = connect(proxy.port, 'anna', timeout=30)
    client.select()
    client.fetch('1:*', 'FLAGS')        # the mailbox is known
    before = proxy.rss()

    def endless(conn, command):
        conn.send(b'* 1 FETCH (UID 1 ENVELOPE ("')
        for _ in range(400):
            conn.send(b'x' * 100_000)
        conn.cut()
    for handler in (lambda conn, command: conn.send(b'* 1 FETCH (UID 1 ENVELOPE {1152921504606846976}\r\n'), endless):
        fake.on('UID FETCH', handler, times=2)
        result = client.cmd('FETCH 1 ENVELOPE', timeout=30)
        assert result.status in ('NO', 'OK')
        fake.off()
        assert client.fetch('2', 'BODY.PEEK[]')[2]['BODY[]'] == tools.mail(2)
    assert proxy.rss() < before + 60_000_000
