"""What is remembered of searches when something goes wrong: kills, lost links, servers that are away, few connections,
weak ESEARCH, another mailbox behind the name."""
import re
import signal
import time

import pytest

import spine_tools as tools

OLD = '12-Mar-2019 10:00:00 +0000'
NUMBER = 8
SETTLED = 'search { settle = 0s }'
WORD = b'"river"'
HITS = [3, 6]


def mail(number):
    return b'From: anna@example.com\r\nSubject: number %d%s\r\n\r\nbody %d\r\n' % (
        number, b' river' if number % 3 == 0 else b'', number)


def fill(fake, name='INBOX'):
    box = fake.mailbox(name)
    for n in range(1, NUMBER + 1):
        fake.change(lambda n=n: box.add(mail(n), date=OLD))
    return box


def asked(fake):
    return [c for c in fake.seen('UID SEARCH') if WORD in c.args]


@pytest.fixture
def start(fake, make_proxy, connect):
    """start(upstream='') -> client in an INBOX that is known; start.proxy."""
    def make(upstream='', sections=SETTLED):
        fill(fake)
        make.proxy = make_proxy(fake.port, kind=tools.Configured, upstream=upstream, sections=sections)
        client = connect(make.proxy.port, 'u0', timeout=60)
        opened(client)
        return client
    return make


def opened(client, name='INBOX'):
    client.select(name)
    client.must('FETCH 1:* (FLAGS)')


def find(client):
    return client.must('UID SEARCH SUBJECT "river"').search()


def test_counters(start):
    client = start()
    for criteria in ('SUBJECT "river"', 'SUBJECT "river"', 'NOT SUBJECT "river" SEEN', 'SEEN'):
        client.must('UID SEARCH ' + criteria)
    start.proxy.signal(signal.SIGUSR2)
    tools.wait_until(lambda: 'msg=counters' in start.proxy.log_text(), 10, 'the counters')
    text = start.proxy.log_text()
    assert dict(re.findall(r' (search_\w+)=(\d+)', text)) == {
        'search_hits': '2', 'search_asks': '1', 'search_joins': '0', 'search_uids': str(NUMBER)}


def test_killed_after_it_was_written(fake, start, connect):
    client = start()
    assert find(client) == HITS
    tools.wait_until(lambda: 'origin=searches msg=written' in start.proxy.log_text(), 20, 'the search written')
    store = [f for f in start.proxy.cache.rglob('*') if f.is_file() and 'index' in str(f)]
    tools.wait_until(lambda: max(f.stat().st_mtime for f in store) < time.time() - 0.5, 20, 'the store at rest')
    start.proxy.kill9()
    fake.change(lambda: fake.mailbox('INBOX').add(mail(9), date=OLD))
    start.proxy.start()
    client = connect(start.proxy.port, 'u0', timeout=60)
    opened(client)
    assert find(client) == HITS + [9]
    sent = asked(fake)
    assert len(sent) == 2 and b' UID 9 ' in sent[1].args, sent


def test_killed_before_it_was_written(fake, start, connect):
    client = start()
    assert find(client) == HITS
    start.proxy.kill9()
    start.proxy.start()
    client = connect(start.proxy.port, 'u0', timeout=60)
    opened(client)
    assert find(client) == HITS


@pytest.mark.parametrize('deaths', [1, 2])
def test_a_lost_link(fake, start, deaths):
    """Once it is asked again, twice the client is told; what half an answer said is not kept."""
    client = start()
    died = []

    def die(conn, command):
        if WORD not in command.args or len(died) == deaths:
            return conn.default(command)
        died.append(command)
        conn.send(b'* ESEARCH (TAG "%s") UID ALL 1:8\r\n* SEARCH 1 2 8\r\n' % command.tag)
        return conn.cut()
    fake.on('UID SEARCH', die)
    result = client.cmd('UID SEARCH SUBJECT "river"')
    if deaths == 1:
        assert result.ok and result.search() == HITS, result
    else:
        assert result.status == 'NO' and not result.search(), result
    assert find(client) == HITS
    assert find(client) == HITS
    assert len(asked(fake)) == deaths + 1


def test_esearch_that_tells_only_counts(fake, start):
    """As iCloud's: it is asked again plainly, and from then on at once."""
    def count(conn, command):
        if not command.args.upper().startswith(b'RETURN'):
            return conn.default(command)
        return b'* ESEARCH (TAG "%s") UID COUNT 2\r\n%s OK done\r\n' % (command.tag, command.tag)
    fake.on('UID SEARCH', count)
    client = start()
    assert find(client) == HITS
    assert find(client) == HITS
    fake.change(lambda: fake.mailbox('INBOX').add(mail(9), date=OLD))
    tools.wait_until(lambda: client.must('NOOP') and find(client) == HITS + [9], 10, 'the new mail')
    assert not asked(fake)[-1].args.upper().startswith(b'RETURN')
    assert len(asked(fake)) <= 3


def test_server_that_is_away(fake, start):
    """What is remembered is told, anything else NO."""
    client = start()
    assert find(client) == HITS
    fake.stop()
    tools.wait_until(lambda: not client.cmd('UID SEARCH BODY "never asked"').ok, 20, 'a server away')
    result = client.cmd('UID SEARCH BODY "never asked"')
    assert (result.status, result.code) == ('NO', 'UNAVAILABLE'), result
    assert find(client) == HITS
    assert client.must('UID SEARCH NOT SUBJECT "river" 1:4').search() == [1, 2, 4]


def test_two_mailboxes_and_one_connection(fake, start, connect):
    """The one that is searched gets the connection, also for bodies."""
    fill(fake, 'Other')
    one = start(upstream='max_connections = 1')
    two = connect(start.proxy.port, 'u0', timeout=60)
    opened(two, 'Other')
    for n in range(3):
        for client in (one, two):
            assert client.must('UID SEARCH TEXT "body %d"' % (n + 1)).search() == [n + 1]
            assert client.must('UID SEARCH TEXT "body %d"' % (n + 1)).search() == [n + 1]
    assert len([c for c in fake.seen('UID SEARCH') if b'"body' in c.args]) == 6


def test_t5_another_uidvalidity(fake, start, connect):
    client = start()
    assert find(client) == HITS
    start.proxy.stop()
    box = fake.mailbox('INBOX')

    def renumber():
        box.uidvalidity += 1
        for message in box.messages:
            message.octets = mail(message.uid + 1)
    fake.change(renumber)
    start.proxy.start()
    client = connect(start.proxy.port, 'u0', timeout=60)
    opened(client)
    assert find(client) == [2, 5, 8]
    assert len(asked(fake)) == 2


def test_a_server_that_names_what_it_was_not_asked_about(fake, start):
    client = start()

    def all_there_may_be(conn, command):
        if WORD not in command.args:
            return conn.default(command)
        return b'* ESEARCH (TAG "%s") UID ALL 1:4294967295\r\n%s OK done\r\n' % (command.tag, command.tag)
    fake.on('UID SEARCH', all_there_may_be)
    assert client.must('UID SEARCH 2:4 SUBJECT "river"').search() == [2, 3, 4]
    fake.off('UID SEARCH')
    assert client.must('UID SEARCH 5:* SUBJECT "river"').search() == [6]
