"""Steps of several commands, drawn for a generate.Generator; what they are is said where they are played."""
from model import View
from op import Op

ANEW_NAMES = ('Anew', 'Anew old')
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
    rounds += [_round(generator, count, pick.choice(WAYS)) for _ in range(pick.choice((1, 1, 2)))]
    return Op(None, 'ANEW', boxes=boxes, rounds=rounds, asks=[ask.as_dict() for ask in asks], also=pick.random() < 0.5)


def _round(generator, count, how):
    pick = generator.random
    mails = [(pick.randrange(len(generator.mails)), generator.flag_list() if pick.random() < 0.5 else [])
             for _ in range(count)]
    return {'how': how, 'by': pick.choice((0, 1)) if how != 'made' else 0, 'first': pick.randrange(2),
            'filled_by': pick.choice((0, 1, None)), 'both': pick.random() < 0.6, 'mails': mails}
