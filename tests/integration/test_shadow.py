"""Shadow verification: cached answers are compared with the upstream while its link is idle. A server that edits mail in
place is found out, and what is odd but honest raises no alarm."""
import re
import time

import pytest

import spine_tools as tools
from imapjudge import imapclient, mailgen

EVERY = 'verify_every = 1'
ALARM = 'cached answer was wrong'


@pytest.fixture
def served(make_proxy, fake, connect):
    """(proxy, fake, client) with mails read once, so that they are cached."""
    for number in range(1, 6):
        fake.mailbox().add(tools.mail(number, 2000))
    fake.mailbox().add(tools.mail(6, 300_000))
    proxy = make_proxy(fake.port, kind=tools.Configured, cache=EVERY)
    client = connect(proxy.port, 'u0')
    client.select()
    client.must('UID FETCH 1:* (ENVELOPE BODY.PEEK[])')

    def is_kept():      # the client may hear its OK before the upstream has said its own
        mark = len(fake.commands)
        client.must('UID FETCH 5 (BODY.PEEK[HEADER])')
        return not [c for c in checks(fake, mark) if b'<' not in c.args]
    tools.wait_until(is_kept)
    tools.wait_until(lambda: [c for c in checks(fake, 0) if b'<0.' in c.args], what='its check')
    return proxy, fake, client


def checks(fake, since):
    """UID FETCHes of one message, one item: nothing else asks like that once all is cached."""
    return [c for c in fake.commands[since:] if c.verb == 'UID FETCH']


def read(client, uid, item='BODY.PEEK[]'):
    items = client.must('UID FETCH %d (%s)' % (uid, item)).fetch_by_uid()[uid]
    return next(v for k, v in items.items() if k.startswith(('BODY', 'ENVELOPE')))


def checked(fake, mark, number=1):
    return tools.wait_until(lambda: len(checks(fake, mark)) >= number and checks(fake, mark), 10, 'a check')


def quiet(proxy, seconds=0.8):
    """Time for checks that shall not come."""
    time.sleep(seconds)
    assert ALARM not in proxy.log()


def edit(fake, uid, change):
    """In place: no flag, no modseq, no EXISTS tells of it."""
    message = fake.mailbox().by_uid(uid)
    message.octets = change(message.octets)
    return message.octets


def test_an_honest_server_is_asked_and_nothing_happens(served):
    proxy, fake, client = served
    for item in ('BODY.PEEK[]', 'BODY.PEEK[TEXT]', 'BODY.PEEK[HEADER]', 'BODY.PEEK[HEADER.FIELDS (SUBJECT)]', 'ENVELOPE',
                 'BODY.PEEK[]<100.200>'):
        for uid in (1, 6):
            mark = len(fake.commands)
            read(client, uid, item)
            asked = checked(fake, mark)
            assert len(asked) == 1 and asked[0].args.startswith(b'%d ' % uid)
    quiet(proxy)


def test_t7_a_body_edited_in_place_is_not_served_again(served, connect):
    proxy, fake, client = served
    before = read(client, 2)
    now = edit(fake, 2, lambda octets: octets.replace(b'says something', b'says otherwise', 1))
    assert len(now) == len(before)
    mark = len(fake.commands)
    assert read(client, 2) == before            # nobody can know yet
    checked(fake, mark, 2)                      # asked, differs, asked again
    tools.wait_until(lambda: ALARM in proxy.log(), what='the alarm')
    line = next(l for l in proxy.log().splitlines() if ALARM in l)
    assert 'level=warn' in line and 'uid=2' in line and 'stored' in line and 'otherwise' not in line
    assert read(client, 2) == now
    # and no other body of that account is served unasked
    mark = len(fake.commands)
    other = connect(proxy.port, 'u0')
    other.select()
    assert read(other, 3) == fake.mailbox().by_uid(3).octets
    assert [c for c in checks(fake, mark) if b'BODY.PEEK[]' in c.args]


def test_another_account_is_trusted_as_before(served, connect):
    proxy, fake, client = served
    other = connect(proxy.port, 'u1')
    other.select()
    other.must('UID FETCH 1:* (ENVELOPE BODY.PEEK[])')
    edit(fake, 2, lambda octets: octets.replace(b'says something', b'says otherwise', 1))
    read(client, 2)
    tools.wait_until(lambda: ALARM in proxy.log(), what='the alarm')
    mark = len(fake.commands)
    read(other, 3)
    asked = checked(fake, mark)
    assert len(asked) == 1 and b'<0.' in asked[0].args      # the check, no download


@pytest.mark.parametrize('change', [lambda o: o + b'one line more\r\n', lambda o: o[:-100], lambda o: o[:150_000] + b'X' + o[150_001:]],
                         ids=['grown', 'shrunk', 'one octet in the middle'])
