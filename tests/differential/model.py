"""What a client believes about its mailbox, by EXISTS/EXPUNGE/FETCH arithmetic alone, and the upstream's truth."""
from imapjudge import wire

from rules import Mismatch

NO_EXPUNGE = ('FETCH', 'STORE', 'SEARCH', 'SORT', 'THREAD')


def real_flags(values):
    """Flags as a set without \\Recent, system flags in one spelling."""
    out = set()
    for value in values:
        flag = str(value) if isinstance(value, int) else value.decode('latin-1')
        out.add(flag.lower() if flag.startswith('\\') else flag)
    out.discard('\\recent')
    return frozenset(out)


class Message:
    """One message as one session knows it; None: not told yet."""
    __slots__ = ('uid', 'flags')

    def __init__(self, uid=None, flags=None):
        self.uid, self.flags = uid, flags


class View:
    """A session's numbering. apply() takes every untagged response of a command and raises Mismatch on what no
    server may say."""

    def __init__(self, name):
        self.name = name
        self.box = None
        self.read_only = False
        self.condstore = self.qresync = False
        self.messages = []
        self.removed = []           # UIDs taken away during the present command
        self.changed = True         # since the last comparison with the truth
        self.settled_at = None      # (version of the truth, which truth) of that comparison

    def open(self, box, read_only):
        self.box, self.read_only = box, read_only
        self.messages = []
        self.changed = True

    def close(self):
        self.box, self.messages = None, []

    def __len__(self):
        return len(self.messages)

    def uids(self):
        return [m.uid for m in self.messages]

    def uid_of(self, number):
        if not 1 <= number <= len(self.messages):
            raise Mismatch('numbering', '%s: message %d of %d' % (self.name, number, len(self.messages)))
        return self.messages[number - 1].uid

    def forget_flags(self, uids):
        for message in self.messages:
            if message.uid in uids:
                message.flags = None

    def apply(self, response, verb):
        name = response.name
        if name == 'FETCH':
            self._fetch(response)
        elif name == 'EXISTS':
            self._exists(response.num)
        elif name == 'EXPUNGE':
            self._may_expunge(verb, response)
            if self.qresync:
                raise Mismatch('expunge-form', '%s: EXPUNGE with QRESYNC on' % self.name)
            self.removed.append(self.uid_of(response.num))
            del self.messages[response.num - 1]
            self.changed = True
        elif name == 'VANISHED':
            self._vanished(response, verb)
        elif name == 'BYE' and verb != 'LOGOUT':
            raise Mismatch('bye', '%s: %r' % (self.name, response))

    def _may_expunge(self, verb, response):
        if verb is None or verb in NO_EXPUNGE:
            raise Mismatch('expunge-forbidden', '%s: %r during %s (RFC 3501 7.4.1)' % (
                self.name, response, verb or 'no command'))

    def _exists(self, number):
        if number < len(self.messages):
            raise Mismatch('exists-shrinks', '%s: %d EXISTS, %d known' % (self.name, number, len(self.messages)))
        if number > len(self.messages):
            self.messages += [Message() for _ in range(number - len(self.messages))]
            self.changed = True

    def _fetch(self, response):
        items = dict(response.data)
        self.uid_of(response.num)
        message = self.messages[response.num - 1]
        uid = items.get('UID')
        if uid is not None:
            if message.uid is None:
                message.uid = uid
                self.changed = True
            elif message.uid != uid:
                raise Mismatch('uid', '%s: message %d has UID %d, told %d' % (
                    self.name, response.num, message.uid, uid))
        if 'FLAGS' in items:
            flags = real_flags(items['FLAGS'])
            if message.flags != flags:
                message.flags = flags
                self.changed = True

    def _vanished(self, response, verb):
        values = response.data
        earlier = isinstance(values[0], list)
        if not self.qresync:
            raise Mismatch('expunge-form', '%s: VANISHED without QRESYNC' % self.name)
        uids = set(wire.parse_set(values[-1]))
        if earlier:
            return
        self._may_expunge(verb, response)
        known = {m.uid for m in self.messages}
        self.messages = [m for m in self.messages if m.uid not in uids]
        for uid in sorted(uids - known):
            self._vanish_unnamed(uid, response)
        self.removed += sorted(uids)
        self.changed = True

    def _vanish_unnamed(self, uid, response):
        """A message counted in EXISTS whose UID this session has not been told: it stood between its neighbours."""
        place = None
        for index, message in enumerate(self.messages):
            if message.uid is None:
                place = index
            elif message.uid < uid:
                place = None
            else:
                break
        if place is None:
            raise Mismatch('vanished', '%s: %r names UID %d, never told of by EXISTS' % (self.name, response, uid))
        del self.messages[place]

    def settle(self, truth):
        """True when nothing the session knows contradicts the truth; UIDs of new messages are then filled in."""
        if len(self.messages) != len(truth.order):
            return False
        for message, uid in zip(self.messages, truth.order):
            if message.uid is not None and message.uid != uid:
                return False
            if message.flags is not None and message.flags != truth.flags[uid]:
                return False
        for message, uid in zip(self.messages, truth.order):
            message.uid = uid
        self.changed = False
        return True

    def contradictions(self, truth):
        """In words, for the report."""
        out = ['%s in %s: %d messages told, %d there' % (self.name, self.box, len(self.messages), len(truth.order))]
        live = set(truth.order)
        for number, message in enumerate(self.messages, 1):
            if message.uid is not None and message.uid not in live:
                out.append('message %d, UID %d: gone, EXPUNGE not told' % (number, message.uid))
            elif message.uid is not None and message.flags is not None and message.flags != truth.flags[message.uid]:
                out.append('message %d, UID %d: told %s, are %s' % (
                    number, message.uid, sorted(message.flags), sorted(truth.flags[message.uid])))
            elif (message.uid is not None and number <= len(truth.order) and truth.order[number - 1] != message.uid):
                out.append('message %d: UID %d told, %d is there' % (number, message.uid, truth.order[number - 1]))
        return '; '.join(out[:6])


