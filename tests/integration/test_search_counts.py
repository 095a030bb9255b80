"""What a SEARCH costs upstream (design section 6): once what is new, and nothing a second time."""
import re
import time

import pytest

import search_tools as search
import spine_tools as tools
from imapjudge import tap as judge_tap

NUMBER = 24
REMEMBERED = ('FROM "anna"', 'SUBJECT "river"', 'BODY "kitchen"', 'TEXT "paper"', 'HEADER Message-ID "<7@"', 'LARGER 200',
              'SINCE 1-Jan-2019', 'SENTBEFORE 12-Mar-2019', 'FROM "anna" SUBJECT "river"')


@pytest.fixture
def opened(server, user, tap, make_proxy, connect):
    """opened(sections) -> Pair on an INBOX of NUMBER old mails, at rest."""
    def make(sections=search.SETTLED, mails=None, before=None):
        server.fill(user, 'INBOX', mails or search.mails(NUMBER))
        make.proxy = make_proxy((before or tap).port, kind=tools.Configured, sections=sections)
        return make.again()

    def again():
        pair = search.Pair(connect(make.proxy.port, user, timeout=30), connect(server.port, user, timeout=30))
        pair.client.select()
        pair.direct.select(examine=True)
        pair.catch_up()
        search.at_rest(tap)
        return pair
    make.again = again
    return make


def change_flags(server, user, store):
    with server.client(user) as other:
        other.select()
        for command in store:
            other.must(command)


@pytest.mark.parametrize('criteria', REMEMBERED)
def test_warm_search_costs_no_octet(opened, tap, criteria):
    first = opened('')          # the defaults: mail that is not new has nothing to settle
    mark = tap.mark()
    found = first.search(criteria)
    assert search.asked(tap.since(mark), NUMBER) == list(range(1, NUMBER + 1))
    second = opened.again()
    mark = search.at_rest(tap)
    assert first.search(criteria) == second.search(criteria) == found
    second.search(criteria, 'SEARCH')
    second.search('CHARSET UTF-8 ' + criteria)
    if 'ESEARCH' in second.direct.capability():
        told = second.client.must('UID SEARCH RETURN (COUNT MIN MAX) ' + criteria).named('ESEARCH')[0]
        assert b'COUNT %d' % len(found) in bytes(told.raw)
    assert tap.since(mark).octets_up == 0


def test_new_mail_is_all_that_is_asked_about(opened, server, user, tap):
    pair = opened()
    for criteria in REMEMBERED:
        pair.search(criteria)
    server.fill(user, 'INBOX', [search.mail(n) for n in range(NUMBER + 1, NUMBER + 4)])
    pair.catch_up()
    for criteria in REMEMBERED:
        mark = search.at_rest(tap)
        pair.search(criteria)
        assert search.asked(tap.since(mark), NUMBER + 3) == [NUMBER + 1, NUMBER + 2, NUMBER + 3]
        assert len(search.searches(tap.since(mark))) == 1
    mark = search.at_rest(tap)
    for criteria in REMEMBERED:
        pair.search(criteria)
    assert tap.since(mark).octets_up == 0


def test_flags_and_expunges_cost_nothing(opened, server, user, tap):
    pair = opened()
    criteria = REMEMBERED + tuple('UNSEEN ' + c for c in REMEMBERED) + ('OR FLAGGED FROM "anna"', 'NOT (FLAGGED BODY "kitchen")')
    for c in criteria:
        pair.search(c)
    change_flags(server, user, ('UID STORE 1:9 +FLAGS.SILENT (\\Seen)', 'UID STORE 4:12 +FLAGS.SILENT (\\Flagged)',
                                'UID STORE 2,3,20:24 +FLAGS.SILENT (\\Deleted)', 'EXPUNGE'))
    pair.catch_up()
    mark = search.at_rest(tap)
    for c in criteria:
        pair.search(c)
        pair.search(c, 'SEARCH')
    assert tap.since(mark).octets_up == 0


