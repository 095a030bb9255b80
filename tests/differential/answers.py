"""What one command was answered, in comparable form, and the comparison of two such answers."""
import collections

from imapjudge import wire

import queries
import searches
from generate import sets_seen
from model import real_flags
from rules import Mismatch

FREE_ITEMS = frozenset(('FLAGS', 'UID', 'MODSEQ'))
# Codes a client acts upon; others only explain a refusal.
ACTED_UPON = frozenset(('TRYCREATE', 'ALREADYEXISTS', 'NONEXISTENT', 'CANNOT', 'OVERQUOTA', 'BADCHARSET', 'NOPERM'))
# Of extensions a subject need not offer; it may leave them out, not invent them.
OF_EXTENSIONS = frozenset(('MAILBOXID', 'URLMECH', 'ANNOTATIONS', 'MYRIGHTS'))
WRITES_NOTHING_HERE = frozenset(('STORE', 'UID STORE', 'EXPUNGE', 'UID EXPUNGE', 'CLOSE'))


class Fetched:
    """All FETCH lines of one message within one command."""
    __slots__ = ('items', 'counts', 'data_lines', 'with_uid')

    def __init__(self):
        self.items = {}
        self.counts = collections.Counter()
        self.data_lines = 0
        self.with_uid = True


class Answer:
    """Built while the view takes the untagged responses, so that numbers are translated at the right moment."""

    def __init__(self, op, view, result, is_applied=False):
        """is_applied: the view knows of it."""
        self.op, self.view, self.result = op, view, result
        self._is_applied = is_applied
        self.status = result.status
        self.fetched = collections.OrderedDict()
        self.search = None
        self.order = self.threads = None    # of SORT, of THREAD
        self.esearch = None
        self.search_modseq = None
        self.lines = []
        self.codes = {}
        self.vanished_earlier = set()
        self.exists = None
        if not is_applied:
            view.removed = []
        untagged = result.untagged
        if op.verb == 'SELECT':
            untagged = self._leave(untagged)
            view.open(op.meta['box'], op.meta['read_only'])
        for response in untagged:
            self._take(response)
        if result.code:
            self.codes[result.code] = result.code_args
        self.removed = set(view.removed)

    def _leave(self, untagged):
        """RFC 7162 3.2.11: what comes before [CLOSED] is about the mailbox selected until then. Returns the rest."""
        closed = max((n for n, r in enumerate(untagged, 1) if r.code == 'CLOSED'), default=0)
        for response in untagged[:closed]:
            self.view.apply(response, self.op.verb)
        if closed:
            self.codes['CLOSED'] = None
        return untagged[closed:]

    def _take(self, response):
        name = response.name
        if not self._is_applied:
            self.view.apply(response, self.op.verb)
        if name == 'FETCH':
            self._take_fetch(response)
        elif name == 'SEARCH':
            self.search = (self.search or []) + self._without_modseq(list(response.data))
        elif name == 'SORT':
            self.order = (self.order or []) + self._without_modseq(list(response.data))
        elif name == 'THREAD':
            self.threads = (self.threads or []) + self._without_modseq(list(response.data))
        elif name == 'ESEARCH':
            self.esearch = queries.parsed_esearch(response.data, self.result.tagged.tag)
            self.search_modseq = self.esearch.pop('MODSEQ', None)
        elif name in ('STATUS', 'LIST', 'LSUB', 'FLAGS', 'CAPABILITY', 'ENABLED'):
            self.lines.append(response)
        elif name == 'EXISTS':
            self.exists = response.num
        elif name == 'VANISHED' and isinstance(response.data[0], list):
            self.vanished_earlier.update(wire.parse_set(response.data[-1]))
        if response.code:
            self.codes[response.code] = response.code_args

    def _without_modseq(self, values):
        """RFC 7162 3.1.5: "* SEARCH 2 5 (MODSEQ 917)"."""
        if values and isinstance(values[-1], list) and values[-1][:1] == [b'MODSEQ']:
            self.search_modseq = values.pop()[1]
        return values

    def _take_fetch(self, response):
        uid = self.view.uid_of(response.num)
        pairs = response.data
        told = self.fetched.setdefault(uid if uid is not None else ('number', response.num), Fetched())
        told.items.update(pairs)
        names = [name for name, _ in pairs]
        told.counts.update(names)
        wanted = self.op.meta.get('items', ())
        data = [n for n in names if n in wanted and n not in FREE_ITEMS]
        if data:
            told.data_lines += 1
            told.with_uid = told.with_uid and 'UID' in names
        if len(set(names)) != len(names):
            raise Mismatch('fetch-item-twice', '%r' % response)

    def line(self, name):
        found = [r for r in self.lines if r.name == name]
        return found[-1] if found else None


