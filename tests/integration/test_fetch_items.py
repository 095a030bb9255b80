"""Every item of FETCH, on each server, asked directly and through the proxy, cold and from the cache: the same values;
and refusals in the upstream's own words that do not harm what was asked beside them."""
import re

import pytest
from imapjudge import imapclient, mailgen, mimegen, servers, tap as judge_tap
from spine_tools import mail

HEAD = b'From: a@b\r\nSubject: s\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: %s\r\n\r\n%s\r\n'
ITEMS = ('FLAGS', 'UID', 'INTERNALDATE', 'RFC822.SIZE', 'ENVELOPE', 'BODY', 'BODYSTRUCTURE', 'BODY.PEEK[]', 'BODY.PEEK[HEADER]',
         'BODY.PEEK[TEXT]', 'BODY.PEEK[1]', 'BODY.PEEK[1.MIME]', 'BODY.PEEK[HEADER.FIELDS (Subject from)]',
         'BODY.PEEK[HEADER.FIELDS.NOT (Subject from)]', 'BODY.PEEK[TEXT]<2.5>', 'BODY.PEEK[]<100000000.5>', 'RFC822.HEADER',
         'BODY.PEEK[2.HEADER.FIELDS (subject)]', 'MODSEQ', 'EMAILID', 'THREADID', 'SAVEDATE', 'PREVIEW', 'PREVIEW (LAZY)',
         'BINARY.PEEK[1]', 'BINARY.PEEK[1]<1.2>', 'BINARY.SIZE[1]', 'BINARY.PEEK[]', 'BINARY.SIZE[]', 'X-GM-MSGID', 'X-GM-THRID',
         'X-GM-LABELS', 'X-GUID', 'X-NOBODY-KNOWS', 'ANNOTATION')
MACROS = ('ALL', 'FAST', 'FULL', 'BODY[TEXT]<1.3>', 'RFC822', 'RFC822.TEXT', 'BODY[]')
TIMING = re.compile(rb' \(\d+\.\d+ [^)]*\)')


@pytest.fixture(scope='module', params=sorted(servers.KINDS))
def filled(request):
    """(each server in turn, a user with a filled INBOX, to be copied)"""
    try:
        with servers.KINDS[request.param](users=100) as running:
            user = running.new_user()
            fill(running, user)
            yield running, user
    except Exception as error:      # pylint: disable=broad-except
        if 'conf/servers' in str(error):
            pytest.skip(str(error))
        raise


def fill(server, user):
    mails = [HEAD % (b'base64', b'aGVsbG8='), HEAD % (b'7bit', b'plain'), *mimegen.MimeGenerator(3).mails(12),
             *mailgen.Generator(9, flags=True, big=30_000).mails(12), mail(1)]
    taken = 0
    with server.client(user) as client:
        for one in mails:
            try:
                taken += client.append('INBOX', getattr(one, 'octets', one), flags=' '.join(getattr(one, 'flags', ()))).ok
            except imapclient.IMAPRefused:
                pass        # Cyrus takes no malformed header
    assert taken > 20


@pytest.fixture
def pair(filled, make_proxy, connect):
    """(direct client, proxied client, tap) of one mailbox, examined."""
    server, user = filled[0], filled[0].new_user()
    server.copy_user(filled[1], user)
    with judge_tap.Tap(server.port) as tap:
        proxy = make_proxy(tap.port)
        clients = [connect(server.port, user, timeout=30), connect(proxy.port, user, timeout=30)]
        for client in clients:
            client.select(examine=True)
        yield (*clients, tap)


def picture(result):
    """Values by upper-case label, empty strings alike, without what may differ from session to session."""
    out = {}
    for number, items in result.fetch().items():
        told = {name.upper().replace('"', ''): value for name, value in items.items()}
        if 'FLAGS' in told:
            told['FLAGS'] = sorted(bytes(f) for f in told['FLAGS'] if bytes(f) != b'\\Recent')
        out[number] = told
    return out


