"""LIST, LSUB, NAMESPACE, STATUS: shared by an account's sessions, kept for a moment, and made where the upstream lacks
them (design section 9; RFC 2342, 3348, 5258, 5819)."""
import pathlib
import sys
import threading
import time

import pytest

import spine_tools as tools
from imapjudge import fakeserver

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / 'differential'))
import middle  # noqa: E402

NAMES = ('Work', 'Work/a', 'Work/a/deep', 'Work/b', 'Other', 'Spa ce', 'Sent', 'pa&AOQ-', 'quo"te')
KEPT = 3.0      # seconds a list may be kept (account/lists.h)


def quoted(name):
    return '"%s"' % name.replace('\\', '\\\\').replace('"', '\\"')


@pytest.fixture
def names(dovecot, user):
    """Mailboxes of that user, some subscribed, one subscription of a mailbox that is no more."""
    with dovecot.client(user) as direct:
        for name in NAMES:
            direct.must('CREATE %s' % quoted(name))
        for name in ('INBOX', 'Work/a', 'Work/a/deep', 'Other', 'quo"te'):
            direct.must('SUBSCRIBE %s' % quoted(name))
        direct.must('CREATE Gone')
        direct.must('SUBSCRIBE Gone')
        direct.must('DELETE Gone')
        direct.append('INBOX', tools.mail(7))      # else it is not there before somebody looks
        for n in range(3):
            direct.append('Work/a', tools.mail(n), '\\Seen' if n else '')
    return user


@pytest.fixture
def hiding(dovecot, make_proxy):
    """hiding('A,B') -> imapcached whose Dovecot seems to lack them."""
    made = []

    def make(words):
        relay = middle.Middle(dovecot.port, words.split(',') if words else [])
        relay.__enter__()
        made.append(relay)
        return make_proxy(relay.port)
    yield make
    for relay in made:
        unoffered = list(relay.unoffered)
        relay.__exit__(None, None, None)
        assert not unoffered


def shown(result, verb='LIST'):
    """{name: (delimiter, attributes)} of the LIST lines; each name once."""
    out = {}
    for response in result.named(verb):
        name = response.data[2]
        name = name if isinstance(name, bytes) else str(name).encode()
        assert name not in out, result
        out[name] = (bytes(response.data[1]), {bytes(a).lower() for a in response.data[0]} - {b'\\marked', b'\\unmarked'})
    return out


def statuses(result):
    return {bytes(r.data[0]) if isinstance(r.data[0], bytes) else str(r.data[0]).encode():
            dict(zip([bytes(k) for k in r.data[1][::2]], r.data[1][1::2])) for r in result.named('STATUS')}


# ---- as the upstream's own

HIDDEN = ('', 'CHILDREN', 'LIST-STATUS', 'LIST-EXTENDED', 'LIST-EXTENDED,LIST-STATUS,CHILDREN,NAMESPACE')
PLAIN = ['LIST "" "*"', 'LIST "" "%"', 'LIST "" "Work/%"', 'LIST "Work/" "%"', 'LIST "" "W*"', 'LIST "" inbox',
         'LIST "" "nosuch"', 'LIST "" "Work"', 'LIST "" "quo\\"te"', 'LIST "" "%/%"']
EXTENDED = ['LIST "" ("Work" "Work/%")', 'LIST "" ("*" "Work*") RETURN ()', 'LIST "" "*" RETURN (SUBSCRIBED)',
            'LIST "" "*" RETURN (CHILDREN SUBSCRIBED)', 'LIST (SUBSCRIBED) "" "*"', 'LIST (SUBSCRIBED REMOTE) "" ("Work*" "*")',
            'LIST "" "*" RETURN (STATUS (MESSAGES UNSEEN UIDNEXT UIDVALIDITY))',
            'LIST "" ("Work/%" "INBOX") RETURN (STATUS (MESSAGES) CHILDREN)',
            'LIST (SUBSCRIBED) "" "*" RETURN (STATUS (MESSAGES))']


