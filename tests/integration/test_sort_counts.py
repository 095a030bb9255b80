"""What SORT and THREAD cost upstream (design section 6): an order is asked for once, and serves whatever is of it."""
import pytest

import search_tools as search
import spine_tools as tools
from test_search_counts import NUMBER, change_flags, far, opened  # noqa: F401


@pytest.fixture
def sorted_pair(opened):  # noqa: F811
    def make(word='SORT'):
        pair = opened()
        if not any(c.startswith(word) for c in pair.direct.capability()):
            pytest.skip('the upstream has no ' + word)
        return pair
    return make


@pytest.mark.parametrize('program', ['REVERSE DATE', 'SUBJECT', 'FROM REVERSE ARRIVAL', 'SIZE'])
def test_repeated_sort_costs_nothing(sorted_pair, server, user, tap, program):
    pair = sorted_pair()
    found = pair.search('(%s) UTF-8 ALL' % program, 'UID SORT')
    mark = search.at_rest(tap)
    assert pair.search('(%s) UTF-8 ALL' % program, 'UID SORT') == found
    pair.search('(%s) US-ASCII ALL' % program, 'SORT')
    for criteria in ('UNSEEN', 'UID 3:9', 'NOT 2:4', 'FLAGGED'):       # in the same order
        pair.search('(%s) UTF-8 %s' % (program, criteria), 'UID SORT')
    assert tap.since(mark).octets_up == 0
    change_flags(server, user, ('UID STORE 1:9 +FLAGS.SILENT (\\Seen)', 'UID STORE 4:12 +FLAGS.SILENT (\\Flagged)',
                                'UID STORE 2,3 +FLAGS.SILENT (\\Deleted)', 'EXPUNGE'))
    pair.catch_up()
    mark = search.at_rest(tap)
    for criteria in ('ALL', 'UNSEEN', 'FLAGGED'):
        pair.search('(%s) UTF-8 %s' % (program, criteria), 'UID SORT')
    assert tap.since(mark).octets_up == 0


def test_sort_of_a_remembered_search_costs_nothing(sorted_pair, tap):
    pair = sorted_pair()
    pair.search('(REVERSE DATE) UTF-8 ALL', 'UID SORT')
    pair.search('SUBJECT "river"')
    mark = search.at_rest(tap)
    pair.search('(REVERSE DATE) UTF-8 SUBJECT "river"', 'UID SORT')
    pair.search('(REVERSE DATE) UTF-8 UNSEEN NOT SUBJECT "river"', 'SORT')
    assert tap.since(mark).octets_up == 0


def test_where_the_order_is_known_only_the_search_is_asked(sorted_pair, server, user, tap):
    pair = sorted_pair()
    pair.search('(REVERSE DATE) UTF-8 ALL', 'UID SORT')
    for criteria, wanted in (('UID 3:9 SUBJECT "river"', [3, 4, 5, 6, 7, 8, 9]), ('UID 8:11 SUBJECT "river"', [10, 11])):
        mark = search.at_rest(tap)
        pair.search('(REVERSE DATE) UTF-8 ' + criteria, 'UID SORT')
        assert search.asked(tap.since(mark), NUMBER) == wanted
        assert [c.verb for c in search.searches(tap.since(mark))] == ['UID SEARCH']
    server.fill(user, 'INBOX', [search.mail(NUMBER + 3)])
    pair.catch_up()
    pair.search('(REVERSE DATE) UTF-8 ALL', 'UID SORT')
    mark = search.at_rest(tap)
    pair.search('(REVERSE DATE) UTF-8 UID 5:* SUBJECT "river"', 'UID SORT')
    assert search.asked(tap.since(mark), NUMBER + 1) == list(range(12, NUMBER + 2))


def test_where_it_is_not_known_both_are_asked_at_once(sorted_pair, tap):
    """Which messages they are and, of all that may be, the order: never an order with criteria of content, see below."""
    pair = sorted_pair()
    mark = search.at_rest(tap)
    pair.search('(REVERSE SIZE) UTF-8 UID 3:9 SUBJECT "river"', 'UID SORT')
    questions = search.searches(tap.since(mark))
    assert sorted(c.verb for c in questions) == ['UID SEARCH', 'UID SORT']
    assert all(b' UID 3:9' in c.line for c in questions)
    assert [b'river' in c.line for c in questions] == [c.verb == 'UID SEARCH' for c in questions]
    assert search.one_flight(tap.since(mark), pair.direct)
    mark = search.at_rest(tap)
    pair.search('(REVERSE SIZE) UTF-8 UID 3:8 SUBJECT "river"', 'UID SORT')
    pair.search('(REVERSE SIZE) UTF-8 UID 4:9', 'UID SORT')
    pair.search('UID 3:9 SUBJECT "river"')
    assert tap.since(mark).octets_up == 0


def test_wrong_order_of_dovecot_is_not_told(sorted_pair, dovecot, user):
    """Dovecot 2.3.19, mail that it has no Date of in its index, a SORT that has to open it to see whether it is meant: told
    in a wrong order, again and again in that session. A SORT by UIDs alone is right."""
    pair = sorted_pair()
    got = pair.client.must('UID SORT (REVERSE DATE) UTF-8 SUBJECT "river"')
    days = [1 + uid * 7 % 28 for uid in map(int, search.numbers(got)[0].split())]
    assert len(days) == 8 and days == sorted(days, reverse=True)
    assert pair.search('(REVERSE DATE) UTF-8 UID 3,6,9,12,15,18,21,24', 'UID SORT') == search.numbers(got)


def test_repeated_thread_costs_nothing(sorted_pair, server, user, tap):
    pair = sorted_pair('THREAD=REFERENCES')
    for criteria in ('ALL', 'SUBJECT "river"'):
        pair.search('REFERENCES UTF-8 ' + criteria, 'UID THREAD')
    mark = search.at_rest(tap)
    for criteria in ('ALL', 'SUBJECT "river"'):
        pair.search('REFERENCES UTF-8 ' + criteria, 'UID THREAD')
        pair.search('REFERENCES UTF-8 ' + criteria, 'THREAD')
    assert tap.since(mark).octets_up == 0
    change_flags(server, user, ('UID STORE 1:9 +FLAGS.SILENT (\\Seen)',))
    pair.catch_up()
    mark = search.at_rest(tap)
    pair.search('REFERENCES UTF-8 ALL', 'UID THREAD')
    assert tap.since(mark).octets_up == 0


def test_two_sorting_at_once_are_one_request(far, server, user, make_proxy, connect):  # noqa: F811
    tap, link = far
    server.fill(user, 'INBOX', search.mails(NUMBER))
    proxy = make_proxy(tap.port, kind=tools.Configured, sections=search.SETTLED)
    clients = [connect(proxy.port, user, timeout=30) for _ in range(3)]
    if 'SORT' not in clients[0].capability():
        pytest.skip('the upstream has no SORT')
    for client in clients:
        client.select()
        client.must('FETCH 1:* (FLAGS)')
    mark = search.at_rest(tap)
    link.shape(delay=0.2)
    tags = [client.start('UID SORT (REVERSE DATE) UTF-8 ALL') for client in clients]
    found = [search.numbers(client.wait(tag, 30)) for client, tag in zip(clients, tags)]
    assert found[0] == found[1] == found[2] and found[0]
    assert len(search.searches(tap.since(mark))) == 1
