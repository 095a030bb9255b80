"""What the tests of the ladder share: a client that believes what it is told, and looks whether that is true."""
import random
import threading

from imapjudge import wire

ALL_RUNGS = {
    'qresync': 'IMAP4rev1 SASL-IR LITERAL+ ENABLE IDLE UIDPLUS MOVE CONDSTORE QRESYNC ESEARCH',
    'qresync, no esearch': 'IMAP4rev1 SASL-IR LITERAL+ ENABLE IDLE UIDPLUS MOVE CONDSTORE QRESYNC',
    'condstore': 'IMAP4rev1 SASL-IR LITERAL+ ENABLE IDLE UIDPLUS MOVE CONDSTORE ESEARCH',
    'condstore, no esearch': 'IMAP4rev1 SASL-IR LITERAL+ ENABLE IDLE UIDPLUS MOVE CONDSTORE',
    'neither': 'IMAP4rev1 SASL-IR LITERAL+ IDLE UIDPLUS MOVE ESEARCH',
    'neither, no esearch': 'IMAP4rev1 SASL-IR LITERAL+ IDLE UIDPLUS MOVE',
}
SHORT = b'Subject: number %d\r\n\r\nbody %d\r\n'


def fill(box, number):
    return [box.add(SHORT % (n, n), {'\\Seen'} if n % 3 else ()) for n in range(box.uidnext, box.uidnext + number)]


class Held:
    """A handler that answers only when it is let go."""

    def __init__(self, before=b''):
        self.came = threading.Event()
        self.go = threading.Event()
        self.before = before

    def __call__(self, conn, command):
        self.came.set()
        assert self.go.wait(20)
        if self.before:
            conn.send(self.before)
        conn.send(conn.default(command))


class Mirror:
    """A client's picture of the selected mailbox: the number of messages, the UID and flags of those it was told.
    feed() takes every untagged response in the order it came."""

    def __init__(self):
        self.uids = []          # by number, None: not told yet
        self.flags = {}         # by UID
        self.highest = 0        # HIGHESTMODSEQ of the SELECT answer
        self.modseqs = []       # by number: the highest told since SELECT

    def selected(self, result):
        self.__init__()
        self.uids = [None] * (result.exists or 0)
        self.modseqs = [0] * len(self.uids)
        self.highest = int((result.codes().get('HIGHESTMODSEQ') or b'0').split()[0])
        return self

    def feed(self, responses):
        for response in responses:
            if response.name == 'EXISTS':
                assert response.num >= len(self.uids), 'EXISTS %d after %d' % (response.num, len(self.uids))
                self.uids += [None] * (response.num - len(self.uids))
                self.modseqs += [0] * (response.num - len(self.modseqs))
            elif response.name == 'EXPUNGE':
                assert 1 <= response.num <= len(self.uids), 'EXPUNGE %d of %d' % (response.num, len(self.uids))
                self.gone(response.num - 1)
            elif response.name == 'VANISHED':
                self.vanished(response)
            elif response.name == 'FETCH':
                self.fetched(response)
        return self

    def vanished(self, response):
        text = response.raw.split()[-1].decode()
        if b'EARLIER' in response.raw:
            return
        for uid in wire.parse_set(text):
            if uid not in self.uids:    # one whose UID was not told
                known = [i for i, u in enumerate(self.uids) if u is not None and u > uid] + [len(self.uids)]
                free = [i for i in range(known[0]) if self.uids[i] is None]
                assert free, 'VANISHED %d is of no message here' % uid
                self.gone(free[-1])
            else:
                self.gone(self.uids.index(uid))

    def gone(self, place):
        self.flags.pop(self.uids.pop(place), None)
        self.modseqs.pop(place)

    def told_modseq(self, box, uid):
        """The highest one told of the message with that UID, once this client is at rest."""
        return self.modseqs[sorted(m.uid for m in box.messages).index(uid)]

    def fetched(self, response):
        items = dict(response.data)
        assert 1 <= response.num <= len(self.uids), 'FETCH of %d of %d' % (response.num, len(self.uids))
        uid = items.get('UID', self.uids[response.num - 1])
        if 'UID' in items:
            assert self.uids[response.num - 1] in (None, uid), 'number %d is UID %s and %s' % (
                response.num, self.uids[response.num - 1], uid)
            self.uids[response.num - 1] = uid
        if 'FLAGS' in items and uid is not None:
            self.flags[uid] = {bytes(f).decode() for f in items['FLAGS']} - {'\\Recent'}
        if 'MODSEQ' in items:
            self.modseqs[response.num - 1] = max(self.modseqs[response.num - 1], int(items['MODSEQ'][0]))

    def equals(self, box):
        """None, or how it differs from a mailbox of the fake server."""
        live = {m.uid: m.flags for m in box.messages}
        if len(self.uids) != len(live):
            return '%d messages, there are %d' % (len(self.uids), len(live))
        for uid, there in zip(self.uids, sorted(live)):
            if uid is not None and uid != there:
                return 'UID %s where %s is' % (uid, there)
        for uid, flags in self.flags.items():
            if flags != set(live[uid]):
                return 'UID %d has %s here, %s there' % (uid, sorted(flags), sorted(live[uid]))
        return None


def change(box, rng):
    """Something happens at the provider."""
    kind = rng.choice(('flag', 'flag', 'add', 'expunge', 'expunge'))
    if kind == 'add' or not box.messages:
        fill(box, rng.randint(1, 3))
    elif kind == 'expunge':
        some = rng.sample(box.messages, min(len(box.messages), rng.randint(1, 4)))
        box.expunge([m.uid for m in some])
    else:
        message = rng.choice(box.messages)
        box.set_flags(message.uid, {f for f in ('\\Seen', '\\Flagged', '\\Answered', 'blue') if rng.random() < 0.4})


def rng_of(seed):
    return random.Random(seed)
