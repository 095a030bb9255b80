"""Clients that ask for what takes the upstream long, and go: what nobody waits for any more is not heaped up there."""
import os
import socket
import threading
import time

import pytest

import spine_tools as tools
from imapjudge import imapclient

OLD = '12-Mar-2019 10:00:00 +0000'
SETTLED = 'search { settle = 0s }'
SOON, LATER = 300, 100
FLIGHT = 256    # commands that a link has under way
LEFT = 16       # that go on though nobody waits: 8 that are learnt from, 8 others
GRACE = 1       # seconds: so long a client that has ended its side may still read


class Slow:
    """An upstream that answers no search for content before release(); held: those that it has been sent."""

    def __init__(self, fake):
        self.fake, self.held, self.holds = fake, [], True
        fake.on('UID SEARCH', self.answer)
        fake.on('UID SORT', self.answer)

    def answer(self, conn, command):
        is_held = self.holds and any(word in command.args for word in (b'TEXT', b'OLDER', b'SUBJECT', b'DATE'))
        if is_held:
            self.held.append((conn, command))
        return None if is_held else self.told(conn, command)

    def told(self, conn, command):
        if command.verb != 'UID SORT':
            return conn.default(command)
        numbers = ' '.join(str(m.uid) for m in conn.selected.messages)
        return ('* SORT %s\r\n%s OK done\r\n' % (numbers, command.tag.decode())).encode()

    def release(self, again=False):
        """again: the next are held as well."""
        def go_on():
            self.holds = again
            held, self.held = self.held, [] if again else self.held
            for conn, command in held:
                conn.send(self.told(conn, command))
        self.fake.change(go_on)

    def wait(self, number, seconds):
        end = time.monotonic() + seconds
        while len(self.held) < number and time.monotonic() < end:
            time.sleep(0.001)


@pytest.fixture
def slow(fake, make_proxy, connect):
    mailbox = fake.mailbox('INBOX')
    for n in range(300):
        fake.change(lambda n=n: mailbox.add(b'Subject: number %d\r\n\r\nbody\r\n' % n, date=OLD))
    fake.capabilities += ' WITHIN SORT'

    def make(esearch, limits='', env=None):
        if not esearch:
            fake.capabilities = fake.capabilities.replace(' ESEARCH', '')
        slow.proxy = make_proxy(fake.port, kind=tools.Configured, sections=SETTLED + '\n' + limits, env=env)
        slow.client = connect(slow.proxy.port, 'u0', timeout=60)
        slow.client.select()
        slow.client.must('UID FETCH 1:* (FLAGS)')
        return slow
    slow = Slow(fake)
    slow.make = make
    return slow


def sessions(slow, number):
    clients = [imapclient.IMAPClient('127.0.0.1', slow.proxy.port, timeout=60) for _ in range(number)]
    for client in clients:
        client.login('u0')
        client.select()
    return clients


def ask_and_go(slow, client, command):
    number = len(slow.held)
    client.start(command)
    slow.wait(number + 1, 0.02)      # where it goes out at all it does at once
    client.close()


@pytest.mark.parametrize('esearch', [True, False])
@pytest.mark.parametrize('command', ['UID SEARCH TEXT "x%d"', 'UID SEARCH OLDER 60%d'])
def test_what_those_asked_who_left_is_not_heaped_up(slow, command, esearch):
    slow.make(esearch)
    clients = sessions(slow, SOON + LATER)
    for n in range(SOON):
        ask_and_go(slow, clients[n], command % n)
    at_once = len(slow.held)
    assert 1 <= at_once <= FLIGHT
    time.sleep(2 * GRACE)            # all have been let go of
    for n in range(LATER):
        ask_and_go(slow, clients[SOON + n], command % (SOON + n))
    assert len(slow.held) <= max(at_once, LEFT)
    time.sleep(2 * GRACE)
    number = len(slow.fake.commands)
    slow.release()
    assert slow.client.must('UID SEARCH SUBJECT "number 7"', timeout=60).search()
    assert len(slow.fake.commands) < number + 10


def test_what_was_sent_for_one_who_left_is_learnt(slow):
    slow.make(True)
    for n, client in enumerate(sessions(slow, 3)):
        ask_and_go(slow, client, 'UID SEARCH SUBJECT "number %d"' % n)
    assert len(slow.held) == 3
    time.sleep(2 * GRACE)            # they have been let go of
    slow.release()
    slow.client.must('UID SEARCH SUBJECT "number 9"')      # answered behind them
    number = len(slow.fake.commands)
    for n in range(3):
        slow.client.must('UID SEARCH SUBJECT "number %d"' % n)
    assert not [c for c in slow.fake.commands[number:] if b'SUBJECT' in c.args]


