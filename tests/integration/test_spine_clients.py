"""Real mail programs: Python's imaplib, mbsync, neomutt."""
import fcntl
import imaplib
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import termios
import time

import pytest

import spine_tools as tools
from imapjudge import mailgen, procs


# ---- imaplib

def fetched(data):
    """What imaplib gives of a FETCH: {message number: octets}."""
    return {int(part[0].split()[0]): part[1] for part in data if isinstance(part, tuple)}


def test_imaplib_full_tour(proxy, dovecot, user):
    dovecot.fill(user, 'INBOX', tools.mails(12))
    with imaplib.IMAP4('127.0.0.1', proxy.port, timeout=20) as mail:
        with pytest.raises(imaplib.IMAP4.error):
            mail.login(user, 'wrong')
        assert mail.login(user, 'pw')[0] == 'OK'
        assert {b'IDLE', b'UIDPLUS', b'MOVE', b'CONDSTORE'} <= set(mail.capability()[1][0].split())
        assert mail.noop()[0] == 'OK' and mail.namespace()[0] == 'OK'
        assert mail.create('"New box"')[0] == 'OK' and mail.subscribe('"New box"')[0] == 'OK'
        assert {line.rsplit(b' "/" ', 1)[1].strip(b'"') for line in mail.list()[1]} == {b'INBOX', b'New box'}
        assert mail.lsub()[1][0].endswith(b'"New box"')
        assert mail.status('INBOX', '(MESSAGES UNSEEN)')[1] == [b'INBOX (MESSAGES 12 UNSEEN 12)']
        assert mail.select('INBOX')[1] == [b'12']
        assert mail.search(None, 'SUBJECT', '"number 7"')[1] == [b'7']
        assert mail.search('UTF-8', 'TEXT', '"mail 3 says"')[1] == [b'3']
        assert fetched(mail.fetch('1:12', '(BODY.PEEK[])')[1]) == {n: tools.mail(n) for n in range(1, 13)}
        assert fetched(mail.fetch('5', '(RFC822)')[1]) == {5: tools.mail(5)}
        assert mail.store('5', 'FLAGS', '(\\Seen)')[0] == 'OK'
        assert mail.uid('STORE', '2', '+FLAGS', '(\\Flagged)')[0] == 'OK'
        assert mail.copy('1:3', '"New box"')[0] == 'OK'
        assert mail.uid('MOVE', '12', '"New box"')[0] == 'OK'
        assert mail.store('4', '+FLAGS', '(\\Deleted)')[0] == 'OK'
        assert mail.expunge()[1][-1] == b'4'
        when = imaplib.Time2Internaldate(1_600_000_000)
        assert mail.append('"New box"', '(\\Draft)', when, tools.mail(20, 100_000))[0] == 'OK'
        assert mail.sort('(REVERSE SUBJECT)', 'UTF-8', 'ALL')[0] == 'OK'
        assert mail.thread('REFERENCES', 'UTF-8', 'ALL')[0] == 'OK'
        assert mail.check()[0] == 'OK'
        assert mail.close()[0] == 'OK'
        assert mail.select('"New box"')[1] == [b'5']
        assert fetched(mail.fetch('5', '(BODY[])')[1]) == {5: tools.mail(20, 100_000)}
        assert mail.unselect()[0] == 'OK'
        assert mail.rename('"New box"', 'Kept')[0] == 'OK'
        assert mail.select('Nowhere')[0] == 'NO'
        assert mail.create('Gone')[0] == mail.delete('Gone')[0] == 'OK'
        assert mail.unsubscribe('"New box"')[0] == 'OK'
    with dovecot.client(user) as direct, proxy.client(user) as client:
        for mailbox in ('INBOX', 'Kept'):
            tools.same_mailbox(direct, client, mailbox)


# ---- mbsync

MBSYNCRC = """\
IMAPStore far
Host 127.0.0.1
Port {port}
User {user}
Pass pw
SSLType None
AuthMechs LOGIN

MaildirStore near
Path {folder}/mail/
Inbox {folder}/mail/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
SyncState *
"""