@pytest.mark.parametrize('hidden', HIDDEN)
def test_lists_are_as_dovecot_has_them(hiding, dovecot, names, connect, hidden):
    client, direct = connect(hiding(hidden).port, names), connect(dovecot.port, names)
    offered = client.capability()
    assert {'CHILDREN', 'NAMESPACE', 'LIST-STATUS'} <= offered
    assert ('LIST-EXTENDED' in offered) == ('LIST-EXTENDED' not in hidden)
    for command in PLAIN + EXTENDED:
        got, want = client.must(command), direct.must(command)
        one, other = shown(got), shown(want)
        children = {b'\\haschildren', b'\\hasnochildren'}
        if command in EXTENDED and 'CHILDREN' not in command:
            # not asked for: may be told or not (RFC 5258 3)
            one, other = ({n: (d, a - children) for n, (d, a) in side.items()} for side in (one, other))
        if 'SUBSCRIBED' not in command:
            one, other = ({n: (d, a - {b'\\subscribed'}) for n, (d, a) in side.items()} for side in (one, other))
        assert one == other, command
        assert statuses(got) == statuses(want), command
    for command in ('LSUB "" "*"', 'LSUB "" "%"', 'LSUB "Work/" "*"'):
        assert shown(client.must(command), 'LSUB') == shown(direct.must(command), 'LSUB'), command
    assert [r.raw for r in client.must('NAMESPACE').named('NAMESPACE')] == [
        r.raw for r in direct.must('NAMESPACE').named('NAMESPACE')]
    assert shown(client.must('LIST "" ""')) == shown(direct.must('LIST "" ""'))


def test_options_that_are_not_offered_are_bad(hiding, names, connect):
    client = connect(hiding('LIST-EXTENDED').port, names)
    for command in ('LIST (SUBSCRIBED RECURSIVEMATCH) "" "*"', 'LIST "" "*" RETURN (MYRIGHTS)', 'LIST (NOSUCH) "" "*"',
                    'LIST "" "*" RETURN (STATUS (NOSUCH))', 'LIST (RECURSIVEMATCH) "" "*"'):
        assert client.cmd(command).status == 'BAD', command
    client.must('NOOP')


# T30: one name however it is written; T31: what it is made of is the upstream's business

def test_t30_one_name_however_it_is_written(proxy, dovecot, user, tap, connect):
    dovecot.fill(user, 'INBOX', tools.mails(2))
    client = connect(proxy.port, user)
    client.must('CREATE Plain')
    for name in ('Plain', '"Plain"', '{5+}\r\nPlain'):
        assert client.must('STATUS %s (MESSAGES)' % name).status_items() == {'MESSAGES': 0}
    assert len(tap.since().of('STATUS')) == 1
    for name in ('inbox', 'INBOX', '"InBox"', '{5+}\r\niNbOx'):
        assert client.must('STATUS %s (MESSAGES)' % name).status_items() == {'MESSAGES': 2}
        assert client.must('SELECT %s' % name).exists == 2
        assert set(shown(client.must('LIST "" %s' % name))) == {b'INBOX'}
    assert client.cmd('STATUS plain (MESSAGES)').status == 'NO'


def test_t31_names_and_wildcards_are_untouched(proxy, dovecot, names, connect):
    client, direct = connect(proxy.port, names), connect(dovecot.port, names)
    for pattern in ('pa&AOQ-', 'pa&*', '%&%', '"Spa ce"', '"Spa*"', '"p\\\\*"', '"*%*"', '{4+}\r\nWo*k'):
        for verb in ('LIST', 'LSUB'):
            assert shown(client.must('%s "" %s' % (verb, pattern)), verb) == shown(
                direct.must('%s "" %s' % (verb, pattern)), verb), pattern
    raw = 'caf\xe9'.encode('utf-8')
    for verb in (b'CREATE ', b'STATUS '):
        tail = b' (MESSAGES)' if verb == b'STATUS ' else b''
        results = []
        for each in (client, direct):
            tag = each.new_tag()
            each.send_raw(tag.encode() + b' ' + verb + b'"' + raw + b'"' + tail + b'\r\n')
            results.append(each.wait(tag).status)
        assert results[0] == results[1] == 'NO'


# ---- shared and kept

