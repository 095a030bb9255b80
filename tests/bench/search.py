"""Section "search" of run.py: what searching and sorting a mailbox of 100,000 costs, beside Dovecot directly.

Each row is a command; its columns are the median ms of Dovecot directly, and through the proxy: asked for the first time
(of three fresh ones), asked again, asked first after 1,000 flag changes, asked first after one new mail.  Then, counted at
a tap in a run of its own, what each of those cost upstream: octets both ways, and round trips."""
import random
import statistics
import subprocess
import time

from imapjudge import dovecot, mailgen, tap as judge_tap

USER = 'search'
OLD = '12-Mar-2019 10:00:00 +0000'
AT_ONCE = 10_000
COMMANDS = (
    ('UNSEEN', 'UID SEARCH UNSEEN'),
    ('ANSWERED NOT FLAGGED', 'UID SEARCH ANSWERED NOT FLAGGED'),
    ('FROM', 'UID SEARCH FROM "anna"'),
    ('SUBJECT', 'UID SEARCH SUBJECT "river"'),
    ('TEXT', 'UID SEARCH TEXT "kitchen"'),
    ('FROM (asked above) UNSEEN', 'UID SEARCH FROM "anna" UNSEEN'),
    ('TEXT (asked above) UNSEEN', 'UID SEARCH UNSEEN TEXT "kitchen"'),
    ('BODY (not asked) UNSEEN', 'UID SEARCH UNSEEN BODY "bridge"'),
    ('SORT (REVERSE DATE) ALL', 'UID SORT (REVERSE DATE) UTF-8 ALL'),
    ('SORT ... UNSEEN', 'UID SORT (REVERSE DATE) UTF-8 UNSEEN'),
    ('SORT ... FROM', 'UID SORT (REVERSE DATE) UTF-8 FROM "anna"'),
)
PHASES = ('first', 'again', '1,000 flags', '1 new mail')


