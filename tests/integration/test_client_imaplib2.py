"""imaplib2 (threads, IDLE), beside imaplib and curl on the same mailbox."""
import imaplib

import pytest

import client_tools as programs
import spine_tools as tools

imaplib2 = pytest.importorskip('imaplib2', reason='python3-imaplib2: not installed')


class Idler:
    """An imaplib2 client that idles on INBOX and notes what it is told."""

    def __init__(self, port, user):
        self.mail = imaplib2.IMAP4('127.0.0.1', port, timeout=20)
        assert self.mail.login(user, 'pw')[0] == 'OK'
        self.exists = int(self.mail.select('INBOX')[1][0])

    def during_idle(self, act):
        """IDLE, act(), wait for what comes of it (imaplib2 ends IDLE at the first word from the server)."""
        ended = []
        self.mail.idle(timeout=20, callback=ended.append)
        act()
        tools.wait_until(lambda: ended, what='the end of IDLE')
        response, _, error = ended[0]
        assert error is None and response[0] == 'OK', ended

    def heard(self, name):
        """The last untagged response of that name; it is taken."""
        return self.mail.response(name)[1]

    def end(self):
        self.mail.logout()


@pytest.fixture
def idler(proxy, server, user):
    server.fill(user, 'INBOX', tools.mails(6))
    client = Idler(proxy.port, user)
    yield client
    client.end()


def test_imaplib2_full_tour(idler, server, user):
    mail = idler.mail
    assert idler.exists == 6
    assert mail.fetch('1:6', '(UID FLAGS BODY.PEEK[])')[0] == 'OK'
    status, data = mail.uid('FETCH', '3', '(BODY.PEEK[])')
    assert status == 'OK' and [d[1] for d in data if isinstance(d, tuple)] == [tools.mail(3)]
    assert mail.uid('SEARCH', None, 'SUBJECT', '"number 4"')[1] == [b'4']
    assert mail.create('Kept')[0] == 'OK'
    assert mail.uid('COPY', '1:2', 'Kept')[0] == 'OK'
    assert mail.uid('STORE', '2', '+FLAGS', '(\\Deleted)')[0] == 'OK'
    assert mail.expunge()[0] == 'OK'
    assert mail.append('Kept', '(\\Seen)', None, tools.mail(9))[0] == 'OK'
    assert mail.examine('Kept')[1] == [b'3']
    with server.client(user) as direct:
        assert direct.must('STATUS INBOX (MESSAGES)').status_items() == {'MESSAGES': 5}
        direct.select('Kept', examine=True)
        assert {u: i['BODY[]'] for u, i in tools.whole(direct).items()} == {
            1: tools.mail(1), 2: tools.mail(2), 3: tools.mail(9)}


def test_imaplib2_idles_while_imaplib_changes_its_mailbox(idler, server, proxy, user):
    with imaplib.IMAP4('127.0.0.1', proxy.port, timeout=20) as other:
        other.login(user, 'pw')
        other.select('INBOX')
        idler.during_idle(lambda: other.append('INBOX', None, None, tools.mail(7)))
        tools.wait_until(lambda: (idler.mail.noop(), idler.heard('EXISTS'))[1] == [b'7'], what='EXISTS')
        idler.during_idle(lambda: other.store('2', '+FLAGS', '(\\Flagged)'))
        assert b'\\Flagged' in b' '.join(map(programs.octets, idler.heard('FETCH')))
        other.store('1', '+FLAGS', '(\\Deleted)')
        tools.wait_until(lambda: (idler.mail.noop(), b'\\Deleted' in b' '.join(map(
            programs.octets, idler.heard('FETCH'))))[1], what='\\Deleted')
        idler.during_idle(other.expunge)
        assert idler.heard('EXPUNGE') == [b'1']
        # both number the messages alike, as the server does
        assert idler.mail.search(None, 'ALL')[1] == other.search(None, 'ALL')[1] == [b'1 2 3 4 5 6']
        assert idler.mail.uid('SEARCH', None, 'ALL')[1] == [b'2 3 4 5 6 7']
    with server.client(user) as direct:
        direct.select(examine=True)
        assert direct.must('UID SEARCH ALL').search() == [2, 3, 4, 5, 6, 7]
        assert direct.must('UID SEARCH FLAGGED').search() == [2]


@programs.needs('curl')
def test_curl_reads_and_uploads_while_imaplib2_idles(idler, server, proxy, user, tmp_path):
    def curl(path, *arguments):
        return programs.run(['curl', '-sS', '--max-time', '20', '-u', user + ':pw',
                             '--url', 'imap://127.0.0.1:%d/%s' % (proxy.port, path)] + list(arguments), tmp_path)
    assert curl('INBOX;UID=3').encode() == tools.mail(3).replace(b'\r\n', b'\n')
    assert curl('INBOX;UID=3;SECTION=HEADER.FIELDS%20(SUBJECT)').strip() == 'Subject: number 3'
    assert curl('INBOX?SUBJECT%20%22number%205%22').strip() == '* SEARCH 5'
    (tmp_path / 'mail').write_bytes(tools.mail(7))
    idler.during_idle(lambda: curl('INBOX', '-T', 'mail'))
    tools.wait_until(lambda: (idler.mail.noop(), idler.heard('EXISTS'))[1] == [b'7'], what='EXISTS')
    idler.during_idle(lambda: curl('INBOX', '-X', 'STORE 4 +FLAGS (\\Answered)'))
    assert b'\\Answered' in b' '.join(map(programs.octets, idler.heard('FETCH')))
    assert 'INBOX' in curl('')
    with server.client(user) as direct:
        direct.select(examine=True)
        assert tools.whole(direct)[7]['BODY[]'] == tools.mail(7)
        assert direct.must('UID SEARCH ANSWERED').search() == [4]
        # curl reads without PEEK
        assert direct.must('UID SEARCH SEEN').search() == [3, 7]
