"""The second opinion where the direct answer is known to go wrong: what follows from other answers of the upstream.

Dovecot 2.3 tells the last octet of BODY[HEADER.FIELDS (..)], asked from there on, as CR or LF by chance; an OR of flags
(also the one that NOT (..) is) may lose matches: there a subject is right when its answer follows from the search keys
asked for one by one; and its first SORT by a text after new mail, also as ORDEREDSUBJECT, puts equal texts in a wrong
order: there a subject is right when it tells what the next one would."""
import datetime
import email
import email.utils
import re

import queries
import searches


def found(tree, leaf, everything):
    """Evaluates a tree of searches.py: leaf(tree) gives the UIDs of one key, everything all there are."""
    kind, parts = tree[0], tree[1:]
    if kind == 'fuzzy':
        return found(parts[0], leaf, everything)
    if kind == 'not':
        return everything - found(parts[0], leaf, everything)
    if kind in ('and', 'or'):
        sets = [found(part, leaf, everything) for part in parts]
        return set.intersection(*sets) if kind == 'and' else set.union(*sets)
    return leaf(tree) & everything


def may_lose(tree):
    """Is there an OR in it, or a NOT of several, or of a MODSEQ (of one beyond the highest Dovecot finds none)?"""
    kind, parts = tree[0], searches.children(tree)
    return kind == 'or' or (kind == 'not' and parts[0][0] in ('and', 'modseq')) or any(may_lose(part) for part in parts)


class Recheck:
    """side: the direct twin, whose control connection is used. asks: how a key is told, see queries.Queries."""

    def __init__(self, side, asks=None):
        self._side, self._asks = side, asks
        self._client = side.outside

    def _selected(self, box, work):
        self._client.must('EXAMINE "%s"' % box)
        try:
            return work()
        finally:
            self._side.leave(self._client)

    def is_end_of_list(self, box, uid, name, values):
        """Are @values the last octet of a list of header fields, as Dovecot may tell it? name: as wire.parse_fetch
        gives it."""
        label, _, origin = name.partition('<')
        if not origin or 'HEADER.FIELDS' not in label or not {*values} <= {b'\r', b'\n'}:
            return False

        def ask():
            asked = label.replace('BODY[', 'BODY.PEEK[', 1)
            told = self._client.must('UID FETCH %d %s' % (uid, asked)).fetch_by_uid().get(uid, {})
            return next((v for n, v in told.items() if n.startswith('BODY[')), None)
        whole = self._selected(box, ask)
        return whole is not None and whole.endswith(b'\r\n') and len(whole) == int(origin[:-1]) + 1

    def is_lost_date(self, box, uid, name, mine, theirs):
        """Does the direct answer differ by a Date that it lacks, and the other have what the header says?"""
        def ask():
            told = self._client.must('UID FETCH %d BODY.PEEK[HEADER]' % uid).fetch_by_uid().get(uid, {})
            return bytes(told.get('BODY[HEADER]') or b'')
        asked = re.match(r'BODY\[HEADER\.FIELDS \(([^)]*)\)\](?:<(\d+)>)?\Z', name)
        if name == 'ENVELOPE':
            return (mine[0] is None and mine[1:] == theirs[1:]
                    and b'\r\nDate: ' + bytes(theirs[0] or b'-') + b'\r\n' in self._selected(box, ask))
        names = asked.group(1).replace('"', '').upper().split() if asked else []
        if 'DATE' not in names or not isinstance(theirs, bytes):
            return False
        fields = re.finditer(rb'(?m)^([^\s:]+)[ \t]*:.*\n(?:[ \t].*\n)*', self._selected(box, ask))
        section = b''.join(f.group() for f in fields if f.group(1).upper().decode('latin-1') in names) + b'\r\n'
        return section[int(asked.group(2)):].startswith(theirs) if asked.group(2) else section == theirs

    def _found(self, op, view, uids=None):
        """UIDs that the keys of a SEARCH name one by one. The view is at rest."""
        uids = {uid for uid in (view.uids() if uids is None else uids) if uid is not None}

        def leaf(tree):
            if tree[0] == 'modseq':
                return self._side.truths[view.box].changed_since(self._asks.point(op, self._side))
            return set(self._client.must(*self._asks.leaf(tree, op.meta['charset'], self._side)).search())
        return self._selected(view.box, lambda: found(op.meta['tree'], leaf, uids))

    def saved(self, op, view):
        """What $ should stand for after a SEARCH that saves (RFC 5182 2.4); None: the upstream's own will do."""
        options = op.meta.get('returns') or []
        if 'SAVE' not in options or not may_lose(op.meta['tree']):
            return None
        right = self._found(op, view)
        if 'ALL' in options or 'COUNT' in options or not {'MIN', 'MAX'} & set(options):
            return right
        return {edge(right) for name, edge in (('MIN', min), ('MAX', max)) if name in options and right}

    def search(self, op, view, answer):
        """Does the answer of a SEARCH hold what the keys say one by one? What another command has saved ("$") is not
        known here."""
        if '$' in op.text.split():
            return False
        return queries.holds(op, answer, self._numbers(op, view))

    def _numbers(self, op, view):
        right = self._found(op, view)
        return right if op.verb.startswith('UID') else {n for n, uid in enumerate(view.uids(), 1) if uid in right}

    def numbers(self, op, view):
        """What a SEARCH should find, where the direct answer may lack some; else None. The view may not know all UIDs."""
        if not may_lose(op.meta['tree']):
            return None
        uids = self._selected(view.box, lambda: self._client.must('UID SEARCH ALL').search())
        right = self._found(op, view, uids)
        return right if op.verb.startswith('UID') else {n for n, uid in enumerate(uids, 1) if uid in right}

    def _numbered(self, key, command):
        """What the command tells once each message has its sort id by @key: the first SORT that makes some tells wrongly,
        and what it makes may be lost to another session that does the same."""
        for _ in range(2):
            self._client.must('UID SORT RETURN (COUNT) (%s) UTF-8 ALL' % key)
        return self._client.must(command)

    def _sorted(self, op, view):
        """The UIDs in the order that the direct server tells when it has all sort ids; and the first key."""
        program = re.search(r'\(([^)]+)\)', op.meta['pieces'][0]).group(1)
        first = re.match('(?i)(?:REVERSE )?[^ ]+', program).group().upper()
        command = 'UID SORT (%s) UTF-8 ALL' % program
        told = self._selected(view.box, lambda: self._numbered(first.split()[-1], command)).named('SORT')
        return [uid for uid in map(int, told[0].data) if uid in view.uids()], first

    def _is_told(self, op, view, answer, right):
        """Is the answer of a SORT in the order of these UIDs?"""
        uids = view.uids()
        right = [uid if op.verb.startswith('UID') else uids.index(uid) + 1 for uid in right]
        if answer.esearch is None:
            return answer.order == [n for n in right if n in set(answer.order)]
        found = answer.esearch.get('ALL')
        if found is None:
            found = [n if op.verb.startswith('UID') else uids.index(n) + 1 for n in self._found(op, view)]
        wanted = queries.esearch_of([n for n in right if n in set(found)], op.meta['returns'])
        return all(answer.esearch.get(name) == value for name, value in wanted.items())

    def order(self, op, view, answer):
        """Is the order of a SORT the one that the direct server tells when it has all sort ids?"""
        return self._is_told(op, view, answer, self._sorted(op, view)[0])

    def dates(self, op, view, answer):
        """Is it by the dates in the headers, where the direct server may have lost one?"""
        program = re.search(r'\(([^)]+)\)', op.meta['pieces'][0]).group(1)
        first, rest = re.match('(?i)((?:REVERSE )?[^ ]+) ?(.*)', program).groups()
        if first.upper().split()[-1] != 'DATE':
            return False
        right = sorted(view.uids())     # as those of one date stand
        if rest:
            told = self._selected(view.box, lambda: self._numbered(
                re.match('(?i)(?:REVERSE )?([^ ]+)', rest).group(1), 'UID SORT (%s) UTF-8 ALL' % rest)).named('SORT')
            right = [uid for uid in map(int, told[0].data) if uid in right]
        return self._is_told(op, view, answer, sorted(right, key=self._dates(view), reverse=first.upper() != 'DATE'))

    def _dates(self, view):
        told = self._selected(view.box, lambda: self._client.must(
            'UID FETCH 1:* (INTERNALDATE BODY.PEEK[HEADER])').fetch_by_uid())
        return lambda uid: _sent(told[uid])

    def threads(self, op, view, answer):
        """The same of a THREAD that is a SORT by SUBJECT and DATE: by the server, or by the dates in the headers. Of
        REFERENCES: the threads of the server in the order of those dates."""
        algorithm = op.meta['pieces'][0][len(op.verb):].split()[0]
        if algorithm not in ('ORDEREDSUBJECT', 'REFERENCES'):
            return False
        uids = view.uids()
        answered = _by_uid(answer.threads, op, uids)
        command = 'UID THREAD %s UTF-8 UID %s' % (algorithm, ','.join(map(str, queries.flat(answered))))
        told = self._selected(view.box, lambda: self._numbered('SUBJECT', command)).named('THREAD')
        right = _by_uid(told[0].data, None, uids)
        if algorithm == 'REFERENCES':
            return _alike(answered) == _alike(right) and _is_by_date(answered, self._dates(view))
        return answered == right or answered == _by_date(right, self._dates(view))


