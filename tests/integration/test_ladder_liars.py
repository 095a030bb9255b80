"""Servers that break the rules of numbers and UIDs: what a client is told stays true, or its session ends."""
import re

import pytest

import ladder_tools as ladder
import spine_tools as tools
from imapjudge import imapclient
from test_ladder import begin, flags_of, truth  # noqa: F401


def edited(change, verb=None):
    def handler(conn, command):
        conn.send(change(conn.default(command)))
    return handler


def open_box(begin, connect, rung='qresync', number=8, upstream='', user='anna'):  # noqa: F811
    fake, proxy = begin(rung, number, upstream=upstream)
    client = connect(proxy.port, user, timeout=20)
    mirror = ladder.Mirror().selected(client.select())
    mirror.feed(client.must('FETCH 1:* (UID FLAGS)').untagged)
    return fake, proxy, client, mirror


def rests(client, mirror, box):
    def equal():
        mirror.feed(client.must('NOOP').untagged)
        return mirror.equals(box) is None
    tools.wait_until(equal, what='rest')


def test_t25_vanished_earlier_wider_than_exists(begin, connect):  # noqa: F811
    """It once named all there was (nextcloud/mail#11908): nobody is expunged for that."""
    fake, proxy, client, mirror = open_box(begin, connect)
    box = fake.mailbox()
    fake.on('UID FETCH', edited(lambda data: b'* VANISHED (EARLIER) 1:26183\r\n' + data))
    fake.drop_all()
    ladder.fill(box, 1)
    box.expunge([4])
    rests(client, mirror, box)
    heard = b''.join(raw for _, _, raw in client.transcript if b'EXPUNGE' in raw or b'VANISHED' in raw)
    assert heard == b'* 4 EXPUNGE\r\n'


def test_t25_vanished_earlier_while_live(begin, connect):  # noqa: F811
    """In the answer to a client's own question it takes nothing out of a model that is true."""
    fake, proxy, client, mirror = open_box(begin, connect)
    other = connect(proxy.port, 'anna')
    other.must('ENABLE QRESYNC')
    other.select()
    box = fake.mailbox()
    since = box.modseq
    box.expunge([2])
    rests(client, mirror, box)
    fake.on('UID FETCH', edited(lambda data: data.replace(b'(EARLIER) 2', b'(EARLIER) 1:8')))
    other.must('UID FETCH 1:* (FLAGS) (CHANGEDSINCE %d VANISHED)' % since)
    rests(client, mirror, box)
    assert len(mirror.uids) == 7


def test_t25_vanished_of_more_than_there_is(begin, connect):  # noqa: F811
    fake, proxy, client, mirror = open_box(begin, connect)
    fake.on('NOOP', edited(lambda data: b'* VANISHED 3:4000000000\r\n' + data), times=1)
    box = fake.mailbox()
    client.must('NOOP')
    mirror.feed(client.pending())
    other = connect(proxy.port, 'anna')
    assert tools.wait_until(lambda: other.select().exists == 8, what='SEARCH ALL has decided')
    assert flags_of(other.must('UID FETCH 1:* (FLAGS)')) == truth(box)


@pytest.mark.parametrize('rung', ['qresync', 'condstore', 'neither, no esearch'])
def test_t25_exists_shrinks_without_expunge(begin, connect, rung):  # noqa: F811
    fake, proxy, client, mirror = open_box(begin, connect, rung)
    box = fake.mailbox()
    box.expunge([2, 8])

    def shrink(conn, command):
        conn.known = [m.uid for m in box.messages]
        conn.send(b'* 6 EXISTS\r\n' + conn.default(command))
    fake.on('NOOP', shrink, times=1)
    rests(client, mirror, box)


def test_t5_uid_0_is_no_message(begin, connect):  # noqa: F811
    fake, proxy, client, mirror = open_box(begin, connect)
    fake.on('NOOP', edited(lambda data: b'* 3 FETCH (UID 0 FLAGS (\\Draft))\r\n' + data), times=1)
    client.must('NOOP')
    rests(client, mirror, fake.mailbox())
    assert flags_of(client.must('UID FETCH 1:* (FLAGS)')) == truth(fake.mailbox())


