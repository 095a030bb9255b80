"""The second opinion where the direct answer is known to go wrong: what follows from other answers of the upstream.

Dovecot 2.3 tells the last octet of BODY[HEADER.FIELDS (..)], asked from there on, as CR or LF by chance, and an OR of
flags (also the one that NOT (..) is) may lose matches: there a subject is right when its answer follows from the search
keys asked for one by one."""
import re

_WORD = re.compile(rb'\(|\)|"(?:[^"\\]|\\.)*"|[^\s()]+')
_TAKES = {b'KEYWORD': 1, b'UNKEYWORD': 1, b'UID': 1, b'HEADER': 2, b'SUBJECT': 1, b'FROM': 1, b'TO': 1, b'CC': 1,
          b'BODY': 1, b'TEXT': 1, b'BEFORE': 1, b'ON': 1, b'SINCE': 1, b'SENTBEFORE': 1, b'SENTON': 1, b'SENTSINCE': 1,
          b'LARGER': 1, b'SMALLER': 1}


class Search:
    """Evaluates search keys: leaf(text) gives the UIDs of one key without operators, everything all there are."""

    def __init__(self, text, leaf, everything):
        self._words = _WORD.findall(text)
        self._at = 0
        self._leaf, self._everything = leaf, set(everything)

    def uids(self):
        found = set(self._everything)
        while self._at < len(self._words) and self._words[self._at] != b')':
            found &= self._key()
        return found

    def _next(self):
        self._at += 1
        return self._words[self._at - 1]

    def _key(self):
        word = self._next()
        if word == b'NOT':
            return self._everything - self._key()
        if word == b'OR':
            return self._key() | self._key()
        if word == b'(':
            found = self.uids()
            self._next()
            return found
        return self._leaf(b' '.join([word] + [self._next() for _ in range(_TAKES.get(word, 0))]))


def _options(op):
    found = re.match(r'(?:UID )?SEARCH RETURN \(([^)]*)\)', op.text)
    return found.group(1).split() if found else []


class Recheck:
    """client: a control connection of the direct twin, nothing selected between calls."""

    def __init__(self, client):
        self._client = client

    def _selected(self, box, work):
        self._client.must('EXAMINE "%s"' % box)
        try:
            return work()
        finally:
            self._client.must('UNSELECT')

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

    def _found(self, op, view):
        """UIDs that the keys of a SEARCH name one by one. The view is at rest."""
        text = op.text.partition('SEARCH ')[2].encode()
        text = re.sub(rb'\ARETURN \([^)]*\) ', b'', text)
        text = re.sub(rb'\ACHARSET \S+ ', b'', text)
        uids = [uid for uid in view.uids() if uid is not None]

        def ask():
            return Search(text, lambda key: set(self._client.must(b'UID SEARCH ' + key).search()), uids).uids()
        return self._selected(view.box, ask)

    def saved(self, op, view):
        """What $ should stand for after a SEARCH that saves (RFC 5182 2.4); None: the upstream's own will do."""
        options = _options(op)
        if 'SAVE' not in options or not re.search(r'OR |NOT \(', op.text):
            return None
        found = self._found(op, view)
        if 'ALL' in options or 'COUNT' in options or not {'MIN', 'MAX'} & set(options):
            return found
        return {edge(found) for name, edge in (('MIN', min), ('MAX', max)) if name in options and found}

    def search(self, op, view, answer):
        """Does the answer of a SEARCH hold what the keys say one by one?"""
        found, uids = self._found(op, view), view.uids()
        numbers = found if op.verb.startswith('UID') else {n for n, uid in enumerate(uids, 1) if uid in found}
        if answer.esearch is None:
            return set(answer.search or []) == numbers
        right = {'COUNT': len(numbers)}
        if numbers:
            right.update(ALL=numbers, MIN=min(numbers), MAX=max(numbers))
        told = {name: value for name, value in answer.esearch.items() if name != 'UID'}
        asked = _options(op) or ['ALL']
        return told == {name: right[name] for name in asked if name in right}
