"""CREATE ... (USE (...)) on a server that has it (Cyrus; RFC 6154): as directly, and what it made shows at once."""
import pytest

from imapjudge import servers


@pytest.fixture
def cyrus():
    with servers.KINDS['cyrus'](users=2) as server:
        yield server


def answer(client, command):
    """Status, code, and what was said untagged but for the words of servers."""
    result = client.cmd(command)
    lines = sorted(r.raw.strip() for r in result.untagged if r.name in ('LIST', 'STATUS'))
    return result.status, result.code if result.code != 'MAILBOXID' else None, lines


def test_t31_mailboxes_made_for_a_use(cyrus, make_proxy, connect):
    users = cyrus.new_user(), cyrus.new_user()
    client, direct = connect(make_proxy(cyrus.port).port, users[0]), connect(cyrus.port, users[1])
    assert {'SPECIAL-USE', 'CREATE-SPECIAL-USE'} <= client.capability() & direct.capability()
    for command in ('LIST "" "*"',                      # kept, and not told again after the CREATE
                    'CREATE Sent (USE (\\Sent))', 'LIST "" "*"',
                    'CREATE "Sent 2" (USE (\\Sent))',    # one of them is enough for Cyrus
                    'CREATE Two (use (\\Drafts \\trash))', 'CREATE None (USE ())', 'CREATE None (USE (\\Junk))',
                    'CREATE Bad (USE (\\Nosuch))', 'CREATE {3+}\r\nJ&k (USE (\\Junk))',
                    'LIST "" "*"', 'LIST "" "*" RETURN (SPECIAL-USE)', 'LIST (SPECIAL-USE) "" "*"',
                    'LIST (SPECIAL-USE) "" "*" RETURN (STATUS (MESSAGES))', 'RENAME Sent Gone',
                    'LIST "" "*" RETURN (SPECIAL-USE)', 'DELETE Gone', 'CREATE Sent (USE (\\Sent))',
                    'LIST (SPECIAL-USE) "" "*"', 'STATUS Sent (MESSAGES)'):
        got, want = answer(client, command), answer(direct, command)
        if 'OK' in (got[0], want[0]):
            assert got == want, command
        else:
            assert got[1] in (want[1], None) and got[2] == want[2], command     # NO or BAD


def test_what_is_no_use_is_bad(cyrus, make_proxy, connect):
    """Cyrus takes some of it for a plain CREATE."""
    user = cyrus.new_user()
    client = connect(make_proxy(cyrus.port).port, user)
    for wrong in ('(USE Sent)', '(USE (\\Sent)', '(USE)', '(FOR (\\Junk))', '(USE (\\Sent)) more', '()'):
        assert client.cmd('CREATE Bad ' + wrong).status == 'BAD', wrong
    assert not client.must('LIST "" Bad').named('LIST')


@pytest.mark.parametrize('made', ['directly', 'through the proxy'])
def test_another_program_of_the_account_sees_the_use(cyrus, make_proxy, connect, made):
    user = cyrus.new_user()
    proxy = make_proxy(cyrus.port)
    other = connect(proxy.port, user)
    assert not [r for r in other.must('LIST (SPECIAL-USE) "" "*"').named('LIST')]
    maker = connect(cyrus.port if made == 'directly' else proxy.port, user)
    maker.must('CREATE Archive (USE (\\Archive))')
    reader = connect(cyrus.port if made == 'through the proxy' else proxy.port, user)
    names = [(bytes(r.data[2]), {bytes(a) for a in r.data[0]})
             for r in reader.must('LIST "" "Arch*" RETURN (SPECIAL-USE)').named('LIST')]
    assert [n for n, _ in names] == [b'Archive'] and b'\\Archive' in names[0][1]
