"""BODY[n] and its kin derived from a cached BODY[] under the double rule (design 5.5): real, generated and mutated mail,
every section asked directly and through the proxy, byte for byte the same; and how many were derived."""
import os
import re
import shutil

import pytest
from imapjudge import imapclient, mailgen, mimegen, proxy as judge_proxy, servers, tap as judge_tap
from spine_tools import LONG

PARTS = ('1', '2', '3', '4', '1.1', '1.2', '2.1', '2.2', '3.1', '1.1.1', '1.2.1', '2.1.1', '1.1.1.1', '1.2.2.1')
SECTIONS = PARTS + tuple(part + '.MIME' for part in PARTS[:10]) + (
    '1.HEADER', '2.HEADER', '2.1.HEADER', '1.1.HEADER', '1.TEXT', '2.TEXT', '2.1.TEXT', '1.HEADER.FIELDS (Subject To)',
    '2.HEADER.FIELDS (Subject To)', '2.HEADER.FIELDS.NOT (From)', '1.2.HEADER.FIELDS (MIME-Version)')
PARTIALS = ('1<0.7>', '2<5.1000>', '1.1<1000000.5>', '2.TEXT<3.4>')
ITEMS = '(UID %s)' % ' '.join('BODY.PEEK[%s]%s' % re.match(r'([^<]*)(.*)', s).groups() for s in SECTIONS + PARTIALS)


@pytest.fixture(scope='module', params=sorted(servers.KINDS))
def each_server(request):
    if not os.environ.get('IMAPCACHED_BIN'):
        pytest.skip('IMAPCACHED_BIN is not set')
    try:
        with servers.KINDS[request.param](users=20) as running:
            yield running
    except Exception as error:      # pylint: disable=broad-except
        if 'conf/servers' in str(error):
            pytest.skip(str(error))
        raise


def fill(server, user, mails):
    """Those the server takes; how many."""
    taken = 0
    with server.client(user, timeout=60) as client:
        for mail in mails:
            try:
                taken += client.append('INBOX', mail.octets, date=mail.date).ok
            except imapclient.IMAPRefused:
                pass        # Cyrus takes no malformed header
    return taken


def asked_sections(commands):
    """(UID, section) of every whole section that went upstream."""
    out = set()
    for command in commands:
        found = re.match(rb'\S+ UID FETCH (\S+) \((.*)\)', command.line)
        if not found:
            continue
        uids = []
        for piece in found[1].split(b','):
            first, _, last = piece.partition(b':')
            uids += range(int(first), int(last or first) + 1)
        out.update((uid, section) for uid in uids for section in re.findall(rb'BODY\.PEEK\[[^]]*\](?!<)', found[2]))
    return out


def compare(server, folder, mails):
    """(messages, answers compared, those of whole sections that hold an octet, those of them derived)"""
    user = server.new_user()
    taken = fill(server, user, mails)
    with judge_tap.Tap(server.port) as tap:
        proxy = judge_proxy.Proxy(os.environ['IMAPCACHED_BIN'], tap.port, folder)
        proxy.start()
        try:
            with server.client(user, timeout=60) as direct, \
                    imapclient.IMAPClient('127.0.0.1', proxy.port, timeout=60).login(user) as proxied:
                for client in (direct, proxied):
                    client.select('INBOX', examine=True)
                proxied.must('UID FETCH 1:* (BODYSTRUCTURE BODY.PEEK[])')
                mark = tap.mark()
                wrong, full = [], 0
                for uid in range(1, taken + 1):
                    want = direct.cmd('UID FETCH %d %s' % (uid, ITEMS))
                    got = proxied.cmd('UID FETCH %d %s' % (uid, ITEMS))
                    if want.status != got.status:
                        wrong.append('UID %d: %r, directly %r' % (uid, got, want))
                        continue
                    left, right = want.fetch_by_uid().get(uid, {}), got.fetch_by_uid().get(uid, {})
                    full += sum(1 for name, value in left.items() if value and name != 'UID' and '<' not in name)
                    for name in [n for n in left.keys() | right.keys() if left.get(n) != right.get(n)][:4]:
                        wrong.append('UID %d %s: %r, directly %r' % (uid, name, right.get(name), left.get(name)))
                assert not wrong, '%d: %s' % (len(wrong), '\n'.join(line[:400] for line in wrong[:12]))
                asked = asked_sections(tap.since(mark).commands)
        finally:
            status, problem = proxy.end()
            shutil.rmtree(folder, ignore_errors=True)
        assert status == 0 and not problem, (status, problem, proxy.log())
    return taken, taken * len(SECTIONS + PARTIALS), full, taken * len(SECTIONS) - len(asked)


def told(server, what, result):
    print('%s, %s: %d messages, %d answers equal, %d whole and not empty, %d derived' % ((server.facts.name, what) + result))
    return result


def test_sections_of_real_and_generated_mail(each_server, tmp_path):
    mails = mailgen.real_mails() + mailgen.Generator(5, flags=False, big=100_000).mails(120)
    _, _, full, derived = told(each_server, 'real and generated', compare(each_server, tmp_path / 'cache', mails))
    assert derived > full / 10


def test_sections_of_random_trees(each_server, tmp_path):
    generator = mimegen.MimeGenerator(7)
    _, _, full, derived = told(each_server, 'trees', compare(each_server, tmp_path / 'cache', generator.mails(400 if LONG else 120)))
    assert derived > full / 15


def test_sections_of_mutated_mail(each_server, tmp_path):
    generator = mimegen.MimeGenerator(11)
    mails = generator.mails(60) + mailgen.Generator(6, flags=False, big=20_000).mails(40)
    mails += [m for m in mailgen.real_mails() if len(m.octets) < 30_000]
    spoilt = [mailgen.Mail(generator.mutated(mail.octets), (), '', mail.name) for mail in mails * (4 if LONG else 1)]
    told(each_server, 'mutated', compare(each_server, tmp_path / 'cache', [m for m in spoilt if m.octets.strip()]))
