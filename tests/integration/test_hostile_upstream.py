"""An upstream that lies, babbles, stalls or breaks off. Whatever it does, the proxy stays up, no client waits without
end, no processor burns, and once the upstream is honest again the same cache tells nothing but the truth."""
import random
import re
import time

import pytest

import hostile_tools as hostile
import spine_tools as tools
from imapjudge import fakemail, fakeserver, imapclient

WAIT = 30           # seconds a client may have to wait: a link lost, again, and then each message asked alone
SETTINGS = 'connect_timeout = 1s\ncommand_timeout = 1s'
ITEMS = '(UID ENVELOPE BODYSTRUCTURE INTERNALDATE RFC822.SIZE)'


# ---- ways to lie

def edited(change):
    """A handler: what would have been said, changed."""
    def handler(conn, command):
        conn.send(change(conn.default(command)))
    return handler


def replaced(pattern, by):
    return edited(lambda data: re.sub(pattern, by, data))


def before(octets):
    return edited(lambda data: octets + data)


def each_response(change):
    """change(list of responses) -> list."""
    return edited(lambda data: b''.join(change(fakeserver.split_responses(data))))


def fetches(change):
    """change(list of FETCH responses) -> list; the rest stays behind them."""
    def apply(responses):
        told = [r for r in responses if b' FETCH (' in r[:30]]
        return change(told) + [r for r in responses if r not in told]
    return each_response(apply)


def tagged(status):
    """Nothing but this tagged line."""
    return lambda conn, command: conn.send(command.tag + b' ' + status + b'\r\n')


def wrong_tag(conn, command):
    conn.send(conn.default(command).replace(command.tag + b' ', b'XX99 ') or b'XX99 OK\r\n')


def silent(conn, command):
    conn.stall()


def stall_at(part):
    def handler(conn, command):
        data = conn.default(command)
        conn.send(data[:int(len(data) * part)])
        conn.stall()
    return handler


def endless(octets, total=30_000_000):
    def handler(conn, command=None):
        sent = 0
        while sent < total:
            conn.send(octets)
            sent += len(octets)
        conn.cut()
    return handler


def uid_last(responses):
    return [re.sub(rb'FETCH \((UID \d+) (.*)\)\r\n\Z', rb'FETCH (\2 \1)\r\n', r, flags=re.S) for r in responses]


def literal_off_by(number):
    return replaced(rb'\{(\d+)\}\r\n', lambda m: b'{%d}\r\n' % max(0, int(m.group(1)) + number))


def idle_with(octets):
    def handler(conn, command):
        conn.send(b'+ idling\r\n' + octets)
        conn.read_line()
        conn.ok(command)
    return handler


BODY = rb'BODY\[\] \{\d+\}\r\n'
KEYWORDS = b' '.join(b'keyword%d' % n for n in range(100_000))
NESTED = b'(' * 100_000 + b'"text" "plain" NIL NIL NIL "7bit" 1 1' + b')' * 100_000

