"""SEARCH between a client and what is remembered of the upstream's answers: what is told, refused, asked, and when."""
import re
import threading
import time

import pytest

import spine_tools as tools
from imapjudge import fakeserver, imapclient

OLD = '12-Mar-2019 10:00:00 +0000'
SETTLED = 'search { settle = 0s }'


def mail(number):
    return b'From: %s@example.com\r\nSubject: number %d\r\n\r\nbody %d\r\n' % (
        (b'anna', b'bert')[number % 2], number, number)


@pytest.fixture
def box(fake, make_proxy, connect):
    """box(number, **options) -> client; INBOX of so many old mails is selected and known."""
    def make(number=6, select=True, **options):
        mailbox = fake.mailbox('INBOX')
        for n in range(1, number + 1):
            fake.change(lambda n=n: mailbox.add(mail(n), date=OLD))
        make.proxy = make_proxy(fake.port, kind=tools.Configured, sections=SETTLED, **options)
        client = connect(make.proxy.port, 'u0', timeout=30)
        if select:
            client.select()
            client.must('UID FETCH 1:* (FLAGS)')
        return client
    return make


def asked(fake, word):
    return [c for c in fake.seen('UID SEARCH') if word in c.args]


def esearch(result):
    return [bytes(r.raw).split(b')', 1)[1].strip() for r in result.named('ESEARCH')]


# --- refusals -------------------------------------------------------------------------------------------------------------

REFUSALS = ('NO [BADCHARSET (US-ASCII)] what letters', 'BAD no such key', 'NO [CANNOT] not today')


@pytest.mark.parametrize('refusal', REFUSALS)
@pytest.mark.parametrize('criteria', ['SUBJECT {3+}\r\nzz\x07', 'UNSEEN HEADER "zz z" x', 'OR SEEN HEADER "zz:" x',
                                      'HEADER "" zz', 'CHARSET KOI8-R SUBJECT "x"', 'X-NOVELTY "river"', 'CHARSET X-NONE SEEN', 'OLDER 60',
                                      'UNSEEN CHARM 5', 'OR SEEN FUZZY SUBJECT "x"', 'FILTER mine',
                                      'UNSEEN LARGER 4294967296', 'OR SEEN BEFORE 31-Dec-1969'])
def test_what_the_upstream_may_refuse_it_is_asked(fake, box, criteria, refusal):
    """Also when no message depends on it: the mailbox is empty, or its messages are decided by flags."""
    fake.capabilities += ' WITHIN SEARCH=FUZZY FILTERS'
    for client in (box(0), box(2)):
        if client.must('SEARCH ALL').search():
            client.must('STORE 1:* +FLAGS (\\Seen)')
        word = re.search(r'X-\w+|CHARM|zz|OLDER|KOI8-R|FUZZY|FILTER|LARGER|BEFORE', criteria)[0].encode()
        fake.on('UID SEARCH', lambda conn, command: command.tag + b' ' + refusal.encode() + b'\r\n'
                if word in command.args else conn.default(command))
        for n in (1, 2):
            result = client.cmd('SEARCH ' + criteria)
            assert (result.status, result.text) == tuple(refusal.split(' ', 1)) or refusal in str(result), result
            assert len(asked(fake, word)) == n
        fake.off('UID SEARCH')
        fake.commands.clear()
        client.close()


@pytest.mark.parametrize('refusal', ['NO [CANNOT] not this', 'BAD never'])
def test_one_refused_part_refuses_the_whole_in_its_words(fake, box, refusal):
    client = box()
    client.must('UID SEARCH RETURN (SAVE) UID 2')
    fake.on('UID SEARCH', lambda conn, command: command.tag + b' ' + refusal.encode() + b'\r\n'
            if b'TEXT' in command.args else conn.default(command))
    for criteria in ('OR UNSEEN TEXT "x"', 'OR (SEEN TEXT "x") (UNSEEN FROM "anna")', 'NOT TEXT "x" FROM "anna"'):
        if criteria.startswith('OR UNSEEN'):
            client.must('STORE 1 +FLAGS (\\Seen)')      # it has to be asked about that one
        result = client.cmd('SEARCH RETURN (SAVE) ' + criteria)
        assert refusal in str(result), result
    saved = client.must('UID SEARCH UID $').search()
    assert saved == ([] if refusal.startswith('NO') else [2])       # RFC 5182 2.1
    fake.off('UID SEARCH')
    assert client.must('UID SEARCH OR (SEEN TEXT "anna") (UNSEEN FROM "anna")').search() == [2, 4, 6]


