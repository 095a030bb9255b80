"""Content known under another UID: what one client moves, nobody downloads again; and what a server says of a copy is
believed only as far as the copy's own size and envelope bear it out."""
import re

import pytest

import spine_tools as tools
from imapjudge import fakeserver, servers, wire

MB = 1_000_000


def like(number, body, subject=b'same'):
    """A mail whose size and envelope are the same for each @body of one length."""
    return (b'From: Anna <anna@example.com>\r\nTo: Bo <bo@example.com>\r\nSubject: %s\r\n'
            b'Message-ID: <same@example.com>\r\nDate: Mon, 7 Sep 2020 10:00:00 +0000\r\n\r\n' % subject) + body * number


def body(client, uid=1, section=''):
    return client.must('UID FETCH %d (UID BODY.PEEK[%s])' % (uid, section), timeout=30).fetch_by_uid()[uid]['BODY[%s]' % section]


@pytest.fixture
def two_boxes(server, user):
    """A login with a mail of 5 MB in INBOX and an empty mailbox Archive."""
    server.fill(user, 'INBOX', [tools.mail(1, 5 * MB), tools.mail(2, 100)])
    with server.client(user) as direct:
        direct.must('CREATE Archive')
    return user


@pytest.mark.parametrize('verb', ['MOVE', 'COPY'])
@pytest.mark.parametrize('restart', [False, True], ids=['running', 'restarted'])
@pytest.mark.parametrize('known', ['ENVELOPE RFC822.SIZE', 'UID'], ids=['listed', 'only the body'])
def test_t16_a_mail_moved_is_not_downloaded_again(proxy, tap, two_boxes, server, connect, verb, restart, known):
    mover = connect(proxy.port, two_boxes)
    mover.select()
    mover.must('UID FETCH 1 (%s)' % known)
    assert body(mover) == tools.mail(1, 5 * MB)
    mover.must('UID %s 1 Archive' % verb)
    if restart:
        mover.close()
        proxy.restart()
    mark = tap.mark()
    reader = connect(proxy.port, two_boxes)
    reader.select('Archive')
    assert body(reader) == tools.mail(1, 5 * MB)
    assert body(reader, 1, 'TEXT') == tools.mail(1, 5 * MB).partition(b'\r\n\r\n')[2]
    assert tap.since(mark).content_fetches == []
    assert tap.since(mark).octets_down < 20_000


def test_the_proof_goes_with_what_is_asked_anyhow(proxy, tap, two_boxes, connect):
    mover = connect(proxy.port, two_boxes)
    mover.select()
    assert body(mover) == tools.mail(1, 5 * MB)
    mover.must('UID MOVE 1 Archive')
    mark = tap.mark()
    reader = connect(proxy.port, two_boxes)
    reader.select('Archive')
    reader.must('UID FETCH 1 (FLAGS INTERNALDATE BODY.PEEK[HEADER.FIELDS (SUBJECT)])')
    assert len(tap.since(mark).of('UID FETCH')) <= 3     # the model's, the identity check's, and one for both
    mark = tap.mark()
    assert body(reader) == tools.mail(1, 5 * MB)
    assert tap.since(mark).of('UID FETCH') == []


def test_a_chain_of_moves_keeps_one_download(proxy, tap, two_boxes, server, connect):
    mover = connect(proxy.port, two_boxes)
    mover.must('CREATE Other')
    mover.select()
    assert body(mover) == tools.mail(1, 5 * MB)
    mark = tap.mark()
    for box in ('Archive', 'Other', 'Archive', 'INBOX'):
        uid = mover.must('UID SEARCH ALL').search()[0]
        moved = mover.must('UID MOVE %d %s' % (uid, box))
        new = int(re.search(rb'(\d+)$', moved.codes()['COPYUID']).group(1))
        mover.select(box)
        assert body(mover, new) == tools.mail(1, 5 * MB)
    assert tap.since(mark).content_fetches == []


@pytest.mark.parametrize('what', ['expunged', 'deleted', 'renamed'])
def test_nothing_is_lost_with_the_source(proxy, tap, server, user, connect, what):
    with server.client(user) as direct:
        direct.must('CREATE Box')
        direct.must('CREATE Archive')
        direct.append('Box', tools.mail(1, MB))
    mover = connect(proxy.port, user)
    mover.select('Box')
    assert body(mover) == tools.mail(1, MB)
    mover.must('UID COPY 1 Archive')
    if what == 'expunged':
        mover.must('UID STORE 1 +FLAGS (\\Deleted)')
        mover.must('EXPUNGE')
    mover.must('UNSELECT')
    if what == 'deleted':
        mover.must('DELETE Box')
    elif what == 'renamed':
        mover.must('RENAME Box Box2')
    proxy.restart()
    mark = tap.mark()
    reader = connect(proxy.port, user)
    reader.select('Archive')
    assert body(reader) == tools.mail(1, MB)
    assert tap.since(mark).content_fetches == []


