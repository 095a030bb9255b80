"""Criteria in forms that are legal but odd, or not quite legal and taken by servers: the same answer as directly."""
import pytest

import spine_tools as tools
from imapjudge import mailgen

DAYS = ('SINCE 31-Feb-2021', 'SINCE 29-Feb-2021', 'SINCE 32-Jan-2021', 'BEFORE 00-Jan-2021', 'SENTSINCE 31-Apr-2021',
        # of two dates the one that says all is asked: a day that there is not says what the server makes of it
        'OR SINCE 29-Feb-2021 SINCE 2-Mar-2021', 'SINCE 31-Feb-2021 SINCE 2-Mar-2021', 'OR BEFORE 31-Feb-2021 BEFORE 2-Mar-2021',
        'NOT SENTSINCE 31-Feb-2021')
STRINGS = ('SUBJECT rep*', 'HEADER Message-ID <a%b*c@d>', 'NOT SUBJECT *')


def chains(n):
    """One of many senders, as programs write it."""
    keys = ['FROM "x%d@example.org"' % i for i in range(n)] + ['FROM "anna"']
    right, left, listed = keys[-1], keys[0], '(%s)' % keys[0]
    for key in reversed(keys[:-1]):
        right = 'OR %s %s' % (key, right)
    for key in keys[1:]:
        left, listed = '(OR %s %s)' % (left, key), 'OR (%s) (%s)' % (listed, key)
    return right, left, listed, 'NOT ' + right, '%s UNSEEN' % left, '(' * n + 'FROM "anna"' + ')' * n


@pytest.fixture
def both(server, user, proxy, connect):
    """(through the proxy, directly), the same mailbox selected"""
    with server.client(user) as client:
        for mail in mailgen.Generator(8).mails(30):
            client.append('INBOX', mail.octets, ' '.join(mail.flags), mail.date)
    clients = connect(proxy.port, user, timeout=30), connect(server.port, user)
    for client in clients:
        client.select()
    return clients


def ask(both, program):
    answers = [client.cmd('UID SEARCH ' + program) for client in both]
    for client in both:
        client.must('NOOP')             # many bad ones in a row end a session
    assert answers[0].status == answers[1].status, program
    assert answers[0].search() == answers[1].search(), program
    return answers[0]


@pytest.mark.parametrize('program', DAYS + STRINGS)
def test_the_same_as_directly(both, program):
    for _ in range(2):
        assert ask(both, program).ok


@pytest.mark.parametrize('length', [30, 33, 120])
def test_long_chains_are_not_too_deep(both, length):
    """`OR a OR b OR c ..` of 33 was NO [LIMIT] here."""
    for program in chains(length):
        assert ask(both, program).ok


def test_long_chains_beside_what_is_never_kept_are_not_too_deep(dovecot, user, proxy, connect):
    """Of volatile keys ORs in ORs counted as so many levels: one of 32 senders, or young, was NO [LIMIT]."""
    dovecot.fill(user, 'INBOX', mailgen.Generator(8).mails(30), create=False)
    both = connect(proxy.port, user, timeout=30), connect(dovecot.port, user)
    for client in both:
        client.select()
    for chain in chains(100)[:3]:
        old = ask(both, 'NOT YOUNGER 1000000000 ' + chain)
        assert old.ok and ask(both, chain).search()
        for program in ('OR YOUNGER 5 ' + chain, 'OR %s YOUNGER 1000000000' % chain, 'NOT OR OLDER 1000000000 ' + chain,
                        # a leaf twice, of what is never kept: that goes whole, in the client's form
                        'OR YOUNGER 5 OR (OLDER 7 YOUNGER 9) OR (NOT OLDER 7 YOUNGER 5) ' + chain,
                        chain.replace('FROM "x50@example.org"', 'YOUNGER 1000000000')):
            for _ in range(2):
                assert ask(both, program).ok


def test_a_day_that_there_is_not_is_asked_about_though_nothing_depends_on_it(fake, make_proxy, connect):
    """The server may refuse it, and then so do we."""
    fake.on('UID SEARCH', lambda conn, command: conn.send(command.tag + b' BAD No such day\r\n')
            if b'31-Feb' in command.args else conn.default(command))
    for number in range(3):
        fake.mailbox('INBOX').add(b'Subject: %d\r\n\r\n' % number)
    client = connect(make_proxy(fake.port).port, 'u0')
    client.select()
    assert client.cmd('UID SEARCH SEEN UNSEEN SINCE 31-Feb-2021').status == 'BAD'
    assert client.cmd('UID SEARCH SEEN UNSEEN SINCE 28-Feb-2021').ok


def test_a_keyword_may_be_a_string(both):
    """Cyrus refuses it; Dovecot and Courier do not."""
    both[0].must('UID STORE 3,5 +FLAGS.SILENT (Odd1)')
    assert both[0].must('UID SEARCH KEYWORD "Odd1"').search() == [3, 5]
    assert both[0].must('UID SEARCH UNKEYWORD "Odd1" 1:5').search() == [1, 2, 4]
    assert both[0].must('UID SEARCH KEYWORD "no such"').search() == []


