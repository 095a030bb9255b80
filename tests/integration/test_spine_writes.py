"""Writes: answered OK only after the upstream's OK, never claimed, never done twice (design promise 2)."""
import pytest

import spine_tools as tools
from imapjudge import imapclient


def messages(direct, mailbox):
    direct.select(mailbox, examine=True)
    return direct.must('UID SEARCH ALL').search()


# ---- sent whole, the upstream did it, the link dies before its OK

SAID_GOODBYE = {       # {Name}: the mailbox as the server calls it
    'APPEND': ('APPEND {Box} ', imapclient.Lit(tools.mail(9))),
    'COPY': ('COPY 2 {Box}',),
    'UID COPY': ('UID COPY 2 {Box}',),
    'MOVE': ('MOVE 2 {Box}',),
    'UID MOVE': ('UID MOVE 2 {Box}',),
    'CREATE': ('CREATE {Fresh}',),
    'DELETE': ('DELETE {Empty}',),
    'RENAME': ('RENAME {Empty} {Moved}',),
}


@pytest.mark.parametrize('command', SAID_GOODBYE)
def test_link_dies_before_the_ok_and_the_session_ends_with_bye(proxy, server, user, tap, connect, command):
    if 'MOVE' in command and not server.facts.move:
        pytest.skip('%s has no MOVE' % server.facts.title)
    box = {name: server.box(name) for name in ('Box', 'Empty', 'Fresh', 'Moved')}
    server.fill(user, 'INBOX', tools.mails(3))
    server.fill(user, box['Box'], [])
    server.fill(user, box['Empty'], [])
    client, bystander = connect(proxy.port, user), connect(proxy.port, user)
    for each in (client, bystander):
        each.select()
        each.fetch('1:*', 'FLAGS')      # the mailbox is known
    tap.cut_before_tagged(command.split()[-1])
    text, *literal = SAID_GOODBYE[command]
    tag = client.start(text.format(**box), *literal)
    said = tools.until_bye(client, 20)
    assert tap.cuts == 1
    assert not [r for r in said if r.tag == tag], 'answered %r' % said
    assert said[-1].name == 'BYE'
    # done once, not twice
    with server.client(user) as direct:
        names = {bytes(r.data[-1]) for r in direct.must('LIST "" *').named('LIST')}
        assert (box['Fresh'].encode() in names) == (command == 'CREATE')
        assert (box['Empty'].encode() in names) == (command not in ('DELETE', 'RENAME'))
        assert (box['Moved'].encode() in names) == (command == 'RENAME')
        moved = command in ('COPY', 'UID COPY', 'MOVE', 'UID MOVE', 'APPEND')
        assert len(messages(direct, box['Box'])) == moved
        left = messages(direct, 'INBOX')
        assert left == ([1, 3] if 'MOVE' in command else [1, 2, 3])
    sent = [c for c in tap.since().commands if c.verb.split()[-1] == command.split()[-1]]
    assert len(sent) == 1, sent
    # the others hear what happened as ordinary updates
    bystander.must('NOOP')
    assert bystander.must('UID SEARCH ALL').search() == left


@pytest.mark.parametrize('command', ['STORE 2 +FLAGS (\\Flagged)', 'UID STORE 2 FLAGS (\\Flagged)',
                                     'UID STORE 2 +FLAGS.SILENT (\\Flagged $Later)'])
def test_store_whose_ok_was_lost_is_repeated(proxy, server, user, tap, connect, command):
    server.fill(user, 'INBOX', tools.mails(3))
    client = connect(proxy.port, user)
    client.select()
    tap.cut_before_tagged('STORE')
    result = client.cmd(command, timeout=20)
    assert tap.cuts == 1 and result.ok
    assert len(tap.since().of('UID STORE', 'STORE')) == 2
    with server.client(user) as direct:
        direct.select(examine=True)
        assert direct.must('UID SEARCH FLAGGED').search() == [2]
    assert b'\\Flagged' in client.fetch('2', 'FLAGS')[2]['FLAGS']


def test_conditional_store_whose_ok_was_lost_is_not_repeated(proxy, server, user, tap, connect):
    server.fill(user, 'INBOX', tools.mails(3))
    if not server.facts.condstore:
        pytest.skip('%s has no CONDSTORE' % server.facts.title)
    client = connect(proxy.port, user)
    modseq = int(client.select(extra='(CONDSTORE)').codes()['HIGHESTMODSEQ'])
    tap.cut_before_tagged('STORE')
    tag = client.start('UID STORE 2 (UNCHANGEDSINCE %d) +FLAGS (\\Flagged)' % modseq)
    said = tools.until_bye(client, 20)
    assert tap.cuts == 1
    assert not [r for r in said if r.tag == tag] and said[-1].name == 'BYE', said
    assert len(tap.since().of('UID STORE', 'STORE')) == 1


