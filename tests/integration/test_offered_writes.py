"""Writes that a client pipelines, and sets longer than a server's line (protocol T14, design promise 2)."""
import pytest

import spine_tools as tools
from imapjudge import fakeserver


def pipeline(client, commands, timeout=30):
    """Sends all at once; the results in order. That the tags come in order is asserted too."""
    with client.together():
        tags = [client.start(*(command if isinstance(command, tuple) else (command,))) for command in commands]
    return [client.wait(tag, timeout) for tag in tags]


# ---- STOREs sent ahead

@pytest.mark.parametrize('silent', ['', '.SILENT'])
def test_pipelined_stores_go_in_one_flight(proxy, server, user, tap, connect, silent):
    server.fill(user, 'INBOX', tools.mails(100))
    client = connect(proxy.port, user)
    client.select()
    client.must('UID STORE 1 +FLAGS ($k0 $k1 $k2)')      # keywords that are known to the mailbox
    client.must('UID STORE 1 FLAGS ()')
    mark = tap.mark()
    results = pipeline(client, ['UID STORE %d +FLAGS%s (\\Seen $k%d)' % (n, silent, n % 3) for n in range(1, 101)])
    assert all(r.ok for r in results), results
    for n, result in enumerate(results, 1):
        told = result.fetch()
        if not silent:
            assert b'\\Seen' in told[n]['FLAGS'], (n, told)
    if silent:
        assert sum(len(r.fetch()) for r in results) < 30    # a line too many is legal, one for each is not
    since = tap.since(mark)
    assert len(since.of('UID STORE')) == 100 and since.turns() <= 3, since.turns()
    with server.client(user) as direct:
        direct.select(examine=True)
        assert direct.must('UID SEARCH SEEN').search() == list(range(1, 101))
        assert direct.must('UID SEARCH KEYWORD $k1').search() == list(range(1, 101, 3))


def test_stores_wait_for_the_fetch_before_them(proxy, server, user, connect):
    """What is told of flags is as of before the STORE that stands behind."""
    server.fill(user, 'INBOX', tools.mails(3))
    client = connect(proxy.port, user)
    client.select()
    results = pipeline(client, ['UID FETCH 1 (FLAGS BODY.PEEK[])', 'UID STORE 1 +FLAGS.SILENT (\\Flagged)',
                                'UID FETCH 1 FLAGS', 'UID STORE 1 -FLAGS.SILENT (\\Flagged)', 'UID FETCH 1 FLAGS'])
    shown = [b'\\Flagged' in results[n].fetch()[1]['FLAGS'] for n in (0, 2, 4)]
    assert shown == [False, True, False]


def test_refused_stores_in_a_pipeline(proxy, server, user, connect):
    server.fill(user, 'INBOX', tools.mails(4))
    client = connect(proxy.port, user)
    client.select()
    statuses = [r.status for r in pipeline(client, [
        'UID STORE 1 +FLAGS (\\Seen)', 'UID STORE 2 +FLAGS (\\Nosuch)', 'UID STORE 999 +FLAGS (\\Seen)',
        'STORE 9 +FLAGS (\\Seen)', 'UID STORE 3 +FLAGS (\\Seen)', 'UID STORE $ +FLAGS (\\Seen)'])]
    assert statuses == ['OK', 'BAD', 'OK', 'BAD', 'OK', 'OK']
    assert client.must('UID SEARCH SEEN').search() == [1, 3]
    client.select(examine=True)
    assert [r.status for r in pipeline(client, ['UID STORE %d +FLAGS (\\Flagged)' % n for n in (1, 2, 3)])] == ['NO'] * 3
    assert client.must('UID SEARCH FLAGGED').search() == []


class CutBefore:
    """Handler of a FakeServer: the n-th command is done, but its link dies before its OK."""

    def __init__(self, number):
        self.number, self.seen = number, 0

    def __call__(self, conn, command):
        self.seen += 1
        said = conn.default(command)
        if self.seen == self.number:
            conn.cut()
        return said


@pytest.mark.parametrize('capabilities', [fakeserver.CAPABILITIES, 'IMAP4rev1 UIDPLUS LITERAL+'])
@pytest.mark.parametrize('lost', [1, 5, 12])
def test_older_store_is_not_repeated_after_a_newer(make_proxy, connect, lost, capabilities):
    """The link dies before the OK of one of them: it and all behind it go again in their order."""
    with fakeserver.FakeServer(capabilities=capabilities) as server:
        box = server.mailbox('INBOX')
        server.change(lambda: box.add(tools.mail(1)))
        client = connect(make_proxy(server.port).port, 'u0')
        client.select()
        client.must('UID FETCH 1:* FLAGS')
        server.on('UID STORE', CutBefore(lost))
        results = pipeline(client, ['UID STORE 1 FLAGS ($n%d)' % n for n in range(1, 13)])
        assert all(r.ok for r in results), results
        assert box.messages[0].flags == {'$n12'}
        sent = [int(c.args.rsplit(b'$n', 1)[1].rstrip(b')\r\n')) for c in server.seen('UID STORE')]
        # what the link had taken when it died was seen or not: both are right, another order is not
        assert sent == list(range(1, lost + 1)) + list(range(lost, 13)), sent


