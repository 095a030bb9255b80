"""Commands in flight beside each other.

pipelined(): several commands of one session in one write, changes of flags among them (RFC 3501 5.5: what depends on one
before it is done in the order given); each answer is compared by its tag.

Amid: searches of some sessions while another session, or somebody from outside, writes to their mailbox. The direct
twin does one after the other, and so tells what is right before and after; of a subject each message may be told by one or
by the other, no message otherwise, and not by the one before once the same session was told by the one after. The order of
a SORT is not looked at."""
import itertools

import queries
from answers import FREE_ITEMS, Answer
from imapjudge.imapclient import Result
from op import Op, sets_seen
from rules import Mismatch

FREE_AT_ONCE = 8        # so many messages that may be told or not are tried in every combination


def pipelined(judge, op):
    ops = [one for one in map(Op.of_dict, op.meta['ops']) if not judge.idling[one.session] and not judge.drop_unfit(one)
           and judge.direct.views[one.session].box == op.meta['box'] and len(judge.direct.views[one.session])]
    if judge.trouble is not None and any(judge.trouble.is_near(one) for one in ops):
        for one in ops:
            judge.command(one)
        return
    if not ops:
        return
    for one in ops:
        if sets_seen(one.meta.get('items', ())):
            # Courier tells \Seen in a line of its own, which might be any command's.
            one.meta['items'] = [name for name in one.meta['items'] if name != 'FLAGS']
    number = ops[0].session
    tags = [side.clients[number].start_all([judge.parts(one, side) for one in ops]) for side in judge.sides]
    answers = [_parted(ops, side.views[number], told, side.clients[number].wait_all(told))
               for side, told in zip(judge.sides, tags)]
    for side in judge.sides if any(one.meta.get('enables') for one in ops) else ():
        side.views[number].condstore = True     # what is done before it may be told after it
    changes = any('STORE' in one.verb or sets_seen(one.meta.get('items', ())) for one in ops)
    for one, direct, subject in zip(ops, *answers):
        judge.counts[one.verb] += 1
        if changes:
            direct.search_modseq = subject.search_modseq = None     # of then, and the truth is of before
        one.meta['is_one_of_stores'] = sum('STORE' in other.verb for other in ops) > 1
        judge.compared(one, [direct, subject], judge.before(number))


def _parted(ops, view, tags, results):
    """Whose answer each response is. A server may do several at once, and Dovecot tells of none that it is done before all
    are: ESEARCH names its tag, SEARCH and SORT come in the order they were asked for, and only one FETCH asks for more
    than flags."""
    untagged = [response for result in results.values() for response in result.untagged]
    verb = 'UID FETCH' if ops[-1].verb.startswith('UID') else 'FETCH'
    view.removed = []
    for response in untagged:
        view.apply(response, verb)
    parts = {tag: [] for tag in tags}
    waiting = {'SEARCH': [], 'SORT': []}
    by_tag = {response.data[0][1]: response for response in untagged if response.name == 'ESEARCH'}
    for tag, op in zip(tags, ops):
        name = op.verb.split()[-1]
        if name in waiting and results[tag].ok and tag.encode() not in by_tag:
            waiting[name].append(tag)
    for response in untagged:
        if response.name == 'ESEARCH':
            parts[response.data[0][1].decode()].append(response)
        elif response.name in waiting:
            if not waiting[response.name]:
                raise Mismatch('pipeline', '%s: %r answers nothing' % (view.name, response))
            parts[waiting[response.name].pop(0)].append(response)
        elif response.name == 'FETCH':
            for tag, op in zip(tags, ops):
                if ('STORE' in op.verb and _is_named(op, view, response)) or ('items' in op.meta and _is_of(op, response)):
                    parts[tag].append(response)
        else:
            parts[tags[-1]].append(response)
    if any(waiting.values()):
        raise Mismatch('pipeline', '%s: no answer to %s' % (view.name, waiting))
    return [Answer(op, view, Result(results[tag].tagged, parts[tag]), is_applied=True) for tag, op in zip(tags, ops)]


