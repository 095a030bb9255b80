"""How a mailbox becomes known: SELECT answered before it is, by SEARCH and by windows, and what changes meanwhile."""
import pytest

import ladder_tools as ladder
import spine_tools as tools
from imapjudge import fakeserver, imapclient

SEARCHED = 'search_map_from = 1'


def start(make_proxy, capabilities, number=12, upstream=SEARCHED, **more):
    fake = fakeserver.FakeServer(capabilities=ladder.ALL_RUNGS.get(capabilities, capabilities))
    fake.start()
    ladder.fill(fake.mailbox(), number)
    return fake, make_proxy(fake.port, kind=tools.Configured, upstream=upstream, **more)


@pytest.fixture
def begin(make_proxy):
    made = []

    def make(capabilities, number=12, upstream=SEARCHED, **more):
        fake, proxy = start(make_proxy, capabilities, number, upstream, **more)
        made.append(fake)
        return fake, proxy
    yield make
    for fake in made:
        fake.stop()
        assert not fake.errors, fake.errors


def flags_of(result):
    return {uid: {bytes(f).decode() for f in items['FLAGS']} - {'\\Recent'} for uid, items in result.fetch_by_uid().items()}


def truth(box):
    return {m.uid: set(m.flags) for m in box.messages}


def first_scan(fake):
    """The command that finds out which messages there are."""
    return 'UID SEARCH' if 'ESEARCH' in fake.capabilities else 'UID FETCH'


@pytest.mark.parametrize('rung', ladder.ALL_RUNGS)
def test_t37_cold_select_is_answered_from_the_upstreams_own(begin, connect, rung):
    fake, proxy = begin(rung, 12)
    box = fake.mailbox()
    box.expunge([2, 5])
    held = ladder.Held()
    fake.on(first_scan(fake), held, times=1)
    client = connect(proxy.port, 'anna')
    result = client.select()
    assert held.came.wait(5)
    codes = result.codes()
    assert result.exists == 10 and codes['UIDNEXT'] == b'13' and codes['UIDVALIDITY'] == b'1000'
    assert client.must('NOOP').ok and client.must('CAPABILITY').ok
    tag = client.start('UID FETCH 1:* (FLAGS)')
    with pytest.raises(imapclient.IMAPTimeout):
        client.read_response(0.2)       # numbers and flags are needed
    held.go.set()
    assert flags_of(client.wait(tag)) == truth(box)
    if 'ESEARCH' in fake.capabilities:
        assert not [c for c in fake.seen('UID FETCH') if b'CHANGEDSINCE' not in c.args], 'flags were fetched'


@pytest.mark.parametrize('moment', ['before the answer', 'behind it'])
@pytest.mark.parametrize('rung', ladder.ALL_RUNGS)
def test_t23_changes_between_an_early_select_and_the_model_are_told(begin, connect, rung, moment):
    """Expunges, mail and flags that come when SELECT is answered and nothing is known yet reach the client as updates,
    with modseqs above the HIGHESTMODSEQ it was told."""
    fake, proxy = begin(rung, 12)
    box = fake.mailbox()
    client = connect(proxy.port, 'anna')
    if 'QRESYNC' in rung.upper():
        client.must('ENABLE QRESYNC')
    elif 'CONDSTORE' in rung.upper():
        client.must('ENABLE CONDSTORE')

    def happens():
        box.expunge([1, 6, 12])
        box.set_flags(7, {'\\Flagged', 'blue'})
        ladder.fill(box, 2)
    came = []

    def scan(conn, command):
        if not came:
            came.append(command)
            assert held.go.wait(20)
            if moment == 'before the answer':
                fake.change(happens)
                with fake._changed:
                    fake._sync(conn)
        data = conn.default(command)
        if moment == 'behind it' and len(came) == 1:
            came.append(command)
            fake.change(happens)
        conn.send(data)
    held = ladder.Held()
    fake.on(first_scan(fake), scan)
    mirror = ladder.Mirror().selected(client.select())
    assert len(mirror.uids) == 12
    held.go.set()

    def rests():
        mirror.feed(client.must('NOOP').untagged)
        return len(mirror.uids) == 11 and client
    tools.wait_until(rests, what='the updates')
    mirror.feed(client.must('NOOP').untagged)
    if mirror.highest:
        assert mirror.told_modseq(box, 7) > mirror.highest, 'a change of flags was never told'
    assert mirror.equals(box) is None
    result = client.must('UID FETCH 1:* (FLAGS)')
    mirror.feed(result.untagged)
    assert flags_of(result) == truth(box) and mirror.equals(box) is None


