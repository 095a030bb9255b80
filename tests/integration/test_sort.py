"""SORT and THREAD: asked upstream once for each set of messages, whatever flags do; ESORT is the proxy's own work (RFC 5256,
RFC 5267)."""
import random
import types

import pytest

import spine_tools as tools
from imapjudge import fakeserver

ASKED = ('UID SORT', 'UID THREAD', 'UID SEARCH')
RETURNS = ('', 'ALL', 'MIN', 'MAX', 'COUNT', 'MIN MAX', 'COUNT ALL MIN MAX', 'COUNT MIN', 'PARTIAL 1:3', 'PARTIAL 3:2 COUNT',
           'PARTIAL 5:50', 'PARTIAL 40:50', 'MIN PARTIAL 1:1')


def letters(number, seed=5):
    """Mails with few subjects and days, so that there are ties, and references between them."""
    chance = random.Random(seed)
    mails = []
    for n in range(1, number + 1):
        parent = chance.randrange(1, n + 3)
        head = b'Subject: %ss%02d\r\nDate: Mon, %d Sep 2020 %02d:00:00 +0000\r\nFrom: p%d@example.com\r\n' % (
            chance.choice([b'', b'Re: ']), chance.randrange(6), chance.randrange(1, 28), chance.randrange(24), chance.randrange(5))
        head += b'To: x@example.com\r\nMessage-ID: <m%d@example.com>\r\n' % n
        if parent < n:
            head += b'References: <m%d@example.com>\r\n' % parent
        octets = head + b'\r\n' + b'word%d\r\n' % chance.randrange(4) * chance.randrange(1, 9)
        # of long ago: no index lags behind them
        date = '%02d-Mar-2019 %02d:00:00 +0000' % (chance.randrange(1, 29), chance.randrange(24))
        mails.append(types.SimpleNamespace(octets=octets, flags=(), date=date))
    return mails


def lines(result, name):
    """What the lines of that name say."""
    return [bytes(r.raw).split(None, 2)[2:] for r in result.named(name)]


def esearch(result):
    return [bytes(r.raw).split(b')', 1)[1] for r in result.named('ESEARCH')]


def settled(tap):
    """The link of the mailbox idles: what comes now is of what is asked now."""
    tools.wait_until(lambda: tap.commands and tap.commands[-1].verb == 'IDLE', what='IDLE')
    return tap.mark()


def asked(tap, mark):
    return [c.line.split(b' ', 1)[1] for c in tap.since(mark).of(*ASKED)]


@pytest.fixture
def pair(proxy, server, user, connect):
    """(through the proxy, directly): 40 mails, of which 3, 4 and 17 are gone, some flagged."""
    server.fill(user, 'INBOX', letters(40))
    with server.client(user) as direct:
        direct.select()
        direct.must('UID STORE 3,4,17 +FLAGS.SILENT (\\Deleted)')
        direct.must('EXPUNGE')
        direct.must('UID STORE 2,5,9,30:33 +FLAGS.SILENT (\\Flagged)')
    clients = connect(proxy.port, user), connect(server.port, user)
    for client in clients:
        client.select()
    return clients


def same(pair, command):
    """Both say the same; the proxy's result."""
    results = [client.must(command) for client in pair]
    for name in ('SORT', 'THREAD'):
        assert lines(results[0], name) == lines(results[1], name), command
    assert esearch(results[0]) == esearch(results[1]), command
    return results[0]


PROGRAMS = ('ARRIVAL', 'REVERSE DATE', 'SUBJECT', 'REVERSE SUBJECT DATE', 'SIZE', 'FROM REVERSE SIZE', 'TO CC')
CRITERIA = ('ALL', 'FLAGGED', 'UNFLAGGED', '2:9', 'UID 5:20 NOT FLAGGED', 'SUBJECT s01', 'BODY word2 FLAGGED', 'OR FLAGGED BODY word1',
            'KEYWORD none', 'NOT SUBJECT s01', 'NEW', 'SUBJECT nowhere')


@pytest.mark.parametrize('program', PROGRAMS)
def test_orders_are_the_upstreams(pair, program):
    for _ in range(2):
        for criteria in CRITERIA:
            same(pair, 'SORT (%s) UTF-8 %s' % (program, criteria))
            same(pair, 'UID SORT (%s) US-ASCII %s' % (program, criteria))