@pytest.mark.parametrize('command', ['EXPUNGE', 'UID EXPUNGE 2'])
def test_expunge_whose_ok_was_lost_is_repeated(proxy, server, user, tap, connect, command):
    server.fill(user, 'INBOX', tools.mails(3))
    client = connect(proxy.port, user)
    client.select()
    client.must('STORE 2 +FLAGS.SILENT (\\Deleted)')
    tap.cut_before_tagged('EXPUNGE')
    result = client.cmd(command, timeout=20)
    assert tap.cuts == 1 and result.ok
    assert [r.num for r in result.named('EXPUNGE') + client.must('NOOP').named('EXPUNGE')] == [2]
    with server.client(user) as direct:
        assert messages(direct, 'INBOX') == [1, 3]


# ---- not sent whole, or not at all

def test_link_dies_in_the_middle_of_an_upload(server, user, link, make_proxy, connect):
    server.fill(user, 'INBOX', tools.mails(2))
    big = tools.mail(3, 3_000_000)
    client = connect(make_proxy(link.port).port, user, timeout=30)
    client.select()
    link.shape(bandwidth=400_000)
    tag = client.new_tag()
    client.send_raw(b'%s APPEND INBOX {%d+}\r\n' % (tag.encode(), len(big)))
    before = link.octets_up
    client.send_raw(big[:1_000_000])
    tools.wait_until(lambda: link.octets_up > before + 100_000, what='the upload')
    link.kill_all()
    client.send_raw(big[1_000_000:] + b'\r\n')
    result = client.wait(tag, 30)
    assert result.status == 'NO' and result.code == 'UNAVAILABLE', result
    link.shape(bandwidth=0)
    # the stream is not out of step, and nothing was stored
    client.must('NOOP')
    tools.wait_until(lambda: client.cmd('CHECK').ok)
    with server.client(user) as direct:
        assert messages(direct, 'INBOX') == [1, 2]
    assert client.append('INBOX', tools.mail(3)).code == 'APPENDUID'
    with server.client(user) as direct:
        assert messages(direct, 'INBOX') == [1, 2, 3]


def test_t27_upstream_away_refuses_writes_and_serves_what_is_cached(proxy, server, user, tap, connect):
    box = server.box('Box')
    server.fill(user, 'INBOX', tools.mails(5))
    client = connect(proxy.port, user, timeout=30)
    client.select()
    client.fetch('1:2,5', 'BODY.PEEK[]')
    tap.refuse(True)
    tap.kill_all()
    for command in (('STORE 1 +FLAGS (\\Flagged)',), ('COPY 1 INBOX',), ('CREATE ' + box,), ('EXPUNGE',),
                    ('APPEND INBOX ', imapclient.Lit(tools.mail(9), sync=False))):
        result = client.cmd(*command)
        assert result.status == 'NO' and result.code == 'UNAVAILABLE', (command, result)
    refused = client.cmd('APPEND INBOX ', imapclient.Lit(tools.mail(9)))
    assert refused.status == 'NO' and refused.code == 'UNAVAILABLE'
    assert client.fetch('1:2', '(UID BODY.PEEK[])') == {n: {'UID': n, 'BODY[]': tools.mail(n)} for n in (1, 2)}
    # a non-PEEK read of cached octets: the octets, no FLAGS, nothing queued
    assert client.fetch('1', 'BODY[]') == {1: {'BODY[]': tools.mail(1)}}
    part = client.cmd('FETCH 1:5 BODY.PEEK[]')
    assert part.status == 'NO' and part.code == 'UNAVAILABLE'
    assert sorted(part.fetch()) == [1, 2, 5]
    tap.refuse(False)
    tools.wait_until(lambda: client.cmd('CREATE ' + box).ok, 20, 'the upstream is back')
    assert client.fetch('3', 'BODY.PEEK[]')[3]['BODY[]'] == tools.mail(3)
    with server.client(user) as direct:
        direct.select(examine=True)
        assert direct.must('UID SEARCH OR SEEN FLAGGED').search() == []
        assert messages(direct, 'INBOX') == [1, 2, 3, 4, 5]


# ---- answers of the upstream

def test_append_refused_before_the_literal_is_refused_to_the_client(proxy, server, user, connect):
    client = connect(proxy.port, user)
    nowhere = server.box('Nowhere')
    result = client.cmd('APPEND %s ' % nowhere, imapclient.Lit(tools.mail(1)))
    assert result.status == 'NO' and result.code == 'TRYCREATE'
    plus = client.cmd('APPEND %s ' % nowhere, imapclient.Lit(tools.mail(1), sync=False))
    assert plus.status == 'NO' and plus.code == 'TRYCREATE'
    client.must('NOOP')