def test_restart_of_the_proxy_costs_nothing(opened, server, user, tap, connect):
    pair = opened()
    found = [pair.search(criteria) for criteria in REMEMBERED]
    pair.client.close()
    mark = tap.mark()
    opened.proxy.restart()
    pair = opened.again()
    rest = search.at_rest(tap)
    assert [pair.search(criteria) for criteria in REMEMBERED] == found
    pair.search('UNSEEN FROM "anna"')
    assert tap.since(rest).octets_up == 0
    assert search.searches(tap.since(mark)) == []


def test_mail_that_came_while_the_proxy_was_away_is_all_that_is_asked_about(opened, server, user, tap):
    pair = opened()
    pair.search('FROM "anna"')
    pair.client.close()
    assert opened.proxy.stop() == 0
    server.fill(user, 'INBOX', [search.mail(NUMBER + 1), search.mail(NUMBER + 2)])
    change_flags(server, user, ('UID STORE 2,6 +FLAGS.SILENT (\\Deleted)', 'EXPUNGE'))
    opened.proxy.start()
    pair = opened.again()
    mark = search.at_rest(tap)
    pair.search('FROM "anna"')
    assert search.asked(tap.since(mark), NUMBER + 2) == [NUMBER + 1, NUMBER + 2]


def test_lost_link_costs_nothing(opened, tap):
    pair = opened()
    found = pair.search('FROM "anna"')
    tap.kill_all()
    pair.catch_up()
    mark = search.at_rest(tap)
    assert pair.search('FROM "anna"') == found
    assert tap.since(mark).octets_up == 0


# --- what is the same ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('known, same', [
    ('FROM "anna"', ('NOT FROM "anna"', 'NOT NOT FROM "anna"', '(FROM "anna")', 'ALL FROM anna', 'OR FROM "anna" FROM "anna"',
                     'FROM "anna" FROM "anna"', 'FROM anna UNSEEN', 'OR SEEN NOT FROM "anna"', 'UID 3:9 FROM "anna"',
                     '2:5 FROM "anna"', 'NOT (FROM "anna" UNSEEN)', 'OR (FROM "anna" SEEN) (NOT FROM "anna" UNSEEN)')),
    ('FROM "anna" SUBJECT "river"', ('SUBJECT "river" FROM "anna"', '(SUBJECT "river" (FROM "anna"))',
                                     'NOT (SUBJECT river FROM anna)', 'UNSEEN SUBJECT "river" FLAGGED FROM "anna"',
                                     'FROM "anna" UNSEEN SUBJECT "river"')),
    ('OR FROM "anna" OR SUBJECT "paper" BODY "garden"', (
        'OR OR BODY "garden" SUBJECT "paper" FROM "anna"', 'NOT OR SUBJECT "paper" OR FROM "anna" BODY "garden"',
        'OR FROM "anna" OR UNSEEN OR BODY "garden" SUBJECT "paper"')),
])
def test_said_otherwise_it_is_the_same(opened, server, user, tap, known, same):
    change_later = ('UID STORE 1:12 +FLAGS.SILENT (\\Seen)', 'UID STORE 5:8 +FLAGS.SILENT (\\Flagged)')
    pair = opened()
    change_flags(server, user, change_later)
    pair.catch_up()
    pair.search(known)
    mark = search.at_rest(tap)
    for criteria in same:
        if 'NOT NOT' in criteria and server.facts.name == 'courier':
            continue            # refuses it
        pair.search(criteria)
        assert tap.since(mark).octets_up == 0, criteria


def test_what_is_no_part_of_it_is_asked(opened, tap):
    """So that the tests above can fail."""
    pair = opened()
    pair.search('FROM "anna"')
    for criteria in ('FROM "ann"', 'TO "anna"', 'HEADER FROM "anna"', 'FROM "anna" SUBJECT "river"'):
        mark = search.at_rest(tap)
        pair.search(criteria)
        assert search.asked(tap.since(mark), NUMBER) == list(range(1, NUMBER + 1)), criteria


# --- as narrow as the client asked -------------------------------------------------------------------------------------

