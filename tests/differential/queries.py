"""SEARCH, SORT and THREAD: what goes on the wire to each side, and the comparison of what comes back.

What the direct server does not know (RETURN, PARTIAL) it is asked without; the right answer follows from its plain one."""
import re

from imapjudge.imapclient import Lit

from rules import Mismatch

_OWN = re.compile(r'\{(modseq\+1|return|(EMAILID|THREADID) (\d+))\} ?')
_NEEDS = {'SAVE': 'SEARCHRES', 'PARTIAL': 'PARTIAL'}
VERBS = ('SEARCH', 'UID SEARCH', 'SORT', 'UID SORT', 'THREAD', 'UID THREAD')


class Queries:
    """parts(op, side): of an Op that searches.Searches made. direct: capabilities of the direct side."""

    def __init__(self, judge, direct):
        self._judge = judge
        self._direct = direct
        self._ids = {}              # (side, mailbox, UID) -> {'EMAILID': .., 'THREADID': ..}

    def takes(self, op, side):
        """Is this side asked with the RETURN that is in the command?"""
        if op.meta.get('plain'):
            return False
        if side is not self._judge.direct or self._judge.compare.is_relay:
            return True
        if 'SORT' in op.verb:
            has_ends = 'sort-ends' in self._judge.rules.avoided and {'MIN', 'MAX'} & set(op.meta['returns'])
            return 'ESORT' in self._direct and not has_ends
        needed = {_NEEDS.get(option.split()[0], 'ESEARCH') for option in op.meta['returns'] or ['ALL']}
        return needed | {'ESEARCH'} <= self._direct

    def parts(self, op, side):
        return tuple(self._own(piece, op, side).encode('latin-1') if isinstance(piece, str)
                     else Lit(piece[0].encode('latin-1'), piece[1]) for piece in op.meta['pieces'])

    def point(self, op, side):
        return self._judge.point(op)[side.name]

    def leaf(self, tree, charset, side):
        """One key, as UID SEARCH asks for it."""
        out = ['UID SEARCH ' + ('CHARSET %s ' % charset if charset else '')]
        for piece in tree[1:] if tree[0] == 'key' else [tree[1], self._id(side, *tree[1:])]:
            out += [' '] * (len(out) > 1)
            if isinstance(piece, list):
                octets = encoded(piece[0], charset)
                out.append(Lit(octets, not self._judge.names.facts.literal_plus))
            else:
                out.append(piece)
        return out

    def _own(self, text, op, side):
        def fill(found):
            word, name, uid = found.groups()
            space = found.group()[-1:].strip('}')
            if word == 'modseq+1':
                return str(self.point(op, side) + 1) + space
            if word == 'return':
                return 'RETURN (%s)' % ' '.join(op.meta['returns']) + space if self.takes(op, side) else ''
            return self._id(side, name, op.meta['box'], int(uid)) + space
        return _OWN.sub(fill, text)

    def _id(self, side, name, box, uid):
        key = (side.name, box, uid)
        if key not in self._ids:
            side.outside.must('EXAMINE "%s"' % box)
            told = side.outside.must('UID FETCH %d (EMAILID THREADID)' % uid).fetch_by_uid().get(uid, {})
            side.leave(side.outside)
            self._ids[key] = {n: told[n][0].decode() if told.get(n) and told[n][0] else 'none' for n in ('EMAILID', 'THREADID')}
        return self._ids[key][name]


def encoded(text, charset):
    try:
        return text.encode('latin-1' if charset == 'ISO-8859-1' else 'utf-8')
    except UnicodeEncodeError:
        return text.encode()


def partial(numbers, option):
    """RFC 9394: what `PARTIAL a:b` gives of these numbers in order."""
    first, last = sorted(abs(int(end)) for end in option.split()[1].split(':'))
    if '-' in option:
        return numbers[max(0, len(numbers) - last):max(0, len(numbers) - first + 1)]
    return numbers[first - 1:last]


def esearch_of(numbers, returns):
    """The items of an ESEARCH about these numbers (in order)."""
    out = {}
    for option in returns or ['ALL']:
        if option == 'COUNT':
            out['COUNT'] = len(numbers)
        elif option.startswith('PARTIAL'):
            out['PARTIAL'] = [option.split()[1], partial(numbers, option)]
        elif numbers and option != 'SAVE':
            out[option] = {'MIN': numbers[0], 'MAX': numbers[-1], 'ALL': numbers}[option]
    return out


def parsed_esearch(values, tag):
    """The items of an ESEARCH response; sets as lists in the order told."""
    out = {}
    if values and isinstance(values[0], list):
        if len(values[0]) != 2 or values[0][1] != tag.encode():
            raise Mismatch('esearch-tag', '%r for %s' % (values[0], tag))
        values = values[1:]
    if values and values[0] == b'UID':
        out['UID'] = True
        values = values[1:]
    for name, value in zip(values[::2], values[1::2]):
        key = name.decode().upper()
        if key == 'PARTIAL':
            value = [value[0].decode() if isinstance(value[0], bytes) else str(value[0]), in_order(value[1])]
        out[key] = in_order(value) if key == 'ALL' else value
    return out


