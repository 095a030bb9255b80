"""Every command of the table that the upstream answers, with quota, access rights and metadata: the same sequence directly
and through the proxy (protocol 2.10)."""
import re

import pytest

import spine_tools as tools
from imapjudge import dovecot as judge_dovecot
from imapjudge import fakeserver, imapclient

Lit = imapclient.Lit
EXTRA = """
mail_plugins = $mail_plugins quota acl
mail_attribute_dict = file:%h/attributes
protocol imap {
  mail_plugins = $mail_plugins imap_quota imap_acl
  imap_metadata = yes
}
plugin {
  quota = count:User quota
  quota_vsizes = yes
  quota_rule = *:storage=40K
  acl = vfile
}
namespace inbox {
  mailbox Drafts {
    special_use = \\Drafts
    auto = create
  }
}
"""


@pytest.fixture(scope='module')
def full():
    """A Dovecot with everything on."""
    with judge_dovecot.Dovecot(users=20, extra=EXTRA) as server:
        yield server


@pytest.fixture
def twins(full, make_proxy, connect):
    """(through the proxy, directly): two users, the same conversation; what they answer is compared by same()."""
    users = full.new_user(), full.new_user()
    clients = connect(make_proxy(full.port).port, users[0]), connect(full.port, users[1])
    return Twins(clients, users)


class Twins:
    def __init__(self, clients, users):
        self.clients, self.users = clients, users

    def shape(self, result, user):
        """What is compared: status, code, and untagged lines without names, numbers and texts of one's own."""
        lines = []
        for response in result.untagged:
            text = re.sub(rb'\r\n', b'~', response.raw).replace(user.encode(), b'USER')
            if not re.match(rb'\* (\d+ (EXISTS|RECENT|EXPUNGE|FETCH)|OK|FLAGS|CAPABILITY)', text):
                lines.append(re.sub(rb'"([A-Za-z0-9/]+)"', rb'\1', text).strip(b'~ '))
        code = result.code
        args = (result.code_args or b'').split()[1:] if code in ('APPENDUID', 'COPYUID') else result.code_args
        return result.status, code if code not in ('CLIENTBUG',) else None, args if code else None, sorted(lines)

    def same(self, *parts):
        """The proxy's result; it was what the server says directly."""
        results = [client.cmd(*parts) for client in self.clients]
        shapes = [self.shape(r, u) for r, u in zip(results, self.users)]
        if 'OK' not in (shapes[0][0], shapes[1][0]):
            # refused by both: NO or BAD, with or without a remark
            assert shapes[0][3] == shapes[1][3], parts
        else:
            assert shapes[0] == shapes[1], parts
        return results[0]


def test_capabilities_of_such_a_server(twins):
    offered = twins.clients[0].capability()
    assert {'QUOTA', 'ACL', 'METADATA', 'SPECIAL-USE', 'MULTIAPPEND', 'BINARY'} <= offered
    assert [word for word in offered if word.startswith('RIGHTS=')]
    hidden = {'NOTIFY', 'CATENATE', 'URLAUTH', 'COMPRESS=DEFLATE', 'CONTEXT=SEARCH', 'LOGIN-REFERRALS',
              'IMAP4REV2', 'UTF8=ACCEPT', 'LOGINDISABLED'}
    assert not [word for word in offered if word in hidden or word.startswith(('AUTH=', 'XLIST', 'URL'))]
    assert len(' '.join(offered)) < 600


def test_quota(twins):
    assert twins.same('GETQUOTAROOT INBOX').named('QUOTAROOT')
    assert twins.same('GETQUOTA "User quota"').named('QUOTA')
    twins.same('GETQUOTAROOT nosuch')
    twins.same('GETQUOTA nosuch')
    twins.same('SETQUOTA "User quota" (STORAGE 512)')
    twins.same('SETQUOTA "User quota" (storage 512 message 10)')
    twins.same('SETQUOTA "User quota" ()')
    twins.same('GETQUOTA')
    twins.same('APPEND INBOX ', Lit(tools.mail(1, 20_000), False))
    twins.same('GETQUOTAROOT INBOX')
    for sync in (True, False):
        for octets in (30_000, 120_000):
            result = twins.same('APPEND INBOX ', Lit(tools.mail(2, octets), sync))
            assert (result.status, result.code) == ('NO', 'OVERQUOTA')
    twins.same('SELECT INBOX')
    twins.same('CREATE Box')
    assert twins.same('COPY 1 Box').code == 'COPYUID'
    assert twins.same('UID COPY 1 Box').code == 'OVERQUOTA'
    assert twins.same('UID MOVE 1 Box').ok
    twins.same('GETQUOTAROOT Box')
    twins.same('STATUS Box (MESSAGES)')