def same(direct, proxied, command):
    left, right = direct.cmd(command), proxied.cmd(command)
    assert left.ok == right.ok, (command, left, right)
    pictures = [picture(left), picture(right)]
    if not left.ok:         # Dovecot begins the line of the message it stops at
        pictures = [{n: items for n, items in told.items() if set(items) != {'UID'}} for told in pictures]
    assert pictures[0] == pictures[1], command
    assert len(right.named('FETCH')) == len(right.fetch()), 'more than one line'
    return left, right


@pytest.mark.parametrize('item', ITEMS + MACROS)
def test_item_is_what_the_upstream_says(pair, item):
    direct, proxied, _ = pair
    listed = item if item in MACROS[:3] else '(%s)' % item
    for command in ('UID FETCH 3:5 %s', 'FETCH 2 %s', 'UID FETCH 1:* %s', 'FETCH 2:4,1 %s'):
        same(direct, proxied, command % listed)


def test_many_items_at_once_and_kept(pair, filled):
    """What the server knows of them, in one command, cold and warm; nothing immutable is asked twice."""
    direct, proxied, tap = pair
    candidates = ITEMS if filled[0].facts.condstore else ITEMS[:18]    # Courier hangs up on whom it has to refuse often
    known = [item for item in candidates if direct.cmd('FETCH 1:* (%s)' % item).ok and not item.startswith('X-')]
    command = 'UID FETCH 1:* (%s)' % ' '.join(known)
    same(direct, proxied, command)
    mark = tap.mark()
    for numbers in ('1:*', '3', '2:6'):
        same(direct, proxied, 'UID FETCH %s (%s)' % (numbers, ' '.join(i for i in known if not i.startswith('PREVIEW'))))
    assert not [c for c in tap.since(mark).commands if c.verb == 'UID FETCH']


def test_t7_previews_are_kept_a_while_and_nil_is_not(fake, make_proxy, connect):
    fake.mailbox('INBOX').add(mail(1))
    asked = []

    def preview(conn, command):
        if b'PREVIEW' not in command.args:
            return conn.default(command)
        asked.append(b'(LAZY)' in command.args)
        value = 'NIL' if asked[-1] else '"what it is about"'
        return ('* 1 FETCH (UID 1 PREVIEW %s)\r\n' % value).encode() + command.tag + b' OK done\r\n'
    fake.on('UID FETCH', preview)
    proxy = make_proxy(fake.port)
    client = connect(proxy.port, 'u')
    client.select()
    for _ in range(2):
        assert client.must('FETCH 1 (PREVIEW (LAZY))').fetch() == {1: {'PREVIEW': None}}
    assert asked == [True, True]
    for item in ('PREVIEW', 'PREVIEW (LAZY)', 'PREVIEW'):
        assert client.must('FETCH 1 (%s)' % item).fetch() == {1: {'PREVIEW': b'what it is about'}}
    assert asked == [True, True, False]
    assert client.must('FETCH 1 (PREVIEW (LAZY) PREVIEW)').fetch() == {1: {'PREVIEW': b'what it is about'}}


# ---- refusals

def words(result):
    return result.status, result.code, TIMING.sub(b'', result.text)


def test_refusals_are_the_upstreams_words(pair):
    direct, proxied, _ = pair
    for item in ('X-NOBODY-KNOWS', 'ANNOTATION', 'X-GM-MSGID', 'ENVELOPE X-NOBODY-KNOWS'):
        left, right = same(direct, proxied, 'UID FETCH 2:3 (%s)' % item)
        assert not left.ok and words(left) == words(right)
    same(direct, proxied, 'UID FETCH 2:3 (ENVELOPE)')


def test_unknown_cte_stops_where_the_server_stops(dovecot, user, proxy, tap, connect):
    bad = HEAD % (b'x-unknown', b'data')
    good = HEAD % (b'base64', b'aGVsbG8=')
    dovecot.fill(user, 'INBOX', [good, good, bad, good, bad, bad, good])
    direct, proxied = connect(dovecot.port, user), connect(proxy.port, user)
    for client in (direct, proxied):
        client.select()
    left, right = direct.cmd('UID FETCH 1:* (BINARY.PEEK[1])'), proxied.cmd('UID FETCH 1:* (BINARY.PEEK[1])')
    assert words(left) == words(right) and right.code == 'UNKNOWN-CTE'
    assert {n: i for n, i in left.fetch().items() if 'BINARY[1]' in i} == right.fetch() and len(right.fetch()) == 2
    for uid in range(1, 8):
        left, right = direct.cmd('UID FETCH %d (BINARY.PEEK[1])' % uid), proxied.cmd('UID FETCH %d (BINARY.PEEK[1])' % uid)
        assert left.ok == right.ok and right.ok == (uid in (1, 2, 4, 7))
    for _ in range(2):      # what came with a refusal is not kept, what came without is
        mark = tap.mark()
        assert len(proxied.must('UID FETCH 1,2,4,7 (BINARY.PEEK[1])').fetch()) == 4
    assert not tap.since(mark).content_fetches


