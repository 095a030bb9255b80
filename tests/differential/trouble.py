"""What a subject has to live through: its links cut between and amid commands, itself killed and started again.

Between commands nothing may be noticed: not a NO, not a BYE; after a cut amid a resync, the second in a row, a NO
[UNAVAILABLE] for a while. A command that a cut came into may be answered as if
nothing had happened; or NO [UNAVAILABLE], and then a write must not have been done, and the same command given again
must succeed; or by the end of the session (design promise 2) where it was a write whose outcome is unknown or a
literal that cannot be gone on with: then what was not done is done on the subject's own upstream, and both twins'
sessions begin anew."""
import time

from imapjudge import imapclient

import generate
from rules import Mismatch

ONCE = ('APPEND', 'COPY', 'UID COPY', 'MOVE', 'UID MOVE', 'CREATE', 'RENAME', 'DELETE')
AWAY_AFTER = 10.0       # seconds in which a subject whose links were cut by surprise may still say so
UNDECIDED = 1.0         # seconds a command may still be at work after its link is gone


class Trouble:
    """middle: the subject's Middle; program: has kill9() and start(), or None."""

    def __init__(self, middle, program=None):
        self.middle, self.program = middle, program
        self._judge = None
        self._away_until = 0

    def join(self, judge):
        self._judge = judge
        self._away_until = 0

    def check(self):
        if self.middle.unoffered:
            raise Mismatch('unoffered', self.middle.unoffered[0])

    # ---- between commands

    def make(self, op):
        """True when the sessions are to be brought to rest now."""
        if op.verb == 'KILL':
            self._kill(op)
            return True
        away = op.meta['away']
        if op.meta['soon']:
            self._away_until = time.monotonic() + AWAY_AFTER
        else:
            self._bring_back({view.box for view in self._judge.subject.views} - {None})
        (self.middle.refuse if away else self.middle.hold)(True)
        try:
            self._judge.counts['(links cut)'] += self.middle.hang_up()
            self._changes(op)
            if away:
                self._away(away)
        finally:
            (self.middle.refuse if away else self.middle.hold)(False)
        return op.meta['rest']

    def _changes(self, op):
        for change in op.meta['changes']:
            self._judge.outside(generate.Op.of_dict(change))

    def _away(self, seconds):
        """No upstream: sessions stay, and NOOP is OK."""
        time.sleep(seconds)
        self._away_until = time.monotonic() + AWAY_AFTER
        judge = self._judge
        for number, client in enumerate(judge.subject.clients):
            if not judge.idling[number]:
                result = client.cmd('NOOP')
                if not result.ok:
                    raise Mismatch('status', 'NOOP without upstream: %r' % result.tagged)
                for response in result.untagged:
                    judge.subject.views[number].apply(response, 'NOOP')

    def _kill(self, op):
        """kill -9 and a new start with the same cache; all sessions log in again."""
        judge = self._judge
        if self.program is None:
            return
        self.program.kill9()
        self._changes(op)
        self.program.start()
        boxes = [(view.box, view.read_only) for view in judge.direct.views]
        for number, (box, read_only) in enumerate(boxes):
            judge.idling[number] = False
            judge.login_again(number)
            if box is not None and op.meta['back']:
                judge.command(generate.Op(number, 'SELECT', '%s "%s"' % ('EXAMINE' if read_only else 'SELECT', box),
                                          box=box, read_only=read_only))

    # ---- amid a command

    def _is_once(self, op):
        """May it not be repeated when its outcome is unknown? EXPUNGE takes what others have marked since."""
        return op.verb in ONCE or (op.verb in ('EXPUNGE', 'CLOSE') and 'UIDPLUS' in self.middle.hidden)

    def is_near(self, op):
        # What is wrong anyhow is no place for a cut, but an APPEND to no mailbox may come while there is no upstream.
        may_be_away = op.verb not in generate.NOT_CUT or op.verb == 'INVALID'
        return 'cut' in op.meta or (time.monotonic() < self._away_until and may_be_away)

    def ask(self, op):
        """Results of both sides, or None when the subject ended the session and all is made good."""
        judge = self._judge
        cut = op.meta.get('cut')
        writes = op.verb in ONCE + ('EXPUNGE', 'UID EXPUNGE', 'CLOSE')
        before = self._shape(judge.direct) if writes else None
        if 'items' in op.meta and generate.sets_seen(op.meta['items']) and time.monotonic() < self._away_until:
            # While its upstream is away a subject gives octets it has without setting \Seen.
            view = judge.subject.views[op.session]
            if view.box is not None and not view.read_only:
                self._bring_back({view.box})
        direct = judge.direct.clients[op.session].cmd(*judge.parts(op, judge.direct))
        if cut:
            self.middle.arm(*cut)
        try:
            subject = judge.subject.clients[op.session].cmd(*judge.parts(op, judge.subject))
        except imapclient.IMAPClosed:
            subject = None
        fired = self.middle.disarm() if cut else False
        if fired:
            judge.counts['(cut amid)'] += 1
            self._away_until = time.monotonic() + AWAY_AFTER
        if subject is None or subject.named('BYE'):
            self._ended(op, fired, before)
            return None
        deadline = time.monotonic() + judge.settings.settle
        while self._is_refused(subject, direct) and (fired or time.monotonic() < self._away_until):
            judge.counts['(given again)'] += 1
            self._refused(op, subject, before)
            if time.monotonic() > deadline:
                raise Mismatch('stays-away', '%r' % subject.tagged)
            time.sleep(0.05)
            subject = judge.subject.clients[op.session].cmd(*judge.parts(op, judge.subject))
        return [direct, subject]

    @staticmethod
    def _is_refused(subject, direct):
        return subject.status == 'NO' and subject.code == 'UNAVAILABLE' and direct.code != 'UNAVAILABLE'

    def _bring_back(self, boxes):
        """Wait until the subject has its links to these mailboxes, and knows them."""
        judge = self._judge
        with judge.subject.new_client('back') as client:
            deadline = time.monotonic() + judge.settings.settle
            for box in sorted(boxes):
                while not client.cmd('EXAMINE "%s"' % box).ok:
                    if time.monotonic() > deadline:
                        raise Mismatch('stays-away', 'EXAMINE "%s"' % box)
                    time.sleep(0.05)

    def _refused(self, op, result, before):
        """NO [UNAVAILABLE]: what came with it is true, and nothing was done. Of an EXPUNGE by UID that a subject gave
        twice (design promise 2) the first may have been done: given again it does nothing more."""
        judge = self._judge
        view = judge.subject.views[op.session]
        for response in result.untagged:
            view.apply(response, op.verb)
        if before is not None:
            time.sleep(0.1)
            now = self._shape(judge.subject)
            may_be_done = op.verb in ('EXPUNGE', 'UID EXPUNGE', 'CLOSE') and not self._is_once(op)
            if now != before and not (may_be_done and now == self._shape(judge.direct)):
                raise Mismatch('refused-but-done', '%r: %s' % (result.tagged, sorted(set(now.items()) ^ set(before.items()))))

    def _ended(self, op, fired, before):
        """The session is over: allowed only where the outcome of a write is unknown, or amid a literal."""
        judge = self._judge
        judge.counts['(ended by a cut)'] += 1
        # Whatever was done, nobody told the subject: to it this is a change from outside.
        judge.unsettled.update((box, judge.step) for box in judge.names.shared)
        body = op.verb in ('FETCH', 'UID FETCH') and any('[' in n or n.startswith('RFC822') for n in op.meta['items'])
        if not fired or not (self._is_once(op) or body):
            raise Mismatch('bye', '%r ended the session' % op)
        if before is not None:
            self._make_good(op, before)
        elif body and generate.sets_seen(op.meta['items']):
            self._on_control(op)
        judge.idling[op.session] = False
        judge.login_again(op.session)

    def _make_good(self, op, before):
        judge = self._judge
        deadline = time.monotonic() + UNDECIDED
        wanted = self._shape(judge.direct)
        if wanted == before:
            return
        while time.monotonic() < deadline:
            if self._shape(judge.subject) == wanted:
                return
            time.sleep(0.05)
        self._on_control(op)
        if self._shape(judge.subject) != wanted:
            raise Mismatch('half-done', '%r: %s' % (op, sorted(
                set(self._shape(judge.subject).items()) ^ set(wanted.items()))))

    def _on_control(self, op):
        side = self._judge.subject
        view = side.views[op.session]
        if view.box is not None:
            side.outside.must('%s "%s"' % ('EXAMINE' if view.read_only else 'SELECT', view.box))
        side.outside.cmd(*self._judge.parts(op, side))
        if view.box is not None and op.verb != 'CLOSE':
            side.leave(side.outside)

    @staticmethod
    def _shape(side):
        """{mailbox: (messages, UIDNEXT)} as the upstream has it."""
        client = side.outside
        found = {}
        for line in client.must('LIST "" "*"').named('LIST'):
            if {b'\\noselect', b'\\nonexistent'} & {a.lower() for a in line.data[0]}:
                continue
            name = bytes(line.data[-1]).decode('latin-1')
            told = client.cmd('STATUS "%s" (MESSAGES UIDNEXT)' % name)
            found[name] = tuple(sorted(told.status_items().items())) if told.ok else None
        return found