def _is_named(op, view, response):
    """Is it about a message of the set?"""
    is_uid = op.verb.startswith('UID')
    number = view.uid_of(response.num) if is_uid else response.num
    last = view.uids()[-1] if is_uid else len(view)
    for part in op.text.split()[2 if is_uid else 1].split(','):
        low, high = sorted(last if end == '*' else int(end) for end in (part.split(':') * 2)[:2])
        if low <= (number or 0) <= high:
            return True
    return False


def _is_of(op, response):
    return any(name in op.meta['items'] and name not in FREE_ITEMS for name, _ in response.data)


class Ask:
    """One search, and what it may be answered."""

    def __init__(self, judge, op):
        self.op = op
        self.plain = Op(op.session, op.verb, op.text, **dict(op.meta, plain=True))
        self._judge = judge
        self._sure, self._maybe = None, set()
        self._turns = []            # what was found before and after
        self._after = set()         # messages already told as they are after
        self.status = None

    def learn(self):
        """What the direct twin tells now."""
        judge, side = self._judge, self._judge.direct
        view = side.views[self.op.session]
        answer = Answer(self.plain, view, side.clients[self.op.session].cmd(*judge.parts(self.plain, side)))
        self.status = answer.status
        if answer.status == 'OK':
            told = [set(queries.Found(self.plain, answer).numbers)]
            if 'search-logic' in judge.rules.allowed and not judge.compare.is_relay:
                right = judge.compare.recheck.numbers(self.plain, view)
                told.append(told[0] if right is None else right)
            self._turns.append(told[0] if told[0] == told[-1] else None)
            self._sure = set.intersection(*told, *([] if self._sure is None else [self._sure]))
            self._maybe = self._maybe.union(*told)
        return answer

    def free(self, numbers):
        """What a write does in two steps may be seen amid them."""
        self._maybe |= numbers
        self._sure -= numbers
        self._turns = [None]

    def check(self, answer):
        told = queries.Found(self.op, answer)
        problem = self._of_esearch(told) if told.esearch is not None else self._of_numbers(set(told.numbers))
        last = len(answer.view)
        if not problem and not self.op.verb.startswith('UID') and any(n > last for n in told.named()):
            problem = 'numbers beyond %d' % last
        if problem:
            raise Mismatch('search-amid', '%r: %s; %s of subject %r' % (
                self.op, problem, 'certain %s, possible %s' % (sorted(self._sure), sorted(self._maybe)),
                answer.result.untagged))

    def _of_numbers(self, told):
        if self._sure - told:
            return 'lacks %s' % sorted(self._sure - told)
        if told - self._sure - self._maybe:
            return 'has %s' % sorted(told - self._sure - self._maybe)
        if None in self._turns:
            return None
        before, after = self._turns
        now = {n for n in before ^ after if (n in told) == (n in after)}
        back, self._after = self._after - now, self._after | now
        return 'goes back on %s' % sorted(back) if back else None

    def _of_esearch(self, told):
        """Every combination, or what is the same for all of them."""
        returns, named = self.op.meta.get('returns') or ['ALL'], told.named()
        if told.numbers is None and not named and {'MIN', 'MAX', 'ALL'} & set(returns):
            told.numbers = []
        if told.numbers is not None:
            return self._of_numbers(set(told.numbers)) or (
                None if queries.fits(self.op, told, set(told.numbers)) else 'contradicts itself')
        free, most = sorted(self._maybe - self._sure), self._sure | self._maybe
        if len(free) <= FREE_AT_ONCE:
            some = (self._sure.union(part) for n in range(len(free) + 1) for part in itertools.combinations(free, n))
            return None if any(queries.fits(self.op, told, one) for one in some) else 'fits none'
        if not len(self._sure) <= told.esearch.get('COUNT', len(most)) <= len(most):
            return 'COUNT'
        return None if named <= most else 'has %s' % sorted(named - most)


def _start(client, commands):
    """The last of them is left under way. They are not sent at once: a busy Dovecot once removed nothing by a UID EXPUNGE
    right behind the STORE that had marked its messages."""
    for parts in commands[:-1]:
        client.must(*parts)
    return client.start(*commands[-1])


