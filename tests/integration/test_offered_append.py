"""APPEND: several messages in one command (RFC 3502), binary ones (RFC 3516), many in a pipeline (protocol T33)."""
import time

import pytest

import spine_tools as tools
from imapjudge import fakeserver, imapclient

Lit = imapclient.Lit
SIZES = (1, 700, 4096, 4097, 70_000, 300_000)


def octets_of(number, size):
    head = b'Subject: number %d\r\n\r\n' % number
    return head + b'x' * max(0, size - len(head) - 2) + b'\r\n'


def bodies(server, user, mailbox):
    """[(octets, flags)] in order of UID."""
    with server.client(user) as direct:
        direct.select(mailbox, examine=True)
        if not direct.must('UID SEARCH ALL').search():
            return []
        got = direct.must('UID FETCH 1:* (FLAGS BODY.PEEK[])', timeout=60).fetch_by_uid()
        return [(got[u]['BODY[]'], sorted(bytes(f) for f in got[u]['FLAGS'] if bytes(f) != b'\\Recent'))
                for u in sorted(got)]


def several(sizes, syncs, mailbox='Box'):
    parts = ['APPEND %s' % mailbox]
    for number, (size, sync) in enumerate(zip(sizes, syncs)):
        parts += [' (\\Flagged $n%d) "07-Sep-2020 10:00:0%d +0000" ' % (number, number), Lit(octets_of(number, size), sync)]
    return parts


@pytest.mark.parametrize('syncs', [(True,) * 6, (False,) * 6, (True, False) * 3, (False, True) * 3])
@pytest.mark.parametrize('order', ['up', 'down', 'small'])
def test_multiappend_of_any_sizes(proxy, server, user, connect, syncs, order):
    server.fill(user, 'Box', [])
    client = connect(proxy.port, user, timeout=30)
    assert 'MULTIAPPEND' in client.capability()
    client.select('Box')
    sizes = {'up': SIZES, 'down': SIZES[::-1], 'small': SIZES[:3]}[order]
    result = client.cmd(*several(sizes, syncs))
    assert result.ok and result.code == 'APPENDUID', result
    assert result.code_args.split()[1] == b'1:%d' % len(sizes)
    assert result.exists == len(sizes)          # read your writes (T17)
    want = [(octets_of(n, size), sorted([b'$n%d' % n, b'\\Flagged'])) for n, size in enumerate(sizes)]
    assert bodies(server, user, 'Box') == want
    dates = {u: bytes(i['INTERNALDATE']) for u, i in client.must('UID FETCH 1:* INTERNALDATE').fetch_by_uid().items()}
    assert {n: bytes(date).lstrip(b' 0') for n, date in dates.items()} == {
        n + 1: b'7-Sep-2020 10:00:0%d +0000' % n for n in range(len(sizes))}
    client.must('NOOP')


@pytest.mark.parametrize('sizes', [(10, 20), (10, 100_000), (100_000, 10), (100_000, 100_000)])
@pytest.mark.parametrize('sync', [True, False])
def test_multiappend_to_a_mailbox_that_is_not_there(proxy, server, user, connect, sizes, sync):
    client = connect(proxy.port, user)
    result = client.cmd(*several(sizes, (sync,) * 2, 'nosuch'))
    assert (result.status, result.code) == ('NO', 'TRYCREATE'), result
    client.must('NOOP')
    client.must('CREATE nosuch')
    assert client.cmd(*several(sizes, (sync,) * 2, 'nosuch')).ok
    assert len(bodies(server, user, 'nosuch')) == 2


@pytest.mark.parametrize('sizes', [(10, 10), (10, 100_000), (100_000, 100_000)])
@pytest.mark.parametrize('rest', [b' (\\Recent) {3+}\r\nabc\r\n', b' garbage\r\n', b' (\\Seen)\r\n', b' {x}\r\n', b' \r\n'])
def test_multiappend_that_ends_wrong_appends_nothing(proxy, server, user, connect, sizes, rest):
    """All or nothing (RFC 3502 2): what is not well-formed to its end is not appended."""
    server.fill(user, 'Box', [])
    client = connect(proxy.port, user)
    tag = client.new_tag()
    client.send_raw(tag.encode() + b' APPEND Box' + b''.join(
        b' {%d+}\r\n%s' % (len(octets_of(n, size)), octets_of(n, size)) for n, size in enumerate(sizes)) + rest)
    result = client.wait(tag)
    if rest == b' \r\n':                        # trailing spaces are taken (T36)
        assert result.ok
    else:
        assert result.status == 'BAD', result
        assert bodies(server, user, 'Box') == []
    client.must('NOOP')


