"""The conversations of real mail programs, direct and through the proxy: the same answers, and the same mailboxes
afterwards. First on a cold cache, then on a warm one, then after a restart."""
import base64
import re

import pytest

import spine_tools as tools
from imapjudge import dialects, imapclient, mailgen, wire

FREE = ('FLAGS', 'UID', 'MODSEQ')
DATA = ('SEARCH', 'SORT', 'THREAD', 'LIST', 'LSUB', 'NAMESPACE', 'QUOTAROOT', 'QUOTA')
CODES = ('TRYCREATE', 'NONEXISTENT', 'ALREADYEXISTS', 'APPENDUID', 'COPYUID', 'READ-ONLY', 'READ-WRITE', 'MODIFIED')
OF_SELECT = ('UIDVALIDITY', 'UIDNEXT', 'HIGHESTMODSEQ', 'PERMANENTFLAGS')
FIELDS = re.compile(r'HEADER\.FIELDS \([^)]*\)')


def words_of(command):
    text = ''.join(p if isinstance(p, str) else '""' for p in ((command,) if isinstance(command, str) else command))
    words = text.upper().split()
    return text, ' '.join(words[:2]) if words[0] == 'UID' else words[0]


def fetched(result, text, verb):
    """{number: items that were asked for}; and no message told twice with data (F4)."""
    told, lines = {}, {}
    for response in result.named('FETCH'):
        items = dict(response.data)
        if 'FLAGS' in items:
            items['FLAGS'] = sorted(bytes(f).lower() for f in items['FLAGS'] if bytes(f) != b'\\Recent')
        content = [n for n in items if n not in FREE]
        lines[response.num] = lines.get(response.num, 0) + bool(content)
        told.setdefault(response.num, {}).update(items)
    assert all(n <= 1 for n in lines.values()), 'a message in two lines: %r' % result.untagged
    wanted = [n for n in FREE if re.search(r'\b%s\b' % n, text.upper().replace('UID FETCH', '').replace('UID STORE', ''))]
    if verb.startswith('UID'):
        wanted.append('UID')
    if 'STORE' in verb or 'FULL' in text.upper():
        wanted.append('FLAGS')
    out = {}
    for number, items in told.items():
        kept = {n: v for n, v in items.items() if n not in FREE or n in wanted}
        if kept and ('STORE' not in verb or 'SILENT' not in text.upper()) and set(kept) != {'UID'} or text.upper().endswith('(UID)'):
            out[number] = kept
    return out


def pairs(values):
    """Of a STATUS; RECENT goes to one session alone, which it is differs (design section 7)."""
    return [(name, value) for name, value in zip(values[::2], values[1::2]) if name != b'RECENT']


def comparable(command, result):
    text, verb = words_of(command)
    status = result.status if result.ok else 'refused'
    out = {'status': status, 'codes': {c: a for c, a in result.codes().items() if c in CODES}}
    if not result.ok:
        return out
    if 'FETCH' in verb or 'STORE' in verb:
        out['fetch'] = fetched(result, text, verb)
    for name in DATA:
        if name in verb or (verb, name) == ('GETQUOTAROOT', 'QUOTA'):
            out[name] = sorted(repr(list(r.data)) for r in result.named(name))
    for response in result.named('ESEARCH'):
        out['ESEARCH'] = sorted(map(repr, list(response.data)[1:]))
    if verb == 'IDLE' and 'NEWS' in text:
        out['exists'] = result.exists
    if verb == 'STATUS' or 'STATUS (' in text:
        out['STATUS'] = sorted((repr(r.data[0]), sorted(pairs(r.data[1])))
                               for r in result.named('STATUS'))
    if verb in ('SELECT', 'EXAMINE'):
        codes = result.codes()
        out['select'] = {c: sorted(codes.get(c, b'').strip(b'()').split()) for c in OF_SELECT}
        out['exists'] = result.exists
        out['flags'] = [sorted(map(bytes, r.data[0])) for r in result.named('FLAGS')]
        out['earlier'] = [repr(r.data) for r in result.named('VANISHED')]
        out['unseen'] = codes.get('UNSEEN')
    return out


def check_labels(command, result):
    """F2: the section's field list comes back as the program wrote it."""
    text, _ = words_of(command)
    for label in FIELDS.findall(text):
        for response in result.named('FETCH'):
            if b'HEADER.FIELDS' in response.raw:
                assert label.encode() in response.raw, (label, response.raw[:300])


def send(client, tag, command):
    parts = (command,) if isinstance(command, str) else command
    return client.start(*parts, tag=tag)