def test_t7_of_a_large_body_some_part_is_compared(served, change):
    proxy, fake, client = served
    edit(fake, 6, change)
    deadline = time.monotonic() + 30
    while ALARM not in proxy.log():             # a window at random: it may take a few
        assert time.monotonic() < deadline, 'never found'
        mark = len(fake.commands)
        client.must('UID FETCH 6 (BODY.PEEK[])')
        asked = checked(fake, mark)
        counts = [int(n) for c in asked for n in re.findall(rb'<\d+\.(\d+)>', c.args)]
        assert all(n <= 65536 for n in counts)
        time.sleep(0.1)
    assert read(client, 6) == fake.mailbox().by_uid(6).octets


def test_a_wrong_derivation_switches_derivation_off(served):
    """A server whose TEXT is not what BODY[] says: derived answers are wrong there."""
    proxy, fake, client = served
    fake.on('UID FETCH', lambda conn, command: conn.send(
        b'* 1 FETCH (UID 1 BODY[TEXT]%s {5}\r\nother)\r\n%s OK done\r\n' % (b'<0>' if b'<0.' in command.args else b'', command.tag)
        if b'TEXT' in command.args else conn.default(command)))
    assert read(client, 1, 'BODY.PEEK[TEXT]').startswith(b'mail 1')
    tools.wait_until(lambda: ALARM in proxy.log(), what='the alarm')
    assert 'derived' in next(l for l in proxy.log().splitlines() if ALARM in l)
    assert read(client, 1, 'BODY.PEEK[TEXT]') == b'other'
    fake.off()
    mark = len(fake.commands)
    read(client, 2, 'BODY.PEEK[TEXT]')
    assert [c for c in checks(fake, mark) if b'TEXT' in c.args]     # asked, though it could be derived
    mark = len(fake.commands)
    read(client, 2)
    assert not [c for c in checks(fake, mark) if c.args.endswith(b'BODY.PEEK[])')]     # what is kept is served


def test_where_derivation_is_off_lists_of_fields_are_asked_as_they_come(served):
    """What is taken out of a longer list is derived, too."""
    proxy, fake, client = served
    fake.on('UID FETCH', lambda conn, command: conn.send(
        b'* 1 FETCH (UID 1 BODY[TEXT]%s {5}\r\nother)\r\n%s OK done\r\n' % (b'<0>' if b'<0.' in command.args else b'', command.tag)
        if b'TEXT' in command.args else conn.default(command)))
    read(client, 2, 'BODY.PEEK[HEADER.FIELDS (FROM)]')
    read(client, 1, 'BODY.PEEK[TEXT]')
    tools.wait_until(lambda: ALARM in proxy.log(), what='the alarm')
    mark = len(fake.commands)
    for _ in range(2):
        assert read(client, 3, 'BODY.PEEK[HEADER.FIELDS (SUBJECT)]').startswith(b'Subject: ')
        asked = [c.args for c in checks(fake, mark) if b'HEADER' in c.args]
        assert asked and all(b'(SUBJECT)' in args.upper() for args in asked), asked


HONEST = {
    'gone': lambda conn, command, fake: fake.mailbox().expunge([2]) or conn.send(conn.default(command)),
    'nothing': lambda conn, command, fake: conn.ok(command),
    'refused': lambda conn, command, fake: conn.no(command),
    'filler and [EXPUNGEISSUED]': lambda conn, command, fake: (
        conn.untagged('2 FETCH (UID 2 BODY[]<0> NIL)'), conn.ok(command, code='EXPUNGEISSUED')),
    'filler': lambda conn, command, fake: (conn.untagged('2 FETCH (UID 2 BODY[]<0> NIL)'), conn.ok(command)),
    'other octets and [EXPUNGEISSUED]': lambda conn, command, fake: (
        conn.untagged(b'2 FETCH (UID 2 BODY[]<0> {5}\r\nother)'), conn.ok(command, code='EXPUNGEISSUED')),
    'cut in the literal': lambda conn, command, fake: conn.send_cut(
        b'* 2 FETCH (UID 2 BODY[]<0> {2000}\r\nother octets than those', 40),
    'cut before the OK': lambda conn, command, fake: conn.send_cut(
        b'* 2 FETCH (UID 2 BODY[]<0> {5}\r\nother)\r\n* OK', 44),
    'another window': lambda conn, command, fake: (
        conn.untagged(b'2 FETCH (UID 2 BODY[]<7> {5}\r\nother)'), conn.ok(command)),
    'another message': lambda conn, command, fake: (
        conn.untagged(b'3 FETCH (UID 3 BODY[]<0> {5}\r\nother)'), conn.ok(command)),
    'once': None,
}