def test_drafts_are_not_shared(proxy, tap, server, user, connect):
    with server.client(user) as direct:
        direct.must('CREATE Archive')
        direct.append('INBOX', tools.mail(1, MB), flags='\\Draft')
    mover = connect(proxy.port, user)
    mover.select()
    body(mover)
    mover.must('UID MOVE 1 Archive')
    mark = tap.mark()
    mover.select('Archive')
    assert body(mover) == tools.mail(1, MB)
    assert len(tap.since(mark).content_fetches) == 1


# ---- what a server may say of a copy

@pytest.fixture
def filled(fake):
    """A scripted server with four mails in INBOX, and Archive."""
    box = fake.mailbox()
    fake.mailbox('Archive', 2000)
    for number in range(1, 5):
        box.add(tools.mail(number, 30_000 + number))
    return fake


def copies(change):
    """A handler of MOVE and COPY that tells another COPYUID: change(source UIDs, target UIDs) -> the two sets as text."""
    def handler(conn, command):
        said = conn.default(command)

        def edit(found):
            sets = [[n for a, b in _ranges(s) for n in range(a, b + 1)] for s in found.group(2, 3)]
            return b'COPYUID %s %s %s]' % (found.group(1), *(s.encode() for s in change(*sets)))
        conn.send(re.sub(rb'COPYUID (\d+) (\S+) (\S+)\]', edit, said))
    return handler


def _ranges(text):
    for part in text.decode().split(','):
        first, _, last = part.partition(':')
        yield int(first), int(last or first)


def listed(numbers):
    return ','.join(str(n) for n in numbers)


WRONG = {
    'targets backwards': lambda old, new: (listed(old), listed(reversed(new))),
    'sources backwards': lambda old, new: (listed(reversed(old)), listed(new)),
    'both by a range downwards': lambda old, new: ('%d:%d' % (old[-1], old[0]), wire.format_set(new).decode()
                                                   if isinstance(wire.format_set(new), bytes) else wire.format_set(new)),
    'one source less': lambda old, new: (listed(old[1:]), listed(new)),
    'one target less': lambda old, new: (listed(old), listed(new[:-1])),
    'shifted by one': lambda old, new: (listed(old), listed(new[1:] + new[:1])),
    'all the same source': lambda old, new: (listed(old[:1] * len(old)), listed(new)),
    'targets of others': lambda old, new: (listed(old), listed(n + 100 for n in new)),
}


@pytest.mark.parametrize('how', WRONG, ids=lambda how: how.replace(' ', '-'))
@pytest.mark.parametrize('verb', ['MOVE', 'COPY'])
def test_t16_copyuid_in_the_wrong_order_shows_no_wrong_mail(make_proxy, filled, connect, how, verb):
    proxy = make_proxy(filled.port)
    mover = connect(proxy.port, 'u0')
    mover.select()
    before = {uid: items['BODY[]'] for uid, items in tools.whole(mover).items()}
    mover.must('UID FETCH 1:* (ENVELOPE)')
    filled.on('UID ' + verb, copies(WRONG[how]))
    mover.must('UID %s 1:4 Archive' % verb)
    mover.select('Archive')
    after = {uid: items['BODY[]'] for uid, items in tools.whole(mover, items='(UID BODY.PEEK[])').items()}
    assert after == {m.uid: m.octets for m in filled.mailbox('Archive').messages}
    assert sorted(after.values()) == sorted(before.values())


@pytest.mark.parametrize('how', WRONG, ids=lambda how: how.replace(' ', '-'))
def test_t16_look_alikes_are_not_mistaken_for_each_other(make_proxy, fake, connect, how):
    """Size and envelope are equal, the bodies are not: the order of the sets is all there is, and it is wrong."""
    fake.mailbox('Archive', 2000)
    for letter in (b'a', b'b', b'c'):
        fake.mailbox().add(like(40_000, letter))
    proxy = make_proxy(fake.port)
    mover = connect(proxy.port, 'u0')
    mover.select()
    tools.whole(mover)
    mover.must('UID FETCH 1:* (ENVELOPE)')
    fake.on('UID MOVE', copies(WRONG[how]))
    mover.must('UID MOVE 1:3 Archive')
    mover.select('Archive')
    for message in fake.mailbox('Archive').messages:
        assert body(mover, message.uid) == message.octets