def _sent(items):
    """The time in a message's header; its INTERNALDATE where there is none."""
    found = email.message_from_bytes(bytes(items['BODY[HEADER]']))['Date']
    try:
        return email.utils.parsedate_to_datetime(found).timestamp()
    except (TypeError, ValueError):
        return datetime.datetime.strptime(items['INTERNALDATE'].decode().strip(), '%d-%b-%Y %H:%M:%S %z').timestamp()


def _by_date(threads, date):
    """The same threads (RFC 5256, ORDEREDSUBJECT), all put in order anew."""
    in_order = sorted((sorted(queries.flat(thread), key=lambda uid: (date(uid), uid)) for thread in threads),
                      key=lambda thread: (date(thread[0]), thread[0]))
    return [thread if len(thread) < 3 else thread[:1] + [[uid] for uid in thread[1:]] for thread in in_order]


def _alike(threads):
    """Equal for the same threads in another order."""
    return [part for part in threads if not isinstance(part, list)] + sorted(
        (_alike(part) for part in threads if isinstance(part, list)), key=repr)


def _is_by_date(threads, date):
    """Do all that answer the same message stand by date, and by number?"""
    parts = [part for part in threads if isinstance(part, list)]
    firsts = [next(queries.flat(part)) for part in parts]
    return (firsts == sorted(firsts, key=lambda uid: (date(uid), uid))
            and all(_is_by_date(part, date) for part in parts))


def _by_uid(threads, op, uids):
    """Threads in UIDs: @op is the command that told numbers, or None."""
    return [_by_uid(part, op, uids) if isinstance(part, list)
            else int(part) if op is None or op.verb.startswith('UID') else uids[int(part) - 1] for part in threads]