@pytest.mark.parametrize('criteria, wanted', [
    ('UNSEEN BODY "kitchen"', [3, 4, 5, 11]),
    ('BODY "kitchen" UNSEEN', [3, 4, 5, 11]),
    ('FLAGGED UNSEEN TEXT "river"', [4]),
    ('UID 7:9,12 BODY "kitchen"', [7, 8, 9, 12]),
    ('20:* BODY "kitchen"', [20, 21, 22, 23, 24]),
    ('UID 22:* BODY "kitchen"', [22, 23, 24]),
    ('UID 900:* BODY "kitchen"', [24]),
    ('NOT OR SEEN BODY "kitchen"', [3, 4, 5, 11]),
    ('OR SEEN BODY "kitchen"', [3, 4, 5, 11]),
    ('UNSEEN NOT FLAGGED NOT BODY "kitchen"', [3, 5, 11]),
    ('ANSWERED BODY "kitchen"', []),
    ('SEEN UNSEEN BODY "kitchen"', []),
    ('KEYWORD none FROM "anna"', []),
    ('OR ALL BODY "kitchen"', []),
])
def test_narrowed_search_stays_narrow(opened, server, user, tap, criteria, wanted):
    pair = opened()
    change_flags(server, user, ('UID STORE 1:24 +FLAGS.SILENT (\\Seen)', 'UID STORE 3:5,11 -FLAGS.SILENT (\\Seen)',
                                'UID STORE 4,8 +FLAGS.SILENT (\\Flagged)'))
    pair.catch_up()
    mark = search.at_rest(tap)
    pair.search(criteria)
    assert search.asked(tap.since(mark), NUMBER) == wanted


def test_saved_result_narrows(opened, tap):
    pair = opened()
    pair.client.must('UID SEARCH RETURN (SAVE) UID 3:6,12')
    mark = search.at_rest(tap)
    assert pair.client.must('UID SEARCH $ BODY "kitchen"').search() == [4, 12]
    assert search.asked(tap.since(mark), NUMBER) == [3, 4, 5, 6, 12]


def test_pages_of_a_remembered_search_cost_nothing(opened, tap):
    """RFC 9394: from the result at hand."""
    pair = opened()
    found = pair.search('FROM "anna"')
    mark = search.at_rest(tap)
    pages = []
    for page in ('1:5', '6:10', '11:15', '-1:-2'):
        told = pair.client.must('UID SEARCH RETURN (PARTIAL %s) FROM "anna"' % page).named('ESEARCH')[0]
        pages.append(bytes(told.raw).split(b'(')[-1].rstrip(b')\r\n').split())
    uids = b','.join(b'%d' % uid for uid in found).split(b',')
    assert [page[0] for page in pages] == [b'1:5', b'6:10', b'11:15', b'-1:-2']
    assert [page[1] for page in pages] == [b','.join(u) for u in (uids[:5], uids[5:10], uids[10:15], uids[-2:])]
    assert tap.since(mark).octets_up == 0


def test_wider_search_asks_only_the_rest(opened, tap):
    pair = opened()
    pair.search('UID 3:9 BODY "kitchen"')
    mark = search.at_rest(tap)
    pair.search('UID 1:12 BODY "kitchen"')
    assert search.asked(tap.since(mark), NUMBER) == [1, 2, 10, 11, 12]
    mark = search.at_rest(tap)
    pair.search('BODY "kitchen"')
    assert search.asked(tap.since(mark), NUMBER) == list(range(13, NUMBER + 1))


def test_set_may_reach_over_what_is_gone_but_not_over_what_is_not_asked(opened, server, user, tap):
    pair = opened()
    change_flags(server, user, ('UID STORE 5:8 +FLAGS.SILENT (\\Deleted)', 'EXPUNGE'))
    pair.catch_up()
    mark = search.at_rest(tap)
    pair.search('UID 2:10 BODY "kitchen"')
    assert set(search.asked(tap.since(mark), NUMBER)) - {5, 6, 7, 8} == {2, 3, 4, 9, 10}