def test_multiappend_is_not_offered_nor_taken_where_the_upstream_lacks_it(make_proxy, connect):
    with fakeserver.FakeServer() as server:
        box = server.mailbox('Box')
        client = connect(make_proxy(server.port).port, 'u0')
        assert 'MULTIAPPEND' not in client.capability()
        for sizes in ((10, 10), (100_000, 10), (10, 100_000)):
            for sync in (False, True):
                tag = client.start('APPEND Box ', Lit(octets_of(1, sizes[0]), sync))     # the second by hand
                assert client.wait(tag).ok
                tag = client.new_tag()
                client.send_raw(b'%s APPEND Box {%d+}\r\n%s {%d+}\r\n%s\r\n' % (
                    tag.encode(), sizes[0], b'x' * sizes[0], sizes[1], b'y' * sizes[1]))
                assert client.wait(tag).status == 'BAD'
        client.must('NOOP')
        assert len(box.messages) == 6
        assert not server.errors


def test_link_dies_amid_a_multiappend(server, user, link, make_proxy, connect):
    server.fill(user, 'Box', [])
    client = connect(make_proxy(link.port).port, user, timeout=30)
    client.select('Box')
    link.shape(bandwidth=2_000_000)
    tag = client.new_tag()
    first, big = octets_of(1, 100_000), octets_of(2, 3_000_000)
    client.send_raw(b'%s APPEND Box {%d+}\r\n%s {%d+}\r\n' % (tag.encode(), len(first), first, len(big)))
    before = link.octets_up
    client.send_raw(big[:1_000_000])
    tools.wait_until(lambda: link.octets_up > before + 500_000, what='the upload')
    link.kill_all()
    client.send_raw(big[1_000_000:] + b'\r\n')
    result = client.wait(tag, 30)
    assert (result.status, result.code) == ('NO', 'UNAVAILABLE'), result
    link.shape(bandwidth=0)
    client.must('NOOP')
    assert bodies(server, user, 'Box') == []


# ---- binary

@pytest.mark.parametrize('size', [20, 100_000])
def test_literal8_where_the_upstream_has_binary(proxy, server, user, connect, size):
    server.fill(user, 'Box', [])
    client = connect(proxy.port, user)
    assert 'BINARY' in client.capability()
    mail = (b'Subject: b\r\nMIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\n'
            b'Content-Transfer-Encoding: binary\r\n\r\n' + b'\x00\x01\xff' * size)
    tag = client.new_tag()
    client.send_raw(b'%s APPEND Box ~{%d+}\r\n%s\r\n' % (tag.encode(), len(mail), mail))
    got = client.wait(tag)
    with server.client(user) as direct:
        tag = direct.new_tag()
        direct.send_raw(b'%s APPEND Box ~{%d+}\r\n%s\r\n' % (tag.encode(), len(mail), mail))
        assert got.status == direct.wait(tag).status == 'OK'
    one, other = bodies(server, user, 'Box')
    assert one == other


def test_literal8_where_the_upstream_lacks_binary(make_proxy, connect):
    with fakeserver.FakeServer() as server:
        box = server.mailbox('Box')
        client = connect(make_proxy(server.port).port, 'u0')
        for size in (3, 100_000):
            for plus in (b'+', b''):
                tag = client.new_tag()
                client.send_raw(b'%s APPEND Box ~{%d%s}\r\n' % (tag.encode(), size, plus) + (b'x' * size + b'\r\n') * bool(plus))
                if not plus and size == 3:      # asked for with its command, refused afterwards
                    assert client.read_response().kind == 'continue'
                    client.send_raw(b'xxx\r\n')
                result = client.wait(tag)
                assert (result.status, result.code) == ('NO', 'UNKNOWN-CTE'), result
        client.must('NOOP')
        assert not box.messages


# ---- many in a pipeline

@pytest.mark.parametrize('into', ['Box', 'INBOX'])
def test_pipelined_appends_cost_a_flight_and_keep_their_order(server, user, link, make_proxy, connect, into):
    """150 of them over 100 ms: one after the other takes 15 s, and twice that when each waits for the model."""
    server.fill(user, 'INBOX', tools.mails(3))
    server.fill(user, 'Box', [])
    client = connect(make_proxy(link.port).port, user, timeout=30)
    client.select()
    client.must('UID FETCH 1:* BODY.PEEK[]')    # a bulk link is up
    link.shape(delay=0.05)
    mails = [tools.mail(n, 300 + 37 * (n % 90)) for n in range(100, 250)]
    began = time.monotonic()
    tags = [client.start('APPEND %s (\\Seen) ' % into, Lit(mail, False)) for mail in mails]
    results = [client.wait(tag) for tag in tags]
    assert time.monotonic() - began < 4, time.monotonic() - began
    first = 4 if into == 'INBOX' else 1
    assert [r.code_args.split()[1] for r in results] == [b'%d' % n for n in range(first, first + 150)]
    assert [b[0] for b in bodies(server, user, into)][-150:] == mails
    if into == 'INBOX':
        client.must('NOOP')
        assert client.must('UID SEARCH ALL').search() == list(range(1, 154))


