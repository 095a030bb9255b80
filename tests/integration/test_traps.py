"""Traps of the protocol that no other file has a test of: each named after the page of protocol facts it stands on."""
import spine_tools as tools
from imapjudge import imapclient

BODY = 'BODY.PEEK[]'


# ---- writes and updates

def test_t14_store_echoes_every_message_and_silent_none(proxy, server, user, connect):
    """Thunderbird looks for the flags it has set, also where nothing changed."""
    server.fill(user, 'INBOX', tools.mails(4))
    client, other = connect(proxy.port, user), connect(proxy.port, user)
    for each in (client, other):
        each.select()
    client.must('STORE 2 +FLAGS (\\Seen)')
    told = client.must('UID STORE 1:3 +FLAGS (\\Seen)').fetch_by_uid()
    assert sorted(told) == [1, 2, 3] and all(b'\\Seen' in items['FLAGS'] for items in told.values())
    assert client.must('STORE 1:4 +FLAGS.SILENT (\\Flagged)').named('FETCH') == []
    told = other.must('NOOP').fetch()
    assert sorted(told) == [1, 2, 3, 4] and b'\\Seen' not in told[4]['FLAGS']
    with server.client(user) as direct:
        direct.select(examine=True)
        assert direct.must('SEARCH FLAGGED').search() == [1, 2, 3, 4]
        assert direct.must('SEARCH SEEN').search() == [1, 2, 3]


def test_t19_updates_come_in_their_order(proxy, server, user, connect):
    """Expunges, then EXISTS, RECENT, FLAGS, PERMANENTFLAGS, then flags of messages, numbered as they stand then."""
    server.fill(user, 'INBOX', tools.mails(6))
    client, other = connect(proxy.port, user), connect(proxy.port, user)
    for each in (client, other):
        each.select()
    other.must('STORE 2,4 +FLAGS.SILENT (\\Deleted)')
    other.must('EXPUNGE')
    other.must('STORE 3 +FLAGS.SILENT (Newword)')       # was the fifth
    other.append('INBOX', tools.mail(7))
    said = client.must('NOOP').untagged
    names = ['PERMANENTFLAGS' if r.code == 'PERMANENTFLAGS' else r.name for r in said]
    order = ['EXPUNGE', 'EXISTS', 'RECENT', 'FLAGS', 'PERMANENTFLAGS', 'FETCH']
    places = [order.index(n) for n in names]
    assert places == sorted(places) and {'EXPUNGE', 'EXISTS', 'FLAGS', 'FETCH'} <= set(names), names
    left = [1, 2, 3, 4, 5, 6]
    for response in said:
        if response.name == 'EXPUNGE':
            del left[response.num - 1]
    assert left == [1, 3, 5, 6]
    assert [r.num for r in said if r.name == 'EXISTS'] == [5]
    told = {r.num: dict(r.data)['FLAGS'] for r in said if r.name == 'FETCH'}
    assert [bytes(f) for f in told[3] if bytes(f) != b'\\Recent'] == [b'Newword'], told


def test_t21_pipelined_commands_are_answered_in_their_order(proxy, server, user, connect):
    """Also those that a server would answer out of order: a quick one behind a slow one."""
    server.fill(user, 'INBOX', tools.mails(50))
    client = connect(proxy.port, user)
    client.select()
    commands = ['FETCH 1:50 (%s)' % BODY, 'STORE 1 +FLAGS (\\Deleted)', 'UID SEARCH BODY "mail 7 says"', 'EXPUNGE',
                'FETCH 1 (UID)', 'UID COPY 2 INBOX', 'NOOP', 'UID SEARCH ALL', 'CHECK', 'FETCH 1 (FLAGS)']
    client.send_raw(''.join('p%d %s\r\n' % pair for pair in enumerate(commands)))
    tags, answers = [], []
    while len(tags) < len(commands):
        response = client.read_response()
        answers.append(response)
        if response.kind == 'tagged':
            assert response.name == 'OK', response.raw
            tags.append(response.tag)
    assert tags == ['p%d' % n for n in range(len(commands))]
    expunged = [n for n, r in enumerate(answers) if r.name == 'EXPUNGE']
    first_uid = [n for n, r in enumerate(answers) if r.name == 'FETCH' and dict(r.data).get('UID') == 2]
    assert expunged and first_uid and expunged[0] < first_uid[0]


# ---- names

def test_t30_one_name_in_every_form(proxy, server, user, connect, tap):
    server.fill(user, 'Two Words', tools.mails(2))
    server.fill(user, 'INBOX', tools.mails(3))
    client = connect(proxy.port, user)
    mark = tap.mark()
    for form, exists in (('"Two Words"', 2), (imapclient.Lit(b'Two Words'), 2),
                         (imapclient.Lit(b'Two Words', sync=False), 2), ('INBOX', 3), ('inbox', 3), ('"iNbOx"', 3),
                         (imapclient.Lit(b'Inbox'), 3)):
        assert client.must('SELECT ', form).exists == exists
        assert client.must('STATUS ', form, ' (MESSAGES)').status_items() == {'MESSAGES': exists}
    assert len(tap.since(mark).of('SELECT')) == 2      # one for each mailbox, whatever its name looked like
    assert client.cmd('SELECT "two words"').status == 'NO'
    assert client.cmd('SELECT "INBOX/nothing"').status == 'NO'


