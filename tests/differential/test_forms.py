"""Trees of few leaves, asked through the proxy, against what the leaves say one by one: what it makes of the criteria
before they go upstream (one form, parts, NOTs at other places) has to mean the same to the server, which makes them
simpler in its own way, and is wrong about some that are tangled: those it must not be asked. The trees are always the
same."""
import os
import random

import pytest

import recheck
import twins
from imapjudge import proxy, servers
from proxyrun import LONG, SERVERS, SETTLED, needs_binary

TREES = 60000 if LONG else 3000
LEAVES = [['key', *words.split(' ', 1)] for words in (
    'SUBJECT report', 'SUBJECT meet', 'FROM anna', 'HEADER From anna', 'TO gil', 'CC bo', 'BCC x', 'HEADER X-Folded ""',
    'HEADER Cc ""', 'HEADER References ""', 'SMALLER 700', 'SMALLER 1000', 'SMALLER 2500', 'LARGER 700', 'LARGER 1000',
    'LARGER 3000', 'SENTSINCE 1-Jan-2021', 'SENTSINCE 1-Jan-2023', 'SENTON 6-May-2024', 'SENTBEFORE 1-Jan-2022',
    'SENTBEFORE 1-Jan-2024', 'SINCE 1-Jan-2021', 'SINCE 1-Jan-2023', 'BEFORE 1-Jan-2022', 'BEFORE 1-Jan-2024',
    'ON 6-May-2024', 'ON 7-May-2024', 'BODY kitchen', 'TEXT river', 'BODY ""', 'TEXT ""',
    'SEEN', 'FLAGGED', 'ANSWERED', 'ALL', 'KEYWORD Work', 'UID 5:30')]
IMMUTABLE = 31      # so many of them, at the front


def grow(pick, leaves, depth):
    if depth == 0 or pick.random() < 0.2:
        return pick.choice(leaves)
    kind = pick.choices(('not', 'or', 'and'), (6, 7, 7))[0]
    n = 1 if kind == 'not' else 2 if kind == 'or' else pick.choice((2, 2, 3))
    return [kind] + [grow(pick, leaves, depth - 1) for _ in range(n)]


def draw(pick):
    at = pick.randrange(IMMUTABLE - 2)      # neighbours are much alike
    alike = LEAVES[at:at + 3] + pick.sample(LEAVES, 2)
    mixed = pick.sample(LEAVES[:IMMUTABLE], 4) + pick.sample(LEAVES, 2)
    return grow(pick, pick.choice((alike, mixed)), pick.choice((2, 3, 3, 4)))


def text(tree):
    if tree[0] == 'key':
        return ' '.join(tree[1:])
    children = ' '.join(map(text, tree[1:]))
    return '(%s)' % children if tree[0] == 'and' else '%s %s' % (tree[0].upper(), children)


def simpler(tree):
    """Trees that lack something of it."""
    if tree[0] == 'key':
        return
    yield from tree[1:]
    for at, child in enumerate(tree[1:], 1):
        yield from (tree[:at] + [other] + tree[at + 1:] for other in simpler(child))


def smallest(tree, is_wrong):
    while True:
        other = next(filter(is_wrong, simpler(tree)), None)
        if other is None:
            return tree
        tree = other


def ask(client, right, trees):
    def is_wrong(tree):
        told = set(client.must('UID SEARCH ' + text(tree)).search())
        return told != recheck.found(tree, lambda leaf: right[text(leaf)], right['ALL'])
    client.must('SELECT INBOX')
    pick = random.Random(1)
    for _ in range(trees):
        tree = draw(pick)
        assert not is_wrong(tree), '%s\nor: %s' % (text(tree), text(smallest(tree, is_wrong)))
    client.close()


@needs_binary
@pytest.mark.parametrize('name', SERVERS)
@pytest.mark.parametrize('is_young', (False, True), ids=('settled', 'young'))
def test_every_form_means_the_same(name, is_young, tmp_path):
    """Each part is asked once; or, where mail has come that an index may not have yet, again and again."""
    with servers.KINDS[name](users=1) as server, server.client('u0') as direct:
        subject = proxy.Proxy(os.environ['IMAPCACHED_BIN'], server.port, tmp_path,
                              () if is_young else ('--config', SETTLED), 'info')
        subject.start()
        try:
            client = subject.client('u0')
            if is_young:
                client.must('SELECT INBOX')     # what comes is seen to come
            twins.accepted(client if is_young else direct, twins.mail_pool(1, real=0)[:70])
            direct.must('SELECT INBOX')
            right = {text(leaf): set(direct.must('UID SEARCH ' + text(leaf)).search()) for leaf in LEAVES}
            ask(client, right, TREES // 3 if is_young else TREES)
        finally:
            ended = subject.end()
        assert ended == (0, ''), subject.log()
