"""Runs the imapcached binary under test."""
import pathlib
import re
import signal
import socket
import subprocess
import time

from . import imapclient, ports, procs

_SANITIZER = re.compile(r'ERROR: (Address|Leak|Thread)Sanitizer|WARNING: ThreadSanitizer|runtime error: ')


class ProxyError(Exception):
    """It did not come up, or is not running; the text carries its log."""


class Proxy:
    """binary --upstream imap://127.0.0.1:PORT --listen 127.0.0.1:PORT --cache DIR --log-level debug [arguments].

    port: where clients connect. The cache folder stays over restart() and kill9()."""

    def __init__(self, binary, upstream_port, folder, arguments=(), log_level='debug', wait=20.0, env=None,
                 scheme='imap'):
        self.binary = str(binary)
        self.host = '127.0.0.1'
        self.port = ports.free_port()
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.cache = self.folder / 'cache'
        self.process = None
        self.arguments = ['--upstream', '%s://127.0.0.1:%d' % (scheme, upstream_port),
                          '--listen', '127.0.0.1:%d' % self.port, '--cache', str(self.cache),
                          '--log-level', log_level] + [str(a) for a in arguments]
        self._wait = wait
        self._env = env
        self._log_path = self.folder / 'log'
        self._expected_kill = False

    def start(self):
        self._expected_kill = False
        with open(self._log_path, 'ab') as log:
            self.process = subprocess.Popen([self.binary] + self.arguments, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env=self._env, preexec_fn=procs.die_with_parent)
        deadline = time.monotonic() + self._wait
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                socket.create_connection((self.host, self.port), timeout=1).close()
                return self
            except OSError:
                time.sleep(0.02)
        problem = 'status %s' % self.process.poll() if self.process.poll() is not None else 'port does not accept'
        self.kill9()
        raise ProxyError('imapcached did not come up (%s)\n%s' % (problem, self.log()))

    def log(self, last=200):
        """The end of its standard error."""
        if not self._log_path.exists():
            return ''
        return '\n'.join(self._log_path.read_text(errors='replace').splitlines()[-last:])

    def log_text(self):
        return self._log_path.read_text(errors='replace')

    def client(self, user=None, password='pw', **options):
        client = imapclient.IMAPClient(self.host, self.port, **options)
        return client.login(user, password) if user else client

    def running(self):
        return self.process is not None and self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self, timeout=30.0):
        """SIGTERM; returns the exit status."""
        if self.running():
            self.signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise ProxyError('imapcached does not leave on SIGTERM\n' + self.log()) from None

    def kill9(self):
        """SIGKILL: no clean end."""
        if self.running():
            self.process.kill()
        self.process.wait()
        self._expected_kill = True

    def restart(self):
        """Clean stop (must end with 0) and start on the same port and cache."""
        status = self.stop()
        if status != 0:
            raise ProxyError('imapcached ended with %s\n%s' % (status, self.log()))
        return self.start()

    def end(self):
        """(exit status, sanitizer's complaint or '') after the test; 0 for one that was killed on purpose."""
        try:
            status = 0 if self._expected_kill else self.stop()
        except ProxyError as error:
            return 'none', str(error)
        found = _SANITIZER.search(self.log_text())
        return status, found.group() if found else ''

    def rss(self, peak=False):
        """Resident octets now (or at most so far)."""
        name = 'VmHWM' if peak else 'VmRSS'
        text = pathlib.Path('/proc/%d/status' % self.process.pid).read_text()
        return int(re.search(name + r':\s+(\d+) kB', text).group(1)) * 1024