UNTAGGED = {
    'expunge 0': b'* 0 EXPUNGE\r\n', 'expunge beyond': b'* 4294967295 EXPUNGE\r\n', 'expunge seven': b'* 7 EXPUNGE\r\n',
    'vanished all': b'* VANISHED 1:4294967295\r\n', 'vanished earlier all': b'* VANISHED (EARLIER) 1:4294967295\r\n',
    'vanished wide': b'* VANISHED 7:4000000000\r\n', 'vanished nonsense': b'* VANISHED x\r\n', 'vanished 0': b'* VANISHED 0\r\n',
    'exists shrinks': b'* 2 EXISTS\r\n', 'exists 0': b'* 0 EXISTS\r\n', 'exists 4 billion': b'* 4294967295 EXISTS\r\n',
    'exists too large a number': b'* 4294967296 EXISTS\r\n', 'exists flaps': b'* 900 EXISTS\r\n* 1 EXISTS\r\n* 6 EXISTS\r\n',
    'fetch 0': b'* 0 FETCH (FLAGS (\\Seen))\r\n', 'fetch beyond': b'* 4294967295 FETCH (UID 4294967295 FLAGS ())\r\n',
    'fetch unknown uid': b'* 900 FETCH (UID 900 FLAGS (\\Deleted))\r\n', 'fetch uid 0': b'* 2 FETCH (UID 0 FLAGS (\\Draft))\r\n',
    'fetch uid of another': b'* 2 FETCH (UID 5 FLAGS ())\r\n', 'fetch without items': b'* 1 FETCH ()\r\n',
    'fetch cut': b'* 1 FETCH (FLAGS\r\n', 'fetch nonsense': b'* 1 FETCH (FLAGS {2}\r\n() UID x)\r\n', 'fetch open quote': b'* 1 FETCH (X "\r\n',
    'fetch body of nobody': b'* 1 FETCH (BODY[] {3}\r\nabc)\r\n', 'fetch literal of nobody': b'* 1 FETCH (X {300000}\r\n' + b'y' * 300_000 + b')\r\n',
    'keywords': b'* 1 FETCH (UID 1 FLAGS (' + KEYWORDS + b'))\r\n', 'flags with keywords': b'* FLAGS (' + KEYWORDS + b')\r\n',
    'permanentflags': b'* OK [PERMANENTFLAGS (' + KEYWORDS + b')] x\r\n', 'flags nonsense': b'* FLAGS ((((\r\n',
    'modseq 0': b'* 1 FETCH (UID 1 MODSEQ (0) FLAGS ())\r\n', 'modseq huge': b'* 1 FETCH (UID 1 MODSEQ (9223372036854775807) FLAGS ())\r\n',
    'modseq too large': b'* 1 FETCH (UID 1 MODSEQ (18446744073709551616) FLAGS ())\r\n', 'highestmodseq': b'* OK [HIGHESTMODSEQ 9223372036854775807] x\r\n',
    'uidvalidity changes': b'* OK [UIDVALIDITY 77] new\r\n', 'uidvalidity 0': b'* OK [UIDVALIDITY 0] new\r\n',
    'uidnext 0': b'* OK [UIDNEXT 0] x\r\n', 'uidnext 4 billion': b'* OK [UIDNEXT 4294967295] x\r\n', 'closed': b'* OK [CLOSED] x\r\n',
    'code open': b'* OK [UIDNEXT 5 x\r\n', 'code long': b'* OK [' + b'X' * 100_000 + b'] x\r\n', 'continuation': b'+ go on\r\n', 'continuations': b'+\r\n' * 1000,
    'bye': b'* BYE leave\r\n', 'preauth': b'* PREAUTH here\r\n', 'bad': b'* BAD no\r\n', 'nul': b'* \0\0\0\r\n', 'empty': b'\r\n\r\n', 'star': b'*\r\n',
    'garbage': b'\xff\xfe\x00garbage\r\n', 'no crlf': b'* OK x\n* OK y\n', 'number only': b'* 12\r\n', 'search of nobody': b'* SEARCH 1 2 3\r\n',
    'esearch': b'* ESEARCH (TAG "A1") UID ALL 1:4294967295\r\n', 'capability': b'* CAPABILITY IMAP4rev1 ' + b'X=' * 5000 + b'\r\n',
    'list of nobody': b'* LIST (\\Noselect) "/" "evil\\" \\"x"\r\n', 'status of nobody': b'* STATUS INBOX (UIDVALIDITY 9 MESSAGES 99 UIDNEXT 1)\r\n',
    'metadata': b'* METADATA "" (/x NIL)\r\n', 'flood': b'* 1 FETCH (UID 1 FLAGS (\\Seen))\r\n' * 20_000, 'alert': b'* NO [ALERT] ' + b'z' * 70_000 + b'\r\n',
}

GREETINGS = {
    'garbage': b'\x00\x01SSH-2.0-OpenSSH_9.2\r\n', 'http': b'HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n', 'preauth': b'* PREAUTH welcome\r\n', 'bye': b'* BYE too busy\r\n',
    'empty line': b'\r\n', 'tagged': b'A1 OK hello\r\n', 'continuation': b'+ hello\r\n', 'literal': b'* OK {100000}\r\n', 'huge literal': b'* OK {99999999999}\r\n',
    'capability alone': b'* CAPABILITY IMAP4rev1\r\n', 'long capabilities': b'* OK [CAPABILITY ' + b'A=B ' * 200_000 + b'] x\r\n', 'no': b'* NO go away\r\n',
    'logindisabled': b'* OK [CAPABILITY IMAP4rev1 LOGINDISABLED] x\r\n', 'starttls only': b'* OK [CAPABILITY IMAP4rev1 LOGINDISABLED STARTTLS] x\r\n',
    'everything at once': b'* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] x\r\nA1 OK in\r\nA2 OK\r\nA3 OK\r\n* 3 EXISTS\r\n'}

