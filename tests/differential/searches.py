"""Random SEARCH, SORT and THREAD: trees of every key, some of them asked again and again by all sessions, as they are,
in other spelling and order, as their NOT, as a part of others and as a part alone: what a memory of answers has to
survive. Trees are lists, so that --save keeps them:

  ['and', tree ...], ['or', tree, tree], ['not', tree]
  ['fuzzy', tree]      RFC 6203, where the server takes it
  ['key', piece ...]   a piece is a bare word, or [text]: a string, in any of its forms
  ['set', 'UID' or ''] a set that is drawn anew at each asking
  ['modseq'], ['id', 'EMAILID' or 'THREADID']   numbers and names of each twin's own: see judge.py
"""
import re

from imapjudge import mailgen

KEYWORDS = mailgen.KEYWORDS + ('NoSuchKeyword',)
FLAG_KEYS = ('SEEN', 'UNSEEN', 'ANSWERED', 'UNANSWERED', 'FLAGGED', 'UNFLAGGED', 'DELETED', 'UNDELETED', 'DRAFT',
             'UNDRAFT')
DATE_KEYS = ('BEFORE', 'ON', 'SINCE', 'SENTBEFORE', 'SENTON', 'SENTSINCE')
SAVED_KEYS = ('SAVEDBEFORE', 'SAVEDON', 'SAVEDSINCE')
TEXT_KEYS = ('SUBJECT', 'SUBJECT', 'FROM', 'FROM', 'TO', 'CC', 'BCC', 'BODY', 'BODY', 'TEXT', 'TEXT')
FIELDS = ('Subject', 'From', 'To', 'Cc', 'Date', 'Message-ID', 'Received', 'References', 'Content-Type', 'X-Folded',
          'X-Twice', 'X-Empty', 'X-None', 'List-Id')
# What the generated mails say in 8 bits, and what stands across a fold or needs quoting.
ODD_WORDS = ('Gr\u00fc\u00dfe', 'K\u00f6ln', 'k\u00d6LN', 'd\u00e9j\u00e0 vu', '\u00fc', '\u65e5\u672c', 'folded subject', 'one two', 'a"b', 'back\\slash', '%', '*',
             '(', 'NIL', '', 'nowhere', 'zzqx', '<a@example.com>', '@example.', 'example.org', '$', '{3}', ' ', '7')
MONTHS = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split()
INTERVALS = (1, 3600, 40_000_000, 60_000_000, 100_000_000, 150_000_000, 2_000_000_000)
SORT_KEYS = ('ARRIVAL', 'CC', 'DATE', 'FROM', 'SIZE', 'SUBJECT', 'TO')
POOL = 6
DEEPEST = 4
_ATOM = re.compile(r'[^\x00-\x20(){%*"\\\]\x7f-\U0010ffff]+\Z')
_PLAIN_ATOM = re.compile(r'(?!NIL\Z)[A-Za-z0-9@.<>_=+:/-]+\Z', re.I)
_PRINTABLE = re.compile(r'[ -~\xa1-\uffff]{2,}')


def is_ascii(tree):
    return all(is_ascii(part) if isinstance(part, list) else str(part).isascii() for part in tree)


def has(tree, kinds):
    """Does the tree have a node of these kinds?"""
    return tree[0] in kinds or any(has(child, kinds) for child in children(tree))


def children(tree):
    return tree[1:] if tree[0] in ('and', 'or', 'not', 'fuzzy') else []


