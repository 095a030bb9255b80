"""SEARCH keys the proxy knows nothing of, or that only the upstream may look into: the same answer as directly."""
import pytest

import spine_tools as tools
from imapjudge import mailgen

PROGRAMS = (
    # known to Dovecot, not offered by it; numbers inside are the client's
    'INTHREAD REFERENCES SUBJECT "order"', 'INTHREAD REFERENCES (OR SUBJECT "order" 3:4) UNSEEN', 'FUZZY SUBJECT "order"',
    'OR (FUZZY (TEXT "order" 2:9) FLAGGED) NOT FUZZY (5:* SEEN)', 'FUZZY $ 1:12', 'NOT FUZZY (UID 3:6) FUZZY ALL',
    'X-GUID "nothing" SEEN', 'X-MAILBOX INBOX 2:3', 'OR X-MAILBOX "INBOX" SEEN',
    # known to nobody: the upstream's BAD
    'XYZZY', 'XYZZY foo "bar" SEEN', 'OR ALL XYZZY', 'NOT ALL XYZZY', 'OR SEEN FILTER mine', 'ANNOTATION /comment value "x"',
    'SEEN,DRAFT', 'XYZZY {3+}\r\na b NOT SEEN',
    # as many ways to say one thing as there are
    'NOT NOT SEEN', 'OR OR OR SEEN DRAFT FLAGGED (ANSWERED)', 'ALL ALL', 'OR NOT SUBJECT "order" NOT FROM "a"',
    'NOT OR SUBJECT "order" NOT (FROM "a" UNSEEN)', 'header SUBJECT "order" HEADER subject ""')


@pytest.mark.parametrize('verb', ['SEARCH', 'UID SEARCH', 'UID SEARCH RETURN (COUNT MAX ALL)'])
def test_the_same_as_directly(dovecot, user, proxy, connect, verb):
    dovecot.fill(user, 'INBOX', mailgen.Generator(5).mails(40), create=False)
    clients = connect(proxy.port, user, timeout=30), connect(dovecot.port, user)
    for client in clients:
        client.select()
    clients[1].must('STORE 4,9 +FLAGS.SILENT (\\Deleted)')
    clients[1].must('EXPUNGE')                  # so that numbers and UIDs are two things
    told = []
    tools.wait_until(lambda: told.extend(clients[0].must('NOOP').named('EXPUNGE')) or len(told) == 2, what='both EXPUNGE')
    for client in clients:
        client.must('UID SEARCH RETURN (SAVE) 6:20')
    for turn in range(2):
        for program in PROGRAMS:
            if '$' not in program or verb == 'UID SEARCH':
                answers = [client.cmd('%s %s' % (verb, program)) for client in clients]
                assert answers[0].status == answers[1].status, program
                found = [(a.search(), [r.raw.split(b')', 1)[-1] for r in a.named('ESEARCH')]) for a in answers]
                assert found[0] == found[1], (turn, program)
                for client in clients:
                    client.must('NOOP')         # many bad ones in a row end a session


@pytest.fixture
def knowing(fake, make_proxy, connect):
    """(fake, client): whatever keys there are, that server knows them, and finds 2 and 3 by them."""
    for n in range(1, 5):
        fake.mailbox().add(b'Subject: %d\r\n\r\n' % n, uid=n * 10)
    fake.on('UID SEARCH', lambda conn, command: b'* SEARCH 20 30\r\n%s OK done\r\n' % command.tag
            if b'X' in command.args.upper() else conn.default(command))
    client = connect(make_proxy(fake.port).port, 'u0', timeout=30)
    client.select()
    client.must('FETCH 1:* (FLAGS)')
    return fake, client


@pytest.mark.parametrize('program, sent', [
    ('XKEY two atoms', 'XKEY two atoms'), ('xkey b a SEEN', 'xkey b a SEEN'), ('SEEN xkey c b a', 'SEEN xkey c b a'),
    ('OR XKEY a SEEN UNSEEN', 'OR XKEY a SEEN UNSEEN'), ('NOT XKEY a b', 'NOT XKEY a b'), ('XA "b" c XB {1+}\r\nd e', 'XA "b" c XB "d" e'),
    ('NOT XKEY SEEN FLAGGED', 'NOT XKEY SEEN FLAGGED'), ('2:3 NOT (XKEY b a)', 'UID 20:30 NOT (XKEY b a)'),
    ('SUBJECT 2 XKEY b a OR FROM b FROM a', 'SUBJECT "2" XKEY b a OR FROM "b" FROM "a"'),
    ('FUZZY XKEY b a', 'FUZZY XKEY b a'), ('NOT (XKEY b)', 'NOT (XKEY b)'), ('OR OR XKEY a SEEN DRAFT', 'OR OR XKEY a SEEN DRAFT'), ('(XKEY) b', '(XKEY) b')])
def test_what_only_the_upstream_can_read_it_gets_as_it_was_written(knowing, program, sent):
    """In another order `xkey b a` would be `a xkey b`, and of NOT XKEY a only the server knows whether it is of a."""
    fake, client = knowing
    assert client.must('SEARCH ' + program).search() == [2, 3]
    asked = [c for c in fake.seen('UID SEARCH') if b'key' in c.args.lower() or b'XA' in c.args]
    assert [c.args.replace(b'"2"', b'2').replace(b'"', b'').strip() for c in asked] == [sent.replace('"', '').encode()]