@pytest.mark.parametrize('how', HONEST, ids=lambda how: how.replace(' ', '-'))
def test_what_is_odd_but_honest_raises_no_alarm(served, how):
    proxy, fake, client = served
    odd = HONEST[how] or (lambda conn, command, fake: conn.send(
        b'* 2 FETCH (UID 2 BODY[]<0> {5}\r\nother)\r\n%s OK\r\n' % command.tag))

    def handler(conn, command):
        odd(conn, command, fake)
    mark = len(fake.commands)
    octets = fake.mailbox().by_uid(2).octets
    fake.on('UID FETCH', handler, 1)
    assert read(client, 2) == octets
    checked(fake, mark)
    quiet(proxy)
    fake.off()
    if how != 'gone':
        assert read(client, 2) == octets
        assert read(client, 3) == fake.mailbox().by_uid(3).octets


def test_a_client_in_the_middle_of_a_wrong_body_gets_no_mixture(served, connect):
    """It reads slowly from the cache while the mail is found to be another: old octets to the end, or the end."""
    proxy, fake, client = served
    big = fake.change(lambda: fake.mailbox().add(tools.mail(7, 20_000_000)))
    tools.wait_until(lambda: client.must('NOOP') and client.must('UID SEARCH ALL').search()[-1] == 7)
    before = read(client, 7)
    reader = tools.Raw(proxy.port, receive_buffer=4096)
    reader.line()
    reader.send(b'a LOGIN u0 pw\r\nb SELECT INBOX\r\nc UID FETCH 7 (BODY.PEEK[])\r\n')
    head = reader.until(b'}\r\n')
    edit(fake, 7, lambda octets: octets.replace(b'says something', b'says otherwise'))
    deadline = time.monotonic() + 30
    while ALARM not in proxy.log():
        assert time.monotonic() < deadline
        try:
            client.must('UID FETCH 7 (BODY.PEEK[TEXT])')
            client.must('UID FETCH 7 (BODY.PEEK[])')
        except imapclient.IMAPClosed:           # was in the middle of it itself
            client = connect(proxy.port, 'u0')
            client.select()
        time.sleep(0.3)
    reader.send(b'd LOGOUT\r\n')
    rest = reader.rest()
    assert head.endswith(b'{%d}\r\n' % len(before))
    assert rest[:len(before)] == before[:len(rest)]
    assert b'otherwise' not in rest
    assert big.octets != before


def test_octets_spent_are_a_small_share(make_proxy, dovecot, user, tap, connect):
    """A hundred reads of a large mail with the default settings."""
    dovecot.fill(user, 'INBOX', [tools.mail(1, 2_000_000)] + tools.mails(20, 500))
    proxy = make_proxy(tap.port, kind=tools.Configured, cache='verify_every = 10')
    client = connect(proxy.port, user)
    client.select()
    client.must('UID FETCH 1:* (BODY.PEEK[])')
    mark = tap.mark()
    for _ in range(100):
        client.must('UID FETCH 1 (BODY.PEEK[])')
        client.must('UID FETCH 2:* (BODY.PEEK[TEXT])')
    tools.wait_until(lambda: tap.since(mark).of('UID FETCH'), what='a check')
    quiet(proxy, 3)
    since = tap.since(mark)
    assert since.octets_down < 100 * 2_000_000 / 10 * 2 + 300_000
    assert all(re.search(rb'BODY.PEEK\[(TEXT)?\]<\d+\.65536>', c.line) for c in since.of('UID FETCH'))


def test_real_mail_on_a_real_server_raises_no_alarm(make_proxy, dovecot, user, connect):
    dovecot.fill(user, 'INBOX', mailgen.Generator(5, big=90_000).mails(40))
    proxy = make_proxy(dovecot.port, kind=tools.Configured, cache=EVERY)
    client = connect(proxy.port, user)
    client.select()
    items = ('ENVELOPE', 'BODYSTRUCTURE', 'BODY', 'INTERNALDATE', 'RFC822.SIZE', 'BODY.PEEK[]', 'BODY.PEEK[TEXT]', 'BODY.PEEK[HEADER]',
             'BODY.PEEK[1]', 'BODY.PEEK[2]', 'BODY.PEEK[1.MIME]', 'BODY.PEEK[HEADER.FIELDS (FROM TO)]', 'BODY.PEEK[]<0.100>',
             'BODY.PEEK[HEADER.FIELDS.NOT (FROM)]')
    for _ in range(2):
        for item in items:
            client.must('UID FETCH 1:* (%s)' % item)
    for uid in range(1, 41):
        for item in items:
            client.must('UID FETCH %d (%s)' % (uid, item))
        if uid % 4 == 0:
            time.sleep(0.3)
    quiet(proxy, 2)


def test_verify_every_0_asks_nothing(make_proxy, fake, connect):
    fake.mailbox().add(tools.mail(1, 2000))
    proxy = make_proxy(fake.port, kind=tools.Configured, cache='verify_every = 0')
    client = connect(proxy.port, 'u0')
    client.select()
    read(client, 1)
    mark = len(fake.commands)
    for _ in range(50):
        read(client, 1)
    quiet(proxy)
    assert checks(fake, mark) == []