def test_accepted_once_it_is_not_asked_again_when_nothing_is_missing(fake, box):
    client = box()
    fake.on('UID SEARCH', lambda conn, command: b'* ESEARCH (TAG "%s") UID\r\n%s OK done\r\n' % (command.tag, command.tag)
            if b'SAVEDBEFORE' in command.args else conn.default(command))
    for _ in range(3):
        assert client.must('SEARCH CHARSET ISO-8859-1 SUBJECT "number 3"').search() == [3]
        assert client.must('SEARCH UNSEEN SAVEDBEFORE 1-Jan-2000').search() == []
    assert len(asked(fake, b'8859')) == len(asked(fake, b'SAVEDBEFORE')) == 1


def test_charset_that_the_upstream_does_not_know_is_left_out_of_ascii_text(fake, box):
    """protocol.md 2.7: an Exchange knows US-ASCII alone; BAD is what Cyrus says."""
    client = box()
    for said in (b'NO [BADCHARSET (US-ASCII)] no', b'BAD Unrecognized character set'):
        fake.on('UID SEARCH', lambda conn, command: command.tag + b' ' + said + b'\r\n'
                if b'UTF-8' in command.args else conn.default(command))
        word = 'number %d' % (2 if said.startswith(b'NO') else 3)
        for charset in ('UTF-8', 'US-ASCII', 'utf-8'):
            assert client.must('SEARCH CHARSET %s SUBJECT "%s"' % (charset, word)).search() == [int(word[-1])]
        assert len(asked(fake, word.encode())) == 1
        result = client.cmd('SEARCH CHARSET UTF-8 SUBJECT ', imapclient.Lit('\u00e4'.encode(), False))   # here it matters
        assert said in str(result).encode(), result


def test_too_many_parts_go_upstream_as_they_are(fake, box):
    client = box(6)
    client.must('STORE 2:3 +FLAGS (\\Seen)')
    parts = ['SUBJECT "number %d"' % (n % 4 + 1) if n % 2 else '(UNSEEN SUBJECT "n%d")' % n for n in range(150)]
    criteria = ' '.join('OR ' + p for p in parts) + ' FROM "none"'
    result = client.cmd('SEARCH (%s)' % criteria)
    if result.ok:       # deeper than the parser goes: refused
        assert result.search()
    flat = ' '.join('NOT (SEEN SUBJECT "number %d")' % n for n in range(100))
    assert client.must('SEARCH ' + flat).search() == [1, 4, 5, 6]
    assert len(asked(fake, b'number 99')) == 1


# --- when the upstream is away --------------------------------------------------------------------------------------------

def test_away_what_is_remembered_is_answered_and_the_rest_refused(fake, box):
    client = box(6, upstream='connect_timeout = 1s')
    client.must('STORE 2:3 +FLAGS (\\Seen)')
    assert client.must('SEARCH FROM "anna"').search() == [2, 4, 6]
    fake.stop()
    def refused():
        return 'UNAVAILABLE' in str(client.cmd('SEARCH FROM "bert"'))
    tools.wait_until(refused, 20, 'the news that the upstream is away')
    assert client.must('SEARCH FROM "anna"').search() == [2, 4, 6]
    assert client.must('SEARCH FROM "anna" UNSEEN').search() == [4, 6]
    assert client.must('SEARCH NOT FROM "anna" SEEN').search() == [3]
    assert client.must('SEARCH SEEN').search() == [2, 3]
    assert 'UNAVAILABLE' in str(client.cmd('SEARCH OR FROM "anna" FROM "bert"'))
    assert client.must('SEARCH OR FROM "anna" ALL').search() == [1, 2, 3, 4, 5, 6]


