"""How a FETCH line is worded: the rules F1 to F12 and T3, which real programs depend on (mbsync compares octets,
Thunderbird takes an unknown item for a syntax error, Apple Mail drops an item whose label is not the one it asked)."""
import re

import pytest

import spine_tools as tools
from imapjudge import imapclient

MAIL = (b'From: Anna <anna@example.com>\r\nTo: Bo <bo@example.com>\r\nSubject: worded\r\nX-Empty:\r\n'
        b'Date: Mon, 7 Sep 2020 10:00:00 +0000\r\nMIME-Version: 1.0\r\n'
        b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n'
        b'say "so" \\ and\r\nmore\r\n--b\r\nContent-Type: application/octet-stream\r\n'
        b'Content-Transfer-Encoding: base64\r\n\r\nAAECAw==\r\n--b--\r\n')
KEEPS = re.compile(rb'\* (\d+) FETCH \(')


@pytest.fixture
def box(proxy, server, user, connect):
    """A selected mailbox of four messages through the proxy; the first two already in the cache."""
    server.fill(user, 'INBOX', [MAIL] * 4)
    client = connect(proxy.port, user)
    client.select()
    client.must('UID FETCH 1:2 (ENVELOPE BODYSTRUCTURE INTERNALDATE RFC822.SIZE BODY.PEEK[])')
    return client


def lines(result):
    """{number: [octets of each FETCH line]}"""
    out = {}
    for response in result.named('FETCH'):
        out.setdefault(response.num, []).append(response.raw)
    return out


def line(client, command, number):
    got = lines(client.must(command))[number]
    assert len(got) == 1, got
    return got[0]


@pytest.mark.parametrize('number', [1, 3], ids=['cached', 'asked'])
def test_f1_item_names_are_upper_case(box, number):
    said = line(box, 'fetch %d (uid flags rfc822.size internaldate envelope bodystructure body.peek[header] '
                'body.peek[1.mime] body.peek[text]<0.5>)' % number, number)
    for name in (b'UID', b'FLAGS', b'RFC822.SIZE', b'INTERNALDATE', b'ENVELOPE', b'BODYSTRUCTURE', b'BODY[HEADER]',
                 b'BODY[1.MIME]', b'BODY[TEXT]<0>'):
        assert re.search(rb'[( ]%s ' % re.escape(name), said), (name, said)


@pytest.mark.parametrize('number', [1, 3], ids=['cached', 'asked'])
def test_f2_field_list_comes_back_as_it_was_written(box, number):
    for label in ('HEADER.FIELDS (subJect From X-none)', 'HEADER.FIELDS.NOT (to From)', 'HEADER.FIELDS (DATE)'):
        said = line(box, 'UID FETCH %d (BODY.PEEK[%s])' % (number, label), number)
        assert b'BODY[%s] {' % label.encode() in said, said


def test_f3_peek_goes_and_offset_stays_and_old_names_are_kept(box):
    for number in (1, 3):
        said = line(box, 'FETCH %d (BODY.PEEK[TEXT]<3.10> RFC822.HEADER RFC822.SIZE)' % number, number)
        assert b'BODY[TEXT]<3> {10}\r\n' in said and b'PEEK' not in said
        assert b'RFC822.HEADER {' in said and b'BODY[HEADER]' not in said
        said = line(box, 'FETCH %d (RFC822 RFC822.TEXT)' % number, number)
        assert b'RFC822 {%d}\r\n' % len(MAIL) in said and b'RFC822.TEXT {' in said


def test_f4_one_line_per_message_however_it_came_together(box):
    """Of the cache, of the model and of two questions upstream: still one line each, in the order of the numbers."""
    result = box.must('FETCH 1:4 (UID FLAGS ENVELOPE BODY.PEEK[] BODY.PEEK[2] PREVIEW INTERNALDATE)')
    assert [r.num for r in result.named('FETCH')] == [1, 2, 3, 4]
    for response in result.named('FETCH'):
        assert set(dict(response.data)) == {'UID', 'FLAGS', 'ENVELOPE', 'BODY[]', 'BODY[2]', 'PREVIEW', 'INTERNALDATE'}


