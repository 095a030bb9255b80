"""What one session or the upstream changes is told to the others when it may be told, and truly."""
import re
import threading
import time

import pytest

import spine_tools as tools
from imapjudge import imapclient, wire


@pytest.fixture
def pair(proxy, server, user, connect):
    """(direct client, first and second client behind the proxy), INBOX with five mails selected by all."""
    server.fill(user, 'INBOX', tools.mails(5))
    clients = [connect(server.port, user), connect(proxy.port, user), connect(proxy.port, user)]
    for client in clients:
        client.select()
    return clients


def told(client, wanted, seconds=10):
    """Untagged responses gathered over NOOPs until wanted(list)."""
    got = []

    def enough():
        got.extend(client.must('NOOP').untagged)
        return wanted(got)
    tools.wait_until(enough, seconds, 'what is told: %r' % got)
    return got


def names(responses):
    return [(r.name, r.num) for r in responses if r.num is not None]


# ---- ordinary updates

def test_t22_changes_of_the_upstream_and_of_a_neighbour_reach_a_noop(pair):
    direct, first, second = pair
    direct.must('STORE 2 +FLAGS (\\Flagged $Work)')
    direct.append('INBOX', tools.mail(6))
    direct.must('STORE 4 +FLAGS.SILENT (\\Deleted)')
    direct.must('EXPUNGE')
    first.must('STORE 1 +FLAGS (\\Answered)')
    got = told(second, lambda got: {'EXPUNGE', 'EXISTS'} <= {r.name for r in got}
               and {1, 2} <= {r.num for r in got if r.name == 'FETCH'})
    assert [r.num for r in got if r.name == 'EXPUNGE'] == [4]
    assert [r.num for r in got if r.name == 'EXISTS'][-1] == 5
    kinds = [r.name for r in got if r.name in ('EXPUNGE', 'EXISTS')]
    assert kinds == sorted(kinds, reverse=True) or kinds[0] == 'EXISTS' and kinds[-1] == 'EXISTS'
    flags = second.fetch('1:*', '(UID FLAGS)')
    assert [items['UID'] for items in flags.values()] == [1, 2, 3, 5, 6]
    assert b'\\Answered' in flags[1]['FLAGS'] and b'$Work' in flags[2]['FLAGS']
    assert any(r.name == 'FLAGS' and b'$Work' in r.raw for r in got), 'new keyword not announced'


def test_t26_idle_is_told_at_once_everything(pair):
    direct, first, second = pair
    second.idle()
    began = time.monotonic()
    first.must('STORE 3 +FLAGS (\\Seen)')
    second.idle_wait(lambda got: any(r.name == 'FETCH' and r.num == 3 for r in got))
    first.append('INBOX', tools.mail(6))
    second.idle_wait(lambda got: any(r.name == 'EXISTS' and r.num == 6 for r in got))
    first.must('STORE 1,3 +FLAGS.SILENT (\\Deleted)')
    first.must('EXPUNGE')
    got = second.idle_wait(lambda got: sum(r.name == 'EXPUNGE' for r in got) == 2)
    assert time.monotonic() - began < 5
    live = [1, 2, 3, 4, 5, 6]
    for response in got:
        if response.name == 'EXPUNGE':
            del live[response.num - 1]
    assert live == [2, 4, 5, 6]
    second.done()
    assert [i['UID'] for i in second.fetch('1:*', 'UID').values()] == live


@pytest.mark.parametrize('command', ['FETCH 1:* FLAGS', 'STORE 1 +FLAGS (\\Flagged)', 'SEARCH ALL',
                                     'SEARCH SUBJECT number', 'FETCH 1:3 BODY.PEEK[]', 'STORE 1 +FLAGS.SILENT (x)'])
