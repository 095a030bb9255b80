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

    def settle(self, truth, is_known=True):
        """True when nothing the session knows contradicts the truth; UIDs of new messages are then filled in. Not
        is_known: as many messages may be others, and nothing is filled in."""
        if len(self.messages) != len(truth.order):
            return False
        for message, uid in zip(self.messages, truth.order):
            if message.uid is not None and message.uid != uid:
                return False
            if message.flags is not None and message.flags != truth.flags[uid]:
                return False
        if is_known:
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
    """One mailbox as the upstream has it, over a control connection of its own that has it EXAMINEd, with QRESYNC on
    where the server has it (facts: see server.Facts)."""

    def __init__(self, client, box, side, facts):
        self.client, self.box, self.side = client, box, side
        self.version = 0
        self.order, self.flags, self.modseq = [], {}, {}
        self.highest = 0
        self._items = '(UID FLAGS MODSEQ)' if facts.qresync else '(UID FLAGS)'
        if facts.qresync:
            client.must('ENABLE QRESYNC')
        uidnext = client.must('STATUS "%s" (UIDNEXT)' % box).status_items()['UIDNEXT']
        result = client.must('EXAMINE "%s"' % box)
        codes = result.codes()
        self.uidvalidity = int(codes['UIDVALIDITY'])
        self.mailboxid = codes.get('MAILBOXID')
        self.uidnext = int(codes.get('UIDNEXT', uidnext))
        if facts.qresync:
            self.highest = int(codes['HIGHESTMODSEQ'])
        self._exists = result.exists
        self.load()

    def load(self):
        """Everything anew."""
        self.order, self.flags, self.modseq = [], {}, {}
        self.version += 1
        if self._exists:
            for response in self.client.must('UID FETCH 1:* ' + self._items).untagged:
                self.apply(response)

    def apply(self, response):
        if response.name == 'FETCH':
            self._take_fetch(response)
        elif response.name == 'EXISTS':
            self._exists = response.num
        elif response.name == 'EXPUNGE':
            self._exists -= 1
            if response.num <= len(self.order):
                self._forget(self.order[response.num - 1])
        elif response.name == 'VANISHED':
            for uid in wire.parse_set(response.data[-1]):
                if uid in self.flags:
                    self._exists -= 1
                    self._forget(uid)

    def _take_fetch(self, response):
        items = dict(response.data)
        uid = items.get('UID')
        if uid is None:
            if response.num > len(self.order):
                return              # a new one, to be asked for
            uid = self.order[response.num - 1]
        if uid not in self.flags:
            self.order.append(uid)
            self.uidnext = max(self.uidnext, uid + 1)
        if 'FLAGS' in items:
            self.flags[uid] = real_flags(items['FLAGS'])
        if 'MODSEQ' in items:
            self.modseq[uid] = items['MODSEQ'][0]
            self.highest = max(self.highest, items['MODSEQ'][0])
        self.version += 1

    def _forget(self, uid):
        del self.flags[uid]
        self.order.remove(uid)
        self.modseq.pop(uid, None)
        self.version += 1

    def finish(self, result):
        """Take the result of a NOOP. Returns True when there are new messages whose flags have to be asked for."""
        for response in result.untagged:
            self.apply(response)
            if response.code == 'HIGHESTMODSEQ':
                self.highest = max(self.highest, int(response.code_args))
        if result.code == 'HIGHESTMODSEQ':
            self.highest = max(self.highest, int(result.code_args))
        return self._exists > len(self.order)

    def ask_new(self):
        """Start asking for messages above the highest known; its result goes to finish()."""
        return self.client.start('UID FETCH %d:* %s' % (self.order[-1] + 1 if self.order else 1, self._items))

    def ask_highest(self):
        """HIGHESTMODSEQ as STATUS has it: an expunge raises it and need not tell."""
        told = self.client.must('STATUS "%s" (HIGHESTMODSEQ)' % self.box).status_items()
        self.highest = max(self.highest, told['HIGHESTMODSEQ'])

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
