"""The password checks that Cyrus (saslauthd's protocol) and Courier (authdaemond's) ask for over a Unix socket, answered
by a function of the test: is_right(user, password) -> bool."""
import os
import socket
import struct
import threading


class PasswordSocket:
    """Listens at @path until close(); one short-lived thread per question."""

    def __init__(self, path, is_right):
        self._is_right = is_right
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        os.chmod(path, 0o777)
        self._socket.listen(128)
        self._path = path
        threading.Thread(target=self._run, daemon=True).start()

    def close(self):
        self._socket.close()
        try:
            os.unlink(self._path)
        except FileNotFoundError:
            pass

    def _run(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection):
        with connection, connection.makefile('rwb') as file:
            try:
                self._answer(file)
            except (OSError, ValueError, struct.error):
                pass            # who asked has gone, or asked nonsense

    def _answer(self, file):
        raise NotImplementedError


class Saslauthd(PasswordSocket):
    """Asked: login, password, service, realm, each with its length in two octets before it."""

    def _answer(self, file):
        words = [file.read(struct.unpack('>H', file.read(2))[0]).decode() for _ in range(4)]
        told = b'OK' if self._is_right(words[0], words[1]) else b'NO'
        file.write(struct.pack('>H', len(told)) + told)
        file.flush()


class Authdaemond(PasswordSocket):
    """Asked in lines: NAME=VALUE of the connection, then "AUTH <octets>" with service, kind, login and password, or
    "PRE . <service> <login>" for who somebody is. account_of(user) -> {name: value} of whom is let in."""

    def __init__(self, path, is_right, account_of):
        self._account_of = account_of
        super().__init__(path, is_right)

    def _answer(self, file):
        for line in iter(file.readline, b''):
            words = line.decode().split()
            if words and words[0] == 'AUTH':
                user, password = file.read(int(words[1])).decode().split('\n')[2:4]
                self._tell(file, user, self._is_right(user, password))
            elif words and words[0] == 'PRE':
                self._tell(file, words[3], True)

    def _tell(self, file, user, is_let_in):
        if is_let_in:
            lines = ['%s=%s' % item for item in self._account_of(user).items()] + ['.']
        else:
            lines = ['FAIL']
        file.write(''.join(line + '\n' for line in lines).encode())
        file.flush()