def pool_answers(tags, results):
    """Dovecot answers several pipelined commands before it tags the first: give each its own."""
    everything = [r for _, result in results for r in result.untagged]
    for tag, (command, result) in zip(tags, results):
        verb = words_of(command)[1]
        result.untagged = [r for r in result.untagged if r.name not in ('ESEARCH', 'FETCH')]
        result.untagged = [r for r in result.untagged if r.code != 'COPYUID']
        if 'MOVE' in verb:
            result.untagged += [r for r in everything if r.code == 'COPYUID']
        result.untagged += [r for r in everything if r.name == 'ESEARCH' and r.data[0][1] == tag.encode()]
        if 'FETCH' in verb:         # by the items: no two of a Pipe ask for the same of one message
            labels = set(re.findall(r'BODY\S*\[[^]]*\]|INTERNALDATE|RFC822.SIZE|FLAGS', command.upper().replace('.PEEK', '')))
            result.untagged += [r for r in everything if r.name == 'FETCH' and labels & set(dict(r.data))
                                and dict(r.data).get('UID') in asked_uids(command)]


def asked_uids(command):
    return wire.parse_set(command.split()[2].replace('*', '99'))


def idle(client, step, facts, deliver):
    client.idle()
    if not step.news:
        tools.events(client, 0.02)
        return [('IDLE', client.done())]
    deliver(facts.mailbox)
    heard = client.idle_wait(lambda got: any(r.name == 'EXISTS' for r in got), 20)
    result = client.done()
    result.untagged += heard
    return [('IDLE NEWS', result)]


def run_step(client, step, tags, facts, deliver):
    """[(command, result)] of one step; deliver(mailbox): a mail comes from elsewhere."""
    if isinstance(step, dialects.Idle):
        return idle(client, step, facts, deliver)
    if isinstance(step, dialects.Pipe):
        commands = [c(facts) if callable(c) else c for c in step]
        names = [next(tags) for _ in commands]
        client.send_raw(''.join('%s %s\r\n' % pair for pair in zip(names, commands)))
        results = [(c, client.wait(t)) for c, t in zip(commands, names)]
        pool_answers(names, results)
    else:
        command = step(facts) if callable(step) else step
        results = [(command, client.wait(send(client, next(tags), command)))]
    for command, result in results:
        facts.learn(result)
        if isinstance(command, str) and command.upper().startswith(('SELECT', 'EXAMINE')) and result.ok:
            facts.mailbox = re.match(r'\w+ "?([^"(]*[^"( ])', command).group(1)
    return results


def replay(name, steps, direct, proxied, delivers):
    """Both, step by step; delivers: for each side what brings a mail into a mailbox of it."""
    sides = [(client, dialects.tags_of(name), dialects.Facts(), deliver)
             for client, deliver in zip((direct, proxied), delivers)]
    for step in steps:
        one, other = (run_step(client, step, tags, facts, deliver) for client, tags, facts, deliver in sides)
        for (command, left), (_, right) in zip(one, other):
            left, answer = comparable(command, left), right
            right = comparable(command, right)
            if 'RFC822.PEEK' in words_of(command)[0].upper():       # Dovecot refuses what T36 asks for
                assert right['status'] == 'OK', command
                continue
            if left.get('select', {}).get('HIGHESTMODSEQ') == []:       # Dovecot says it only to who has asked
                del left['select']['HIGHESTMODSEQ'], right['select']['HIGHESTMODSEQ']
            if 'STORE' in words_of(command)[1].split()[-1:] and 'fetch' in left:    # T14: every message is echoed, changed or not; Dovecot may leave some out
                right['fetch'] = {n: v for n, v in right['fetch'].items() if n in left['fetch']}
            assert left == right, '%s: %r' % (name, command)
            check_labels(command, answer)


def picture(client):
    """All mailboxes: UIDs, flags, octets."""
    out = {}
    for box in ('INBOX',) + dialects.MAILBOXES:
        client.select(box, examine=True)
        client.must('NOOP')
        out[box] = {uid: (sorted(bytes(f) for f in items['FLAGS'] if bytes(f) != b'\\Recent'), items['BODY[]'])
                    for uid, items in tools.whole(client, items='(UID FLAGS BODY.PEEK[])').items()}
    return out


@pytest.fixture
def twins(server):
    """Two users with identical mailboxes."""
    users = server.new_user(), server.new_user()
    with server.client(users[0]) as client:
        for box in dialects.MAILBOXES:
            client.must('CREATE "%s"' % box)
            client.must('SUBSCRIBE "%s"' % box)
    server.fill(users[0], 'INBOX', mailgen.Generator(7).mails(40))
    server.fill(users[0], 'INBOX', [mailgen.Generator(9, flags=False, big=200_000).next('large')])
    server.fill(users[0], 'Archive', mailgen.Generator(8).mails(3))
    server.copy_user(*users)
    return users


