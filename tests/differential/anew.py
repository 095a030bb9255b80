"""The same mailbox name with other mail: what was asked of a mailbox is asked again when it has been deleted, or renamed
away, and made anew, with other messages of the same UIDs; by the session that asked before and by another. Nothing that was
remembered of the old one may come back.

An ANEW step is a conversation of its own, of two sessions per twin on mailboxes that nobody else uses:
  rounds [{how, asks_first, mails}]: how the mailbox comes to be ('made', 'deleted', 'renamed'; by whom: a session, or None
  for somebody the subject does not see), what is put into it, and in which order the sessions ask
  asks   the same commands in every round
  also   are they asked of the one that was renamed away, too?"""
import time

from imapjudge import imapclient
from imapjudge.imapclient import Lit

from answers import Answer
from model import View
from op import Op
from rules import Mismatch

SESSIONS = 2


def _done(client, *parts):
    """Cyrus keeps what was deleted under a name with the second in it, and refuses a second one of that second."""
    deadline = time.monotonic() + 2
    while True:
        result = client.cmd(*parts)
        is_kept = parts[0].startswith('DELETE ') and result.status == 'NO' and 'already exists' in str(result.tagged)
        if not is_kept or time.monotonic() > deadline:
            return result
        time.sleep(0.1)


class Anew:
    """run() on a judge's twins; raises Mismatch."""

    def __init__(self, judge, op):
        self._judge, self._meta = judge, op.meta
        self._shown = []
        self._clients = []          # of each side
        for side in judge.sides:
            self._clients.append([side.new_client('a%d' % n) for n in range(SESSIONS)])

    def run(self):
        box, old = self._meta['boxes']
        for one in self._meta['rounds']:
            self._make(one, box, old)
            self._fill(one, box)
            for who in (one['first'], 1 - one['first'])[:1 + one['both']]:
                self._ask_all(who, box, one)
                if self._meta['also'] and one['how'] == 'renamed':
                    self._ask_all(who, old, one)
        self._both(0, 'DELETE "%s"' % box)
        self._both(0, 'DELETE "%s"' % old)
        for client in sum(self._clients, []):
            client.logout()

    def others(self):
        """The clients, for a report."""
        return sum(self._clients, []) + self._shown

    def close(self):
        for client in sum(self._clients, []):
            client.close()

    # ---- the mailbox

    def _workers(self, who):
        """A session of each side, or somebody from outside."""
        if who is None:
            return [side.outside for side in self._judge.sides]
        return [clients[who] for clients in self._clients]

    def _both(self, who, *parts):
        results = [_done(client, *parts) for client in self._workers(who)]
        if (results[0].status == 'OK') != (results[1].status == 'OK'):
            raise Mismatch('status', '%s: direct %r, subject %r' % (parts[0], results[0].tagged, results[1].tagged))
        return results[0].ok

    def _must(self, who, *parts):
        if not self._both(who, *parts):
            raise Mismatch('refused', parts[0])

    def _make(self, one, box, old):
        who = one['by']
        if one['how'] == 'made':
            self._both(who, 'DELETE "%s"' % box)        # a step that was left amid
            self._both(who, 'DELETE "%s"' % old)
        elif one['how'] == 'deleted':
            self._must(who, 'DELETE "%s"' % box)
        else:
            self._both(who, 'DELETE "%s"' % old)
            self._must(who, 'RENAME "%s" "%s"' % (box, old))
        self._must(who, 'CREATE "%s"' % box)

    def _fill(self, one, box):
        judge = self._judge
        for number, flags in one['mails']:
            mail = judge.mails[number]
            self._must(one['filled_by'], 'APPEND "%s" (%s) "%s" ' % (box, ' '.join(flags), mail.date),
                       Lit(mail.octets, not judge.names.facts.literal_plus))

    # ---- the asking

    def _select(self, who, box, may_lag):
        """Both sides; the subject's until it has heard of what was done behind its back."""
        judge = self._judge
        op = Op(who, 'SELECT', 'SELECT "%s"' % box, box=box, read_only=False)
        deadline = time.monotonic() + judge.settings.settle
        views = [View('%s a%d' % (side.name, who)) for side in judge.sides]
        answers = []
        for side, clients, view in zip(judge.sides, self._clients, views):
            right = side.outside.must('STATUS "%s" (UIDVALIDITY MESSAGES)' % box).status_items()
            while True:
                try:
                    answer = Answer(op, view, clients[who].cmd(op.text))
                    told = (answer.status, int(answer.codes.get('UIDVALIDITY') or 0), answer.exists)
                except imapclient.IMAPClosed:       # it was in the old one when that was found out
                    told = None
                    clients[who].close()
                    clients[who] = side.new_client('a%d' % who)
                if told == ('OK', right['UIDVALIDITY'], right['MESSAGES']):
                    break
                if side is judge.direct or not may_lag or time.monotonic() > deadline:
                    raise Mismatch('anew', '%s: told %s, it is %s' % (view.name, told, right))
                judge.counts['(anew again)'] += 1
                time.sleep(0.05)
            answers.append(answer)
        return views

    def _ask_all(self, who, box, one):
        views = self._select(who, box, one['by'] is None or one['filled_by'] is None)
        self._ask(Op(who, 'FETCH', 'FETCH 1:* (UID FLAGS)', items=['UID', 'FLAGS']), views)
        for ask in self._meta['asks']:
            ask = Op.of_dict(ask)
            ask.meta['box'] = box
            self._ask(ask, views, who)
        for side, clients in zip(self._judge.sides, self._clients):
            side.leave(clients[who])

    def _ask(self, op, views, who=None):
        judge = self._judge
        who = op.session if who is None else who
        results = [clients[who].cmd(*judge.parts(op, side)) for side, clients in zip(judge.sides, self._clients)]
        answers = [Answer(op, view, result) for view, result in zip(views, results)]
        try:
            judge.compare.compare(op, *answers)
        except Mismatch:
            self._show_truth(views[0].box)
            raise

    def _show_truth(self, box):
        """For the report: what each twin's upstream has."""
        for side in self._judge.sides:
            for text in ('EXAMINE "%s"' % box, 'UID FETCH 1:* (FLAGS)'):
                side.outside.cmd(text)
            self._shown.append(side.outside)
