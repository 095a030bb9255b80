"""fetchmail and imapfilter at work on one mailbox."""
import json

import pytest

import client_tools as programs
import spine_tools as tools

FETCHMAILRC = """\
poll 127.0.0.1 protocol IMAP port {port} user "{user}" password "pw" sslproto "" {options}
mda "cat > {folder}/got/$$"
"""
FILTER = """\
options.timeout = 20
options.starttls = false
options.create = true
options.wakeonany = true
account = IMAP {{ server = '127.0.0.1', port = {port}, username = '{user}', password = 'pw' }}
{script}
"""


def rc(folder, port, user, options):
    (folder / 'got').mkdir(parents=True, exist_ok=True)
    path = folder / 'fetchmailrc'
    path.write_text(FETCHMAILRC.format(port=port, user=user, folder=folder, options=options))
    path.chmod(0o600)
    return ['fetchmail', '-f', path, '--nosyslog', '--pidfile', folder / 'pid', '-i', folder / 'ids']


def fetch(folder, port, user, options='fetchall'):
    """One poll; status 1 says that there was no mail."""
    return programs.run(rc(folder, port, user, options), folder, status=(0, 1))


def got(folder):
    """What the delivery agent was given, without the header field that fetchmail adds."""
    out = []
    for path in (folder / 'got').iterdir():
        head, octets = path.read_bytes().split(b'\n', 1)
        assert head.startswith(b'Received: ') or b'Return-Path' in head, head
        while octets.startswith(b'\t'):
            octets = octets.split(b'\n', 1)[1]
        out.append(octets)
    return sorted(out)


def lf(octets):
    return octets.replace(b'\r\n', b'\n')


def imapfilter(folder, port, user, script):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'config.lua').write_text(FILTER.format(port=port, user=user, script=script))
    return programs.start(['imapfilter', '-d', folder / 'debug', '-c', folder / 'config.lua'], folder)


@programs.needs('fetchmail')
def test_fetchmail_takes_everything_once(proxy, server, user, tmp_path):
    mails = [tools.mail(n, 60_000 if n == 3 else 0) for n in range(1, 9)]
    server.fill(user, 'INBOX', mails)
    fetch(tmp_path / 'keep', proxy.port, user, 'keep fetchall')
    assert got(tmp_path / 'keep') == sorted(map(lf, mails))
    with server.client(user) as direct:
        direct.select(examine=True)
        assert direct.must('UID SEARCH SEEN').search() == list(range(1, 9))
    fetch(tmp_path / 'take', proxy.port, user)
    assert got(tmp_path / 'take') == sorted(map(lf, mails))
    with server.client(user) as direct:
        assert direct.must('STATUS INBOX (MESSAGES)').status_items() == {'MESSAGES': 0}
    fetch(tmp_path / 'take', proxy.port, user)      # nothing is taken twice
    assert len(got(tmp_path / 'take')) == 8


@programs.needs('imapfilter')
def test_imapfilter_sorts_a_mailbox(proxy, server, user, tmp_path):
    server.fill(user, 'INBOX', tools.mails(30))
    script = """
        hits = account.INBOX:contain_subject('number 7') + account.INBOX:match_subject('number 2[0-3]')
        hits:mark_flagged()
        account.INBOX:contain_subject('number 9'):move_messages(account['Made/Below'])
        account.INBOX:contain_body('mail 12 says'):copy_messages(account['Made/Below'])
        account.INBOX:contain_subject('number 5'):delete_messages()
        local seen = {}
        for _, m in ipairs(account.INBOX:is_flagged()) do
            local box, uid = table.unpack(m)
            seen[#seen + 1] = string.format('"%d": "%s"', uid, box[uid]:fetch_field('Subject'))
        end
        print('{' .. table.concat(seen, ', ') .. '}')
    """
    text = programs.end(imapfilter(tmp_path / 'lua', proxy.port, user, script))
    flagged = json.loads([line for line in text.splitlines() if line.startswith('{')][-1])
    assert flagged == {str(n): 'Subject: number %d' % n for n in (7, 20, 21, 22, 23)}
    with server.client(user) as direct:
        direct.select(examine=True)
        assert direct.must('UID SEARCH FLAGGED').search() == [7, 20, 21, 22, 23]
        assert set(range(1, 31)) - set(direct.must('UID SEARCH ALL').search()) == {5, 9}
        direct.select('Made/Below', examine=True)
        assert sorted(i['BODY[]'] for i in tools.whole(direct).values()) == sorted(map(tools.mail, (9, 12)))


def await_moved(client, number, seconds=30):
    """Until so many are in Unwanted. imapfilter does not look again when it is told of new mail in the answer to its
    own search instead of in IDLE (as servers may): something else has to wake it then."""
    for turn in range(seconds):
        try:
            tools.wait_until(lambda: client.must('STATUS Unwanted (MESSAGES)').status_items()['MESSAGES'] == number, 1.0)
            return
        except AssertionError:
            client.must('STORE 1 %sFLAGS.SILENT (\\Draft)' % '+-'[turn % 2])
    pytest.fail('what was unwanted is not moved away')


@programs.needs('imapfilter', 'fetchmail')
def test_fetchmail_takes_what_imapfilter_leaves(proxy, server, user, tmp_path):
    """imapfilter idles and clears away what is unwanted as it arrives; fetchmail takes and expunges the rest."""
    wanted = [tools.mail(n) for n in range(1, 7)]
    server.fill(user, 'Unwanted', [])
    watcher = imapfilter(tmp_path / 'lua', proxy.port, user, """
        account.INBOX:check_status()
        print('watching')
        local moved = 0
        while moved < 3 do
            local junk = account.INBOX:contain_subject('unwanted')
            if #junk > 0 then
                junk:move_messages(account.Unwanted)
                moved = moved + #junk
            else
                account.INBOX:enter_idle()
            end
        end
    """)
    try:
        with proxy.client(user) as other:
            other.select()
            for number in range(1, 4):
                server.fill(user, 'INBOX', [wanted[number - 1],
                                             tools.mail(90 + number).replace(b'Subject: ', b'Subject: unwanted ')])
                await_moved(other, number)
        programs.end(watcher)
    finally:
        watcher.kill()
    server.fill(user, 'INBOX', wanted[3:])
    fetch(tmp_path / 'take', proxy.port, user)
    assert got(tmp_path / 'take') == sorted(map(lf, wanted))
    with server.client(user) as direct:
        assert direct.must('STATUS INBOX (MESSAGES)').status_items() == {'MESSAGES': 0}
        direct.select('Unwanted', examine=True)
        assert [b'unwanted' in i['BODY[]'] for i in tools.whole(direct).values()] == [True] * 3
