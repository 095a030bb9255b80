"""The store loses octets while they arrive, and before the client has come to them: that costs a second download, never a NO
and never the connection. (Faults are compiled into debug builds; on another build these are plain reads.)"""
import os

import pytest

import spine_tools as tools
from imapjudge import imapclient

LAST = 40


@pytest.fixture(scope='module')
def bodies():
    """The first keeps a client that does not read from coming to the others."""
    return {n: tools.mail(n, 12_000_000 if n == 1 else 300_000) for n in range(1, LAST + 1)}


@pytest.mark.parametrize('fault', ['store_full:3+', 'store_full:5', 'store_commit:4+', 'store_put:5+'])
def test_what_is_lost_before_its_line_is_begun_is_asked_again(server, user, tap, make_proxy, bodies, fault):
    server.fill(user, 'INBOX', list(bodies.values()))
    proxy = make_proxy(tap.port, kind=tools.Configured, cache='size = 16M', env=dict(os.environ, IMAPCACHED_FAULT=fault))
    with imapclient.IMAPClient('127.0.0.1', proxy.port, timeout=60) as client:
        client.login(user)
        client.select()
        tag = client.start('UID FETCH 1:%d BODY.PEEK[]' % LAST)
        # What is asked ahead is answered, and nothing of it has been told: the first is still on its way to the client.
        tools.wait_until(lambda: len(tap.content_fetches) > 0 and all(c.done for c in tap.content_fetches), 30, 'all octets')
        reply = client.wait(tag)
        assert reply.ok, reply
        found = {uid: items['BODY[]'] for uid, items in reply.fetch_by_uid().items()}
        assert found == bodies
        assert client.uid_fetch('1:%d' % LAST, 'BODY.PEEK[]')[LAST]['BODY[]'] == bodies[LAST]