@pytest.mark.parametrize('algorithm', ['REFERENCES', 'REFS', 'ORDEREDSUBJECT'])
def test_threads_are_the_upstreams(pair, algorithm):
    if 'THREAD=' + algorithm not in pair[1].capability():
        pytest.skip('not offered')
    for _ in range(2):
        for criteria in CRITERIA:
            same(pair, 'THREAD %s UTF-8 %s' % (algorithm, criteria))
            same(pair, 'UID THREAD %s UTF-8 %s' % (algorithm, criteria))


@pytest.mark.parametrize('verb', ['SORT', 'UID SORT'])
@pytest.mark.parametrize('returns', RETURNS)
def test_esort_is_as_dovecot_has_it(dovecot, pair, verb, returns):
    assert 'ESORT' in pair[0].capability()
    for program in ('REVERSE DATE', 'ARRIVAL'):
        for criteria in ('ALL', 'FLAGGED', 'SUBJECT s02', 'KEYWORD none', 'MODSEQ 1', 'UID 5:9'):
            command = '%s RETURN (%s) (%s) UTF-8 %s' % (verb, returns, program, criteria)
            results = [client.must(command) for client in pair]
            got = [[line.split(b' MODSEQ ')[0].strip() for line in esearch(r)] for r in results]
            assert got[0] == got[1], command
            assert not results[0].named('SORT')


@pytest.mark.parametrize('returns', ['SAVE', 'SAVE ALL', 'SAVE MIN', 'SAVE MAX', 'MIN MAX SAVE', 'SAVE MIN COUNT', 'SAVE PARTIAL 2:4'])
def test_saved_result_of_a_sort_is_as_dovecot_has_it(dovecot, pair, returns):
    for verb in ('SORT', 'UID SORT'):
        for criteria in ('FLAGGED', 'SUBJECT s01', 'KEYWORD none'):
            got = []
            for client in pair:
                result = client.must('%s RETURN (%s) (SUBJECT) UTF-8 %s' % (verb, returns, criteria))
                got.append((esearch(result), client.must('UID SEARCH $').search()))
            assert got[0] == got[1], (verb, criteria)


def test_an_order_is_asked_for_once_whatever_flags_do(pair, tap):
    client = pair[0]
    mark = tap.mark()
    first = lines(client.must('UID SORT (REVERSE DATE) UTF-8 ALL'), 'SORT')
    assert len(asked(tap, mark)) == 1
    mark = settled(tap)
    for _ in range(3):
        assert lines(client.must('UID SORT (REVERSE DATE) UTF-8 ALL'), 'SORT') == first
        client.must('SORT (REVERSE DATE) UTF-8 FLAGGED')
        client.must('SORT RETURN (COUNT MIN) (REVERSE DATE) UTF-8 UID 7:20')
    assert not tap.since(mark).commands and not tap.since(mark).octets_up
    client.must('UID STORE 5,7,8,30 +FLAGS (\\Answered)')
    pair[1].must('NOOP')
    mark = settled(tap)
    same(pair, 'SORT (REVERSE DATE) UTF-8 ANSWERED')
    same(pair, 'UID SORT (REVERSE DATE) UTF-8 OR FLAGGED ANSWERED')
    assert not tap.since(mark).commands


def test_a_part_is_asked_about_once_too(pair, tap):
    """Where they are few, in the same flight as their order."""
    for verb in ('SORT (SIZE)', 'THREAD REFERENCES'):
        part = 'BODY word1' if 'SORT' in verb else 'SUBJECT s0'
        mark = settled(tap)
        same(pair, 'UID %s UTF-8 FLAGGED %s' % (verb, part))
        assert sorted(line.split()[1] for line in asked(tap, mark)) == [b'SEARCH', verb.split()[0].encode()]
        if 'SORT' in verb:
            assert tap.since(mark).turns() == 1
        mark = settled(tap)
        same(pair, 'UID %s UTF-8 %s FLAGGED' % (verb, part))
        same(pair, '%s UTF-8 FLAGGED %s' % (verb, part))
        for client in pair:
            found = client.must('UID SEARCH FLAGGED %s' % part).search()
        assert pair[0].must('UID SEARCH %s FLAGGED' % part).search() == found
        assert not tap.since(mark).commands
        # of the others nothing is known yet, and of these nothing is asked again
        pair[0].must('UID %s UTF-8 %s' % (verb, part))
        assert len(asked(tap, mark)) == 2
        mark = settled(tap)
        same(pair, '%s UTF-8 %s' % (verb, part))
        same(pair, '%s UTF-8 FLAGGED %s' % (verb, part))
        assert not [line for line in asked(tap, mark) if b'SEARCH' in line or b'SORT' in line]


