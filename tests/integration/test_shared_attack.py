"""Random COPY, MOVE, EXPUNGE, APPEND, DELETE, RENAME through the proxy and beside it, by several sessions; every octet read
is compared with a direct connection. Among the mails are look-alikes: equal in size and envelope, not in the body."""
import os
import random

import pytest

import spine_tools as tools
import test_shared_content
from imapjudge import imapclient

STEPS = 1500 if tools.LONG else 160
SEEDS = [int(n) for n in os.environ.get('IMAPCACHED_ATTACK_SEEDS', '1 2 3').split()]
BOXES = ['INBOX', 'B1', 'B2', 'B3']
ITEMS = ['BODY.PEEK[]', 'BODY.PEEK[TEXT]', 'BODY.PEEK[HEADER]', 'BODY.PEEK[]<100.5000>', 'BODY.PEEK[TEXT]<30000.40000>',
         'BODY.PEEK[1]', 'RFC822.SIZE BODY.PEEK[]', 'ENVELOPE BODY.PEEK[]', 'BODY.PEEK[HEADER.FIELDS (SUBJECT)]', 'ENVELOPE']


def mail(rng, serial):
    """One of few shapes, so that many are alike; the serial number stands in the body, at one width."""
    shape = rng.randrange(6)
    size = (600, 3000, 20_000, 70_000, 70_000, 300_000)[shape]
    line = b'mail %08d is like others in all but this number, and goes on and on\r\n' % serial
    return (b'From: Anna <anna@example.com>\r\nTo: Bo <bo@example.com>\r\nSubject: shape %d\r\n'
            b'Message-ID: <shape%d@example.com>\r\nDate: Mon, 7 Sep 2020 10:00:00 +0000\r\n\r\n' % (shape, shape)
            + line * (size // len(line)))


class Attack:
    def __init__(self, server, user, proxy, connect, seed):
        self.server, self.user, self.proxy, self.connect = server, user, proxy, connect
        self.rng = random.Random(seed)
        self.serial = seed * 1_000_000
        self.direct = server.client(user)
        self.sessions = []
        self.reads = self.compared = self.refused = 0
        for box in BOXES[1:]:
            self.direct.must('CREATE ' + box)
        for _ in range(6):
            self.append(self.direct, self.rng.choice(BOXES))

    def open(self):
        """Two sessions through the proxy, in some mailbox or other."""
        self.sessions = [self.connect(self.proxy.port, self.user, timeout=30) for _ in range(2)]
        for session in self.sessions:
            self.select(session)

    def select(self, session, box=None):
        session.box = box or self.rng.choice(self.boxes())
        result = session.cmd('SELECT ' + session.box)
        if not result.ok:
            session.box = 'INBOX'
            session.select()

    def boxes(self):
        return sorted(bytes(r.data[-1]).decode() for r in self.direct.must('LIST "" "*"').named('LIST'))

    def append(self, client, box):
        self.serial += 1
        client.append(box, mail(self.rng, self.serial), flags='\\Draft' if self.rng.random() < 0.1 else '')

    def uids(self, session):
        return session.must('UID SEARCH ALL').search()

    def some(self, uids):
        chosen = sorted(self.rng.sample(uids, min(len(uids), self.rng.choice((1, 1, 2, 5)))))
        return ','.join(str(u) for u in chosen)

    def step(self):
        """One operation; a session that was ended (its mailbox went) is replaced. A command may be refused for that, too."""
        session = self.rng.choice(self.sessions)
        try:
            self.perform(session, self.rng.random())
        except imapclient.IMAPRefused as refused:
            assert 'UNAVAILABLE' in str(refused) or 'SERVERBUG' in str(refused)     # Dovecot's own, of a mailbox replaced
            self.refused += 1
        except imapclient.IMAPClosed:
            self.sessions[self.sessions.index(session)] = new = self.connect(self.proxy.port, self.user, timeout=30)
            self.select(new)

    def perform(self, session, dice):
        client = session if self.rng.random() < 0.7 else self.direct
        uids = self.uids(session)
        target = self.rng.choice(self.boxes())
        if dice < 0.40:
            self.read(session, uids)
        elif dice < 0.55 and uids:
            session.cmd('UID COPY %s %s' % (self.some(uids), target))
        elif dice < 0.72 and uids:
            session.cmd('UID MOVE %s %s' % (self.some(uids), target))
        elif dice < 0.78 and uids:
            session.cmd('UID STORE %s +FLAGS (\\Deleted)' % self.some(uids))
            session.cmd('EXPUNGE')
        elif dice < 0.85:
            self.append(client, target)
        elif dice < 0.88 and target != 'INBOX' and len(self.boxes()) > 2:
            client.cmd('DELETE ' + target)
        elif dice < 0.91:
            client.cmd('CREATE B%d' % self.rng.randrange(1, 5))
        elif dice < 0.94 and target != 'INBOX':
            client.cmd('RENAME %s B%d' % (target, self.rng.randrange(1, 5)))
        else:
            self.select(session)

    def read(self, session, uids):
        """As the session sees it and as a direct connection does, of the messages both have."""
        if not uids:
            return
        items = self.rng.choice(ITEMS)
        chosen = self.some(uids)
        told = session.must('UID FETCH %s (UID %s)' % (chosen, items)).fetch_by_uid()
        self.reads += len(told)
        with self.server.client(self.user) as direct:
            if not direct.cmd('EXAMINE ' + session.box).ok:
                return
            truth = direct.must('UID FETCH %s (UID %s)' % (chosen, items)).fetch_by_uid()
        for uid in told.keys() & truth.keys():
            said = {k: v for k, v in told[uid].items() if k != 'FLAGS'}
            if not session.cmd('NOOP').ok:
                continue
            assert said == {k: v for k, v in truth[uid].items() if k != 'FLAGS'}, '%s, UID %d, %s' % (session.box, uid, items)
            self.compared += 1

    def final(self):
        """Everything, everywhere, twice."""
        for _ in range(2):
            with self.connect(self.proxy.port, self.user, timeout=30) as session, self.server.client(self.user) as direct:
                for box in self.boxes():
                    session.select(box, examine=True)
                    direct.select(box, examine=True)
                    tools.wait_until(lambda: session.must('NOOP') and self.uids(session) == self.uids(direct), 10, box)
                    left, right = (tools.whole(c, items='(UID RFC822.SIZE ENVELOPE BODY.PEEK[])') for c in (session, direct))
                    assert left == right, box


class Liar:
    """The scripted server, which tells COPYUID in any order, more often than not. (It names no others than the mails
    copied: one of them that has the size and all of the envelope of another, Message-ID too, would be taken for it.)"""

    def __init__(self, fake, seed):
        self.fake, rng = fake, random.Random(seed)

        def change(old, new):
            how = rng.choice([lambda: (old, new), lambda: (old, new[::-1]), lambda: (old[::-1], new),
                              lambda: (rng.sample(old, len(old)), rng.sample(new, len(new))),
                              lambda: (old[1:] + old[:1], new),
                              lambda: (old, new[:-1]), lambda: (old[:1] * len(new), new)])
            return [','.join(str(max(1, n)) for n in numbers) or '1' for numbers in how()]
        for verb in ('UID COPY', 'UID MOVE'):
            fake.on(verb, test_shared_content.copies(change))

    def client(self, user):
        return imapclient.IMAPClient('127.0.0.1', self.fake.port, name='direct').login(user)


def run(attack, proxy):
    attack.open()
    for number in range(STEPS):
        attack.step()
        if number % 70 == 69:
            for session in attack.sessions:
                session.close()
            proxy.restart() if number % 140 == 69 else proxy.kill9() or proxy.start()
            attack.open()
    attack.final()
    assert attack.compared > STEPS / 10, 'only %d of %d reads compared' % (attack.compared, attack.reads)
    assert attack.refused < STEPS / 20
    assert 'cached answer was wrong' not in proxy.log()


@pytest.mark.parametrize('seed', SEEDS)
@pytest.mark.parametrize('every', [0, 1], ids=['', 'verified'])
def test_no_octet_of_another_mail_whatever_is_done(server, user, make_proxy, connect, seed, every):
    proxy = make_proxy(server.port, kind=tools.Configured, cache='verify_every = %d\nsize = 16M' % every)
    run(Attack(server, user, proxy, connect, seed * 2 + every), proxy)


@pytest.mark.parametrize('seed', SEEDS)
def test_no_octet_of_another_mail_whatever_is_said_of_copies(fake, make_proxy, connect, seed):
    proxy = make_proxy(fake.port, kind=tools.Configured, cache='verify_every = 0\nsize = 16M')
    run(Attack(Liar(fake, seed), 'u0', proxy, connect, seed), proxy)
