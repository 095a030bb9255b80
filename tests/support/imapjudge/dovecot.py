"""A private Dovecot on loopback: free ports, own folder, users u0..uN and any-<whatever>, all with password "pw".

Runs as root (mail then belongs to nobody) or as an ordinary user. Needs Debian's dovecot-imapd.
"""
import grp
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import tempfile
import time

from . import certs, imapclient, ports, procs

CONFIG = """\
base_dir = {root}/run
state_dir = {root}/state
log_path = {root}/dovecot.log
info_log_path = {root}/dovecot-info.log
instance_name = imapjudge
protocols = imap
listen = 127.0.0.1
default_internal_user = {internal_user}
default_internal_group = {internal_group}
default_login_user = {login_user}
default_process_limit = 4000
default_client_limit = 20000
default_vsz_limit = 0
first_valid_uid = 0
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = {auth_failure_delay}
ssl = yes
ssl_cert = <{root}/tls/server.pem
ssl_key = <{root}/tls/server.key
mail_location = {mail_location}
mail_fsync = never
mail_max_userip_connections = {max_userip_connections}
maildir_very_dirty_syncs = yes
mailbox_idle_check_interval = 1 s
mailbox_list_index = no
imap_max_line_length = 256 k
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {root}/users
}}
passdb {{
  driver = static
  username_filter = any-*
  args = password=pw
}}
userdb {{
  driver = static
  args = uid={mail_uid} gid={mail_gid} home={root}/home/%u
}}
namespace inbox {{
  inbox = yes
  separator = /
}}
service imap-login {{
  chroot =
  service_count = 0
  process_min_avail = 1
  process_limit = 2
  inet_listener imap {{
    address = 127.0.0.1
    port = {port}
  }}
  inet_listener imaps {{
    address = 127.0.0.1
    port = {tls_port}
    ssl = yes
  }}
}}
service imap {{
  process_limit = 4000
  process_min_avail = 2
  service_count = 200
}}
service anvil {{
  chroot =
{penalty}}}
service stats {{
  chroot =
}}
service ipc {{
  chroot =
}}
service auth {{
  chroot =
}}
{extra}
"""
MAIL_LOCATIONS = {
    'maildir': 'maildir:~/Maildir',
    'mdbox': 'mdbox:~/mdbox',
    'sdbox': 'sdbox:~/sdbox',
}


class DovecotError(Exception):
    """It did not start, or died; the text carries its log."""


class Dovecot:
    """with Dovecot(users=4) as server: ...  or start()/stop().

    port: cleartext (and STARTTLS); tls_port: imaps with a certificate of ca_file for 127.0.0.1 and localhost.
    mail_format: sdbox, mdbox or maildir. Under concurrent flag changes Dovecot's Maildir code now and then takes a
    renamed file for a lost one and gives the message a new UID; the other two never do. extra: appended to the configuration as it is.
    penalty: Dovecot's own slowing down of addresses with wrong logins."""

    def __init__(self, users=8, mail_format='sdbox', auth_failure_delay='0', penalty=False, extra='',
                 max_userip_connections=10000, folder=None):
        self.host = '127.0.0.1'
        self.root = pathlib.Path(tempfile.mkdtemp(prefix='imapjudge-', dir=folder))
        self.mail_format = mail_format
        self.port, self.tls_port = ports.free_ports(2)
        self.ca_file = self.root / 'tls' / 'ca.pem'
        self._users = {'u%d' % n: 'pw' for n in range(users)}
        self._settings = {
            'auth_failure_delay': auth_failure_delay,
            'max_userip_connections': max_userip_connections,
            'extra': extra,
            'penalty': '' if penalty else '  unix_listener anvil-auth-penalty {\n    mode = 0\n  }\n',
        }
        self._process = None
        self._next_user = 0

    # ---- life

    def _identity(self):
        if os.geteuid() == 0:
            nobody = pwd.getpwnam('nobody')
            return {'internal_user': 'dovecot', 'internal_group': 'dovecot', 'login_user': 'dovenull',
                    'mail_uid': nobody.pw_uid, 'mail_gid': nobody.pw_gid}
        me = pwd.getpwuid(os.geteuid())
        return {'internal_user': me.pw_name, 'internal_group': grp.getgrgid(me.pw_gid).gr_name,
                'login_user': me.pw_name, 'mail_uid': me.pw_uid, 'mail_gid': me.pw_gid}

    def _prepare(self):
        identity = self._identity()
        self._owner = (identity['mail_uid'], identity['mail_gid'])
        os.chmod(self.root, 0o755)
        for name in ('run', 'state', 'home'):
            (self.root / name).mkdir(exist_ok=True)
        os.chown(self.root / 'home', *self._owner)
        if not self.ca_file.exists():
            certs.make_ca(self.root / 'tls')
            certs.make_cert(self.root / 'tls')
        self._write_users()
        (self.root / 'dovecot.conf').write_text(CONFIG.format(
            root=self.root, port=self.port, tls_port=self.tls_port,
            mail_location=MAIL_LOCATIONS[self.mail_format], **identity, **self._settings))

    def _write_users(self):
        path = self.root / 'users.new'
        path.write_text(''.join('%s:%s\n' % item for item in self._users.items()))
        if os.geteuid() == 0:
            os.chown(path, pwd.getpwnam('dovecot').pw_uid, -1)
        os.chmod(path, 0o600)
        path.rename(self.root / 'users')

    def start(self):
        self._prepare()
        program = shutil.which('dovecot') or '/usr/sbin/dovecot'
        if not os.path.exists(program):
            raise DovecotError('Dovecot is not installed (package dovecot-imapd)')
        self._process = subprocess.Popen(
            [program, '-F', '-c', str(self.root / 'dovecot.conf')], stdin=subprocess.DEVNULL,
            stdout=open(self.root / 'stdout.log', 'wb'), stderr=subprocess.STDOUT, start_new_session=True,
            preexec_fn=procs.die_with_parent)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection((self.host, self.port), timeout=1).close()
                return self
            except OSError:
                time.sleep(0.02)
        log = self.log()
        self.stop()
        raise DovecotError('Dovecot did not come up:\n' + log)

    def stop(self, keep=False):
        """Stop it and, unless @keep, remove its folder."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        if not keep:
            shutil.rmtree(self.root, ignore_errors=True)

    def restart(self):
        self.stop(keep=True)
        return self.start()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def log(self, last=20):
        """The end of its logs, for failure reports: what went wrong, then who came and went."""
        out = []
        for name in ('stdout.log', 'dovecot.log', 'dovecot-info.log'):
            path = self.root / name
            if path.exists():
                out += path.read_text(errors='replace').splitlines()[-last:]
        return '\n'.join(out)

    # ---- users and mail

    def add_user(self, name, password='pw'):
        """Also changes the password of a known one. Dovecot looks at its file once a second: this waits for it."""
        self._users[name] = password
        self._write_users()
        if self._process is not None:
            time.sleep(1.1)
        return name

    def new_user(self):
        """The next user nobody of this run has been given."""
        name = 'u%d' % self._next_user
        self._next_user += 1
        return name if name in self._users else 'any-' + name

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

    def _give(self, top):
        if os.geteuid() != 0:
            return
        os.chown(top, *self._owner)
        for folder, names, files in os.walk(top):
            for name in names + files:
                os.chown(os.path.join(folder, name), *self._owner, follow_symlinks=False)

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
                tags.append(client.start(head, imapclient.Lit(octets, sync=False)))
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
