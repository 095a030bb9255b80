"""The proxy says what the upstream says: random items of random mails, asked cold, joined, warm, after a restart and
after changes, are compared octet by octet with a direct connection; and upstreams made to be confused with another."""
import os
import random
import re
import socket
import threading
import time

import pytest

import spine_tools as tools
from imapjudge import imapclient, mailgen, mimegen

ANSWERS = int(os.environ.get('IMAPCACHED_ANSWERS', 40_000 if tools.LONG else 4_000))
SEED = int(os.environ.get('IMAPCACHED_SEED', 1))

# ---- random items of random mails

ODD = (b'From: a@example.com\r\nSubject : space before the colon\r\nTo: b@example.com\r\n\r\nbody\r\n',
       b'From: a@example.com\r\nthis is no header line\r\nSubject: behind it\r\n\r\nbody\r\n',
       b' folded from nowhere\r\nSubject: x\r\n\r\nbody\r\n',
       b': no name\r\nSubject: y\r\n\r\nbody\r\n',
       b'From somebody Mon Jan  1 00:00:00 2020\r\nSubject: mbox\r\n\r\nbody\r\n',
       b'Subject: bare CR\rX-Not: a header\r\nTo: c@example.com\r\n\r\nbody with \r in it\r\n',
       b'Subject: header ends early\r\n \r\n\t\r\nX: after blank folds\r\n\r\nbody\r\n',
       b'\r\nno header at all\r\n', b'Subject: no end of line', b'\r\n', b'x',
       b'Subject: multipart without boundary\r\nContent-Type: multipart/mixed\r\n\r\nbody\r\n',
       b'Content-Type: multipart/mixed; boundary="b"\r\n\r\npreamble only\r\n',
       b'Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n'
       b'Subject: inner\r\n\r\ninner body\r\n--b--\r\nepilogue\r\n',
       b'Content-Type: message/rfc822\r\n\r\nSubject: in\r\nFrom: x@example.com\r\n\r\nbody\r\n',
       b'Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\nR3JlZXRpbmdzIQ0K\r\n',
       b'Content-Type: text/plain\r\nContent-Transfer-Encoding: nonsense\r\n\r\nxyz\r\n',
       b'Subject: ' + b'x' * 70_000 + b'\r\nFrom: long@example.com\r\n\r\nbehind a long line\r\n',
       b''.join(b'X-Many-%d: %d\r\n' % (n, n) for n in range(3000)) + b'\r\nmany fields\r\n')
FIELDS = ('Subject', 'from', 'TO', 'Date', 'Message-ID', 'X-Twice', 'Received', 'References', 'X-None', 'X-Empty',
          'Content-Type', 'X-Many-7', '"Cc"', 'X-Folded', 'Bcc', 'mime-version', 'X-Not')
SMALL = ('ENVELOPE', 'BODYSTRUCTURE', 'BODY', 'INTERNALDATE', 'RFC822.SIZE', 'RFC822.HEADER', 'SAVEDATE', 'FLAGS')
SECTIONS = ('', '', '', 'HEADER', 'TEXT', '1', '2', '1.MIME', '2.MIME', '1.1', '2.HEADER', '2.TEXT', '2.1', '1.2',
            '2.1.MIME', '1.1.1', '3', '9')


class Asker:
    """Random FETCH items; examined: also those that would set \\Seen."""

    def __init__(self, dice):
        self._dice = dice

    def _fields(self):
        names = self._dice.sample(FIELDS, self._dice.randint(1, 4))
        return 'HEADER.FIELDS%s (%s)' % (self._dice.choice(('', '', '.NOT')), ' '.join(names))

    def _partial(self, section):
        """Of header fields from the first octet only: Dovecot's others depend on what the connection was asked before
        (<1.9> of CRLF is CR now and LF then)."""
        if self._dice.random() < 0.55:
            return ''
        offset = self._dice.choice((0, 0, 1, 100, self._dice.randrange(3000), self._dice.randrange(300_000)))
        offset = 0 if 'FIELDS' in section else offset
        return '<%d.%d>' % (offset, self._dice.choice((1, 10, 1000, 20_000, 100_000, 4_000_000_000)))

    def _item(self):
        kind = self._dice.random()
        if kind < 0.25:
            return self._dice.choice(SMALL)
        if kind < 0.3:
            return self._dice.choice(('RFC822', 'RFC822.TEXT'))
        if kind < 0.36:
            return 'BINARY.%s[%s]' % (self._dice.choice(('PEEK', 'SIZE')), self._dice.choice(('1', '2', '1.1')))
        section = self._fields() if kind < 0.6 else self._dice.choice(SECTIONS)
        return 'BODY%s[%s]%s' % (self._dice.choice(('', '.PEEK', '.PEEK')), section, self._partial(section))

    def items(self):
        """No two that are answered under one name."""
        chosen = {}
        for _ in range(self._dice.choice((1, 1, 2, 3, 5))):
            item = self._item()
            chosen.setdefault(re.sub(r'\.PEEK|\.\d+>$', '', item).upper(), item)
        return '(%s)' % ' '.join(chosen.values())


