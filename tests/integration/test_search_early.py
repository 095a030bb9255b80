"""What is remembered of searches and a view that is not known to be true yet, or has not been told of all that there is."""
import time

import pytest

import spine_tools as tools
from imapjudge import fakeserver, imapclient

OLD = '12-Mar-2019 10:00:00 +0000'
SETTLED = 'search { settle = 0s }'
NUMBER = 8


def mail(number):
    return b'From: anna@example.com\r\nSubject: number %d%s\r\n\r\nbody %d\r\n' % (
        number, b' river' if number % 3 == 0 else b'', number)


def find(client):
    return client.must('UID SEARCH SUBJECT "river"', timeout=30).search()


@pytest.fixture
def known(fake, make_proxy, connect):
    """known() -> client in an INBOX whose 8 mails have been searched; known.reopened(change) -> one that selects it after
    a restart, while the upstream takes its time to tell of messages; meanwhile it was changed."""
    def make(keep_capabilities=False):
        if not keep_capabilities:
            fake.capabilities = fakeserver.CAPABILITIES.replace(' CONDSTORE QRESYNC', '')
        box = fake.mailbox('INBOX')
        for n in range(1, NUMBER + 1):
            fake.change(lambda n=n: box.add(mail(n), date=OLD))
        make.proxy = make_proxy(fake.port, kind=tools.Configured, sections=SETTLED)
        client = connect(make.proxy.port, 'u0', timeout=30)
        client.select()
        client.must('UID FETCH 1:* (FLAGS INTERNALDATE RFC822.SIZE)')
        assert find(client) == [3, 6]
        return client

    def reopened(change):
        make.proxy.stop()
        fake.change(change)
        for verb in ('FETCH', 'UID FETCH'):
            fake.on(verb, lambda conn, command: time.sleep(0.5) or conn.default(command))
        make.proxy.start()
        client = connect(make.proxy.port, 'u0', timeout=30)
        client.select()
        return client
    make.reopened = reopened
    return make


def test_what_was_expunged_before_select_is_not_found(fake, known):
    """All UIDs below UIDNEXT are known, and one of them is there no more: SELECT has told seven."""
    known()
    client = known.reopened(lambda: fake.mailbox('INBOX').messages.pop(2))
    assert find(client) == [6]
    assert client.must('SEARCH SUBJECT "river"').search() == [5]


def test_t6_another_mailbox_with_the_same_uidvalidity(fake, known):
    """What is kept is believed only when a sample of its messages is what it was."""
    known()

    def replace():
        for message in fake.mailbox('INBOX').messages:
            message.octets = mail(message.uid + 1) + b'more\r\n'
            message.date = '13-Mar-2019 10:00:00 +0000'
    client = known.reopened(replace)
    result = client.cmd('UID SEARCH SUBJECT "river"')
    assert not result.ok or result.search() == [2, 5, 8], result


@pytest.mark.parametrize('criteria', ['SUBJECT "river"', 'BODY "body 3"', 'SUBJECT "river" UNSEEN'])
def test_link_dies_while_an_early_search_waits(fake, known, criteria):
    """For its view, since what is kept is not proven yet; or for the upstream's answer: it comes over the next link."""
    known()
    mail_there = fake.mailbox('INBOX').messages
    client = known.reopened(lambda: fake.mailbox('INBOX').set_flags(3, {'\\Seen'}))
    fake.on('UID SEARCH', lambda conn, command: conn.stall(0.5) or conn.default(command))
    tag = client.start('UID SEARCH ' + criteria)
    before = fake.total
    fake.wait_for('UID FETCH', len(fake.seen('UID FETCH')) or 1, 10)
    fake.drop_all()
    tools.wait_until(lambda: fake.total > before, 20, 'another link')
    wanted = [3] if 'BODY' in criteria else [3, 6]
    found = client.wait(tag, 30)
    assert found.ok and found.search() == [n for n in wanted if 'UNSEEN' not in criteria or n != 3], found
    assert len(mail_there) == NUMBER and client.must('UID SEARCH ' + criteria).search() == found.search()


def test_link_dies_while_an_early_search_waits_and_mail_goes_meanwhile(fake, known):
    """A message that SELECT has told of is gone when there is a link again: it is not found, or the session ends, since its
    number cannot be known (never a wrong number)."""
    known()
    client = known.reopened(lambda: None)
    tag = client.start('UID SEARCH SUBJECT "river"')
    before = fake.total
    fake.change(lambda: fake.mailbox('INBOX').messages.pop(2))
    fake.drop_all()
    tools.wait_until(lambda: fake.total > before, 20, 'another link')
    try:
        found = client.wait(tag, 30)
    except imapclient.IMAPClosed:
        return
    assert found.ok and found.search() == [6], found


def test_mail_that_was_not_told_is_not_found_by_criteria_that_go_upstream_as_they_are(fake, known):
    client = known()
    before = len(fake.seen('UID FETCH'))
    fake.change(lambda: fake.mailbox('INBOX').add(mail(9), date=OLD))
    tools.wait_until(lambda: len(fake.seen('UID FETCH')) > before, 10, 'the new mail')
    time.sleep(0.3)
    criteria = ' '.join('UNKEYWORD k%d' % n for n in range(300)) + ' BODY "body"'
    assert client.must('UID SEARCH ' + criteria).search() == list(range(1, NUMBER + 1))
    assert [c for c in fake.seen('UID SEARCH') if b'k299' in c.args], 'it was taken apart'
    assert 9 in client.must('UID SEARCH ALL').search()


def test_answer_that_cannot_be_read_in_part_is_asked_for_plainly(fake, known):
    client = known()

    def garbled(conn, command):
        if b'RETURN' not in command.args or b'body' not in command.args:
            return conn.default(command)
        return b'* ESEARCH (TAG "%s") UID ALL 2\r\n* ESEARCH (TAG "%s") UID ALL 4,x\r\n%s OK done\r\n' % ((command.tag,) * 3)
    fake.on('UID SEARCH', garbled)
    for _ in range(2):
        assert client.must('UID SEARCH BODY "body"').search() == list(range(1, NUMBER + 1))
    assert len([c for c in fake.seen('UID SEARCH') if b'"body"' in c.args]) == 2


def test_saved_result_is_empty_after_a_sort_that_is_refused(fake, known):
    """Or what is behind it in the pipeline would be done to the messages of another search."""
    fake.capabilities = fakeserver.CAPABILITIES + ' SORT ESORT'
    client = known(keep_capabilities=True)
    assert client.must('UID SEARCH RETURN (SAVE COUNT) 1:2').ok
    fake.on('UID SORT', lambda conn, command: conn.no(command, 'not now'))
    assert client.cmd('UID SORT RETURN (SAVE COUNT) (SUBJECT) UTF-8 ALL').status == 'NO'
    assert not client.must('UID FETCH $ (UID)').fetch_by_uid()