@pytest.mark.parametrize('status', ['told', 'empty', 'refused'])
def test_t5_uidnext_missing(begin, connect, status):  # noqa: F811
    """STATUS tells it, else the highest UID does; SELECT is answered with it."""
    fake, proxy = begin('condstore', 8, upstream='')
    fake.mailbox().expunge([8])
    fake.on('SELECT', edited(lambda data: re.sub(rb'\* OK \[UIDNEXT[^\n]*\n', b'', data)))
    if status == 'empty':
        fake.on('STATUS', lambda conn, command: conn.send(b'* STATUS "INBOX" ()\r\n%s OK\r\n' % command.tag))
    elif status == 'refused':
        fake.on('STATUS', lambda conn, command: conn.no(command))
    client = connect(proxy.port, 'anna')
    codes = client.select().codes()
    assert codes['UIDNEXT'] == (b'9' if status == 'told' else b'8')
    ladder.fill(fake.mailbox(), 1)
    tools.wait_until(lambda: client.must('NOOP').named('EXISTS'), what='the new mail')
    assert client.fetch('8', 'UID')[8]['UID'] == 9


def test_t5_uidnext_lower_than_the_highest_uid(begin, connect):  # noqa: F811
    """Always told too low: not another mailbox for that, and what is kept stays in use."""
    fake, proxy = begin('qresync', 8, upstream='')
    fake.on('SELECT', edited(lambda data: data.replace(b'[UIDNEXT 9]', b'[UIDNEXT 4]')))
    for round_ in range(3):
        client = connect(proxy.port, 'anna')
        result = client.select()
        assert result.exists == 8
        assert flags_of(client.must('UID FETCH 1:* (FLAGS)')) == truth(fake.mailbox())
        client.uid_fetch('1:*', '(INTERNALDATE RFC822.SIZE BODY.PEEK[])')
        before = len([c for c in fake.seen('UID FETCH') if b'BODY' in c.args])
        assert before == 1 or round_ == 0
        if round_ == 1:
            client.close()
            proxy.restart()
        else:
            fake.drop_all()
            tools.wait_until(lambda: client.must('NOOP').ok and len(fake.connections) >= 1, what='a new link')
            assert client.must('NOOP').ok


def test_t5_uidvalidity_0(begin, connect):  # noqa: F811
    fake, proxy = begin('condstore', 4, upstream='')
    fake.on('SELECT', edited(lambda data: data.replace(b'[UIDVALIDITY 1000]', b'[UIDVALIDITY 0]')))
    fake.on('NOOP', edited(lambda data: b'* OK [UIDVALIDITY 0] still\r\n' + data))
    client = connect(proxy.port, 'anna')
    assert client.select().exists == 4
    assert len(client.uid_fetch('1:*', 'FLAGS')) == 4
    fake.drop_all()
    ladder.fill(fake.mailbox(), 1)
    tools.wait_until(lambda: client.must('NOOP').named('EXISTS'), what='the new mail')


def test_t5_uidvalidity_changes_under_a_view(begin, connect):  # noqa: F811
    fake, proxy, client, mirror = open_box(begin, connect)
    client.idle()
    fake.on('NOOP', edited(lambda data: b'* OK [UIDVALIDITY 1001] new\r\n' + data), times=1)
    other = connect(proxy.port, 'anna')
    other.cmd('STATUS INBOX (MESSAGES)')
    other.append('INBOX', b'Subject: x\r\n\r\nx\r\n')       # a probe of the feed
    assert b'BYE' in tools.until_bye(client)[-1].raw


def test_highestmodseq_without_text(begin, connect):  # noqa: F811
    fake, proxy = begin('condstore', 4, upstream='')
    fake.on('SELECT', edited(lambda data: re.sub(rb'(\* OK \[(HIGHESTMODSEQ|UIDNEXT|UIDVALIDITY) \d+\])[^\r]*', rb'\1', data)))
    client = connect(proxy.port, 'anna')
    result = client.select()
    assert result.codes()['HIGHESTMODSEQ'] == b'%d' % fake.mailbox().modseq and result.exists == 4
    assert len(client.uid_fetch('1:*', '(FLAGS MODSEQ)')) == 4


