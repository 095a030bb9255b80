"""A private Cyrus IMAP on loopback, from the private root that conf/servers unpacks. See server.py.

Names as Cyrus has them by default: "/" between levels, no prefix. An account comes to be at its first login."""
import os
import pwd

from . import imapclient, passwords, privateroot
from .server import Facts, Server, fast_folder

IMAPD_CONF = """\
configdirectory: {root}/conf
partition-default: {root}/spool
defaultpartition: default
cyrus_user: {user}
admins: admin
allowplaintext: yes
altnamespace: yes
unixhierarchysep: yes
autocreate_quota: 0
failedloginpause: 0
sasl_pwcheck_method: saslauthd
sasl_saslauthd_path: {root}/passwords
sasl_mech_list: PLAIN LOGIN
tls_server_cert: {root}/tls/server.pem
tls_server_key: {root}/tls/server.key
tls_session_timeout: 0
idlesocket: {root}/conf/socket/idle
notifysocket: {root}/conf/socket/notify
{extra}
"""
CYRUS_CONF = """\
START {{
  recover cmd="{bin}/ctl_cyrusdb -C {conf} -r"
  idled cmd="{bin}/idled -C {conf}"
}}
SERVICES {{
  imap cmd="{bin}/imapd -C {conf} -U 250" listen="127.0.0.1:{port}" prefork=4 maxchild=4000
  imaps cmd="{bin}/imapd -C {conf} -U 250 -s" listen="127.0.0.1:{tls_port}" prefork=1 maxchild=1000
}}
EVENTS {{
}}
"""


class Cyrus(Server):
    """extra: appended to imapd.conf as it is."""

    facts = Facts(name='cyrus', title='Cyrus', delimiter='/', takes_bare_lf=False)
    logs = ('stdout.log', 'syslog')

    def __init__(self, users=8, extra='', folder=None):
        super().__init__(users, folder or fast_folder())
        self._extra = extra
        self._private = privateroot.PrivateRoot('cyrus')
        self._passwords = None

    def _prepare(self):
        for name in ('conf/db', 'conf/socket', 'conf/proc', 'conf/lock', 'spool'):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        conf = self.root / 'imapd.conf'
        conf.write_text(IMAPD_CONF.format(root=self.root, user=pwd.getpwuid(self._mail_owner()[0]).pw_name,
                                          extra=self._extra))
        (self.root / 'cyrus.conf').write_text(CYRUS_CONF.format(
            bin=self._private.path / 'usr/lib/cyrus/bin', conf=conf, port=self.port, tls_port=self.tls_port))
        self._give(self.root)
        self._passwords = passwords.Saslauthd(self.root / 'passwords', self.is_password)

    def _commands(self):
        environment = self._private.environment(
            IMAPJUDGE_SYSLOG=self.root / 'syslog', SASL_PATH=self._private.library('sasl2/libplain.so').parent)
        return [([self._private.path / 'usr/lib/cyrus/bin/master', '-C', self.root / 'imapd.conf',
                  '-M', self.root / 'cyrus.conf', '-p', self.root / 'conf/master.pid', '-l', '512'], environment)]

    def stop(self, keep=False):
        super().stop(keep)
        if self._passwords is not None:
            self._passwords.close()
            self._passwords = None

    def copy_user(self, source, target):
        """The files carry names and ids of the account, so this is done over IMAP: same UIDs, keywords and dates, in
        the same order; UIDVALIDITY and modseqs are the twin's own."""
        self.remove_user_mail(target)
        with self.client(source, timeout=60) as one, self.client(target, timeout=60) as other:
            for line in one.must('LIST "" "*"').named('LIST'):
                if b'\\noselect' not in [a.lower() for a in line.data[0]]:
                    _copy_mailbox(one, other, bytes(line.data[-1]).decode('latin-1'))

    def remove_user_mail(self, user):
        with self.client('admin', self._users.setdefault('admin', 'pw'), timeout=60) as admin:
            if admin.cmd('SETACL "user/%s" admin lrswipkxtecda' % user).ok:
                admin.must('DELETE "user/%s"' % user)


def _copy_mailbox(one, other, name):
    if name.upper() != 'INBOX':
        other.must('CREATE "%s"' % name)
    selected = one.must('EXAMINE "%s"' % name)
    uidnext = int(selected.codes()['UIDNEXT'])
    mails = {}
    if selected.exists:
        mails = one.must('UID FETCH 1:* (FLAGS INTERNALDATE BODY.PEEK[])').fetch_by_uid()
    fillers = [uid for uid in range(1, uidnext) if uid not in mails]
    for uid in range(1, uidnext):
        mail = mails.get(uid, {'BODY[]': b'Subject: gone\r\n\r\n', 'FLAGS': [b'\\Deleted'], 'INTERNALDATE': None})
        flags = b' '.join(f for f in mail['FLAGS'] if f.lower() != b'\\recent').decode()
        date = bytes(mail['INTERNALDATE']).decode() if mail['INTERNALDATE'] else ''
        other.append(name, bytes(mail['BODY[]']), flags, date)
    if fillers:
        other.must('SELECT "%s"' % name)
        other.must('UID EXPUNGE ' + ','.join(map(str, fillers)))
        other.must('UNSELECT')
    one.must('UNSELECT')