def test_lost_link_is_asked_once_more(fake, box):
    client = box()
    fake.on('UID SEARCH', lambda conn, command: conn.cut() if b'anna' in command.args else conn.default(command), times=1)
    assert client.must('SEARCH FROM "anna"').search() == [2, 4, 6]
    fake.on('UID SEARCH', lambda conn, command: conn.cut() if b'bert' in command.args else conn.default(command))
    assert client.cmd('SEARCH FROM "bert"').status == 'NO'
    assert len(asked(fake, b'bert')) == 2


# --- one moment, one flight -----------------------------------------------------------------------------------------------

def test_parts_are_asked_in_one_flight(fake, box):
    client = box()
    client.must('STORE 1:3 +FLAGS (\\Seen)')
    together = []

    def both(conn, command):
        if b'FROM' in command.args or b'SUBJECT' in command.args:
            together.append(len([c for c in fake.commands if b'FROM' in c.args or b'SUBJECT' in c.args]) + conn.has_input())
        return conn.default(command)
    fake.on('UID SEARCH', both)
    assert client.must('SEARCH OR (SEEN FROM "anna") (UNSEEN SUBJECT "number 5")').search() == [2, 5]
    assert together[0] == 2, together
    assert asked(fake, b'FROM')[0].args.split()[-3:-2] != [b'1:6']
    narrow = {word: re.search(rb'UID ([\d:,]+)', asked(fake, word)[0].args)[1] for word in (b'FROM', b'SUBJECT')}
    assert narrow == {b'FROM': b'1:3', b'SUBJECT': b'4:6'}


def test_flags_that_change_while_it_is_asked_do_not_mix_two_moments(fake, box):
    """UNSEEN is of the moment the question was made: what was not asked about is not answered."""
    client = box(6)
    client.must('STORE 1:3 +FLAGS (\\Seen)')
    inbox = fake.mailbox('INBOX')

    def change(conn, command):
        if b'SUBJECT' not in command.args:
            return conn.default(command)
        answer = conn.default(command)
        for message in inbox.messages:
            message.flags ^= {'\\Seen'}
        for number, message in enumerate(inbox.messages, 1):
            conn.send('* %d FETCH (UID %d FLAGS (%s))\r\n' % (number, message.uid, ' '.join(message.flags)))
        conn.send(answer)
        return None
    fake.on('UID SEARCH', change, times=1)
    found = client.must('SEARCH UNSEEN SUBJECT "number"').search()
    assert found in ([4, 5, 6], [1, 2, 3]), found


def test_messages_that_vanish_while_it_is_asked_are_left_out(server, user, tap, make_proxy, connect, link):
    server.fill(user, 'INBOX', [mail(n) for n in range(1, 7)])
    client = connect(make_proxy(link.port).port, user, timeout=30)
    client.select()
    client.must('FETCH 1:* (FLAGS)')
    link.shape(delay=0.3)
    tag = client.start('UID SEARCH SUBJECT "number"')
    with server.client(user) as other:
        other.select()
        other.must('UID STORE 3 +FLAGS.SILENT (\\Deleted)')
        other.must('EXPUNGE')
    result = client.wait(tag)
    assert result.ok and set(result.search()) - {3} == {1, 2, 4, 5, 6}


def test_session_that_goes_while_it_waits_leaves_nothing_behind(fake, box, connect):
    client = box()
    fake.on('UID SEARCH', lambda conn, command: time.sleep(0.4) or conn.default(command))
    for criteria in ('OR FROM "anna" SUBJECT "x"', 'UNSEEN BODY "y" NOT TEXT "z"', 'CHARSET X-NONE SEEN', 'FUZZY SUBJECT "x"'):
        other = connect(box.proxy.port, 'u0', timeout=30)
        other.select()
        before = len(fake.seen('UID SEARCH'))
        other.start('SEARCH ' + criteria)
        fake.wait_for('UID SEARCH', before + 1)
        other.close()
    assert client.must('SEARCH FROM "anna"').search() == [2, 4, 6]      # the fixture checks the rest (sanitizer)