def test_fetch_of_a_number_beyond_exists(begin, connect):  # noqa: F811
    fake, proxy, client, mirror = open_box(begin, connect)
    box = fake.mailbox()
    fake.on('NOOP', edited(lambda data: b'* 9 FETCH (UID 9 FLAGS ())\r\n* 4000000000 FETCH (FLAGS (\\Draft))\r\n' + data), times=1)
    before = len(fake.commands)
    other = connect(proxy.port, 'anna')
    other.append('INBOX', b'Subject: x\r\n\r\nx\r\n')
    rests(client, mirror, box)
    assert not [c for c in fake.commands[before:] if c.verb == 'UID SEARCH'], 'a resync for nothing'


def test_uids_told_twice(begin, connect):  # noqa: F811
    """Two numbers of one UID: the count never agrees; served all the same, and not asked for ever."""
    fake, proxy = begin('neither, no esearch', 5, upstream='')
    fake.on('UID FETCH', edited(lambda data: data.replace(b'(UID 4 ', b'(UID 3 ')))
    fake.on('UID SEARCH', edited(lambda data: data.replace(b' 4', b' 3')))
    client = connect(proxy.port, 'anna')
    for _ in range(3):
        try:
            client.select()
            assert sorted(client.uid_fetch('1:*', 'FLAGS')) in ([1, 2, 3, 5], [1, 2, 3])
            break
        except imapclient.IMAPClosed:
            client = connect(proxy.port, 'anna')
    else:
        pytest.fail('never served')
    assert len(fake.commands) < 40


def test_t6_deleted_and_made_anew_under_a_view(begin, connect):  # noqa: F811
    """The same UIDVALIDITY, while the link was lost: the session ends, the next one sees the new mail."""
    fake, proxy, client, mirror = open_box(begin, connect)
    client.uid_fetch('1:*', '(INTERNALDATE RFC822.SIZE)')
    box = fake.mailbox()
    box.messages.clear()
    for number in range(9):
        box.add(b'Subject: other %d\r\n\r\nquite another body\r\n' % number, date='01-Feb-2020 10:00:0%d +0000' % number,
                uid=number + 1)
    fake.drop_all()
    with pytest.raises(imapclient.IMAPClosed):
        for _ in range(100):
            client.must('NOOP')
            client.cmd('UID FETCH 1 (BODY.PEEK[])')
    other = connect(proxy.port, 'anna')
    other.select()
    assert other.uid_fetch('1', 'BODY.PEEK[]')[1]['BODY[]'] == box.messages[0].octets


@pytest.mark.parametrize('what', ['deleted', 'renamed'])
def test_mailbox_deleted_or_renamed_by_others(begin, connect, what):  # noqa: F811
    fake, proxy = begin('qresync', 1, upstream='')
    ladder.fill(fake.mailbox('Box'), 3)
    client = connect(proxy.port, 'anna', timeout=20)
    client.select('Box')
    client.fetch('1:*', 'FLAGS')
    client.idle()
    moved = fake._mailboxes.pop('Box')
    if what == 'renamed':
        moved.name = 'Other'
        fake._mailboxes['Other'] = moved
    fake.drop_all()
    assert b'BYE' in tools.until_bye(client)[-1].raw
    other = connect(proxy.port, 'anna')
    assert other.cmd('SELECT Box').status == 'NO'
    if what == 'renamed':
        assert other.select('Other').exists == 3


def test_more_messages_than_a_model_may_hold(begin, connect):  # noqa: F811
    """A limit with an answer: at SELECT, and when a server says so later."""
    fake, proxy = begin('condstore', 3, upstream='', sections='limits { mailbox_messages = 1000 }')
    client = connect(proxy.port, 'anna')
    assert client.select().exists == 3
    client.fetch('1:*', 'FLAGS')
    fake.on('NOOP', edited(lambda data: b'* 4000000000 EXISTS\r\n' + data), times=1)
    other = connect(proxy.port, 'anna')
    other.append('INBOX', b'Subject: x\r\n\r\nx\r\n')
    assert b'BYE [LIMIT]' in tools.until_bye(client)[-1].raw
    fake.on('SELECT', edited(lambda data: data.replace(b'4 EXISTS', b'1001 EXISTS')))
    result = connect(proxy.port, 'anna').cmd('SELECT INBOX')
    assert result.status == 'NO' and result.code == 'LIMIT', result