LOGINS = {'no answer': silent, 'wrong tag': wrong_tag, 'bye': lambda c, m: c.bye('full'), 'cut': lambda c, m: c.cut(), 'bad': tagged(b'BAD x'),
          'no without code': tagged(b'NO'), 'no unavailable': tagged(b'NO [UNAVAILABLE] later'), 'nonsense': tagged(b'MAYBE'), 'asks on': endless(b'+ \r\n', 50_000),
          'no limit': tagged(b'NO [LIMIT] too many'), 'alert injection': tagged(b'NO [ALERT] \x1b[2J\x07 {5} x')}

SELECTS = {
    'no': tagged(b'NO [NOPERM] x'), 'bad': tagged(b'BAD x'), 'ok alone': tagged(b'OK [READ-WRITE] x'), 'nonsense': tagged(b'PERHAPS'), 'wrong tag': wrong_tag,
    'silent': silent, 'half': stall_at(0.5), 'no uidvalidity': replaced(rb'\* OK \[UIDVALIDITY[^\n]*\n', b''), 'uidvalidity 0': replaced(rb'UIDVALIDITY \d+', b'UIDVALIDITY 0'),
    'uidvalidity huge': replaced(rb'UIDVALIDITY \d+', b'UIDVALIDITY 99999999999'), 'other uidvalidity': replaced(rb'UIDVALIDITY \d+', b'UIDVALIDITY 5'),
    'no uidnext': replaced(rb'\* OK \[UIDNEXT[^\n]*\n', b''), 'uidnext 0': replaced(rb'UIDNEXT \d+', b'UIDNEXT 0'), 'uidnext 1': replaced(rb'UIDNEXT \d+', b'UIDNEXT 1'),
    'uidnext max': replaced(rb'UIDNEXT \d+', b'UIDNEXT 4294967295'), 'exists less': replaced(rb'\d+ EXISTS', b'3 EXISTS'), 'exists more': replaced(rb'\d+ EXISTS', b'60 EXISTS'),
    'exists max': replaced(rb'\d+ EXISTS', b'4294967295 EXISTS'), 'no exists': replaced(rb'\* \d+ EXISTS\r\n', b''), 'no flags': replaced(rb'\* (FLAGS|OK .PERM)[^\n]*\n', b''),
    'highestmodseq 0': replaced(rb'HIGHESTMODSEQ \d+', b'HIGHESTMODSEQ 0'), 'highestmodseq max': replaced(rb'HIGHESTMODSEQ \d+', b'HIGHESTMODSEQ 18446744073709551615'),
    'nomodseq': replaced(rb'HIGHESTMODSEQ \d+', b'NOMODSEQ'), 'twice': edited(lambda d: d[:d.rindex(b'\n', 0, -2) + 1] + d)}