def test_t31_names_are_opaque_octets(proxy, server, user, connect):
    """Modified UTF-7 goes through as it is; raw UTF-8 is the upstream's to refuse; wildcards are the upstream's."""
    client, direct = connect(proxy.port, user), connect(server.port, user)
    for name in ('Entw&APw-rfe', 'a&-b', '&ZeVnLIqe-', 'percent%sign', 'Below/&AOk-/deep'):
        client.must('CREATE "%s"' % name)
        assert client.select(name).exists == 0
    for pattern in ('"*"', '"%"', '"Below/%"', 'Entw&APw-*', '"%/%"'):
        assert sorted(repr(r.data) for r in client.must('LIST "" %s' % pattern).named('LIST')) == \
            sorted(repr(r.data) for r in direct.must('LIST "" %s' % pattern).named('LIST'))
    for name in (b'Entw\xc3\xbcrfe', b'broken&name'):
        results = [c.cmd('CREATE ', imapclient.Lit(name)) for c in (client, direct)]
        assert {r.status for r in results} == {'NO'}, results


def test_t35_tags(proxy, user, connect):
    """"+" and "*" are none; what is no tag is never echoed; long ones are taken, endless ones are not."""
    client = connect(proxy.port, user)
    for bad in (b'+', b'*', b'a+b', b'(', b'"x"', b'x' * 5000):
        client.send_raw(bad + b' NOOP\r\n')
        response = client.read_response()
        assert response.kind == 'untagged' and response.name == 'BAD', response.raw
        assert len(response.raw) < 300
    for good in ('1.1', 'WIR00001', 'A1064', 'x' * 64, '~!#$&-', '.'):
        assert client.cmd('NOOP', tag=good).ok


def test_t37_select_says_all_it_has_to(proxy, server, user, connect):
    server.fill(user, 'INBOX', tools.mails(4))
    server.fill(user, 'Seen', [])
    client, direct = connect(proxy.port, user), connect(server.port, user)
    direct.select()
    direct.must('STORE 1:2 +FLAGS.SILENT (\\Seen Word)')
    for verb in ('SELECT', 'EXAMINE'):
        told, truth = client.must(verb + ' INBOX'), direct.must(verb + ' INBOX')
        assert told.exists == 4 and len(told.named('RECENT')) == len(told.named('FLAGS')) == 1
        codes, expected = told.codes(), truth.codes()
        for code in ('UIDVALIDITY', 'UIDNEXT', 'UNSEEN'):
            assert codes[code] == expected[code]
        assert set(codes['PERMANENTFLAGS'].strip(b'()').split()) == set(expected['PERMANENTFLAGS'].strip(b'()').split())
        assert told.code == truth.code == ('READ-WRITE' if verb == 'SELECT' else 'READ-ONLY')
        assert 'HIGHESTMODSEQ' in codes
    again = client.must('SELECT Seen')
    assert [r.code for r in again.untagged][0] == 'CLOSED'
    assert 'UNSEEN' not in again.codes() and again.exists == 0
    refused = client.cmd('SELECT Nowhere')
    assert refused.status == 'NO'
    assert client.cmd('FETCH 1 FLAGS').status == 'BAD'      # a SELECT that fails leaves nothing selected


def test_t38_status_of_the_selected_mailbox(proxy, server, user, connect):
    """It is answered, never below what the view shows, and by the model once it is there."""
    server.fill(user, 'INBOX', tools.mails(3))
    client = connect(proxy.port, user)
    assert client.must('STATUS INBOX (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)').status_items()['MESSAGES'] == 3
    client.select()
    for count in range(4, 8):
        client.append('INBOX', tools.mail(count))
        status = client.must('STATUS INBOX (MESSAGES UIDNEXT UNSEEN RECENT)').status_items()
        assert status['MESSAGES'] == status['UNSEEN'] == count and status['UIDNEXT'] == count + 1
        assert client.must('FETCH %d (UID)' % count).fetch()[count] == {'UID': count}
    client.must('STORE 1 +FLAGS.SILENT (\\Seen)')
    assert client.must('STATUS inbox (UNSEEN)').status_items() == {'UNSEEN': 6}


# ---- who speaks

def test_t45_id_names_the_proxy_alone(fake, make_proxy, connect):
    """Whatever the client says of itself, and whatever the upstream answers (also its refusal under load)."""
    fake.mailbox('INBOX')
    heard = []

    def refuse(conn, command):
        heard.append(command.args)
        conn.no(command, 'later', 'UNAVAILABLE')
    fake.on('ID', refuse)
    client = connect(make_proxy(fake.port).port, 'joe')
    for argument in ('NIL', '("name" "iPhone Mail" "version" "22C161")', '("event" NIL "name" NIL)', '()'):
        told = client.must('ID ' + argument).named('ID')
        assert len(told) == 1 and b'imapcached' in told[0].raw and b'iPhone' not in told[0].raw
    client.select()
    assert heard and all(b'iPhone' not in args and b'imapcached' in args for args in heard)