class Searches:
    """ask(world, session, uid) and the others -> (verb, text, meta) of an Op. sets: gives numbers(count), uids(view)."""

    def __init__(self, random, mails, avoided, sets):
        self.random, self.mails, self.avoided = random, mails, avoided
        self._sets = sets
        self._dates = [mail.date.split()[0] for mail in mails]
        self._pool = []
        self._leaves = []           # of the tree that is being made
        self._next = 0

    # ---- leaves

    def _flag(self, world):
        pick = self.random
        if pick.random() < 0.25:
            return ['key', pick.choice(('KEYWORD', 'UNKEYWORD')), pick.choice(KEYWORDS)]
        return ['key', pick.choice(FLAG_KEYS + ('ALL',))]

    def _set(self, world):
        return ['set', self.random.choice(('', 'UID', 'UID'))]

    def _mail_text(self):
        """Some of what a mail says, in its letters: a word, two of them, a fragment."""
        pick = self.random
        octets = pick.choice(self.mails).octets[:6000]
        try:
            text = octets.decode()
        except UnicodeDecodeError:
            text = octets.decode('latin-1')
        runs = _PRINTABLE.findall(pick.choice([line for line in text.split('\r\n') if line] or ['x']))
        words = pick.choice(runs or ['x']).split()
        if not words:
            return 'x'
        at = pick.randrange(len(words))
        found = ' '.join(words[at:at + pick.choice((1, 1, 1, 2, 3))])
        if len(found) > 3 and pick.random() < 0.4:
            start = pick.randrange(len(found) - 2)
            found = found[start:start + pick.randint(2, 8)]
        return found[:60]

    def _word(self):
        pick = self.random
        form = pick.random()
        if form < 0.45:
            word = pick.choice(mailgen.WORDS)
            if pick.random() < 0.3:
                word = word[pick.randrange(2):pick.randint(3, 6)]
        elif form < 0.6:
            word = pick.choice(mailgen.NAMES + tuple(name.split()[0].lower() + '@example' for name in mailgen.NAMES))
        elif form < 0.8:
            word = self._mail_text()
        else:
            word = pick.choice(ODD_WORDS)
        return pick.choice((word, word, word, word.upper(), word.swapcase()))

    def _text(self, world):
        pick = self.random
        if pick.random() < 0.25:
            return ['key', 'HEADER', [pick.choice(FIELDS)], [pick.choice((self._word(), ''))]]
        return ['key', pick.choice(TEXT_KEYS), [self._word()]]

    def _date(self, world):
        pick = self.random
        if 'SAVEDATE' in world.capabilities and pick.random() < 0.08:
            # Long before and long after any run: today is another day tomorrow.
            return ['key', pick.choice(SAVED_KEYS), pick.choice(('1-Jan-2015', '31-Dec-2099'))]
        return ['key', pick.choice(DATE_KEYS), self._day()]

    def _day(self):
        pick = self.random
        day, month, year = pick.choice(self._dates).split('-')
        return '%d-%s-%s' % (min(28, max(1, int(day) + pick.choice((-1, 0, 0, 1)))), month, year)

    def _size(self):
        return str(max(1, len(self.random.choice(self.mails).octets) + self.random.choice((-1, 0, 0, 1))))

    def _number(self, world):
        pick = self.random
        if 'WITHIN' in world.capabilities and pick.random() < 0.2:
            return ['key', pick.choice(('OLDER', 'YOUNGER')), str(pick.choice(INTERVALS))]
        return ['key', pick.choice(('LARGER', 'SMALLER')), self._size()]

    def _rare(self, world):
        kinds = [kind for kind, needed in ((['modseq'], 'CONDSTORE'), (['id', 'EMAILID'], 'OBJECTID'),
                                           (['id', 'THREADID'], 'OBJECTID')) if needed in world.capabilities]
        return list(self.random.choice(kinds)) if kinds else self._text(world)

    def leaf(self, world):
        pick = self.random
        return pick.choices((self._flag, self._set, self._text, self._date, self._number, self._rare),
                            (5, 2.5, 7, 2, 2, 0.5))[0](world)

    # ---- trees

    def negated(self, tree):
        if tree[0] == 'not' and 'double-not' in self.avoided:
            return tree[1]
        return ['not', tree]

    def tree(self, world, depth):
        pick = self.random
        if self._sets.names.facts.takes_fuzzy and pick.random() < 0.03:
            return ['fuzzy', self.tree(world, max(0, depth - 1))]
        if depth == 0 or pick.random() < 0.3:
            return self._leaf_again(world)
        form = pick.random()
        if form < 0.25:
            return self.negated(self.tree(world, depth - 1))
        if form < 0.55:
            return ['or', self.tree(world, depth - 1), self.tree(world, depth - 1)]
        return ['and'] + [self.tree(world, depth - 1) for _ in range(pick.choice((2, 2, 2, 3)))]

    def _leaf_again(self, world):
        """Often one that the tree has already, or its like: servers make such trees simpler, and Dovecot makes them
        wrong."""
        pick = self.random
        if not self._leaves or pick.random() < 0.65:
            self._leaves.append(self.leaf(world))
            return self._leaves[-1]
        leaf = pick.choice(self._leaves)
        name = leaf[1] if leaf[0] == 'key' else ''
        if name in DATE_KEYS and pick.random() < 0.5:
            return ['key', name, self._day()]
        if name in ('LARGER', 'SMALLER') and pick.random() < 0.5:
            return ['key', name, self._size()]
        return leaf

    def _fresh(self, world):
        self._leaves = []
        return self.tree(world, self.random.choice((0, 0, 1, 1, 2, 2, 3, DEEPEST)))

    def _shuffled(self, tree):
        """The same meaning in another order."""
        if not children(tree):
            return tree
        parts = [self._shuffled(child) for child in children(tree)]
        self.random.shuffle(parts)
        return [tree[0]] + parts

    def _part_of(self, tree):
        while children(tree) and self.random.random() < 0.7:
            tree = self.random.choice(children(tree))
        return tree

    def _familiar(self, world):
        """One that was asked before, or next to it."""
        pick = self.random
        tree = pick.choice(self._pool)
        form = pick.random()
        if form < 0.5:
            return tree
        if form < 0.62:
            return self.negated(tree)
        if form < 0.7:
            return self._shuffled(tree)
        if form < 0.78:
            return self._part_of(tree)
        if form < 0.84:
            return ['or', tree, pick.choice(self._pool)]
        return ['and', pick.choice((self._set, self._set, self._flag, self._text))(world), tree]

    def choose(self, world):
        """A tree, and whether it is to be told as it was before."""
        pick = self.random
        if len(self._pool) >= POOL and pick.random() < 0.75:
            return self._familiar(world), pick.random() < 0.7
        tree = self._fresh(world)
        if len(self._pool) < POOL:
            self._pool.append(tree)
        elif pick.random() < 0.1:
            self._pool[self._next % POOL] = tree
            self._next += 1
        return tree, False

    # ---- the asking

    def settled(self, tree, view, world):
        """With sets drawn for this view. What it may not ask of this one becomes ALL."""
        if children(tree):
            return [tree[0]] + [self.settled(child, view, world) for child in children(tree)]
        if tree[0] == 'set':
            return self._drawn(tree[1], view)
        if tree[0] == 'modseq' and not world.points.get(view.box):
            return ['key', 'ALL']
        if tree[0] == 'id':
            return ['id', tree[1], view.box, self.random.choice(view.uids())]
        return tree

    def _drawn(self, form, view):
        last = view.uids()[-1] if form else len(view)
        numbers = self._sets.uids(view) if form else self._sets.numbers(len(view))
        if 'star-in-search' in self.avoided or (form and 'star-in-uid-search' in self.avoided):
            numbers = numbers.replace('*', str(last))
        return ['key', form, numbers] if form else ['key', numbers]

    def _charset(self, tree):
        pick = self.random.random()
        if pick < 0.6:
            return None if is_ascii(tree) else 'UTF-8'
        return 'UTF-8' if pick < 0.88 else 'US-ASCII' if pick < 0.93 else 'ISO-8859-1' if pick < 0.97 else 'X-NOSUCH'

    def ask(self, world, session, is_uid):
        pick = self.random
        view = world.views[session]
        head, meta = 'UID SEARCH' if is_uid else 'SEARCH', {}
        if 'ESEARCH' in world.offered and pick.random() < 0.3:
            meta['returns'] = self._returns(world)
            head += ' {return}'
        if pick.random() < 0.02:
            tree, alike = ['key', pick.choice(('RECENT', 'NEW', 'OLD'))], True
            meta.update(recent=True, returns=None)
            head = head.replace(' {return}', '')
        elif 'SEARCHRES' in world.capabilities and pick.random() < 0.06:
            # Alone: the recheck of a search cannot know it.
            tree, alike = ['key', pick.choice(('$', '$ UNSEEN', 'NOT $', 'UID $', 'FLAGGED $'))], True
        else:
            tree, alike = self.choose(world)
            tree = self.settled(tree, view, world)
        charset = self._charset(tree)
        if charset:
            head += ' CHARSET ' + charset
        return self._op(world, view, head, tree, charset, alike, meta)

    def _returns(self, world):
        """RETURN options: what both offer as it is; of what only the subject offers the judge knows the right answer
        from a plain one."""
        pick = self.random
        wanted = pick.sample(('MIN', 'MAX', 'ALL', 'COUNT'), pick.randint(0, 4))
        if 'SEARCHRES' in world.capabilities and 'ESEARCH' in world.capabilities and pick.random() < 0.4:
            wanted.insert(pick.randint(0, len(wanted)), 'SAVE')
        elif 'PARTIAL' in world.offered and 'ALL' not in wanted and pick.random() < 0.5:
            first, last = pick.choice(((1, 3), (2, 2), (1, 500), (4, 9), (7, 3), (100, 200)))
            wanted.append('PARTIAL ' + pick.choice(('%d:%d', '-%d:-%d')) % (first, last))
        return wanted

    def sort(self, world, session, is_uid):
        pick = self.random
        view = world.views[session]
        keys = list(SORT_KEYS) + ['DISPLAYFROM', 'DISPLAYTO'] * ('SORT=DISPLAY' in world.capabilities)
        program = ' '.join(pick.choice(('', '', 'REVERSE ')) + key for key in pick.sample(keys, pick.choice((1, 1, 2, 3))))
        meta = {}
        head = 'UID SORT' if is_uid else 'SORT'
        if 'ESORT' in world.offered and pick.random() < 0.3:
            meta['returns'] = pick.sample(('MIN', 'MAX', 'ALL', 'COUNT'), pick.randint(0, 4))
            head += ' {return}'
        return self._ordered(world, view, '%s (%s)' % (head, program), meta)

    def thread(self, world, session, is_uid):
        names = sorted(name[7:] for name in world.capabilities if name.startswith('THREAD='))
        return self._ordered(world, world.views[session], '%sTHREAD %s' % (
            'UID ' * is_uid, self.random.choice(names)), {})

    def unknown(self, world, session):
        """Criteria with a key that no server knows, or a filter that nobody has made."""
        pick = self.random
        view = world.views[session]
        odd = ['key', *pick.choice((('XNOSUCH',), ('XNOSUCH', '5'), ('XNOSUCH', ['a b']), ('FILTER', 'nosuch')))]
        tree = pick.choice((odd, self.negated(odd), ['or', odd, self.leaf(world)], ['and', self.leaf(world), odd]))
        tree = self.settled(tree, view, world)
        return self._op(world, view, 'UID SEARCH' if pick.random() < 0.6 else 'SEARCH', tree, None, True, {'refused': True})

    def _ordered(self, world, view, head, meta):
        tree, alike = self.choose(world)
        if self.random.random() < 0.3:
            tree = ['key', 'ALL']
        if world.points.get(view.box) and 'CONDSTORE' in world.capabilities and self.random.random() < 0.15:
            tree, alike = ['and', tree, ['modseq']], False
        tree = self.settled(tree, view, world)
        charset = self._charset(tree) or self.random.choice(('UTF-8', 'US-ASCII'))
        return self._op(world, view, '%s %s' % (head, charset), tree, charset, alike, meta)

    # ---- on the wire

    def _op(self, world, view, head, tree, charset, alike, meta):
        out = _Text(self.random, charset, alike, 'LITERAL+' in world.capabilities,
                    _PLAIN_ATOM if 'odd-atom' in self.avoided else _ATOM)
        out.add(head)
        for part in children(tree) if tree[0] == 'and' and (alike or self.random.random() < 0.8) else [tree]:
            out.tree(part)
        if has(tree, ('modseq',)):
            meta.update(point=self.random.randrange(len(world.points[view.box])), enables=True)
        meta.update(tree=tree, charset=charset, pieces=out.pieces, box=view.box)
        verb = head.split()[0] if head[:3] != 'UID' else ' '.join(head.split()[:2])
        return verb, out.shown(), meta