FETCHES = {
    'reversed': fetches(lambda told: told[::-1]), 'twice': fetches(lambda told: told + told), 'without uid': replaced(rb'UID \d+ ', b''), 'uid last': fetches(uid_last),
    'uid 0': replaced(rb'UID \d+', b'UID 0'), 'uid max': replaced(rb'UID \d+', b'UID 4294967295'), 'uid too large': replaced(rb'UID \d+', b'UID 4294967296'),
    'number 0': replaced(rb'\* \d+ FETCH', b'* 0 FETCH'), 'number max': replaced(rb'\* \d+ FETCH', b'* 4294967295 FETCH'), 'none told': fetches(lambda told: []),
    'first alone': fetches(lambda told: told[:1]), 'no': tagged(b'NO x'), 'bad': tagged(b'BAD x'), 'ok alone': tagged(b'OK x'), 'wrong tag': wrong_tag, 'silent': silent,
    'half': stall_at(0.5), 'almost all': stall_at(0.97), 'bye': lambda c, m: c.bye('x'), 'nil bodies': replaced(BODY + rb'[^)]*\)\r\n', b'BODY[] NIL)\r\n'),
    'empty bodies': replaced(BODY + rb'[^)]*\)\r\n', b'BODY[] {0}\r\n)\r\n'), 'bodies quoted': replaced(BODY + rb'[^)]*\)\r\n', b'BODY[] "")\r\n'),
    'literal short': literal_off_by(-5), 'literal long': literal_off_by(5), 'literal 4 GB': replaced(rb'\{\d+\}', b'{4294967296}'), 'literal beyond': replaced(rb'\{\d+\}', b'{99999999999999999999}'),
    'literal negative': replaced(rb'\{\d+\}', b'{-5}'), 'deep structure': replaced(rb'BODYSTRUCTURE \([^)]*\)[^)]*\)', b'BODYSTRUCTURE ' + NESTED), 'keywords': replaced(rb'FLAGS \([^)]*\)', b'FLAGS (' + KEYWORDS + b')'),
    'flags nonsense': replaced(rb'FLAGS \([^)]*\)', b'FLAGS (\\ \\\\ ()'), 'other section': replaced(rb'BODY\[\]', b'BODY[TEXT]'), 'part of it': replaced(rb'BODY\[\] ', b'BODY[]<0> '),
    'open quote': replaced(rb'ENVELOPE \(', b'ENVELOPE ("'), 'open list': replaced(rb'\)\r\n', b'\r\n'), 'too closed': replaced(rb'\)\r\n', b'))\r\n'), 'number for list': replaced(rb'ENVELOPE', b'ENVELOPE 5'),
    'envelope of fillers': replaced(rb'ENVELOPE \((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)', b'ENVELOPE (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)'),
    'fillers, expunge issued': edited(lambda d: re.sub(BODY + rb'[^)]*\)\r\n', b'BODY[] NIL)\r\n', d).replace(b' OK done', b' OK [EXPUNGEISSUED] done')),
    'size negative': replaced(rb'RFC822.SIZE \d+', b'RFC822.SIZE -1'), 'size huge': replaced(rb'RFC822.SIZE \d+', b'RFC822.SIZE 99999999999999999999'), 'dates': replaced(rb'INTERNALDATE "[^"]*"', b'INTERNALDATE ""'),
    'endless line': endless(b'* 1 FETCH (UID 1 ENVELOPE (' + b'"x" ' * 20_000), 'endless literals': endless(b'* 1 FETCH (UID 1 ENVELOPE ({1}\r\nx' + b' {1}\r\nx' * 9_000),
    'endless strangers': endless(b'* 1 FETCH (UID 1 X-A ' + b'y' * 60_000 + b')\r\n'), 'tag twice': edited(lambda d: d + d[d.rindex(b'\n', 0, -2) + 1:]),
    'reply before the data': each_response(lambda r: r[-1:] + r[:-1]), 'flags for bodies': replaced(BODY + rb'[^)]*\)\r\n', b'FLAGS ())\r\n')}

SEARCHES = {'0': replaced(rb'SEARCH[ 0-9]*', b'SEARCH 0'), 'max': replaced(rb'SEARCH[ 0-9]*', b'SEARCH 4294967295'), 'too large': replaced(rb'SEARCH[ 0-9]*', b'SEARCH 99999999999'),
            'strangers': replaced(rb'SEARCH[ 0-9]*', b'SEARCH' + b''.join(b' %d' % n for n in range(1, 100_000))), 'silent': silent, 'words': replaced(rb'SEARCH[ 0-9]*', b'SEARCH all of them'),
            'none': tagged(b'OK x'), 'no': tagged(b'NO [INUSE] x')}

IDLES = {'no plus': silent, 'ok at once': tagged(b'OK x'), 'bad': tagged(b'BAD x'), 'never ends': lambda c, m: (c.send(b'+ \r\n'), c.stall()), 'two plus': idle_with(b'+ again\r\n'),
         'bye': idle_with(b'* BYE x\r\n'), 'tagged': idle_with(b'A1 OK x\r\n'), 'babble': idle_with(b'* 1 FETCH (FLAGS (\\Seen))\r\n* 1 FETCH (FLAGS ())\r\n' * 5_000)}

OTHERS = {'LIST': {'nonsense': before(b'* LIST (((\r\n'), 'long': before(b'* LIST () "/" "' + b'x' * 100_000 + b'"\r\n'), 'many': before(b'* LIST () "/" box\r\n' * 50_000), 'silent': silent},
          'STATUS': {'nonsense': before(b'* STATUS x (A\r\n'), 'other': replaced(rb'STATUS "\w+"', b'STATUS "Else"'), 'silent': silent, 'huge': replaced(rb'MESSAGES \d+', b'MESSAGES 99999999999999')},
          'UID STORE': {'silent': silent, 'wrong tag': wrong_tag, 'no': tagged(b'NO x'), 'cut': lambda c, m: c.cut(), 'half': stall_at(0.5)},
          'APPEND': {'silent': silent, 'appenduid': tagged(b'OK [APPENDUID 0 0] x'), 'appenduid wide': tagged(b'OK [APPENDUID 5 1:4294967295] x'), 'cut': lambda c, m: c.cut()},
          'UID COPY': {'copyuid wide': tagged(b'OK [COPYUID 5 1:4294967295 1:4294967295] x'), 'copyuid nonsense': tagged(b'OK [COPYUID a b c] x'), 'silent': silent},
          'NOOP': {'silent': silent, 'no': tagged(b'NO x'), 'bad': tagged(b'BAD x')}, 'CAPABILITY': {'none': tagged(b'OK x'), 'bad': tagged(b'BAD x')},
          'ENABLE': {'bad': tagged(b'BAD x'), 'silent': silent, 'others': before(b'* ENABLED X Y Z QRESYNC CONDSTORE\r\n')}, 'ID': {'nonsense': before(b'* ID ((((\r\n'), 'bad': tagged(b'BAD x')}}