def test_who_stays_is_answered_however_many_left(slow):
    slow.make(True)
    clients = sessions(slow, 60)
    waits = [slow.client.start('UID SEARCH SUBJECT "number %d"' % n) for n in (290, )]
    for n, client in enumerate(clients):
        ask_and_go(slow, client, ('UID SEARCH OLDER 60%d', 'UID SEARCH TEXT "x%d"')[n % 2] % n)
    time.sleep(2 * GRACE)
    slow.release()
    assert [slow.client.wait(tag, timeout=30).search() for tag in waits] == [[291]]


def end_side(client):
    client.sock.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize('write', ['UID MOVE $ Away', 'UID COPY $ Away', 'UID STORE $ +FLAGS (\\Flagged)'])
def test_writes_behind_a_slow_search_are_done_though_the_client_has_ended_its_side(slow, write):
    slow.fake.mailbox('Away')
    client = slow.make(True).client
    tags = client.start_all([('UID SEARCH RETURN (SAVE) SUBJECT "number 7"',), (write,), ('LOGOUT',)])
    end_side(client)
    slow.wait(1, 10)
    threading.Timer(3 * GRACE, slow.release).start()     # the proxy has looked several times
    assert [client.wait(tag, timeout=20).status for tag in tags] == ['OK'] * 3
    assert len(slow.fake.seen(' '.join(write.split()[:2]))) == 1


def test_commands_not_read_yet_are_read_though_the_client_has_ended_its_side(slow):
    slow.fake.mailbox('Away')
    client = slow.make(True, 'limits { pipelined_commands = 2 }').client
    tags = client.start_all([('UID SEARCH SUBJECT "number 7"',), ('NOOP',), ('UID MOVE 7 Away',), ('LOGOUT',)])
    end_side(client)
    slow.wait(1, 10)
    threading.Timer(3 * GRACE, slow.release).start()
    assert [client.wait(tag, timeout=20).status for tag in tags] == ['OK'] * 4


def test_who_only_asked_and_has_ended_its_side_is_let_go(slow):
    client = slow.make(True).client
    client.start_all([('UID SEARCH SUBJECT "number 7"',), ('NOOP',), ('UID SEARCH TEXT "x"',), ('LOGOUT',)])
    begun = time.monotonic()
    end_side(client)
    client.read_until_closed(timeout=10)
    assert GRACE / 4 < time.monotonic() - begun < 4 * GRACE


def test_the_time_to_read_on_is_each_searchs_own(slow):
    """Their jobs may lie at the same place in memory, one after the other: surely where nothing freed is set aside."""
    client = slow.make(True, 'limits { pipelined_commands = 1 }',
                       dict(os.environ, GLIBC_TUNABLES='glibc.malloc.tcache_count=0')).client
    tags = client.start_all([('UID SEARCH SUBJECT "number 7"',), ('UID SEARCH TEXT "x"',)])
    end_side(client)
    slow.wait(1, 10)
    time.sleep(0.7 * GRACE)          # after the first look at it, before the second
    slow.release(again=True)
    slow.wait(1, 10)
    time.sleep(0.6 * GRACE)
    slow.release()
    assert [client.wait(tag, timeout=10).status for tag in tags] == ['OK'] * 2


def test_an_order_that_is_waited_for_is_asked_once(slow):
    """It is joined along with the search for its messages; who asked first leaves, and so have as many as may."""
    slow.make(True)
    first, *others = sessions(slow, 9)
    first.start('UID SORT (DATE) UTF-8 ALL')
    slow.wait(1, 10)
    tag = slow.client.start('UID SORT (DATE) UTF-8 SUBJECT "number 7"')
    slow.wait(2, 10)
    assert [c.verb for _, c in slow.held] == ['UID SORT', 'UID SEARCH']
    for n, client in enumerate(others):
        ask_and_go(slow, client, 'UID SORT (%s) UTF-8 ALL' % ' '.join(['SIZE'] * (n % 4 + 1) + ['ARRIVAL'] * (n // 4)))
    time.sleep(2 * GRACE)            # the others have been let go of
    first.close()
    time.sleep(2 * GRACE)
    slow.release()
    assert slow.client.wait(tag, timeout=30).named('SORT')[0].data
    assert len([c for c in slow.fake.seen('UID SORT') if b'(DATE)' in c.args]) == 1


def test_an_order_asked_for_by_one_who_left_is_learnt(slow):
    slow.make(True)
    client, = sessions(slow, 1)
    client.start('UID SORT (DATE) UTF-8 SUBJECT "number 7"')
    slow.wait(2, 10)
    assert [c.verb for _, c in slow.held] == ['UID SORT', 'UID SEARCH']
    client.close()
    time.sleep(2 * GRACE)
    slow.release()
    assert slow.client.must('UID SORT (DATE) UTF-8 SUBJECT "number 7"').named('SORT')[0].data
    assert len(slow.fake.seen('UID SORT')) == 1
