#!/usr/bin/python3
"""mbsync of 5,000 mails over an emulated line of 100 ms and 20 Mbit/s, directly and through the proxy in turn:
cold, with nothing changed, and with 50 changes on both sides.  Medians of the rounds, and their ratio.

    cmake --preset release && cmake --build --preset release --target imapcached
    tests/bench/mbsync.py --bin build/release [--mails 5000] [--rounds 5] [--commands]

--commands: what the proxy said upstream in the first cold run, with its times, from a tap before the line.
"""
import argparse
import contextlib
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
from imapjudge import dovecot, imapclient, link, mailgen, proxy, tap  # noqa: E402

ROUND_TRIP_S = 0.1
OCTETS_PER_S = 20_000_000 // 8
CHANGES = 50
STEPS = ('cold', 'no change', '%d changes' % CHANGES)
RC = """\
FSync no

IMAPStore far
Host 127.0.0.1
Port {port}
User {user}
Pass pw
SSLType None
AuthMechs LOGIN

MaildirStore near
Path {folder}/mail/
Inbox {folder}/mail/INBOX

Channel all
Far :far:
Near :near:
Create Both
Expunge Both
SyncState *
"""


class Client:
    def __init__(self, folder, port, user):
        self.folder = folder
        (folder / 'mail').mkdir(parents=True)
        (folder / 'rc').write_text(RC.format(folder=folder, port=port, user=user))

    def sync(self):
        began = time.monotonic()
        subprocess.run(['mbsync', '-q', '-c', str(self.folder / 'rc'), 'all'], check=True, stdin=subprocess.DEVNULL,
                       env=dict(os.environ, HOME=str(self.folder)), timeout=300, stderr=subprocess.PIPE)
        return time.monotonic() - began

    def change(self, octets):
        """New mails and flags of the local side."""
        box = self.folder / 'mail' / 'INBOX'
        for number in range(CHANGES // 4):
            (box / 'new' / ('17000%05d.bench' % number)).write_bytes(octets.replace(b'\r\n', b'\n'))
        for path in sorted((box / 'cur').iterdir())[:CHANGES // 4]:
            path.rename(path.with_name(path.name.partition(':2,')[0] + ':2,FS'))

    def count(self):
        box = self.folder / 'mail' / 'INBOX'
        return sum(len(list((box / part).iterdir())) for part in ('cur', 'new'))


class Bench:
    def __init__(self, options, folder, server):
        self.options, self.folder, self.server = options, folder, server
        self.octets = mailgen.Generator(1, big=0).next('plain').octets
        self.seconds = {side: {step: [] for step in STEPS} for side in ('direct', 'proxy')}

    def fill(self):
        """The mailbox that every run gets a copy of, sizes in the names as Dovecot would write them."""
        small = mailgen.Generator(1, big=0)
        top = self.server.home('any-mother') / 'Maildir'
        for name in ('cur', 'new', 'tmp'):
            (top / name).mkdir(parents=True)
        for number in range(self.options.mails):
            octets = small.next('plain').octets
            text = octets.replace(b'\r\n', b'\n')
            (top / 'cur' / ('%d.M%06d.bench,S=%d,W=%d:2,' % (mailgen.EPOCH + number, number, len(text),
                                                            len(octets)))).write_bytes(text)
        self.server._give(top)

    def user(self, name):
        """A fresh user with that mailbox, Dovecot's own caches filled."""
        self.server.copy_user('any-mother', name)
        with self.server.client(name, timeout=120) as client:
            assert client.select().exists == self.options.mails
            client.must('FETCH 1:* (FLAGS RFC822.SIZE BODY.PEEK[HEADER.FIELDS (X-TUID MESSAGE-ID)])', timeout=120)
        return name

    def change_far(self, user):
        with self.server.client(user, timeout=60) as client:
            client.select()
            client.must('UID STORE 100:%d +FLAGS.SILENT (\\Seen)' % (99 + CHANGES // 4))
            for _ in range(CHANGES - 3 * (CHANGES // 4)):
                client.must('APPEND INBOX ', imapclient.Lit(self.octets, sync=False))

    def run(self, side, number):
        user = self.user('any-%s%d' % (side, number))
        folder = self.folder / ('%s%d' % (side, number))
        with contextlib.ExitStack() as stack:
            before = stack.enter_context(link.Link(self.server.port, delay=ROUND_TRIP_S / 2, bandwidth=OCTETS_PER_S))
            if self.options.commands:
                before = stack.enter_context(tap.Tap(before.port))
            served = None
            if side == 'proxy':
                served = proxy.Proxy(self.options.bin / 'imapcached', before.port, folder / 'proxy',
                                     log_level='warn').start()
            client = Client(folder / 'client', served.port if served else before.port, user)
            for step in STEPS:
                time.sleep(2)           # mbsync waits until a Maildir has rested for a second
                if step == STEPS[2]:
                    client.change(self.octets)
                    self.change_far(user)
                    time.sleep(3)       # Dovecot tells those who idle once a second
                mark = before.mark() if self.options.commands else None
                self.seconds[side][step].append(client.sync())
                if self.options.commands and number == 0:
                    self.show('%s, %s' % (side, step), before.since(mark))
            expected = self.options.mails + CHANGES // 4 + CHANGES - 3 * (CHANGES // 4)
            assert client.count() == expected, (client.count(), expected)
            if served:
                served.stop()

    @staticmethod
    def show(side, since):
        print('%s: %d commands, %d connections' % (side, len(since.commands), len({c.conn for c in since.commands})))
        first = min(c.sent for c in since.commands)
        last = None
        for command in since.commands:
            kind = (command.conn, command.verb)
            if kind != last or command is since.commands[-1]:
                print('  %6.3f to %6.3f  %s' % (command.sent - first, (command.done or 0) - first,
                                               command.line[:100].decode('latin-1')))
            last = kind

    def all(self):
        self.fill()
        for number in range(self.options.rounds):
            for side in ('direct', 'proxy'):
                self.run(side, number)
            print('.', end='', flush=True)
        print('\nmbsync of %d mails, %d ms, 20 Mbit/s: seconds, median (least to most) of %d'
              % (self.options.mails, ROUND_TRIP_S * 1000, self.options.rounds))
        print('%-12s %26s %26s %7s' % ('', 'direct', 'proxy', 'ratio'))
        for step in STEPS:
            values = [self.seconds[side][step] for side in ('direct', 'proxy')]
            middle = [statistics.median(v) for v in values]
            print('%-12s %26s %26s %7.2f' % (step, *('%.2f (%.2f to %.2f)' % (m, min(v), max(v))
                                                   for m, v in zip(middle, values)), middle[1] / middle[0]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--bin', type=pathlib.Path, default=pathlib.Path('build/release'))
    parser.add_argument('--mails', type=int, default=5000)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--commands', action='store_true')
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix='mbsyncbench-') as folder, \
            dovecot.Dovecot(mail_format='maildir', users=1) as server:
        Bench(options, pathlib.Path(folder), server).all()


if __name__ == '__main__':
    main()