SILENT = ('AUTHENTICATE', 'SELECT', 'UID FETCH', 'IDLE', 'APPEND')


# ---- the victim and the truth

VICTIM = ['LIST "" "*"', 'SELECT INBOX', 'FETCH 1:* (UID FLAGS)', 'UID FETCH 1:* ' + ITEMS, 'UID FETCH 1:* (UID BODY.PEEK[])', 'UID SEARCH SUBJECT "number"',
          'UID FETCH 3 (BODY.PEEK[HEADER] BODY.PEEK[]<10.50>)', 'STORE 2 +FLAGS (\\Answered)', 'STATUS Other (MESSAGES UIDNEXT)', 'UID COPY 2 Other',
          ('APPEND Other ', imapclient.Lit(tools.mail(9), sync=False)), 'NOOP', 'UID SEARCH ALL']


def suffer(port, user):
    """Every command ends in time, by its tagged line or by the end of the connection."""
    client = imapclient.IMAPClient('127.0.0.1', port, timeout=WAIT, name='victim')
    try:
        if not client.cmd('LOGIN %s pw' % user).ok:
            return
        for command in VICTIM:
            client.cmd(*((command,) if isinstance(command, str) else command))
        client.idle()
        tools.events(client, 0.03)
        client.done()
        client.cmd('LOGOUT')
    except imapclient.IMAPClosed:
        pass
    finally:
        client.close()


def normal(values):
    return sorted((n, [bytes(f) for f in v] if n == 'FLAGS' else v) for n, v in values.items())


def tells_truth(port, user, fake, flags=True):
    """What the proxy says of INBOX is what is there. The upstream may still be thought away: wait for it."""
    deadline = time.monotonic() + 20
    while True:
        try:
            with imapclient.IMAPClient('127.0.0.1', port, timeout=WAIT, name='after') as client:
                client.login(user)
                client.select()
                client.must('NOOP')
                got = client.uid_fetch('1:*', '(UID FLAGS ENVELOPE BODYSTRUCTURE INTERNALDATE RFC822.SIZE BODY.PEEK[])')
                header = client.uid_fetch('1:*', '(UID BODY.PEEK[HEADER])')
                found = client.must('UID SEARCH SUBJECT "number"').search()
            break
        except (imapclient.IMAPRefused, imapclient.IMAPClosed):
            assert time.monotonic() < deadline, 'not served although the upstream is well again'
            time.sleep(0.2)
    with imapclient.IMAPClient('127.0.0.1', fake.port, timeout=WAIT, name='direct') as direct:
        direct.login(user)
        direct.select(examine=True)
        expected = direct.uid_fetch('1:*', '(UID FLAGS ENVELOPE BODYSTRUCTURE INTERNALDATE RFC822.SIZE BODY.PEEK[])')
    assert sorted(got) == sorted(expected)
    for uid, items in expected.items():
        mine, theirs = ({n: sorted(bytes(f) for f in v if bytes(f) != b'\\Recent') if n == 'FLAGS' else v for n, v in i.items()} for i in (items, got[uid]))
        if not flags:
            del mine['FLAGS'], theirs['FLAGS']
        assert mine == theirs, 'UID %d' % uid
        assert header[uid]['BODY[HEADER]'] == fakemail.split(items['BODY[]'])[0]
    assert found == sorted(expected)