# --- freshness ------------------------------------------------------------------------------------------------------------

def test_only_what_depends_on_flags_needs_a_fresh_model(fake, box):
    """Gmail does not push flags: after 5 s they are asked for."""
    fake.capabilities += ' X-GM-EXT-1'
    client = box(6)
    client.must('SEARCH FROM "anna"')
    for criteria, needs in (('FROM "anna"', False), ('2:4 FROM "anna"', False), ('NOT FROM "anna"', False),
                            ('UID 1:3 FROM "anna"', False), ('FROM "anna" UNSEEN', True), ('NOT FROM "anna" KEYWORD x', True)):
        time.sleep(5.2 if needs or criteria == 'FROM "anna"' else 0)
        before = len(fake.commands)
        client.must('SEARCH ' + criteria)
        assert (len(fake.commands) > before) == needs, (criteria, fake.commands[before:])


# --- RETURN (PARTIAL), RFC 9394 -------------------------------------------------------------------------------------------

def test_partial_is_offered(box):
    assert 'PARTIAL' in box().capability()


@pytest.mark.parametrize('option, set_', [
    ('1:2', b'2,4'), ('2:1', b'2,4'), ('2:2', b'4'), ('3:9', b'6'), ('4:9', b'NIL'), ('-1:-2', b'4,6'), ('-2:-2', b'4'),
    ('-3:-900', b'2'), ('-4:-9', b'NIL'), ('1:4294967295', b'2,4,6')])
def test_partial_tells_the_slice(box, option, set_):
    client = box()
    for criteria, found in (('FROM "anna"', set_), ('UID 2,4,6', set_), ('KEYWORD none', b'NIL')):
        for verb, uid in (('SEARCH', b''), ('UID SEARCH', b'UID ')):
            result = client.must('%s RETURN (PARTIAL %s) %s' % (verb, option, criteria))
            assert esearch(result) == [uid + b'PARTIAL (%s %s)' % (option.encode(), found)]
    told = esearch(client.must('UID SEARCH RETURN (MIN PARTIAL %s COUNT) FROM "anna"' % option))
    assert told == [b'UID MIN 2 PARTIAL (%s %s) COUNT 3' % (option.encode(), set_)]


@pytest.mark.parametrize('bad', ['PARTIAL 1:2 ALL', 'PARTIAL 1:2 PARTIAL 3:4', 'PARTIAL 0:2', 'PARTIAL 1:-2', 'PARTIAL', 'PARTIAL 5'])
def test_partial_that_makes_no_sense_is_bad(box, bad):
    assert box().cmd('SEARCH RETURN (%s) ALL' % bad).status == 'BAD'


@pytest.mark.parametrize('options, saved', [
    ('PARTIAL 2:2', [4]), ('PARTIAL 2:2 MIN', [2, 4]), ('PARTIAL -2:-2 MAX', [4, 6]), ('PARTIAL 2:2 MIN MAX', [2, 4, 6]),
    ('PARTIAL 2:2 COUNT', [2, 4, 6]), ('PARTIAL 9:9', []), ('PARTIAL 9:9 MIN', [2])])
def test_partial_with_save(box, options, saved):
    """RFC 9394 3.4"""
    client = box()
    client.must('SEARCH RETURN (SAVE %s) FROM "anna"' % options)
    assert client.must('UID SEARCH UID $').search() == saved


