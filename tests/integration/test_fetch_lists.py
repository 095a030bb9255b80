"""Lists of header fields are asked upstream as the union of those seen in the mailbox (design 5.5); each program gets its
own list, under its own label (F2), and the next program costs nothing. Nothing else is widened."""
import re

import pytest
from imapjudge import mailgen
from spine_tools import Configured, mail, wait_until

THUNDERBIRD = ('From To Cc Bcc Subject Date Message-ID Priority X-Priority References Newsgroups In-Reply-To Content-Type '
               'Reply-To Received')
APPLE = ('date subject from to cc message-id in-reply-to references content-type x-priority x-uniform-type-identifier '
         'x-universally-unique-identifier list-id list-unsubscribe bimi-indicator bimi-location x-bimi-indicator-hash '
         'authentication-results dkim-signature')
MUTT = ('DATE FROM SENDER SUBJECT TO CC MESSAGE-ID REFERENCES CONTENT-TYPE CONTENT-DESCRIPTION IN-REPLY-TO REPLY-TO LINES '
        'LIST-POST LIST-SUBSCRIBE LIST-UNSUBSCRIBE X-LABEL X-ORIGINAL-TO')
LISTS = (THUNDERBIRD, APPLE, MUTT)


@pytest.fixture
def proxy(make_proxy, tap):
    """One whose shadow verification asks nothing that could be counted."""
    return make_proxy(tap.port, kind=Configured, cache='verify_every = 0')


def item(names):
    return 'BODY.PEEK[HEADER.FIELDS (%s)]' % names


def fetch(client, names, uids='1:*'):
    return client.must('UID FETCH %s (UID %s)' % (uids, item(names)), timeout=60)


def same(left, right):
    """Upper-cased labels, as Dovecot writes them; all octets alike."""
    pictures = [{uid: {k.upper(): v for k, v in items.items()} for uid, items in result.fetch_by_uid().items()}
                for result in (left, right)]
    assert pictures[0].keys() == pictures[1].keys()
    for uid, items in pictures[0].items():
        assert items == pictures[1][uid], uid
    return pictures[0]


def fetches(tap, mark):
    return [c for c in tap.since(mark).commands if c.verb == 'UID FETCH' and b'HEADER' in c.line]


def names_of(command):
    return set(re.search(rb'HEADER\.FIELDS \(([^)]*)\)', command.line)[1].upper().split())


def opened(connect, port, user, mailbox='INBOX'):
    client = connect(port, user, timeout=60)
    client.select(mailbox)
    return client


def test_the_second_program_costs_nothing(server, user, proxy, tap, connect):
    mails = mailgen.real_mails(60) + mailgen.Generator(3, flags=False).mails(100)
    server.fill(user, 'INBOX', mails)
    direct = opened(connect, server.port, user)
    first = opened(connect, proxy.port, user)
    want = {names: fetch(direct, names) for names in LISTS}
    for names in LISTS:                                 # the union grows, and is asked each time
        same(want[names], fetch(first, names))
    mark = tap.mark()
    second = opened(connect, proxy.port, user)
    for names in LISTS + ('Subject', 'x-label DATE'):
        same(want.get(names) or fetch(direct, names), fetch(second, names))
    assert not fetches(tap, mark)

    # new mail: the first program's question is everybody's
    server.fill(user, 'INBOX', [mail(1)], create=False)
    wait_until(lambda: second.must('NOOP') and fetch(second, THUNDERBIRD, len(mails) + 1).fetch())
    direct.must('NOOP')
    for names in LISTS:
        same(fetch(direct, names, len(mails) + 1), fetch(second, names, len(mails) + 1))
    asked = fetches(tap, mark)
    assert len(asked) == 1, asked
    assert names_of(asked[0]) == set((' '.join(LISTS) + ' subject x-label date').upper().encode().split())


def test_only_names_that_were_asked_for(server, user, proxy, tap, connect):
    server.fill(user, 'INBOX', [mail(n) for n in range(1, 40)])
    client = opened(connect, proxy.port, user)
    fetch(client, 'Subject', '1:9')
    fetch(client, 'From', '10')
    assert [names_of(c) for c in fetches(tap, 0)] == [{b'SUBJECT'}, {b'SUBJECT', b'FROM'}]
    mark = tap.mark()
    for asked in ('HEADER.FIELDS.NOT (To)', 'HEADER.FIELDS (To)]<0.5>', '1.HEADER.FIELDS (To)', 'HEADER'):
        client.must('UID FETCH 20 (BODY.PEEK[%s%s)' % (asked, '' if ']' in asked else ']'))
    lines = b'\n'.join(c.line for c in fetches(tap, mark))
    assert lines.count(b'(TO)') == 3 and b'FROM' not in lines and b'SUBJECT' not in lines
    mark = tap.mark()
    fetch(client, 'To', '30')
    assert [names_of(c) for c in fetches(tap, mark)] == [{b'SUBJECT', b'FROM', b'TO'}]
    # a list of its own in another mailbox
    server.fill(user, 'Other', [mail(1)])
    client.select('Other')
    mark = tap.mark()
    fetch(client, 'Date')
    assert [names_of(c) for c in fetches(tap, mark)] == [{b'DATE'}]