@pytest.fixture
def liar(fake, make_proxy):
    """try_lie(name, install): one lie told to one account, then the truth."""
    box, other = fake.mailbox('INBOX'), fake.mailbox('Other')
    for number in range(1, 7):
        box.add(tools.mail(number, 300 * number), {'\\Seen', 'Work'} if number % 2 else ())
    other.add(tools.mail(8))
    honest = fake.greeting
    # a refusal is repeated for as long as auth.retry without asking, and these are to be asked about again
    proxy = make_proxy(fake.port, kind=tools.Configured, upstream=SETTINGS, env=hostile.sanitizer_env(),
                       sections='auth { retry = 1s failures_per_login = 0 failures_per_address = 0 }')
    health = hostile.Health(proxy)
    count = [0]

    def try_lie(name, install):
        count[0] += 1
        user = 'victim%d' % count[0]
        began = time.monotonic()
        burnt = health.cpu()
        try:
            install(fake)
            suffer(proxy.port, user)
            fake.off()
            fake.greeting = honest
            fake.drop_all()
            tells_truth(proxy.port, user, fake, 'keywords' not in name)     # flags it was told it has to believe
            assert proxy.running(), 'it died'
            if tools.LONG:
                health.burns_less_than(0.5, 0.3)
        except Exception as error:
            raise AssertionError('%s: %s: %s' % (name, type(error).__name__, error)) from error
        print('%-40s %.2f s, %.2f s of processor' % (name, time.monotonic() - began, health.cpu() - burnt))
    try_lie.proxy = proxy
    yield try_lie
    health.burns_less_than(0.3, 0.5)


def every(liar, verbs, lies):
    failed = []
    if not tools.LONG:          # one silence is like another
        lies = {name: lie for name, lie in lies.items() if name not in ('almost all', 'cut') and (lie is not silent or verbs[0] in SILENT)}
    for verb in verbs:
        for name, lie in lies.items():
            try:
                liar('%s %s' % (verb, name), lambda fake: fake.on(verb, lie))
            except AssertionError as error:
                failed.append(str(error)[:1500])
                assert liar.proxy.running(), failed
    assert not failed, '%d of the lies were believed or hurt:\n%s' % (len(failed), '\n'.join(failed))


def greets(what):
    def install(fake):
        fake.greeting = what if callable(what) else lambda conn: what
    return install


def test_greetings(liar):
    for name, octets in GREETINGS.items():
        liar('greeting ' + name, greets(octets))


def test_greeting_that_never_comes_or_never_ends(liar):
    liar('greeting silent', greets(lambda conn: conn.stall()))
    liar('greeting endless', greets(endless(b'x' * 65536)))
    liar('greeting endless lines', greets(endless(b'* OK x\r\n' * 8192)))


def test_logins(liar):
    every(liar, ['AUTHENTICATE'], LOGINS)


def test_selects(liar):
    every(liar, ['SELECT'], SELECTS)


def test_fetches(liar):
    every(liar, ['UID FETCH'], FETCHES)


def test_searches(liar):
    every(liar, ['UID SEARCH'], SEARCHES)


def test_idles(liar):
    every(liar, ['IDLE'], IDLES)


@pytest.mark.parametrize('verb', ['SELECT', 'UID FETCH', 'NOOP', 'IDLE'])
def test_untagged_out_of_place(liar, verb):
    lies = {name: idle_with(octets) if verb == 'IDLE' else before(octets) for name, octets in UNTAGGED.items()}
    if not tools.LONG:          # each of them with some command
        names = sorted(lies)['SUNI'.index(verb[0])::3]
        lies = {name: lies[name] for name in names}
    every(liar, [verb], lies)


@pytest.mark.parametrize('verb', sorted(OTHERS))
def test_other_commands(liar, verb):
    every(liar, [verb], OTHERS[verb])


def test_scan_that_is_cut_short_expunges_nobody(make_proxy, connect):
    """After a lost link a server without CONDSTORE leaves out what it has: only SEARCH ALL may say that mail is gone."""
    with fakeserver.FakeServer(capabilities='IMAP4rev1 SASL-IR LITERAL+ IDLE UIDPLUS') as fake:
        box = fake.mailbox()
        for number in range(1, 7):
            box.add(tools.mail(number))
        proxy = make_proxy(fake.port, kind=tools.Configured, upstream=SETTINGS)
        client = connect(proxy.port, 'anna')
        client.select()
        assert len(client.fetch('1:*', 'FLAGS')) == 6
        for told in (0, 2):
            fake.on('UID FETCH', fetches(lambda responses: responses[:told]), times=1)
            fake.drop_all()
            box.add(tools.mail(20 + told))
            heard = tools.wait_until(lambda: [r for r in client.must('NOOP').untagged if r.name == 'EXISTS'], what='the new mail')
            assert [r.num for r in heard] == [box.uidnext - 1]
        assert not [r for _, _, raw in client.transcript for r in [raw] if b'EXPUNGE' in r]
        assert sorted(client.uid_fetch('1:*', '(UID FLAGS)')) == list(range(1, 9))