@pytest.mark.parametrize('command', ['LIST "" "*"', 'LSUB "" "*"', 'NAMESPACE', 'STATUS Box (MESSAGES UNSEEN)',
                                     'LIST "" "*" RETURN (STATUS (MESSAGES))'])
def test_two_that_ask_at_once_cause_one_command(make_proxy, connect, command):
    with fakeserver.FakeServer() as server:
        server.mailbox('Box')
        port = make_proxy(server.port).port
        clients = [connect(port, 'u0') for _ in range(5)]
        go = threading.Event()
        verb = command.split()[0]

        def handler(conn, asked):
            go.wait(10)
            return conn.default(asked)
        server.on(verb, handler)
        tags = [client.start(command) for client in clients]
        server.wait_for(verb)
        for client in clients:          # they have been read by the proxy
            assert client.pending() == []
        time.sleep(0.1)
        go.set()
        results = [client.wait(tag) for client, tag in zip(clients, tags)]
        assert all(r.ok for r in results)
        first = [r.raw for r in results[0].untagged]
        assert first and all([r.raw for r in result.untagged] == first for result in results)
        assert len(server.seen(verb)) == 1
        assert clients[0].must(command).untagged        # kept
        assert len(server.seen(verb)) == 1


WRITES = [('CREATE New', True, False), ('SUBSCRIBE Box', True, False), ('UNSUBSCRIBE Box', True, False),
          ('RENAME Old Newer', True, True), ('DELETE Old', True, False)]


@pytest.mark.parametrize('write, names_change, counts_change', WRITES)
def test_writes_of_any_session_end_what_was_kept(proxy, dovecot, user, connect, write, names_change, counts_change):
    dovecot.fill(user, 'Box', [])
    dovecot.fill(user, 'Old', [])
    reader, writer, direct = connect(proxy.port, user), connect(proxy.port, user), connect(dovecot.port, user)
    reader.must('LIST "" "*"')
    reader.must('LSUB "" "*"')
    writer.must(write)
    for verb in ('LIST', 'LSUB'):
        assert shown(reader.must('%s "" "*"' % verb), verb) == shown(direct.must('%s "" "*"' % verb), verb)


def test_t17_counts_are_as_of_the_last_write_of_any_session(proxy, dovecot, user, connect):
    dovecot.fill(user, 'INBOX', tools.mails(4))
    dovecot.fill(user, 'Box', [])
    reader, writer = connect(proxy.port, user), connect(proxy.port, user)
    writer.select()

    def count():
        return reader.must('STATUS Box (MESSAGES UIDNEXT)').status_items()
    assert count() == {'MESSAGES': 0, 'UIDNEXT': 1}
    for n, command in enumerate(('COPY 1 Box', 'UID COPY 1:2 Box', 'MOVE 4 Box'), 1):
        writer.must(command)
        assert count() == {'MESSAGES': (1, 3, 4)[n - 1], 'UIDNEXT': (2, 4, 5)[n - 1]}
    writer.append('Box', tools.mail(9))
    assert count() == {'MESSAGES': 5, 'UIDNEXT': 6}
    for n in range(6, 12):
        writer.append('Box', tools.mail(9), sync=n % 2 == 0)
        assert count()['MESSAGES'] == n


def test_changes_from_outside_show_within_the_time_a_list_is_kept(proxy, dovecot, user, connect):
    dovecot.fill(user, 'Box', [])
    client, direct = connect(proxy.port, user), connect(dovecot.port, user)
    assert b'Late' not in shown(client.must('LIST "" "*"'))
    assert client.must('STATUS Box (MESSAGES)').status_items() == {'MESSAGES': 0}
    direct.must('CREATE Late')
    direct.append('Box', tools.mail(1))
    began = time.monotonic()
    tools.wait_until(lambda: client.must('STATUS Box (MESSAGES)').status_items() == {'MESSAGES': 1}, KEPT + 2, 'the count')
    tools.wait_until(lambda: b'Late' in shown(client.must('LIST "" "*"')), KEPT + 2, 'the name')
    assert time.monotonic() - began < KEPT + 1.5


