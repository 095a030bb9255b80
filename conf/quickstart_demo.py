"""The demonstration of conf/quickstart: a private Dovecot with sample mail behind an emulated distant line, imapcached
before it, and an ordinary client (Python's imaplib) that reads everything: directly, through the proxy, by a second
client, and after a restart of the proxy. All in one temporary folder, on loopback, with free ports."""
import argparse
import contextlib
import imaplib
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / 'tests' / 'support'))

from imapjudge import dovecot, link, mailgen, procs, tap  # noqa: E402

MAILS = 300
ROUND_TRIP_S = 0.03
OCTETS_A_SECOND = 50_000_000 // 8
USER, PASSWORD = 'sample', 'sample'


class Proxy:
    """The binary before a port, with a cache that stays over restart()."""

    def __init__(self, binary, upstream_port, port, cache, log_path):
        self.port = port
        self._command = [str(binary), '--upstream', 'imap://127.0.0.1:%d' % upstream_port,
                         '--listen', '127.0.0.1:%d' % port, '--cache', str(cache)]
        self._log_path = log_path
        self._process = None

    def start(self):
        with open(self._log_path, 'ab') as log:
            # A process group of its own: Ctrl-C at the terminal is for this script, which then ends the proxy in order.
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                             start_new_session=True, preexec_fn=procs.die_with_parent)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError):
                socket.create_connection(('127.0.0.1', self.port), timeout=1).close()
                return
            time.sleep(0.02)
        raise SystemExit('The proxy did not come up. Its log:\n' + self._log_path.read_text(errors='replace')[-4000:])

    def stop(self):
        if self._process is None:
            return
        self._process.terminate()
        try:
            status = self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        self._process = None
        if status != 0:
            raise SystemExit('The proxy ended with status %d. Its log:\n%s'
                             % (status, self._log_path.read_text(errors='replace')[-4000:]))

    def restart(self):
        self.stop()
        self.start()


def read_everything(port):
    """Log in, list the mailbox, read every mail one after the other; returns the octets of all mails."""
    client = imaplib.IMAP4('127.0.0.1', port, timeout=120)
    try:
        client.login(USER, PASSWORD)
        _, (number,) = client.select('INBOX', readonly=True)
        client.fetch('1:*', '(UID FLAGS RFC822.SIZE ENVELOPE)')
        octets = 0
        for n in range(1, int(number) + 1):
            status, data = client.fetch(str(n), '(BODY.PEEK[])')
            if status != 'OK' or not isinstance(data[0], tuple):
                raise SystemExit('mail %d could not be read on port %d: %s %r' % (n, port, status, data[:1]))
            octets += len(data[0][1])
        return octets
    finally:
        with contextlib.suppress(imaplib.IMAP4.error, OSError):
            client.logout()


class Table:
    """Rows of what was done, printed as they come."""

    def __init__(self, line):
        self._line = line
        self._octets = None
        print('\n   %-46s %9s %18s %12s' % ('who reads all %d mails, one by one' % MAILS, 'seconds', 'bytes over line',
                                            'mails asked'))

    def row(self, what, port):
        mark, began = self._line.mark(), time.monotonic()
        octets = read_everything(port)
        seconds = time.monotonic() - began
        seen = self._line.since(mark)
        print('   %-46s %9.2f %18s %12d' % (what, seconds, format(seen.octets_down + seen.octets_up, ','),
                                            len(seen.content_fetches)), flush=True)
        if self._octets not in (None, octets):
            raise SystemExit('a client was given %d bytes of mail, another one %d' % (self._octets, octets))
        self._octets = octets


def demonstrate(proxy, line):
    table = Table(line)
    table.row('directly at the provider', line.port)
    table.row('first client through the proxy', proxy.port)
    table.row('second client through the proxy', proxy.port)
    proxy.restart()
    table.row('a client after a restart of the proxy', proxy.port)
    print('\n   "bytes over line": everything between proxy and provider in that step, both directions.\n'
          '   "mails asked": FETCH commands for message content that reached the provider.')


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('binary')
    parser.add_argument('--port', type=int, default=1143)
    parser.add_argument('--cache')
    parser.add_argument('--once', action='store_true')
    options = parser.parse_args()
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    folder = pathlib.Path(tempfile.mkdtemp(prefix='imapcached-quickstart-'))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        print('3. Starting a private Dovecot as the provider, with %d generated mails (user %s, password %s)'
              % (MAILS, USER, PASSWORD), flush=True)
        server = stack.enter_context(dovecot.Dovecot(users=0))
        server.add_user(USER, PASSWORD)
        fill(server)
        print('   It is put behind an emulated line of %d ms round trip and %d Mbit/s.'
              % (ROUND_TRIP_S * 1000, OCTETS_A_SECOND * 8 // 1_000_000))
        wire = stack.enter_context(link.Link(server.port, delay=ROUND_TRIP_S / 2, bandwidth=OCTETS_A_SECOND))
        line = stack.enter_context(tap.Tap(wire.port))
        print('4. Starting the proxy on 127.0.0.1:%d before it' % options.port, flush=True)
        proxy = Proxy(options.binary, line.port, options.port, options.cache or folder / 'cache', folder / 'log')
        stack.callback(proxy.stop)
        proxy.start()
        demonstrate(proxy, line)
        if options.once:
            return
        print(SETTINGS % (options.port, USER, PASSWORD, folder / 'log'), flush=True)
        ended.wait()


def fill(server):
    """Dovecot.fill() logs in with the password of the tests; here the user has one to type."""
    generator = mailgen.Generator(seed=7, flags=True, big=150_000)
    client = imaplib.IMAP4('127.0.0.1', server.port, timeout=60)
    client.login(USER, PASSWORD)
    for mail in generator.mails(MAILS):
        client.append('INBOX', '(%s)' % ' '.join(mail.flags), '"%s"' % mail.date, mail.octets)
    client.logout()


SETTINGS = """
Type this into a mail program (on this machine) to look at the sample mailbox through the proxy:
    IMAP server     127.0.0.1
    port            %d
    security        none
    user            %s
    password        %s
The proxy's log is %s.

Ctrl-C ends everything and removes it."""

if __name__ == '__main__':
    try:
        main()
    except KeyboardInterrupt:
        print('\nEnded.')
