"""A client goes with its DELETE, RENAME or CREATE under way: what that does is taken when the upstream has said so, as if the
client were there. Others of the account are told, and no list says what was before (design sections 1 and 9)."""
import socket
import struct
import threading
import time

import pytest

import spine_tools as tools

KEPT = 3.0      # seconds a list may be kept (account/lists.h)


class Held:
    """Holds one verb at the fake upstream: .release.set() lets it go on; cut: done, but the link dies of it."""

    def __init__(self, fake, verb, cut=False):
        self.release = threading.Event()
        self._cut = cut
        fake.on(verb, self, times=1)

    def __call__(self, conn, command):
        assert self.release.wait(20)
        said = conn.default(command)
        if self._cut:
            conn.cut()
        return said


def names(client):
    return {bytes(r.data[2]).decode() for r in client.must('LIST "" "*"').named('LIST')}


def keep_names(client):
    """When the list was told that would be told again for KEPT seconds."""
    began = time.monotonic()
    assert 'Box' in names(client) and 'New' not in names(client)
    return began


def release(held, kept, is_shown):
    """Let it go on; it shows before the list that was kept would have gone by itself."""
    left = kept + KEPT - time.monotonic()
    began = time.monotonic()
    held.release.set()
    tools.wait_until(is_shown, what='the new list')
    assert time.monotonic() - began < max(left / 2, 0.5)


def leave_amid(proxy, connect, fake, command):
    """A client that sends it and is gone before it is answered: one that only closes would be waited for."""
    client = connect(proxy.port, 'anna')
    verb = command.split()[0]
    client.start(command)
    fake.wait_for(verb)
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    client.close()
    tools.wait_until(lambda: '"authenticated -> closing"' in proxy.log_text(), what='the end of the session')


@pytest.fixture
def office(fake, make_proxy, connect):
    for name in ('Box', 'Box/below'):
        fake.mailbox(name).add(tools.mail(1))
    proxy = make_proxy(fake.port)
    return proxy, connect(proxy.port, 'anna')


@pytest.mark.parametrize('command,lacks,has', [
    ('DELETE Box', 'Box', 'Box/below'), ('RENAME Box Other', 'Box', 'Other'), ('CREATE New', 'none', 'New'),
    ('DELETE Box', 'Box', 'INBOX')])
def test_a_vanished_clients_change_shows_in_lists_at_once(office, fake, connect, command, lacks, has):
    proxy, other = office
    kept = keep_names(other)
    held = Held(fake, command.split()[0])
    leave_amid(proxy, connect, fake, command)
    release(held, kept, lambda: has in names(other) and lacks not in names(other))


@pytest.mark.parametrize('command', ['DELETE Box', 'RENAME Box Other'])
def test_a_vanished_clients_change_ends_who_is_inside(office, fake, connect, command):
    proxy, other = office
    inside = connect(proxy.port, 'anna')
    inside.select('Box')
    held = Held(fake, command.split()[0])
    leave_amid(proxy, connect, fake, command)
    held.release.set()
    assert tools.until_bye(inside)[-1].name == 'BYE'
    assert not other.cmd('SELECT Box').ok


def test_a_vanished_clients_refused_change_ends_nobody(office, fake, connect):
    proxy, other = office
    inside = connect(proxy.port, 'anna')
    inside.select('Box')
    release = threading.Event()

    def refuse(conn, command):
        assert release.wait(20)
        conn.no(command)
    fake.on('DELETE', refuse)
    leave_amid(proxy, connect, fake, 'DELETE Box')
    release.set()
    tools.wait_until(lambda: names(other), what='a list')
    selects = len(fake.seen('SELECT'))
    for _ in range(3):
        inside.must('NOOP')
    inside.must('FETCH 1 FLAGS')
    assert len(fake.seen('SELECT')) == selects


@pytest.mark.parametrize('command', ['DELETE Box', 'RENAME Box Other'])
def test_a_vanished_clients_change_of_unknown_outcome_is_looked_at(office, fake, connect, command):
    """The link dies before it says so: the name is another's now, or nobody's, and whoever is in the mailbox is not left."""
    proxy, other = office
    inside = connect(proxy.port, 'anna')
    inside.select('Box')
    kept = keep_names(other)
    held = Held(fake, command.split()[0], cut=True)
    leave_amid(proxy, connect, fake, command)
    release(held, kept, lambda: 'Box' not in names(other))
    assert tools.until_bye(inside)[-1].name == 'BYE'


def test_a_vanished_client_and_the_end_of_the_process(office, fake, connect):
    """What is left under way does not outlive the account."""
    proxy, _ = office
    held = Held(fake, 'DELETE')
    leave_amid(proxy, connect, fake, 'DELETE Box')
    assert proxy.end() == (0, '')
    held.release.set()