def test_several_parts_are_one_flight(opened, server, user, tap):
    pair = opened()
    change_flags(server, user, ('UID STORE 1:12 +FLAGS.SILENT (\\Seen)',))
    pair.catch_up()
    mark = search.at_rest(tap)
    pair.search('OR (SEEN FROM "anna") OR (UNSEEN BODY "kitchen") (FLAGGED TEXT "paper")')
    since = tap.since(mark)
    told = {}
    for command in search.searches(since):
        told[re.search(rb'FROM|BODY|TEXT', command.line).group()] = command
    assert sorted(told) == [b'BODY', b'FROM'] and len(search.searches(since)) == 2, search.searches(since)
    assert search.one_flight(since, pair.direct)


# --- at once -------------------------------------------------------------------------------------------------------------

@pytest.fixture
def far(server, link):
    """(tap, link): the tap before a link with a delay, to be had by link.shape()."""
    with judge_tap.Tap(link.port) as tap:
        yield tap, link


def test_two_asking_the_same_at_once_are_one_request(far, server, user, make_proxy, connect):
    tap, link = far
    server.fill(user, 'INBOX', search.mails(NUMBER))
    proxy = make_proxy(tap.port, kind=tools.Configured, sections=search.SETTLED)
    clients = [connect(proxy.port, user, timeout=30) for _ in range(4)]
    for client in clients:
        client.select()
        client.must('FETCH 1:* (FLAGS)')
    with server.client(user) as direct:
        direct.select(examine=True)
        wanted = direct.must('UID SEARCH FROM "anna" SUBJECT "river"').search()
    mark = search.at_rest(tap)
    link.shape(delay=0.2)
    said = ('FROM "anna" SUBJECT "river"', 'SUBJECT river FROM anna', 'UID 1:* FROM "anna" SUBJECT "river"',
            'NOT (FROM "anna" SUBJECT "river")')
    tags = [client.start('UID SEARCH ' + criteria) for client, criteria in zip(clients, said)]
    found = [client.wait(tag, 30).search() for client, tag in zip(clients, tags)]
    assert found == [wanted, wanted, wanted, sorted(set(range(1, NUMBER + 1)) - set(wanted))]
    assert len(search.searches(tap.since(mark))) == 1, search.searches(tap.since(mark))


def test_one_asking_more_at_once_asks_only_the_rest(far, server, user, make_proxy, connect):
    tap, link = far
    server.fill(user, 'INBOX', search.mails(NUMBER))
    proxy = make_proxy(tap.port, kind=tools.Configured, sections=search.SETTLED)
    clients = [connect(proxy.port, user, timeout=30) for _ in range(2)]
    for client in clients:
        client.select()
        client.must('FETCH 1:* (FLAGS)')
    mark = search.at_rest(tap)
    link.shape(delay=0.2)
    tags = [clients[0].start('UID SEARCH UID 5:9 BODY "kitchen"')]
    tools.wait_until(lambda: search.searches(tap.since(mark)), what='the first question')
    tags.append(clients[1].start('UID SEARCH BODY "kitchen"'))
    found = [client.wait(tag, 30).search() for client, tag in zip(clients, tags)]
    assert found == [[8], [4, 8, 12, 16, 20, 24]]
    since = tap.since(mark)
    assert search.asked(since, NUMBER) == list(range(1, NUMBER + 1)) and len(search.searches(since)) == 2
    assert search.one_flight(since, connect(server.port, user))


def test_pipelined_searches_are_one_flight(far, server, user, make_proxy, connect):
    """A client that does not wait for the answer to its first question."""
    tap, link = far
    server.fill(user, 'INBOX', search.mails(NUMBER))
    proxy = make_proxy(tap.port, kind=tools.Configured, sections=search.SETTLED)
    client = connect(proxy.port, user, timeout=30)
    client.select()
    client.must('FETCH 1:* (FLAGS)')
    mark = search.at_rest(tap)
    tags = [client.start('UID SEARCH ' + c) for c in ('FROM "anna"', 'FROM "anna" UNSEEN', 'NOT FROM "anna"')]
    found = [client.wait(tag, 30).search() for tag in tags]
    assert [len(f) for f in found] == [12, 12, 12]
    assert len(search.searches(tap.since(mark))) == 1


