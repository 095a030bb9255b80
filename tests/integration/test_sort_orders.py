"""Orders by a text. Dovecot 2.3 puts messages with equal texts wrongly the first time it sorts by that text after new mail,
and rightly from then on: what is told, and remembered, is the right order."""
import pytest

import search_tools as search
import spine_tools as tools
from test_search_counts import far, opened  # noqa: F401

FROM = ('anna', 'bert', 'carl', 'dora')
NEW = {13: 20, 14: 1, 15: 1, 16: 20, 17: 21}       # mail that comes later: day, after or before all of its sender


def day(uid):
    return NEW.get(uid, 2 + uid * 3 % 5)


def mail(uid):
    """Of uid 1, 2, ...: one of four senders and of four subjects."""
    return (b'From: %s@example.org\r\nTo: x@example.org\r\nSubject: %s\r\nDate: %d Mar 2021 10:00:00 +0000\r\n'
            b'Message-ID: <order%d@example.org>\r\n\r\nx\r\n' % (
                FROM[uid % 4].encode(), (b'list', b'memo', b'plan', b'report')[uid // 2 % 4], day(uid), uid))


def right(last, is_reverse=False):
    """The order (FROM DATE), or (REVERSE FROM DATE), of UIDs 1 to last."""
    by_date = sorted(range(1, last + 1), key=lambda uid: (day(uid), uid))
    return sorted(by_date, key=lambda uid: FROM[uid % 4], reverse=is_reverse)


def told(client, program='FROM DATE'):
    """In a list, as the server tells it."""
    return [int(n) for n in client.must('UID SORT (%s) UTF-8 ALL' % program).named('SORT')[0].data]


@pytest.fixture
def pair(opened, server, user):  # noqa: F811
    """Twelve messages that are numbered by all texts, and four that have come since."""
    server.fill(user, server.box('Work'), [mail(uid) for uid in range(1, 13)])
    with server.client(user) as client:
        if 'SORT' not in client.capability():
            pytest.skip('the upstream has no SORT')
        client.select(server.box('Work'))
        for key in ('FROM', 'SUBJECT', 'TO', 'CC'):
            client.must('UID SORT (%s) UTF-8 ALL' % key)
    server.fill(user, server.box('Work'), [mail(uid) for uid in range(13, 17)], create=False)
    pair = opened()
    pair.client.select(server.box('Work'))
    pair.client.must('FETCH 1:* (FLAGS)')
    return pair


def test_dovecot_itself_is_wrong_at_first(dovecot, user):
    """What all this is for; when it fails, it is time to look whether the number of askings can go."""
    dovecot.fill(user, 'Work', [mail(uid) for uid in range(1, 13)])
    with dovecot.client(user) as client:
        client.select('Work')
        assert told(client) == right(12)
        dovecot.fill(user, 'Work', [mail(uid) for uid in range(13, 17)], create=False)
        client.must('NOOP')
        assert told(client) != right(16)
        assert told(client) == right(16)


def test_order_is_right_at_the_first_asking(pair, dovecot, user, tap):
    mark = search.at_rest(tap)
    assert told(pair.client) == right(16)
    assert [c.line.split(b' ', 1)[1].strip() for c in search.searches(tap.since(mark))] == [
        b'UID SORT RETURN (COUNT) (FROM) UTF-8 UID 1:16'] * 2 + [b'UID SORT (FROM DATE) UTF-8 UID 1:16']
    assert search.one_flight(tap.since(mark), pair.direct)
    mark = search.at_rest(tap)
    assert told(pair.client) == right(16)
    assert tap.since(mark).octets_up == 0
    dovecot.fill(user, 'Work', [mail(17)], create=False)
    tools.wait_until(lambda: pair.client.must('NOOP').exists == 17, what='the new mail')
    assert told(pair.client, 'REVERSE FROM DATE') == right(17, is_reverse=True)
    assert told(pair.client) == right(17)


def test_threads_by_subject_are_right_at_the_first_asking(pair, dovecot, user):
    def threads(client):
        return [r.data for r in client.must('UID THREAD ORDEREDSUBJECT UTF-8 ALL').named('THREAD')]
    with dovecot.client(user) as client:
        client.select('Work')
        for uid in range(18, 26):
            told_first = threads(pair.client)
            client.must('UID SORT RETURN (COUNT) (SUBJECT) UTF-8 ALL')
            assert told_first == threads(client)
            dovecot.fill(user, 'Work', [mail(uid)], create=False)
            tools.wait_until(lambda: pair.client.must('NOOP').exists == uid - 1, what='the new mail')
            client.must('NOOP')


def test_other_programs_go_alone(pair, tap):
    for command in ('UID SORT (DATE FROM) UTF-8 ALL', 'UID SORT (REVERSE SIZE SUBJECT) UTF-8 ALL',
                    'UID THREAD REFERENCES UTF-8 ALL'):
        mark = search.at_rest(tap)
        if command.split()[1] == 'THREAD' and 'THREAD=REFERENCES' not in pair.client.capability():
            continue
        pair.client.must(command)
        assert len(search.searches(tap.since(mark))) == 1


@pytest.mark.parametrize('program', ['FROM DATE', 'REVERSE SUBJECT', 'TO SIZE'])
def test_order_is_that_of_the_upstream_once_it_is_settled(pair, server, user, program):
    """Whatever the server: what is told is what it tells when nothing is new to it."""
    got = told(pair.client, program)
    with server.client(user) as client:
        client.select(server.box('Work'))
        assert [told(client, program) for _ in range(2)][-1] == got


def test_order_of_many_is_right_on_a_link_for_bulk(opened, dovecot, user, tap):  # noqa: F811
    dovecot.fill(user, 'Work', [mail(uid) for uid in range(1, 1201)])
    with dovecot.client(user) as client:
        client.select('Work')
        client.must('UID SORT (FROM) UTF-8 ALL')
    dovecot.fill(user, 'Work', [mail(uid) for uid in range(1201, 1206)], create=False)
    pair = opened()
    pair.client.select('Work')
    pair.client.must('FETCH 1:* (FLAGS)')
    mark = search.at_rest(tap)
    assert told(pair.client) == right(1205)
    asked = search.searches(tap.since(mark))
    assert len(asked) == 3 and len({c.conn for c in asked}) == 1
    assert {c.conn for c in tap.since(mark).commands if c.verb == 'EXAMINE'} == {asked[0].conn}