def test_access_rights(twins):
    twins.same('CREATE Shared')
    twins.same('MYRIGHTS Shared')
    twins.same('GETACL Shared')
    twins.same('SETACL Shared anyone lr')
    twins.same('SETACL Shared "some body" +lrs')
    twins.same('SETACL "Shared" other-user lrswipkxtecda')
    twins.same('GETACL Shared')
    twins.same('LISTRIGHTS Shared anyone')
    twins.same('SETACL Shared anyone -r')
    twins.same('SETACL Shared {6+}\r\nanyone {1+}\r\nl')
    twins.same('DELETEACL Shared anyone')
    twins.same('GETACL Shared')
    for wrong in ('SETACL Shared anyone LR!', 'GETACL', 'SETACL Shared anyone', 'MYRIGHTS nosuch', 'GETACL nosuch',
                  'LISTRIGHTS Shared', 'DELETEACL nosuch anyone', 'SETACL Shared $nosuch l'):
        twins.same(wrong)
    assert twins.same('LIST "" "*"').ok


def test_rights_taken_away_are_obeyed(twins):
    """T8: what may not be written or read any more is refused as the upstream refuses it."""
    twins.same('CREATE Shared')
    twins.same('APPEND Shared ', Lit(tools.mail(1), False))
    twins.same('SETACL Shared owner lra')
    twins.same('SELECT Shared')
    for client in twins.clients:    # here NO, there OK and ignored (protocol T12): nothing is changed
        client.cmd('UID STORE 1 +FLAGS (\\Flagged)')
        assert client.must('UID SEARCH FLAGGED').search() == []
    twins.same('FETCH 1 (UID BODY.PEEK[])')
    twins.same('UNSELECT')
    twins.same('APPEND Shared ', Lit(tools.mail(2), False))
    twins.same('DELETE Shared')
    twins.same('CREATE Shared/below')
    twins.same('RENAME Shared Other')
    twins.same('STATUS Shared (MESSAGES)')
    twins.same('SETACL Shared owner lrswipkxtea')


def test_metadata(twins):
    twins.same('CREATE Box')
    twins.same('SETMETADATA Box (/private/comment "mine")')
    twins.same('SETMETADATA Box (/private/vendor/x {10+}\r\nline\r\ntwo. /private/comment {3}'.replace('{3}', '{3+}')
               + '\r\nnew)')
    assert b'new' in twins.same('GETMETADATA Box /private/comment').untagged[0].raw
    twins.same('GETMETADATA Box (/private/comment /private/vendor/x)')
    twins.same('GETMETADATA (DEPTH infinity) Box /private')
    twins.same('GETMETADATA (DEPTH 1 MAXSIZE 4) Box (/private)')
    twins.same('GETMETADATA (MAXSIZE 4) Box (/private/vendor/x /private/comment)')
    twins.same('SETMETADATA Box (/private/comment NIL)')
    twins.same('GETMETADATA Box /private/comment')
    twins.same('SETMETADATA "" (/private/comment "server")')
    twins.same('GETMETADATA "" /private/comment')
    twins.same('SETMETADATA Box (/private/bin ~{3+}\r\na\x00b)')
    for wrong in ('GETMETADATA Box', 'SETMETADATA Box', 'SETMETADATA Box (/private/comment)',
                  'SETMETADATA nosuch (/private/comment "x")', 'GETMETADATA nosuch /private/comment',
                  'GETMETADATA (DEPTH 7) Box /private', 'SETMETADATA Box (comment "x")', 'GETMETADATA Box comment'):
        twins.same(wrong)


def test_mailboxes(twins):
    twins.same('CREATE Box')
    assert twins.same('CREATE Box').code == 'ALREADYEXISTS'
    twins.same('CREATE "Box/below/deep"')
    twins.same('CREATE "With slash/"')
    twins.same('CREATE Sent (USE (\\Sent))')
    twins.same('CREATE INBOX')
    twins.same('DELETE INBOX')
    twins.same('APPEND INBOX (\\Seen) ', Lit(tools.mail(1), False))
    twins.same('SUBSCRIBE Box')
    twins.same('SUBSCRIBE nosuch')
    twins.same('UNSUBSCRIBE nosuch')
    twins.same('LSUB "" "*"')
    twins.same('RENAME Box Renamed')
    twins.same('RENAME Renamed INBOX')
    twins.same('RENAME nosuch Box')
    twins.same('LIST "" "*"')
    twins.same('LIST "" "*" RETURN (SUBSCRIBED CHILDREN SPECIAL-USE)')
    twins.same('LIST (SPECIAL-USE) "" "*"')
    twins.same('LIST (SUBSCRIBED RECURSIVEMATCH) "" "%"')
    twins.same('LIST "" (INBOX Ren*) RETURN (STATUS (MESSAGES UNSEEN))')
    twins.same('DELETE Renamed')
    twins.same('RENAME INBOX Old')
    twins.same('STATUS INBOX (MESSAGES)')
    twins.same('STATUS Old (MESSAGES UNSEEN)')
    twins.same('LIST "" "*" RETURN (STATUS (MESSAGES))')
    twins.same('SELECT Old')
    twins.same('UID FETCH 1:* (FLAGS RFC822.SIZE)')
    twins.same('SELECT INBOX')
    twins.same('DELETE Old')
    twins.same('STATUS Old (MESSAGES)')
    twins.same('NAMESPACE')