def test_t18_expunge_is_never_told_during_commands_that_use_numbers(pair, command):
    direct, first, second = pair
    first.idle()
    direct.must('STORE 2 +FLAGS.SILENT (\\Deleted)')
    direct.must('EXPUNGE')
    first.idle_wait(lambda got: any(r.name == 'EXPUNGE' for r in got))
    first.done()
    result = second.must(command)
    assert not result.named('EXPUNGE') and not result.named('VANISHED')
    for response in result.named('FETCH'):
        assert response.num <= 5
    if command.startswith('SEARCH'):
        assert set(result.search()) >= {1, 3, 4, 5}, 'numbers moved'
    if command == 'FETCH 1:3 BODY.PEEK[]':
        assert result.fetch()[3]['BODY[]'] == tools.mail(3)
    got = told(second, lambda got: any(r.name == 'EXPUNGE' for r in got))
    assert [r.num for r in got if r.name == 'EXPUNGE'] == [2]
    assert second.fetch('2', 'UID')[2] == {'UID': 3}


def test_uid_commands_may_tell_expunges_and_numbers_stay_right(pair):
    direct, first, second = pair
    first.idle()
    direct.must('STORE 2,3 +FLAGS.SILENT (\\Deleted)')
    direct.must('EXPUNGE')
    first.idle_wait(lambda got: sum(r.name == 'EXPUNGE' for r in got) == 2)
    first.done()
    live = [1, 2, 3, 4, 5]
    for _ in range(2):
        result = second.must('UID FETCH 1:* (FLAGS)')
        for response in result.untagged:
            if response.name == 'EXPUNGE':
                del live[response.num - 1]
            elif response.name == 'FETCH':
                assert live[response.num - 1] == dict(response.data)['UID']
    second.must('NOOP')
    assert [i['UID'] for i in second.fetch('1:*', 'UID').values()] == [1, 4, 5]


def test_status_and_search_see_what_was_just_written(pair):
    direct, first, second = pair
    first.must('STORE 1:2 +FLAGS (\\Seen)')
    assert second.must('STATUS INBOX (UNSEEN MESSAGES UIDNEXT)').status_items() == \
        {'UNSEEN': 3, 'MESSAGES': 5, 'UIDNEXT': 6}
    assert second.must('SEARCH SEEN').search() == [1, 2]
    first.append('INBOX', tools.mail(6))
    assert second.must('STATUS INBOX (MESSAGES)').status_items() == {'MESSAGES': 6}
    assert second.must('SEARCH ALL').search() in ([1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 6])


