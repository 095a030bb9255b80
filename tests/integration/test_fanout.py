"""What many are told alike is rendered once, and everybody is told the right thing all the same."""
import re
import signal

import spine_tools as tools
from imapjudge import wire


def counters(proxy):
    """As SIGUSR2 writes them into the log."""
    before = proxy.log_text().count('msg=counters')
    proxy.signal(signal.SIGUSR2)
    tools.wait_until(lambda: 'resyncs=' in ''.join(proxy.log_text().split('msg=counters')[before + 1:]))
    said = ' '.join(line for line in proxy.log_text().splitlines() if 'msg=counters' in line)
    return {name: int(value) for name, value in re.findall(r'(\w+)=(\d+)\b', said)}


def plain(flags):
    return sorted(bytes(f) for f in flags if bytes(f) != b'\\Recent')


def shown(client):
    return {n: (i['UID'], plain(i['FLAGS'])) for n, i in client.must('FETCH 1:* (UID FLAGS)').fetch().items()}


def follow(client, heard):
    """client.picture, [[UID, flags], ...], after what it was told; the form of each line is that of its kind."""
    for response in heard:
        if response.name == 'EXPUNGE':
            assert client.kind != 'qresync'
            del client.picture[response.num - 1]
        elif response.name == 'VANISHED':
            assert client.kind == 'qresync'
            gone = wire.parse_set(bytes(response.data[-1]))
            client.picture = [row for row in client.picture if row[0] not in gone]
        elif response.name == 'FETCH':
            items = dict(response.data)
            assert ('MODSEQ' in items) == (client.kind in ('condstore', 'qresync')), response.raw
            assert ('UID' in items) == (client.kind == 'qresync'), response.raw
            client.picture[response.num - 1][1] = plain(items['FLAGS'])
        elif response.code == 'PERMANENTFLAGS':
            assert (response.code_args == b'()') == (client.kind == 'read-only'), response.raw


def test_a_thousand_changes_told_to_many_are_rendered_once(proxy, dovecot, user, connect):
    """Four kinds of sessions, each told in its own form; each ends up with the server's own flags."""
    many, messages = 40, 200
    dovecot.fill(user, 'INBOX', tools.mails(messages))
    clients = [connect(proxy.port, user, timeout=30) for _ in range(many)]
    for number, client in enumerate(clients):
        client.kind = ('plain', 'condstore', 'read-only', 'qresync')[number % 4]
        if client.kind in ('condstore', 'qresync'):
            client.must('ENABLE ' + client.kind)
        client.select(examine=client.kind == 'read-only')
        client.picture = [[uid, flags] for uid, flags in shown(client).values()]
    for client in clients:
        client.idle()
    before = counters(proxy)
    with dovecot.client(user) as direct:
        direct.select()
        for _ in range(3):
            for flag in ('\\Flagged', 'Newword'):
                direct.must('STORE 1:%d +FLAGS.SILENT (%s)' % (messages, flag))
                direct.must('STORE 2:%d -FLAGS.SILENT (%s)' % (messages, flag))
        direct.must('STORE 7,9,11 +FLAGS.SILENT (\\Deleted)')
        direct.must('EXPUNGE')
        direct.must('STORE 5 +FLAGS.SILENT (\\Draft)')
        truth = shown(direct)
    for client in clients:
        follow(client, client.idle_wait(lambda got: any(
            r.name == 'FETCH' and r.num == 5 and b'\\Draft' in r.raw for r in got), 30))
        client.done()
    for client in clients:
        follow(client, client.must('NOOP').untagged)
        assert [tuple(row) for row in client.picture] == list(truth.values()) == list(shown(client).values())
    after = counters(proxy)
    told = after['told_octets'] - before['told_octets']
    rendered = after['rendered_octets'] - before['rendered_octets']
    assert told > 3 * rendered, (told, rendered)


def test_own_changes_are_not_mixed_with_the_common_ones(proxy, dovecot, user, connect):
    """Sessions that have something of their own to be told (their STORE, held expunges) beside those that have not."""
    dovecot.fill(user, 'INBOX', tools.mails(20))
    clients = [connect(proxy.port, user, timeout=30) for _ in range(6)]
    for client in clients:
        client.select()
    for turn in range(5):
        clients[0].must('STORE 3:10 +FLAGS.SILENT (\\Flagged)')
        clients[1].must('UID STORE 12 +FLAGS ($k%d)' % turn)
        clients[2].must('FETCH 1:* FLAGS')
        clients[3].must('STORE 1 +FLAGS.SILENT (\\Deleted)')
        clients[3].must('EXPUNGE')
        clients[0].must('STORE 2:9 -FLAGS.SILENT (\\Flagged)')
        for client in clients:
            client.must('NOOP')
        with dovecot.client(user) as direct:
            direct.select(examine=True)
            truth = shown(direct)
        assert [shown(client) for client in clients] == [truth] * len(clients)


def test_limits_that_were_met_are_counted(proxy, user, connect):
    client = connect(proxy.port, user)
    before = counters(proxy)
    client.send_raw(b'x SEARCH ' + b'SEEN ' * 400_000 + b'\r\n')
    assert client.wait('x').status in ('NO', 'BAD')
    client.must('NOOP')
    after = counters(proxy)
    assert after['limits_input'] == before['limits_input'] + 1
    assert after['limits_commands'] == before['limits_commands'] + 1
