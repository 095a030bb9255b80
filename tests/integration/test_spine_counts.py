"""Counts at the tap: what the upstream is asked, how often, and over how many connections."""
import pytest

import spine_tools as tools
from imapjudge import mailgen, tap as judge_tap

SESSIONS = 50


@pytest.fixture
def filled(server, user):
    """(user, bodies by UID) of an INBOX with thirty mails of every kind."""
    server.fill(user, 'INBOX', mailgen.Generator(3, big=60_000).mails(30))
    with server.client(user) as direct:
        direct.select(examine=True)
        return user, tools.whole(direct)


TOUR = ('(UID ENVELOPE INTERNALDATE RFC822.SIZE BODYSTRUCTURE)',
        '(UID BODY.PEEK[HEADER.FIELDS (FROM SUBJECT DATE)])', '(UID BODY.PEEK[])', '(UID RFC822.HEADER)',
        '(UID BODY.PEEK[]<10.100>)', '(UID BODY.PEEK[TEXT])')


def tour(client):
    """Everything a mail program reads; all answers, to compare."""
    return [client.uid_fetch('1:*', items) for items in TOUR]


def test_second_client_fetches_without_asking_upstream(proxy, tap, filled, connect):
    user, bodies = filled
    first = connect(proxy.port, user)
    first.select()
    read = tour(first)
    mark = tap.mark()
    second = connect(proxy.port, user)
    second.select()
    assert tour(second) == read
    since = tap.since(mark)
    assert since.content_fetches == [] and since.of('UID FETCH', 'FETCH') == []
    assert since.connections == 0
    assert {uid: items['BODY[]'] for uid, items in read[2].items()} == \
        {uid: items['BODY[]'] for uid, items in bodies.items()}


def test_restarted_proxy_fetches_without_content_from_upstream(proxy, tap, filled, connect):
    user, bodies = filled
    first = connect(proxy.port, user)
    first.select()
    read = tour(first)
    proxy.restart()
    mark = tap.mark()
    second = connect(proxy.port, user)
    second.select()
    assert tour(second) == read
    asked = tap.since(mark)
    assert asked.content_fetches == []
    assert not [c for c in asked.of('UID FETCH') if b'ENVELOPE' in c.line or b'BODYSTRUCTURE' in c.line]
    octets = sum(len(items['BODY[]']) for items in bodies.values())
    assert asked.octets_down < octets / 10, '%d octets for mail of %d' % (asked.octets_down, octets)


def test_two_asking_at_once_are_one_download(server, user, link, make_proxy, connect):
    server.fill(user, 'INBOX', [tools.mail(1, 300_000)])
    with judge_tap.Tap(link.port) as counting:
        proxy = make_proxy(counting.port)
        clients = [connect(proxy.port, user) for _ in range(4)]
        for client in clients:
            client.select()
        link.shape(delay=0.05, bandwidth=1_000_000)
        tags = [client.start('UID FETCH 1 BODY.PEEK[]') for client in clients]
        bodies = {client.wait(tag, 30).fetch()[1]['BODY[]'] for client, tag in zip(clients, tags)}
        assert bodies == {tools.mail(1, 300_000)}
        assert len(counting.content_fetches) == 1


def test_t28_fifty_idling_sessions_hold_one_upstream_connection(server, user, tap, make_proxy, connect):
    server.fill(user, 'INBOX', tools.mails(3))
    proxy = make_proxy(tap.port, kind=tools.Configured, upstream='bulk_linger = 500ms')
    clients = [connect(proxy.port, user) for _ in range(SESSIONS)]
    for client in clients:
        client.select()
        assert len(client.uid_fetch('1:*', 'BODY.PEEK[]')) == 3
        client.idle()
    tools.wait_until(lambda: tap.current == 1, 15, 'one upstream connection')
    assert tap.peak <= 3
    assert tap.total <= 3


def test_mail_reaches_fifty_idling_sessions_and_is_downloaded_once(proxy, server, user, tap, connect):
    server.fill(user, 'INBOX', tools.mails(3))
    clients = [connect(proxy.port, user) for _ in range(SESSIONS)]
    for client in clients:
        client.select()
        client.idle()
    mark = tap.mark()
    new = tools.mail(4, 50_000)
    server.fill(user, 'INBOX', [new])
    for client in clients:
        client.idle_wait(lambda got: any(r.name == 'EXISTS' and r.num == 4 for r in got))
    for client in clients:
        client.done()
    tags = [client.start('UID FETCH 4 (BODY.PEEK[])') for client in clients]
    for client, tag in zip(clients, tags):
        assert client.wait(tag).fetch()[4]['BODY[]'] == new
    since = tap.since(mark)
    assert len(since.content_fetches) == 1, since.content_fetches
    assert since.octets_down < 60_000