@pytest.mark.parametrize('criteria', ['BODY "kitchen"', 'OR (BODY "kitchen" LARGER 1) (BODY "kitchen" SMALLER 2)'])
def test_cold_mailbox_is_searched_without_waiting_for_its_map(far, server, user, make_proxy, connect, criteria):
    """By UID; what SELECT has told is enough (design section 7)."""
    tap, link = far
    server.fill(user, 'INBOX', search.mails(60))
    proxy = make_proxy(tap.port, kind=tools.Configured, sections=search.SETTLED, upstream='search_map_from = 10')
    client = connect(proxy.port, user, timeout=30)
    client.cmd('LIST "" "%"')
    link.shape(delay=0.3)
    mark = tap.mark()
    client.select()
    found = client.must('UID SEARCH ' + criteria, timeout=30).search()
    assert found == [n for n in range(1, 61) if n % 4 == 0]
    since = tap.since(mark)
    questions = search.searches(since)
    mapping = [c for c in since.commands if c.verb in ('UID SEARCH', 'UID FETCH', 'FETCH') and c not in questions
               and re.search(rb'(?:SEARCH.* ALL|FETCH 1:.*UID.*)', c.line)]
    assert mapping, since.commands
    with server.client(user) as direct:  # without ESEARCH they go one after the other
        at_once = questions if 'ESEARCH' in direct.capability() else questions[:1]
    assert all(question.sent < mapping[0].done for question in at_once), 'they waited for %r' % mapping[0]
    # and what came is kept
    client.must('FETCH 1:* (FLAGS)')
    link.shape(delay=0)
    mark = search.at_rest(tap)
    assert client.must('SEARCH ' + criteria).search() == found
    assert client.must('UID SEARCH NOT ' + criteria).search() == [n for n in range(1, 61) if n % 4]
    assert tap.since(mark).octets_up == 0


# --- what is not kept ----------------------------------------------------------------------------------------------------

def test_fresh_mail_is_asked_about_until_it_has_settled(opened, server, user, tap):
    """An index may lag: no answer about it counts before search.settle has passed."""
    pair = opened('search { settle = 3s }')
    pair.search('BODY "kitchen"')
    began = time.monotonic()
    server.fill(user, 'INBOX', [search.mail(n) for n in (NUMBER + 1, NUMBER + 4)])
    pair.catch_up()
    asked = []

    def is_quiet():
        mark = search.at_rest(tap)
        found = pair.search('BODY "kitchen"')
        assert found == [4, 8, 12, 16, 20, 24, 26], found
        asked.append(search.asked(tap.since(mark), NUMBER + 2))
        return not asked[-1]
    tools.wait_until(is_quiet, 30, 'an answer that counts')
    assert time.monotonic() - began > 3
    assert len(asked) >= 3 and all(a == [NUMBER + 1, NUMBER + 2] for a in asked[:-1]), asked
    mark = search.at_rest(tap)
    pair.search('BODY "kitchen" UNSEEN')
    assert tap.since(mark).octets_up == 0


def test_new_mail_in_a_mailbox_seen_for_the_first_time_has_to_settle(opened, tap):
    """There INTERNALDATE tells how old it is."""
    mails = search.mails(6)
    mails[4].date = mails[5].date = ''      # now
    pair = opened('search { settle = 1h }', mails)
    for wanted in ([1, 2, 3, 4, 5, 6], [5, 6], [5, 6]):
        mark = search.at_rest(tap)
        pair.search('FROM "anna"')
        assert search.asked(tap.since(mark), 6) == wanted


@pytest.mark.parametrize('criteria', ['YOUNGER 3600', 'OLDER 3600', 'NOT YOUNGER 3600', 'OR OLDER 3600 FROM "anna"'])
def test_what_depends_on_the_time_is_asked_each_time(opened, tap, criteria):
    pair = opened()
    if 'WITHIN' not in pair.direct.capability():
        pytest.skip('the upstream has no WITHIN')
    for _ in range(3):
        mark = search.at_rest(tap)
        pair.search(criteria)
        assert [c for c in search.searches(tap.since(mark)) if re.search(rb'OLDER|YOUNGER', c.line)]


