"""Links cut at random moments in every state of a model, under random commands and changes from outside: two clients
believe what they are told, and at rest it is the truth."""
import random
import threading
import time

import pytest

import ladder_tools as ladder
import spine_tools as tools
from imapjudge import fakeserver, imapclient

SETTINGS = 'search_map_from = %d\nconnect_timeout = 2s\ncommand_timeout = 5s'
STEPS = 400 if tools.LONG else 90
SEEDS = range(1, 31) if tools.LONG else range(1, 4)


class Slow:
    """Answers take their time, and now and then the link is cut in the middle of one."""

    def __init__(self, fake, rng):
        self.fake, self.rng, self.lock = fake, rng, threading.Lock()
        self.cuts = 0.0

    def __call__(self, conn, command):
        with self.lock:
            wait, cut, at = self.rng.random() * 0.02, self.rng.random() < self.cuts, self.rng.random()
        time.sleep(wait)
        with self.fake._changed:
            data = conn.default(command)
        if cut:
            conn.send_cut(data, int(len(data) * at))
        conn.send(data)


class Client:
    def __init__(self, connect, port, rng):
        self.connect, self.port, self.rng = connect, port, rng
        self.client, self.mirror = None, ladder.Mirror()
        self.deaths = 0

    def run(self, *commands):
        """Results; on BYE the session is gone, which is always allowed when its link was lost."""
        try:
            if self.client is None:
                self.client = self.connect(self.port, 'anna')
                if self.rng.random() < 0.5:
                    self.client.cmd('ENABLE ' + self.rng.choice(('QRESYNC', 'CONDSTORE')))
                result = self.client.cmd('SELECT INBOX')
                if not result.ok:
                    self.client.close()
                    self.client = None
                    return None
                self.mirror.selected(result)
            for command in commands:
                command = command() if callable(command) else command   # numbers as they are now
                result = self.client.cmd(command, timeout=15)
                self.mirror.feed(result.untagged)
                assert result.status in ('OK', 'NO') or not self.mirror.uids, result
            return True
        except (imapclient.IMAPClosed, ConnectionError):
            self.deaths += 1
            self.client = None
            return None

    def command(self):
        count = max(1, len(self.mirror.uids))
        number = self.rng.randint(1, count)
        return self.rng.choice(('NOOP', 'NOOP', 'FETCH 1:* (UID FLAGS)', 'FETCH %d (UID FLAGS BODY.PEEK[])' % number,
                                'UID FETCH 1:* (FLAGS)', 'SEARCH SEEN', 'CHECK', 'UID SEARCH ALL',
                                'STORE %d +FLAGS (\\Answered)' % number, 'UID STORE 1:* -FLAGS (blue)'))

    def rest(self, box):
        def equal():
            if not self.run('NOOP', 'UID FETCH 1:* (FLAGS)', 'NOOP'):
                return False
            self.problem = self.mirror.equals(box)
            return self.problem is None
        try:
            tools.wait_until(equal, 15)
        except AssertionError:
            raise AssertionError('at rest: %s\n%s' % (self.problem, self.client and self.client.dump(60))) from None


@pytest.mark.parametrize('seed', SEEDS)
@pytest.mark.parametrize('rung', ladder.ALL_RUNGS)
def test_t25_random_losses(make_proxy, connect, rung, seed):
    rng = random.Random(seed * 1000 + len(rung))
    with fakeserver.FakeServer(capabilities=ladder.ALL_RUNGS[rung]) as fake:
        box = fake.mailbox()
        ladder.fill(box, rng.randint(0, 30))
        proxy = make_proxy(fake.port, kind=tools.Configured, upstream=SETTINGS % rng.choice((1, 1, 1000)))
        slow = Slow(fake, random.Random(seed))
        for verb in ('UID SEARCH', 'UID FETCH', 'FETCH', 'SELECT', 'NOOP', 'UID STORE'):
            fake.on(verb, slow)
        clients = [Client(connect, proxy.port, rng) for _ in range(2)]
        for _ in range(STEPS):
            slow.cuts = 0.1
            what = rng.random()
            if what < 0.3:
                fake.change(lambda: ladder.change(box, rng))
            elif what < 0.4:
                fake.drop_all()
            elif what < 0.45:
                gone = rng.choice(clients)
                if gone.client is not None:
                    gone.client.close()
                    gone.client = None
            elif what < 0.5:
                slow.cuts = 0.0
                for client in clients:
                    client.rest(box)
            else:
                one = rng.choice(clients)
                one.run(one.command)
        slow.cuts = 0.0
        for client in clients:
            client.rest(box)
        assert not fake.errors, fake.errors