def test_two_sessions_ask_about_a_part_once(pair, tap, connect, proxy, user):
    other = connect(proxy.port, user)
    other.select()
    mark = settled(tap)
    tags = [client.start('UID SORT (REVERSE SIZE) UTF-8 BODY word3') for client in (pair[0], other)]
    results = [client.wait(tag) for client, tag in zip((pair[0], other), tags)]
    assert lines(results[0], 'SORT') == lines(results[1], 'SORT') and len(asked(tap, mark)) == 2


def test_new_mail_is_put_in_order_at_once(pair, tap, server, user):
    client = pair[0]
    client.must('UID SORT (SUBJECT) UTF-8 ALL')
    server.fill(user, 'INBOX', letters(2, seed=9))
    tools.wait_until(lambda: client.must('NOOP') and len(client.must('UID SEARCH ALL').search()) == 39, what='the new mail')
    mark = settled(tap)
    pair[1].must('NOOP')
    same(pair, 'UID SORT (SUBJECT) UTF-8 ALL')
    numbered = [b'UID SORT RETURN (COUNT) (SUBJECT)'] * (2 if server.facts.name == 'dovecot' else 0)
    assert [line.split(b' UTF-8')[0] for line in asked(tap, mark)] == numbered + [b'UID SORT (SUBJECT)']
    mark = settled(tap)
    same(pair, 'UID SORT (SUBJECT) UTF-8 ALL')
    same(pair, 'UID SORT (SUBJECT) UTF-8 UNFLAGGED')
    assert not tap.since(mark).commands


def test_expunged_mail_leaves_the_order(pair, tap, server, user):
    client = pair[0]
    client.must('SORT (SUBJECT) UTF-8 ALL')
    client.must('UID STORE 9,31 +FLAGS.SILENT (\\Deleted)')
    client.must('EXPUNGE')
    pair[1].must('NOOP')
    mark = settled(tap)
    same(pair, 'SORT (SUBJECT) UTF-8 ALL')
    same(pair, 'UID SORT (SUBJECT) UTF-8 1:9')
    assert not asked(tap, mark)


def test_threads_are_asked_for_once(pair, tap, server, user):
    client = pair[0]
    for command in ('THREAD REFERENCES UTF-8 ALL', 'THREAD REFERENCES UTF-8 FLAGGED'):
        mark = tap.mark()
        same(pair, command)
        assert len(tap.since(mark).of('UID THREAD')) == 1
        mark = settled(tap)
        same(pair, command)
        same(pair, 'UID ' + command)
        client.must('UID STORE 12 +FLAGS (\\Answered)')
        mark = settled(tap)
        same(pair, command)
        assert not asked(tap, mark)
    server.fill(user, 'INBOX', letters(1, seed=9))
    tools.wait_until(lambda: client.must('NOOP') and len(client.must('UID SEARCH ALL').search()) == 38, what='the new mail')
    pair[1].must('NOOP')
    mark = settled(tap)
    same(pair, 'THREAD REFERENCES UTF-8 ALL')
    assert len(tap.since(mark).of('UID THREAD')) == 1


def test_two_sessions_ask_once(pair, tap, connect, proxy, user):
    other = connect(proxy.port, user)
    other.select()
    mark = settled(tap)
    tags = [client.start('UID SORT (REVERSE SIZE) UTF-8 ALL') for client in (pair[0], other)]
    results = [client.wait(tag) for client, tag in zip((pair[0], other), tags)]
    assert lines(results[0], 'SORT') == lines(results[1], 'SORT') and len(asked(tap, mark)) == 1
    # the other one's view may be narrower, and is another numbering
    other.must('SORT (REVERSE SIZE) UTF-8 2:9')
    assert len(asked(tap, mark)) == 1


def test_what_is_refused_is_refused(pair, tap):
    for command in ('SORT (BOGUS) UTF-8 ALL', 'SORT () UTF-8 ALL', 'SORT (DATE) X-NOSUCH ALL', 'SORT (DATE) X-NOSUCH SUBJECT x',
                    'SORT RETURN (BOGUS) (DATE) UTF-8 ALL', 'SORT (REVERSE) UTF-8 ALL', 'THREAD BOGUS UTF-8 ALL',
                    'THREAD REFERENCES X-NOSUCH SUBJECT x', 'SORT (DATE) UTF-8', 'SORT (DATE) ALL'):
        results = [client.cmd(command) for client in pair]
        assert results[0].status == results[1].status != 'OK', command
    same(pair, 'SORT (DATE) UTF-8 ALL')     # and it goes on