def test_t25_number_with_the_uid_of_another_message(fake, make_proxy, connect):
    """T25: neither is guessed; the flags are asked anew, and that not for ever."""
    box = fake.mailbox()
    for number in range(1, 7):
        box.add(tools.mail(number), {'\\Flagged'} if number == 5 else ())
    proxy = make_proxy(fake.port)
    client = connect(proxy.port, 'anna')
    client.select()
    lie = before(b'* 2 FETCH (UID 5 FLAGS (\\Draft))\r\n')
    fake.on('NOOP', lie, times=1)
    client.must('NOOP')
    client.must('NOOP')
    flags = {n: [bytes(f) for f in items['FLAGS'] if bytes(f) != b'\\Recent'] for n, items in client.fetch('2,5', 'FLAGS').items()}
    assert flags == {2: [], 5: [b'\\Flagged']}
    fake.on('NOOP', lie)
    for _ in range(20):
        client.must('NOOP')
    assert len([c for c in fake.seen('UID FETCH') if c.args.startswith(b'1:* (UID FLAGS')]) <= 4


# ---- broken off, silent

CONVERSATION = ['SELECT INBOX', 'FETCH 1:* (UID FLAGS)', 'UID FETCH 1:* (UID ENVELOPE RFC822.SIZE)', 'UID FETCH 1:* (UID BODY.PEEK[])',
                'UID SEARCH SUBJECT "number"']


def cut_after(octets):
    """The first connection of a user ends for good after so many octets said; the next ones are whole."""
    cut = set()

    def mangle(conn, data):
        said = conn.__dict__.setdefault('said', 0)
        conn.said += len(data)
        if conn.user is not None and conn.user not in cut and conn.said > octets:
            cut.add(conn.user)
            conn.sock.sendall(data[:max(0, octets - said)])
            conn.cut()
        return data
    return mangle


def converse(port, user, expected):
    """Every answer is the truth or a refusal; True when nothing was refused."""
    whole = True
    with imapclient.IMAPClient('127.0.0.1', port, timeout=WAIT, name=user) as client:
        try:
            for command in ['LOGIN %s pw' % user] + CONVERSATION:
                result = client.cmd(command)
                if not result.ok:
                    assert result.status == 'NO', result
                    whole = False
                    if 'FETCH' in command or 'SEARCH' in command:
                        continue
                    break
                if 'SEARCH' in command:
                    assert result.search() == sorted(expected)
                for uid, items in result.fetch_by_uid().items():
                    for name, value in items.items():
                        if name in expected[uid]:
                            assert value == expected[uid][name], (uid, name)
                if 'FETCH' in command:
                    assert sorted(result.fetch_by_uid()) == sorted(expected)
        except imapclient.IMAPClosed:
            whole = False
    return whole


def test_connection_cut_at_every_octet(make_proxy):
    """Login, SELECT, FETCH, SEARCH: an upstream that breaks off anywhere costs an answer at most, never a wrong one."""
    with fakeserver.FakeServer() as fake:
        box = fake.mailbox()
        for number in range(1, 4):
            box.add(tools.mail(number))
        proxy = make_proxy(fake.port, kind=tools.Configured, upstream=SETTINGS)
        expected = {m.uid: {'BODY[]': m.octets, 'RFC822.SIZE': len(m.octets)} for m in box.messages}
        assert converse(proxy.port, 'whole', expected)
        for at in range(0, 4500, 1 if tools.LONG else 41):
            fake.mangle = cut_after(at)
            user = 'cut%d' % at
            converse(proxy.port, user, expected)
            fake.mangle = None
            assert tools.wait_until(lambda: converse(proxy.port, user, expected), 15, 'all of it, after a cut at %d' % at)