def test_f5_nothing_that_was_not_asked_for(box):
    for items, names in (('FLAGS', {'FLAGS'}), ('(UID)', {'UID'}), ('BODY.PEEK[HEADER]', {'BODY[HEADER]'}),
                         ('RFC822.SIZE', {'RFC822.SIZE'}), ('(ENVELOPE BODY)', {'ENVELOPE', 'BODY'}),
                         ('FAST', {'FLAGS', 'INTERNALDATE', 'RFC822.SIZE'})):
        for items_told in box.must('FETCH 1:4 %s' % items).fetch().values():
            assert set(items_told) == names
        for items_told in box.must('UID FETCH 1:4 %s' % items).fetch().values():
            assert set(items_told) == names | {'UID'}


def test_f6_uid_once_and_first_then_flags_then_as_asked(box):
    for number in (1, 3):
        for asked in ('(RFC822.SIZE FLAGS UID INTERNALDATE)', '(RFC822.SIZE FLAGS INTERNALDATE)'):
            said = line(box, 'UID FETCH %d %s' % (number, asked), number)
            assert re.fullmatch(rb'\* %d FETCH \(UID %d FLAGS \([^)]*\) RFC822\.SIZE %d INTERNALDATE "[^"]*"\)\r\n'
                                % (number, number, len(MAIL)), said), said


def test_f7_flags_of_an_implicit_seen_stand_in_the_line_before_the_octets(box, connect, proxy, user):
    for number in (1, 3):
        said = line(box, 'UID FETCH %d BODY[TEXT]<0.3>' % number, number)
        assert re.match(rb'\* %d FETCH \(UID %d FLAGS \([^)]*\\Seen[^)]*\) BODY\[TEXT\]<0> \{3\}\r\n'
                        % (number, number), said), said
        assert b'FLAGS' not in line(box, 'UID FETCH %d BODY[TEXT]<0.3>' % number, number)    # it was \Seen already


def test_f8_octets_are_literals_and_nil_is_the_upstreams_own(box):
    for number in (1, 3):
        said = line(box, 'FETCH %d (BODY.PEEK[1] BODY.PEEK[HEADER.FIELDS (X-None)] BODY.PEEK[TEXT]<99999.5>)'
                    % number, number)
        assert b'BODY[1] {20}\r\nsay "so" \\ and\r\nmore' in said, said
        assert b'BODY[HEADER.FIELDS (X-None)] {2}\r\n\r\n' in said
        assert re.search(rb'BODY\[TEXT\]<99999> (\{0\}\r\n|"")', said) and b'NIL' not in said


def test_f9_literal8_only_for_binary(box):
    for _ in range(2):      # asked, then cached
        said = line(box, 'FETCH 3 (BINARY.PEEK[2] BODY.PEEK[2])', 3)
        assert b'BINARY[2] ~{4}\r\n\0\1\2\3' in said and b'BODY[2] {8}\r\nAAECAw==' in said
        assert said.count(b'~{') == 1


