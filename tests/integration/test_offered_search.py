"""ESEARCH and SEARCHRES are the proxy's own work, whatever the upstream has (RFC 4731, RFC 5182)."""
import pytest

import spine_tools as tools
from imapjudge import fakeserver, imapclient

RETURNS = ('SAVE', 'SAVE ALL', 'SAVE COUNT', 'SAVE MIN', 'SAVE MAX', 'MIN MAX SAVE', 'SAVE MIN COUNT', 'SAVE MAX ALL')


def esearch(result):
    """The words of the ESEARCH line behind its correlator, in pairs without order; None: there was none."""
    lines = [bytes(r.raw).split(b')', 1)[1].split() for r in result.named('ESEARCH')]
    if not lines:
        return None
    assert len(lines) == 1
    words = lines[0]
    is_uid = words[:1] == [b'UID']
    rest = words[1:] if is_uid else words
    return is_uid, {rest[i]: rest[i + 1] for i in range(0, len(rest), 2)}


@pytest.fixture
def pair(proxy, server, user, connect):
    """(through the proxy, directly), the same mailbox selected: 6 mails, 2 and 5 flagged, UID 3 gone."""
    server.fill(user, 'INBOX', tools.mails(7))
    server.fill(user, 'Box', [])
    with server.client(user) as direct:
        direct.select()
        direct.must('UID STORE 2,5 +FLAGS.SILENT (\\Flagged)')
        direct.must('UID STORE 3 +FLAGS.SILENT (\\Deleted)')
        direct.must('EXPUNGE')
    clients = connect(proxy.port, user), connect(server.port, user)
    for client in clients:
        client.select()
    return clients


def uids(client, numbers='$', verb='FETCH'):
    return sorted(items['UID'] for items in client.must('%s %s (UID)' % (verb, numbers)).fetch().values())


@pytest.mark.parametrize('returns', RETURNS)
@pytest.mark.parametrize('criteria', ['FLAGGED', 'SUBJECT number', 'SUBJECT "number 4"', 'SUBJECT nowhere', 'KEYWORD none'])
def test_saved_result_is_as_dovecot_has_it(pair, returns, criteria):
    got = []
    for client in pair:
        result = client.must('SEARCH RETURN (%s) %s' % (returns, criteria))
        assert not result.named('SEARCH')
        got.append((esearch(result), uids(client), uids(client, verb='UID FETCH'),
                    client.must('SEARCH $ UNDELETED').search(), client.must('UID SEARCH UID $').search(),
                    client.must('UID SEARCH NOT $').search()))
    assert got[0] == got[1]


@pytest.mark.parametrize('verb', ['SEARCH', 'UID SEARCH'])
@pytest.mark.parametrize('returns', ['', 'ALL', 'MIN', 'MAX', 'COUNT', 'MIN MAX', 'COUNT ALL MIN MAX', 'COUNT MIN'])
def test_return_options_are_as_dovecot_has_them(pair, verb, returns):
    for criteria in ('FLAGGED', 'ALL', 'KEYWORD none', 'SUBJECT "number 6"', 'SUBJECT nowhere'):
        got = [esearch(client.must('%s RETURN (%s) %s' % (verb, returns, criteria))) for client in pair]
        assert got[0] == got[1], criteria


def test_saved_result_in_every_command_that_takes_a_set(pair):
    client = pair[0]
    client.must('UID SEARCH RETURN (SAVE) UID 2,4,6')
    assert uids(client) == [2, 4, 6]
    client.must('STORE $ +FLAGS.SILENT (\\Answered)')
    client.must('COPY $ Box')
    client.must('UID STORE $ +FLAGS.SILENT (\\Draft)')
    client.must('UID COPY $ Box')
    assert client.must('UID SEARCH ANSWERED DRAFT').search() == [2, 4, 6]
    client.must('SEARCH RETURN (SAVE) UID 4,6')
    client.must('MOVE $ Box')
    client.must('NOOP')
    assert uids(client) == []           # what has gone is in it no more
    assert client.must('UID SEARCH ALL').search() == [1, 2, 5, 7]
    client.must('SEARCH RETURN (SAVE) UID 2,5')
    client.must('STORE 1:* +FLAGS.SILENT (\\Deleted)')
    client.must('UID EXPUNGE $')
    assert client.must('UID SEARCH ALL').search() == [1, 7]
    for empty in ('FETCH $ FLAGS', 'STORE $ +FLAGS (\\Seen)', 'COPY $ Box', 'UID EXPUNGE $', 'UID MOVE $ Box',
                  'SEARCH RETURN (SAVE) $'):
        assert not client.must(empty).fetch()


