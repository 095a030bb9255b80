"""What a search beside a write may be answered, and whose answer a line is where several commands are in flight."""
import pytest

import flights
import model
from imapjudge import wire
from imapjudge.imapclient import Result
from op import Op
from rules import Mismatch


def ask(before, after, *returns, touched=()):
    meta = dict(returns=list(returns)) if returns else {}
    out = flights.Ask(None, Op(0, 'UID SEARCH', 'UID SEARCH x', **meta))
    out._sure, out._maybe, out._turns = before & after, before | after, [before, after]
    if touched:
        out.free(set(touched))
    return out


class _Told:
    """An answer of UID SEARCH."""
    threads = order = search_modseq = None
    view = []

    def __init__(self, search=None, **esearch):
        self.search, self.esearch = search, esearch or None
        self.result = Result(wire.Response(b'T1 OK done\r\n'), [])


@pytest.mark.parametrize('told', [[1, 2], [1, 3], [1], [1, 2, 3]])
def test_each_message_as_before_or_as_after(told):
    ask({1, 2}, {1, 3}).check(_Told(told))


@pytest.mark.parametrize('told', [[2], [1, 4], []])
def test_what_is_so_before_and_after_is_told(told):
    with pytest.raises(Mismatch):
        ask({1, 2}, {1, 3}).check(_Told(told))


def test_what_was_told_as_it_is_after_stays_so():
    one = ask({1, 2}, {1, 3})
    one.check(_Told([1, 2, 3]))
    one.check(_Told([1, 3]))
    with pytest.raises(Mismatch, match='goes back'):
        one.check(_Told([1, 2, 3]))


def test_what_is_done_in_two_steps_may_be_seen_amid_them():
    ask({1, 2}, {1}, touched=[1]).check(_Told([]))
    with pytest.raises(Mismatch):
        ask({1, 2}, {1, 2}, touched=[1]).check(_Told([]))


@pytest.mark.parametrize('returns,told,is_right', [
    (['COUNT'], dict(COUNT=2), True), (['COUNT'], dict(COUNT=3), True), (['COUNT'], dict(COUNT=4), False),
    (['MIN', 'COUNT'], dict(MIN=1, COUNT=1), True), (['MIN', 'COUNT'], dict(MIN=2, COUNT=1), False),
    (['MAX'], dict(MAX=3), True), (['MAX'], dict(MAX=1), True), (['MAX'], dict(MAX=9), False),
    (['ALL', 'COUNT'], dict(ALL=[1, 3], COUNT=2), True), (['ALL', 'COUNT'], dict(ALL=[1, 3], COUNT=1), False),
])
def test_what_follows_from_one_of_all_sets(returns, told, is_right):
    one = ask({1, 2}, {1, 3}, *returns)
    if is_right:
        one.check(_Told(**told))
    else:
        with pytest.raises(Mismatch):
            one.check(_Told(**told))


def parted(lines, *ops):
    view = model.View('s')
    view.open('INBOX', False)
    view.messages = [model.Message(uid, frozenset()) for uid in (11, 12, 13)]
    tags = ['T%d' % n for n in range(1, len(ops) + 1)]
    responses = [wire.Response(line) for line in lines]
    results = {tag: Result(wire.Response(b'%s OK done\r\n' % tag.encode()), responses if tag == tags[0] else []) for tag in tags}
    return flights._parted(list(ops), view, tags, results)


def test_lines_of_several_searches_done_at_once():
    """As Dovecot tells them: all the lines before any of the tagged ones."""
    first, second, third = parted([b'* SEARCH 1\r\n', b'* ESEARCH (TAG "T2") ALL 2\r\n', b'* SEARCH 3\r\n'],
                                  *(Op(0, 'SEARCH', 'SEARCH x') for _ in range(3)))
    assert (first.search, second.esearch, third.search) == ([1], {'ALL': [2]}, [3])
    for lines in ([b'* SEARCH 1\r\n'], [b'* SEARCH 1\r\n', b'* SEARCH 1\r\n', b'* SEARCH 1\r\n']):
        with pytest.raises(Mismatch, match='pipeline'):
            parted(lines, *(Op(0, 'SEARCH', 'SEARCH x') for _ in range(2)))


def test_flags_go_to_the_store_that_names_the_message():
    store, fetch = parted([b'* 2 FETCH (FLAGS (\\Seen))\r\n', b'* 3 FETCH (FLAGS (\\Seen) RFC822.SIZE 9)\r\n'],
                          Op(0, 'UID STORE', 'UID STORE 12 +FLAGS (\\Seen)'),
                          Op(0, 'UID FETCH', 'UID FETCH 13 RFC822.SIZE', items=['RFC822.SIZE', 'UID']))
    assert list(store.fetched) == [12] and list(fetch.fetched) == [13]
