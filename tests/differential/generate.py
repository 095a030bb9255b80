"""Random conversations: from a seed and the state both twins share, the next command of one session."""
import random

from imapjudge import dovecot, mailgen

import queries
import steps
from op import Op, sets_seen  # noqa: F401
from searches import Searches

SHARED = ('INBOX', 'Work', 'Archive')
SCRATCH = ('Scratch/a', 'Scratch/b', 'Scratch/c d', 'Scratch/b/deep')
KEYWORDS = mailgen.KEYWORDS
FLAGS = ('\\Seen', '\\Answered', '\\Flagged', '\\Draft', '\\Deleted')
FIELDS = ('Subject', 'From', 'To', 'Cc', 'Date', 'Message-ID', 'Received', 'References', 'Content-Type', 'X-Folded',
          'X-Twice', 'MIME-Version', 'In-Reply-To', 'X-None')
WEIGHTS = {
    'select': 5, 'fetch': 30, 'uid_fetch': 22, 'store': 12, 'uid_store': 10, 'search': 12, 'uid_search': 14, 'sort': 2, 'thread': 1, 'together': 2, 'unknown': 0.3, 'anew': 0.1, 'pipeline': 1, 'amid': 1,
    'copy': 3, 'uid_copy': 3, 'move': 2, 'uid_move': 2, 'expunge': 3, 'uid_expunge': 2, 'close': 1, 'unselect': 1,
    'append': 5, 'append_binary': 0.7, 'append_several': 1.5, 'list_extended': 1.5, 'list_status': 1.5, 'status': 4, 'list': 2, 'lsub': 1, 'noop': 4, 'check': 1, 'idle': 2, 'create': 2, 'delete': 1,
    'rename': 1, 'subscribe': 1, 'enable': 1, 'relogin': 0.5, 'invalid': 3, 'capability': 0.5,
    'fetch_changed': 2, 'fetch_partial': 1, 'store_unchanged': 2, 'reselect_qresync': 1, 'outside': 1, 'cut': 0, 'kill': 0,
}
# Mixtures for a purpose (--preset): nothing but what is named.
PRESETS = {
    'searches': {'search': 22, 'uid_search': 30, 'sort': 5, 'thread': 2, 'together': 5, 'unknown': 0.3, 'anew': 0.5, 'pipeline': 3, 'amid': 4, 'select': 3, 'fetch': 1, 'uid_fetch': 2, 'fetch_partial': 0.5, 'store': 5,
                 'uid_store': 6, 'copy': 1, 'uid_copy': 2, 'move': 1, 'uid_move': 1, 'expunge': 2, 'uid_expunge': 1,
                 'append': 6, 'close': 0.5, 'noop': 2, 'idle': 0.5, 'relogin': 0.5, 'outside': 2, 'enable': 0.3},
}
NOT_CUT = ('IDLE', 'DONE', 'LOGOUT', 'CAPABILITY', 'ENABLE', 'INVALID')
CHANGES = ('store', 'uid_store', 'store_unchanged', 'expunge', 'uid_expunge')
LARGEST_BOX = 120


class Names:
    """The mailboxes of a conversation as one kind of server (see server.Facts) calls them."""

    def __init__(self, facts=dovecot.Dovecot.facts):
        self.facts = facts
        self.shared = tuple(facts.box(name) for name in SHARED)
        self.scratch = tuple(facts.box(name) for name in SCRATCH)
        self.nosuch = facts.box('nosuch')
        own = tuple('"%s"' % facts.box(name) for name in ('Scratch/%', 'Scratch*', 'Scratch/c d', 'nosuch'))
        self.patterns = ('"*"', '"%"') + own[:2] + ('"INBOX"', 'inbox') + own[2:] + ('""',)     # the empty one last
        self.reference = '"%s"' % facts.box('Scratch/')