class Truth:
    """One mailbox as the upstream has it, over a control connection that has it EXAMINEd with QRESYNC on."""

    def __init__(self, client, box, side):
        self.client, self.box, self.side = client, box, side
        self.version = 0
        self.order, self.flags, self.modseq = [], {}, {}
        result = client.must('EXAMINE "%s"' % box)
        codes = result.codes()
        self.uidvalidity = int(codes['UIDVALIDITY'])
        self.uidnext = int(codes['UIDNEXT'])
        self.highest = int(codes['HIGHESTMODSEQ'])
        self.load()

    def load(self):
        """Everything anew."""
        result = self.client.must('UID FETCH 1:* (FLAGS MODSEQ)')
        self.order, self.flags, self.modseq = [], {}, {}
        self.version += 1
        for response in result.untagged:
            self.apply(response)

    def apply(self, response):
        if response.name == 'FETCH':
            items = dict(response.data)
            uid = items['UID']
            if uid not in self.flags:
                self.order.append(uid)
                self.uidnext = max(self.uidnext, uid + 1)
            if 'FLAGS' in items:
                self.flags[uid] = real_flags(items['FLAGS'])
            if 'MODSEQ' in items:
                self.modseq[uid] = items['MODSEQ'][0]
                self.highest = max(self.highest, items['MODSEQ'][0])
            self.version += 1
        elif response.name == 'VANISHED':
            for uid in wire.parse_set(response.data[-1]):
                if self.flags.pop(uid, None) is not None:
                    self.order.remove(uid)
                    del self.modseq[uid]
            self.version += 1

    def finish(self, result):
        """Take the result of a NOOP. Returns True when there are new messages whose flags have to be asked for."""
        told = None
        for response in result.untagged:
            self.apply(response)
            if response.name == 'EXISTS':
                told = response.num
            if response.code == 'HIGHESTMODSEQ':
                self.highest = max(self.highest, int(response.code_args))
        if result.code == 'HIGHESTMODSEQ':
            self.highest = max(self.highest, int(result.code_args))
        return told is not None and told > len(self.order)

    def ask_new(self):
        """Start asking for messages above the highest known; its result goes to finish()."""
        return self.client.start('UID FETCH %d:* (FLAGS MODSEQ)' % (self.order[-1] + 1 if self.order else 1))

    def changed_since(self, modseq):
        return {uid for uid, value in self.modseq.items() if value > modseq}

    def same_as(self, other):
        return self.order == other.order and self.flags == other.flags and self.uidnext == other.uidnext

    def differences(self, other):
        mine, theirs = set(self.order), set(other.order)
        out = []
        if mine != theirs:
            out.append('UIDs only %s: %s, only %s: %s' % (self.side, sorted(mine - theirs)[:5], other.side,
                                                          sorted(theirs - mine)[:5]))
        if self.uidnext != other.uidnext:
            out.append('UIDNEXT %d and %d' % (self.uidnext, other.uidnext))
        for uid in self.order:
            if uid in other.flags and other.flags[uid] != self.flags[uid]:
                out.append('UID %d: %s has %s, %s has %s' % (uid, self.side, sorted(self.flags[uid]), other.side,
                                                             sorted(other.flags[uid])))
        return '%s: %s' % (self.box, '; '.join(out[:5]))
