"""The differential judge: one seeded conversation on two twins, a barrier after every command.

direct and subject are two IMAP servers (host, port, user); control connections go to the upstream itself, for each
twin's user: they tell the truth the sessions are compared with, and make the changes from outside.
"""
import collections
import hashlib
import select
import time

from imapjudge import imapclient, wire
from imapjudge.imapclient import Lit

import anew
import flights
import generate
import queries
from answers import Answer, Comparer
from model import Truth, View
from recheck import Recheck
from rules import Mismatch, Rules

POINTS_MAX = 10


class World:
    """What the generator may know: only what is the same on both twins."""

    def __init__(self, views, truths, points, idling, capabilities, offered):
        self.views, self._truths, self.points = views, truths, points
        self.idling, self.capabilities = idling, capabilities
        self.offered = offered      # by the subject, capabilities of the direct side or not

    def size(self, box):
        return len(self._truths[box].order)

    def order(self, box):
        return self._truths[box].order


class Side:
    """One twin: its sessions, its views, its truth."""

    def __init__(self, name, address, control, user, password, sessions, timeout, names):
        self.names = names
        self.name, self.address, self.user, self.password = name, address, user, password
        self.timeout = timeout
        self.control_address = control
        self.clients = []
        self.views = [View('%s s%d' % (name, n)) for n in range(sessions)]
        for number in range(sessions):
            self.clients.append(self.login(number))
        self.truths = {}
        self.outside = self.control('outside')
        for box in names.shared:
            self.truths[box] = Truth(self.control('truth-' + box), box, name, names.facts)

    def login(self, number):
        return self.new_client('s%d' % number)

    def new_client(self, name):
        client = imapclient.IMAPClient(*self.address, timeout=self.timeout, name='%s %s' % (self.name, name), keep=200)
        return client.login(self.user, self.password)

    def control(self, name):
        client = imapclient.IMAPClient(*self.control_address, timeout=self.timeout, name='%s %s' % (self.name, name),
                                       keep=100)
        return client.login(self.user, self.password)

    def leave(self, client):
        """Nothing selected any more, nothing expunged. CLOSE of a mailbox opened by EXAMINE removes nothing."""
        if self.names.facts.unselect:
            client.must('UNSELECT')
        else:
            client.must('EXAMINE INBOX')
            client.must('CLOSE')

    def close(self):
        for client in self.clients + [t.client for t in self.truths.values()] + [self.outside]:
            client.close()


class Settings:
    """What a run may be told; see run.py for the words."""

    def __init__(self, **values):
        self.seed = 1
        self.commands = 1000
        self.sessions = 5
        self.weights = {}
        self.settle = 10.0
        self.timeout = 30.0
        self.full_every = 100
        self.cut_in = 0             # share of commands that a cut comes into
        self.hidden = ()            # capabilities the subject's upstream seems not to have
        self.names = generate.Names()
        self.ops = None             # replay these instead of generating
        for name, value in values.items():
            if not hasattr(self, name):
                raise TypeError(name)
            setattr(self, name, value)


