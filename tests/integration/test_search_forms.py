"""Criteria that hold the same key in several places: in which pieces the upstream is asked, and what is remembered of them.
That the answers are right: tests/differential/test_forms.py."""
import re

import pytest

import search_tools as search
import spine_tools as tools
from imapjudge import fakeserver

NUMBER = 24
TANGLED = ('OR (FROM "anna" SUBJECT "river") (FROM "anna" LARGER 200)',
           'OR SUBJECT "river" NOT OR OR FROM "anna" LARGER 200 NOT SUBJECT "river"',
           'FROM "anna" NOT FROM "anna"',
           'LARGER 200 OR FROM "anna" NOT LARGER 300')


@pytest.fixture
def pair(server, user, tap, make_proxy, connect):
    server.fill(user, 'INBOX', search.mails(NUMBER))
    proxy = make_proxy(tap.port, kind=tools.Configured, sections=search.SETTLED)
    opened = search.Pair(connect(proxy.port, user, timeout=30), connect(server.port, user, timeout=30))
    opened.client.select()
    opened.direct.select(examine=True)
    opened.catch_up()
    search.at_rest(tap)
    return opened


def pieces(since):
    """The criteria of the commands, without the UIDs."""
    return sorted(re.split(rb'\bUID [\d:,]+ ', command.line, 1)[1].strip().strip(b'()').replace(b'"', b'')
                  for command in search.searches(since))


@pytest.mark.parametrize('criteria, wanted', list(zip(TANGLED, (
    [b'FROM anna LARGER 200', b'FROM anna SUBJECT river'],
    [b'OR FROM anna OR LARGER 200 NOT SUBJECT river', b'SUBJECT river'],
    [b'FROM anna'],
    [b'LARGER 200', b'OR FROM anna NOT LARGER 300']))))
def test_tangled_criteria_are_asked_in_pieces_in_one_flight_and_once(pair, tap, criteria, wanted):
    mark = tap.mark()
    pair.search(criteria)
    since = tap.since(mark)
    assert pieces(since) == wanted
    assert search.one_flight(since, pair.direct)
    mark = search.at_rest(tap)
    pair.search(criteria)
    pair.search('NOT (%s)' % criteria)
    assert tap.since(mark).octets_up == 0


def test_pieces_that_are_known_are_not_asked(pair, tap):
    for criteria in ('FROM "anna"', 'SUBJECT "river"', 'LARGER 200', '(FROM "anna" SUBJECT "river")',
                     '(FROM "anna" LARGER 200)', 'OR FROM "anna" NOT LARGER 300',
                     'OR FROM "anna" OR LARGER 200 NOT SUBJECT "river"'):
        pair.search(criteria)
    mark = search.at_rest(tap)
    for criteria in TANGLED:
        pair.search(criteria)
    assert tap.since(mark).octets_up == 0


@pytest.mark.parametrize('criteria', [
    'OR TO "z" NOT OR TO "b" NOT TO "b"' + ''.join(' OR (SEEN FROM "x%d") FLAGGED' % n for n in range(64)),
    'OR (X-GM-RAW "z" X-GM-RAW "a") (X-GM-RAW "y" X-GM-RAW "z") UNSEEN'], ids=('many', 'volatile'))
def test_what_goes_whole_goes_as_the_client_wrote_it(fake, make_proxy, connect, criteria):
    """Too many parts; or those that are asked each time, which must be of one moment. (ORs within ORs, ANDs within ANDs have
    become one when they were read.)"""
    mailbox = fake.mailbox('INBOX')
    fake.change(lambda: mailbox.add(b'Subject: x\r\n\r\nx\r\n', date='12-Mar-2019 10:00:00 +0000'))
    fake.on('UID SEARCH', lambda conn, command: b'* SEARCH 1\r\n%s OK done\r\n' % command.tag
            if b'z' in command.args else conn.default(command))
    proxy = make_proxy(fake.port, kind=tools.Configured, sections=search.SETTLED)
    client = connect(proxy.port, 'u0', timeout=30)
    client.select()
    client.must('UID FETCH 1:* (FLAGS)')
    for n in (1, 2):
        assert client.must('UID SEARCH ' + criteria).search() == [1]
        asked = [command.args for command in fake.seen('UID SEARCH') if b'z' in command.args]
        assert asked == [criteria.encode()] * n