def test_saved_result_loses_what_another_session_expunges(pair, server, user):
    client = pair[0]
    client.must('SEARCH RETURN (SAVE) UID 2:5')
    with server.client(user) as other:
        other.select()
        other.must('UID STORE 4 +FLAGS.SILENT (\\Deleted)')
        other.must('EXPUNGE')
    tools.wait_until(lambda: client.must('NOOP') and client.must('SEARCH ALL').search() == [1, 2, 3, 4, 5],
                     what='the expunge')
    assert uids(client) == [2, 5]


def test_saved_result_is_reset(pair):
    client = pair[0]
    client.must('SEARCH RETURN (SAVE) ALL')
    assert uids(client) == [1, 2, 4, 5, 6, 7]
    client.select()
    assert uids(client) == []           # RFC 5182 2.1: SELECT empties it
    client.must('SEARCH RETURN (SAVE) ALL')
    # a NO empties it, a BAD leaves it
    assert client.cmd('SEARCH RETURN (SAVE) BOGUS').status == 'BAD'
    assert uids(client) == [1, 2, 4, 5, 6, 7]
    assert client.cmd('SEARCH RETURN (SAVE) CHARSET NOSUCH SUBJECT x').status == 'NO'
    assert uids(client) == []


@pytest.mark.parametrize('too_much', ['sets', 'literal'])
def test_saved_result_of_a_search_that_is_refused_here_is_empty(pair, too_much):
    """What stands behind it in a pipeline must not be done to the messages of the SEARCH before."""
    client = pair[0]
    client.must('SEARCH RETURN (SAVE) ALL')
    if too_much == 'sets':
        search = ('SEARCH RETURN (SAVE) ' + ' '.join('UID %d' % n for n in range(1, 300)) + ' SUBJECT x',)
    else:
        search = ('SEARCH RETURN (SAVE) SUBJECT ', imapclient.Lit(b'x' * 3_000_000, False))
    tags = [client.start(*search), client.start('UID STORE $ +FLAGS (\\Deleted)'), client.start('EXPUNGE')]
    results = [client.wait(tag, 20) for tag in tags]
    assert [r.status for r in results] == ['NO', 'OK', 'OK'], results
    assert client.must('UID SEARCH ALL').search() == [1, 2, 4, 5, 6, 7]


def test_saved_result_used_in_a_pipeline(pair):
    """RFC 5182 2.3: the commands behind the SEARCH need not wait for its answer."""
    client = pair[0]
    tags = [client.start(*c) for c in (('SEARCH RETURN (SAVE) SUBJECT "number 6"',), ('FETCH $ (UID)',),
                                       ('UID STORE $ +FLAGS (\\Flagged)',), ('SEARCH RETURN (SAVE) $ UNFLAGGED',),
                                       ('FETCH $ (UID)',))]
    results = [client.wait(tag) for tag in tags]
    assert all(r.ok for r in results), results
    assert [i['UID'] for i in results[1].fetch().values()] == [6]
    assert not results[4].fetch()


def test_offered_where_the_upstream_has_neither(make_proxy, connect):
    with fakeserver.FakeServer(capabilities='IMAP4rev1 IDLE UIDPLUS') as server:
        box = server.mailbox('INBOX')
        for mail in tools.mails(4):
            server.change(lambda: box.add(mail))
        client = connect(make_proxy(server.port).port, 'u0')
        offered = client.capability()
        assert 'ESEARCH' in offered and 'SEARCHRES' in offered and 'CONDSTORE' not in offered
        client.select()
        assert esearch(client.must('UID SEARCH RETURN (SAVE COUNT) UID 2:3')) == (True, {b'COUNT': b'2'})
        assert uids(client) == [2, 3]
        assert not server.errors