def found(command, uids):
    """The answer in the form that was asked for."""
    if not command.args.upper().startswith(b'RETURN'):
        return b'* SEARCH%s\r\n' % (uids and b' ' + uids)
    return b'* ESEARCH (TAG "%s") UID%s\r\n' % (command.tag, uids and b' ALL ' + uids)


@pytest.mark.parametrize('reply', ['NO too busy', 'NO [INUSE] later', 'OK [INUSE] later', 'OK [MESSAGELIMIT 3 4] enough',
                                   'BAD no'])
def test_nothing_is_kept_of_an_answer_that_is_none(fake, make_proxy, connect, reply):
    box = fake.mailbox('INBOX')
    for n in range(1, 7):
        fake.change(lambda: box.add(search.mail(n).octets, date=search.OLD))
    refused = []

    def refuse(conn, command):
        if b'river' not in command.args or len(refused) == 2:
            return conn.default(command)
        refused.append(command)
        return found(command, b'') + b'%s %s\r\n' % (command.tag, reply.encode())
    fake.on('UID SEARCH', refuse)
    client = connect(make_proxy(fake.port, kind=tools.Configured, sections=search.SETTLED).port, 'u0')
    client.select()
    client.must('FETCH 1:* (FLAGS)')
    for _ in range(2):
        result = client.cmd('UID SEARCH SUBJECT "river"')
        assert result.status == reply.split()[0] and not result.search()
    assert client.must('UID SEARCH SUBJECT "river"').search() == [3, 6]
    asked = [c for c in fake.seen('UID SEARCH') if b'river' in c.args]
    assert len(asked) == 3 and len(refused) == 2
    assert client.must('UID SEARCH SUBJECT "river"').search() == [3, 6]
    assert len([c for c in fake.seen('UID SEARCH') if b'river' in c.args]) == 3


def test_gmail_raw_is_asked_each_time(fake, make_proxy, connect):
    fake.capabilities += ' X-GM-EXT-1'
    box = fake.mailbox('INBOX')
    fake.change(lambda: box.add(search.mail(1).octets, date=search.OLD))

    def raw(conn, command):
        if b'X-GM-RAW' not in command.args:
            return conn.default(command)
        return found(command, b'1') + b'%s OK done\r\n' % command.tag
    fake.on('UID SEARCH', raw)
    client = connect(make_proxy(fake.port, kind=tools.Configured, sections=search.SETTLED).port, 'u0')
    client.select()
    for n in range(1, 4):
        assert client.must('UID SEARCH X-GM-RAW "in:unread"').search() == [1]
        assert len([c for c in fake.seen('UID SEARCH') if b'X-GM-RAW' in c.args]) == n


def test_remembered_searches_are_few_and_the_least_used_goes(opened, tap):
    pair = opened('search { settle = 0s  remember = 2 }')

    def cost(criteria):
        mark = search.at_rest(tap)
        pair.search(criteria)
        return len(search.searches(tap.since(mark)))
    assert [cost(c) for c in ('FROM "anna"', 'SUBJECT "river"', 'FROM "anna"', 'BODY "kitchen"')] == [1, 1, 0, 1]
    assert [cost(c) for c in ('FROM "anna"', 'BODY "kitchen"', 'SUBJECT "river"')] == [0, 0, 1]


def test_mailbox_made_anew_remembers_nothing(opened, server, user, connect):
    name = server.box('Made')
    server.fill(user, name, search.mails(8))
    client = opened().client
    client.select(name)
    assert client.must('UID SEARCH FROM "anna"').search() == [2, 4, 6, 8]
    client.select('INBOX')
    client.must('DELETE "%s"' % name)
    server.fill(user, name, [search.mail(n) for n in (1, 2, 4, 6, 7)])
    client.select(name)
    assert client.must('UID SEARCH FROM "anna"').search() == [2, 3, 4]
