"""Many idling sessions in one thread, which count what they are told; and processor time of a server's processes."""
import pathlib
import selectors
import time

from imapjudge import imapclient


class Idlers:
    """@number sessions of @user that idle in INBOX. octets, lines: what they have been told since."""

    def __init__(self, port, user, number):
        self.octets = self.lines = 0
        self.selector = selectors.DefaultSelector()
        self.clients = []
        for _ in range(number):
            client = imapclient.IMAPClient('127.0.0.1', port, timeout=60, keep=1).login(user)
            client.select()
            client.idle()
            client.sock.setblocking(False)
            self.selector.register(client.sock, selectors.EVENT_READ)
            self.clients.append(client)
        self._drain(1.5)        # what was under way
        self.octets = self.lines = 0

    def _drain(self, seconds, enough=None):
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0 and (enough is None or self.lines < enough):
            for key, _ in self.selector.select(left):
                data = key.fileobj.recv(1 << 20)
                assert data, 'a session was ended'
                self.octets += len(data)
                self.lines += data.count(b' FETCH (')

    def until_told(self, lines, seconds=60):
        """Until they have been told so many FETCH lines in all."""
        self._drain(seconds, lines)
        assert self.lines >= lines, '%d of %d lines were told' % (self.lines, lines)

    def close(self):
        self.selector.close()
        for client in self.clients:
            client.close()


def _on_processor(pid):
    """Seconds, of all its threads."""
    return sum(int(path.read_text().split()[0]) for path in pathlib.Path('/proc/%d/task' % pid).glob('*/schedstat')) / 1e9


def processor_seconds(top):
    """Of that process and all below it that are there now."""
    parents = {}
    for path in pathlib.Path('/proc').glob('[0-9]*/stat'):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rpartition(')')[2].split()[1])
        except OSError:
            continue        # it has ended meanwhile
    total = 0.0
    for pid in parents:
        above = pid
        while above not in (0, top):
            above = parents.get(above, 0)
        try:
            total += _on_processor(pid) if above == top else 0
        except OSError:
            continue
    return total