@pytest.mark.parametrize('word', ['NO', 'BAD'])
def test_a_refused_item_harms_nobody_elses(fake, make_proxy, connect, word):
    """Two sessions' questions share a command upstream; the refusal is only for who asked the odd item."""
    for n in range(1, 21):
        fake.mailbox('INBOX').add(mail(n))

    def refuse(conn, command):
        if b'X-ODD' in command.args:
            return conn.tagged(command, word, 'odd indeed')
        return conn.default(command)
    fake.on('UID FETCH', refuse)
    proxy = make_proxy(fake.port)
    clients = [connect(proxy.port, 'u') for _ in range(3)]
    for client in clients:
        client.select()
        client.fetch('1:*', 'FLAGS')    # the mailbox is known
    tags = [clients[0].start('FETCH 1:20 (ENVELOPE X-ODD)'), clients[1].start('FETCH 1:20 (ENVELOPE)'),
            clients[2].start('FETCH 5:9 (INTERNALDATE ENVELOPE BODY.PEEK[])')]
    results = [client.wait(tag) for client, tag in zip(clients, tags)]
    assert words(results[0]) == (word, None, b'odd indeed')
    assert results[1].ok and len(results[1].fetch()) == 20
    assert results[2].ok and len(results[2].fetch()) == 5
    odd = [c for c in fake.commands if b'X-ODD' in c.raw]
    assert len(odd) <= 6, odd       # by item, then by message; one more where the others' questions joined it


def test_a_command_that_is_throttled_is_not_cut_up(fake, make_proxy, connect):
    for n in range(1, 21):
        fake.mailbox('INBOX').add(mail(n))
    fake.on('UID FETCH', lambda conn, command: conn.no(command, 'later', code='LIMIT')
            if b'ENVELOPE' in command.args else conn.default(command))
    client = connect(make_proxy(fake.port).port, 'u')
    client.select()
    assert client.cmd('FETCH 1:20 (ENVELOPE BODYSTRUCTURE)').code == 'LIMIT'
    assert len([c for c in fake.commands if b'ENVELOPE' in c.raw]) == 1


def test_words_of_a_refusal_are_cleaned(fake, make_proxy, connect):
    """T42: control octets and codes that are not for clients stay out."""
    fake.mailbox('INBOX').add(mail(1))
    fake.on('UID FETCH', lambda conn, command: conn.send(
        command.tag + b' NO [REFERRAL imap://elsewhere/] odd\x07\xff words\r\n') if b'X-ODD' in command.args else conn.default(command))
    client = connect(make_proxy(fake.port).port, 'u')
    client.select()
    result = client.cmd('FETCH 1 (X-ODD)')
    assert result.status == 'NO' and result.code is None and result.text == b'odd?? words'


def test_a_mailbox_without_modseqs(fake, make_proxy, connect):
    """RFC 7162 3.1.2.2: MODSEQ and CHANGEDSINCE are BAD there."""
    fake.capabilities = ' '.join(c for c in fake.capabilities.split() if c not in ('CONDSTORE', 'QRESYNC'))
    fake.mailbox('INBOX').add(mail(1))
    client = connect(make_proxy(fake.port).port, 'u')
    client.select()
    for command in ('FETCH 1 (MODSEQ)', 'FETCH 1 (FLAGS) (CHANGEDSINCE 1)'):
        assert client.cmd(command).status == 'BAD'
    assert set(client.must('FETCH 1 (FLAGS)').fetch()[1]) == {'FLAGS'}


