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