class _Text:
    """Writes a tree: pieces are text, or [octets, sync] of a literal; octets as latin-1. alike: always the same."""

    def __init__(self, random, charset, alike, may_not_wait, atom):
        self._random, self._charset, self._alike, self._may_not_wait = random, charset, alike, may_not_wait
        self._atom = atom
        self.pieces = ['']
        self._space = ''

    def add(self, text):
        if not isinstance(self.pieces[-1], str):
            self.pieces.append('')
        self.pieces[-1] += self._space + text
        self._space = ' '

    def tree(self, tree):
        kind = tree[0]
        if kind == 'and':
            self.add('(')
            self._space = ''
            for child in tree[1:]:
                self.tree(child)
            self._space = ''
            self.add(')')
        elif kind in ('or', 'not', 'fuzzy'):
            self._key(kind.upper())
            for child in tree[1:]:
                self.tree(child)
        elif kind == 'modseq':
            self._key('MODSEQ')
            self.add(('' if self._alike else self._random.choice(('', '"/flags/\\\\draft" all '))) + '{modseq+1}')
        elif kind == 'id':
            self._key(tree[1])
            self.add('{%s %d}' % (tree[1], tree[3]))
        else:
            for piece in tree[1:]:
                self.string(piece[0]) if isinstance(piece, list) else self._key(piece)

    def _key(self, word):
        self.add(word if self._alike or not word.isalpha() or word in KEYWORDS
                 else self._random.choice((word, word, word.lower(), word.capitalize())))

    def string(self, text):
        try:
            octets = text.encode('latin-1' if self._charset == 'ISO-8859-1' else 'utf-8').decode('latin-1')
        except UnicodeEncodeError:
            octets = text.encode().decode('latin-1')
        forms = ['literal']
        if octets.isascii():
            forms = ['quoted', 'quoted', 'literal'] + ['atom'] * (2 if self._atom.match(octets) else 0)
        form = forms[0] if self._alike else self._random.choice(forms)
        if form == 'atom':
            self.add(octets)
        elif form == 'quoted':
            self.add('"%s"' % re.sub(r'(["\\])', r'\\\1', octets))
        else:
            self.add('')
            self.pieces.append([octets, self._alike or not self._may_not_wait or self._random.random() < 0.5])
            self._space = ' '

    def shown(self):
        return ''.join(p if isinstance(p, str) else '{%d%s}%s' % (len(p[0]), '' if p[1] else '+', p[0]) for p in self.pieces)