@pytest.mark.parametrize('delay', [0, 0.02], ids=['local', 'far'])
@pytest.mark.parametrize('command', ['FETCH', 'UID FETCH'])
def test_five_hundred_pipelined_fetches_cost_ten_link_turns(server, user, link, make_proxy, connect, command, delay):
    bodies = tools.mails(500)
    server.fill(user, 'INBOX', bodies + [tools.mail(501)])
    with judge_tap.Tap(link.port) as tap:
        client = connect(make_proxy(tap.port).port, user, timeout=60)
        client.select()
        client.fetch('501', 'BODY.PEEK[]')
        link.shape(delay=delay)
        mark = tap.mark()
        tags = [client.new_tag() for _ in bodies]
        client.send_raw(b''.join(b'%s %s %d (UID BODY.PEEK[])\r\n' % (tag.encode(), command.encode(), n)
                                 for n, tag in enumerate(tags, 1)))
        for number, (tag, body) in enumerate(zip(tags, bodies), 1):
            result = client.wait(tag)
            assert result.ok and result.fetch() == {number: {'UID': number, 'BODY[]': body}}
        since = tap.since(mark)
        print(since.turns(), 'turns')
        assert since.turns() <= 10, '%d turns:\n%s' % (since.turns(), '\n'.join(map(repr, since.commands)))


def test_t11_cached_read_sets_seen_upstream(proxy, server, user, tap, connect):
    server.fill(user, 'INBOX', tools.mails(3))
    warm = connect(proxy.port, user)
    warm.select()
    warm.uid_fetch('1:*', 'BODY.PEEK[]')
    other = connect(proxy.port, user)
    other.select()
    mark = tap.mark()
    reader = connect(proxy.port, user)
    reader.select()
    read = reader.must('UID FETCH 2 (BODY[])')
    items = read.fetch()[2]
    assert items['BODY[]'] == tools.mail(2)
    assert b'\\Seen' in items['FLAGS']
    since = tap.since(mark)
    assert since.content_fetches == []
    assert [c.line.split(None, 3)[3] for c in since.of('UID STORE')] == [b'2 +FLAGS (\\Seen)']
    with server.client(user) as direct:
        direct.select(examine=True)
        flags = {uid: items['FLAGS'] for uid, items in direct.uid_fetch('1:*', 'FLAGS').items()}
    assert [uid for uid in flags if b'\\Seen' in flags[uid]] == [2]
    told = other.must('NOOP').fetch()
    assert list(told) == [2] and b'\\Seen' in told[2]['FLAGS']
    # once \Seen, a further read asks nothing of the upstream
    mark = tap.mark()
    again = reader.must('FETCH 2 (BODY[] RFC822 BODY[TEXT])').fetch()[2]
    assert again['RFC822'] == again['BODY[]'] == tools.mail(2)
    assert tap.since(mark).commands == []


def test_t11_t12_peek_header_and_examine_leave_seen_alone(proxy, server, user, tap, connect):
    server.fill(user, 'INBOX', tools.mails(2))
    client = connect(proxy.port, user)
    client.select()
    client.must('FETCH 1:2 (BODY.PEEK[] RFC822.HEADER ENVELOPE BODY)')
    client.select(examine=True)
    result = client.must('FETCH 1 BODY[]')
    assert result.fetch() == {1: {'BODY[]': tools.mail(1)}}
    assert tap.since().of('UID STORE', 'STORE') == []
    with server.client(user) as direct:
        direct.select(examine=True)
        assert not direct.must('SEARCH SEEN').search()


def test_part_of_a_large_mail_costs_a_part(proxy, server, user, tap, connect):
    big = tools.mail(1, 3_000_000)
    server.fill(user, 'INBOX', [big])
    client = connect(proxy.port, user)
    client.select()
    mark = tap.mark()
    part = client.fetch('1', 'BODY.PEEK[]<1000.1000>')[1]['BODY[]<1000>']
    assert part == big[1000:2000]
    assert tap.since(mark).octets_down < 10_000
