"""mbsync: everything of a mailbox, both ways, all commands of a phase in one flight."""
import re

import client_tools as programs
import spine_tools as tools
from imapjudge import mailgen

RC = """\
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


class Mbsync:
    def __init__(self, folder, port, user):
        self.folder = folder
        (folder / 'mail').mkdir(parents=True)
        (folder / 'mbsyncrc').write_text(RC.format(port=port, user=user, folder=folder))

    def start(self):
        return programs.start(['mbsync', '-c', self.folder / 'mbsyncrc', '-a'], self.folder)

    @staticmethod
    def end(process, timeout=100):
        text = programs.end(process, timeout=timeout)
        assert not re.search(r'(?i)error|warning', text.replace('*** IMAP Warning *** Password', '')), text
        return text

    def sync(self):
        return self.end(self.start())

    def mails(self):
        return programs.maildir(self.folder)

    def put(self, box, mails):
        """Into the local folder."""
        for name in ('cur', 'new', 'tmp'):
            (self.folder / 'mail' / box / name).mkdir(parents=True, exist_ok=True)
        for number, octets in enumerate(mails):
            (self.folder / 'mail' / box / 'new' / ('17000000%05d.local.host' % number)).write_bytes(
                octets.replace(b'\r\n', b'\n'))


def same(picture, truth):
    assert picture.keys() == truth.keys()
    for name, mails in picture.items():
        assert len(mails) == len(truth[name])
        assert [m for m in mails if m not in truth[name]] == [m for m in truth[name] if m not in mails] == []


@programs.needs('mbsync')
def test_mbsync_there_and_back(proxy, server, user, tap, tmp_path):
    generator = mailgen.Generator(5, big=50_000)
    # mbsync takes no mail without a blank line behind its header
    mails = [mail for mail in generator.mails(230) if mail.name != 'no_blank_line'][:200]
    server.fill(user, 'INBOX', mails[:150])
    server.fill(user, 'Work', mails[150:])
    through, beside = Mbsync(tmp_path / 'through', proxy.port, user), Mbsync(tmp_path / 'beside', server.port, user)
    through.sync()
    beside.sync()
    assert through.mails() == beside.mails()
    assert sum(map(len, through.mails().values())) == 200
    # nothing left to do, and nothing asked for again
    mark = tap.mark()
    before = through.mails()
    through.sync()
    assert through.mails() == before and tap.since(mark).content_fetches == []
    # changes on both sides
    box = through.folder / 'mail' / 'INBOX'
    files = sorted((box / 'cur').iterdir())
    files[0].rename(files[0].with_name(files[0].name.partition(':2,')[0] + ':2,FRS'))
    files[1].unlink()
    through.put('INBOX', tools.mails(5))
    with server.client(user) as direct, proxy.client(user) as proxied:
        direct.select()
        # those mbsync has not been told to change itself
        uids = sorted(direct.must('UID SEARCH UNDELETED').search())[-4:]
        direct.must('UID STORE %d +FLAGS.SILENT (\\Answered \\Flagged)' % uids[0])
        direct.must('UID STORE %d,%d +FLAGS.SILENT (\\Deleted)' % (uids[1], uids[2]))
        direct.must('EXPUNGE')
        direct.append('Work', tools.mail(600))
        left = direct.must('UID SEARCH ALL').search()
        # Dovecot tells its other sessions once a second
        proxied.select()
        tools.wait_until(lambda: (proxied.must('NOOP'), proxied.must('UID SEARCH ALL').search() == left)[1])
    through.sync()
    through.sync()
    beside.sync()
    with server.client(user) as direct:
        truth = programs.on_server(direct)
    assert sum(map(len, truth.values())) == 200 - 1 + 5 - 2 + 1
    same(through.mails(), truth)
    same(beside.mails(), truth)


@programs.needs('mbsync')
def test_mbsync_of_5000_both_ways(proxy, server, user, tap, tmp_path):
    """2,500 on either side, in two turns of the other's; then nothing is left to do."""
    server.fill(user, 'INBOX', tools.mails(2500))
    program = Mbsync(tmp_path / 'mb', proxy.port, user)
    program.put('INBOX', [tools.mail(n) for n in range(10_001, 12_501)])
    program.sync()
    with server.client(user) as direct:
        assert direct.select(examine=True).exists == 5000
        truth = {uid: programs.without(b'X-TUID', items['BODY[]'])
                 for uid, items in tools.whole(direct, items='(UID BODY.PEEK[])').items()}
    assert sorted(truth.values()) == sorted([tools.mail(n) for n in range(1, 2501)]
                                            + [tools.mail(n) for n in range(10_001, 12_501)])
    assert sorted(octets for _, octets in program.mails()['INBOX']) == sorted(
        octets.replace(b'\r\n', b'\n') for octets in truth.values())
    mark = tap.mark()
    program.sync()
    assert tap.since(mark).content_fetches == [] and len(program.mails()['INBOX']) == 5000
