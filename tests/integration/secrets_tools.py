"""What the tests of secrets share: an upstream that knows several secrets of a login, tokens that expire, and says
what it was asked."""
import base64
import re
import ssl
import time

from imapjudge import fakeserver

ERROR = base64.b64encode(b'{"status":"401","schemes":"bearer","scope":"mail"}')


def plain(user, secret, authzid=''):
    return base64.b64encode(('%s\0%s\0%s' % (authzid, user, secret)).encode())


def xoauth2(user, token):
    return base64.b64encode(('user=%s\1auth=Bearer %s\1\1' % (user, token)).encode())


def oauthbearer(user, token, more='host=proxy.example\1port=143\1'):
    name = user.replace('=', '=3D').replace(',', '=2C')
    return base64.b64encode(('n,a=%s,\1%sauth=Bearer %s\1\1' % (name, more, token)).encode())


class SecretServer(fakeserver.FakeServer):
    """allow(user, secret, seconds) lets it in for so long; revoke(secret); logins: (mechanism, user, secret, was let
    in, monotonic time) of each attempt. refusal: the tagged line to what is not let in; delay: seconds before it."""

    def __init__(self, mechanisms='PLAIN XOAUTH2 OAUTHBEARER', **options):
        super().__init__(**options)
        self.mechanisms = mechanisms.split()
        self.secrets = {}
        self.logins = []
        self.refusal = 'NO [AUTHENTICATIONFAILED] not you'
        self.delay = 0

    def allow(self, user, secret, seconds=None):
        self.secrets[user, secret] = time.monotonic() + seconds if seconds else float('inf')

    def revoke(self, user, secret):
        del self.secrets[user, secret]

    def attempts(self, secret=None):
        return [entry for entry in self.logins if secret is None or entry[2] == secret]

    def shown_capabilities(self, conn):
        more = ''.join(' AUTH=' + m for m in self.mechanisms) if conn.user is None else ''
        if self._starttls is not None and not isinstance(conn.sock, ssl.SSLSocket):
            more += ' STARTTLS'
        return self.capabilities + more

    def _judge(self, conn, command, mechanism, user, secret):
        is_in = self.secrets.get((user, secret), 0) > time.monotonic()
        self.logins.append((mechanism, user, secret, is_in, time.monotonic()))
        if is_in:
            conn.user = user
            conn.ok(command, 'logged in', 'CAPABILITY ' + self.shown_capabilities(conn))
            return
        time.sleep(self.delay)
        if mechanism in ('XOAUTH2', 'OAUTHBEARER'):
            conn.send(b'+ ' + ERROR + b'\r\n')
            expected = b'' if mechanism == 'XOAUTH2' else b'AQ=='
            if conn.read_line().strip() != expected:
                self.errors.append('the error was not answered as it should be')
        conn.send(command.tag + b' ' + self.refusal.encode() + b'\r\n')

    def do_login(self, conn, command):
        user, secret = ((v if isinstance(v, bytes) else str(v).encode()).decode() for v in command.values)
        self._judge(conn, command, 'LOGIN', user, secret)

    def do_authenticate(self, conn, command):
        words = command.args.split()
        mechanism = words[0].decode().upper()
        if mechanism not in self.mechanisms:
            conn.no(command, 'mechanism')
            return
        if len(words) > 1:
            answer = words[1]
        else:
            conn.send('+ \r\n')
            answer = conn.read_line().strip()
        said = base64.b64decode(answer, validate=True)
        if mechanism == 'PLAIN':
            _, user, secret = said.split(b'\0')
        elif mechanism == 'XOAUTH2':
            user, secret = re.fullmatch(rb'user=([^\x01]+)\x01auth=Bearer ([^\x01]+)\x01\x01', said).groups()
        else:
            user, secret = re.fullmatch(rb'n,a=([^,\x01]+),\x01host=127\.0\.0\.1\x01port=%d\x01auth=Bearer ([^\x01]+)\x01\x01'
                                        % self.port, said).groups()
        self._judge(conn, command, mechanism, user.decode(), secret.decode())
