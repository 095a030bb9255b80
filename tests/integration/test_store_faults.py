"""The store fails at one step or another while clients read: octets are the upstream's, or the connection ends. (Faults are
compiled into debug builds; on another build these are plain reads.)"""
import os
import threading

import pytest

import spine_tools as tools
from imapjudge import imapclient, mailgen

# Visits of a fault; the first two are those of the opening, which would refuse to start.
FAULTS = [(name, at) for name, visits in (('store_put', '3 4 6 9 14 30 80 5+ 20+'), ('store_commit', '3 4 5 7 12 4+ 9+'),
                                          ('store_full', '3 4 6 9 14 30 80 5+ 20+'), ('store_sync', '1+'))
          for at in visits.split()]


@pytest.fixture(scope='module')
def filled(server_of_module):
    """(server, user, {UID: octets}): small mails, some of a few chunks, one of 3 MB."""
    server = server_of_module
    user = server.new_user()
    server.fill(user, 'INBOX', mailgen.Generator(11, big=150_000).mails(25) + [tools.mail(99, 3_000_000)])
    with server.client(user) as direct:
        direct.select(examine=True)
        return server, user, {uid: items['BODY[]'] for uid, items in tools.whole(direct, items='(UID BODY.PEEK[])').items()}


@pytest.fixture(scope='module')
def server_of_module():
    from imapjudge import dovecot as judge_dovecot
    with judge_dovecot.Dovecot(users=3) as running:
        yield running


def reader(port, user, expected, order, wrong):
    """Reads everything, one by one and together; what comes has to be right."""
    try:
        with imapclient.IMAPClient('127.0.0.1', port, timeout=60) as client:
            client.login(user)
            client.select(examine=True)
            for uid in order:
                for section in ('', 'TEXT'):
                    found = client.must('UID FETCH %d (UID BODY.PEEK[%s])' % (uid, section)).fetch_by_uid()[uid]
                    octets = expected[uid] if not section else expected[uid].partition(b'\r\n\r\n')[2]
                    if not section and found['BODY[]'] != octets:
                        wrong.append((uid, section))
            for uid, items in tools.whole(client, items='(UID BODY.PEEK[])').items():
                if items['BODY[]'] != expected[uid]:
                    wrong.append((uid, 'all'))
    except imapclient.IMAPClosed:
        wrong.append('closed')


@pytest.mark.parametrize('fault,at', FAULTS, ids=lambda v: v)
def test_octets_are_right_whatever_step_of_the_store_fails(make_proxy, filled, fault, at):
    server, user, expected = filled
    proxy = make_proxy(server.port, kind=tools.Configured, cache='size = 16M',
                       env=dict(os.environ, IMAPCACHED_FAULT='%s:%s' % (fault, at)))
    wrong = []
    orders = [sorted(expected), sorted(expected, reverse=True), sorted(expected, key=lambda uid: uid * 7919 % 31)]
    readers = [threading.Thread(target=reader, args=(proxy.port, user, expected, order, wrong)) for order in orders]
    for thread in readers:
        thread.start()
    for thread in readers:
        thread.join(90)
        assert not thread.is_alive()
    assert [w for w in wrong if w != 'closed'] == []
    reader(proxy.port, user, expected, sorted(expected), wrong)      # from what is left of the cache
    assert [w for w in wrong if w != 'closed'] == []
    assert wrong.count('closed') <= 1, 'sessions end though nothing was lost that could not be asked for'


def test_the_cache_works_again_after_a_failing_disk(make_proxy, filled, server_of_module):
    """No restart: after some failures the cache is made anew, and keeps again."""
    server, user, expected = filled
    from imapjudge import tap as judge_tap
    with judge_tap.Tap(server.port) as counting:
        proxy = make_proxy(counting.port, kind=tools.Configured, cache='size = 16M',
                           env=dict(os.environ, IMAPCACHED_FAULT='store_full:3'))
        client = imapclient.IMAPClient('127.0.0.1', proxy.port, timeout=60)
        client.login(user)
        client.select(examine=True)

        def is_kept():
            mark = counting.mark()
            assert client.must('UID FETCH 1:9 (BODY.PEEK[])').ok
            return not counting.since(mark).content_fetches
        tools.wait_until(is_kept, 20, 'a cache that keeps')
        client.close()
