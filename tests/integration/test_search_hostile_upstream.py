"""Answers to searches that no sound server gives."""
import time

import pytest

import spine_tools as tools
from imapjudge import fakeserver

OLD = '12-Mar-2019 10:00:00 +0000'
SETTLED = 'search { settle = 0s }'
NUMBER = 8
PLAIN = fakeserver.CAPABILITIES.replace(' ESEARCH', '')
HITS = [3, 6]
MANY = ''.join('UNKEYWORD k%d ' % n for n in range(300))  # too many to be taken apart


def mail(number):
    return b'From: anna@example.com\r\nSubject: number %d%s\r\n\r\nbody %d\r\n' % (
        number, b' river' if number % 3 == 0 else b'', number)


@pytest.fixture
def start(fake, make_proxy, connect):
    """start() -> client in an INBOX of eight."""
    def make(uidnext=None):
        box = fake.mailbox('INBOX')
        for n in range(1, NUMBER + 1):
            fake.change(lambda n=n: box.add(mail(n), date=OLD))
        box.uidnext = uidnext or box.uidnext
        make.proxy = make_proxy(fake.port, kind=tools.Configured, sections=SETTLED)
        client = connect(make.proxy.port, 'u0', timeout=60)
        client.select('INBOX')
        return client
    return make


def answering(fake, line):
    """The search for the river is answered so, and no other."""
    def answer(conn, command):
        if b'river' not in command.args:
            return conn.default(command)
        return line.replace(b'$', command.tag) + b'\r\n%s OK done\r\n' % command.tag
    fake.on('UID SEARCH', answer)


@pytest.mark.parametrize('criteria', ['SUBJECT "river"', MANY + 'SUBJECT "river"'], ids=['part', 'whole'])
@pytest.mark.parametrize('line', [b'* SEARCH 3 4294967296', b'* SEARCH 3 x', b'* SEARCH 0 3'])
def test_unreadable_answer_is_not_taken_for_none(fake, start, line, criteria):
    fake.capabilities = PLAIN
    client = start()
    client.must('FETCH 1:* (FLAGS)')
    answering(fake, line)
    result = client.cmd('UID SEARCH ' + criteria)
    assert (result.status, result.code) == ('NO', 'UNAVAILABLE') and not result.search(), result
    fake.off('UID SEARCH')
    assert client.must('UID SEARCH ' + criteria).search() == HITS


@pytest.mark.parametrize('criteria', ['SUBJECT "river"', MANY + 'SUBJECT "river"'], ids=['part', 'whole'])
@pytest.mark.parametrize('told, hits', [(b' UID ALL 3,6', HITS), (b' UID COUNT 0', []), (b'', []), (b' UID COUNT 2', None), (b' ALL 3,6', None)])
def test_search_answered_by_esearch(fake, start, criteria, told, hits):
    """RFC 9051: to SEARCH without RETURN, too; what does not tell which messages is not "none"."""
    fake.capabilities = PLAIN
    client = start()
    client.must('FETCH 1:* (FLAGS)')
    answering(fake, b'* ESEARCH (TAG "$")' + told)
    result = client.cmd('UID SEARCH ' + criteria)
    if hits is None:
        assert (result.status, result.code) == ('NO', 'UNAVAILABLE'), result
    else:
        assert result.ok and result.search() == hits, result


def test_part_of_an_answer_is_not_taken_for_all(fake, start):
    """RFC 9738: the server has looked at some of the messages only."""
    client = start()
    client.must('FETCH 1:* (FLAGS)')
    fake.on('UID SEARCH', lambda conn, command: b'* SEARCH 3\r\n%s OK [MESSAGELIMIT 4 5] done\r\n' % command.tag)
    result = client.cmd('UID SEARCH ' + MANY + 'SUBJECT "river"')
    assert (result.status, result.code) == ('NO', 'LIMIT'), result


def test_many_numbers_in_descending_order_hold_nothing_up(fake, start):
    fake.capabilities = PLAIN
    client = start()
    client.must('FETCH 1:* (FLAGS)')
    answering(fake, b'* SEARCH ' + b' '.join(b'%d' % n for n in range(1600002, 2, -2)) + b' 6 3')
    before = time.monotonic()
    assert client.must('UID SEARCH SUBJECT "river"', timeout=60).search() == [3, 4, 6, 8]
    assert time.monotonic() - before < 10


def test_four_billion_hits_before_the_map_is_known(fake, start):
    """Each of them would be told to the client."""
    for verb in ('FETCH', 'UID FETCH'):
        fake.on(verb, lambda conn, command: b'')
    answering(fake, b'* ESEARCH (TAG "$") UID ALL 1:4294967295')
    client = start(uidnext=4000000000)
    result = client.cmd('UID SEARCH SUBJECT "river"', timeout=30)
    assert (result.status, result.code) == ('NO', 'UNAVAILABLE'), result
    assert start.proxy.rss(peak=True) < 200 * 1024 * 1024