def delivers(server, users):
    return [lambda box, user=user: server.fill(user, box, [tools.mail(77)], create=False) for user in users]


@pytest.mark.parametrize('name', sorted(dialects.DIALECTS))
def test_dialect(name, server, twins, proxy, connect):
    for turn in ('cold', 'warm', 'restarted'):
        if turn == 'restarted':
            proxy.restart()
        with server.client(twins[0]) as direct, proxy.client(twins[1]) as proxied:
            try:
                replay(name, dialects.DIALECTS[name], direct, proxied, delivers(server, twins))
            except AssertionError:
                print('%s; direct:\n%s\n\nproxied:\n%s' % (turn, direct.dump(16), proxied.dump(16)))
                raise
    with server.client(twins[0]) as one, server.client(twins[1]) as other, proxy.client(twins[1]) as proxied:
        expected = picture(one)
        assert picture(other) == expected
        assert picture(proxied) == expected


def test_apple_mail_on_two_connections(server, twins, proxy):
    """One idles in the INBOX while the other goes through its day; in the end it numbers and shows what is there."""
    with server.client(twins[0]) as direct, proxy.client(twins[1]) as proxied, \
            server.client(twins[0]) as left, proxy.client(twins[1]) as right:
        for watcher in (left, right):
            watcher.select()
            watcher.idle()
        replay('apple-macos', dialects.DIALECTS['apple-macos'], direct, proxied, delivers(server, twins))
        shown = []
        for watcher in (left, right):
            gone = watcher.idle_wait(lambda got: sum(r.name == 'EXPUNGE' for r in got) >= 2, 20)
            assert sorted(r.num for r in gone if r.name == 'EXPUNGE') in ([12, 12], [12, 13])
            watcher.done()
            watcher.must('NOOP')
            told = watcher.must('FETCH 1:* (UID FLAGS)').fetch()
            shown.append({n: (i['UID'], sorted(bytes(f) for f in i['FLAGS'] if bytes(f) != b'\\Recent'))
                          for n, i in told.items()})
        assert shown[0] == shown[1] and len(shown[0]) == 39


def test_identification_and_idle_come_before_everything(proxy, user):
    """Microsoft's cloud says ID before it logs in and gives up on a malformed answer; Outlook idles unselected."""
    with imapclient.IMAPClient('127.0.0.1', proxy.port) as client:
        result = client.cmd('ID ("name" "Microsoft Office 365" "version" "15.20.9160.4" "vendor" "Microsoft '
                            'Corporation" "support-url" "https://support.microsoft.com/")', tag='WIR00001')
        assert result.ok and len(result.named('ID')) == 1
        assert result.named('ID')[0].data[0] is None or len(result.named('ID')[0].data[0]) % 2 == 0
        assert client.cmd('ID NIL').ok
        tag = client.start('AUTHENTICATE PLAIN', tag='WIR00002')
        assert client.read_response().kind == 'continue'
        client.send_raw(base64.b64encode(b'\0%s\0pw' % user.encode()) + b'\r\n')
        assert client.wait(tag).ok
        client.idle()
        assert client.done().ok
        client.select()


def test_t36_empty_line_before_a_command(proxy, user, connect):
    """iOS has been seen to send one; neither a response nor an error may come of it."""
    client = connect(proxy.port, user)
    client.send_raw(b'\r\nB41 NOOP\r\n\r\n\r\nB42 noop \r\n')
    assert [client.read_response().raw[:6] for _ in range(2)] == [b'B41 OK', b'B42 OK']


def test_t36_bad_mouthed_commands_of_old_programs(proxy, user, server, connect):
    """T36: a space before the section, RFC822.PEEK, lower case, bare LF."""
    server.fill(user, 'INBOX', tools.mails(2))
    client = connect(proxy.port, user)
    client.select()
    assert client.uid_fetch('1', '(UID RFC822.SIZE RFC822.peek)')[1]['RFC822'] == tools.mail(1)
    assert client.uid_fetch('1', '(BODY.PEEK [HEADER])')[1]['BODY[HEADER]'] == tools.mail(1).split(b'\r\n\r\n')[0] + b'\r\n\r\n'
    client.send_raw(b'x uid fetch 2 (uid flags)\n')
    assert 'FLAGS' in client.wait('x').fetch_by_uid()[2]
