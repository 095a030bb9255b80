"""A private Dovecot on loopback: free ports, own folder. Needs Debian's dovecot-imapd. See server.py."""
import grp
import os
import pwd
import shutil
import time

from .server import Facts, Server, ServerError

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


class Dovecot(Server):
    """mail_format: sdbox, mdbox or maildir. Under concurrent flag changes Dovecot's Maildir code now and then takes a
    renamed file for a lost one and gives the message a new UID; the other two never do. extra: appended to the configuration as it is.
    penalty: Dovecot's own slowing down of addresses with wrong logins."""

    facts = Facts(name='dovecot', title='Dovecot', delimiter='/')
    # what went wrong, then who came and went
    logs = ('stdout.log', 'dovecot.log', 'dovecot-info.log')

    def __init__(self, users=8, mail_format='sdbox', auth_failure_delay='0', penalty=False, extra='',
                 max_userip_connections=10000, folder=None):
        super().__init__(users, folder)
        self.mail_format = mail_format
        self._settings = {
            'auth_failure_delay': auth_failure_delay,
            'max_userip_connections': max_userip_connections,
            'extra': extra,
            'penalty': '' if penalty else '  unix_listener anvil-auth-penalty {\n    mode = 0\n  }\n',
        }

    def _identity(self):
        uid, gid = self._mail_owner()
        identity = {'mail_uid': uid, 'mail_gid': gid}
        if os.geteuid() == 0:
            return dict(identity, internal_user='dovecot', internal_group='dovecot', login_user='dovenull')
        me = pwd.getpwuid(os.geteuid())
        return dict(identity, internal_user=me.pw_name, internal_group=grp.getgrgid(me.pw_gid).gr_name,
                    login_user=me.pw_name)

    def _prepare(self):
        for name in ('run', 'state', 'home'):
            (self.root / name).mkdir(exist_ok=True)
        if os.geteuid() == 0:
            os.chown(self.root / 'home', *self._mail_owner())
        self._write_users()
        (self.root / 'dovecot.conf').write_text(CONFIG.format(
            root=self.root, port=self.port, tls_port=self.tls_port,
            mail_location=MAIL_LOCATIONS[self.mail_format], **self._identity(), **self._settings))

    def _write_users(self):
        path = self.root / 'users.new'
        path.write_text(''.join('%s:%s\n' % item for item in self._users.items()))
        if os.geteuid() == 0:
            os.chown(path, pwd.getpwnam('dovecot').pw_uid, -1)
        os.chmod(path, 0o600)
        path.rename(self.root / 'users')

    def _commands(self):
        program = shutil.which('dovecot') or '/usr/sbin/dovecot'
        if not os.path.exists(program):
            raise ServerError('Dovecot is not installed (package dovecot-imapd)')
        return [([program, '-F', '-c', self.root / 'dovecot.conf'], None)]

    def add_user(self, name, password='pw'):
        super().add_user(name, password)
        self._write_users()
        if self._processes:
            time.sleep(1.1)     # Dovecot looks at its file once a second
        return name
