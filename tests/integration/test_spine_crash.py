"""kill -9 while caching: nothing that is then served differs from the upstream.

Five rounds; IMAPCACHED_LONG=1 makes fifty, IMAPCACHED_KILLS any number."""
import os
import random
import threading
import time

import spine_tools as tools
from imapjudge import imapclient, mailgen

ROUNDS = int(os.environ.get('IMAPCACHED_KILLS') or (50 if tools.LONG else 5))
ITEMS = ('(UID BODY.PEEK[])', '(UID ENVELOPE BODYSTRUCTURE RFC822.SIZE INTERNALDATE)', '(UID BODY.PEEK[HEADER])',
         '(UID BODY.PEEK[]<100.2000>)', '(UID FLAGS BODY.PEEK[TEXT])')


def keep_busy(proxy, user, number, ending):
    """Reads, flags, appends, expunges until the connection dies."""
    choose = random.Random(number)
    try:
        with proxy.client(user, timeout=20) as client:
            client.select()
            while not ending.is_set():
                uid = choose.randrange(1, 120)
                kind = choose.random()
                if kind < 0.75:
                    client.cmd('UID FETCH %d:%d %s' % (uid, uid + choose.randrange(30), choose.choice(ITEMS)))
                elif kind < 0.9:
                    client.cmd('UID STORE %d %sFLAGS (\\Flagged $k%d)' % (uid, choose.choice('+-'), number))
                elif kind < 0.97:
                    client.append('INBOX', tools.mail(uid, choose.randrange(100_000)))
                else:
                    client.cmd('UID STORE %d +FLAGS.SILENT (\\Deleted)' % uid)
                    client.cmd('EXPUNGE')
    except (OSError, imapclient.IMAPClosed, imapclient.IMAPTimeout):
        pass


def everything(client):
    """All that can be asked of every message."""
    client.select(examine=True)
    client.must('NOOP')
    out = {}
    for items in ITEMS + ('(UID FLAGS)', '(UID BODY.PEEK[HEADER.FIELDS (SUBJECT FROM)])'):
        for uid, values in client.must('UID FETCH 1:* %s' % items, timeout=60).fetch_by_uid().items():
            values['FLAGS'] = sorted(bytes(f) for f in values.get('FLAGS', ()) if f != b'\\Recent')
            if not values['FLAGS']:
                del values['FLAGS']
            out.setdefault(uid, {}).update(values)
    return out


def test_killed_while_caching_and_equal_to_the_upstream_afterwards(make_proxy, server, user, tap):
    proxy = make_proxy(tap.port, kind=tools.Configured, cache='verify_every = 0')
    server.fill(user, 'INBOX', mailgen.Generator(11, big=150_000).mails(120))
    choose = random.Random(tools.LONG)
    for turn in range(ROUNDS):
        ending = threading.Event()
        workers = [threading.Thread(target=keep_busy, args=(proxy, user, turn * 10 + n, ending)) for n in range(4)]
        for worker in workers:
            worker.start()
        time.sleep(choose.uniform(0.05, 0.8))
        proxy.kill9()
        ending.set()
        for worker in workers:
            worker.join(30)
        proxy.start()
        with proxy.client(user, timeout=60) as client, server.client(user, timeout=60) as direct:
            seen, truth = everything(client), everything(direct)
        assert seen.keys() == truth.keys(), 'round %d: UIDs differ' % turn
        for uid, values in truth.items():
            assert seen[uid] == values, 'round %d: UID %d differs' % (turn, uid)
    # another reader after all that: from the cache alone
    mark = tap.mark()
    with proxy.client(user, timeout=60) as client, server.client(user) as direct:
        assert everything(client) == everything(direct)
    assert tap.since(mark).content_fetches == []