def test_a_link_that_is_lost_costs_nothing_but_time(pair, tap):
    want = lines(pair[1].must('UID SORT (SUBJECT) UTF-8 ALL'), 'SORT')
    tap.cut_before_tagged('SORT')
    assert lines(pair[0].must('UID SORT (SUBJECT) UTF-8 ALL', timeout=30), 'SORT') == want
    assert tap.cuts == 1
    tap.cut_before_tagged('THREAD')
    same(pair, 'UID THREAD REFERENCES UTF-8 ALL')
    assert tap.cuts == 2
    mark = settled(tap)
    assert lines(pair[0].must('UID SORT (SUBJECT) UTF-8 ALL'), 'SORT') == want
    assert not asked(tap, mark)


# --- before a scripted server ---------------------------------------------------------------------------------------------

SORTING = 'IMAP4rev1 IDLE UIDPLUS ESEARCH SORT THREAD=REFERENCES'


@pytest.fixture
def scripted(make_proxy, connect):
    """(server, client): five mails, UIDs 1 to 5; the server sorts by UID from the highest down."""
    with fakeserver.FakeServer(capabilities=SORTING) as server:
        box = server.mailbox('INBOX')
        for mail in tools.mails(5):
            server.change(lambda: box.add(mail))

        def sort(conn, command):
            conn.untagged('SORT 5 4 3 2 1')
            conn.ok(command, **server.says)
        server.says = {}
        server.on('UID SORT', sort)
        client = connect(make_proxy(server.port).port, 'u0')
        client.select()
        yield server, client
        assert not server.errors


def numbers(client, command):
    result = client.must(command)
    return [int(n) for rest in lines(result, 'SORT') for part in rest for n in part.split()]


def test_what_the_upstream_says_of_others_is_not_told(scripted):
    server, client = scripted
    server.off('UID SORT')

    def sort(conn, command):
        conn.untagged('SORT 99 5 4 5')
        conn.untagged('SORT 2 4 2')
        conn.ok(command)
    server.on('UID SORT', sort)
    assert numbers(client, 'SORT (DATE) UTF-8 1:4') == [4, 2]
    assert numbers(client, 'SORT (DATE) UTF-8 2,4') == [4, 2]
    assert len(server.seen('UID SORT')) <= 2


@pytest.mark.parametrize('code', ['MESSAGELIMIT 3 2', 'INUSE', 'EXPUNGEISSUED'])
def test_a_result_that_may_be_part_of_one_is_not_kept(scripted, code):
    server, client = scripted
    server.says = {'code': code}
    for turn in (1, 2):
        assert numbers(client, 'SORT (DATE) UTF-8 ALL') == [5, 4, 3, 2, 1]
        assert len(server.seen('UID SORT')) == turn
    server.says = {}
    for turn in (1, 2):
        assert numbers(client, 'SORT (DATE) UTF-8 ALL') == [5, 4, 3, 2, 1]
        assert len(server.seen('UID SORT')) == 3


def test_a_refusal_is_relayed_and_not_kept(scripted):
    server, client = scripted
    server.off('UID SORT')
    server.on('UID SORT', lambda conn, command: conn.no(command, 'too hard', code='LIMIT'))
    for turn in (1, 2):
        result = client.cmd('SORT (DATE) UTF-8 ALL')
        assert (result.status, result.code) == ('NO', 'LIMIT') and b'too hard' in bytes(result.text)
        assert len(server.seen('UID SORT')) == turn


def test_keys_that_may_change_are_asked_each_time(scripted):
    server, client = scripted
    for turn in (1, 2):
        client.must('SORT (DISPLAYFROM) UTF-8 ALL')     # SORT=DISPLAY is not offered: who knows what this server does
        assert len(server.seen('UID SORT')) == turn


def test_not_offered_where_the_upstream_has_none(make_proxy, connect):
    with fakeserver.FakeServer(capabilities='IMAP4rev1 IDLE ESEARCH ESORT') as server:
        client = connect(make_proxy(server.port).port, 'u0')
        assert not client.capability() & {'SORT', 'ESORT', 'THREAD=REFERENCES'}
        client.select()
        assert client.cmd('SORT (DATE) UTF-8 ALL').status == 'BAD'
        assert client.cmd('THREAD REFERENCES UTF-8 ALL').status == 'BAD'
        assert not server.errors