def is_after_lf(name, mine, theirs):
    """Both begin in the middle of a line's end; one puts another line's end behind its LF."""
    return ('HEADER.FIELDS' in name and name.endswith('>') and isinstance(mine, bytes) and isinstance(theirs, bytes)
            and mine[:3] == b'\n\r\n' and theirs[:1] == b'\n' and theirs[1:].startswith(mine[3:]))


def shorten(value):
    text = repr(value)
    return text if len(text) <= 300 else '%s ...(%d)... %s' % (text[:200], len(text), text[-60:])


def first_difference(one, other):
    if not (isinstance(one, bytes) and isinstance(other, bytes)):
        return 'direct %s, subject %s' % (shorten(one), shorten(other))
    at = next((i for i, (a, b) in enumerate(zip(one, other)) if a != b), min(len(one), len(other)))
    return 'octet %d of %d and %d: direct %s, subject %s' % (
        at, len(one), len(other), shorten(one[max(0, at - 20):at + 40]), shorten(other[max(0, at - 20):at + 40]))


class Comparer:
    """compare(op, direct, subject): raises Mismatch, or counts what the rules allow. recheck: see recheck.py."""

    def __init__(self, rules, recheck=None):
        self.rules = rules
        self.recheck = recheck
        self.hidden_codes = ()
        self.is_relay = False       # the subject is no program of its own: it repeats what the upstream does

    def compare(self, op, direct, subject):
        if not self._status(op, direct, subject):
            return
        self._codes(op, direct, subject)
        if direct.status != 'OK':
            return
        if op.verb in ('FETCH', 'UID FETCH'):
            self._fetch(op, direct, subject)
        elif op.verb in ('STORE', 'UID STORE'):
            self._store(op, direct, subject)
        elif op.verb in queries.VERBS:
            self._search(op, direct, subject)
        elif op.verb in ('LIST', 'LSUB'):
            self._list(op, direct, subject)
        elif op.verb in ('EXPUNGE', 'UID EXPUNGE', 'MOVE', 'UID MOVE'):
            missing = direct.removed - subject.removed
            if missing:
                raise Mismatch('expunge-not-told', 'UIDs %s' % sorted(missing))
        if op.verb in ('CLOSE', 'UNSELECT') and (direct.removed or subject.removed):
            raise Mismatch('expunge-in-close', '%s %s' % (direct.removed, subject.removed))

    # ---- tagged line

    def _status(self, op, direct, subject):
        """False when there is nothing more to compare."""
        if direct.result.text != subject.result.text:
            self.rules.differ('text')
        if direct.status == subject.status:
            return True
        if 'OK' not in (direct.status, subject.status):
            self.rules.differ('no-or-bad')
            return True
        if op.meta.get('beyond') and direct.status == 'OK' and not direct.fetched:
            self.rules.differ('beyond-the-end')
            return False
        if op.meta.get('invalid') and direct.status == 'OK' and subject.status == 'BAD':
            self.rules.differ('lenient-upstream', repr(op))
            return False
        if direct.view.read_only and op.verb in WRITES_NOTHING_HERE:
            self.rules.differ('read-only-store')
            return False
        raise Mismatch('status', 'direct %r, subject %r' % (direct.result.tagged, subject.result.tagged))

    def _codes(self, op, direct, subject):
        one, other = direct.codes, subject.codes
        refused = direct.status != 'OK'
        for code in sorted(set(one) | set(other)):
            if code in ('UIDNEXT', 'UIDVALIDITY', 'PERMANENTFLAGS', 'CAPABILITY') or code in self.hidden_codes:
                continue
            if code in ('HIGHESTMODSEQ', 'NOMODSEQ'):
                if (code in one) != (code in other):
                    self.rules.differ('highestmodseq')
                continue
            if code == 'ALERT' and code not in other and direct.result.code != 'ALERT':
                self.rules.differ('untagged-alert')
                continue
            if code in OF_EXTENSIONS and code not in other:
                self.rules.differ('extension-code')
                continue
            if code in one and code in other:
                self._code_arguments(code, one[code], other[code])
                continue
            kind = {'CLIENTBUG': 'clientbug', 'EXPUNGEISSUED': 'expungeissued', 'UNSEEN': 'unseen-code',
                    'CLOSED': 'closed-code'}.get(code)
            if kind:
                self.rules.differ(kind)
            elif refused and code not in ACTED_UPON:
                self.rules.differ('no-or-bad')
            else:
                raise Mismatch('code', '[%s] only %s: direct %r, subject %r' % (
                    code, 'direct' if code in one else 'at the subject', direct.result.tagged, subject.result.tagged))

    def _code_arguments(self, code, one, other):
        if code == 'APPENDUID':
            one, other = one.split()[1:], other.split()[1:]
        elif code == 'COPYUID':
            one, other = (dict(zip(wire.parse_set(a.split()[1]), wire.parse_set(a.split()[2]))) for a in (one, other))
        elif code == 'MODIFIED':
            one, other = set(wire.parse_set(one)), set(wire.parse_set(other))
        elif code == 'UNSEEN':
            if one != other:
                self.rules.differ('unseen-code')
            return
        elif code in ('BADCHARSET', 'MAILBOXID'):
            return          # MAILBOXID is each twin's own: see the harness
        if one != other:
            raise Mismatch('code', '[%s]: direct %s, subject %s' % (code, one, other))

    # ---- FETCH

    def _form(self, op, answer, who):
        wanted = op.meta['items']
        for uid, told in answer.fetched.items():
            for name, count in told.counts.items():
                if name in wanted and name not in FREE_ITEMS and count > 1:
                    if (who == 'direct' or self.is_relay) and 'upstream-repeats' in self.rules.allowed:
                        self.rules.differ('upstream-repeats')
                        continue
                    raise Mismatch('fetch-twice', '%s: %s of UID %s told %d times' % (who, name, uid, count))
                if name not in wanted and name not in FREE_ITEMS:
                    raise Mismatch('fetch-unasked', '%s: %s of UID %s' % (who, name, uid))
            # Once for each time a number was asked for, by the items that stand in no line unasked.
            if told.data_lines > max([1] + [n for name, n in told.counts.items() if name not in FREE_ITEMS]):
                raise Mismatch('fetch-split', '%s: UID %s in %d lines' % (who, uid, told.data_lines))
            if op.verb == 'UID FETCH' and not told.with_uid:
                raise Mismatch('fetch-no-uid', '%s: UID %s' % (who, uid))

    def _fetch(self, op, direct, subject):
        self._form(op, direct, 'direct')
        self._form(op, subject, 'subject')
        wanted = op.meta['items']
        data = [n for n in wanted if n not in FREE_ITEMS]
        answered = {}
        for who, answer in (('direct', direct), ('subject', subject)):
            answered[who] = [u for u, t in answer.fetched.items() if all(n in t.items for n in wanted)]
            if data:
                partly = [u for u, t in answer.fetched.items()
                          if u not in answered[who] and any(n in t.items for n in data)]
                if partly:
                    raise Mismatch('fetch-item-missing', '%s: of %s for UID %s only %s' % (
                        who, wanted, partly[0], sorted(answer.fetched[partly[0]].items)))
        one, other = set(answered['direct']), set(answered['subject'])
        if one - other:
            raise Mismatch('fetch-missing', 'UIDs %s' % sorted(one - other, key=str)[:8])
        if other - one:
            # With nothing but UID asked for, a FETCH that tells changed flags looks like an answer.
            if data or not all('FLAGS' in subject.fetched[uid].items for uid in other - one):
                raise Mismatch('fetch-extra', 'UIDs %s' % sorted(other - one, key=str)[:8])
            self.rules.differ('flags-again')
        if answered['direct'] != [u for u in answered['subject'] if u in one]:
            self.rules.differ('fetch-order')
        for uid in answered['direct']:
            self._values(op, uid, direct.fetched[uid], subject.fetched[uid], subject.view.box)

    def _values(self, op, uid, one, other, subject_box):
        wanted = op.meta['items']
        if list(one.items) != list(other.items):
            self.rules.differ('item-order')
        for name in wanted:
            mine, theirs = one.items[name], other.items[name]
            if name == 'FLAGS':
                if set(mine) != set(theirs) and real_flags(mine) == real_flags(theirs):
                    self.rules.differ('recent')
                mine, theirs = real_flags(mine), real_flags(theirs)
            if name == 'MODSEQ':
                continue        # each twin has its own numbers: see the harness
            if mine == theirs:
                continue
            if name == 'RFC822.HEADER' and theirs + b'\n' == mine and not mine.endswith(b'\n\r\n'):
                self.rules.differ('no-blank-line')
            elif is_after_lf(name, mine, theirs):
                self.rules.differ('part-after-lf')
            elif self.recheck is not None and self.recheck.is_end_of_list(subject_box, uid, name, (mine, theirs)):
                self.rules.differ('end-of-field-list')
            elif self.recheck is not None and 'lost-date' in self.rules.allowed and self.recheck.is_lost_date(
                    subject_box, uid, name, mine, theirs):
                self.rules.differ('lost-date')
            else:
                raise Mismatch('fetch-value', '%s of UID %s: %s' % (name, uid, first_difference(mine, theirs)))
        unasked = {n for n in other.items if n not in wanted} ^ {n for n in one.items if n not in wanted}
        if 'FLAGS' in unasked and not sets_seen(wanted):
            self.rules.differ('flags-again')
        if 'MODSEQ' in unasked:
            self.rules.differ('modseq-again')

    def _store(self, op, direct, subject):
        if op.meta.get('silent') or op.meta.get('is_one_of_stores'):
            return              # whose echo it is, and of before a later one or after it, is not known
        one = {u for u, t in direct.fetched.items() if 'FLAGS' in t.items}
        other = {u for u, t in subject.fetched.items() if 'FLAGS' in t.items}
        if one - other:
            raise Mismatch('store-not-echoed', 'UIDs %s' % sorted(one - other, key=str)[:8])
        if other - one:
            self.rules.differ('flags-again')
        for uid in one:
            mine, theirs = (real_flags(a.fetched[uid].items['FLAGS']) for a in (direct, subject))
            if mine != theirs:
                raise Mismatch('fetch-value', 'FLAGS of UID %s after STORE: direct %s, subject %s' % (
                    uid, sorted(mine), sorted(theirs)))

    # ---- the others

    def _search(self, op, direct, subject):
        try:
            queries.compare(op, direct, subject)
        except Mismatch as mismatch:
            if 'fuzzy' in self.rules.allowed and 'tree' in op.meta and searches.has(op.meta['tree'], ('fuzzy',)):
                self.rules.differ('fuzzy')
            elif mismatch.kind in ('thread-modseq', 'modseq-left-out', 'saved-alone'):
                self.rules.differ(mismatch.kind, str(mismatch))
            elif op.meta.get('recent'):
                self.rules.differ('recent')
            elif (mismatch.kind == 'search' and 'search-logic' in self.rules.allowed
                    and self.recheck.search(op, direct.view, subject)):
                self.rules.differ('search-logic')
                subject.search_modseq = None        # of other messages than the direct one's
            elif (mismatch.kind == 'sort' and 'sort-ties' in self.rules.allowed
                    and self.recheck.order(op, direct.view, subject)):
                self.rules.differ('sort-ties')
            elif (mismatch.kind == 'sort' and 'lost-date' in self.rules.allowed
                    and self.recheck.dates(op, direct.view, subject)):
                self.rules.differ('lost-date')
            elif (mismatch.kind == 'thread' and 'sort-ties' in self.rules.allowed
                    and self.recheck.threads(op, direct.view, subject)):
                self.rules.differ('sort-ties')
            else:
                raise

    @staticmethod
    def _list_counts(direct, subject):
        """STATUS lines that come with a list."""
        one, other = ({_name(r.data[0]): {bytes(k).upper(): v for k, v in zip(r.data[1][::2], r.data[1][1::2])}
                       for r in a.lines if r.name == 'STATUS'} for a in (direct, subject))
        if one != other:
            raise Mismatch('list-status', 'direct %s, subject %s' % (one, other))

    def _list(self, op, direct, subject):
        self._list_counts(direct, subject)
        told = [r for r in subject.lines if r.name == op.verb]
        one, other = ({_name(r.data[2]): r for r in a.lines if r.name == op.verb} for a in (direct, subject))
        if set(one) != set(other):
            raise Mismatch('list', 'only direct %s, only subject %s' % (
                sorted(set(one) - set(other)), sorted(set(other) - set(one))))
        if len(told) != len(other):
            raise Mismatch('list-twice', '%r' % told)
        for name, response in one.items():
            mine, theirs = ({a.decode().lower() for a in r.data[0]} for r in (response, other[name]))
            if response.data[1] != other[name].data[1]:
                raise Mismatch('list', 'delimiter of %r' % name)
            for kind, hints in (('list-marked', {'\\marked', '\\unmarked'}),
                                ('list-children', {'\\haschildren', '\\hasnochildren'})):
                if (mine & hints) != (theirs & hints):
                    if kind == 'list-children' and mine & hints and theirs & hints:
                        raise Mismatch('list', '%r: direct %s, subject %s' % (name, sorted(mine), sorted(theirs)))
                    self.rules.differ(kind)
                mine, theirs = mine - hints, theirs - hints
            if mine != theirs:
                raise Mismatch('list', '%r: direct %s, subject %s' % (name, sorted(mine), sorted(theirs)))


def _name(value):
    return str(value).encode() if isinstance(value, int) else bytes(value or b'NIL')