def test_f10_modseq_where_it_belongs_and_nowhere_else(box, connect, proxy, user):
    plain = connect(proxy.port, user)
    plain.select()
    box.must('ENABLE CONDSTORE')
    assert set(box.must('FETCH 2 FLAGS').fetch()[2]) == {'FLAGS'}           # asked for without MODSEQ
    assert set(box.must('UID FETCH 2 (FLAGS MODSEQ)').fetch()[2]) == {'UID', 'FLAGS', 'MODSEQ'}
    told = box.must('STORE 2 +FLAGS (\\Flagged)').fetch()[2]
    assert {'FLAGS', 'MODSEQ'} <= set(told)
    told = box.must('UID FETCH 1 BODY[TEXT]<0.1>').fetch()[1]                # an implicit \Seen
    assert {'UID', 'FLAGS', 'MODSEQ', 'BODY[TEXT]<0>'} == set(told)
    unsolicited = plain.must('NOOP').fetch()
    assert set(unsolicited) == {1, 2} and all('MODSEQ' not in told for told in unsolicited.values())
    plain.must('STORE 4 +FLAGS (\\Answered)')
    assert 'MODSEQ' in box.must('NOOP').fetch()[4]
    box.must('ENABLE QRESYNC')
    plain.must('STORE 4 -FLAGS (\\Answered)')
    assert {'UID', 'FLAGS', 'MODSEQ'} == set(box.must('NOOP').fetch()[4])


def test_f11_unknown_items_are_the_upstreams_and_never_kept(fake, make_proxy, connect):
    """X-GM-LABELS of Gmail and the like (T7): asked anew each time, the value passed on as it stands."""
    box = fake.mailbox('INBOX')
    box.add(tools.mail(1))
    said = iter((b'("\\\\Inbox" "a \\"b\\"")', b'()', b'NIL'))
    fake.on('UID FETCH', lambda conn, command: conn.send(
        b'* 1 FETCH (UID 1 X-GM-LABELS %s X-GM-MSGID 1278455344230334865)\r\n' % next(said) + command.tag + b' OK x\r\n'
        if b'X-GM-LABELS' in command.args else conn.default(command)))
    fake.capabilities += ' X-GM-EXT-1'
    client = connect(make_proxy(fake.port).port, 'joe')
    client.select()
    for value in (b'("\\\\Inbox" "a \\"b\\"")', b'()', b'NIL'):
        said_now = lines(client.must('UID FETCH 1 (X-GM-LABELS X-GM-MSGID)'))[1]
        assert len(said_now) == 1 and b'X-GM-LABELS %s' % value in said_now[0], said_now
        assert b'X-GM-MSGID 1278455344230334865' in said_now[0]


def test_f12_numbers_up_to_their_ends(fake, make_proxy, connect):
    box = fake.mailbox('INBOX')
    box.add(tools.mail(1), uid=4_294_967_290).answers['RFC822.SIZE'] = b'4294967295'
    box.modseq = box.messages[0].modseq = 9_223_372_036_854_775_000
    client = connect(make_proxy(fake.port).port, 'joe')
    codes = client.select(extra='(CONDSTORE)').codes()
    assert codes['UIDNEXT'] == b'4294967291' and codes['HIGHESTMODSEQ'] == b'9223372036854775000'
    told = client.uid_fetch('4294967290', '(RFC822.SIZE MODSEQ)')[4_294_967_290]
    assert told['RFC822.SIZE'] == 4_294_967_295 and told['MODSEQ'] == [9_223_372_036_854_775_000]
    assert client.cmd('UID FETCH 4294967296 FLAGS').status == 'BAD'


def test_t3_size_is_what_the_upstream_says_and_bodies_are_whole(fake, make_proxy, connect):
    """Exchange tells the size in its own storage: passed on, never reckoned, and no reason to doubt the octets."""
    for number in (1, 2):
        fake.mailbox('INBOX').add(tools.mail(number, 3000)).answers['RFC822.SIZE'] = b'123456'
    proxy = make_proxy(fake.port)
    for _ in range(2):
        client = connect(proxy.port, 'joe')
        client.select()
        for uid in (1, 2):
            told = client.uid_fetch(str(uid), '(RFC822.SIZE BODY.PEEK[])')[uid]
            assert told == {'UID': uid, 'RFC822.SIZE': 123456, 'BODY[]': tools.mail(uid, 3000)}
    assert len([c for c in fake.seen('UID FETCH') if b'BODY.PEEK[]' in c.args]) == 2
    with pytest.raises(imapclient.IMAPRefused):
        client.must('FETCH 3 RFC822.SIZE')
