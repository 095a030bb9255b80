"""The second opinion where the direct answer is known to go wrong: what follows from other answers of the upstream.

Dovecot 2.3 tells the last octet of BODY[HEADER.FIELDS (..)], asked from there on, as CR or LF by chance; an OR of flags
(also the one that NOT (..) is) may lose matches: there a subject is right when its answer follows from the search keys
asked for one by one; and its first SORT by a text after new mail, also as ORDEREDSUBJECT, puts equal texts in a wrong
order: there a subject is right when it tells what the next one would."""
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
    """Is there an OR in it, or a NOT of several?"""
    kind, parts = tree[0], searches.children(tree)
    return kind == 'or' or (kind == 'not' and parts[0][0] == 'and') or any(may_lose(part) for part in parts)


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

    def _found(self, op, view):
        """UIDs that the keys of a SEARCH name one by one. The view is at rest."""
        uids = {uid for uid in view.uids() if uid is not None}

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
        """What a SEARCH should find, where the direct answer may lack some; else None."""
        return self._numbers(op, view) if may_lose(op.meta['tree']) else None

    def _numbered(self, key, command):
        """What the command tells once each message has its sort id by @key: the first SORT that makes some tells wrongly,
        and what it makes may be lost to another session that does the same."""
        for _ in range(2):
            self._client.must('UID SORT RETURN (COUNT) (%s) UTF-8 ALL' % key)
        return self._client.must(command)

    def order(self, op, view, answer):
        """Is the order of a SORT the one that the direct server tells when it has all sort ids?"""
        program = re.search(r'\(([^)]+)\)', op.meta['pieces'][0]).group(1)
        first = re.sub('(?i)^REVERSE ', '', program).split()[0]
        sort = self._selected(view.box, lambda: self._numbered(first, 'UID SORT (%s) UTF-8 ALL' % program)).named('SORT')
        uids = view.uids()
        right = [uid if op.verb.startswith('UID') else uids.index(uid) + 1 for uid in map(int, sort[0].data) if uid in uids]
        if answer.esearch is None:
            return answer.order == [n for n in right if n in set(answer.order)]
        found = answer.esearch.get('ALL')
        if found is None:
            found = [n if op.verb.startswith('UID') else uids.index(n) + 1 for n in self._found(op, view)]
        wanted = queries.esearch_of([n for n in right if n in set(found)], op.meta['returns'])
        return all(answer.esearch.get(name) == value for name, value in wanted.items())

    def threads(self, op, view, answer):
        """The same of a THREAD that is a SORT by SUBJECT and DATE."""
        if not op.meta['pieces'][0].startswith(op.verb + ' ORDEREDSUBJECT'):
            return False
        uids = view.uids()
        named = [n if op.verb.startswith('UID') else uids[n - 1] for n in queries.flat(answer.threads)]
        command = 'UID THREAD ORDEREDSUBJECT UTF-8 UID ' + ','.join(map(str, named))
        told = self._selected(view.box, lambda: self._numbered('SUBJECT', command)).named('THREAD')
        return _by_uid(answer.threads, op, uids) == _by_uid(told[0].data, None, uids)


def _by_uid(threads, op, uids):
    """Threads in UIDs: @op is the command that told numbers, or None."""
    return [_by_uid(part, op, uids) if isinstance(part, list)
            else int(part) if op is None or op.verb.startswith('UID') else uids[int(part) - 1] for part in threads]