@pytest.mark.parametrize('verb', ['SELECT', 'UID FETCH', 'APPEND'] + (['UID SEARCH', 'UID STORE', 'STATUS', 'LIST', 'NOOP'] if tools.LONG else []))
def test_one_that_says_nothing_more_holds_up_only_who_needs_it(fake, make_proxy, connect, verb):
    """While a command of one client waits for an upstream that is silent, cached mail of another comes at once."""
    box = fake.mailbox()
    fake.mailbox('Other').add(tools.mail(8))
    for number in range(1, 7):
        box.add(tools.mail(number))
    proxy = make_proxy(fake.port, kind=tools.Configured, upstream=SETTINGS)
    reader, victim = connect(proxy.port, 'anna'), connect(proxy.port, 'anna')
    for client in (reader, victim):
        client.select()
    reader.uid_fetch('1:6', '(UID BODY.PEEK[])')
    fake.on(verb, silent)
    began = time.monotonic()
    tag = victim.start(*{'UID FETCH': ['UID FETCH 3 BODYSTRUCTURE'], 'UID SEARCH': ['UID SEARCH TEXT "x"'], 'SELECT': ['SELECT Other'],
                         'UID STORE': ['UID STORE 1 +FLAGS (x)'], 'APPEND': ['APPEND Other ', imapclient.Lit(tools.mail(9), sync=False)],
                         'STATUS': ['STATUS Other (MESSAGES)'], 'LIST': ['LIST "" "O*"']}.get(verb, ['NOOP']))
    for _ in range(5):
        assert len(reader.uid_fetch('1:6', '(UID BODY.PEEK[])')) == 6
    assert time.monotonic() - began < 0.9
    try:
        victim.wait(tag, WAIT)
    except imapclient.IMAPClosed:
        pass            # an upload or a write whose fate nobody knows
    assert time.monotonic() - began < WAIT


# ---- garbled at random

BITS = (b'\r\n', b'\n', b' ', b'(', b')', b'"', b'\\', b'\0', b'\xff', b'{5}\r\n', b'{0}\r\n', b'~{3}\r\n', b'* 1 EXPUNGE\r\n', b'* 3 EXISTS\r\n', b'* VANISHED 2\r\n', b'+ \r\n', b'NIL',
        b'* 2 FETCH (UID 2 FLAGS ())\r\n', b'4294967295', b'0', b'-1', b'99999999999999999999', b'* BYE\r\n', b'A1 OK\r\n', b'[', b']', b'UID ', b'BODY[]', b'* OK [UIDVALIDITY 7] x\r\n', b'* SEARCH 1\r\n',
        b'FLAGS (\\Seen)', b'MODSEQ (1)', b'<0>', b'OK', b'NO', b'BAD', b'((((((((', b'))))))))')


def garbling(rnd, share):
    """What is said, here and there changed, doubled, left out."""
    def mangle(conn, data):
        while rnd.random() < share:
            at = rnd.randrange(len(data) + 1)
            end = min(len(data), at + rnd.choice((1, 2, 5, 30, 300)))
            kind = rnd.randrange(6)
            if kind == 0:
                data = data[:at] + bytes([rnd.randrange(256)]) + data[at + 1:]
            elif kind == 1:
                data = data[:at] + data[end:]
            elif kind == 2:
                data = data[:at] + data[at:end] * rnd.choice((2, 3, 200)) + data[end:]
            elif kind == 3:
                lines = fakeserver.split_responses(data) if data.endswith(b'\n') and rnd.random() < 0.5 else data.split(b' ')
                rnd.shuffle(lines)
                data = (b'' if lines and lines[0].endswith(b'\n') else b' ').join(lines)
            elif kind == 4:
                data = re.sub(rb'\d+', lambda m: rnd.choice((m.group(), m.group(), b'%d' % rnd.randrange(9), b'4294967295')), data)
            else:
                data = data[:at] + rnd.choice(BITS) + data[at:]
        return data
    return mangle


def garbled(fake, port, rnd, user):
    fake.mangle = garbling(rnd, rnd.choice((0.02, 0.1, 0.3)))
    for _ in range(2):
        suffer(port, user)
        fake.drop_all()
    fake.mangle = None


@pytest.mark.parametrize('seed', range(40 if tools.LONG else 1))
def test_garbled_at_random(make_proxy, seed):
    """Whatever comes of it, nobody waits for ever, nothing burns, and another account is served."""
    with fakeserver.FakeServer() as fake:
        fake.mailbox('Other').add(tools.mail(8))
        for number in range(1, 7):
            fake.mailbox().add(tools.mail(number), {'Work'} if number % 2 else ())
        proxy = make_proxy(fake.port, kind=tools.Configured, upstream=SETTINGS, env=hostile.sanitizer_env())
        rnd = random.Random(seed)
        health = hostile.Health(proxy)
        for number in range(100 if tools.LONG else 40):
            garbled(fake, proxy.port, rnd, 'garbled%d' % number)
            assert proxy.running(), 'it died at %d' % number
        tells_truth(proxy.port, 'sound', fake)
        health.burns_less_than(0.3)