class Generator:
    """next(world) -> Op. world: what the harness tells (see judge.World); only state equal on both twins is used.
    cut_in: the share of commands that the subject's links are cut in."""

    def __init__(self, seed, mails, weights=None, cut_in=0, names=None, avoided=()):
        self.names = names or Names()
        self.avoided = avoided     # ids of allowed.toml
        self.random = random.Random(seed)
        self.mails = mails
        self.weights = dict(WEIGHTS, **(weights or {}))
        self.cut_in = cut_in
        self._follow = {}           # session -> Op to come next in it
        self.searches = Searches(self.random, mails, avoided, self)

    def next(self, world):
        op = self._choose(world)
        pick = self.random
        if self.cut_in and op.session is not None and op.verb not in NOT_CUT and pick.random() < self.cut_in:
            if not op.meta.get('invalid') and 'UNCHANGEDSINCE' not in op.text and 'more' not in op.meta:
                op.meta['cut'] = [pick.choice(('up', 'down', 'down')), pick.choice((1, 1, 1, 2, 2, 3)),
                                  pick.choice((0, 0.3, 0.9, 1)), pick.random() < 0.5]
        return op

    def _choose(self, world):
        pick = self.random
        session = pick.randrange(len(world.views))
        follow = self._follow.pop(session, None)
        if follow is not None:
            return follow
        if world.idling[session]:
            # Let others work a while in front of an idling session.
            others = [n for n in range(len(world.views)) if not world.idling[n]]
            if pick.random() < 0.6 or not others:
                return Op(session, 'DONE', watch=pick.random() < 0.1)
            session = pick.choice(others)
        names = [n for n in self.weights if self._possible(n, world, session)]
        name = pick.choices(names, [self.weights[n] for n in names])[0]
        return getattr(self, '_' + name)(world, session)

    def _possible(self, name, world, session):
        view = world.views[session]
        selected = view.box is not None
        lists = {'append_several': 'MULTIAPPEND', 'append_binary': 'BINARY', 'list_extended': 'LIST-EXTENDED',
                 'list_status': 'LIST-STATUS'}
        if name in lists:
            return lists[name] in world.capabilities
        if name in ('select', 'append', 'anew', 'status', 'list', 'lsub', 'noop', 'create', 'delete', 'rename', 'subscribe',
                    'invalid', 'outside', 'relogin', 'capability', 'cut', 'kill'):
            return True
        if name == 'idle':
            return 'IDLE' in world.capabilities
        if name == 'enable':
            return 'ENABLE' in world.capabilities and 'CONDSTORE' in world.capabilities
        if not selected or (len(view) == 0 and name not in ('unselect', 'close', 'check', 'expunge', 'uid_fetch')):
            return False
        if name in ('move', 'uid_move') and view.read_only:
            return False            # what MOVE does under EXAMINE is each server's own
        if view.read_only and name in CHANGES and 'change-in-examine' in self.avoided:
            return False
        needs = {'move': 'MOVE', 'uid_move': 'MOVE', 'uid_expunge': 'UIDPLUS', 'unselect': 'UNSELECT'}
        if name in needs:
            return needs[name] in world.capabilities
        if name == 'amid':
            return len(self.busy(world)) > 0
        if name == 'together':
            return len(self.busy(world)) > 1
        if name == 'fetch_partial':
            return 'PARTIAL' in world.offered
        if name == 'sort':
            return 'SORT' in world.capabilities
        if name == 'thread':
            return any(word.startswith('THREAD=') for word in world.capabilities)
        if name in ('fetch_changed', 'store_unchanged'):
            return view.condstore and bool(world.points.get(view.box))
        if name == 'reselect_qresync':
            return view.qresync and bool(world.points.get(view.box))
        return True

    # ---- sets

    def numbers(self, count):
        return self._straight(self._any_numbers(count), str(count))

    def _straight(self, numbers, last):
        """Ranges the right way round, where the server knows no others."""
        if 'reversed-range' not in self.avoided:
            return numbers
        out = []
        for part in numbers.split(','):
            ends = part.split(':')
            ends.sort(key=lambda end: int(last if end == '*' else end))
            out.append('*' if ends[0] == '*' else ':'.join(ends))
        return ','.join(out)

    def _any_numbers(self, count):
        """A sequence set within 1..count: single numbers, ranges both ways round, '*', duplicates."""
        pick = self.random
        form = pick.random()
        if form < 0.35:
            return str(pick.randint(1, count))
        if form < 0.55:
            low = pick.randint(1, count)
            return '%d:%d' % (low, min(count, low + pick.randint(0, 6)))
        if form < 0.65:
            low = pick.randint(1, count)
            return '%d:%d' % (min(count, low + pick.randint(0, 6)), low)
        if form < 0.72:
            return pick.choice(('*', '%d:*' % pick.randint(max(1, count - 5), count),
                                '*:%d' % pick.randint(max(1, count - 5), count)))
        if form < 0.95:
            some = [str(pick.randint(1, count)) for _ in range(pick.randint(2, 5))]
            if pick.random() < 0.3:
                some.append(some[0])
            return ','.join(some)
        return '1:*'

    def _saved(self, world, otherwise):
        """Now and then "$" (RFC 5182); what it stands for both twins know by themselves."""
        return '$' if 'SEARCHRES' in world.capabilities and self.random.random() < 0.06 else otherwise

    def uids(self, view):
        return self._straight(self._any_uids(view), str(view.uids()[-1] if len(view) else 0))

    def _any_uids(self, view):
        """A UID set: known UIDs, holes, beyond the end."""
        pick = self.random
        known = view.uids()
        top = (known[-1] if known else 0) + 1
        form = pick.random()
        if known and form < 0.4:
            return str(pick.choice(known))
        if known and form < 0.6:
            return ','.join(str(pick.choice(known)) for _ in range(pick.randint(2, 5)))
        if form < 0.78:
            low = pick.choice(known) if known else 1
            ends = [str(low), str(low + pick.randint(0, 8))]
            if pick.random() < 0.3:
                ends.reverse()
            return ':'.join(ends)
        if form < 0.86:
            return pick.choice(('*', '%d:*' % max(1, top - pick.randint(0, 6)), '%d:*' % (top + 1000)))
        if form < 0.96:
            return '%d,%d:%d' % (pick.randint(1, top), top + 3, top + 50)
        return '1:*'

    # ---- FETCH

    def _header_list(self):
        pick = self.random
        names = pick.sample(FIELDS, pick.randint(1, 5))
        return ' '.join(pick.choice((n, n.upper(), n.lower(), '"%s"' % n)) for n in names)

    def _section(self):
        pick = self.random
        label = pick.choices(
            ['', 'HEADER', 'TEXT', 'HEADER.FIELDS (%s)', 'HEADER.FIELDS.NOT (%s)', '1', '1.MIME', '2', '1.1', '2.MIME',
             '2.HEADER', '9'], [6, 4, 4, 6, 2, 3, 2, 2, 1, 1, 1, 0.5])[0]
        if '%s' in label:
            label = label % self._header_list()
        partial = '<%d.%d>' % (pick.choice((0, 0, 1, 7, 100, 5000, 10 ** 6)), pick.choice((1, 10, 100, 4096, 10 ** 5)))
        return '[%s]%s' % (label, partial if pick.random() < 0.3 else '')

    def _one_item(self):
        pick = self.random
        if pick.random() < 0.55:
            return pick.choice(('FLAGS', 'UID', 'INTERNALDATE', 'RFC822.SIZE', 'ENVELOPE', 'BODY', 'BODYSTRUCTURE'))
        if pick.random() < 0.15:
            item = pick.choice(('RFC822', 'RFC822.HEADER', 'RFC822.TEXT'))
            return 'RFC822' if item == 'RFC822.TEXT' and 'rfc822-text' in self.avoided else item
        return pick.choice(('BODY.PEEK', 'BODY.PEEK', 'BODY')) + self._section()

    def items(self):
        """(text of the items, response names they must give)."""
        pick = self.random
        if pick.random() < 0.06:
            macro = pick.choice(('ALL', 'FAST', 'FULL'))
            names = ['FLAGS', 'INTERNALDATE', 'RFC822.SIZE'] + ['ENVELOPE'] * (macro != 'FAST')
            return macro, names + ['BODY'] * (macro == 'FULL')
        chosen = {}
        for _ in range(pick.choice((1, 1, 2, 2, 3, 4))):
            item = self._one_item()
            chosen.setdefault(response_name(item), item)
        text = ' '.join(chosen.values())
        if len(chosen) > 1 or pick.random() < 0.5:
            text = '(%s)' % text
        return text, list(chosen)

    def _fetch(self, world, session):
        items, names = self.items()
        return Op(session, 'FETCH', 'FETCH %s %s' % (self._saved(world, self.numbers(len(world.views[session]))), items),
                  items=names)

    def _uid_fetch(self, world, session):
        items, names = self.items()
        return Op(session, 'UID FETCH', 'UID FETCH %s %s' % (self._saved(world, self.uids(world.views[session])), items),
                  items=names + ['UID'])

    def _fetch_partial(self, world, session):
        """RFC 9394, which the direct server need not know: it is asked for those messages by name."""
        pick = self.random
        view = world.views[session]
        low = pick.choice(view.uids())
        among = [uid for uid in view.uids() if uid >= low]
        option = 'PARTIAL ' + pick.choice(('%d:%d', '-%d:-%d')) % pick.choice(((1, 3), (2, 2), (1, 500), (4, 9), (7, 3), (100, 200)))
        chosen = queries.partial(among, option)
        items, names = self.items()
        ask = 'UID FETCH %%s %s' % items
        return Op(session, 'UID FETCH', ask % ('%d:%d' % (low, among[-1])) + ' (%s)' % option, items=names + ['UID'],
                  direct=ask % ','.join(map(str, chosen)) if chosen else 'NOOP')

    def _fetch_changed(self, world, session):
        view = world.views[session]
        point = self.random.randrange(len(world.points[view.box]))
        more = ' VANISHED' if view.qresync and self.random.random() < 0.5 else ''
        return Op(session, 'UID FETCH', 'UID FETCH 1:* (FLAGS) (CHANGEDSINCE {modseq}%s)' % more,
                  items=['FLAGS', 'UID', 'MODSEQ'], point=point, box=view.box, vanished=bool(more))

    # ---- STORE

    def flag_list(self):
        pick = self.random
        flags = pick.sample(FLAGS[:4] + KEYWORDS, pick.randint(1, 3))
        if pick.random() < 0.25:
            flags.append('\\Deleted')
        return flags

    def _store_text(self, numbers, middle=''):
        pick = self.random
        sign = pick.choice(('+', '+', '-', ''))
        flags = self.flag_list()
        shown = '(%s)' % ' '.join(flags) if len(flags) > 1 or pick.random() < 0.7 else flags[0]
        if not sign and pick.random() < 0.1:
            shown = '()'
        silent = pick.random() < 0.3
        return '%s %s%sFLAGS%s %s' % (numbers, middle, sign, '.SILENT' if silent else '', shown), silent

    def _store(self, world, session):
        text, silent = self._store_text(self._saved(world, self.numbers(len(world.views[session]))))
        return Op(session, 'STORE', 'STORE ' + text, silent=silent)

    def _uid_store(self, world, session):
        text, silent = self._store_text(self._saved(world, self.uids(world.views[session])))
        return Op(session, 'UID STORE', 'UID STORE ' + text, silent=silent)

    def _store_unchanged(self, world, session):
        view = world.views[session]
        text, silent = self._store_text(self.uids(view), '(UNCHANGEDSINCE {modseq}) ')
        return Op(session, 'UID STORE', 'UID STORE ' + text, silent=silent, box=view.box,
                  point=self.random.randrange(len(world.points[view.box])))

    # ---- COPY, MOVE, EXPUNGE

    def _elsewhere(self, box, view):
        """Not the mailbox that this session has open by EXAMINE, where the server minds."""
        is_examined = view.read_only and view.box == box
        return self.names.scratch[0] if is_examined and 'append-in-examine' in self.avoided else box

    def _target(self, world):
        pick = self.random
        small = [b for b in self.names.shared if world.size(b) < LARGEST_BOX]
        return pick.choice((small or [self.names.scratch[0]]) * 3 + list(self.names.scratch))

    def _few_numbers(self, view):
        low = self.random.randint(1, len(view))
        return '%d:%d' % (low, min(len(view), low + self.random.choice((0, 0, 1, 2))))

    def _few_uids(self, view):
        few = self.random.sample(view.uids(), min(len(view), self.random.choice((1, 1, 2, 3))))
        if 'unsorted-copy' in self.avoided:
            few.sort()
        return ','.join(map(str, few))

    def _transfer(self, verb, numbers, world, session):
        return Op(session, verb, '%s %s "%s"' % (
            verb, numbers, self._elsewhere(self._target(world), world.views[session])))

    def _copy(self, world, session):
        return self._transfer('COPY', self._few_numbers(world.views[session]), world, session)

    def _uid_copy(self, world, session):
        return self._transfer('UID COPY', self._few_uids(world.views[session]), world, session)

    def copy_to(self, box, world, session):
        return Op(session, 'UID COPY', 'UID COPY %s "%s"' % (self._few_uids(world.views[session]), box))

    def _move(self, world, session):
        return self._transfer('MOVE', self._few_numbers(world.views[session]), world, session)

    def _uid_move(self, world, session):
        return self._transfer('UID MOVE', self._few_uids(world.views[session]), world, session)

    def _expunge(self, world, session):
        return Op(session, 'EXPUNGE', 'EXPUNGE')

    def _uid_expunge(self, world, session):
        return Op(session, 'UID EXPUNGE', 'UID EXPUNGE ' + self._saved(world, self.uids(world.views[session])))

    # ---- mailboxes

    def _select(self, world, session):
        pick = self.random
        box = pick.choice(self.names.shared)
        view = world.views[session]
        read_only = pick.random() < 0.2
        more = ' (CONDSTORE)' if 'CONDSTORE' in world.capabilities and view.condstore and pick.random() < 0.2 else ''
        if pick.random() < 0.7:
            self._follow[session] = Op(session, 'FETCH', 'FETCH 1:* (UID FLAGS)', items=['UID', 'FLAGS'], if_any=True)
        return Op(session, 'SELECT', '%s %s%s' % ('EXAMINE' if read_only else 'SELECT', self._named(box), more),
                  box=box, read_only=read_only)

    def _reselect_qresync(self, world, session):
        view = world.views[session]
        point = self.random.randrange(len(world.points[view.box]))
        known, top = '', None
        if self.random.random() < 0.5 and view.uids():
            top = view.uids()[-1]
            known = ' 1:%d' % top
        return Op(session, 'SELECT', 'SELECT "%s" (QRESYNC ({uidvalidity} {modseq}%s))' % (view.box, known),
                  box=view.box, read_only=False, point=point, qresync=True, known=top)

    def _named(self, box):
        return self.random.choice(('"%s"' % box, '"%s"' % box, box if ' ' not in box else '"%s"' % box,
                                   box.lower() if box == 'INBOX' else '"%s"' % box))

    def _close(self, world, session):
        return Op(session, 'CLOSE', 'CLOSE')

    def _unselect(self, world, session):
        return Op(session, 'UNSELECT', 'UNSELECT')

    def _append(self, world, session):
        pick = self.random
        small = [b for b in self.names.shared if world.size(b) < LARGEST_BOX]
        box = pick.choice((small or [self.names.scratch[0]]) * 4 + [self.names.scratch[1]])
        return self.append_to(self._elsewhere(box, world.views[session]), world, session)

    def append_to(self, box, world, session):
        pick = self.random
        number = pick.randrange(len(self.mails))
        flags = '(%s) ' % ' '.join(self.flag_list()) if pick.random() < 0.4 else ''
        return Op(session, 'APPEND', 'APPEND "%s" %s"%s" ' % (box, flags, self.mails[number].date), mail=number,
                  sync=pick.random() < 0.5 or 'LITERAL+' not in world.capabilities, box=box)

    def _append_binary(self, world, session):
        op = self._append(world, session)
        op.text += '~'
        return op

    def _append_several(self, world, session):
        """RFC 3502. more: of the further messages, text before the literal, number of the mail, whether to wait."""
        op = self._append(world, session)
        more = [self._append(world, session) for _ in range(self.random.choice((1, 1, 2, 4)))]
        op.meta['more'] = [(m.text.split('" ', 1)[1], m.meta['mail'], m.meta['sync']) for m in more]
        return op

    def _status(self, world, session):
        pick = self.random
        items = pick.sample(('MESSAGES', 'UIDNEXT', 'UIDVALIDITY', 'UNSEEN', 'RECENT'), pick.randint(1, 5))
        box = pick.choice(self.names.shared * 2 + self.names.scratch)
        return Op(session, 'STATUS', 'STATUS "%s" (%s)' % (box, ' '.join(items)), box=box)

    def _list_of(self, verb, session):
        pattern = self.random.choice(self.names.patterns)
        reference = self.random.choice(('""', '""', self.names.reference))
        return Op(session, verb, '%s %s %s' % (verb, reference, pattern))

    def _list(self, world, session):
        return self._list_of('LIST', session)

    def _list_extended(self, world, session):
        """RFC 5258, without RECURSIVEMATCH."""
        pick = self.random
        patterns = pick.choice(self.names.patterns[:-1])
        if pick.random() < 0.3:
            patterns = '(%s)' % ' '.join(pick.sample(self.names.patterns[:-1], 2))
        selection = pick.choice(('', '', '(SUBSCRIBED) ', '(SUBSCRIBED REMOTE) ', '() '))
        returns = pick.choice(('', ' RETURN ()', ' RETURN (SUBSCRIBED)', ' RETURN (CHILDREN)', ' RETURN (SUBSCRIBED CHILDREN)'))
        return Op(session, 'LIST', 'LIST %s"" %s%s' % (selection, patterns, returns))

    def _list_status(self, world, session):
        """RFC 5819, of mailboxes that nobody changes from outside."""
        items = self.random.sample(('MESSAGES', 'UNSEEN', 'UIDNEXT'), self.random.randint(1, 3))
        pattern = '"%s"' % self.names.facts.box(self.random.choice(('Scratch*', 'Scratch/%', 'Scratch/b')))
        return Op(session, 'LIST', 'LIST "" %s RETURN (STATUS (%s))' % (pattern, ' '.join(items)))

    def _lsub(self, world, session):
        return self._list_of('LSUB', session)

    def _create(self, world, session):
        return Op(session, 'CREATE', 'CREATE "%s"' % self.random.choice(self.names.scratch))

    def _delete(self, world, session):
        return Op(session, 'DELETE', 'DELETE "%s"' % self.random.choice(self.names.scratch + (self.names.nosuch,)))

    def _rename(self, world, session):
        old, new = self.random.sample(self.names.scratch, 2)
        return Op(session, 'RENAME', 'RENAME "%s" "%s"' % (old, new))

    def _subscribe(self, world, session):
        verb = self.random.choice(('SUBSCRIBE', 'UNSUBSCRIBE'))
        return Op(session, verb, '%s "%s"' % (verb, self.random.choice(self.names.shared + self.names.scratch)))

    # ---- the rest

    def _noop(self, world, session):
        return Op(session, 'NOOP', 'NOOP')

    def _check(self, world, session):
        return Op(session, 'CHECK', 'CHECK')

    def _capability(self, world, session):
        return Op(session, 'CAPABILITY', 'CAPABILITY')

    def _idle(self, world, session):
        return Op(session, 'IDLE')

    def _enable(self, world, session):
        name = 'QRESYNC' if 'QRESYNC' in world.capabilities and self.random.random() < 0.5 else 'CONDSTORE'
        return Op(session, 'ENABLE', 'ENABLE ' + name, name=name)

    def _relogin(self, world, session):
        self._follow.pop(session, None)
        return Op(session, 'LOGOUT', 'LOGOUT')

    def _invalid(self, world, session):
        count = len(world.views[session])
        top = str(count + 1000)
        text = self.random.choice((
            'XYZZY', 'FETCH', 'FETCH 0 FLAGS', 'FETCH 1 NOSUCHITEM', 'FETCH 1 (FLAGS', 'UID FOO 1', 'SEARCH BOGUS',
            'SEARCH', 'STORE 1 +FLAGS (\\Recent)', 'STORE 1 +FLAGS (\\Nosuch)', 'SELECT nosuch',
            'COPY 1 nosuch', 'UID COPY 1 nosuch', 'STATUS nosuch (MESSAGES)', 'STATUS INBOX (NOSUCH)',
            'APPEND nosuch {3+}\r\nabc', 'LIST ""', 'RENAME INBOX', 'CREATE INBOX', 'DELETE INBOX', 'LOGIN a b',
            'SEARCH XNOSUCH "a" SEEN', 'UID SEARCH SEEN XNOSUCH 5', 'SEARCH OR SEEN', 'UID SEARCH FROM', 'SEARCH CHARSET',
            'UID EXPUNGE', 'SEARCH NOT', 'SEARCH (SEEN', 'FETCH %s FLAGS' % top, 'STORE %s +FLAGS (\\Seen)' % top,
            'FETCH 1,,2 FLAGS', 'FETCH 1 BODY[', 'UID FETCH abc FLAGS', 'FETCH 1 BODY[]<0.0.1>'))
        if '<0.0.1>' in text and 'malformed-partial' in self.avoided:
            text = 'XYZZY'
        if '{3+}' in text and 'LITERAL+' not in world.capabilities:
            text = 'XYZZY'
        verb = 'SELECT' if text == 'SELECT nosuch' else 'INVALID'
        more = {'beyond': True} if top in text else {}
        return Op(session, verb, text, box=None, read_only=False, invalid=True, **more)

    def _outside(self, world, session):
        return self.from_outside(self.random.choice(self.names.shared), world)

    def from_outside(self, box, world):
        pick = self.random
        order = world.order(box)
        if not order or (pick.random() < 0.5 and world.size(box) < LARGEST_BOX):
            number = pick.randrange(len(self.mails))
            return Op(None, 'APPEND', 'APPEND "%s" "%s" ' % (box, self.mails[number].date), mail=number, box=box)
        uids = ','.join(str(u) for u in pick.sample(order, min(len(order), pick.randint(1, 3))))
        if pick.random() < 0.6:
            return Op(None, 'STORE', 'UID STORE %s %sFLAGS.SILENT (%s)' % (
                uids, pick.choice('+-'), ' '.join(self.flag_list())), box=box)
        return Op(None, 'EXPUNGE', uids, box=box)

    # ---- what happens to the subject alone

    def _changes(self, world, most):
        return [self._outside(world, None).as_dict() for _ in range(self.random.randint(0, most))]

    def _cut(self, world, session):
        """All links end while nothing is asked; away: seconds for which there are no new ones; soon: perhaps in the
        middle of a resync. Without changes from outside the next command comes at once."""
        changes = self._changes(world, 3)
        return Op(None, 'CUT', changes=changes, away=1.2 if self.random.random() < 0.1 else 0,
                  rest=bool(changes) or self.random.random() < 0.3, soon=self.random.random() < 0.2)

    def _kill(self, world, session):
        return Op(None, 'KILL', changes=self._changes(world, 3), back=self.random.random() < 0.8)

    # ---- SEARCH

    def _asks(self, ask, world, session, is_uid):
        verb, text, meta = ask(world, session, is_uid)
        return Op(session, verb, text, **meta)

    def _search(self, world, session):
        return self._asks(self.searches.ask, world, session, False)

    def _uid_search(self, world, session):
        return self._asks(self.searches.ask, world, session, True)

    def _sort(self, world, session):
        return self._asks(self.searches.sort, world, session, self.random.random() < 0.6)

    def _thread(self, world, session):
        return self._asks(self.searches.thread, world, session, self.random.random() < 0.6)

    def _unknown(self, world, session):
        return self._asks(lambda world, session, _: self.searches.unknown(world, session), world, session, False)

    def one(self, name, world, session, is_uid):
        """A command of that kind, with UIDs or with numbers."""
        if name in ('search', 'sort'):
            return self._asks(getattr(self.searches, 'ask' if name == 'search' else name), world, session, is_uid)
        return getattr(self, '_uid_' + name if is_uid else '_' + name)(world, session)

    def _anew(self, world, session):
        return steps.anew(self, world)

    def _pipeline(self, world, session):
        return steps.pipeline(self, world, session)

    def _amid(self, world, session):
        return steps.amid(self, world)

    @staticmethod
    def busy(world):
        return [n for n, view in enumerate(world.views) if view.box is not None and len(view) and not world.idling[n]]

    def _together(self, world, session):
        """Several sessions search before any is answered; now and then the same."""
        pick = self.random
        busy = self.busy(world)
        ops, before = [], None
        for number in pick.sample(busy, pick.randint(2, len(busy))):
            if before is None or world.views[number].box != before.meta['box'] or pick.random() < 0.5:
                op = pick.choice((self._search, self._uid_search, self._uid_search))(world, number)
            else:
                op = Op(number, before.verb, before.text, **before.meta)
            ops.append(op)
            before = op
        return Op(None, 'TOGETHER', ops=[op.as_dict() for op in ops])


def response_name(item):
    """The name a FETCH response gives to a requested item, in the form of wire.parse_fetch."""
    name = item.replace('"', '').upper()
    if '[' not in name:
        return name
    name = name.replace('BODY.PEEK', 'BODY', 1)
    label, _, partial = name.partition(']')
    return label + ']' + ('<%s>' % partial[1:-1].split('.')[0] if partial else '')
