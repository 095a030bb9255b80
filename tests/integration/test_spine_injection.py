"""Octets of a client are never taken for a command by the upstream (T42): what goes up is written anew."""
import re

import pytest

import spine_tools as tools
from imapjudge import imapclient

HOSTILE = [
    b'x\r\nEVIL1 CREATE injected\r\n',
    b'x"\r\nEVIL1 CREATE injected\r\nEVIL2 NOOP "',
    b'x" NIL)\r\nEVIL1 DELETE INBOX\r\n',
    b'\\"\r\nEVIL1 CREATE injected\r\n',
    b'{20}\r\nEVIL1 CREATE injected\r\n',
    b'x {3+}\r\nabc\r\nEVIL1 CREATE injected\r\n',
    b'\rEVIL1 CREATE injected\r',
    b'\nEVIL1 CREATE injected\n',
    b'a\\', b'"', b'\\', b'()', b'*', b'%', b'&-', b'NIL', b'', b'  ', b'{5}', b'{5+}', b'~{5}', b'\xff\xfe', b'&AOk-',
    b'x' * 5_000 + b'\r\nEVIL1 CREATE injected\r\n',
]
# What the proxy itself has reason to say on these connections.
KNOWN = {'AUTHENTICATE', 'LOGIN', 'ID', 'ENABLE', 'CAPABILITY', 'SELECT', 'EXAMINE', 'IDLE', 'NOOP', 'UID FETCH',
         'UID SEARCH', 'UID STORE', 'UID COPY', 'UID MOVE', 'UID SORT', 'UID THREAD', 'UID EXPUNGE', 'UNSELECT', 'LOGOUT',
         'LIST', 'LSUB', 'STATUS', 'CREATE', 'DELETE', 'RENAME', 'SUBSCRIBE', 'UNSUBSCRIBE', 'APPEND', 'NAMESPACE',
         'CLOSE', 'CHECK'}
TEMPLATES = [
    ('SELECT ', 1), ('EXAMINE ', 1), ('CREATE ', 1), ('DELETE ', 1), ('RENAME ', 2), ('SUBSCRIBE ', 1),
    ('UNSUBSCRIBE ', 1), ('STATUS ', ' (MESSAGES)'), ('LIST "" ', 1), ('LIST ', ' *'), ('LSUB "" ', 1),
    ('COPY 1 ', 1), ('UID MOVE 1 ', 1), ('SEARCH SUBJECT ', 1), ('UID SEARCH OR BODY ', ' HEADER x ', 1),
    ('SEARCH HEADER ', ' x'), ('SEARCH CHARSET UTF-8 TEXT ', 1), ('UID SORT (SUBJECT) UTF-8 FROM ', 1),
    ('THREAD REFERENCES UTF-8 SUBJECT ', 1),
    ('FETCH 1 (BODY.PEEK[HEADER.FIELDS (', ')])'), ('UID FETCH 1 BODY.PEEK[HEADER.FIELDS.NOT (x ', ')]'),
]


def quoted(octets):
    return b'"' + octets.replace(b'\\', b'\\\\').replace(b'"', b'\\"') + b'"'


def command_of(template, octets, form):
    """The command with @octets as its argument (2: twice); form: 'literal', 'literal+', 'quoted', 'bare'."""
    argument = {'literal': imapclient.Lit(octets), 'literal+': imapclient.Lit(octets, sync=False),
                'quoted': quoted(octets), 'bare': octets}[form]
    out = [template[0], argument]
    for part in template[1:]:
        if part == 2:
            out += [' ', argument]
        elif part != 1:
            out.append(part)
            if template[-1] == 1:
                out.append(argument)
    return out