def test_a_newer_store_was_answered_and_the_older_lost(make_proxy, connect):
    """A server that answers out of order: the older cannot be given again, nor be said to have failed."""
    with fakeserver.FakeServer() as server:
        box = server.mailbox('INBOX')
        server.change(lambda: box.add(tools.mail(1)))
        client = connect(make_proxy(server.port).port, 'u0')
        client.select()
        client.must('UID FETCH 1:* FLAGS')
        held = []

        def handler(conn, command):
            said = conn.default(command)
            if not held:
                held.append(said)
                return b''
            conn.send(said)
            conn.cut()
        server.on('UID STORE', handler, times=2)
        tags = [client.start('UID STORE 1 FLAGS ($n%d)' % n) for n in (1, 2)]
        said = tools.until_bye(client, 20)
        assert not [r for r in said if r.tag in tags] and said[-1].name == 'BYE', said
        assert len(server.seen('UID STORE')) == 2 and box.messages[0].flags == {'$n2'}


@pytest.mark.parametrize('command', ['EXPUNGE', 'UID EXPUNGE 1:3', 'CLOSE', 'UID STORE 2 +FLAGS (\\Seen)'])
def test_what_may_be_repeated_and_cannot_be_is_refused_and_may_be_given_again(make_proxy, connect, fake, command):
    """It was done, its link died before the OK, and no other was to be had: a NO, which costs nothing when the client
    gives it again, and the session stays."""
    box = fake.mailbox('INBOX')
    fake.change(lambda: [box.add(tools.mail(n)) for n in (1, 2, 3)])
    client = connect(make_proxy(fake.port).port, 'u0')
    client.select()
    client.must('UID STORE 2 +FLAGS (\\Deleted)')
    verb = 'UID STORE' if 'STORE' in command else 'UID EXPUNGE'

    def away(conn, said):
        conn.default(said)
        for login in ('LOGIN', 'AUTHENTICATE'):
            fake.on(login, lambda other, _: other.cut())
        conn.cut()
    fake.on(verb, away, times=1)
    result = client.cmd(command, timeout=30)
    assert (result.status, result.code) == ('NO', 'UNAVAILABLE') and len(fake.seen(verb)) == (2 if 'STORE' in verb else 1)
    fake.off('LOGIN')
    fake.off('AUTHENTICATE')
    tools.wait_until(lambda: client.cmd(command).ok, 30, 'the upstream')
    client.select()
    assert client.must('UID SEARCH ALL').search() == ([1, 2, 3] if 'STORE' in verb else [1, 3])


def test_store_with_unchangedsince_is_never_sent_ahead_nor_twice(make_proxy, connect):
    with fakeserver.FakeServer() as server:
        box = server.mailbox('INBOX')
        for number in (1, 2, 3):
            server.change(lambda: box.add(tools.mail(number)))
        client = connect(make_proxy(server.port).port, 'u0')
        client.select(extra='(CONDSTORE)')
        server.on('UID STORE', CutBefore(2))
        tags = [client.start(c) for c in ('UID STORE 1 +FLAGS (\\Seen)',
                                          'UID STORE 2 (UNCHANGEDSINCE 99) +FLAGS (\\Flagged)',
                                          'UID STORE 3 +FLAGS (\\Answered)')]
        said = tools.until_bye(client, 20)
        assert [r.tag for r in said if r.kind == 'tagged'] == tags[:1] and said[-1].name == 'BYE', said
        sent = [c.args for c in server.seen('UID STORE')]
        assert len(sent) == 2 and b'UNCHANGEDSINCE' in sent[1], sent


def test_store_pipeline_with_condstore_tells_every_modseq(proxy, server, user, connect):
    server.fill(user, 'INBOX', tools.mails(20))
    client = connect(proxy.port, user)
    client.select(extra='(CONDSTORE)')
    results = pipeline(client, ['UID STORE %d +FLAGS.SILENT (\\Seen)' % n for n in range(1, 21)])
    modseqs = {}
    for result in results:
        assert result.ok
        for number, items in result.fetch().items():
            modseqs[number] = items['MODSEQ'][0]
    with server.client(user) as direct:
        direct.select(examine=True)
        truth = {n: i['MODSEQ'][0] for n, i in direct.must('FETCH 1:* (MODSEQ)').fetch().items()}
    assert modseqs == truth


