"""T6: a mailbox that others delete, or rename away, and make anew under its name while we have it open. Its link is told
nothing plain of it; what a client is given must not stay the old one's."""
import pytest

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
    selects = [c for c in fake.commands if c.verb in ('SELECT', 'EXAMINE')]
    assert len(selects) == 2, [c.text for c in selects]
    assert client.must('UID SEARCH ALL').search() == list(range(1, 9))
