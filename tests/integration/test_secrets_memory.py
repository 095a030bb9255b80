"""After logout and linger no secret is left in the process's memory, in its log or in its folder."""
import base64
import os
import re
import ssl
import time

import pytest

import secrets_tools
import spine_tools as tools
from imapjudge import certs, imapclient


COMMON = 'quite-a-secret'      # in all of them, so that there are few octets to look for


def needles():
    """As it is, and in base64 however it stands to the groups of three octets."""
    coded = [base64.b64encode(b'x' * cut + COMMON.encode())[4:-4] for cut in range(3)]
    return [COMMON.encode()] + coded


def in_memory(pid):
    """Where it stands in memory the process can write: (mapping, address, octets around it)."""
    found = []
    with open('/proc/%d/maps' % pid) as maps, open('/proc/%d/mem' % pid, 'rb', 0) as memory:
        for line in maps:
            begin, end, mode, path = re.match(r'(\w+)-(\w+) (\S+) \S+ \S+ \S+\s*(.*)', line).groups()
            begin, end = int(begin, 16), int(end, 16)
            if mode[:2] != 'rw' or path.endswith('.mdb') or end - begin > 1 << 30:    # the last: shadow memory
                continue
            try:
                memory.seek(begin)
                data = memory.read(end - begin)
            except OSError:
                continue        # guard pages
            for needle in needles():
                at = data.find(needle)
                if at >= 0:
                    found.append((path, hex(begin + at), data[max(0, at - 40):at + 40]))
    return found


@pytest.fixture
def tls(tmp_path):
    folder = tmp_path / 'tls'
    certs.make_ca(folder)
    certs.make_cert(folder)
    return folder


def log_in_every_way(port, server, markers, context=None):
    """One login for each marker, by another form each; the last one is refused."""
    def client():
        return imapclient.IMAPClient('127.0.0.1', port, tls=context)
    clients = [client() for _ in range(7)]
    clients[0].must('LOGIN anna "%s"' % markers[0])
    clients[1].must('LOGIN anna ', imapclient.Lit(markers[1].encode()))
    clients[2].must(b'AUTHENTICATE PLAIN ' + secrets_tools.plain('anna', markers[2]))
    tag = clients[3].start('AUTHENTICATE PLAIN')
    clients[3].read_response()
    for octet in secrets_tools.plain('anna', markers[3]) + b'\r\n':     # the buffer grows again and again
        clients[3].send_raw(bytes([octet]))
    assert clients[3].wait(tag).ok
    clients[4].must(b'AUTHENTICATE XOAUTH2 ' + secrets_tools.xoauth2('anna', markers[4]))
    clients[5].must(b'AUTHENTICATE OAUTHBEARER ' + secrets_tools.oauthbearer('anna', markers[5]))
    assert clients[6].cmd('LOGIN anna "%s"' % markers[6]).status == 'NO'
    assert clients[6].cmd('LOGINN anna "%s" (' % markers[7]).status == 'BAD'
    assert clients[6].cmd('LOGIN anna "%s" x (' % markers[8]).status == 'BAD'
    clients[6].send_raw('a LOGIN anna {1000+}\r\n' + markers[9])      # it never comes to its end
    for one in clients[:6]:
        one.select()
        one.fetch('1', 'BODY.PEEK[]')
        one.logout()
    for one in clients:
        one.close()


@pytest.mark.parametrize('way', ['plain', 'tls'])
def test_secrets_are_gone_after_logout_and_linger(make_proxy, tls, way):
    if os.geteuid() != 0 and 'yama' in open('/sys/kernel/security/lsm', errors='replace').read():
        pytest.skip('may not read the memory of another process')
    # so long that what comes through the same buffers later does not happen to overwrite it
    markers = ['%d' % n + 'x' * 3000 + COMMON for n in range(10)]
    options = {'kind': tools.Configured, 'cache': 'size = 16M', 'upstream': 'account_linger = 1s bulk_linger = 1s'}
    pair = (tls / 'server.pem', tls / 'server.key')
    context = None
    if way == 'tls':
        options['listener'] = 'tls = implicit cert = "%s" key = "%s"' % pair
        options['upstream'] += ' ca_file = "%s"' % (tls / 'ca.pem')
        options['scheme'] = 'imaps'
        context = ssl.create_default_context(cafile=str(tls / 'ca.pem'))
    with secrets_tools.SecretServer(tls=pair if way == 'tls' else None) as server:
        server.mailbox('INBOX').add(tools.mail(1))
        for marker in markers[:6]:
            server.allow('anna', marker)
        proxy = make_proxy(server.port, **options)
        keeper = imapclient.IMAPClient('127.0.0.1', proxy.port, tls=context)
        keeper.must('LOGIN anna "%s"' % markers[0])
        assert in_memory(proxy.process.pid)     # what is there is found
        log_in_every_way(proxy.port, server, markers, context)
        keeper.logout()
        keeper.close()
        tools.wait_until(lambda: 'closed, unused' in proxy.log_text(), 20, 'the end of the linger time')
        time.sleep(0.5)
        assert not in_memory(proxy.process.pid)
        assert proxy.stop() == 0
        for path in [p for p in proxy.folder.rglob('*') if p.is_file()]:
            data = path.read_bytes()
            assert not [needle for needle in needles() if needle in data], path