def test_commands_outside_the_table_are_bad(twins):
    client = twins.clients[0]
    client.select()
    for command in ('XLIST "" "*"', 'NOTIFY NONE', 'GENURLAUTH x INTERNAL', 'URLFETCH imap://x/', 'RESETKEY', 'XYZZY',
                    'UID NOOP', 'UID LIST', 'COMPARATOR', 'LANGUAGE', 'CONVERT', 'CANCELUPDATE "1"', 'REPLACE 1 x {1+}\r\nx',
                    'UNAUTHENTICATE', 'GETJMAPACCESS', 'ESEARCH IN (inboxes) ALL', 'UIDBATCHES 10', 'XAPPLEPUSHSERVICE',
                    'SEARCH RETURN (UPDATE) ALL', 'SEARCH RETURN (PARTIAL 1:2 ALL) ALL',
                    'RLIST "" "*"', 'RLSUB "" "*"', 'SETANNOTATION x', 'UID REPLACE 1 x {1+}\r\nx', 'SCAN "" "*" x'):
        assert client.cmd(command).status == 'BAD', command
        client.must('NOOP')             # many bad ones in a row end the session
    assert client.cmd('COMPRESS DEFLATE').status in ('NO', 'BAD')
    # any ENABLE is answered OK (NeoMutt asks for UTF8=ACCEPT unseen)
    for words in ('UTF8=ACCEPT', 'CONDSTORE NOSUCH', 'X-NONE', 'IMAP4rev2 QRESYNC'):
        result = client.must('ENABLE ' + words)
        assert len(result.named('ENABLED')) == 1
        told = result.named('ENABLED')[0].raw.split()[2:]
        assert set(told) <= {b'CONDSTORE', b'QRESYNC'} and set(told) <= set(words.encode().split())
    client.must('NOOP')


def test_what_the_upstream_lacks_is_bad_here_too(make_proxy, connect):
    with fakeserver.FakeServer(capabilities='IMAP4rev1 IDLE') as server:
        server.mailbox('INBOX')
        client = connect(make_proxy(server.port).port, 'u0')
        offered = client.capability()
        assert not offered & {'UIDPLUS', 'MOVE', 'CONDSTORE', 'QRESYNC', 'SORT', 'QUOTA', 'ACL', 'METADATA', 'MULTIAPPEND',
                              'BINARY', 'WITHIN', 'LIST-EXTENDED', 'SPECIAL-USE', 'STATUS=SIZE', 'OBJECTID', 'PREVIEW'}
        assert {'IMAP4REV1', 'SASL-IR', 'LITERAL+', 'ID', 'ENABLE', 'IDLE', 'UNSELECT', 'CHILDREN', 'NAMESPACE', 'ESEARCH',
                'SEARCHRES', 'PARTIAL', 'LIST-STATUS'} <= offered
        client.select()
        before = len(server.commands)
        for command in ('GETQUOTAROOT INBOX', 'GETQUOTA ""', 'SETQUOTA "" (STORAGE 1)', 'GETACL INBOX', 'MYRIGHTS INBOX',
                        'SETACL INBOX x l', 'DELETEACL INBOX x', 'LISTRIGHTS INBOX x', 'GETMETADATA INBOX /private/comment',
                        'SETMETADATA INBOX (/private/comment "x")', 'MOVE 1 INBOX', 'UID EXPUNGE 1', 'SORT (DATE) UTF-8 ALL',
                        'THREAD REFERENCES UTF-8 ALL', 'UID SORT (DATE) UTF-8 ALL'):
            assert client.cmd(command).status == 'BAD', command
            client.must('CAPABILITY')
        assert not [c for c in server.commands[before:] if c.verb not in ('NOOP', 'IDLE', 'DONE')]
        client.must('NAMESPACE')
        client.must('UNSELECT')
        client.idle()
        client.done()
