"""neomutt, and alpine beside it on the same mailbox."""
import pytest

import client_tools as programs
import spine_tools as tools

NEOMUTTRC = """\
set folder = "imap://{user}@127.0.0.1:{port}/"
set spoolfile = "+INBOX"
set imap_pass = "pw"
set ssl_starttls = no
set ssl_force_tls = no
set header_cache = ""
set imap_condstore = {condstore}
set imap_qresync = {condstore}
set mail_check = 1
set timeout = 1
set confirmappend = no
set delete = yes
set move = no
set wait_key = no
set quit = yes
set sort = mailbox-order
set record = ""
set sleep_time = 0
"""
PINERC = """\
personal-name=Anna
user-domain=example.com
smtp-server=127.0.0.1
inbox-path={{127.0.0.1:{port}/user={user}/notls/imap}}INBOX
folder-collections=Mail {{127.0.0.1:{port}/user={user}/notls/imap}}[]
last-version-used=7.00
feature-list=expunge-without-confirm,expunge-without-confirm-everywhere,quit-without-confirm,
    auto-move-read-msgs,enable-flag-cmd,enable-aggregate-command-set,no-enable-newmail-in-xterm-icon,
    no-quell-full-header-reset,enable-jump-shortcut
sort-key=arrival
mail-check-interval=15
"""


def neomutt(folder, port, user, condstore='yes'):
    env = programs.home(folder)
    (folder / 'neomuttrc').write_text(NEOMUTTRC.format(user=user, port=port, condstore=condstore))
    screen = programs.Terminal(['neomutt', '-n', '-F', str(folder / 'neomuttrc')], env)
    return screen


def alpine(folder, port, user):
    env = programs.home(folder)
    (folder / 'pinerc').write_text(PINERC.format(user=user, port=port))
    screen = programs.Terminal(['alpine', '-p', str(folder / 'pinerc'), '-i'], env)
    screen.wait_for('ENTER PASSWORD')
    screen.type(b'pw\r')
    screen.wait_for('Preserve password')
    screen.type(b'n')
    return screen


def search(client, key):
    client.must('NOOP')
    return client.must('UID SEARCH ' + key).search()


@programs.needs('neomutt')
@pytest.mark.parametrize('condstore', ['no', 'yes'])
def test_neomutt_opens_reads_deletes_and_quits(proxy, server, user, tmp_path, condstore):
    server.fill(user, 'INBOX', tools.mails(8))
    server.fill(user, 'Kept', [])
    with neomutt(tmp_path / 'mutt', proxy.port, user, condstore) as screen, proxy.client(user) as other:
        other.select(examine=True)
        screen.wait_for('number 8')
        screen.type(b'3\r\r')                       # go to the third and open it
        screen.wait_for('mail 3 says something')
        screen.type(b'i5\rd')                       # back to the list; delete the fifth
        screen.wait_for(r'5 N?D .*number 5')
        screen.type(b'6\rF')                        # flag the sixth
        screen.wait_for(r'6 N? ?! .*number 6')
        screen.type(b'7\rC')                        # copy the seventh
        screen.wait_for('Copy to mailbox')
        screen.type(b'\x15=Kept\r')
        tools.wait_until(lambda: other.must('STATUS Kept (MESSAGES)').status_items() == {'MESSAGES': 1})
        server.fill(user, 'INBOX', [tools.mail(9)])
        screen.wait_for('number 9')                 # new mail shows up by itself
        screen.type(b'$')
        tools.wait_until(lambda: search(other, 'ALL') == [1, 2, 3, 4, 6, 7, 8, 9])
        screen.type(b'q')
        assert screen.end() == 0, screen.shown()
    with server.client(user) as direct:
        direct.select(examine=True)
        assert search(direct, 'ALL') == [1, 2, 3, 4, 6, 7, 8, 9]
        assert search(direct, 'FLAGGED') == [6] and 3 in search(direct, 'SEEN')
        assert direct.must('STATUS Kept (MESSAGES)').status_items() == {'MESSAGES': 1}


@programs.needs('alpine')
def test_alpine_opens_reads_deletes_and_quits(proxy, server, user, tmp_path):
    server.fill(user, 'INBOX', tools.mails(6))
    with alpine(tmp_path / 'pine', proxy.port, user) as screen, server.client(user) as direct:
        direct.select(examine=True)
        screen.wait_for('number 6')
        screen.type(b'3\r\r')                       # jump to the third, open it
        screen.wait_for('mail 3 says something')
        tools.wait_until(lambda: 3 in search(direct, 'SEEN'))
        screen.type(b'd')                           # delete it; the next one is shown
        screen.wait_for('mail 4 says something')
        screen.type(b'i')
        screen.wait_for(r'D\s+3 .*number 3')
        screen.type(b'x')                           # expunge
        tools.wait_until(lambda: search(direct, 'ALL') == [1, 2, 4, 5, 6])
        screen.type(b'q')
        assert screen.end() == 0, screen.shown()


@programs.needs('alpine', 'neomutt')
def test_alpine_and_neomutt_in_one_mailbox(proxy, server, user, tmp_path):
    """What one deletes and what arrives, the other shows, while both have the mailbox open."""
    server.fill(user, 'INBOX', tools.mails(8))
    with alpine(tmp_path / 'pine', proxy.port, user) as pine, neomutt(tmp_path / 'mutt', proxy.port, user) as mutt, \
            server.client(user) as direct:
        direct.select(examine=True)
        pine.wait_for('number 8')
        mutt.wait_for('number 8')
        mutt.type(b'2\rd$')                         # neomutt expunges the second
        tools.wait_until(lambda: search(direct, 'ALL') == [1, 3, 4, 5, 6, 7, 8])
        pine.type(b'\x0c')                          # alpine looks for news
        pine.wait_for(r'2 .*number 3')
        pine.type(b'2\r\r')
        pine.wait_for('mail 3 says something')
        pine.type(b'd')
        pine.wait_for('mail 4 says something')
        pine.type(b'i')
        pine.wait_for('number 5')
        pine.type(b'x')
        tools.wait_until(lambda: search(direct, 'ALL') == [1, 4, 5, 6, 7, 8])
        mutt.wait_for(r'2 .*number 4')              # by itself
        server.fill(user, 'INBOX', [tools.mail(9)])
        mutt.wait_for('number 9')
        mutt.type(b'2\r\r')
        mutt.wait_for('mail 4 says something')
        mutt.type(b'iq')
        assert mutt.end() == 0, mutt.shown()
        pine.type(b'\x0c')
        pine.wait_for('number 9')
        pine.type(b'q')
        assert pine.end() == 0, pine.shown()
        assert search(direct, 'ALL') == [1, 4, 5, 6, 7, 8, 9] and 4 in search(direct, 'SEEN')