def test_pipelined_appends_stores_and_fetches(proxy, server, user, connect):
    """As mbsync mixes them."""
    server.fill(user, 'INBOX', tools.mails(40))
    server.fill(user, 'Box', [])
    client = connect(proxy.port, user, timeout=30)
    client.select()
    tags = []
    for n in range(1, 41):
        tags.append(client.start('UID FETCH %d (UID FLAGS BODY.PEEK[])' % n))
        tags.append(client.start('APPEND Box () ', Lit(tools.mail(n), False)))
        tags.append(client.start('UID STORE %d +FLAGS.SILENT (\\Seen)' % n))
    results = [client.wait(tag) for tag in tags]
    assert all(r.ok for r in results)
    for n in range(40):
        items = results[3 * n].fetch_by_uid()[n + 1]
        assert items['BODY[]'] == tools.mail(n + 1) and b'\\Seen' not in items['FLAGS']
    assert [b[0] for b in bodies(server, user, 'Box')] == tools.mails(40)
    assert client.must('UID SEARCH UNSEEN').search() == []


def test_pipelined_appends_that_are_refused(proxy, server, user, connect):
    server.fill(user, 'Box', [])
    client = connect(proxy.port, user, timeout=30)
    names = ['Box' if n % 3 else 'nosuch' for n in range(30)]
    tags = [client.start('APPEND %s ' % name, Lit(tools.mail(n, 20_000), False)) for n, name in enumerate(names)]
    results = [client.wait(tag) for tag in tags]
    assert [(r.status, r.code) for r in results] == [
        ('OK', 'APPENDUID') if name == 'Box' else ('NO', 'TRYCREATE') for name in names]
    assert [b[0] for b in bodies(server, user, 'Box')] == [tools.mail(n, 20_000) for n, name in enumerate(names)
                                                           if name == 'Box']


def test_pipelined_appends_whose_link_dies_are_never_given_again(make_proxy, connect):
    with fakeserver.FakeServer() as server:
        box = server.mailbox('Box')
        client = connect(make_proxy(server.port).port, 'u0')
        client.must('NOOP')
        seen = []

        def handler(conn, command):
            seen.append(command)
            said = conn.default(command)
            if len(seen) == 4:
                conn.cut()
            return said
        server.on('APPEND', handler)
        tags = [client.start('APPEND Box ', Lit(tools.mail(n), False)) for n in range(8)]
        said = tools.until_bye(client, 20)
        assert [r.tag for r in said if r.kind == 'tagged'] == tags[:3] and said[-1].name == 'BYE', said
        assert len(seen) == 4 and len(box.messages) == 4


@pytest.mark.parametrize('size', [7000, 9000, 15_000, 20_000, 60_000])
def test_a_message_larger_than_a_command_may_be(make_proxy, connect, dovecot, user, size):
    """limits.command does not count messages, also not those that are kept with their command."""
    proxy = make_proxy(dovecot.port, kind=tools.Configured, sections='limits { command = 16K  line = 8K }')
    client = connect(proxy.port, user)
    assert client.cmd('APPEND INBOX ', Lit(octets_of(1, size), False)).ok
    assert client.cmd(*several((size, size, 100), (False, False, True), 'INBOX')).ok
    assert [len(octets) for octets, _ in bodies(dovecot, user, 'INBOX')] == [size, size, size, 100]


def test_append_limit_is_the_smaller_of_both(make_proxy, connect, server, user):
    proxy = make_proxy(server.port, kind=tools.Configured, sections='limits { append = 5K }')
    client = connect(proxy.port, user)
    assert 'APPENDLIMIT=5120' in client.capability()
    for sync in (True, False):
        assert client.cmd('APPEND INBOX ', Lit(octets_of(1, 5120), sync)).ok
        result = client.cmd('APPEND INBOX ', Lit(octets_of(1, 6000), sync))
        assert (result.status, result.code) == ('NO', 'TOOBIG'), result
    result = client.cmd(*several((100, 6000), (False, False), 'INBOX'))
    assert result.status == 'NO', result
    assert len(bodies(server, user, 'INBOX')) == 2