def test_nothing_is_done_behind_a_select_that_fails(proxy, dovecot, user, tap, connect):
    """Commands behind an EXAMINE of a mailbox that is not there are about no mailbox, not about the one before."""
    dovecot.fill(user, 'INBOX', tools.mails(3))
    dovecot.fill(user, 'Box', [])
    client = connect(proxy.port, user)
    client.select()
    client.must('UID FETCH 1:* FLAGS')
    for first in ('EXAMINE nosuch', 'SELECT nosuch'):
        results = pipeline(client, [first, 'COPY 1 Box', 'UID COPY 1:2 Box', 'UID STORE 1 +FLAGS (\\Seen)',
                                    'UID MOVE 3 Box', 'EXPUNGE', 'UID SEARCH RETURN (SAVE) ALL', 'FETCH $ FLAGS'])
        assert [r.status for r in results] == ['NO'] + ['BAD'] * 7, results
        client.select()
    with dovecot.client(user) as direct:
        direct.select('Box', examine=True)
        assert direct.must('UID SEARCH ALL').search() == []
    assert not tap.since().of('UID COPY', 'UID STORE', 'UID MOVE', 'UID EXPUNGE')


# ---- long sets

def long_box(server, exist, first=1_000_000):
    """A mailbox with those UIDs."""
    box = server.mailbox('INBOX')
    server.mailbox('Box')

    def add():
        for uid in exist:
            box.add(b'Subject: %d\r\n\r\nx\r\n' % uid, uid=first + uid)
    server.change(add)
    return box


@pytest.mark.parametrize('command', ['UID STORE %s +FLAGS (\\Flagged)', 'UID STORE %s (UNCHANGEDSINCE 99999) +FLAGS (\\Flagged)'])
def test_long_set_is_cut_and_answered_as_one(make_proxy, connect, command):
    """Exchange refuses lines of 10 KB: every other message of 4,000."""
    with fakeserver.FakeServer() as server:
        box = long_box(server, range(1, 4001))
        client = connect(make_proxy(server.port).port, 'u0', timeout=60)
        client.select()
        uids = list(range(1_000_001, 1_004_001, 2))
        result = client.cmd(command % ','.join(map(str, uids)))
        assert result.ok, result
        told = sorted(items['UID'] for items in result.fetch().values())
        assert told == uids
        stores = server.seen('UID STORE')
        assert len(stores) > 1 and all(len(c.raw) <= 8192 for c in stores), [len(c.raw) for c in stores]
        assert [m.uid for m in box.messages if '\\Flagged' in m.flags] == uids
        assert not server.errors


def test_part_of_a_long_set_that_is_refused_makes_it_no(make_proxy, connect):
    with fakeserver.FakeServer() as server:
        long_box(server, range(1, 4001))
        client = connect(make_proxy(server.port).port, 'u0', timeout=60)
        client.select()
        client.must('NOOP')
        server.on('UID STORE', lambda conn, command: conn.no(command, 'over it', 'OVERQUOTA'), times=1)
        result = client.cmd('UID STORE %s +FLAGS (\\Flagged)' % ','.join(map(str, range(1_000_001, 1_004_001, 2))))
        assert (result.status, result.code) == ('NO', 'OVERQUOTA'), result
        assert len(server.seen('UID STORE')) > 1


@pytest.mark.parametrize('command', ['UID STORE %s +FLAGS.SILENT (\\Flagged)', 'UID COPY %s Box', 'UID MOVE %s Box',
                                     'UID EXPUNGE %s', 'UID SEARCH UID %s SUBJECT 1000001'])
def test_set_of_all_there_is_goes_as_one_run(make_proxy, connect, command):
    """Where only every other UID exists, a list of them is one run: never cut, and COPY stays one command."""
    with fakeserver.FakeServer() as server:
        long_box(server, range(1, 4001, 2))
        client = connect(make_proxy(server.port).port, 'u0', timeout=60)
        client.select()
        assert client.cmd(command % ','.join(map(str, range(1_000_001, 1_004_001, 2)))).ok
        sent = [c for c in server.seen(' '.join(command.split()[:2])) if 'SEARCH' not in command or b'SUBJECT' in c.raw]
        assert len(sent) == 1 and len(sent[0].raw) < 100, sent
        if 'Box' in command:
            assert len(server.mailbox('Box').messages) == 2000
        assert not server.errors


def test_copy_of_a_long_set_is_never_cut(make_proxy, connect):
    """RFC 3501 6.4.7: COPY is all or nothing, so it is one command, whatever the upstream makes of it."""
    with fakeserver.FakeServer() as server:
        long_box(server, range(1, 4001))
        client = connect(make_proxy(server.port).port, 'u0', timeout=60)
        client.select()
        assert client.cmd('UID COPY %s Box' % ','.join(map(str, range(1_000_001, 1_004_001, 2)))).ok
        assert len(server.seen('UID COPY')) == 1
        assert len(server.mailbox('Box').messages) == 2000
