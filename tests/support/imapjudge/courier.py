"""A private Courier IMAP on loopback, from the private root that conf/servers unpacks. See server.py.

Its login program asks a socket of ours for passwords; a Maildir comes to be at the first login. Mailboxes other than
INBOX begin with "INBOX." and have "." between their levels."""
from . import passwords, privateroot
from .server import Facts, Server, fast_folder

CAPABILITY = ('IMAP4rev1 UIDPLUS CHILDREN NAMESPACE THREAD=ORDEREDSUBJECT THREAD=REFERENCES SORT QUOTA IDLE AUTH=PLAIN')
# What /etc/courier/imapd of the package sets, but for the numbers of connections and the seconds between looks in IDLE;
# changes are heard at once (private_monitor.c).
SETTINGS = {
    'IMAP_CAPABILITY': CAPABILITY, 'IMAP_CAPABILITY_TLS': CAPABILITY, 'IMAP_KEYWORDS': '1', 'IMAP_ACL': '1',
    'IMAP_IDLE_TIMEOUT': '1', 'IMAP_ENHANCEDIDLE': '1', 'IMAP_USELOCKS': '1', 'IMAP_CHECK_ALL_FOLDERS': '0',
    'IMAP_OBSOLETE_CLIENT': '0', 'IMAP_MAILBOX_SANITY_CHECK': '1', 'IMAP_UMASK': '022',
    'IMAP_TRASHFOLDERNAME': 'Trash', 'IMAP_MOVE_EXPUNGE_TO_TRASH': '0',
}


class Courier(Server):
    """settings: environment of its programs, over the above."""

    facts = Facts(name='courier', title='Courier', delimiter='.', prefix='INBOX.', literal_plus=False,
                  unselect=False, move=False, selects_with_uidnext=False, condstore=False, qresync=False, takes_fuzzy=False,
                  is_bad_no=True)

    def __init__(self, users=8, settings=None, folder=None):
        super().__init__(users, folder or fast_folder())
        self._settings = dict(SETTINGS, **(settings or {}))
        self._private = privateroot.PrivateRoot('courier')
        self._passwords = None

    def _prepare(self):
        (self.root / 'home').mkdir(exist_ok=True)
        self._give(self.root / 'home')
        pem = self.root / 'tls' / 'both.pem'
        pem.write_bytes((self.root / 'tls' / 'server.pem').read_bytes() + (self.root / 'tls' / 'server.key').read_bytes())
        self._passwords = passwords.Authdaemond(self.root / 'passwords', self.is_password, self._account_of)

    def _account_of(self, user):
        maildir = self.home(user) / 'Maildir'
        if not maildir.exists():
            for name in ('cur', 'new', 'tmp'):
                (maildir / name).mkdir(parents=True, exist_ok=True)
            self._give(self.home(user))
        uid, gid = self._mail_owner()
        return {'UID': uid, 'GID': gid, 'HOME': self.home(user), 'ADDRESS': user}

    def _commands(self):
        usr = self._private.path / 'usr'
        environment = self._private.environment(
            IMAPJUDGE_AUTHSOCKET=self.root / 'passwords', COURIERTLS=usr / 'bin/couriertls',
            TLS_CERTFILE=self.root / 'tls' / 'both.pem', TLS_VERIFYPEER='NONE', IMAP_STARTTLS='YES',
            IMAP_TLS_REQUIRED='0', **self._settings)
        login = [usr / 'lib/courier/courier/imaplogin', usr / 'bin/imapd', 'Maildir']
        listen = [usr / 'sbin/couriertcpd', '-address=127.0.0.1', '-maxprocs=4000', '-maxperip=4000', '-nodnslookup',
                  '-noidentlookup']
        return [(listen + [self.port] + login, environment),
                (listen + [self.tls_port, usr / 'bin/couriertls', '-server', '-tcpd'] + login,
                 dict(environment, IMAP_STARTTLS='NO', IMAP_TLS='1'))]

    def stop(self, keep=False):
        super().stop(keep)
        if self._passwords is not None:
            self._passwords.close()
            self._passwords = None