@pytest.mark.parametrize('change', ['seen', 'arrival'])
def test_count_of_before_is_not_told_when_the_mailbox_was_left_and_its_link_lost(make_proxy, connect, fake, change):
    """Reading sets \\Seen, and a view was told of new mail: both are over the count that is kept, though the
    mailbox is looked at no more."""
    box = fake.mailbox('INBOX')
    fake.change(lambda: box.add(tools.mail(1)))
    client = connect(make_proxy(fake.port).port, 'u0')
    assert client.must('STATUS INBOX (MESSAGES UNSEEN)').status_items() == {'MESSAGES': 1, 'UNSEEN': 1}
    if change == 'arrival':
        fake.change(lambda: box.add(tools.mail(2)))
    client.select()
    client.must('UID FETCH 1:* BODY[]')
    client.must('UNSELECT')
    fake.drop_all()
    number = len(box.messages)
    assert client.must('STATUS INBOX (MESSAGES UNSEEN)').status_items() == {'MESSAGES': number, 'UNSEEN': 0}


def test_t38_status_is_never_below_a_view(proxy, dovecot, user, connect):
    """Kept counts of before, also those told with a list, are not told of a mailbox that is selected."""
    dovecot.fill(user, 'Box', tools.mails(2))
    client, direct = connect(proxy.port, user), connect(dovecot.port, user)
    with_list = 'LIST "" ("Box" "INBOX") RETURN (STATUS (MESSAGES UIDNEXT))'
    before = client.must('STATUS Box (MESSAGES UIDNEXT)').status_items()
    assert statuses(client.must(with_list))[b'Box'] == {b'MESSAGES': 2, b'UIDNEXT': 3}
    direct.append('Box', tools.mail(3))
    assert client.select('Box').exists == 3
    assert before == {'MESSAGES': 2, 'UIDNEXT': 3}
    assert client.must('STATUS Box (MESSAGES UIDNEXT)').status_items() == {'MESSAGES': 3, 'UIDNEXT': 4}
    assert statuses(client.must(with_list))[b'Box'] == {b'MESSAGES': 3, b'UIDNEXT': 4}
    # items that no model has come from the upstream, the others do not
    told = client.must('STATUS Box (MESSAGES SIZE UIDNEXT)').status_items()
    assert told == dict(MESSAGES=3, UIDNEXT=4, SIZE=sum(len(tools.mail(n)) for n in (1, 2, 3)))


def test_refusals_of_lists_are_relayed_and_not_kept(make_proxy, connect):
    with fakeserver.FakeServer() as server:
        client = connect(make_proxy(server.port).port, 'u0')
        for verb, command in (('LIST', 'LIST "" "*"'), ('STATUS', 'STATUS Box (MESSAGES)'), ('NAMESPACE', 'NAMESPACE')):
            server.mailbox('Box')
            server.on(verb, lambda conn, asked: conn.no(asked, 'not now', 'INUSE'), times=1)
            result = client.cmd(command)
            assert (result.status, result.code) == ('NO', 'INUSE')
            assert client.cmd(command).ok


def test_session_that_leaves_while_a_list_is_asked_for_all(make_proxy, connect):
    with fakeserver.FakeServer() as server:
        port = make_proxy(server.port).port
        clients = [connect(port, 'u0') for _ in range(3)]
        go = threading.Event()

        def handler(conn, asked):
            go.wait(10)
            return conn.default(asked)
        server.on('LIST', handler)
        tags = [client.start('LIST "" "*"') for client in clients]
        server.wait_for('LIST')
        clients[0].close()
        clients[2].close()
        time.sleep(0.1)
        go.set()
        assert clients[1].wait(tags[1]).ok


def test_link_dies_amid_a_list_and_it_is_asked_again(make_proxy, connect):
    with fakeserver.FakeServer() as server:
        for n in range(20):
            server.mailbox('Box%d' % n)
        client = connect(make_proxy(server.port).port, 'u0')
        server.on('LIST', lambda conn, asked: conn.send_cut(conn.default(asked), 200), times=1)
        names = shown(client.must('LIST "" "*"', timeout=20))
        assert len(names) == 21 and len(server.seen('LIST')) == 2
