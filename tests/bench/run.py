#!/usr/bin/python3
"""The figures of imapcached beside a private Dovecot read directly, in the same run, alternating.

    cmake --preset release && cmake --build --preset release --target imapcached bench_imap
    tests/bench/run.py --bin build/release            # folder with imapcached and bench_imap
    tests/bench/run.py --bin build/release --only fetch,latency --quick

Sections: fetch (warm), latency, memory, newmail, office, sync, fanout, search (100,000 messages),
million (a mailbox of 1,000,000), the last two in a Dovecot of their own.  Prints medians and ratios; nothing is judged.
"""
import argparse
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
import idlers  # noqa: E402
import search  # noqa: E402
from imapjudge import dovecot, imapclient, link, mailgen, ports, proxy  # noqa: E402

ROUND_TRIP_S = 0.1
OCTETS_PER_S = 20_000_000 // 8
SECTIONS = ('fetch', 'latency', 'memory', 'newmail', 'office', 'sync', 'million', 'fanout', 'search')
COMMANDS = (('FLAGS', 'INBOX', 'FETCH 1:* (FLAGS)'),
            ('ENVELOPE', 'INBOX', 'FETCH 1:* (ENVELOPE)'),
            ('HEADER.FIELDS', 'INBOX', 'FETCH 1:* (BODY.PEEK[HEADER.FIELDS (DATE FROM SUBJECT)])'),
            ('BODY[] small', 'INBOX', 'FETCH 1:* (BODY.PEEK[])'),
            ('BODY[] 100 KB', 'Big', 'FETCH 1:* (BODY.PEEK[])'))
CONFIG = """\
upstream "main" {{ url = imap://127.0.0.1:{upstream} }}
listener "plain" {{ address = 127.0.0.1:{plain} }}
listener "tls" {{ address = 127.0.0.1:{tls}  tls = implicit  cert = {cert}  key = {key} }}
cache {{ dir = {folder}/cache  size = 2G }}
log {{ level = info }}
"""


def median(values):
    return statistics.median(values)


class Server(proxy.Proxy):
    """The proxy with a plain and a TLS listener."""

    def __init__(self, binary, upstream_port, folder, tls_folder):
        super().__init__(binary, upstream_port, folder)
        self.port, self.tls_port = ports.free_ports(2)
        config = self.folder / 'bench.conf'
        config.write_text(CONFIG.format(upstream=upstream_port, plain=self.port, tls=self.tls_port, folder=folder,
                                        cert=tls_folder / 'server.pem', key=tls_folder / 'server.key'))
        self.arguments = ['--config', str(config)]

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        if self.running():
            self.stop()

    def counters(self):
        """As SIGUSR2 writes them."""
        before = self.log_text().count('resyncs=')
        self.signal(signal.SIGUSR2)
        while self.log_text().count('resyncs=') == before:
            time.sleep(0.01)
        return {name: int(value) for name, value in re.findall(r'(\w+)=(\d+)\b', self.log_text())}