def plain(name):
    """Item names as they are compared: field names in any case, quoted or not."""
    return name.upper().replace('"', '')


def picture(result):
    """What an answer says, in a form that two servers' answers share; refusals count too."""
    return told(result) if result.ok else result.status


def told(result):
    out = {}
    for uid, items in result.fetch_by_uid().items():
        items = {plain(name): value for name, value in items.items()}
        for name, value in items.items():       # Dovecot: with an empty line the first time, without it from then on
            if name.startswith('BODY[HEADER.FIELDS') and (value or b'').endswith(b'no end of line\r\n\r\n'):
                items[name] = value[:-2]
        if 'FLAGS' in items:
            items['FLAGS'] = sorted(bytes(f) for f in items['FLAGS'] if bytes(f).lower() != b'\\recent')
        if isinstance(items.get('ENVELOPE'), list) and isinstance(items['ENVELOPE'][0], bytes):
            # Dovecot itself says a folded Date with and without the blanks before it
            items['ENVELOPE'] = [items['ENVELOPE'][0].lstrip()] + items['ENVELOPE'][1:]
        out[uid] = items
    return out


def is_part(result, wanted):
    """What a refused command told before its NO is true, flags apart."""
    for uid, items in told(result).items():
        for name, value in items.items():
            if name != 'FLAGS' and wanted[uid].get(name) != value:
                return False
    return True


class Truth:
    """Sessions through the proxy and one direct; asks all of them alike."""

    def __init__(self, seed, direct, fresh, uids):
        self.dice = random.Random(seed)
        self.asker = Asker(self.dice)
        self.direct = direct
        self.fresh = fresh          # makes another direct connection
        self.uids = uids
        self.answers = 0
        self.poisonous = set()      # Dovecot hangs up when it cannot decode
        prober = fresh()
        for uid in uids:
            try:
                prober.cmd('UID FETCH %d (BINARY.PEEK[1] BINARY.PEEK[2] BINARY.PEEK[1.1])' % uid)
            except imapclient.IMAPClosed:
                self.poisonous.add(uid)
                prober = fresh()
        prober.close()

    def command(self):
        count = self.dice.choice((1, 1, 1, 2, 5, 20))
        items = self.asker.items()
        uids = [u for u in self.uids if 'BINARY' not in items or u not in self.poisonous]
        chosen = sorted(self.dice.sample(uids, min(count, len(uids))))
        return 'UID FETCH %s %s' % (','.join(map(str, chosen)), items)

    def batch(self, sessions, commands, each=6, lossy=False):
        """Every session asks the same commands, pipelined, all at once. lossy: NO is an answer, but what came before
        it has to be true."""
        for first in range(0, len(commands), each):
            some = commands[first:first + each]
            expected = [picture(self.direct.cmd(c, timeout=60)) for c in some]
            tags = [[session.start(c) for c in some] for session in sessions]
            for session, session_tags in zip(sessions, tags):
                for command, tag, wanted in zip(some, session_tags, expected):
                    result = session.wait(tag, timeout=60)
                    got = picture(result)
                    if lossy and got == 'NO':
                        assert wanted == 'NO' or is_part(result, wanted), command
                    elif got != wanted:
                        raise AssertionError('%s\n%s' % (command, difference(wanted, got)))
                    self.answers += 1 if isinstance(got, str) else sum(len(i) for i in got.values())


