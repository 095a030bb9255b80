"""What stands between proved on Dovecot alone: hiding, cutting, and the second opinion on searches."""
import threading
import types

import pytest

import generate
import model
import queries
import recheck
from imapjudge import dovecot, imapclient
from imapjudge.imapclient import Lit
from middle import Middle, NEEDS

MAIL = b'Subject: one\r\n\r\n* OK [HIGHESTMODSEQ 1] is text\r\nA1 BAD [CAPABILITY MOVE]\r\n'


@pytest.fixture(scope='module')
def server():
    with dovecot.Dovecot(users=4) as running:
        yield running


@pytest.fixture
def behind(server):
    """behind(hide...) -> (Middle, client of a new user)."""
    opened = []

    def make(*hide):
        middle = Middle(server.port, hide).start()
        client = imapclient.IMAPClient('127.0.0.1', middle.port).login(server.new_user())
        opened.append((middle, client))
        return middle, client
    yield make
    for middle, client in opened:
        client.close()
        middle.stop()


def test_nothing_hidden_changes_nothing(server, behind):
    middle, client = behind()
    assert {'QRESYNC', 'CONDSTORE', 'UIDPLUS', 'IDLE', 'MOVE', 'ESEARCH', 'ENABLE'} <= client.capability()
    assert client.append('INBOX', MAIL).code == 'APPENDUID'
    assert not middle.unoffered


def test_words_and_codes_are_hidden(behind):
    hide = ('QRESYNC', 'CONDSTORE', 'UIDPLUS', 'NAME')
    middle, client = behind(*hide)
    assert b'Dovecot' not in client.greeting.raw
    assert not client.capability() & set(hide)
    done = client.append('INBOX', MAIL, sync=True)
    assert done.ok and done.code is None
    codes = client.select().codes()
    assert 'UIDVALIDITY' in codes and 'HIGHESTMODSEQ' not in codes
    assert client.fetch('1', 'BODY[]')[1]['BODY[]'] == MAIL
    assert not middle.unoffered


ASKED = {'QRESYNC': 'ENABLE QRESYNC', 'CONDSTORE': 'SELECT INBOX (CONDSTORE)', 'UIDPLUS': 'UID EXPUNGE 1',
         'ESEARCH': 'SEARCH RETURN (ALL) ALL', 'IDLE': 'IDLE', 'MOVE': 'UID MOVE 1 INBOX', 'UNSELECT': 'UNSELECT',
         'ENABLE': 'ENABLE CONDSTORE', 'LIST-STATUS': 'LIST "" "*" RETURN (STATUS (MESSAGES))',
         'LIST-EXTENDED': 'LIST (SUBSCRIBED) "" "*"', 'NAMESPACE': 'NAMESPACE', 'BINARY': 'APPEND INBOX ~{3}',
         'SASL-IR': 'AUTHENTICATE PLAIN AAAA', 'ID': 'ID NIL', 'LITERAL+': None}
UNSEEN = ('NAME', 'CHILDREN', 'MULTIAPPEND')     # nothing a client says shows them


@pytest.mark.parametrize('name', sorted(NEEDS))
def test_what_is_not_offered_is_refused_and_remembered(behind, name):
    middle, client = behind(name)
    client.select()
    if ASKED.get(name):
        assert client.cmd(ASKED[name]).status == 'BAD'
    elif name == 'LITERAL+':
        client.start('APPEND INBOX ', Lit(MAIL, sync=False))
        assert client.read_response().name == 'BAD'
    assert [text.partition(':')[0] for text in middle.unoffered] == ([] if name in UNSEEN else [name])
    asked = 'SEARCH SUBJECT "UID MOVE (QRESYNC ENABLE MODSEQ"'
    assert client.cmd(asked).ok
    assert len(middle.unoffered) == (name not in UNSEEN)


def test_hang_up_waits_for_the_other_side(behind):
    middle, client = behind()
    ended = threading.Event()

    def close_late():
        client.read_until_closed()
        ended.set()
        client.close()
    watcher = threading.Thread(target=close_late)
    watcher.start()
    assert middle.hang_up() == 1
    assert ended.is_set()
    watcher.join()
    assert middle.live() == []


def test_held_links_go_on_later(server, behind):
    middle, _ = behind()
    middle.hold()
    late = imapclient.IMAPClient('127.0.0.1', middle.port, connect=False, timeout=0.3)
    with pytest.raises(imapclient.IMAPTimeout):
        late.connect()
    middle.hold(False)
    assert late.read_response(5).name == 'OK'
    late.close()