@pytest.mark.parametrize('rung', ladder.ALL_RUNGS)
def test_link_lost_before_numbers_were_known(begin, connect, rung):
    """What SELECT told stays true where it can be shown to be; else the session ends."""
    fake, proxy = begin(rung, 12)
    box = fake.mailbox()
    for loses in (False, True):
        client = connect(proxy.port, 'user%d' % loses)
        held = ladder.Held()
        fake.on(first_scan(fake), held, times=1)
        mirror = ladder.Mirror().selected(client.select())
        assert held.came.wait(5)
        if loses:
            box.expunge([3])
        ladder.fill(box, 1)
        fake.drop_all()
        held.go.set()
        try:
            tag = client.start('FETCH 1:* (UID FLAGS)')
            mirror.feed(client.wait(tag).untagged)
            mirror.feed(client.must('NOOP').untagged)
        except imapclient.IMAPClosed:
            assert loses
            continue
        assert not loses and mirror.equals(box) is None


def test_t5_uidvalidity_changes_while_there_are_no_numbers(begin, connect):
    fake, proxy = begin('qresync', 12)
    held = ladder.Held(before=b'* OK [UIDVALIDITY 2000] new\r\n')
    fake.on('UID SEARCH', held, times=1)
    client = connect(proxy.port, 'anna')
    client.select()
    assert held.came.wait(5)
    tag = client.start('UID FETCH 1:* (BODY.PEEK[])')
    held.go.set()
    with pytest.raises(imapclient.IMAPClosed):
        client.wait(tag)


def test_t6_mailbox_made_anew_while_there_are_no_numbers(begin, connect):
    """The same UIDVALIDITY, other mail: what was kept of the old one is never told."""
    fake, proxy = begin('qresync', 3)
    client = connect(proxy.port, 'anna')
    client.select()
    old = client.uid_fetch('1:*', '(UID INTERNALDATE RFC822.SIZE BODY.PEEK[])')
    client.close()
    proxy.restart()
    box = fake.mailbox()
    box.messages.clear()
    box.vanished.clear()
    box.uidnext = 1
    for number in range(4):
        box.add(b'Subject: other %d\r\n\r\nquite another body\r\n' % number, date='01-Feb-2020 10:00:0%d +0000' % number)
    client = connect(proxy.port, 'anna')
    assert client.select().exists == 4
    new = client.uid_fetch('1:*', '(UID BODY.PEEK[])')
    assert [new[u]['BODY[]'] for u in sorted(new)] == [m.octets for m in box.messages]
    assert old[1]['BODY[]'] != new[1]['BODY[]']


def test_t27_select_with_history_is_answered_when_the_server_goes_away(begin, connect):
    """SELECT (QRESYNC ...) waits for the messages; when they cannot be had any more it is answered NO."""
    fake, proxy = begin('qresync', 12)
    client = connect(proxy.port, 'anna', timeout=30)
    client.must('ENABLE QRESYNC')
    held = ladder.Held()
    fake.on(first_scan(fake), held)
    tag = client.start('SELECT INBOX (QRESYNC (1000 3))')
    assert held.came.wait(5)
    fake.stop()
    held.go.set()
    result = client.wait(tag)
    assert result.status == 'NO', result
    assert client.cmd('NOOP').ok
    assert client.cmd('UID FETCH 1 (FLAGS)').status == 'BAD'


def test_t23_expunge_while_a_select_waits_for_history(begin, connect):
    """Numbers are known and flags are not: who waits for them with SELECT (QRESYNC ...) gets the numbers as they were
    when it came, and stays when one goes."""
    fake, proxy = begin('qresync', 12)
    box = fake.mailbox()

    def flags(conn, command):
        if b' SEEN' not in command.args:
            return conn.send(conn.default(command))
        held.came.set()
        assert held.go.wait(20)
        with fake._changed:
            fake._sync(conn)
        return conn.send(conn.default(command))
    held = ladder.Held()
    fake.on('UID SEARCH', flags)
    first, second = connect(proxy.port, 'anna'), connect(proxy.port, 'anna')
    first.select()
    assert held.came.wait(5)
    with pytest.raises(imapclient.IMAPTimeout):
        first.read_response(0.2)        # numbers are known
    second.must('ENABLE QRESYNC')
    tag = second.start('SELECT INBOX (QRESYNC (1000 3))')
    with pytest.raises(imapclient.IMAPTimeout):
        second.read_response(0.3)
    fake.change(lambda: box.expunge([4]))
    held.go.set()
    result = second.wait(tag)
    assert result.ok, result
    mirror = ladder.Mirror().selected(result)

    def rests():
        mirror.feed(second.must('NOOP').untagged)
        return len(mirror.uids) == 11
    tools.wait_until(rests, what='the expunge')
    assert second.must('UID SEARCH ALL').search() == sorted(m.uid for m in box.messages)