def test_a_look_alike_that_is_not_cached_is_one_all_the_same(make_proxy, fake, connect):
    """Of two mails of one size and envelope one was read: the other's UID in the target may be taken for its."""
    fake.mailbox('Archive', 2000)
    for letter in (b'a', b'b'):
        fake.mailbox().add(like(40_000, letter))
    proxy = make_proxy(fake.port)
    mover = connect(proxy.port, 'u0')
    mover.select()
    body(mover, 1)
    fake.on('UID MOVE', copies(WRONG['targets backwards']))
    mover.must('UID MOVE 1:2 Archive')
    mover.select('Archive')
    for message in fake.mailbox('Archive').messages:
        assert body(mover, message.uid) == message.octets


@pytest.mark.parametrize('what', ['size', 'envelope'])
def test_a_copy_that_differs_is_asked_for(make_proxy, filled, connect, what):
    proxy = make_proxy(filled.port)
    mover = connect(proxy.port, 'u0')
    mover.select()
    body(mover, 2)
    mover.must('UID MOVE 2 Archive')
    copy = filled.mailbox('Archive').messages[0]
    if what == 'size':
        copy.octets = copy.octets + b'a footer\r\n'
    else:
        copy.octets = copy.octets.replace(b'Subject: number', b'Subject: nomber', 1)
    mover.select('Archive')
    assert body(mover) == copy.octets


@pytest.mark.parametrize('answer', [b'', b'* 1 FETCH (UID 1 RFC822.SIZE 0 ENVELOPE (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL))\r\n',
                                    b'NO', b'cut'], ids=['nothing', 'filler', 'refused', 'link lost'])
def test_a_copy_that_cannot_be_proven_is_asked_for(make_proxy, filled, connect, answer):
    def handler(conn, command):
        if b'ENVELOPE' not in command.args:
            conn.send(conn.default(command))
        elif answer == b'cut':
            conn.cut()
        elif answer == b'NO':
            conn.no(command)
        else:
            conn.send(answer)
            conn.ok(command)
    proxy = make_proxy(filled.port)
    mover = connect(proxy.port, 'u0')
    mover.select()
    body(mover, 2)
    mover.must('UID MOVE 2 Archive')
    filled.on('UID FETCH', handler)
    mover.select('Archive')
    assert body(mover) == filled.mailbox('Archive').messages[0].octets


def test_a_uid_that_was_there_before_is_no_copy(make_proxy, fake, connect):
    """COPYUID names an older look-alike in the target."""
    archive = fake.mailbox('Archive', 2000)
    archive.add(like(40_000, b'b'))
    fake.mailbox().add(like(40_000, b'a'))
    proxy = make_proxy(fake.port)
    mover, reader = connect(proxy.port, 'u0'), connect(proxy.port, 'u0')
    reader.select('Archive')
    reader.must('UID FETCH 1 (FLAGS)')      # the model is there
    mover.select()
    body(mover)
    fake.on('UID MOVE', copies(lambda old, new: (listed(old), listed(n - 1 for n in new))))
    mover.must('UID MOVE 1 Archive')
    assert body(reader, 1) == archive.messages[0].octets


def test_mail_without_message_id_is_not_shared(make_proxy, fake, connect):
    fake.mailbox('Archive', 2000)
    fake.mailbox().add(b'From: a@example.com\r\nSubject: x\r\n\r\n' + b'text\r\n' * 9000)
    proxy = make_proxy(fake.port)
    mover = connect(proxy.port, 'u0')
    mover.select()
    body(mover)
    mover.must('UID MOVE 1 Archive')
    mark = len(fake.commands)
    mover.select('Archive')
    assert body(mover) == fake.mailbox('Archive').messages[0].octets
    assert [c for c in fake.commands[mark:] if c.verb == 'UID FETCH' and c.args.endswith(b'BODY.PEEK[])')]


def test_t44_accounts_share_nothing(make_proxy, filled, connect):
    proxy = make_proxy(filled.port)
    first, other = connect(proxy.port, 'u0'), connect(proxy.port, 'u1')
    for client in (first, other):
        client.select()
    body(first, 2)
    other.must('UID COPY 2 Archive')
    seen = len(filled.seen('UID FETCH'))
    other.select('Archive')
    assert body(other) == filled.mailbox('Archive').messages[0].octets
    assert [c for c in filled.seen('UID FETCH')[seen:] if b'BODY.PEEK[]' in c.args]