def test_armed_cut_comes_where_it_was_asked_for(behind):
    middle, client = behind()
    middle.arm('up', 2, 0, False)
    assert client.cmd('NOOP').ok
    with pytest.raises(imapclient.IMAPClosed):
        client.cmd('CREATE x')
    assert middle.disarm()
    middle, client = behind()
    middle.arm('down', 1, 0.5, False)
    with pytest.raises(imapclient.IMAPClosed):
        client.cmd('NOOP')
    assert middle.disarm()
    middle, client = behind()
    middle.arm('down', 1, 0.5, False)
    assert not middle.disarm()
    assert client.cmd('NOOP').ok


SEEN, DELETED, UIDS = ['key', 'SEEN'], ['key', 'DELETED'], ['key', 'UID', '2:3']


@pytest.mark.parametrize('tree,right', [
    (['key', 'ALL'], {1, 2, 3, 4}), (SEEN, {2, 4}), (['not', ['and', DELETED, SEEN]], {1, 2, 3}),
    (['and', ['not', DELETED], SEEN], {2}), (['or', ['not', ['and', DELETED, SEEN]], ['and', DELETED, SEEN]], {1, 2, 3, 4}),
    (['or', DELETED, SEEN], {2, 3, 4}), (['and', UIDS, SEEN], {2}), (['key', 'HEADER', ['Subject'], ['a (b']], {1}),
    (['and', UIDS, ['not', ['key', 'KEYWORD', 'x']]], {2, 3}),
])
def test_search_keys_one_by_one(tree, right):
    leaves = {'ALL': {1, 2, 3, 4}, 'SEEN': {2, 4}, 'DELETED': {3, 4}, 'UID': {2, 3}, 'KEYWORD': {4}, 'HEADER': {1}}
    assert recheck.found(tree, lambda leaf: leaves[leaf[1]], {1, 2, 3, 4}) == right


def second_opinion(client):
    side = types.SimpleNamespace(outside=client, leave=lambda client: client.must('UNSELECT'))
    return recheck.Recheck(side, queries.Queries(None, ()))


def test_only_the_end_of_a_field_list_may_be_told_wrong(server):
    client = server.client(server.new_user())
    client.append('INBOX', MAIL)
    again = second_opinion(client)
    none, some = 'BODY[HEADER.FIELDS (X-NONE)]<1>', 'BODY[HEADER.FIELDS (SUBJECT)]<1>'
    client.must('EXAMINE INBOX')
    whole = client.must('UID FETCH 1 ' + some.replace('BODY', 'BODY.PEEK').replace('<1>', '')).fetch_by_uid()[1]
    end = some.replace('<1>', '<%d>' % (len(whole[some.replace('<1>', '')]) - 1))
    client.must('UNSELECT')
    for name in (none, end):
        assert again.is_end_of_list('INBOX', 1, name, (b'\r', b'\n'))
        assert again.is_end_of_list('INBOX', 1, name, (b'\n', b'\r'))
    for name, value in ((none, b'x'), (none, b''), (some, b'\n'), (none.replace('<1>', '<0>'), b'\r'),
                        (none.replace('<1>', ''), b'\n'), (end, b'\n\r')):
        assert not again.is_end_of_list('INBOX', 1, name, (value, b'\n')), (name, value)
    client.close()


def three_mails(server):
    """A client of a new user, and what a session sees that has opened the INBOX."""
    client = server.client(server.new_user())
    for _ in range(3):
        client.append('INBOX', MAIL)
    view = model.View('s')
    view.open('INBOX', False)
    view.messages = [model.Message(uid, frozenset()) for uid in (1, 2, 3)]
    return client, view


@pytest.mark.parametrize('options,saved', [
    ('SAVE', {1, 2}), ('SAVE ALL MIN', {1, 2}), ('COUNT SAVE', {1, 2}), ('SAVE MIN', {1}), ('MAX MIN SAVE', {1, 2}),
    ('ALL', None),
])
def test_what_was_saved_is_set_right(server, options, saved):
    client, view = three_mails(server)
    op = generate.Op(0, 'UID SEARCH', returns=options.split(), charset=None,
                     tree=['or', ['key', '1'], ['key', 'UID', '2']])
    assert second_opinion(client).saved(op, view) == saved
    client.close()