def test_many_sessions_writing_at_once_end_up_with_one_truth(proxy, server, user, connect):
    server.fill(user, 'INBOX', tools.mails(40))
    clients = [connect(proxy.port, user, timeout=30) for _ in range(6)]
    for client in clients:
        client.select()
    failures = []

    def work(number, client):
        try:
            for turn in range(30):
                uid = (number * 7 + turn * 3) % 40 + 1
                client.cmd('UID STORE %d %sFLAGS (%s)' % (uid, '+-'[turn % 2], ('\\Flagged', 'k%d' % number)[turn % 3 > 0]))
                if turn % 10 == number:
                    client.cmd('UID STORE %d +FLAGS.SILENT (\\Deleted)' % (uid + 1))
                    client.cmd('EXPUNGE')
                if turn % 10 == 5:
                    client.append('INBOX', tools.mail(1000 + number * 100 + turn))
        except Exception as error:      # noqa: B902  the thread's failure is the test's
            failures.append(error)
    threads = [threading.Thread(target=work, args=pair) for pair in enumerate(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures, failures
    with server.client(user) as direct:
        truth = tools.same_mailbox(direct, connect(proxy.port, user))
    for client in clients:
        client.must('NOOP')
        seen = {i['UID']: sorted(bytes(f) for f in i['FLAGS'] if f != b'\\Recent')
                for i in client.fetch('1:*', '(UID FLAGS)').values()}
        assert seen == {uid: items['FLAGS'] for uid, items in truth.items()}


def test_t13_recent_goes_to_one_session(proxy, server, user, connect):
    server.fill(user, 'INBOX', tools.mails(2))
    clients = [connect(proxy.port, user) for _ in range(4)]
    examined = clients[3].must('EXAMINE INBOX').named('RECENT')[-1].num
    counts = [client.select().named('RECENT')[-1].num for client in clients[:3]]
    assert sorted(counts) == [0, 0, 2], (examined, counts)
    recents = [len(client.must('SEARCH RECENT').search()) for client in clients[:3]]
    assert recents == counts


# ---- the mailbox itself changes

def test_t5_uidvalidity_that_changes_ends_the_sessions(server, user, tap, make_proxy, connect):
    with server.client(user) as direct:
        direct.must('CREATE Box')
        for n in (1, 2):
            direct.append('Box', tools.mail(n))
    proxy = make_proxy(tap.port)
    inside = [connect(proxy.port, user) for _ in range(3)]
    for client in inside:
        client.select('Box')
        client.fetch('1:2', 'BODY.PEEK[]')
    outside = connect(proxy.port, user)
    outside.select()
    tap.refuse(True)
    tap.kill_all()
    with server.client(user) as direct:
        time.sleep(1.1)     # Dovecot's UIDVALIDITY is a time
        direct.must('DELETE Box')
        direct.must('CREATE Box')
        for n in (7, 8):
            direct.append('Box', tools.mail(n))
    tap.refuse(False)
    for client in inside:
        assert tools.until_bye(client, 30)[-1].name == 'BYE'
    outside.must('NOOP')
    fresh = connect(proxy.port, user)
    fresh.select('Box')
    assert [i['BODY[]'] for i in fresh.fetch('1:2', 'BODY.PEEK[]').values()] == [tools.mail(7), tools.mail(8)]


@pytest.mark.parametrize('command', ['DELETE Box', 'RENAME Box Other'])
@pytest.mark.parametrize('by', ['neighbour', 'upstream'])
def test_mailbox_that_goes_ends_the_sessions_in_it(proxy, server, user, connect, command, by):
    server.fill(user, 'Box', tools.mails(2))
    inside, outside = connect(proxy.port, user), connect(proxy.port, user)
    inside.select('Box')
    inside.fetch('1:2', 'BODY.PEEK[]')
    outside.select()
    (outside if by == 'neighbour' else connect(server.port, user)).must(command)
    if by == 'upstream':        # it has to notice
        inside.send_raw('n NOOP\r\n')
        outside.cmd('STATUS Box (MESSAGES)')
    said = tools.until_bye(inside, 30)
    assert said[-1].name == 'BYE' or [r for r in said if r.name == 'BYE'], said
    assert outside.cmd('SELECT Box').status == 'NO'
    if command.startswith('RENAME'):
        outside.select('Other')
        assert outside.fetch('2', 'BODY.PEEK[]')[2]['BODY[]'] == tools.mail(2)


def test_t6_deleted_and_made_anew_shows_nothing_old(proxy, server, user, connect):
    server.fill(user, 'Box', tools.mails(3))
    client = connect(proxy.port, user)
    client.select('Box')
    client.fetch('1:3', '(ENVELOPE BODY.PEEK[])')
    client.must('UNSELECT')
    client.must('DELETE Box')
    client.must('CREATE Box')
    client.append('Box', tools.mail(9))
    client.select('Box')
    with server.client(user) as direct:
        tools.same_mailbox(direct, connect(proxy.port, user), 'Box')


# ---- CONDSTORE and QRESYNC

def test_t24_condstore_answers(pair):
    direct, first, second = pair
    modseq = int(first.must('SELECT INBOX (CONDSTORE)').codes()['HIGHESTMODSEQ'])
    assert modseq == direct.must('STATUS INBOX (HIGHESTMODSEQ)').status_items()['HIGHESTMODSEQ']
    stored = first.must('STORE 2 +FLAGS (\\Flagged)').fetch()
    assert stored[2]['MODSEQ'][0] > modseq
    changed = first.must('FETCH 1:* (UID FLAGS) (CHANGEDSINCE %d)' % modseq).fetch()
    assert list(changed) == [2] and changed[2]['MODSEQ'] == stored[2]['MODSEQ']
    assert direct.must('FETCH 1:* (UID FLAGS) (CHANGEDSINCE %d)' % modseq).fetch()[2]['MODSEQ'] == changed[2]['MODSEQ']
    found = first.must('SEARCH MODSEQ %d' % (modseq + 1))
    assert found.search()[0] == 2 and b'MODSEQ' in found.named('SEARCH')[0].raw
    # a store on what has changed meanwhile is refused, and told which
    refused = first.cmd('STORE 1:3 (UNCHANGEDSINCE %d) +FLAGS (\\Answered)' % modseq)
    assert refused.code == 'MODIFIED' and wire.parse_set(refused.code_args) == [2]
    assert sorted(refused.fetch()) == [1, 3]
    refused = first.cmd('UID STORE 2:3 (UNCHANGEDSINCE %d) +FLAGS (\\Answered)' % modseq)
    assert refused.code == 'MODIFIED' and wire.parse_set(refused.code_args) == [2, 3]
    direct.must('NOOP')
    assert direct.must('UID SEARCH ANSWERED').search() == [1, 3]
    # another session's change carries MODSEQ
    second.must('STORE 5 +FLAGS (\\Flagged)')
    got = told(first, lambda got: any(r.name == 'FETCH' and r.num == 5 for r in got))
    assert all('MODSEQ' in dict(r.data) for r in got if r.name == 'FETCH')
    # without CONDSTORE no MODSEQ is told
    first.must('STORE 4 +FLAGS (\\Flagged)')
    got = told(second, lambda got: any(r.name == 'FETCH' and r.num == 4 for r in got))
    assert all('MODSEQ' not in dict(r.data) for r in got if r.name == 'FETCH')


def test_qresync_gives_a_returning_client_what_it_missed(proxy, server, user, connect):
    server.fill(user, 'INBOX', tools.mails(10))
    client = connect(proxy.port, user)
    assert client.cmd('SELECT INBOX (QRESYNC (1 1))').status == 'BAD'
    client.must('ENABLE QRESYNC')
    codes = client.select().codes()
    validity, modseq = int(codes['UIDVALIDITY']), int(codes['HIGHESTMODSEQ'])
    client.logout()
    with server.client(user) as direct:
        direct.select()
        direct.must('STORE 2 +FLAGS (\\Flagged)')
        direct.must('STORE 4:5 +FLAGS.SILENT (\\Deleted)')
        direct.must('EXPUNGE')
        direct.append('INBOX', tools.mail(11))
    waiting = connect(proxy.port, user)     # IDLE tells the proxy a moment later
    tools.wait_until(lambda: waiting.must('STATUS INBOX (MESSAGES)').status_items() == {'MESSAGES': 9})
    for at in ('proxied', 'direct'):
        back = connect(proxy.port if at == 'proxied' else server.port, user)
        back.must('ENABLE QRESYNC')
        answer = back.must('SELECT INBOX (QRESYNC (%d %d 1:10))' % (validity, modseq))
        vanished = [r for r in answer.named('VANISHED') if b'EARLIER' in r.raw.upper()]
        gone = sorted(n for r in vanished for n in wire.parse_set(r.data[-1]))
        changed = {i['UID']: (sorted(bytes(f) for f in i['FLAGS'] if f != b'\\Recent'), i['MODSEQ'])
                   for i in answer.fetch().values()}
        if at == 'proxied':
            proxied = gone, {u: c for u, c in changed.items() if u <= 10}
            assert gone == [4, 5] and 2 in changed
        else:
            assert (gone, {u: c for u, c in changed.items() if u <= 10}) == proxied
    wrong = connect(proxy.port, user)
    wrong.must('ENABLE QRESYNC')
    answer = wrong.must('SELECT INBOX (QRESYNC (%d %d))' % (validity + 1, modseq))
    assert not answer.named('VANISHED') and not answer.named('FETCH') and answer.exists == 9


def test_qresync_session_is_told_vanished(pair):
    direct, first, second = pair
    first.must('ENABLE QRESYNC')
    first.select()
    direct.must('STORE 2,4 +FLAGS.SILENT (\\Deleted)')
    direct.must('EXPUNGE')
    got = told(first, lambda got: sum(len(wire.parse_set(r.data[-1])) for r in got if r.name == 'VANISHED') == 2)
    assert not [r for r in got if r.name == 'EXPUNGE']
    assert sorted(n for r in got if r.name == 'VANISHED' for n in wire.parse_set(r.data[-1])) == [2, 4]
    direct.must('STORE 1 +FLAGS (\\Flagged)')
    got = told(first, lambda got: any(r.name == 'FETCH' for r in got))
    items = dict(next(r for r in got if r.name == 'FETCH').data)
    assert items['UID'] == 1 and 'MODSEQ' in items
    first.must('UID STORE 3 +FLAGS.SILENT (\\Deleted)')
    done = first.must('EXPUNGE')
    assert done.code == 'HIGHESTMODSEQ' and wire.parse_set(done.named('VANISHED')[0].data[-1]) == [3]
    earlier = first.must('UID FETCH 1:* (FLAGS) (CHANGEDSINCE 1 VANISHED)').named('VANISHED')
    assert sorted(n for r in earlier for n in wire.parse_set(r.data[-1])) == [2, 3, 4]


# ---- after the link was lost

@pytest.mark.parametrize('state', ['idling', 'noop', 'restart of the server'])
def test_what_changed_while_the_link_was_down_is_told_as_ordinary_updates(server, user, tap, make_proxy, connect, state):
    server.fill(user, 'INBOX', tools.mails(10))
    proxy = make_proxy(tap.port)
    client = connect(proxy.port, user, timeout=30)
    client.select()
    client.fetch('1:10', 'BODY.PEEK[]')
    if state == 'idling':
        client.idle()
    tap.refuse(True)
    tap.kill_all()
    with server.client(user) as direct:
        direct.select()
        direct.must('STORE 3 +FLAGS (\\Flagged)')
        direct.must('STORE 5,7 +FLAGS.SILENT (\\Deleted)')
        direct.must('EXPUNGE')
        direct.append('INBOX', tools.mail(11))
        direct.append('INBOX', tools.mail(12))
    if state == 'restart of the server':
        server.restart()
    tap.refuse(False)

    def enough(got):
        return sum(r.name == 'EXPUNGE' for r in got) == 2 and any(r.name == 'EXISTS' for r in got) \
            and any(r.name == 'FETCH' and b'\\Flagged' in dict(r.data).get('FLAGS', ()) for r in got)
    if state == 'idling':
        got = client.idle_wait(enough, 30)
        client.done()
    else:
        got = []
        tools.wait_until(lambda: got.extend(client.cmd('NOOP').untagged) or enough(got), 30, 'updates')
    live = list(range(1, 11))
    for response in got:
        if response.name == 'EXPUNGE':
            del live[response.num - 1]
    assert live == [1, 2, 3, 4, 6, 8, 9, 10]
    assert [r.num for r in got if r.name == 'EXISTS'][-1] == 10
    mark = tap.mark()
    assert {i['UID']: i['BODY[]'] for i in client.fetch('1:*', '(UID BODY.PEEK[])').values()} == \
        {n: tools.mail(n) for n in live + [11, 12]}
    for fetch in tap.since(mark).content_fetches:
        assert re.search(rb' (11:12|11|12|11,12) ', fetch.line), 'kept mail downloaded again: %r' % fetch
    with server.client(user) as direct:
        tools.same_mailbox(direct, connect(proxy.port, user))


def test_without_qresync_the_resync_finds_what_vanished(fake, make_proxy, connect):
    box = fake.mailbox('INBOX')
    for n in range(1, 9):
        box.add(tools.mail(n))
    for capabilities in ('IMAP4rev1 LITERAL+ ENABLE IDLE UIDPLUS CONDSTORE ESEARCH', 'IMAP4rev1 IDLE UIDPLUS'):
        fake.capabilities = capabilities
        proxy = make_proxy(fake.port)
        client = connect(proxy.port, 'anna', timeout=30)
        count = client.select().exists
        client.fetch('1:*', 'FLAGS')        # the mailbox is known
        client.idle()
        fake.drop_all()
        fake.change(lambda: box.expunge([box.messages[2].uid, box.messages[-1].uid]))
        fake.change(lambda: box.set_flags(box.messages[0].uid, box.messages[0].flags ^ {'\\Flagged'}))
        fake.change(lambda: box.add(tools.mail(50)))
        got = client.idle_wait(lambda got: sum(r.name == 'EXPUNGE' for r in got) == 2
                               and any(r.name == 'EXISTS' for r in got) and any(r.name == 'FETCH' for r in got), 30)
        assert sorted(r.num for r in got if r.name == 'EXPUNGE') in ([3, count - 1], [3, count])
        client.done()
        assert [i['UID'] for i in client.fetch('1:*', 'UID').values()] == [m.uid for m in box.messages]


@pytest.mark.parametrize('command', ['SEARCH SUBJECT "number 2"', 'UID SORT (SUBJECT) UTF-8 ALL', 'FETCH 2 ENVELOPE',
                                     'UID THREAD REFERENCES UTF-8 ALL'])
def test_read_whose_ok_was_lost_is_asked_again(proxy, server, user, tap, connect, command):
    server.fill(user, 'INBOX', tools.mails(3))
    client = connect(proxy.port, user, timeout=20)
    client.select()
    direct = connect(server.port, user)  # what the proxy has answered once it does not ask again
    direct.select()
    right = direct.must(command).untagged if 'FETCH' not in command else None
    tap.cut_before_tagged(re.match(r'(?:UID )?(\w+)', command).group(1))
    result = client.cmd(command)
    assert tap.cuts == 1
    assert result.ok, result
    assert right is None or [r.raw for r in result.untagged] == [r.raw for r in right]


@pytest.mark.parametrize('command', ['STATUS Box (MESSAGES)', 'LIST "" *', 'NAMESPACE', 'SUBSCRIBE Box',
                                     'SEARCH SUBJECT x', 'FETCH 2 ENVELOPE'])
def test_read_whose_link_turns_out_dead_is_asked_again(fake, make_proxy, connect, command):
    """The common case after a quiet hour: the first command finds the link gone."""
    for n in (1, 2):
        fake.mailbox('INBOX').add(tools.mail(n))
    fake.mailbox('Box')
    client = connect(make_proxy(fake.port).port, 'anna', timeout=20)
    client.select()
    client.fetch('1:*', 'FLAGS')        # the mailbox is known
    verb = command.split()[0]
    verb = 'UID ' + verb if verb in ('FETCH', 'SEARCH') else verb
    fake.on(verb, lambda conn, command: conn.reset(), times=1)
    result = client.cmd(command)
    assert result.ok, result
    assert len([c for c in fake.seen(verb) if verb != 'UID FETCH' or b'ENVELOPE' in c.args]) == 2


def test_ok_is_not_told_for_a_store_the_upstream_refused(fake, make_proxy, connect):
    box = fake.mailbox('INBOX')
    for n in (1, 2):
        box.add(tools.mail(n))
    proxy = make_proxy(fake.port)
    client, other = connect(proxy.port, 'anna'), connect(proxy.port, 'anna')
    for each in (client, other):
        each.select()
    fake.on('UID STORE', lambda conn, command: conn.no(command, 'not yours', 'NOPERM'))
    result = client.cmd('STORE 1 +FLAGS (\\Flagged)')
    assert result.status == 'NO' and result.code == 'NOPERM'
    for each in (client, other):
        assert b'\\Flagged' not in each.fetch('1', 'FLAGS')[1]['FLAGS']
    # a non-PEEK read without the right to set \Seen: octets, OK, and no \Seen kept
    fetched = client.cmd('FETCH 2 BODY[]')
    assert fetched.ok and fetched.fetch()[2]['BODY[]'] == tools.mail(2)
    client.must('NOOP')
    for each in (client, other):
        assert b'\\Seen' not in each.fetch('2', 'FLAGS')[2]['FLAGS']


def test_client_that_never_reads_updates_is_not_waited_for(proxy, server, user, connect):
    server.fill(user, 'INBOX', tools.mails(3))
    sleepy = tools.Raw(proxy.port, receive_buffer=4096)
    sleepy.line()
    sleepy.send(b'a LOGIN %s pw\r\nb SELECT INBOX\r\nc IDLE\r\n' % user.encode())
    sleepy.until(b'+ ')
    busy = connect(proxy.port, user)
    busy.select()
    before = proxy.rss()
    for turn in range(300):
        busy.must('STORE 1:3 %sFLAGS.SILENT (\\Flagged)' % '+-'[turn % 2])
    assert proxy.rss() < before + 20_000_000
    sleepy.send(b'DONE\r\nd FETCH 1:3 FLAGS\r\n')
    answer = sleepy.until(b'd OK')
    assert answer.count(b'\\Flagged') == answer.split(b'c OK')[0].count(b'\\Flagged')
    sleepy.close()
    with pytest.raises(imapclient.IMAPTimeout):
        busy.read_response(0.2)     # nothing is told without a command