def test_t5_a_target_of_another_uidvalidity_is_not_believed(make_proxy, filled, connect):
    """The target is open, and the COPYUID is of another mailbox of that name."""
    proxy = make_proxy(filled.port)
    mover, reader = connect(proxy.port, 'u0'), connect(proxy.port, 'u0')
    filled.mailbox('Archive').add(tools.mail(9, 40_000))
    reader.select('Archive')
    mover.select()
    body(mover, 2)
    filled.on('UID COPY', lambda conn, command: conn.send(conn.default(command).replace(b'COPYUID 2000', b'COPYUID 2001')))
    mover.must('UID COPY 2 Archive')
    reader.must('NOOP')
    assert body(reader, 2) == filled.mailbox('Archive').messages[1].octets
    assert body(reader, 1) == tools.mail(9, 40_000)


# ---- one identity, told by the upstream

@pytest.fixture(params=['EMAILID', 'X-GM-MSGID'])
def telling(request):
    """(server, item, add): a scripted server that tells identities; add(box, octets, id)."""
    word = 'OBJECTID' if request.param == 'EMAILID' else 'X-GM-EXT-1'
    with fakeserver.FakeServer(capabilities=fakeserver.CAPABILITIES + ' ' + word) as server:
        server.mailbox('Archive', 2000)

        def add(box, octets, number):
            message = server.mailbox(box).add(octets)
            message.answers[request.param] = b'(M%d)' % number if request.param == 'EMAILID' else b'%d' % number
            return message
        yield server, request.param, add
    assert not server.errors, server.errors


def downloads(server, mark):
    return [c for c in server.commands[mark:] if c.verb == 'UID FETCH' and re.search(rb'BODY.PEEK\[(TEXT)?\]', c.args)]


def test_a_mail_of_the_same_identity_is_not_downloaded_again(make_proxy, telling, connect):
    """Copied by somebody else: no COPYUID tells of it."""
    server, item, add = telling
    add('INBOX', tools.mail(1, MB), 17)
    proxy = make_proxy(server.port)
    client = connect(proxy.port, 'u0')
    client.select()
    client.must('UID FETCH 1 (ENVELOPE RFC822.SIZE)')
    assert body(client) == tools.mail(1, MB)
    add('Archive', tools.mail(1, MB), 17)
    mark = len(server.commands)
    client.select('Archive')
    client.must('UID FETCH 1 (ENVELOPE)')
    assert body(client) == tools.mail(1, MB)
    assert body(client, 1, 'TEXT') == tools.mail(1, MB).partition(b'\r\n\r\n')[2]
    assert downloads(server, mark) == []
    told = client.must('UID FETCH 1 (ENVELOPE)').fetch_by_uid()[1]
    assert item not in told                     # F5: nobody asked for it


@pytest.mark.parametrize('what', ['identity', 'size', 'envelope', 'draft', 'account', 'first read whole'])
def test_another_mail_is_downloaded(make_proxy, telling, connect, what):
    server, _item, add = telling
    first = tools.mail(1, 50_000)
    other = {'identity': tools.mail(2, 50_000), 'size': first + b'more\r\n', 'envelope': first.replace(b'number', b'nomber', 1)}.get(what, first)
    add('INBOX', first, 17)
    copy = add('Archive', other, 18 if what == 'identity' else 17)
    copy.flags = {'\\Draft'} if what == 'draft' else set()
    proxy = make_proxy(server.port)
    client = connect(proxy.port, 'u0')
    client.select()
    client.must('UID FETCH 1 (ENVELOPE RFC822.SIZE)')
    body(client)
    mark = len(server.commands)
    reader = connect(proxy.port, 'u1' if what == 'account' else 'u0')
    reader.select('Archive')
    if what != 'first read whole':
        reader.must('UID FETCH 1 (ENVELOPE)')
    assert body(reader) == other
    assert len(downloads(server, mark)) == 1


def test_identity_on_a_real_server(make_proxy, connect):
    with servers.KINDS['cyrus'](users=2) as server:
        user = server.new_user()
        server.fill(user, 'INBOX', [tools.mail(1, MB)])
        from imapjudge import tap as judge_tap
        with judge_tap.Tap(server.port) as counting:
            proxy = make_proxy(counting.port)
            client = connect(proxy.port, user, timeout=30)
            client.select()
            client.must('UID FETCH 1 (ENVELOPE RFC822.SIZE)')
            body(client)
            target = server.box('Archive')
            with server.client(user) as direct:
                direct.must('CREATE ' + target)
                direct.select()
                direct.must('UID COPY 1 ' + target)
            mark = counting.mark()
            client.select(target)
            client.must('UID FETCH 1 (ENVELOPE)')
            assert body(client) == tools.mail(1, MB)
            assert counting.since(mark).content_fetches == []