@pytest.mark.parametrize('verb,returns,told,is_right', [
    ('UID SORT', None, [9, 3, 4, 6], True), ('UID SORT', None, [3, 9, 4, 6], False), ('UID SORT', None, [9, 4], True),
    ('UID SORT', None, [4, 9], False), ('SORT', None, [4, 1, 2, 3], True), ('SORT', None, [2, 1], False),
    ('UID SORT', 'MIN MAX', {'MIN': 9, 'MAX': 6}, True), ('UID SORT', 'MIN MAX', {'MIN': 9, 'MAX': 4}, False),
    ('SORT', 'MIN', {'MIN': 4}, True), ('UID SORT', 'ALL', {'ALL': [9, 3, 4, 6]}, True),
    ('UID SORT', 'ALL', {'ALL': [9, 4, 3, 6]}, False),
])
def test_order_is_right_as_the_server_tells_it_at_last(server, verb, returns, told, is_right):
    """By FROM (A, B), then SIZE."""
    client = server.client(server.new_user())
    for sender, size in (('b', 1), ('a', 1), ('b', 3), ('b', 4), ('a', 1), ('b', 4), ('a', 1), ('a', 1), ('a', 1)):
        client.append('INBOX', b'From: %s@x\r\n\r\n%s\r\n' % (sender.encode(), b'x' * size))
    client.must('SELECT INBOX')
    client.must('STORE 1,2,5,7,8 +FLAGS (\\Deleted)')
    client.must('EXPUNGE')
    client.must('UNSELECT')
    view = model.View('s')
    view.open('INBOX', False)
    view.messages = [model.Message(uid, frozenset()) for uid in (3, 4, 6, 9)]
    op = generate.Op(0, verb, pieces=[verb + ' (FROM SIZE) UTF-8 ALL'], tree=['key', 'ALL'], charset='UTF-8',
                     returns=returns and returns.split())
    answer = types.SimpleNamespace(esearch=told if returns else None, order=told)
    assert second_opinion(client).order(op, view, answer) == is_right
    client.close()


@pytest.mark.parametrize('program,told,is_right', [
    ('DATE SUBJECT', [4, 3, 1, 2], True), ('DATE SUBJECT', [4, 1, 3, 2], False), ('REVERSE DATE', [2, 1, 3, 4], True),
    ('REVERSE DATE', [2, 3, 1, 4], False), ('DATE', [4, 1, 3, 2], True), ('SUBJECT DATE', [4, 3, 1, 2], False),
])
def test_order_by_the_dates_in_the_headers(server, program, told, is_right):
    """4 has none, and came first of all."""
    client = server.client(server.new_user())
    for day, subject in ((b'3', b'b'), (b'4', b'a'), (b'3', b'a'), (b'x', b'x')):
        client.append('INBOX', b'Date: %s Mar 2021 10:00:00 +0100\r\nSubject: %s\r\n\r\nx\r\n' % (day, subject),
                      date='01-Jan-2020 10:00:00 +0000')
    view = model.View('s')
    view.open('INBOX', False)
    view.messages = [model.Message(uid, frozenset()) for uid in (1, 2, 3, 4)]
    op = generate.Op(0, 'UID SORT', pieces=['UID SORT (%s) UTF-8 ALL' % program])
    assert second_opinion(client).dates(op, view, types.SimpleNamespace(esearch=None, order=told)) == is_right
    client.close()


@pytest.mark.parametrize('verb,threads,is_right', [
    ('UID THREAD', [[1, [2], [3]]], True), ('UID THREAD', [[1, [3], [2]]], False), ('THREAD', [[1, 2]], True),
    ('THREAD', [[1], [2]], False),
])
def test_threads_are_right_as_the_server_tells_them_at_last(server, verb, threads, is_right):
    client, view = three_mails(server)
    op = generate.Op(0, verb, pieces=[verb + ' ORDEREDSUBJECT UTF-8 ALL'])
    assert second_opinion(client).threads(op, view, types.SimpleNamespace(threads=threads)) == is_right
    op.meta['pieces'] = [verb + ' REFS UTF-8 ALL']
    assert not second_opinion(client).threads(op, view, types.SimpleNamespace(threads=threads))
    client.close()


def test_threads_by_the_dates_in_the_headers():
    day = {1: 9, 2: 3, 3: 3, 4: 1, 5: 7, 6: 7}
    assert recheck._by_date([[1, [2], [3]], [5, 6], [4]], day.get) == [[4], [2, [3], [1]], [5, 6]]
    told = [[2, [3], [1]], [[5], [6]], [4]]
    assert recheck._alike([[4], [2, [1], [3]], [[6], [5]]]) == recheck._alike(told)
    assert recheck._alike([[4], [2, [1, 3]], [[6], [5]]]) != recheck._alike(told)
    assert recheck._is_by_date([[4], [2, [3], [1]], [[5], [6]]], day.get)
    assert not recheck._is_by_date(told, day.get)
    assert not recheck._is_by_date([[4], [2, [1], [3]], [[5], [6]]], day.get)
