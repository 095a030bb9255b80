"""Python's imaplib."""
import imaplib

import pytest

import spine_tools as tools


def fetched(data):
    """What imaplib gives of a FETCH: {message number: octets}."""
    return {int(part[0].split()[0]): part[1] for part in data if isinstance(part, tuple)}


def test_imaplib_full_tour(proxy, server, user):
    server.fill(user, 'INBOX', tools.mails(12))
    with imaplib.IMAP4('127.0.0.1', proxy.port, timeout=20) as mail:
        with pytest.raises(imaplib.IMAP4.error):
            mail.login(user, 'wrong')
        assert mail.login(user, 'pw')[0] == 'OK'
        assert {b'IDLE', b'UIDPLUS', b'MOVE', b'CONDSTORE'} <= set(mail.capability()[1][0].split())
        assert mail.noop()[0] == 'OK' and mail.namespace()[0] == 'OK'
        assert mail.create('"New box"')[0] == 'OK' and mail.subscribe('"New box"')[0] == 'OK'
        assert {line.rsplit(b' "/" ', 1)[1].strip(b'"') for line in mail.list()[1]} == {b'INBOX', b'New box'}
        assert mail.lsub()[1][0].endswith(b'"New box"')
        assert mail.status('INBOX', '(MESSAGES UNSEEN)')[1] == [b'INBOX (MESSAGES 12 UNSEEN 12)']
        assert mail.select('INBOX')[1] == [b'12']
        assert mail.search(None, 'SUBJECT', '"number 7"')[1] == [b'7']
        assert mail.search('UTF-8', 'TEXT', '"mail 3 says"')[1] == [b'3']
        assert fetched(mail.fetch('1:12', '(BODY.PEEK[])')[1]) == {n: tools.mail(n) for n in range(1, 13)}
        assert fetched(mail.fetch('5', '(RFC822)')[1]) == {5: tools.mail(5)}
        assert mail.store('5', 'FLAGS', '(\\Seen)')[0] == 'OK'
        assert mail.uid('STORE', '2', '+FLAGS', '(\\Flagged)')[0] == 'OK'
        assert mail.copy('1:3', '"New box"')[0] == 'OK'
        assert mail.uid('MOVE', '12', '"New box"')[0] == 'OK'
        assert mail.store('4', '+FLAGS', '(\\Deleted)')[0] == 'OK'
        assert mail.expunge()[1][-1] == b'4'
        when = imaplib.Time2Internaldate(1_600_000_000)
        assert mail.append('"New box"', '(\\Draft)', when, tools.mail(20, 100_000))[0] == 'OK'
        assert mail.sort('(REVERSE SUBJECT)', 'UTF-8', 'ALL')[0] == 'OK'
        assert mail.thread('REFERENCES', 'UTF-8', 'ALL')[0] == 'OK'
        assert mail.check()[0] == 'OK'
        assert mail.close()[0] == 'OK'
        assert mail.select('"New box"')[1] == [b'5']
        assert fetched(mail.fetch('5', '(BODY[])')[1]) == {5: tools.mail(20, 100_000)}
        assert mail.unselect()[0] == 'OK'
        assert mail.rename('"New box"', 'Kept')[0] == 'OK'
        assert mail.select('Nowhere')[0] == 'NO'
        assert mail.create('Gone')[0] == mail.delete('Gone')[0] == 'OK'
        assert mail.unsubscribe('"New box"')[0] == 'OK'
    with server.client(user) as direct, proxy.client(user) as client:
        for mailbox in ('INBOX', 'Kept'):
            tools.same_mailbox(direct, client, mailbox)