def test_partial_fetch_is_a_slice_of_what_the_set_names(box):
    client = box()
    client.must('STORE 3 +FLAGS (\\Deleted)')
    client.must('EXPUNGE')
    for modifier, uids in (('1:2', [1, 2]), ('2:3', [2, 4]), ('-1:-2', [5, 6]), ('4:1', [1, 2, 4, 5]), ('9:12', []), ('-9:-12', [])):
        result = client.must('UID FETCH 1:* (UID FLAGS) (PARTIAL %s)' % modifier)
        assert sorted(i['UID'] for i in result.fetch().values()) == uids, modifier
    result = client.must('UID FETCH 2:5 (UID BODY.PEEK[TEXT]) (PARTIAL -1:-2)')
    assert sorted(i['UID'] for i in result.fetch().values()) == [4, 5]
    assert client.cmd('FETCH 1:* (UID) (PARTIAL 1:2)').status == 'BAD'


# --- MODSEQ ---------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('returns', ['MIN', 'MAX', 'MIN MAX', 'ALL', 'COUNT', 'MIN COUNT', ''])
def test_modseq_of_what_is_told_is_as_dovecot_has_it(server, user, proxy, connect, returns):
    """RFC 4731 3.2: with MIN and MAX alone it is theirs."""
    server.fill(user, 'INBOX', tools.mails(6))
    clients = connect(proxy.port, user), connect(server.port, user)
    for client in clients:
        client.select()
    if 'CONDSTORE' not in clients[1].capability():
        pytest.skip('the upstream has no CONDSTORE')
    for uid in (4, 1, 6, 3):
        clients[1].must('UID STORE %d +FLAGS.SILENT (\\Flagged)' % uid)
    tools.wait_until(lambda: len(clients[0].must('UID SEARCH FLAGGED').search()) == 4, 10, 'the flags')
    got = [sorted(esearch(c.must('UID SEARCH RETURN (%s) MODSEQ 1 FLAGGED' % returns))[0].split()) for c in clients]
    assert got[0] == got[1]
    got = [c.must('SEARCH MODSEQ 1 UID 3:5 SUBJECT "number"').search() for c in clients]
    assert got[0] == got[1]


def test_t24_criteria_that_are_refused_do_not_enable_condstore(server, user, proxy, connect):
    server.fill(user, 'INBOX', tools.mails(3))
    client = connect(proxy.port, user)
    client.select()
    assert client.cmd('SEARCH MODSEQ 1 NOSUCHKEY').status in ('BAD', 'NO')
    assert not any('MODSEQ' in items for items in client.must('STORE 1 +FLAGS (\\Seen)').fetch().values())
    result = client.cmd('SEARCH MODSEQ 1 SUBJECT "number"')
    assert result.ok == ('CONDSTORE' in client.capability())
    if result.ok:
        assert b'MODSEQ' in bytes(result.named('SEARCH')[0].raw)
        assert all('MODSEQ' in items for items in client.must('STORE 2 +FLAGS (\\Seen)').fetch().values())


# --- before it is known which messages there are ---------------------------------------------------------------------------

@pytest.fixture
def unmapped(fake, box):
    """unmapped() -> client that has just selected 1,000 messages, of which the upstream tells when unmapped.tell() is called."""
    def make():
        fake.capabilities = fakeserver.CAPABILITIES.replace(' ESEARCH', '').replace(' CONDSTORE QRESYNC', '')
        client = box(1000, select=False)
        inbox = fake.mailbox('INBOX')
        fake.change(lambda: [inbox.messages[n].flags.add('\\Flagged') for n in (4, 7)])
        make.held, make.has_told = [], False
        fake.on('UID FETCH', lambda conn, command: make.held.append((conn, command)), times=1)
        client.select()
        return client

    def tell():
        tools.wait_until(lambda: make.held, 10, 'the question')
        make.has_told = True
        for conn, command in make.held:
            conn.send(conn.default(command))
    make.tell = tell
    return make


@pytest.mark.parametrize('criteria, found', [
    ('FLAGGED', [5, 8]), ('UID 6:999 FLAGGED SUBJECT "number 8"', [8]), ('SUBJECT "number 777"', [777]),
    ('UID 6:9 FROM "anna"', [6, 8]), ('UID 3:5', [3, 4, 5]), ('NOT SUBJECT "number" UNSEEN', []), ('UID 998:2000 ALL', [998, 999, 1000])])