def mbsync(folder, port, user):
    folder.mkdir(exist_ok=True)
    (folder / 'mail').mkdir(exist_ok=True)
    (folder / 'mbsyncrc').write_text(MBSYNCRC.format(port=port, user=user, folder=folder))
    done = subprocess.run(['mbsync', '-c', str(folder / 'mbsyncrc'), '-a'], stdin=subprocess.DEVNULL, timeout=100,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                          env=dict(os.environ, HOME=str(folder)))
    assert done.returncode == 0, done.stdout
    assert not re.search(r'(?i)error|warning', done.stdout.replace('*** IMAP Warning *** Password', '')), done.stdout
    return done.stdout


def maildir(folder):
    """{mailbox: sorted (flags, octets without mbsync's own header)} of a synchronised folder."""
    out = {}
    for box in sorted((folder / 'mail').iterdir()):
        mails = []
        for path in [p for part in ('cur', 'new') for p in (box / part).iterdir()]:
            flags = path.name.partition(':2,')[2]
            octets = re.sub(rb'(?m)^X-TUID: .*\n', b'', path.read_bytes())
            mails.append((''.join(sorted(flags)), octets))
        out[box.name] = sorted(mails)
    return out


def on_server(direct):
    """{mailbox: sorted (flags, octets with LF)} as a direct client sees it."""
    out = {}
    letters = {b'\\Seen': 'S', b'\\Answered': 'R', b'\\Flagged': 'F', b'\\Deleted': 'T', b'\\Draft': 'D',
               b'$Forwarded': 'P'}
    for row in direct.must('LIST "" *').named('LIST'):
        name = bytes(row.data[-1]).decode()
        direct.select(name, examine=True)
        mails = []
        for items in tools.whole(direct).values():
            flags = ''.join(sorted(letters[bytes(f)] for f in items['FLAGS'] if bytes(f) in letters))
            mails.append((flags, re.sub(rb'(?m)^X-TUID: .*\n', b'', (items['BODY[]'] or b'').replace(b'\r\n', b'\n'))))
        out[name] = sorted(mails)
    return out


@pytest.mark.skipif(shutil.which('mbsync') is None, reason='isync is not installed')
def test_mbsync_there_and_back(proxy, dovecot, user, tap, tmp_path):
    generator = mailgen.Generator(5, big=50_000)
    # mbsync takes no mail without a blank line behind its header
    mails = [mail for mail in generator.mails(230) if mail.name != 'no_blank_line'][:200]
    dovecot.fill(user, 'INBOX', mails[:150])
    dovecot.fill(user, 'Work', mails[150:])
    through, beside = tmp_path / 'through', tmp_path / 'beside'
    mbsync(through, proxy.port, user)
    mbsync(beside, dovecot.port, user)
    assert maildir(through) == maildir(beside)
    assert sum(map(len, maildir(through).values())) == 200
    # nothing left to do, and nothing asked for again
    mark = tap.mark()
    before = maildir(through)
    mbsync(through, proxy.port, user)
    assert maildir(through) == before and tap.since(mark).content_fetches == []
    # changes on both sides
    box = through / 'mail' / 'INBOX'
    files = sorted((box / 'cur').iterdir())
    files[0].rename(files[0].with_name(files[0].name.partition(':2,')[0] + ':2,FRS'))
    files[1].unlink()
    for number in range(5):
        (box / 'new' / ('17000000%d.local.host' % number)).write_bytes(tools.mail(500 + number).replace(b'\r\n', b'\n'))
    with dovecot.client(user) as direct:
        direct.select()
        # those mbsync has not been told to change itself
        uids = sorted(direct.must('UID SEARCH UNDELETED').search())[-4:]
        direct.must('UID STORE %d +FLAGS.SILENT (\\Answered \\Flagged)' % uids[0])
        direct.must('UID STORE %d,%d +FLAGS.SILENT (\\Deleted)' % (uids[1], uids[2]))
        direct.must('EXPUNGE')
        direct.append('Work', tools.mail(600))
    time.sleep(1.5)     # Dovecot tells its other sessions once a second
    mbsync(through, proxy.port, user)
    mbsync(through, proxy.port, user)
    mbsync(beside, dovecot.port, user)
    with dovecot.client(user) as direct:
        truth = on_server(direct)
    assert sum(map(len, truth.values())) == 200 - 1 + 5 - 2 + 1
    for picture in (maildir(through), maildir(beside)):
        assert picture.keys() == truth.keys()
        for name, mails in picture.items():
            assert [m for m in mails if m not in truth[name]] == [m for m in truth[name] if m not in mails] == []
            assert len(mails) == len(truth[name])