def test_the_lists_outlive_a_restart(server, user, make_proxy, tap, connect):
    server.fill(user, 'INBOX', [mail(n) for n in range(1, 5)])
    proxy = make_proxy(tap.port)
    client = opened(connect, proxy.port, user)
    fetch(client, 'Subject', '1')
    fetch(client, 'From', '1')
    proxy.restart()
    mark = tap.mark()
    fetch(opened(connect, proxy.port, user), 'Subject', '2')
    assert [names_of(c) for c in fetches(tap, mark)] == [{b'SUBJECT', b'FROM'}]


def test_too_many_lists_push_the_oldest_out(server, user, proxy, tap, connect):
    server.fill(user, 'INBOX', [mail(n) for n in range(1, 40)])
    direct, client = opened(connect, server.port, user), opened(connect, proxy.port, user)
    for n in range(1, 30):
        same(fetch(direct, 'X-%d Subject' % n, n), fetch(client, 'X-%d Subject' % n, n))
    long = ' '.join('X-%s%d' % ('long' * 20, n) for n in range(20))
    same(fetch(direct, long, 30), fetch(client, long, 30))
    many = ' '.join('X-%d' % n for n in range(100))
    same(fetch(direct, many, 31), fetch(client, many, 31))
    asked = fetches(tap, 0)
    assert len(asked) == 31
    assert names_of(asked[28]) == {b'SUBJECT'} | {b'X-%d' % n for n in range(22, 30)}
    assert names_of(asked[29]) == set(long.upper().encode().split())
    assert names_of(asked[30]) == set(many.upper().encode().split())


def test_a_list_that_does_not_stand_in_the_union_is_asked_as_it_is(server, user, proxy, tap, connect):
    long = 'X-%s X-%s' % ('a' * 400, 'b' * 400)
    head = ''.join('%s: value of it\r\n' % name for name in (*long.split(), *('X-%d' % n for n in range(90)), 'X-(q)'))
    server.fill(user, 'INBOX', [head.encode() + mail(n) for n in range(1, 9)])
    direct, client = opened(connect, server.port, user), opened(connect, proxy.port, user)
    fetch(client, 'From To Date Subject', 1)                        # others' lists
    for uid, names in ((2, long), (3, '"X-(q)" From'), (4, '"X-(q)"')):
        same(fetch(direct, names, uid), fetch(client, names, uid))
    # lists of one command that push each other out
    lists = [' '.join('X-%d' % n for n in range(at, at + 30)) for at in (0, 30, 60)]
    many = 'UID FETCH 5:6 (UID %s)' % ' '.join(item(names) for names in lists)
    same(direct.must(many), client.must(many))
    few = 'UID FETCH 7:8 (UID %s)' % ' '.join(item('X-%d' % n) for n in range(20))
    same(direct.must(few), client.must(few))


BROKEN = (b'Subject: one\r\nSubject : two\r\nFrom: a\r\n\r\nspace before the colon\r\n',
          b'Subject: one\r\n\tfold\r\n \r\nFrom: a\r\n\r\na fold of nothing\r\n',
          b'From: a\r\nno field at all\r\nSubject: x\r\n\r\nbody\r\n',
          b'From: a\r\nSubject: ' + b'long ' * 5000 + b'\r\n\r\nmore than an item of the store holds\r\n',
          b'From: a\r\nSubject: header only\r\n', b'\r\nno header\r\n')


def test_what_cannot_be_taken_out_of_the_longer_list_is_asked(server, user, proxy, tap, connect):
    server.fill(user, 'INBOX', [mail(1), *BROKEN, mail(2)])
    direct, client = opened(connect, server.port, user), opened(connect, proxy.port, user)
    for names in ('Subject', 'From', 'Subject X-A', 'from subject'):
        same(fetch(direct, names), fetch(client, names))
    mark = tap.mark()
    for names in ('Subject', 'From', 'Subject X-A', 'from subject'):
        same(fetch(direct, names), fetch(client, names))
    assert not fetches(tap, mark)


@pytest.mark.parametrize('word', ['NO', 'BAD'])
def test_an_upstream_that_refuses_the_longer_list(fake, make_proxy, connect, word):
    for n in range(1, 9):
        fake.mailbox('INBOX').add(mail(n))

    def refuse(conn, command):
        if re.search(rb'HEADER\.FIELDS \([^) ]+ [^)]*\)', command.args):
            return conn.tagged(command, word, 'one field at a time')
        return conn.default(command)
    fake.on('UID FETCH', refuse)
    proxy = make_proxy(fake.port)
    client = opened(connect, proxy.port, 'u')
    for n, name in enumerate(('Subject', 'From', 'To', 'Subject'), 1):
        (value,) = [v for k, v in fetch(client, name, n).fetch_by_uid()[n].items() if k != 'UID']
        assert value.lower().startswith(name.lower().encode() + b': ')
    refused = [c for c in fake.commands if c.verb == 'UID FETCH' and len(names_of_raw(c)) > 1]
    assert len(refused) == 1


def names_of_raw(command):
    found = re.search(rb'HEADER\.FIELDS \(([^)]*)\)', command.raw)
    return found[1].split() if found else []