class Amid:
    """run() on a judge's twins; raises Mismatch."""

    def __init__(self, judge, op):
        self._judge, self._meta = judge, op.meta
        self._write = Op.of_dict(op.meta['write'])
        self._asks = [Ask(judge, one) for one in map(Op.of_dict, op.meta['asks'])
                      if self._is_fit(one) and judge.direct.views[one.session].box == op.meta['box']]

    def _is_fit(self, op):
        judge = self._judge
        return op.session is None or not (judge.idling[op.session] or judge.drop_unfit(op) or (
            self._meta['needs_box'] and op is self._write and judge.direct.views[op.session].box != self._meta['box'])
            or (judge.trouble is not None and judge.trouble.is_near(op)))

    def run(self):
        judge = self._judge
        asks = [ask for ask in self._asks if len(judge.direct.views[ask.op.session])]
        if not asks or not self._is_fit(self._write):
            judge.counts['(dropped)'] += 1
            return
        old = {number: judge.before(number) for number in
               [ask.op.session for ask in asks] + [self._write.session] * (self._write.session is not None)}
        direct, result = self._on_direct(asks)
        subject = self._on_subject(asks, result)
        for ask in asks:
            self._answered(ask, direct[ask], subject[ask], old)
        if self._write.session is not None:
            judge.counts[self._write.verb] += 1
            judge.answered(self._write, result, old[self._write.session])
        else:
            judge.left_unsettled(self._meta['box'])

    # ---- the direct twin: one after the other

    def _on_direct(self, asks):
        judge, side = self._judge, self._judge.direct
        first = {ask: ask.learn() for ask in asks}
        touched = set(map(int, self._write.text.split(','))) if self._write.session is None and self._write.verb == 'EXPUNGE' else set()
        client, commands = self._writer(side)
        results = [client.wait(_start(client, commands))]
        self._leave(side, results)
        for ask in asks:
            judge.noop(side, ask.op.session, side.clients[ask.op.session].start('NOOP'))
            if first[ask].status == 'OK':
                ask.learn()
                ask.free(touched)
        return first, results[-1:]

    # ---- the subject: beside each other

    def _on_subject(self, asks, results):
        judge, side = self._judge, self._judge.subject
        parts = {ask: judge.parts(ask.op, side) for ask in asks}
        client, commands = self._writer(side)
        tags = {ask: [] for ask in asks}
        written = []
        for who in self._meta['order']:
            if who is None:
                written.append(_start(client, commands))
            elif who < len(asks):
                ask = asks[who]
                tags[ask].append(side.clients[ask.op.session].start(*parts[ask]))
        told = {ask: _parted([ask.op] * len(tags[ask]), side.views[ask.op.session], tags[ask],
                             side.clients[ask.op.session].wait_all(tags[ask])) for ask in asks}
        done = [client.wait(tag) for tag in written]
        self._leave(side, done)
        results += done[-1:]
        return told

    def _writer(self, side):
        """Who writes, ready to, and what: [parts of a command ...]."""
        judge, write = self._judge, self._write
        if write.session is not None:
            return side.clients[write.session], [judge.parts(write, side)]
        if write.verb != 'APPEND':
            side.outside.must('SELECT "%s"' % self._meta['box'])
        if write.verb == 'EXPUNGE':
            return side.outside, [('UID STORE %s +FLAGS.SILENT (\\Deleted)' % write.text,), ('UID EXPUNGE ' + write.text,)]
        return side.outside, [judge.parts(write, side)]

    def _leave(self, side, results):
        if self._write.session is None:
            if not all(result.ok for result in results):
                raise Mismatch('refused', repr(results))
            if self._write.verb != 'APPEND':
                side.leave(side.outside)

    # ---- what came back

    def _answered(self, ask, first, answers, old):
        judge, number = self._judge, ask.op.session
        judge.after(ask.op, judge.direct, first, old[number][0])
        for answer in answers:
            judge.counts['(amid)'] += 1
            if (answer.status == 'OK') != (first.status == 'OK'):
                raise Mismatch('status', 'direct %r, subject %r' % (first.result.tagged, answer.result.tagged))
            if answer.status == 'OK':
                ask.check(answer)
            judge.after(ask.op, judge.subject, answer, old[number][1])