def test_t33_early_no_to_an_append_reaches_the_client(fake, make_proxy, connect):
    fake.refuse_literal = lambda conn, command, octets: command.tag + b' NO [OVERQUOTA] Full\r\n' \
        if command.verb == 'APPEND' else None
    fake.on('APPEND', lambda conn, command: conn.no(command, 'Full', 'OVERQUOTA'))
    client = connect(make_proxy(fake.port).port, 'anna')
    for sync in (True, False):
        result = client.cmd('APPEND INBOX ', imapclient.Lit(tools.mail(1, 100_000), sync=sync))
        assert result.status == 'NO' and result.code == 'OVERQUOTA' and b'Full' in result.text
    client.must('NOOP')


def test_t4_t17_appended_mail_is_known_at_its_ok(proxy, server, user, connect):
    """T17: and its octets are the upstream's, not those that were sent (T4)."""
    writer, other = connect(proxy.port, user), connect(proxy.port, user)
    for each in (writer, other):
        each.select()
    bare = b'Subject: bare\n\nlines end bare\n' if server.facts.takes_bare_lf else tools.mail(2)
    for number, octets in enumerate((tools.mail(1), bare, tools.mail(3)), 1):
        result = writer.append('INBOX', octets, flags='\\Flagged $Work', date='07-Sep-2020 10:00:00 +0200')
        assert result.code == 'APPENDUID' and result.code_args.split()[1] == b'%d' % number
        assert result.exists == number
        items = writer.uid_fetch(str(number), '(FLAGS INTERNALDATE BODY.PEEK[])')[number]
        assert {b'\\Flagged', b'$Work'} <= {bytes(f) for f in items['FLAGS']}
        assert bytes(items['INTERNALDATE']).lstrip(b' 0') in (b'7-Sep-2020 10:00:00 +0200', b'7-Sep-2020 08:00:00 +0000')
    assert other.must('NOOP').exists == 3
    with server.client(user) as direct:
        tools.same_mailbox(direct, connect(proxy.port, user))


def test_t16_copies_and_moves_are_the_upstreams(proxy, server, user, tap, connect):
    server.fill(user, 'INBOX', tools.mails(6))
    box = server.box('Box')
    server.fill(user, box, [tools.mail(100)])
    client, watcher = connect(proxy.port, user), connect(proxy.port, user)
    client.select()
    watcher.select(box)
    client.fetch('1:*', 'BODY.PEEK[]')
    copied = client.must('COPY 2:3 ' + box)
    assert copied.code == 'COPYUID' and copied.code_args.split()[1:] == [b'2:3', b'2:3']
    if server.facts.move:
        moved = client.must('MOVE 5 ' + box)
        assert [r.num for r in moved.named('EXPUNGE')] == [5]
        assert moved.codes()['COPYUID'].split()[1:] == [b'5', b'4']
    else:
        client.must('COPY 5 ' + box)
    missing = client.cmd('COPY 1 ' + server.box('Nowhere'))
    assert missing.status == 'NO' and missing.code == 'TRYCREATE'
    assert watcher.must('NOOP').exists == 4
    got = watcher.uid_fetch('1:*', '(BODY.PEEK[])')
    assert [got[uid]['BODY[]'] for uid in (1, 2, 3, 4)] == [tools.mail(n) for n in (100, 2, 3, 5)]
    with server.client(user) as direct:
        for mailbox in ('INBOX', box):
            tools.same_mailbox(direct, connect(proxy.port, user), mailbox)


def test_t15_expunge_and_close_spare_what_the_client_has_not_seen(server, user, tap, make_proxy, connect):
    server.fill(user, 'INBOX', tools.mails(2))
    client = connect(make_proxy(tap.port).port, user)
    client.select()
    client.must('STORE 1 +FLAGS.SILENT (\\Deleted)')
    with server.client(user) as direct:
        direct.append('INBOX', tools.mail(3), flags='\\Deleted')
    client.must('EXPUNGE')
    with server.client(user) as direct:
        assert messages(direct, 'INBOX') == [2, 3]
    client.must('NOOP')
    client.must('STORE 1 +FLAGS.SILENT (\\Deleted)')
    with server.client(user) as direct:
        direct.append('INBOX', tools.mail(4), flags='\\Deleted')
    closed = client.must('CLOSE')
    assert not closed.named('EXPUNGE')
    with server.client(user) as direct:
        left = messages(direct, 'INBOX')
        assert 2 not in left and 4 in left
    assert not [c for c in tap.since().of('EXPUNGE', 'CLOSE')], 'the whole mailbox was expunged'


def test_t12_examined_mailbox_takes_no_writes(proxy, server, user, tap, connect):
    server.fill(user, 'INBOX', tools.mails(2))
    client = connect(proxy.port, user)
    assert client.select(examine=True).code == 'READ-ONLY'
    for command in ('STORE 1 +FLAGS (\\Deleted)', 'MOVE 1 INBOX', 'EXPUNGE', 'UID EXPUNGE 1'):
        assert client.cmd(command).status == 'NO', command
    client.must('CLOSE')
    assert tap.since().of('UID STORE', 'UID MOVE', 'UID EXPUNGE', 'EXPUNGE') == []
