"""What the private mail servers of the tests have in common: folder, ports, life, users, mail. One subclass per server:
dovecot.py, cyrus.py, courier.py; servers.py has them by name. Users u0..uN and any-<whatever>, all with password "pw".

A server runs as root (mail then belongs to nobody) or as an ordinary user."""
import dataclasses
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from . import certs, imapclient, ports, procs


class ServerError(Exception):
    """It is not there, did not start, or died; the text carries its log."""


@dataclasses.dataclass(frozen=True)
class Facts:
    """What a test has to know of a server before it talks to it; everything else it asks."""
    name: str                       # as in --server and IMAPCACHED_SERVER
    title: str
    delimiter: str
    prefix: str = ''                # of personal mailboxes but INBOX
    literal_plus: bool = True
    unselect: bool = True
    move: bool = True
    selects_with_uidnext: bool = True
    condstore: bool = True
    qresync: bool = True
    takes_bare_lf: bool = True
    takes_fuzzy: bool = True        # FUZZY in SEARCH, offered or not
    is_bad_no: bool = False         # says NO where RFC 9051 wants BAD

    def box(self, name):
        """The mailbox @name, its levels parted by '/', as this server calls it."""
        if name.upper() == 'INBOX':
            return name
        return self.prefix + name.replace('/', self.delimiter)


def fast_folder():
    """Where a server that makes many small files should lie: in memory, if there is room."""
    try:
        room = shutil.disk_usage('/dev/shm').free
    except OSError:
        return None
    return '/dev/shm' if room >= 1 << 30 and os.access('/dev/shm', os.W_OK) else None


class Server:
    """with Kind(users=4) as server: ...  or start()/stop().

    port: cleartext (and STARTTLS); tls_port: imaps with a certificate of ca_file for 127.0.0.1 and localhost."""

    facts = None
    logs = ('stdout.log',)

    def __init__(self, users=8, folder=None):
        self.host = '127.0.0.1'
        self.root = pathlib.Path(tempfile.mkdtemp(prefix='imapjudge-', dir=folder))
        self.port, self.tls_port = ports.free_ports(2)
        self.ca_file = self.root / 'tls' / 'ca.pem'
        self._users = {'u%d' % n: 'pw' for n in range(users)}
        self._processes = []
        self._next_user = 0

    # ---- for subclasses

    def _prepare(self):
        """Write the configuration."""
        raise NotImplementedError

    def _commands(self):
        """What to run: [(arguments, environment or None)]."""
        raise NotImplementedError

    @staticmethod
    def _mail_owner():
        if os.geteuid() == 0:
            nobody = pwd.getpwnam('nobody')
            return nobody.pw_uid, nobody.pw_gid
        return os.geteuid(), os.getegid()

    def _make_certificate(self):
        if not self.ca_file.exists():
            certs.make_ca(self.root / 'tls')
            certs.make_cert(self.root / 'tls')

    def _give(self, top):
        """@top and all below it to the owner of the mail."""
        if os.geteuid() != 0:
            return
        owner = self._mail_owner()
        os.chown(top, *owner)
        for folder, names, files in os.walk(top):
            for name in names + files:
                os.chown(os.path.join(folder, name), *owner, follow_symlinks=False)

    # ---- life

    def start(self):
        os.chmod(self.root, 0o755)
        self._make_certificate()
        self._prepare()
        for arguments, environment in self._commands():
            with open(self.root / 'stdout.log', 'ab') as log:
                self._processes.append(subprocess.Popen(
                    [str(a) for a in arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment,
                    start_new_session=True, preexec_fn=procs.die_with_parent))
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and all(p.poll() is None for p in self._processes):
            if self._answers(self.port) and self._answers(self.tls_port):
                return self
            time.sleep(0.02)
        log = self.log()
        self.stop()
        raise ServerError('%s did not come up:\n%s' % (self.facts.title, log))

    def _answers(self, port):
        try:
            socket.create_connection((self.host, port), timeout=1).close()
            return True
        except OSError:
            return False

    def stop(self, keep=False):
        """Stop it and, unless @keep, remove its folder."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            self._end_group(process.pid)
        self._processes = []
        if not keep:
            shutil.rmtree(self.root, ignore_errors=True)

    @staticmethod
    def _end_group(leader):
        """Its session's children go with it."""
        try:
            os.killpg(leader, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass

    def restart(self):
        self.stop(keep=True)
        return self.start()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def log(self, last=20):
        """The end of its logs, for failure reports."""
        out = []
        for name in self.logs:
            path = self.root / name
            if path.exists():
                out += path.read_text(errors='replace').splitlines()[-last:]
        return '\n'.join(out)

    # ---- users and mail

    def add_user(self, name, password='pw'):
        """Also changes the password of a known one; holds when this returns."""
        self._users[name] = password
        return name

    def is_password(self, name, password):
        return self._users.get(name, 'pw' if name.startswith('any-') else None) == password

    def new_user(self):
        """The next user nobody of this run has been given."""
        name = 'u%d' % self._next_user
        self._next_user += 1
        return name if name in self._users else 'any-' + name

    def box(self, name):
        return self.facts.box(name)

    def home(self, user):
        return self.root / 'home' / user

    def client(self, user=None, password='pw', tls=False, **options):
        """A client of this server; logged in when @user is given."""
        client = imapclient.IMAPClient(self.host, self.tls_port if tls else self.port,
                                       tls=self.ca_file if tls else None, **options)
        return client.login(user, password) if user else client

    def copy_user(self, source, target):
        """Make @target the identical twin of @source at file level: same UIDs, UIDVALIDITY, keywords, modseqs.
        Neither may have a session open."""
        self.remove_user_mail(target)
        shutil.copytree(self.home(source), self.home(target), symlinks=True, ignore=shutil.ignore_patterns('*.lock'))
        self._give(self.home(target))

    def remove_user_mail(self, user):
        shutil.rmtree(self.home(user), ignore_errors=True)

    def fill(self, user, mailbox, mails, create=True):
        """APPEND all @mails (bytes, or objects with .octets, .flags, .date), pipelined; UIDs 1..n in a new one."""
        with self.client(user, timeout=60) as client:
            if create and mailbox.upper() != 'INBOX':
                client.cmd('CREATE "%s"' % mailbox)
            tags = []
            for mail in mails:
                octets = getattr(mail, 'octets', mail)
                flags = ' '.join(getattr(mail, 'flags', ()))
                date = getattr(mail, 'date', '')
                head = 'APPEND "%s" %s%s' % (mailbox, '(%s) ' % flags if flags else '', '"%s" ' % date if date else '')
                tags.append(client.start(head, imapclient.Lit(octets, sync=not client.has_literal_plus)))
                if len(tags) >= 50:
                    self._settle(client, tags)
            self._settle(client, tags)

    @staticmethod
    def _settle(client, tags):
        for tag in tags:
            result = client.wait(tag)
            if not result.ok:
                raise imapclient.IMAPRefused(result)
        tags.clear()
