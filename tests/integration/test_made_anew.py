"""T6: a mailbox that others delete, or rename away, and make anew under its name while we have it open. Its link is told
nothing plain of it; what a client is given must not stay the old one's."""
import threading

import pytest

import ladder_tools as ladder
import spine_tools as tools
from imapjudge import imapclient
from test_ladder import begin  # noqa: F401
from test_ladder_liars import edited

NEW = b'Subject: quite another\r\n\r\nnew body\r\n'


def content(connect, port, user, box):
    """What a client gets that comes now; None: it was told that the mailbox ends."""
    client = connect(port, user)
    try:
        told = client.cmd('SELECT "%s"' % box)
        if not told.ok:
            return None
        return int(told.codes()['UIDVALIDITY']), client.uid_fetch('1:*', 'BODY.PEEK[]')
    except imapclient.IMAPClosed:
        return None
    finally:
        client.close()


@pytest.mark.parametrize('way', ['deleted', 'renamed'])
def test_t6_made_anew_by_others_while_we_are_inside(proxy, server, user, connect, way):
    box, other = server.box('Box'), server.box('Other')
    server.fill(user, box, tools.mails(3))
    client = connect(proxy.port, user)
    client.select(box)
    client.fetch('1:3', '(ENVELOPE BODY.PEEK[])')
    client.close()
    with server.client(user) as direct:
        direct.must('DELETE "%s"' % box if way == 'deleted' else 'RENAME "%s" "%s"' % (box, other))
        direct.must('CREATE "%s"' % box)
        direct.append(box, NEW)

    def is_the_same():
        told, right = (content(connect, port, user, box) for port in (proxy.port, server.port))
        return told is not None and told == right and not any(b'something of its own' in items['BODY[]'] for items in told[1].values())
    # Where the link that was inside makes Dovecot forget the new mail, too, it is forgotten.
    tools.wait_until(is_the_same, seconds=20, what='the new mailbox')


@pytest.mark.parametrize('write', ['APPEND', 'COPY', 'MOVE'])
def test_t6_uidvalidity_of_an_answer_to_a_write(begin, connect, write):  # noqa: F811
    """The code of APPEND, COPY and MOVE names the mailbox that the name is of now."""
    fake, proxy = begin('qresync', 2, upstream='')
    box = fake.mailbox('Box')
    box.add(b'Subject: old\r\n\r\nold\r\n')
    inside = connect(proxy.port, 'anna')
    inside.select('Box')
    assert inside.fetch('1', 'BODY.PEEK[]')[1]['BODY[]'].endswith(b'old\r\n')
    fake._mailboxes.pop('Box')      # its link stays in the old one, and hears nothing
    fake.mailbox('Box', uidvalidity=2000)
    client = connect(proxy.port, 'anna')
    if write == 'APPEND':
        assert client.append('Box', NEW).code_args == b'2000 1'
    else:
        client.select()
        client.must('%s 1 Box' % write)
    assert b'BYE' in tools.until_bye(inside)[-1].raw
    told = content(connect, proxy.port, 'anna', 'Box')
    assert told[0] == 2000 and b'old' not in told[1][1]['BODY[]']


class Kept:
    """A command that is answered later; the connection and the others go on meanwhile."""

    def __init__(self, fake, verb):
        self.fake, self.came = fake, threading.Event()
        fake.on(verb, self.keep, times=1)

    def keep(self, conn, command):
        self.conn, self.command = conn, command
        self.came.set()
        return b''

    def answer(self, line=None):
        assert self.came.wait(5)
        self.fake.change(lambda: self.conn.send(line + b'\r\n' if line else self.conn.default(self.command)))


def naming(uidvalidity):
    """APPEND is answered so."""
    return edited(lambda data: data.replace(b'APPENDUID 1000 ', b'APPENDUID %d ' % uidvalidity))


def selects(fake):
    return len([c for c in fake.commands if c.verb in ('SELECT', 'EXAMINE')])


def made_anew(fake, client):
    """Under the name of the open one; a client writes into it.  Its OK may wait for the open one."""
    fake._mailboxes.pop('Box')
    box = fake.mailbox('Box', uidvalidity=2000)
    tag = client.start('APPEND Box ', imapclient.Lit(NEW, False))
    tools.wait_until(lambda: box.messages, what='APPEND')
    return tag