@pytest.mark.parametrize('form', ['literal', 'literal+', 'quoted', 'bare'])
def test_t42_hostile_arguments_stay_arguments(server, user, tap, make_proxy, connect, form):
    server.fill(user, 'INBOX', tools.mails(2))
    proxy = make_proxy(tap.port)
    client = connect(proxy.port, user, timeout=20)
    client.select()
    for template in TEMPLATES:
        for octets in HOSTILE:
            if form in ('quoted', 'bare') and (b'\n' in octets or b'\r' in octets):
                # sent as it stands this is several lines: answered, if at all, as commands of the client
                octets = octets.replace(b'\r\n', b'\r').replace(b'\n', b'\r')
            if form == 'bare' and octets[:1] in (b'{', b'~', b'"'):
                continue        # would be a literal or an open string of the client's own
            parts = command_of(template, octets, form)
            if form == 'bare' and octets.endswith((b'{5}', b'{5+}')):
                continue
            result = client.cmd(*parts)
            assert result.status in ('OK', 'NO', 'BAD'), result
            if template[0] in ('SELECT ', 'EXAMINE ') or not client.cmd('CHECK').ok:
                client.select()
            for response in result.untagged + [result.tagged]:
                assert b'EVIL1' not in response.raw.split(b' ')[0]
    client.must('NOOP')
    for command in tap.commands:
        assert command.verb in KNOWN, 'the upstream heard %r' % command
        assert not command.tag.startswith(b'EVIL'), command
        # octets that are no UTF-8, header names that are none, and search keys that we do not know, are for the upstream
        # to refuse
        theirs = re.search(rb'UTF-8|HEADER|SEARCH .*\(x', command.line)
        assert command.status != 'BAD' or theirs, command
    with server.client(user) as direct:
        names = {bytes(r.data[-1]) for r in direct.must('LIST "" *').named('LIST')}
        assert b'injected' not in names and b'INBOX' in names
        direct.select(examine=True)
        assert direct.must('SEARCH ALL').search()


def test_t34_hostile_flags_dates_and_numbers_are_refused_here(proxy, server, user, tap, connect):
    server.fill(user, 'INBOX', tools.mails(2))
    client = connect(proxy.port, user)
    client.select()
    client.fetch('1:*', 'FLAGS')    # the mailbox is known
    mark = tap.mark()
    for command in (b'STORE 1 +FLAGS (a"b)', b'STORE 1 +FLAGS (\\Recent)', b'STORE 1 +FLAGS ({3+}\r\nabc)', b'STORE 1 FLAGS',
                    b'STORE 1 +FLAGS (\\*)', b'STORE 0 +FLAGS (x)', b'STORE 1:4294967296 +FLAGS (x)',
                    b'UID FETCH 1 (BODY.PEEK[1)', b'FETCH 1 (BODY[]<5.0>)', b'FETCH 1 (X-ANYTHING \r)',
                    b'SEARCH SINCE "1-Jan-2020\r"', b'SEARCH UID 1:x', b'UID SEARCH LARGER 99999999999999999999',
                    b'COPY 1,,2 INBOX', b'COPY 1', b'MOVE * ', b'UID EXPUNGE a', b'ID ("a" "b\r")',
                    b'FETCH 1 BODY.PEEK[HEADER.FIELDS (a\r)]', b'XYZZY INBOX', b'PROXY', b'SETQUOTA "" (STORAGE x)',
                    b'AUTHENTICATE PLAIN AAAA', b'LOGIN a b', b'CREATE "a\rb"', b'CREATE a\0b', b'SELECT "a\0b"'):
        assert client.cmd(command).status in ('BAD', 'NO'), command
        client.must('CAPABILITY')       # too many bad commands in a row would end the session
    for command in tap.since(mark).commands:
        assert command.verb in ('NOOP', 'IDLE'), command


def test_t42_upstream_text_cannot_speak_to_the_client(fake, make_proxy, connect):
    """Nor the other way round: what the upstream says in a NO stays one line and one code."""
    box = fake.mailbox('INBOX')
    box.add(tools.mail(1))
    client = connect(make_proxy(fake.port).port, 'anna')
    client.select()
    fake.on('CREATE', lambda conn, command: conn.send(
        command.tag + b' NO [REFERRAL imap://evil.example/] go\0 there\x1b[2J\r\n'))
    result = client.cmd('CREATE x')
    assert result.status == 'NO' and result.code != 'REFERRAL' and b'evil.example' not in result.tagged.raw
    assert b'\0' not in result.tagged.raw and b'\x1b' not in result.tagged.raw
    fake.on('LIST', lambda conn, command: conn.send(
        b'* LIST () "/" "a\rb"\r\n* LIST () "/" good\r\n* OK [ALERT] hear me\r\n* 99 EXISTS\r\n* CAPABILITY X-EVIL\r\n'
        + command.tag + b' OK [CAPABILITY IMAP4rev1 X-EVIL] done\r\n'))
    listed = client.cmd('LIST "" *')
    assert b'X-EVIL' not in b''.join(r.raw for r in listed.untagged + [listed.tagged])
    assert not listed.named('EXISTS')
    assert client.fetch('1', 'BODY.PEEK[]')[1]['BODY[]'] == tools.mail(1)
    assert 'X-EVIL' not in client.capability()