class Driver:
    """A client of bench_imap that does as it is told."""

    def __init__(self, program, port):
        self.process = subprocess.Popen([str(program), 'drive', str(port), USER, 'INBOX'], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.run('NOOP')

    def run(self, command, rounds=1):
        """(octets of an answer, [seconds])"""
        self.process.stdin.write('%d %s\n' % (rounds, command))
        self.process.stdin.flush()
        octets, *seconds = self.process.stdout.readline().split()
        return int(octets), [float(s) for s in seconds]

    def close(self):
        self.process.communicate()


class Changes:
    """What happens to the mailbox behind everybody's back."""

    def __init__(self, server, many):
        self.client = server.client(USER, timeout=120)
        self.client.select()
        self.many = many
        self.count = 1000 * many        # keywords of an earlier run are there still
        self.random = random.Random(many)
        self.mails = mailgen.Generator(9, big=0)

    def new_mail(self):
        self.many += 1
        self.client.append('INBOX', self.mails.next('plain').octets, date=OLD)
        return 'UID %d' % self.many

    def thousand_flags(self):
        self.count += 1
        for number, flag in enumerate(('\\Seen', '\\Flagged', '\\Answered', '\\Seen')):
            uids = sorted(self.random.sample(range(1, self.many), 250))
            self.client.must('UID STORE %s %sFLAGS.SILENT (%s)' % (','.join(map(str, uids)), '+-'[number == 3], flag))
        # the last message's changes are told last
        self.client.must('UID STORE %d +FLAGS.SILENT (change%d)' % (self.many, self.count))
        return 'KEYWORD change%d' % self.count

    @staticmethod
    def wait(client, sign):
        """Until the client's server knows."""
        deadline = time.monotonic() + 60
        while not client.must('NOOP') or not client.must('UID SEARCH ' + sign).search():
            assert time.monotonic() < deadline, sign
            time.sleep(0.02)


def fill(server, many):
    """MULTIAPPEND of plain mails; 2 % unseen, half answered, 5 % flagged, at random."""
    maker, rnd = mailgen.Generator(1, big=0), random.Random(2)
    mails = [maker.next('plain').octets for _ in range(2000)]
    server.add_user(USER)
    with server.client(USER, timeout=300) as client:
        for first in range(0, many, AT_ONCE):
            parts = []
            for number in range(first, min(many, first + AT_ONCE)):
                flags = [f for f, share in (('\\Seen', 0.98), ('\\Answered', 0.5), ('\\Flagged', 0.05))
                         if rnd.random() < share]
                mail = mails[number % len(mails)]
                parts.append(b' (%s) "%s" {%d+}\r\n%s' % (' '.join(flags).encode(), OLD.encode(), len(mail), mail))
            client.must(b'APPEND INBOX' + b''.join(parts), timeout=300)


class Section:
    def __init__(self, bench):
        self.bench = bench
        self.many = bench.quick(100_000, 20_000)
        self.cells = {}         # (row, phase or 'direct') -> [seconds]
        self.costs = {}         # (row, phase) -> (octets, round trips)
        self.hits = {}

    def add(self, row, column, seconds):
        self.cells.setdefault((row, column), []).extend(seconds)

    def cell(self, row, column):
        return 1e3 * statistics.median(self.cells[row, column])

    def run(self):
        started = time.monotonic()
        with dovecot.Dovecot(users=0, mail_format='mdbox') as server:
            fill(server, self.many)
            print('\nsearch: %d messages (Dovecot, mdbox; filled in %.0f s)' % (self.many, time.monotonic() - started),
                  flush=True)
            direct = Driver(self.bench.client, server.port)
            for _, command in COMMANDS:
                direct.run(command)                         # Dovecot's own caches
            for number in range(self.bench.quick(3, 1)):
                with self.bench.proxy('search%d' % number, server.port) as served:
                    driver = self.opened(served)
                    for row, (_, command) in enumerate(COMMANDS):
                        self.add(row, 'first', driver.run(command)[1])
                        self.add(row, 'direct', direct.run(command)[1])
                    if number == 0:
                        self.check(served, server)
                        self.again(driver)
                        self.changed(served, server, driver, direct)
                    driver.close()
            direct.close()
            self.count(server)
        self.tell()

    @staticmethod
    def mapped(served):
        client = served.client(USER, timeout=120)
        client.select()
        client.must('FETCH * (FLAGS)')
        return client

    def opened(self, served):
        """A driver of a proxy that knows which messages there are and their flags."""
        self.mapped(served).close()
        driver = Driver(self.bench.client, served.port)
        driver.run('UID SEARCH SEEN')
        return driver

    def check(self, served, server):
        """Both say the same."""
        clients = self.mapped(served), server.client(USER, timeout=120)
        clients[1].select()
        for row, (name, command) in enumerate(COMMANDS):
            told = [[bytes(r.raw) for r in c.must(command, timeout=60).untagged if r.name in ('SEARCH', 'SORT')]
                    for c in clients]
            assert told[0] == told[1], name
            self.hits[row] = len(told[0][0].split()) - 2
        for client in clients:
            client.close()

    def again(self, driver):
        for _ in range(self.bench.quick(3, 1)):
            for row, (_, command) in enumerate(COMMANDS):
                self.add(row, 'again', driver.run(command, 30)[1])

    def changed(self, served, server, driver, direct):
        """Each command first after each change, both sides having been told of it."""
        changes = Changes(server, self.many)
        with self.mapped(served) as watcher:
            for phase, change in (('1,000 flags', changes.thousand_flags), ('1 new mail', changes.new_mail)):
                for _ in range(self.bench.quick(5, 2)):
                    changes.wait(watcher, change())
                    for side in (driver, direct):
                        side.run('NOOP')
                    for row, (_, command) in enumerate(COMMANDS):
                        self.add(row, phase, driver.run(command)[1])
                        if phase == '1,000 flags' and 'TEXT' not in command and 'BODY' not in command:
                            self.add(row, 'direct', direct.run(command)[1])
        changes.client.close()
        self.many = changes.many

    # ---- what it costs upstream

    def count(self, server):
        with judge_tap.Tap(server.port) as tap, self.bench.proxy('search-tap', tap.port) as served:
            driver = self.opened(served)
            changes = Changes(server, self.many)
            with self.mapped(served) as watcher:
                for phase in PHASES:
                    change = {'1 new mail': changes.new_mail, '1,000 flags': changes.thousand_flags}.get(phase)
                    if change:
                        changes.wait(watcher, change())
                        driver.run('NOOP')
                    for row, (_, command) in enumerate(COMMANDS):
                        self.rest(tap)
                        mark = tap.mark()
                        driver.run(command)
                        since = tap.since(mark)
                        self.costs[row, phase] = since.octets_up + since.octets_down, since.turns()
            driver.close()
            changes.client.close()

    @staticmethod
    def rest(tap):
        """Nothing under way but IDLE: what comes after it is the command's own."""
        deadline = time.monotonic() + 10
        while any(c.done is None and c.verb != 'IDLE' for c in tap.commands) or \
                not any(c.done is None for c in tap.commands):
            assert time.monotonic() < deadline, tap.commands[-5:]
            time.sleep(0.01)

    def tell(self):
        print('%-27s %7s %9s' % ('median ms', 'hits', 'direct') + ''.join('%13s' % p for p in PHASES) + '%15s' % 'direct/again')
        for row, (name, _) in enumerate(COMMANDS):
            print('%-27s %7d %9.2f' % (name, self.hits[row], self.cell(row, 'direct'))
                  + ''.join('%13.3f' % self.cell(row, p) for p in PHASES)
                  + '%15.1f' % (self.cell(row, 'direct') / self.cell(row, 'again')))
        print('%-45s' % 'upstream: octets / round trips' + ''.join('%13s' % p for p in PHASES))
        for row, (name, _) in enumerate(COMMANDS):
            print('%-45s' % name + ''.join('%13s' % ('%d / %d' % self.costs[row, p]) for p in PHASES), flush=True)