def test_t6_doubt_while_it_is_selected(begin, connect):  # noqa: F811
    """The SELECT that is being followed up may be of before."""
    fake, proxy = begin('qresync', 2, upstream='')
    ladder.fill(fake.mailbox('Box'), 2)
    kept = Kept(fake, 'UID FETCH')
    inside = connect(proxy.port, 'anna')
    inside.select('Box')
    assert kept.came.wait(5)
    client = connect(proxy.port, 'anna')
    tag = made_anew(fake, client)
    connect(proxy.port, 'anna').must('LIST "" *')
    kept.answer()
    assert client.wait(tag).code_args == b'2000 1'
    assert b'BYE' in tools.until_bye(inside)[-1].raw


def test_t6_doubt_behind_a_command_that_is_refused(begin, connect):  # noqa: F811
    """The link is quiet after a NO, too."""
    fake, proxy = begin('qresync', 2, upstream='')
    ladder.fill(fake.mailbox('Box'), 2)
    inside = connect(proxy.port, 'anna')
    inside.select('Box')
    inside.must('FETCH 1:* (FLAGS)')
    kept = Kept(fake, 'UID STORE')
    inside.start('UID STORE 1 +FLAGS (\\Flagged)')
    assert kept.came.wait(5)
    client = connect(proxy.port, 'anna')
    client.wait(made_anew(fake, client))
    kept.answer(b'%s NO not now' % kept.command.tag)
    assert b'BYE' in tools.until_bye(inside)[-1].raw


def test_t6_doubt_settled_by_the_select_after_a_lost_link(begin, connect):  # noqa: F811
    fake, proxy = begin('qresync', 2, upstream='')
    client = connect(proxy.port, 'anna')
    client.select()
    client.must('FETCH 1:* (FLAGS)')
    kept = Kept(fake, 'UID STORE')
    client.start('UID STORE 1 +FLAGS (\\Flagged)')
    assert kept.came.wait(5)
    fake.on('APPEND', naming(999), times=1)
    connect(proxy.port, 'anna').append('INBOX', NEW)
    fake.drop_all()
    other = connect(proxy.port, 'anna')
    other.select()
    for _ in range(3):
        other.must('NOOP')
        other.append('INBOX', NEW)
    assert selects(fake) == 2, [c.verb for c in fake.commands]


def test_uidvalidity_named_wrong_each_time_is_looked_into_once(begin, connect):  # noqa: F811
    fake, proxy = begin('qresync', 3, upstream='')
    client = connect(proxy.port, 'anna')
    client.select()
    client.must('FETCH 1:* (FLAGS)')
    fake.on('APPEND', naming(999))
    other = connect(proxy.port, 'anna')
    for _ in range(5):
        other.append('INBOX', NEW)
        client.must('NOOP')
    assert selects(fake) == 2, [c.verb for c in fake.commands]
    assert client.must('UID SEARCH ALL').search() == list(range(1, 9))


def test_t6_made_anew_after_a_wrong_name(begin, connect):  # noqa: F811
    """That one UIDVALIDITY was not true delays nothing that another shows."""
    fake, proxy = begin('qresync', 2, upstream='')
    ladder.fill(fake.mailbox('Box'), 2)
    inside, client = connect(proxy.port, 'anna'), connect(proxy.port, 'anna')
    inside.select('Box')
    inside.must('FETCH 1:* (FLAGS)')
    fake.on('APPEND', naming(999), times=1)
    client.append('Box', NEW)
    tools.wait_until(lambda: selects(fake) == 2, what='SELECT')
    inside.must('NOOP')
    tag = made_anew(fake, client)
    assert client.wait(tag).code_args == b'2000 1'
    assert b'BYE' in tools.until_bye(inside)[-1].raw


def test_warnings_without_end_are_looked_into_once(begin, connect):  # noqa: F811
    """"* NO" is a warning, too (RFC 3501 7.1.2): a server that gives it each time is not asked for ever."""
    fake, proxy = begin('qresync', 3, upstream='')
    client = connect(proxy.port, 'anna')
    client.select()
    fake.on('NOOP', edited(lambda data: b'* NO The disk is nearly full\r\n' + data))
    other = connect(proxy.port, 'anna')
    for _ in range(5):
        other.append('INBOX', NEW)      # each with a probe of the feed
        client.must('NOOP')
    assert selects(fake) == 2, [c.verb for c in fake.commands]
    assert client.must('UID SEARCH ALL').search() == list(range(1, 9))