class Bench:
    def __init__(self, options, folder, server):
        self.options = options
        self.folder = folder
        self.server = server
        self.client = options.bin / 'bench_imap'

    def quick(self, full, short):
        return short if self.options.quick else full

    def proxy(self, name, upstream_port):
        return Server(self.options.bin / 'imapcached', upstream_port, self.folder / name, self.server.root / 'tls')

    def start(self, *arguments):
        return subprocess.Popen([str(self.client)] + [str(a) for a in arguments], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, text=True)

    def run(self, *arguments):
        """{name: [values of each line]}"""
        done = subprocess.run([str(self.client)] + [str(a) for a in arguments], stdout=subprocess.PIPE, text=True,
                              check=True)
        return self.parse(done.stdout)

    @staticmethod
    def parse(text):
        out = {}
        for line in text.splitlines():
            name, *values = line.split()
            out.setdefault(name, []).append([float(v) for v in values])
        return out

    def targets(self, served):
        return ('%d/%d' % (self.server.port, self.server._processes[0].pid), '%d/%d' % (served.port, served.process.pid))

    # ---- warm FETCH

    def fetch(self, served):
        print('\nwarm FETCH 1:* of %d small mails, of %d of 100 KB' % (self.options.mails, self.options.big))
        print('%-14s %8s %12s %12s %7s %9s %9s %7s' % ('item', 'clients', 'direct', 'proxy', 'ratio', 'cpu', 'cpu',
                                                       'ratio'))
        for name, mailbox, command in COMMANDS:
            if self.options.items and not any(i in name for i in self.options.items.split(',')):
                continue
            self.run('fetch', *self.targets(served), 'bench', mailbox, 1, 1, command)
            time.sleep(1.0)  # the store's writer is done
            for clients in (1, 8):
                rounds = self.quick(7 if clients == 1 else 5, 3) * (3 if name == 'FLAGS' else 1)
                out = self.run('fetch', *self.targets(served), 'bench', mailbox, clients, rounds, command)
                self.fetch_row(name, clients, out, self.options.mails if mailbox == 'INBOX' else self.options.big)

    def fetch_row(self, name, clients, out, messages):
        wall = [median([v[0] for v in out[side]]) for side in 'ab']
        cpu = [median([v[1] for v in out[side]]) for side in 'ab']
        octets = [out[side][0][2] for side in 'ab']
        assert abs(octets[0] - octets[1]) < octets[0] / 50, 'not the same answers: %s' % octets
        if 'BODY' in name:
            rates = ['%7.0f MB/s' % (o / w / 1e6) for o, w in zip(octets, wall)]
        else:
            rates = ['%7.0f k/s' % (messages * clients / w / 1e3) for w in wall]
        print('%-14s %8d %12s %12s %7.2f %6.0f ms %6.0f ms %7.2f' % (
            name, clients, rates[0], rates[1], wall[0] / wall[1], cpu[0] * 1e3, cpu[1] * 1e3,
            cpu[0] / max(cpu[1], 1e-6)), flush=True)

    # ---- latency

    def latency(self, served):
        rounds = self.quick(300, 100)
        print('\nlatency, median (p90) us of %d' % rounds)
        print('%-46s %16s %16s %8s' % ('command', 'direct', 'proxy', 'added'))
        for name, commands in (
                ('UID SEARCH SUBJECT', ['UID SEARCH SUBJECT "river"']),
                ('UID SEARCH HEADER', ['UID SEARCH UID 1:40 HEADER X-Bench "a"']),
                ('LIST', ['LIST "" "%"']),
                ('CREATE, DELETE', ['CREATE Fresh', 'DELETE Fresh']),
                ('UID STORE', ['UID STORE 7 +FLAGS (\\Flagged)', 'UID STORE 7 -FLAGS (\\Flagged)']),
                ('NOOP (answered here)', ['NOOP']),
                ('SELECT of a live mailbox (answered here)', ['SELECT Small'])):
            out = self.run('latency', *self.targets(served), 'bench', 'Small', rounds, *commands)
            sides = [[v[0] * 1e6 for v in out[side]] for side in 'ab']
            cells = ['%.0f (%.0f)' % (median(s), statistics.quantiles(s, n=10)[-1]) for s in sides]
            print('%-46s %16s %16s %8.0f' % (name, cells[0], cells[1], median(sides[1]) - median(sides[0])),
                  flush=True)

    # ---- memory

    def memory(self):
        many = self.quick(500, 200)
        print('\nmemory of the proxy per idling session (growth of RSS by %d sessions on a mailbox of %d)'
              % (many, self.options.mails))
        for kind in ('plain', 'tls'):
            with self.proxy('memory-' + kind, self.server.port) as served:
                port = served.tls_port if kind == 'tls' else served.port
                holding, sizes = [], []
                for sessions in (20, many):  # the first pay for what is shared
                    holding.append(self.start('hold', port, 'bench', 'INBOX', sessions, kind))
                    assert holding[-1].stdout.readline() == 'ready\n'
                    time.sleep(0.5)
                    sizes.append(served.rss())
                for process in holding:
                    process.communicate()
            print('%-6s %6.1f KB   (%.1f MB with 20 sessions)' % (kind, (sizes[1] - sizes[0]) / many / 1024,
                                                                  sizes[0] / 1e6), flush=True)

    # ---- a mail that all read

    def newmail(self):
        clients = 20
        body = mailgen.Generator(99, flags=False, big=50_000).next('large').octets[:50_000]
        print('\na new mail of %d octets, read by %d idling clients' % (len(body), clients))
        print('%-8s %12s %12s %12s %12s %10s' % ('', 'connections', 'at the peak', 'octets up', 'octets down', 'seconds'))
        for name in ('direct', 'proxy'):
            with link.Link(self.server.port) as wire:
                if name == 'direct':
                    self.newmail_row(name, wire, wire.port, 'mail-d', body, clients)
                else:
                    with self.proxy('newmail', wire.port) as served:
                        self.newmail_row(name, wire, served.port, 'mail-p', body, clients)

    def newmail_row(self, name, wire, port, user, body, clients):
        self.server.fill('any-' + user, 'INBOX', [body[:2000]] * 50)
        holding = self.start('newmail', port, 'any-' + user, 'INBOX', clients)
        assert holding.stdout.readline() == 'ready\n'
        time.sleep(1.0)
        connections, up, down = wire.current, wire.octets_up, wire.octets_down
        self.server.fill('any-' + user, 'INBOX', [body])
        out = self.parse(holding.communicate()[0])
        seconds, octets = out['read'][0]
        assert octets >= clients * len(body)
        print('%-8s %12d %12d %12d %12d %10.3f' % (name, connections, wire.peak, wire.octets_up - up,
                                                   wire.octets_down - down, seconds), flush=True)

    # ---- many are told the same

    def fanout(self):
        many, changes, rounds = self.quick(200, 50), 1000, self.quick(5, 3)
        self.deliver('fanout', 'INBOX', [mailgen.Generator(1, big=0).next('plain')] * changes)
        print('\nfan-out: %d flag changes told to %d idling sessions, median of %d rounds' % (changes, many, rounds))
        print('%-8s %12s %14s %12s %12s' % ('', 'told MB', 'rendered MB', 'seconds', 'processor s'))
        self.fanout_row('direct', self.server.port, self.server._processes[0].pid, None, (many, changes, rounds))
        with self.proxy('fanout', self.server.port) as served:
            self.fanout_row('proxy', served.port, served.process.pid, served, (many, changes, rounds))

    def fanout_row(self, name, port, pid, served, numbers):
        many, changes, rounds = numbers
        with self.server.client('fanout', timeout=60) as client:
            client.select()
            client.must('STORE 1:* -FLAGS.SILENT (\\Flagged)', timeout=60)
        crowd = idlers.Idlers(port, 'fanout', many)
        before = crowd.octets, served and served.counters()
        walls, burnt = [], []
        with self.server.client('fanout', timeout=60) as client:
            client.select()
            for turn in range(rounds):
                sign = '+-'[turn % 2]
                lines = ''.join('f%d STORE %d %sFLAGS.SILENT (\\Flagged)\r\n' % (n, n, sign)
                                for n in range(1, changes + 1))
                began = idlers.processor_seconds(pid)
                client.send_raw(lines)
                client.wait('f%d' % changes)
                told = time.monotonic()     # Dovecot has it; from here on they are told
                crowd.until_told(changes * many * (turn + 1))
                walls.append(time.monotonic() - told)
                burnt.append(idlers.processor_seconds(pid) - began)
        rendered = '-'
        if served:
            time.sleep(0.2)
            rendered = '%.2f' % ((served.counters()['rendered_octets'] - before[1]['rendered_octets']) / 1e6)
        print('%-8s %12.2f %14s %12.2f %12.3f' % (name, (crowd.octets - before[0]) / 1e6, rendered, median(walls),
                                                median(burnt)), flush=True)
        crowd.close()

    # ---- searches

    def search(self):
        search.Section(self).run()

    # ---- slow link

    def slow(self):
        return link.Link(self.server.port, delay=ROUND_TRIP_S / 2, bandwidth=OCTETS_PER_S)

    def office(self):
        headers, bodies = self.quick(2000, 500), self.quick(200, 40)
        steps = ('open', 'headers', 'bodies', 'big', 'searches')
        print('\noffice over %d ms and 20 Mbit/s: headers of %d, %d bodies one by one, one of 2 MB, 4 searches'
              % (ROUND_TRIP_S * 1000, headers, bodies))
        print('%-16s %7s' % ('', 'total') + ''.join('%9s' % s for s in steps) + '%12s %12s' % ('up', 'down'))
        big_uid = self.options.office + 1
        arguments = ('office', 'INBOX', headers, bodies, big_uid)
        self.run('office', self.server.port, 'office', *arguments[1:])  # Dovecot's own caches
        with self.slow() as wire:
            for name in ('direct, first', 'direct, second'):
                self.office_row(name, wire, wire.port, steps, arguments)
        with self.slow() as wire, self.proxy('office', wire.port) as served:
            for name in ('proxy, first', 'proxy, second'):
                self.office_row(name, wire, served.port, steps, arguments)
                time.sleep(0.5)
            served.restart()
            self.office_row('proxy, restarted', wire, served.port, steps, arguments)

    def office_row(self, name, wire, port, steps, arguments):
        up, down = wire.octets_up, wire.octets_down
        out = self.run(arguments[0], port, 'office', *arguments[1:])
        seconds = [out[s][0][0] for s in steps]
        print('%-16s %7.2f' % (name, sum(seconds)) + ''.join('%9.2f' % s for s in seconds)
              + '%12d %12d' % (wire.octets_up - up, wire.octets_down - down), flush=True)

    def sync(self):
        mails = self.quick(2000, 500)
        print('\nsync: %d mails, cold, single fetches pipelined, same link' % mails)
        print('%-16s %9s %9s %12s' % ('', 'seconds', 'octets', 'down'))
        self.run('sync', self.server.port, 'sync', 'INBOX', mails)  # Dovecot's own caches
        with self.slow() as wire:
            self.sync_row('direct', wire, wire.port, mails)
        with self.slow() as wire, self.proxy('sync', wire.port) as served:
            self.sync_row('proxy, cold', wire, served.port, mails)
            time.sleep(0.5)
            self.sync_row('proxy, warm', wire, served.port, mails)

    def sync_row(self, name, wire, port, mails):
        down = wire.octets_down
        out = self.run('sync', port, 'sync', 'INBOX', mails)
        print('%-16s %9.2f %9d %12d' % (name, out['open'][0][0] + out['bodies'][0][0], out['octets'][0][0],
                                        wire.octets_down - down), flush=True)

    # ---- a mailbox of a million

    def fill_million(self, server, many):
        """MULTIAPPEND into mdbox: some 10 s and 100 MB."""
        mail = b'From: a@example.com\r\nSubject: one of many\r\n\r\nbody\r\n'
        server.add_user('million')
        with server.client('million', timeout=300) as client:
            for first in range(0, many, 20000):
                flags = [b'', b'(\\Seen) ', b'(\\Seen \\Answered) ', b'(\\Seen) ']
                parts = [b' ' + flags[n % 4] + b'{%d+}\r\n' % len(mail) + mail
                         for n in range(min(20000, many - first))]
                client.must(b'APPEND INBOX' + b''.join(parts), timeout=300)

    def selects(self, port, rounds, fresh=None):
        """Seconds to the tagged OK of the first SELECT of a new session; a new server each time when fresh."""
        out = []
        for _ in range(rounds):
            with imapclient.IMAPClient('127.0.0.1', port, timeout=300) as client:
                client.login('million')
                started = time.monotonic()
                client.select()
                out.append(time.monotonic() - started)
        return out

    def million(self):
        many = self.quick(1_000_000, 200_000)
        rounds = self.quick(5, 3)
        started = time.monotonic()
        with dovecot.Dovecot(users=0, mail_format='mdbox') as server:
            self.fill_million(server, many)
            print('\na mailbox of %d messages (Dovecot, mdbox; filled in %.0f s)' % (many, time.monotonic() - started))
            self.selects(server.port, 2)
            direct, cold = [], []
            for number in range(rounds):
                direct += self.selects(server.port, 1)
                with Server(self.options.bin / 'imapcached', server.port, self.folder / ('cold%d' % number),
                            server.root / 'tls') as served:
                    with served.client('million', timeout=300) as other:   # the link's login is not SELECT's time
                        other.cmd('LIST "" "%"')
                        cold += self.selects(served.port, 1)
            print('SELECT cold, to the tagged OK: direct %.1f ms, proxy %.1f ms (%+.0f %%)' % (
                median(direct) * 1e3, median(cold) * 1e3, 100 * (median(cold) / median(direct) - 1)))
            self.million_live(server, many)

    def million_live(self, server, many):
        with Server(self.options.bin / 'imapcached', server.port, self.folder / 'million', server.root / 'tls') as served:
            with served.client('million', timeout=300) as client:
                client.cmd('NOOP')
                before = served.rss()
                started = time.monotonic()
                client.select()
                told = time.monotonic()
                client.must('UID FETCH %d (UID)' % many, timeout=300)
                numbers = time.monotonic()
                client.must('FETCH %d (FLAGS)' % many, timeout=300)
                flags = time.monotonic()
                time.sleep(3.0)     # the writer is done
                after = served.rss()
                print('until SELECT is answered %.0f ms, numbers are known %.0f ms, flags %.0f ms' % (
                    (told - started) * 1e3, (numbers - started) * 1e3, (flags - started) * 1e3))
                print('memory per message: %.1f octets (RSS grew by %.1f MB, the store\'s pages and buffers among it)' % (
                    (after - before) / many, (after - before) / 1e6))
                live = self.selects(served.port, 50)
                print('SELECT live: median %.2f ms, worst %.2f ms' % (median(live) * 1e3, max(live) * 1e3))
            sizes, holding = [], []
            for sessions in (500, self.quick(500, 200)):  # the first fill what lies free
                holding.append(self.start('hold', served.tls_port, 'million', 'INBOX', sessions, 'tls'))
                assert holding[-1].stdout.readline() == 'ready\n'
                time.sleep(0.5)
                sizes.append(served.rss())
            for process in holding:
                process.communicate()
            print('RSS per idling TLS session on it: %.1f KB' % ((sizes[1] - sizes[0]) / self.quick(500, 200) / 1024))
            self.million_again(served)

    def million_again(self, served):
        """From what is kept."""
        served.restart()
        with served.client('million', timeout=300) as client:
            started = time.monotonic()
            client.select()
            told = time.monotonic()
            client.must('FETCH 1 (FLAGS)', timeout=300)
            print('after a restart: SELECT %.0f ms, flags %.0f ms' % ((told - started) * 1e3,
                                                                     (time.monotonic() - started) * 1e3))

    # ---- all

    def deliver(self, user, mailbox, mails):
        """Into the Maildir as Dovecot would write them itself: sizes in the names, LF."""
        top = self.server.home(user) / 'Maildir'
        home = top if mailbox == 'INBOX' else top / ('.' + mailbox)
        for name in ('cur', 'new', 'tmp'):
            (home / name).mkdir(parents=True)
        for number, mail in enumerate(mails):
            octets = mail.octets.replace(b'\r\n', b'\n')
            name = '%d.M%06d.bench,S=%d,W=%d:2,%s' % (mailgen.EPOCH + number, number, len(octets), len(mail.octets),
                                                     'S' if '\\Seen' in mail.flags else '')
            (home / 'cur' / name).write_bytes(octets)
            os.utime(home / 'cur' / name, (mailgen.EPOCH + number,) * 2)    # its INTERNALDATE
        self.server._give(top)
        with self.server.client(user, timeout=120) as client:
            if mailbox != 'INBOX':
                client.cmd('SUBSCRIBE ' + mailbox)
            assert client.cmd('SELECT ' + mailbox).exists == len(mails)

    def fill(self, sections):
        options = self.options
        small = mailgen.Generator(1, big=0)
        started = time.monotonic()
        if 'fetch' in sections or 'memory' in sections:
            self.deliver('bench', 'INBOX', [small.next('plain') for _ in range(options.mails)])
        if 'fetch' in sections:
            large = mailgen.Generator(2, big=100_000)
            self.deliver('bench', 'Big', [large.next('large') for _ in range(options.big)])
        if 'latency' in sections:
            self.deliver('bench', 'Small', [small.next('plain') for _ in range(100)])
        for user in set(sections) & {'office', 'sync'}:
            self.deliver(user, 'INBOX', [small.next('plain') for _ in range(options.office)])
            self.server.fill(user, 'INBOX', [mailgen.Generator(3, big=2_000_000).next('large')])
        print('filled in %.1f s' % (time.monotonic() - started), flush=True)

    def all(self):
        sections = self.options.only.split(',') if self.options.only else SECTIONS
        started = time.monotonic()
        self.fill(sections)
        with self.proxy('warm', self.server.port) as served:
            for name in ('fetch', 'latency'):
                if name in sections:
                    getattr(self, name)(served)
        for name in ('memory', 'newmail', 'office', 'sync', 'million', 'fanout', 'search'):
            if name in sections:
                getattr(self, name)()
        print('\nin all %.0f s' % (time.monotonic() - started))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--bin', type=pathlib.Path, default=pathlib.Path('build/release'))
    parser.add_argument('--only', default='', help='sections, by comma')
    parser.add_argument('--items', default='', help='of section fetch: items, by comma')
    parser.add_argument('--quick', action='store_true', help='less of everything')
    parser.add_argument('--mails', type=int, default=0, help='small mails in the warm mailbox')
    options = parser.parse_args()
    options.mails = options.mails or (3000 if options.quick else 10000)
    options.big = 50 if options.quick else 200
    options.office = 500 if options.quick else 2000
    with tempfile.TemporaryDirectory(prefix='bench-') as folder, \
            dovecot.Dovecot(users=0, mail_format='maildir') as server:
        for name in ('bench', 'office', 'sync', 'fanout'):
            server.add_user(name)
        try:
            Bench(options, pathlib.Path(folder), server).all()
        except (imapclient.IMAPRefused, subprocess.CalledProcessError, AssertionError):
            print(server.log(), file=sys.stderr)
            raise


if __name__ == '__main__':
    main()