def difference(wanted, got):
    if isinstance(wanted, str) or isinstance(got, str):
        return 'direct %.200r, proxied %.200r' % (wanted, got)
    lines = []
    for uid in sorted(wanted.keys() | got.keys()):
        left, right = wanted.get(uid, {}), got.get(uid, {})
        for name in sorted(left.keys() | right.keys()):
            if left.get(name, 'nothing') != right.get(name, 'nothing'):
                lines.append('UID %d %s: direct %.300r, proxied %.300r' % (
                    uid, name, left.get(name, 'nothing'), right.get(name, 'nothing')))
    return '\n'.join(lines[:10])


def fill(server, user, seed, number):
    generator = mailgen.Generator(seed, big=90_000)
    mails = [mailgen.Mail(octets, (), mailgen.append_date(mailgen.EPOCH)) for octets in ODD]
    mails += mailgen.real_mails() + generator.mails(number) + mimegen.MimeGenerator(seed).mails(number // 3)
    server.fill(user, 'INBOX', mails)
    return generator


def open_sessions(connect, port, user, number):
    sessions = [connect(port, user) for _ in range(number)]
    for session in sessions:
        session.select(examine=True)
    return sessions


def change(truth, sessions, server, user, generator):
    """Some mails go, some come; everybody hears of it."""
    gone = truth.dice.sample(truth.uids, 5)
    with server.client(user) as editor:
        editor.select()
        editor.must('UID STORE %s +FLAGS (\\Deleted)' % ','.join(map(str, gone)))
        editor.must('UID EXPUNGE %s' % ','.join(map(str, gone)))
        editor.must('UID STORE %s +FLAGS (\\Flagged)' % truth.dice.choice([u for u in truth.uids if u not in gone]))
        for mail in generator.mails(4):
            editor.append('INBOX', mail.octets, date=mail.date)
    truth.direct.must('NOOP')
    truth.uids = truth.direct.must('UID SEARCH ALL').search()
    for session in sessions:
        tools.wait_until(lambda: session.must('NOOP') and session.must('UID SEARCH ALL').search() == truth.uids,
                         what='the same UIDs')


@pytest.mark.parametrize('cache', ['', 'size = 16M'], ids=['roomy', 'tight'])
def test_random_items_are_what_the_upstream_says(make_proxy, server, user, tap, connect, cache):
    generator = fill(server, user, SEED, 120)
    proxy = make_proxy(tap.port, kind=tools.Configured, cache=cache, log_level='info')
    direct = connect(server.port, user)
    direct.select(examine=True)

    def fresh():
        client = connect(server.port, user)
        client.select(examine=True)
        return client
    truth = Truth(SEED, direct, fresh, direct.must('UID SEARCH ALL').search())
    deadline = time.monotonic() + (25 if ANSWERS <= 4_000 else 1200)
    while truth.answers < ANSWERS / 2 and time.monotonic() < deadline:
        sessions = open_sessions(connect, proxy.port, user, 3)
        commands = [truth.command() for _ in range(36)]
        truth.batch(sessions[:1], commands[:12])            # cold
        truth.batch(sessions, commands[12:])                # joined
        truth.batch(sessions, commands)                     # warm
        change(truth, sessions, server, user, generator)
        truth.batch(sessions, [truth.command() for _ in range(12)])
        for session in sessions:
            session.close()
        if truth.dice.random() < 0.5:
            proxy.restart()
        elif truth.dice.random() < 0.5:
            proxy.kill9()
            proxy.start()
        [again] = open_sessions(connect, proxy.port, user, 1)
        commands = [c for c in commands if set(map(int, re.search(r'[\d,]+', c).group().split(','))) <= set(truth.uids)]
        truth.batch([again], commands)                      # kept
        again.close()
    assert truth.answers > 1000
    print('%d answers' % truth.answers)


def test_random_items_while_links_die(make_proxy, server, user, tap, connect):
    """Links are cut all the time, mostly in the middle of literals: what is said is true all the same."""
    fill(server, user, SEED, 60)
    proxy = make_proxy(tap.port, kind=tools.Configured, cache='size = 16M', log_level='info')

    def fresh():
        client = connect(server.port, user)
        client.select(examine=True)
        return client
    direct = fresh()
    truth = Truth(SEED, direct, fresh, direct.must('UID SEARCH ALL').search())
    over = threading.Event()

    def cut():
        dice = random.Random(SEED)
        while not over.wait(dice.uniform(0.05, 0.4)):
            if dice.random() < 0.5:
                tap.cut_in_literal(dice.randrange(1, 60_000), least=1000)
            else:
                tap.kill_all()
    cutter = threading.Thread(target=cut, daemon=True)
    cutter.start()
    deadline = time.monotonic() + (300 if tools.LONG else 8)
    try:
        while time.monotonic() < deadline:
            try:
                sessions = open_sessions(connect, proxy.port, user, 3)
                truth.batch(sessions, [truth.command() for _ in range(30)], each=5, lossy=True)
                for session in sessions:
                    session.close()
            except (imapclient.IMAPClosed, imapclient.IMAPRefused):
                assert proxy.running()
    finally:
        over.set()
        cutter.join()
    assert truth.answers > 300
    print('%d answers' % truth.answers)


# ---- upstreams whose answers could be taken for answers to somebody else

def fake_box(fake, name, number=3, octets=0, first=1):
    box = fake.mailbox(name)
    for n in range(first, first + number):
        box.add(tools.mail(n, octets))
    return box


class Gate:
    """Handler that holds back the first command it is asked about until open()."""

    def __init__(self, fits=lambda conn, command: True):
        self._fits = fits
        self._open = threading.Event()
        self.reached = threading.Event()

    def __call__(self, conn, command):
        if self._fits(conn, command) and not self.reached.is_set():
            self.reached.set()
            assert self._open.wait(20)
        return conn.default(command)

    def open(self):
        self._open.set()


def in_box(name, word=b''):
    return lambda conn, command: conn.selected is not None and conn.selected.name == name and word in command.args


def test_searches_that_overtake_each_other(fake, make_proxy, connect):
    """Dovecot answers a quick SEARCH before a slow one, and neither answer says whose it is."""
    fake_box(fake, 'INBOX', 5)

    def overtake(conn, command):
        if b'slow' not in command.args:
            return conn.default(command)
        for _ in range(25):                     # half a second for another to come
            if conn.has_input():
                quick = conn.read_command()
                fake.commands.append(quick)
                return conn.default(quick) + conn.default(command)
        return conn.default(command)
    proxy = make_proxy(fake.port)
    slow, quick = connect(proxy.port, 'anna'), connect(proxy.port, 'anna')
    slow.select()
    quick.select()
    fake.on('UID SEARCH', overtake)
    tag = slow.start('UID SEARCH NOT BODY slow')
    fake.wait_for('UID SEARCH')
    assert quick.must('UID SEARCH SUBJECT "number 4"').search() == [4]
    assert slow.wait(tag).search() == [1, 2, 3, 4, 5]


def test_search_of_a_session_that_has_left(fake, make_proxy, connect):
    fake_box(fake, 'INBOX', 5)
    proxy = make_proxy(fake.port)
    left, other = connect(proxy.port, 'anna'), connect(proxy.port, 'anna')
    left.select()
    other.select()
    gate = Gate(lambda conn, command: b'"number 2"' in command.args)
    fake.on('UID SEARCH', gate)
    left.start('UID SEARCH SUBJECT "number 2"')
    assert gate.reached.wait(5)
    left.close()
    time.sleep(0.2)
    tag = other.start('UID SEARCH SUBJECT "number 4"')
    time.sleep(0.2)
    gate.open()
    assert other.wait(tag).search() == [4]


def test_list_of_a_session_that_has_left(fake, make_proxy, connect):
    for name in ('a1', 'a2', 'b1'):
        fake.mailbox(name)
    proxy = make_proxy(fake.port)
    left, other = connect(proxy.port, 'anna'), connect(proxy.port, 'anna')
    gate = Gate(lambda conn, command: b'a*' in command.args)
    fake.on('LIST', gate)
    left.start('LIST "" a*')
    assert gate.reached.wait(5)
    left.close()
    time.sleep(0.2)
    tag = other.start('LIST "" b*')
    time.sleep(0.2)
    gate.open()
    assert [r.data[-1] for r in other.wait(tag).named('LIST')] == [b'b1']


@pytest.mark.parametrize('octets', [100, 40_000, 3_000_000])
def test_body_for_a_mailbox_that_has_gone_is_nobody_elses(fake, make_proxy, connect, octets):
    """One bulk link: while it fetches from One, One is deleted; what is asked of Two next goes over the same link."""
    fake_box(fake, 'One', 3, octets)
    two = fake_box(fake, 'Two', 3, octets, first=11)
    proxy = make_proxy(fake.port, kind=tools.Configured, upstream='max_connections = 4')
    one, other, editor = (connect(proxy.port, 'anna', timeout=30) for _ in range(3))
    one.select('One')
    other.select('Two')
    gate = Gate(in_box('One', b'BODY.PEEK[]'))
    fake.on('UID FETCH', gate)
    one.start('UID FETCH 1:3 BODY.PEEK[]')
    assert gate.reached.wait(5)
    editor.must('DELETE One')
    tools.until_bye(one)
    tag = other.start('UID FETCH 1:3 BODY.PEEK[]')
    time.sleep(0.3)
    gate.open()
    expected = {m.uid: m.octets for m in two.messages}
    assert {u: i['BODY[]'] for u, i in other.wait(tag).fetch_by_uid().items()} == expected
    again = connect(proxy.port, 'anna', timeout=30)
    again.select('Two')
    assert {u: i['BODY[]'] for u, i in again.uid_fetch('1:3', 'BODY.PEEK[]').items()} == expected


def test_parts_that_begin_alike(fake, make_proxy, connect, tmp_path):
    """Both are answered as BODY[]<0>, and this server says the long one first."""
    box = fake_box(fake, 'INBOX', 1, 5000)
    mail = box.messages[0].octets

    def turned(conn, command):
        if command.args.count(b'BODY.PEEK[]<0') == 2:
            first, second = re.findall(rb'BODY\.PEEK\[\]<0\.\d+>', command.args)
            command.args = command.args.replace(second, b'#').replace(first, second).replace(b'#', first)
        return conn.default(command)
    client = connect(make_proxy(fake.port).port, 'anna')
    client.select()
    fake.on('UID FETCH', turned)
    for counts in ((20, 1000), (999, 30), (10, 9)):
        result = client.must('FETCH 1 (BODY.PEEK[]<0.%d> BODY.PEEK[]<0.%d>)' % counts)
        line = bytes(result.named('FETCH')[0].raw)
        for count in counts:
            assert b'BODY[]<0> {%d}\r\n%s' % (count, mail[:count]) in line
    asked = [c for c in fake.seen('UID FETCH') if b'<0.' in c.args]
    assert sum(c.args.count(b'<0.') for c in asked) == 6, 'asked again: %r' % asked


# ---- mailboxes that are not what their name says any more

def test_what_the_link_says_of_the_mailbox_before(fake, make_proxy, connect):
    """A feed takes over a link on which another mailbox is selected; its last words are not about the new one."""
    for name in ('One', 'Three', 'Four', 'Two'):
        fake_box(fake, name, 3)
    proxy = make_proxy(fake.port)
    client, other = connect(proxy.port, 'anna'), connect(proxy.port, 'anna')
    client.select('Two')
    for name in ('One', 'Three', 'Four'):
        other.select(name)
    other.must('UNSELECT')

    def last_words(conn, command):
        before = conn.selected
        said = conn.default(command)
        if before is not None and before.name != 'Two' and b'Two' in command.args:
            spoken.append(before.name)
            return (b'* 2 FETCH (UID 2 FLAGS (\\Deleted \\Flagged) MODSEQ (77777))\r\n* 3 EXPUNGE\r\n'
                    b'* VANISHED 1\r\n* OK [HIGHESTMODSEQ 88888] x\r\n* 44 EXISTS\r\n') + said
        return said
    spoken = []
    fake.on('SELECT', last_words)
    [feed] = [c for c in fake.connections if c.selected is not None and c.selected.name == 'Two']
    feed.sock.shutdown(socket.SHUT_RDWR)
    tools.wait_until(lambda: spoken, what='Two selected on a link that had another mailbox')
    client.must('NOOP')
    told = client.must('FETCH 1:* (UID FLAGS)').fetch_by_uid()
    assert {uid: [bytes(f) for f in items['FLAGS'] if bytes(f) != b'\\Recent'] for uid, items in told.items()} == \
        {1: [], 2: [], 3: []}


@pytest.mark.parametrize('how', ['gone', 'replaced'])
def test_child_of_a_renamed_mailbox(fake, make_proxy, connect, how):
    """Its name is nobody's then, or another mailbox's: on this server one that has the same UIDVALIDITY."""
    fake_box(fake, 'top', 1)
    fake_box(fake, 'top/child', 3)
    fake_box(fake, 'other', 3)

    def rename(conn, command):
        boxes = fake._mailboxes
        child = boxes.pop('top/child')
        child.name = 'new/child'
        boxes[child.name] = child
        if how == 'replaced':
            fake_box(fake, 'top/child', 3, first=21)
        return conn.default(command)
    fake.on('RENAME', rename)
    proxy = make_proxy(fake.port)
    client, editor = connect(proxy.port, 'anna'), connect(proxy.port, 'anna')
    client.select('top/child')
    assert client.uid_fetch('1:3', '(INTERNALDATE RFC822.SIZE BODY.PEEK[])')[1]['BODY[]'] == tools.mail(1)
    editor.must('RENAME top new')
    assert any(r.name == 'BYE' for r in tools.until_bye(client))
    if how == 'replaced':
        client = connect(proxy.port, 'anna')
        client.select('top/child')
        assert {u: i['BODY[]'] for u, i in client.uid_fetch('1:3', 'BODY.PEEK[]').items()} == \
            {n: tools.mail(n + 20) for n in (1, 2, 3)}
    client = connect(proxy.port, 'anna')
    client.select('new/child')
    assert client.uid_fetch('2', 'BODY.PEEK[]')[2]['BODY[]'] == tools.mail(2)


@pytest.mark.parametrize('how', ['same UIDs', 'some UIDs', 'UIDNEXT fell', 'state lost'])
@pytest.mark.parametrize('live', [False, True], ids=['restart', 'reconnect'])
def test_another_mailbox_under_name_and_uidvalidity(fake, make_proxy, connect, how, live):
    """Servers that reuse UIDVALIDITY (T6): deleted and made again while nobody of ours watched."""
    fake_box(fake, 'Box', 9)
    proxy = make_proxy(fake.port)
    client = connect(proxy.port, 'anna')
    client.select('Box')
    client.must('UID FETCH 1:9 (RFC822.SIZE INTERNALDATE BODY.PEEK[])')

    def replace():
        del fake._mailboxes['Box']
        box = fake.mailbox('Box')
        for n in range(1, 6 if how == 'UIDNEXT fell' else 13):
            box.add(tools.mail(100 + n, 500))
        if how == 'some UIDs':
            box.expunge([1, 3, 5, 6, 7, 8, 9])
        box.modseq += 50
    if live:
        fake.on('SELECT', lambda conn, command: conn.reset(), times=1)
        fake.change(replace)
        fake.drop_all()
        assert any(r.name == 'BYE' for r in tools.until_bye(client))
    else:
        client.close()
        if how == 'state lost':
            proxy.kill9()
        else:
            proxy.stop()
        fake.change(replace)
        proxy.start()
    client = connect(proxy.port, 'anna')
    client.select('Box')
    box = fake.mailbox('Box')
    assert {u: i['BODY[]'] for u, i in client.uid_fetch('1:*', 'BODY.PEEK[]').items()} == \
        {m.uid: m.octets for m in box.messages}


def test_rename_on_dovecot(proxy, server, user, connect):
    """Children go along; INBOX stays, but is another one; whoever opens a name gets what has it now."""
    with server.client(user) as direct:
        direct.must('CREATE a')
        direct.must('CREATE a/c')
    for mailbox in ('INBOX', 'a', 'a/c'):
        server.fill(user, mailbox, tools.mails(3))
    inside, child, editor = (connect(proxy.port, user) for _ in range(3))
    inside.select('InBox')
    child.select('a/c')
    for client in (inside, child):
        assert len(client.uid_fetch('1:*', 'BODY.PEEK[]')) == 3
    editor.must('RENAME a b')
    assert any(r.name == 'BYE' for r in tools.until_bye(child))
    editor.must('RENAME INBOX old')
    server.fill(user, 'INBOX', [tools.mail(77)])   # Dovecot hangs up on who has the old one selected
    for mailbox in ('INBOX', 'old', 'b', 'b/c'):
        with server.client(user) as direct:
            tools.same_mailbox(direct, connect(proxy.port, user), mailbox)
    assert not connect(proxy.port, user).cmd('SELECT a/c').ok