def test_windows_where_there_is_no_esearch(begin, connect):
    """More than one command's worth of messages; a STORE of a client that came before gets in between."""
    fake, proxy = begin('neither, no esearch', 30)
    fake.capabilities += ' MESSAGELIMIT=7'
    client = connect(proxy.port, 'anna')
    assert client.select().exists == 30
    assert flags_of(client.must('UID FETCH 1:* (FLAGS)')) == truth(fake.mailbox())
    asked = [c.args.split()[0] for c in fake.seen('FETCH')]
    assert asked == [b'1:7', b'8:14', b'15:21', b'22:28', b'29:30']


def test_search_that_tells_counts_only(begin, connect):
    """An iCloud: RETURN (ALL) is answered with COUNT."""
    fake, proxy = begin('condstore', 9)
    fake.on('UID SEARCH', lambda conn, command: conn.send(
        b'* ESEARCH (TAG "%s") UID COUNT 9\r\n%s OK done\r\n' % (command.tag, command.tag)))
    client = connect(proxy.port, 'anna')
    client.select()
    assert flags_of(client.must('UID FETCH 1:* (FLAGS)')) == truth(fake.mailbox())


def test_searches_answered_in_another_order(begin, connect):
    """Each is told by its tag (a quick one may overtake)."""
    fake, proxy = begin('qresync', 12)
    kept = []

    def late(conn, command):
        data = conn.default(command)
        if b' ALL' in command.args[8:]:
            return kept.append(data)
        conn.send(data)
        if kept:
            conn.send(kept.pop())
    fake.on('UID SEARCH', late)
    client = connect(proxy.port, 'anna')
    client.select()
    assert flags_of(client.must('UID FETCH 1:* (FLAGS)')) == truth(fake.mailbox())
    assert client.must('SEARCH SEEN').search() == [n for n, m in enumerate(fake.mailbox().messages, 1) if '\\Seen' in m.flags]


def test_modseqs_below_the_base_are_asked_upstream(begin, connect):
    """CHANGEDSINCE, MODSEQ, SEARCH MODSEQ and a QRESYNC of before the mailbox was read: exact, as the upstream knows."""
    fake, proxy = begin('qresync', 12)
    box = fake.mailbox()
    box.set_flags(4, {'\\Answered'})
    middle = box.modseq
    box.expunge([2])
    box.set_flags(9, {'\\Flagged'})
    box.expunge([11])
    client = connect(proxy.port, 'anna')
    client.must('ENABLE QRESYNC')
    client.select()
    result = client.must('UID FETCH 1:* (FLAGS) (CHANGEDSINCE %d VANISHED)' % middle)
    assert sorted(result.fetch_by_uid()) == [9]
    assert [r.raw for r in result.named('VANISHED')] == [b'* VANISHED (EARLIER) 2,11\r\n']
    told = {uid: int(items['MODSEQ'][0]) for uid, items in client.must('UID FETCH 1:* (MODSEQ)').fetch_by_uid().items()}
    assert told == {m.uid: m.modseq for m in box.messages}
    client.must('UNSELECT')
    result = client.must('SELECT INBOX (QRESYNC (1000 %d))' % middle)
    assert sorted(result.fetch_by_uid()) == [9]
    assert [r.raw for r in result.named('VANISHED')] == [b'* VANISHED (EARLIER) 2,11\r\n']


def test_search_modseq_below_the_base(begin, connect):
    fake, proxy = begin('condstore', 12)
    box = fake.mailbox()
    middle = box.modseq
    box.set_flags(9, {'\\Flagged'})
    client = connect(proxy.port, 'anna')
    client.select()
    result = client.must('UID SEARCH MODSEQ %d' % (middle + 1))
    assert result.search() == [9]
    assert b'(MODSEQ %d)' % box.by_uid(9).modseq in result.named('SEARCH')[0].raw


GONE = {'the first': lambda uids: uids[:1], 'the last': lambda uids: uids[-1:], 'the first and the last': lambda uids: [uids[0], uids[-1]],
        'a run': lambda uids: uids[700:830], 'seven here and there': lambda uids: uids[3::200], 'the first half': lambda uids: uids[:750],
        'the last half': lambda uids: uids[750:], 'every third': lambda uids: uids[::3], 'nearly all': lambda uids: uids[:-510]}