def in_order(text):
    """'5,3:1' as [5, 3, 2, 1]: what a SORT tells."""
    out = []
    if text is None:
        return out
    for part in str(text if isinstance(text, int) else text.decode('ascii')).split(','):
        low, _, high = part.partition(':')
        low, high = int(low), int(high or low)
        out += range(low, high + 1) if low <= high else range(low, high - 1, -1)
    return out


class Found:
    """What one side answered: numbers in order (None: it told none of them), esearch items."""

    def __init__(self, op, answer):
        self.esearch = answer.esearch
        self.threads = None
        self.modseq = answer.search_modseq
        if 'THREAD' in op.verb:
            self.threads = answer.threads or []
            self.numbers = list(flat(self.threads))
        elif answer.esearch is not None:
            self.numbers = answer.esearch.get('ALL', [] if answer.esearch.get('COUNT') == 0 else None)
        else:
            self.numbers = list(answer.order or [] if 'SORT' in op.verb else answer.search or [])
        if self.numbers is not None and len(set(self.numbers)) != len(self.numbers):
            raise Mismatch('search-twice', '%s' % self.numbers)

    def named(self):
        """The messages that it names, in no order; COUNT names none."""
        told = self.esearch or {}
        ends = {told[name] for name in ('MIN', 'MAX') if name in told}
        return ends.union(self.numbers or [], told['PARTIAL'][1] if 'PARTIAL' in told else [])


def flat(threads):
    for part in threads:
        if isinstance(part, list):
            yield from flat(part)
        else:
            yield part


def compare(op, direct, subject):
    """Raises Mismatch 'search' when other messages are named, 'sort' when it is only their order."""
    one, other = Found(op, direct), Found(op, subject)
    is_same_form = (one.esearch is None) == (other.esearch is None)
    is_any = bool(one.named())
    _same_found(op, one, other, '%r, subject %r' % (direct.result.untagged, subject.result.untagged))
    if is_any and is_same_form and (one.modseq is None) != (other.modseq is None):
        raise Mismatch('thread-modseq' if 'THREAD' in op.verb else 'modseq-left-out' if one.modseq is None else 'search-modseq',
                       'direct %r, subject %r' % (direct.result.untagged, subject.result.untagged))


def _same_found(op, one, other, shown):
    is_sort = 'SORT' in op.verb
    if 'THREAD' in op.verb:
        _same_messages(one, other)
        if one.threads != other.threads:
            raise Mismatch('thread', 'direct %s, subject %s' % (one.threads, other.threads))
        return
    if other.esearch is not None and one.esearch is None and op.meta.get('returns') is not None:
        one.esearch = esearch_of(one.numbers if is_sort else sorted(one.numbers), op.meta['returns'])
        if op.verb.startswith('UID'):
            one.esearch['UID'] = True
    if (one.esearch is None) != (other.esearch is None):
        if op.meta.get('returns') == ['SAVE']:
            raise Mismatch('saved-alone', 'direct ' + shown)
        raise Mismatch('search-form', 'direct ' + shown)
    if one.esearch is None:
        _same_messages(one, other)
        if is_sort and one.numbers != other.numbers:
            raise Mismatch('sort', 'direct %s, subject %s' % (one.numbers, other.numbers))
    elif one.esearch != other.esearch:
        is_order = is_sort and without_order(one.esearch) == without_order(other.esearch)
        raise Mismatch('sort' if is_order else 'search', 'direct %s, subject %s' % (one.esearch, other.esearch))


def modseqs(op, answer, direct, truth):
    """What MODSEQ an answer may tell: that of the messages it names (RFC 7162 3.1.5, RFC 4731 3.2) or of all that are
    found, as far as it or the direct one lets them be known."""
    view, found = answer.view, [Found(op, told) for told in (answer, direct)]
    if 'COUNT' in (found[0].esearch or {}) and all(told.numbers is None for told in found):
        return set()                # of all that are counted, and which they are is not told
    sets = [found[0].named()] + [set(told.numbers) for told in found if told.numbers is not None]
    uids = [numbers if op.verb.startswith('UID') else {view.uid_of(n) for n in numbers} for numbers in sets]
    return {max(truth.modseq[uid] for uid in some) for some in uids if some and some <= set(truth.modseq)}


def without_order(esearch):
    """Of a SORT, what does not depend on the order."""
    return {name: 0 if name in ('MIN', 'MAX') else sorted(value) if name == 'ALL' else value
            for name, value in esearch.items()}


def _same_messages(one, other):
    mine, theirs = set(one.numbers), set(other.numbers)
    if mine != theirs:
        raise Mismatch('search', 'only direct %s, only subject %s' % (
            sorted(mine - theirs, key=str), sorted(theirs - mine, key=str)))


def holds(op, subject, found):
    """Is the subject's answer right when the numbers @found match? An order is not looked at."""
    return fits(op, Found(op, subject), found)


def fits(op, other, found):
    if other.esearch is None:
        return set(other.numbers) == found
    right = esearch_of(sorted(found), op.meta['returns'])
    told = {name: value for name, value in other.esearch.items() if name != 'UID'}
    return without_order(told) == without_order(right) if 'SORT' in op.verb else told == right
