"""Steps of several commands, drawn for a generate.Generator; what they are is said where they are played."""
import searches
from model import View
from op import Op, sets_seen
from recheck import may_lose

ANEW_NAMES = ('Anew', 'Anew old')
LARGEST = 120
WAYS = ('deleted', 'deleted', 'renamed')
# Of each twin's own, or of one session's past: not asked here.
LEFT_OUT = {'OBJECTID', 'CONDSTORE', 'SEARCHRES'}


def anew(generator, world):
    """A step; world: see judge.World."""
    pick = generator.random
    boxes = [generator.names.facts.box(name) for name in ANEW_NAMES]
    count = pick.randint(3, 9)
    view = View('anew')
    view.open(boxes[0], False)
    view.messages = [None] * count
    view.uids = lambda: list(range(1, count + 1))
    small = type(world)([view], {}, {}, [False], world.capabilities - LEFT_OUT, world.offered - LEFT_OUT)
    kinds = [generator.searches.ask] * 5
    kinds += [generator.searches.sort] if 'SORT' in small.capabilities else []
    kinds += [generator.searches.thread] if any(name.startswith('THREAD=') for name in small.capabilities) else []
    asks = [Op(0, verb, text, **meta) for verb, text, meta in (
        pick.choice(kinds)(small, 0, pick.random() < 0.6) for _ in range(pick.randint(2, 6)))]
    rounds = [_round(generator, count, 'made')]
    rounds += [_round(generator, count, pick.choice(WAYS if 'rename-anew' not in generator.avoided else WAYS[:1])) for _ in range(pick.choice((1, 1, 2)))]
    return Op(None, 'ANEW', boxes=boxes, rounds=rounds, asks=[ask.as_dict() for ask in asks], also=pick.random() < 0.5)


def _round(generator, count, how):
    pick = generator.random
    mails = [(pick.randrange(len(generator.mails)), generator.flag_list() if pick.random() < 0.5 else [])
             for _ in range(count)]
    may_hide = 'anew-from-outside' not in generator.avoided
    return {'how': how, 'by': pick.choice((0, 1, None) if may_hide else (0, 1)) if how != 'made' else 0, 'first': pick.randrange(2),
            'filled_by': pick.choice((0, 1, None)), 'both': pick.random() < 0.6, 'mails': mails}


def _is_own(op):
    """Does it stand on what only its session knows, or leave something behind for it?"""
    return ('$' in op.text.split() or 'SAVE' in (op.meta.get('returns') or []) or bool(op.meta.get('recent'))
            or searches.has(op.meta.get('tree', ['']), ('fuzzy',)))


def _waits_not(op, world):
    """Without literals that wait; False where it has some and the server knows no others."""
    literals = [piece for piece in op.meta.get('pieces', ()) if isinstance(piece, list)]
    for piece in literals:
        piece[1] = False
    return not literals or 'LITERAL+' in world.capabilities


def pipeline(generator, world, session):
    """Numbers first, then UIDs: a UID command may take numbers away (RFC 3501 5.5)."""
    pick = generator.random
    view = world.views[session]
    count = pick.randint(2, 6)
    plain = pick.randint(0, count)
    ops = [_one_of_many(generator, world, session, n >= plain) for n in range(count)]
    ops = [op for op in ops if not _is_own(op) and _waits_not(op, world)
           and ('items' not in op.meta or set(op.meta['items']) - {'FLAGS', 'UID', 'MODSEQ'})
           and not (view.read_only and 'STORE' in op.verb and 'change-in-examine' in generator.avoided)]
    kept, changes = [], False
    fetches = [op for op in ops if 'items' in op.meta][1:]
    for op in reversed([op for op in ops if op not in fetches]):
        # The second opinion on a search is asked for when all is done.
        is_stable = 'tree' not in op.meta or not (may_lose(op.meta['tree']) or op.meta.get('returns'))
        if is_stable or not changes:
            kept.insert(0, op)
        changes = changes or 'STORE' in op.verb or ('items' in op.meta and sets_seen(op.meta['items']))
    return Op(None, 'PIPELINE', box=view.box, ops=[op.as_dict() for op in kept])


def _one_of_many(generator, world, session, is_uid):
    kinds = (('search', 5), ('fetch', 1.5), ('store', 2.5)) + ((('sort', 1),) if 'SORT' in world.capabilities else ())
    name = generator.random.choices([name for name, _ in kinds], [weight for _, weight in kinds])[0]
    return generator.one(name, world, session, is_uid)


def amid(generator, world):
    """See flights.py. order: in which the asks (by their place) and the write (None) are sent."""
    pick = generator.random
    busy = generator.busy(world)
    box = world.views[pick.choice(busy)].box
    there = [n for n in busy if world.views[n].box == box]
    asking = pick.sample(there, pick.randint(1, min(3, len(there))))
    write = _write(generator, world, box, [n for n in range(len(world.views)) if n not in asking and not world.idling[n]])
    removes = write.verb in ('EXPUNGE', 'UID EXPUNGE', 'UID MOVE')
    asks = []
    for session in asking:
        kind = 'sort' if 'SORT' in world.capabilities and pick.random() < 0.15 else 'search'
        op = generator.one(kind, world, session, removes or pick.random() < 0.6)
        if _is_own(op):
            op = Op(session, 'UID SEARCH', 'UID SEARCH UNSEEN', tree=['key', 'UNSEEN'], charset=None, pieces=['UID SEARCH UNSEEN'], box=box)
        asks.append(op)
    order = [n for n in range(len(asks)) for _ in range(pick.choice((1, 1, 2, 3)))]
    pick.shuffle(order)
    order.insert(pick.randint(0, len(order)), None)
    return Op(None, 'AMID', box=box, asks=[ask.as_dict() for ask in asks], write=write.as_dict(), order=order,
              needs_box=write.session is not None and write.verb not in ('APPEND', 'UID COPY'))


def _write(generator, world, box, others):
    pick = generator.random
    makers = [lambda: generator.from_outside(box, world)]
    for number in others:
        view = world.views[number]
        if view.box == box and len(view) and not view.read_only:
            makers += [lambda n=number: generator.one('store', world, n, pick.random() < 0.6)] * 3
            makers += [lambda n=number: Op(n, 'EXPUNGE', 'EXPUNGE')]
            if 'UIDPLUS' in world.capabilities:
                makers += [lambda n=number: generator.one('expunge', world, n, True)]
            if 'MOVE' in world.capabilities:
                makers += [lambda n=number: generator.one('move', world, n, True)]
        if world.size(box) < LARGEST and not (view.box == box and view.read_only):
            makers += [lambda n=number: generator.append_to(box, world, n)]
            if view.box is not None and len(view):
                makers += [lambda n=number: generator.copy_to(box, world, n)]
    return pick.choice(makers)()