def test_t24_mod_sequences_are_refused_where_there_are_none(fake, make_proxy, connect):
    """RFC 7162 3.1.2.2; SEARCH MODSEQ found nothing there, NOT MODSEQ all."""
    fake.capabilities = ' '.join(c for c in fake.capabilities.split() if c not in ('CONDSTORE', 'QRESYNC')) + ' SORT'
    for number in range(3):
        fake.mailbox('INBOX').add(b'Subject: %d\r\n\r\n' % number)
    client = connect(make_proxy(fake.port).port, 'u0')
    client.select()
    for program in ('SEARCH MODSEQ 1', 'UID SEARCH NOT MODSEQ 9', 'SEARCH RETURN (SAVE) MODSEQ 0', 'SORT (DATE) UTF-8 MODSEQ 1'):
        result = client.cmd(program)
        assert result.status == 'BAD' and not result.named('SEARCH') + result.named('SORT'), program
    assert client.must('SEARCH ALL').search() == [1, 2, 3]


@pytest.mark.parametrize('cuts', [1, 2])
def test_criteria_that_go_as_they_are_are_asked_again_once_when_the_link_is_lost(fake, make_proxy, connect, cuts):
    """A charset that nothing is known of here: the server judges the whole."""
    for number in range(3):
        fake.mailbox('INBOX').add(b'Subject: %d\r\n\r\n' % number, {'\\Seen'} if number == 1 else ())
    asked = []

    def search(conn, command):
        if b'KOI8-R' not in command.args:
            return conn.default(command)
        asked.append(command.args)
        if len(asked) <= cuts:
            return conn.cut()
        return conn.send(b'* SEARCH 2\r\n' + command.tag + b' OK done\r\n')

    fake.on('UID SEARCH', search)
    client = connect(make_proxy(fake.port).port, 'u0', timeout=30)
    client.select()
    result = client.cmd('UID SEARCH CHARSET KOI8-R SEEN')
    assert (result.status, result.search(), len(asked)) == (('OK', [2], 2) if cuts == 1 else ('NO', [], 2))


def test_modseqs_that_the_map_did_not_bring_are_asked_for_before_they_are_compared(dovecot, user, make_proxy, connect):
    """A mailbox that is read by SEARCH: of most messages no modseq is known at first."""
    dovecot.fill(user, 'INBOX', mailgen.Generator(8).mails(30), create=False)
    direct = connect(dovecot.port, user)
    direct.must('SELECT INBOX (CONDSTORE)')
    for number in (3, 7, 8, 20):
        direct.must('STORE %d +FLAGS.SILENT (\\Flagged)' % number)
    known = sorted(items['MODSEQ'][0] for items in direct.must('FETCH 1:* (MODSEQ)').fetch().values())
    proxy = make_proxy(dovecot.port, kind=tools.Configured, upstream='search_map_from = 10')
    for modseq in (known[0], known[10], known[-3], known[-1]):      # beyond it Dovecot finds nothing, also with NOT
        for program in ('UID SEARCH MODSEQ %d', 'UID SEARCH NOT MODSEQ %d', 'UID SEARCH OR MODSEQ %d SUBJECT "a"', 'UID SORT (ARRIVAL) UTF-8 MODSEQ %d'):
            with proxy.client(user) as client:
                client.select()
                lines = [[r.raw for r in c.must(program % modseq).untagged if r.name in ('SEARCH', 'SORT')] for c in (client, direct)]
                assert lines[0] == lines[1], program % modseq


@pytest.mark.parametrize('program', ['1:999', '999', 'NOT 999', '25:1000 SUBJECT a', 'OR 999 2', 'NOT 5:999 FROM a'])
def test_numbers_beyond_the_last(both, program):
    """Outlook and K-9 search 1:50 of what they believe is there."""
    assert ask(both, program).ok


def test_t13_old_new_and_recent_are_of_the_session(dovecot, user, proxy, connect):
    dovecot.fill(user, 'INBOX', mailgen.Generator(8).mails(5), create=False)
    first, second = connect(proxy.port, user), connect(proxy.port, user)
    recent = range(1, first.select().exists + 1)
    first.must('STORE 1:* -FLAGS.SILENT (\\Seen)')
    first.must('STORE 2 +FLAGS.SILENT (\\Seen)')
    second.must('EXAMINE INBOX')
    for client, told in ((first, set(recent)), (second, set())):
        for program, right in (('RECENT', told), ('OLD', set(recent) - told), ('NOT OLD', told), ('NEW', told - {2}),
                               ('NOT NEW', set(recent) - told | {2}), ('OLD SEEN', {2} - told), ('OR NEW SEEN', told | {2})):
            assert set(client.must('SEARCH ' + program).search()) == right, program
