"""A client that reads bodies one by one in order has the next ones fetched ahead; nothing comes twice."""
import pytest

import spine_tools as tools
from imapjudge import tap as judge_tap


def asked(since):
    """UIDs of content fetches, as often as they were asked."""
    out = []
    for command in since.content_fetches:
        for part in command.line.split()[3].decode().split(','):
            first, _, last = part.partition(':')
            out += range(int(first), int(last or first) + 1)
    return sorted(out)


@pytest.fixture
def far(server, user, link, make_proxy, connect):
    """(client, tap) of 80 mails behind 40 ms; mail 80 has been read, so the bulk link is up."""
    server.fill(user, 'INBOX', tools.mails(80))
    with judge_tap.Tap(link.port) as tap:
        client = connect(make_proxy(tap.port).port, user, timeout=60)
        client.select()
        client.fetch('80', 'BODY.PEEK[]')
        link.shape(delay=0.02)
        yield client, tap


def read(client, uid):
    assert client.must('UID FETCH %d (UID BODY.PEEK[])' % uid).fetch()[uid]['BODY[]'] == tools.mail(uid)


@pytest.mark.parametrize('uids', [range(1, 61), range(60, 0, -1)], ids=['up', 'down'])
def test_in_order_costs_few_link_turns_and_each_body_once(far, uids):
    client, tap = far
    mark = tap.mark()
    for uid in uids:
        read(client, uid)
    since = tap.since(mark)
    ahead = set(asked(since)) - set(uids)
    assert sorted(asked(since)) == sorted(set(uids) | ahead)
    assert len(ahead) <= 20 and since.turns() <= 15, (ahead, since.turns())


def test_straying_ends_it(far):
    client, tap = far
    mark = tap.mark()
    for uid in (1, 2, 3, 50, 40, 51):
        read(client, uid)
    assert asked(tap.since(mark)) == [1, 2, 3, 4, 5, 40, 50, 51]


def test_two_in_order_are_not_taken_for_a_run(far):
    client, tap = far
    mark = tap.mark()
    for uid in (1, 2, 20, 21):
        read(client, uid)
    assert asked(tap.since(mark)) == [1, 2, 20, 21]


def test_what_was_read_ahead_and_expunged_is_not_told(far, server, user):
    client, tap = far
    for uid in (1, 2, 3):
        read(client, uid)
    with server.client(user) as direct:
        direct.select()
        direct.must('UID STORE 4 +FLAGS (\\Deleted)')
        direct.must('EXPUNGE')
    tools.wait_until(lambda: client.must('NOOP').named('EXPUNGE'), what='EXPUNGE')
    assert client.must('UID FETCH 4 (UID BODY.PEEK[])').fetch() == {}
    for uid in (5, 6, 7):
        result = client.must('UID FETCH %d (UID BODY.PEEK[])' % uid)
        assert result.fetch() == {uid - 1: {'UID': uid, 'BODY[]': tools.mail(uid)}}


def test_leaving_the_mailbox_in_the_middle(far):
    client, tap = far
    for again in range(3):
        for uid in (10 * again + 1, 10 * again + 2, 10 * again + 3):
            read(client, uid)
        client.must('UNSELECT')
        client.select()
    mark = tap.mark()
    for again in range(3):
        read(client, 10 * again + 3)
    assert asked(tap.since(mark)) == []