def test_unmapped_view_is_searched_by_uid_without_waiting(fake, unmapped, criteria, found):
    """design section 7: commands with explicit UIDs pass"""
    client = unmapped()
    assert client.must('UID SEARCH ' + criteria).search() == found
    told = esearch(client.must('UID SEARCH RETURN (MIN COUNT) ' + criteria))
    assert told == [b'UID ' + (b'MIN %d ' % found[0] if found else b'') + b'COUNT %d' % len(found)]
    unmapped.tell()
    client.must('UID FETCH 1:* (FLAGS)')
    assert client.must('SEARCH ' + criteria).search() == found


def test_unmapped_view_hears_nothing_of_mail_that_came_after_select(fake, unmapped):
    client = unmapped()
    fake.change(lambda: fake.mailbox('INBOX').add(mail(2000), flags={'\\Flagged'}, date=OLD))
    assert client.must('UID SEARCH FLAGGED').search() == [5, 8]
    assert client.must('UID SEARCH FROM "anna" SUBJECT "number"').search() == list(range(2, 1001, 2))
    unmapped.tell()
    tools.wait_until(lambda: client.must('NOOP') and client.must('UID SEARCH FLAGGED').search() == [5, 8, 1001], 20, 'the new mail')


def test_what_an_unmapped_view_was_told_is_remembered(fake, unmapped):
    client = unmapped()
    assert client.must('UID SEARCH SUBJECT "number 77"').search() == [77] + list(range(770, 780))
    unmapped.tell()
    client.must('UID FETCH 1:* (FLAGS)')
    assert client.must('SEARCH NOT SUBJECT "number 77" 76:78').search() == [76, 78]
    assert len(asked(fake, b'SUBJECT')) == 1


@pytest.mark.parametrize('command', ['SEARCH FLAGGED', 'UID SEARCH 5:8 FLAGGED', 'UID SEARCH UID 5:* FLAGGED', 'UID SEARCH UID $',
                                     'UID SEARCH RETURN (SAVE COUNT) FLAGGED', 'UID SEARCH NOT RECENT FLAGGED',
                                     'UID SEARCH FLAGGED UID 8,' + ','.join(str(n) for n in range(5, 99, 2))])
def test_what_needs_numbers_waits_for_them(fake, unmapped, command):
    client = unmapped()
    threading.Timer(0.5, unmapped.tell).start()
    result = client.must(command)
    assert unmapped.has_told
    if '$' not in command and 'RETURN' not in command:
        assert result.search() == [5, 8]


@pytest.mark.parametrize('verb', ['SEARCH', 'UID SEARCH', 'SORT (DATE) UTF-8', 'UID SORT (SUBJECT) UTF-8', 'THREAD REFERENCES UTF-8', 'FETCH'])
def test_refusals_name_the_command_that_the_client_sent(fake, box, verb):
    """As Dovecot's do; the proxy sends all of them by UID, and asks SEARCH about the criteria of a SORT."""
    fake.capabilities += ' SORT THREAD=REFERENCES'
    client = box()
    for name in ('UID SEARCH', 'UID SORT', 'UID THREAD', 'UID FETCH'):
        fake.on(name, lambda conn, command, name=name: b'%s BAD Error in IMAP command %s: Unknown argument XYZZY\r\n' % (
            command.tag, name.encode()))
    result = client.cmd(verb + (' XYZZY' if verb != 'FETCH' else ' 1 BODY.PEEK[9.HEADER]'))
    words = verb.split(' (')[0].split(' REF')[0]
    assert bytes(result.tagged.raw).split(b' ', 1)[1] == b'BAD Error in IMAP command %s: Unknown argument XYZZY\r\n' % words.encode()


@pytest.mark.parametrize('modifier', ['PARTIAL 1:2', 'CHANGEDSINCE 1 VANISHED'])
def test_refusals_of_the_proxy_itself_name_what_is_needed(box, modifier):
    result = box().cmd('FETCH 1:2 (FLAGS) (%s)' % modifier)
    assert result.status == 'BAD' and 'UID FETCH' in str(result.text), result