class Judge:
    """run() to the end or to a Mismatch; then .step, .ops, .rules.used, report()."""

    def __init__(self, settings, direct, subject, mails, rules=None, trouble=None):
        """direct, subject: dicts address, control, user, password. trouble: see trouble.py."""
        self.settings = settings
        self.names = settings.names
        self.rules = rules or Rules(server=self.names.facts.name)
        self.compare = Comparer(self.rules)
        self.mails = mails
        self.step = 0
        self.ops = []
        self.counts = collections.Counter()
        self.direct, self.subject = (
            Side(name, sessions=settings.sessions, timeout=settings.timeout, names=self.names, **side)
            for name, side in (('direct', direct), ('subject', subject)))
        self.sides = (self.direct, self.subject)
        if 'UIDPLUS' in settings.hidden:
            self.compare.hidden_codes = ('APPENDUID', 'COPYUID')
        self.trouble = trouble
        if trouble is not None:
            trouble.join(self)
        self.idling = [False] * settings.sessions
        self.points = collections.defaultdict(list)
        self.unsettled = {}         # changed from outside: box -> when; until the subject was seen to know
        self.troubled = set()       # ever
        self.others = []            # clients of a step's own: it is gone through, or is where it failed
        self._modseqs = []
        offered = [side.clients[0].capability() for side in self.sides]
        self.world = World(self.direct.views, self.direct.truths, self.points, self.idling, offered[0] & offered[1],
                           offered[1])
        self._queries = queries.Queries(self, offered[0])
        self.compare.recheck = Recheck(self.direct, self._queries)
        self.generator = generate.Generator(settings.seed, mails, settings.weights, settings.cut_in,
                                            self.names, self.rules.avoided)

    def close(self):
        for side in self.sides:
            side.close()

    # ---- the run

    def run(self):
        try:
            self.barrier()
            while self.step < self.settings.commands:
                op = self._next()
                if op is None:
                    break
                self.step += 1
                self.ops.append(op)
                self._one(op)
                if self.trouble is not None:
                    self.trouble.check()
                if self.step % self.settings.full_every == 0:
                    self.full_check()
            self.finish()
        except imapclient.IMAPTimeout as error:
            raise Mismatch('timeout', str(error)) from None
        except (imapclient.IMAPClosed, OSError) as error:
            raise Mismatch('closed', str(error)) from None
        except imapclient.IMAPRefused as error:
            raise Mismatch('refused', str(error)) from None
        except wire.ParseError as error:
            raise Mismatch('unparsable', str(error)) from None

    def _next(self):
        if self.settings.ops is None:
            return self.generator.next(self.world)
        return self.settings.ops[self.step] if self.step < len(self.settings.ops) else None

    def _one(self, op):
        self.counts[op.verb] += 1
        self._listen()
        self._modseqs, self.others = [], []
        if op.verb in ('CUT', 'KILL'):
            if self.trouble is None or not self.trouble.make(op):
                return
        elif op.verb == 'TOGETHER':
            self._together([generate.Op.of_dict(one) for one in op.meta['ops']])
        elif op.verb == 'ANEW':
            self._anew(op)
        elif op.verb == 'PIPELINE':
            flights.pipelined(self, op)
        elif op.verb == 'AMID':
            flights.Amid(self, op).run()
        elif op.session is None:
            self.outside(op)
        elif op.verb == 'IDLE':
            self._idle(op)
        elif not self.idling[op.session] or op.verb == 'DONE':
            self.command(op)
        self.barrier()
        self._check_modseqs()
        if self.step % 7 == 0:
            self._point(self.names.shared[self.step // 7 % len(self.names.shared)])

    def _listen(self):
        """What came while no command was in progress: no EXPUNGE among it."""
        clients = {}
        for side in self.sides:
            for number, client in enumerate(side.clients):
                if not self.idling[number]:
                    clients[client.sock] = (client, side.views[number])
        for sock in select.select(list(clients), [], [], 0)[0]:
            client, view = clients[sock]
            got = client.pending()
            for response in got:
                if response.kind != 'untagged':
                    raise Mismatch('unasked', '%s: %r without a command' % (view.name, response))
                view.apply(response, None)
            if not got:
                client.read_response(0.2)

    # ---- commands

    def _text(self, op, side):
        text = op.meta['direct'] if 'direct' in op.meta and side is self.direct else op.text
        if 'point' in op.meta:
            text = text.replace('{modseq}', str(self.point(op)[side.name]))
            text = text.replace('{uidvalidity}', str(side.truths[op.meta['box']].uidvalidity))
        return text

    def point(self, op):
        points = self.points[op.meta['box']]
        return points[op.meta['point'] % len(points)]

    def parts(self, op, side):
        if 'pieces' in op.meta:
            return self._queries.parts(op, side)
        text = self._text(op, side)
        if 'mail' in op.meta:
            parts = [text, Lit(self.mails[op.meta['mail']].octets,
                               op.meta.get('sync', not self.names.facts.literal_plus))]
            for before, number, sync in op.meta.get('more', ()):
                parts += [' ' + before, Lit(self.mails[number].octets, sync)]
            return tuple(parts)
        return (text,)

    def drop_unfit(self, op):
        """A replay without some commands, or twins whose modseqs went different ways, make some commands moot."""
        if op.verb == 'DONE':
            return not self.idling[op.session]
        view = self.direct.views[op.session]
        if op.meta.get('if_any') and not len(view):
            return True
        if 'point' not in op.meta:
            return False
        points = self.points[op.meta['box']]
        if not points or not (op.meta.get('enables') or (view.qresync if op.meta.get('qresync') else view.condstore)):
            return True
        point = self.point(op)
        changed = [s.truths[op.meta['box']].changed_since(point[s.name]) for s in self.sides]
        return changed[0] != changed[1]

    def command(self, op):
        if self.drop_unfit(op):
            self.counts['(dropped)'] += 1
            return
        number = op.session
        before = self.before(number)
        if op.verb == 'DONE':
            if op.meta.get('watch'):
                self._watch(number)
            results = [side.clients[number].done() for side in self.sides]
            self.idling[number] = False
        else:
            results = self._ask(op)
            if results is None:
                return
        self.answered(op, results, before)

    def before(self, number):
        return [(s.views[number].box, s.views[number].read_only, s.views[number].messages) for s in self.sides]

    def _together(self, ops):
        """Commands of several sessions that change nothing, all sent before any is answered."""
        ops = [op for op in ops if self.direct.views[op.session].box == op.meta['box'] and len(self.direct.views[op.session])
               and not self.idling[op.session] and not self.drop_unfit(op)]
        if self.trouble is not None and any(self.trouble.is_near(op) for op in ops):
            for op in ops:
                self.command(op)
            return
        before = [self.before(op.session) for op in ops]
        tags = [[side.clients[op.session].start(*self.parts(op, side)) for op in ops] for side in self.sides]
        results = [[side.clients[op.session].wait(tag) for op, tag in zip(ops, told)] for side, told in zip(self.sides, tags)]
        for op, old, direct, subject in zip(ops, before, *results):
            self.counts[op.verb] += 1
            self.answered(op, [direct, subject], old)

    def _anew(self, op):
        if self.trouble is not None and self.trouble.is_near(op):
            return
        work = anew.Anew(self, op)
        try:
            work.run()
        finally:
            self.others = work.others()
            work.close()

    def answered(self, op, results, before):
        self.compared(op, [Answer(op, side.views[op.session], result) for side, result in zip(self.sides, results)], before)

    def compared(self, op, answers, before):
        number = op.session
        direct, subject = answers
        if op.verb == 'STATUS':
            subject = self._status(op, direct, subject)
        try:
            self.compare.compare(op, direct, subject)
        except Mismatch as mismatch:
            if mismatch.kind != 'list' or not self._own_list(op, subject):
                raise
            self.rules.differ('own-list')
        if op.verb in queries.VERBS:
            self._same_modseqs(op, direct, subject)
        if op.verb in ('SEARCH', 'UID SEARCH') and direct.status == 'OK' and not self.compare.is_relay:
            self._save_again(op)
        for side, answer, old in zip(self.sides, answers, before):
            self.after(op, side, answer, old)
        if op.verb == 'SELECT' and direct.status == 'OK':
            self._selected(op, direct, subject)
        if op.verb == 'LOGOUT':
            self.login_again(number)

    def _same_modseqs(self, op, direct, subject):
        """Where the direct answer tells the highest modseq of what was found, so does the subject's, of its own."""
        box = op.meta.get('box')
        if subject.search_modseq is None or box in self.unsettled:
            return
        right, own = (queries.modseqs(op, answer, direct, side.truths[box])
                      for side, answer in zip(self.sides, (direct, subject)))
        if direct.search_modseq in right | {None} and own and subject.search_modseq not in own:
            raise Mismatch('search-modseq', '%s: told %d, should be of %s' % (box, subject.search_modseq, sorted(own)))

    def _save_again(self, op):
        """Where the direct answer may lack matches (search-logic) $ stands for too few messages: it is set right."""
        view = self.direct.views[op.session]
        uids = self.compare.recheck.saved(op, view) if self.compare.recheck is not None else None
        if uids is not None:
            what = 'UID ' + ','.join(map(str, sorted(uids))) if uids else 'NOT ALL'
            for response in self.direct.clients[op.session].must('UID SEARCH RETURN (SAVE) ' + what).untagged:
                view.apply(response, 'UID SEARCH')

    def _ask(self, op):
        """The results of both sides; None when the subject's links were cut and there is nothing to compare."""
        number = op.session
        if self.trouble is not None and self.trouble.is_near(op):
            return self.trouble.ask(op)
        tags = [side.clients[number].start(*self.parts(op, side)) for side in self.sides]
        return [side.clients[number].wait(tag) for side, tag in zip(self.sides, tags)]

    def after(self, op, side, answer, before):
        """What the command did to the session."""
        view = side.views[op.session]
        verb = op.verb
        if verb == 'SELECT':
            if answer.status == 'NO':
                view.close()
            elif answer.status == 'BAD':
                view.box, view.read_only, view.messages = before
        elif answer.status == 'OK' and verb in ('CLOSE', 'UNSELECT', 'LOGOUT'):
            view.close()
        elif answer.status == 'OK' and verb == 'ENABLE':
            view.condstore = True
            view.qresync = view.qresync or op.meta['name'] == 'QRESYNC'
        elif op.meta.get('enables'):
            view.condstore = True       # also when it is refused in the end
        elif verb in ('STORE', 'UID STORE') and op.meta.get('silent'):
            # The client knows what it did to the flags only if nobody else did; ours asks again.
            view.forget_flags(set(view.uids()))
        self._own_numbers(op, side, answer, view)
        if 'HEADER.FIELDS' in op.text and side is self.subject:
            self._labels(op, answer)

    def _labels(self, op, answer):
        """Counts labels that are not the client's own letters; that they name the same list was compared."""
        asked = op.text.replace('.PEEK', '').encode()
        for response in answer.result.named('FETCH'):
            start = response.raw.find(b'HEADER.FIELDS')
            label = response.raw[start:response.raw.find(b')', start) + 1] if start >= 0 else b''
            if label not in asked:
                self.rules.differ('label-case')

    def _own_numbers(self, op, side, answer, view):
        """Numbers of each twin's own: UIDVALIDITY in codes, modseqs."""
        for code in ('APPENDUID', 'COPYUID'):
            if code in answer.codes:
                box = op.meta.get('box') or op.text.rsplit('"', 2)[-2]
                truth = side.truths.get(box)
                if truth is not None and int(answer.codes[code].split()[0]) != truth.uidvalidity:
                    raise Mismatch('uidvalidity', '%s: [%s %s], it is %d' % (
                        side.name, code, answer.codes[code].decode(), truth.uidvalidity))
        if view.box is None:
            return
        if 'HIGHESTMODSEQ' in answer.codes:
            self._modseqs.append((side, view.box, None, int(answer.codes['HIGHESTMODSEQ'])))
        if answer.search_modseq is not None:
            self._modseqs.append((side, view.box, None, answer.search_modseq))
        for uid, told in answer.fetched.items():
            if 'MODSEQ' in told.items:
                if not view.condstore:
                    raise Mismatch('fetch-unasked', '%s: MODSEQ without CONDSTORE' % side.name)
                self._modseqs.append((side, view.box, uid, told.items['MODSEQ'][0]))

    def _check_modseqs(self):
        """After the barrier: no modseq beyond the upstream's, and per message the one it has."""
        for side, box, uid, modseq in self._modseqs:
            truth = side.truths[box]
            if uid is None and modseq > truth.highest:
                truth.ask_highest()
            if uid is None and modseq > truth.highest:
                raise Mismatch('highestmodseq-too-high', '%s %s: told %d, is %d' % (
                    side.name, box, modseq, truth.highest))
            if uid in truth.modseq and modseq > truth.modseq[uid]:
                raise Mismatch('modseq', '%s %s UID %s: told %d, is %d' % (
                    side.name, box, uid, modseq, truth.modseq[uid]))

    def _selected(self, op, direct, subject):
        box = op.meta['box']
        for side, answer in zip(self.sides, (direct, subject)):
            truth = side.truths[box]
            missing = {'UIDVALIDITY', 'UIDNEXT', 'PERMANENTFLAGS'} - set(answer.codes)
            if not self.names.facts.selects_with_uidnext:
                missing.discard('UIDNEXT')
            if missing or answer.exists is None or answer.line('FLAGS') is None:
                raise Mismatch('select', '%s: %s missing' % (side.name, sorted(missing) or 'EXISTS or FLAGS'))
            if int(answer.codes['UIDVALIDITY']) != truth.uidvalidity:
                raise Mismatch('uidvalidity', '%s: SELECT tells %s, it is %d' % (
                    side.name, answer.codes['UIDVALIDITY'].decode(), truth.uidvalidity))
            if answer.codes.get('MAILBOXID', truth.mailboxid) != truth.mailboxid:
                raise Mismatch('mailboxid', '%s: SELECT tells %s, it is %s' % (
                    side.name, answer.codes['MAILBOXID'], truth.mailboxid))
            told = (answer.exists, int(answer.codes.get('UIDNEXT', truth.uidnext)))
            if told != (len(truth.order), truth.uidnext):
                if box not in self.unsettled and not (box in self.troubled and self._is_hidden(told, truth)):
                    raise Mismatch('select', '%s: SELECT tells EXISTS %d UIDNEXT %d, truth is %d and %d' % (
                        (side.name,) + told + (len(truth.order), truth.uidnext)))
                self.rules.differ('update-timing')
        for one, other, what in ((direct.codes['PERMANENTFLAGS'], subject.codes['PERMANENTFLAGS'], 'PERMANENTFLAGS'),
                                 (_flag_line(direct), _flag_line(subject), 'FLAGS')):
            one, other = (set(v.strip(b'()').lower().split()) for v in (one, other))
            if one == other or box in self.unsettled:
                continue
            used = {f.lower().encode() for flags in self.subject.truths[box].flags.values() for f in flags}
            if any(f.startswith(b'\\') for f in one ^ other) or (used - other) & one:
                raise Mismatch('select', '%s: only direct %s, only subject %s' % (what, one - other, other - one))
            self.rules.differ('keyword-list')
        if op.meta.get('qresync'):
            self._resynced(op, direct, subject)

    @staticmethod
    def _is_hidden(told, truth):
        """Are there as many messages, and UIDNEXT that of before one that came and went again from outside?"""
        return told[0] == len(truth.order) and (truth.order or [0])[-1] < told[1] < truth.uidnext

    def _own_list(self, op, subject):
        """True when the subject's list is the one its own upstream gives: Dovecot leaves traces of deleted mailboxes
        that depend on timing."""
        def lines(responses):
            return sorted((tuple(sorted(bytes(a).lower() for a in r.data[0])), str(r.data[-1])) for r in responses)
        return lines([r for r in subject.lines if r.name == op.verb]) == lines(self.subject.outside.must(op.text).named(op.verb))

    def _resynced(self, op, direct, subject):
        box = op.meta['box']
        point = self.point(op)
        for side, answer in zip(self.sides, (direct, subject)):
            truth = side.truths[box]
            # RFC 7162 3.2.5.1: with a list of known UIDs the server tells only of those.
            known = op.meta.get('known') or truth.uidnext
            gone = {uid for uid in point['uids'] - set(truth.order) if uid <= known}
            if answer.vanished_earlier & set(truth.order):
                raise Mismatch('vanished', '%s: VANISHED (EARLIER) names live UIDs %s' % (
                    side.name, sorted(answer.vanished_earlier & set(truth.order))))
            if gone - answer.vanished_earlier and box not in self.unsettled:
                raise Mismatch('vanished', '%s: VANISHED (EARLIER) lacks %s' % (
                    side.name, sorted(gone - answer.vanished_earlier)))
            unsaid = {u for u in truth.changed_since(point[side.name]) if u <= known} - set(answer.fetched)
            if unsaid and box not in self.unsettled:
                raise Mismatch('resync', '%s: changed UIDs %s not told' % (side.name, sorted(unsaid)))

    def _status(self, op, direct, subject):
        """The subject's answer; asked again while a change from outside may still be on its way."""
        deadline = time.monotonic() + self.settings.settle
        while True:
            problem = self._status_problem(op, direct, subject)
            if problem is None:
                return subject
            if op.meta['box'] not in self.unsettled or time.monotonic() > deadline:
                raise Mismatch('status-items', problem)
            self.rules.differ('update-timing')
            time.sleep(0.05)
            view = self.subject.views[op.session]
            subject = Answer(op, view, self.subject.clients[op.session].cmd(op.text))

    def _status_problem(self, op, direct, subject):
        if direct.status != 'OK' or subject.status != 'OK':
            return None
        told = []
        for answer in (direct, subject):
            line = answer.line('STATUS')
            if line is None:
                raise Mismatch('status-items', 'no STATUS line: %r' % answer.result)
            values = line.data[-1]
            told.append({bytes(values[i]).decode().upper(): values[i + 1] for i in range(0, len(values), 2)})
        one, other = told
        if set(one) != set(other):
            return 'items: direct %s, subject %s' % (one, other)
        for item in one:
            if item == 'RECENT':
                if one[item] != other[item]:
                    self.rules.differ('recent')
            elif item == 'UIDVALIDITY':
                truth = self.subject.truths.get(op.meta['box'])
                if truth is not None and other[item] != truth.uidvalidity:
                    return 'UIDVALIDITY %s, it is %d' % (other[item], truth.uidvalidity)
            elif one[item] != other[item]:
                return '%s: direct %s, subject %s' % (item, one[item], other[item])
        return None

    def login_again(self, number):
        for side in self.sides:
            side.clients[number].close()
            old = side.clients[number].transcript
            side.clients[number] = side.login(number)
            side.clients[number].transcript.extendleft(reversed(old))
            view = side.views[number]
            view.close()
            view.condstore = view.qresync = False

    def _idle(self, op):
        if self.idling[op.session]:
            return
        for side in self.sides:
            side.clients[op.session].idle()
        self.idling[op.session] = True

    def _watch(self, number):
        """A session in IDLE hears of all that happened without a command of its own, where the direct one does."""
        if 'IDLE' in self.settings.hidden:
            return                  # the subject is not told either
        for side in self.sides:
            client, view = side.clients[number], side.views[number]
            if view.box is None:
                return
            deadline = time.monotonic() + self.settings.settle
            while not self._settled(side, number):
                try:
                    got = client.idle_wait(len, max(0.01, deadline - time.monotonic()))
                except imapclient.IMAPTimeout:
                    if side is self.direct:
                        return
                    raise Mismatch('idle-push', view.contradictions(side.truths[view.box])) from None
                for response in got:
                    view.apply(response, 'IDLE')

    # ---- from outside

    def outside(self, op):
        box = op.meta['box']
        for side in self.sides:
            client = side.outside
            if op.verb == 'APPEND':
                client.must(*self.parts(op, side))
                continue
            client.must('SELECT "%s"' % box)
            if op.verb == 'STORE':
                client.must(op.text)
            else:
                client.must('UID STORE %s +FLAGS.SILENT (\\Deleted)' % op.text)
                client.must('UID EXPUNGE %s' % op.text)
            side.leave(client)
        self.left_unsettled(box)

    def left_unsettled(self, box):
        self.unsettled[box] = self.step
        self.troubled.add(box)

    # ---- the barrier

    def barrier(self):
        """Truths equal on both twins, and every session that does not idle brought to it by NOOP."""
        truths = [(side, truth) for side in self.sides for truth in side.truths.values()]
        asked = [(truth, truth.client.start('NOOP')) for _, truth in truths]
        sessions = [(side, number) for side in self.sides for number in range(len(side.clients))
                    if not self.idling[number] and side.views[number].box is not None]
        told = [(side, number, side.clients[number].start('NOOP')) for side, number in sessions]
        again = [(truth, truth.ask_new()) for truth, tag in asked if truth.finish(truth.client.wait(tag))]
        for truth, tag in again:
            truth.finish(truth.client.wait(tag))
        for side, number, tag in told:
            self.noop(side, number, tag)
        deadline = time.monotonic() + self.settings.settle
        self._same_truths(deadline)
        late = [s for s in sessions if not self._settled(*s)]
        while late:
            if time.monotonic() > deadline:
                side, number = late[0]
                view = side.views[number]
                raise Mismatch('not-settled', view.contradictions(side.truths[view.box]))
            time.sleep(0.01)
            self.counts['(NOOP again)'] += 1
            told = [(side, number, side.clients[number].start('NOOP')) for side, number in late]
            for side, number, tag in told:
                self.noop(side, number, tag)
            late = [s for s in late if not self._settled(*s)]
        outside = [number for side, number in sessions if side is self.subject and side.views[number].box in self.unsettled]
        for number in outside:
            self._settle_outside(number, deadline)
        for box in {self.subject.views[number].box for number in outside}:
            del self.unsettled[box]

    def _settle_outside(self, number, deadline):
        """A change from outside has reached the mailbox when all its flags are seen to be the truth's."""
        client, view = self.subject.clients[number], self.subject.views[number]
        truth = self.subject.truths[view.box]
        while truth.order:
            result = client.cmd('UID FETCH 1:* (FLAGS)')
            if not result.ok and (self.trouble is None or result.code != 'UNAVAILABLE'):
                raise Mismatch('status', '%s: %r' % (view.name, result.tagged))
            for response in result.untagged:
                view.apply(response, 'UID FETCH')
            if view.settle(truth):
                return
            if time.monotonic() > deadline:
                raise Mismatch('not-settled', view.contradictions(truth))
            self.counts['(outside again)'] += 1
            time.sleep(0.02)
            self.noop(self.subject, number, client.start('NOOP'))

    def noop(self, side, number, tag):
        result = side.clients[number].wait(tag)
        if not result.ok:
            raise Mismatch('status', '%s: NOOP answered %r' % (side.views[number].name, result.tagged))
        view = side.views[number]
        for response in result.untagged:
            view.apply(response, 'NOOP')

    def _settled(self, side, number):
        view = side.views[number]
        truth = side.truths[view.box]
        mark = (truth.version, id(truth))
        if not view.changed and view.settled_at == mark:
            return True
        if side is self.subject and view.box in self.unsettled:
            return view.settle(truth, is_known=False)
        if not view.settle(truth):
            return False
        view.settled_at = mark
        return True

    def _same_truths(self, deadline):
        for box in self.names.shared:
            one, other = self.direct.truths[box], self.subject.truths[box]
            while not one.same_as(other):
                if time.monotonic() > deadline:
                    raise Mismatch('mailbox', one.differences(other))
                time.sleep(0.02)
                self.counts['(truth again)'] += 1
                for truth in (one, other):
                    truth.finish(truth.client.cmd('NOOP'))
                    truth.load()

    def _point(self, box):
        """Remember this moment of a mailbox: later commands ask for what changed since."""
        points = self.points[box]
        points.append({'direct': self.direct.truths[box].highest, 'subject': self.subject.truths[box].highest,
                       'uids': set(self.direct.truths[box].order)})
        if len(points) > POINTS_MAX:
            points.pop(0)

    # ---- whole comparisons

    def full_check(self):
        """Truths read anew, and every session's numbering and flags asked for in full."""
        for side in self.sides:
            for truth in side.truths.values():
                truth.load()
        self._same_truths(time.monotonic() + self.settings.settle)
        asked = []
        for side in self.sides:
            for number, view in enumerate(side.views):
                if view.box is not None and len(view) and not self.idling[number]:
                    asked.append((side, number, side.clients[number].start('FETCH 1:* (UID FLAGS)')))
        for side, number, tag in asked:
            view = side.views[number]
            result = side.clients[number].wait(tag)
            told = set()
            for response in result.untagged:
                view.apply(response, 'FETCH')
                if response.name == 'FETCH':
                    told.add(response.num)
            if len(told) != len(view) or not view.settle(side.truths[view.box]):
                raise Mismatch('numbering', '%s: FETCH 1:* told %d messages; %s' % (
                    view.name, len(told), view.contradictions(side.truths[view.box])))

    def finish(self):
        """Everybody out of IDLE, then all mailboxes with all octets."""
        for number, idling in enumerate(self.idling):
            if idling:
                self.command(generate.Op(number, 'DONE'))
        self.barrier()
        self.full_check()
        one, other = (_mailboxes(side) for side in self.sides)
        if set(one) != set(other):
            raise Mismatch('mailboxes', 'only direct %s, only subject %s' % (set(one) - set(other), set(other) - set(one)))
        for box in one:
            if one[box] != other[box]:
                uids = [u for u in set(one[box]) | set(other[box]) if one[box].get(u) != other[box].get(u)]
                raise Mismatch('mailbox', '%s: UIDs %s differ at the end' % (box, sorted(uids)[:8]))

    # ---- report

    def report(self, lines=12):
        """The last transcript lines of each session, both sides, and the last commands."""
        out = ['last commands:'] + ['  %d %r' % (self.step - len(self.ops[-lines:]) + n + 1, op)
                                   for n, op in enumerate(self.ops[-lines:])]
        last = self.ops[-1].session if self.ops else None
        out += ['---- %s\n%s' % (client.name, client.dump(2 * lines)) for client in self.others]
        for number in range(len(self.direct.clients)):
            for side in self.sides:
                out.append('---- %s s%d%s' % (side.name, number, ' (the last command)' if number == last else ''))
                out.append(side.clients[number].dump(lines))
        return '\n'.join(out)


def _flag_line(answer):
    raw = answer.line('FLAGS').raw
    return raw[raw.index(b'('):].strip()


def _mailboxes(side):
    """{name: {uid: (flags, date, size, hash)}} over the control connection."""
    client = side.outside
    found = {}
    for line in client.must('LIST "" "*"').named('LIST'):
        if {b'\\noselect', b'\\nonexistent'} & {a.lower() for a in line.data[0]}:
            continue
        name = bytes(line.data[-1]).decode('latin-1')
        if not client.cmd('EXAMINE "%s"' % name).ok:
            # A deleted mailbox with children: Dovecot's Maildir lists it without \\Noselect.
            found[name] = {}
            continue
        told = client.must('UID FETCH 1:* (FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])').fetch_by_uid()
        found[name] = {uid: (frozenset(f for f in map(bytes, i['FLAGS']) if f != b'\\Recent'), i['INTERNALDATE'],
                             i['RFC822.SIZE'], hashlib.sha256(i['BODY[]'] or b'').digest())
                       for uid, i in told.items()}
        side.leave(client)
    return found