@pytest.mark.parametrize('rung', ['condstore', 'condstore, no esearch'])
@pytest.mark.parametrize('pattern', GONE)
def test_t25_vanished_found_by_counts_over_runs(begin, connect, rung, pattern):
    """Without QRESYNC: a few numbers are asked for their UIDs, not a list of all."""
    fake, proxy = begin(rung, 1500, upstream='')
    box = fake.mailbox()
    client = connect(proxy.port, 'anna', timeout=30)
    mirror = ladder.Mirror().selected(client.select())
    mirror.feed(client.must('FETCH 1:* (UID FLAGS)').untagged)
    before = len(fake.commands)
    with fake._changed:                 # the link hears nothing of it
        box.expunge(GONE[pattern]([m.uid for m in box.messages]))
        ladder.fill(box, 2)
        fake.drop_all()

    def told():
        mirror.feed(client.must('NOOP').untagged)
        return mirror.equals(box) is None
    tools.wait_until(told, what='the expunges')
    asked = [c for c in fake.commands[before:] if c.verb in ('FETCH', 'UID SEARCH')]
    if pattern != 'every third':
        assert asked and all(c.verb == 'FETCH' for c in asked) and len(asked) <= 4, asked


@pytest.mark.parametrize('rung', ['qresync, no esearch', 'condstore, no esearch', 'neither, no esearch'])
def test_large_without_esearch_numbers_first_then_flags_in_windows(begin, connect, rung):
    """SEARCH ALL gives numbers; while flags come in windows, mail is read, and writes get in between."""
    fake, proxy = begin(rung, 20500, upstream='command_timeout = 60s')
    box = fake.mailbox()
    held = ladder.Held()
    fake.on('UID FETCH', lambda conn, command: held(conn, command) if b'FLAGS' in command.args and not held.came.is_set()
            else conn.send(conn.default(command)))
    client = connect(proxy.port, 'anna', timeout=60)
    mirror = ladder.Mirror().selected(client.select())
    mirror.feed(client.must('UID FETCH 20500 (ENVELOPE)').untagged)     # numbers are enough for it
    assert held.came.wait(5)
    tag = client.start('UID STORE 7 +FLAGS (\\Flagged)')
    other = connect(proxy.port, 'anna', timeout=60)
    other.select()
    gone = other.start('UID MOVE 11:14 Elsewhere') if 'MOVE' in fake.capabilities and fake.mailbox('Elsewhere') else None
    held.go.set()
    mirror.feed(client.wait(tag).untagged)
    assert other.wait(gone).ok
    result = client.must('UID FETCH 1:* (FLAGS)')
    mirror.feed(result.untagged)
    assert flags_of(result) == truth(box)
    mirror.feed(client.must('NOOP').untagged)
    assert mirror.equals(box) is None
    verbs = [c.verb for c in fake.commands if c.verb in ('UID FETCH', 'UID STORE', 'UID MOVE', 'UID SEARCH')]
    assert verbs.index('UID STORE') < len(verbs) - 1 - verbs[::-1].index('UID FETCH'), 'the STORE came behind all windows'
    assert len(client.must('NOOP').untagged) == 0
    assert len([r for r in result.untagged if r.name == 'FETCH']) == len(box.messages), 'told twice'


def test_t25_resync_by_select_with_qresync(begin, connect):
    """The answer to SELECT brings what has changed: no round trip more. On a link that had another mailbox selected, and
    where the server tells nothing there, it is asked for."""
    fake, proxy = begin('qresync', 12)
    box = fake.mailbox()
    client = connect(proxy.port, 'anna', timeout=20)
    mirror = ladder.Mirror().selected(client.select())
    mirror.feed(client.must('FETCH 1:* (UID FLAGS)').untagged)
    for deaf in (False, True):
        if deaf:
            fake.on('SELECT', lambda conn, command: conn.send(b''.join(
                r for r in fakeserver.split_responses(conn.default(command)) if b'VANISHED' not in r and b' FETCH ' not in r)))
        before = len(fake.commands)
        with fake._changed:
            box.expunge([box.messages[2].uid, box.messages[-1].uid])
            box.set_flags(box.messages[0].uid, box.messages[0].flags ^ {'\\Flagged'})
            ladder.fill(box, 2)
            fake.drop_all()

        def told():
            mirror.feed(client.must('NOOP').untagged)
            return mirror.equals(box) is None
        tools.wait_until(told, what='the changes')
        asked = fake.commands[before:]
        assert [c for c in asked if c.verb == 'SELECT' and b'(QRESYNC (1000 ' in c.args]
        assert bool([c for c in asked if b'CHANGEDSINCE' in c.args]) == deaf