# ---- neomutt

class Terminal:
    """A program on a pseudo terminal; what it draws is kept."""

    def __init__(self, command, env):
        self.seen = b''
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack('HHHH', 40, 120, 0, 0))
        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=env,
                                        preexec_fn=procs.die_with_parent, start_new_session=True)
        os.close(slave)

    def read(self, seconds):
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if not select.select([self.master], [], [], left)[0]:
                return
            try:
                data = os.read(self.master, 65536)
            except OSError:
                return
            if not data:
                return
            self.seen += data

    def wait_for(self, text, seconds=20):
        deadline = time.monotonic() + seconds
        while text not in self.seen:
            assert time.monotonic() < deadline and self.process.poll() is None, \
                '%r was not shown; the screen got: %r' % (text, self.seen[-3000:])
            self.read(0.1)

    def type(self, keys):
        self.seen = b''
        os.write(self.master, keys)

    def end(self, seconds=15):
        deadline = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < deadline:
            self.read(0.1)
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(5)
        os.close(self.master)
        return status


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


@pytest.mark.skipif(shutil.which('neomutt') is None, reason='neomutt is not installed')
@pytest.mark.parametrize('condstore', ['no', 'yes'])
def test_neomutt_opens_reads_deletes_and_quits(proxy, dovecot, user, tmp_path, condstore):
    dovecot.fill(user, 'INBOX', tools.mails(8))
    dovecot.fill(user, 'Kept', [])
    rc = pathlib.Path(tmp_path / 'neomuttrc')
    rc.write_text(NEOMUTTRC.format(user=user, port=proxy.port, condstore=condstore))
    env = dict(os.environ, HOME=str(tmp_path), TERM='xterm', LANG='C')
    screen = Terminal(['neomutt', '-n', '-F', str(rc)], env)
    try:
        screen.wait_for(b'number 8')
        screen.type(b'3\r\r')                       # go to the third and open it
        screen.wait_for(b'mail 3 says something')
        screen.type(b'i')
        screen.read(0.5)
        screen.type(b'5\rd')                        # delete the fifth
        screen.read(0.5)
        screen.type(b'6\rF')                        # flag the sixth
        screen.read(0.5)
        screen.type(b'7\rC')                        # copy the seventh
        screen.read(0.5)
        screen.type(b'\x15=Kept\r')
        screen.read(1)
        dovecot.fill(user, 'INBOX', [tools.mail(9)])
        screen.wait_for(b'number 9')                # new mail shows up by itself
        screen.type(b'$')
        screen.read(1)
        screen.type(b'q')
        assert screen.end() == 0, screen.seen[-2000:]
    finally:
        if screen.process.poll() is None:
            screen.process.kill()
    with dovecot.client(user) as direct:
        direct.select(examine=True)
        assert direct.must('UID SEARCH ALL').search() == [1, 2, 3, 4, 6, 7, 8, 9]
        assert direct.must('UID SEARCH FLAGGED').search() == [6]
        assert 3 in direct.must('UID SEARCH SEEN').search()
        assert direct.must('STATUS Kept (MESSAGES)').status_items() == {'MESSAGES': 1}
