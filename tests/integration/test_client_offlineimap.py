"""offlineimap3, beside mbsync on the same account."""
import client_tools as programs
import spine_tools as tools
from imapjudge import mailgen
from test_client_mbsync import Mbsync

RC = """\
[general]
accounts = a
metadata = {folder}/meta
ui = basic
[Account a]
localrepository = near
remoterepository = far
[Repository near]
type = Maildir
localfolders = {folder}/mail
[Repository far]
type = IMAP
remotehost = 127.0.0.1
remoteport = {port}
ssl = no
starttls = no
remoteuser = {user}
remotepass = pw
auth_mechanisms = LOGIN
maxconnections = 2
"""


class Offlineimap:
    def __init__(self, folder, port, user):
        self.folder = folder
        (folder / 'mail').mkdir(parents=True)
        (folder / 'rc').write_text(RC.format(folder=folder, port=port, user=user))

    def start(self):
        return programs.start(['offlineimap', '-o', '-c', self.folder / 'rc'], self.folder)

    @staticmethod
    def end(process):
        text = programs.end(process)
        assert 'ERROR' not in text and 'Traceback' not in text, text
        return text

    def sync(self):
        return self.end(self.start())

    def mails(self):
        return programs.maildir(self.folder)


def local(pictures):
    """offlineimap leaves a header of its own in what it has uploaded."""
    return {box: sorted((flags, programs.without(b'X-OfflineIMAP', octets)) for flags, octets in mails)
            for box, mails in pictures.items()}


@programs.needs('offlineimap')
def test_offlineimap_there_and_back(proxy, server, user, tap, tmp_path):
    server.fill(user, 'INBOX', mailgen.Generator(6, big=50_000).mails(60))
    server.fill(user, 'Work', tools.mails(5))
    program, beside = (Offlineimap(tmp_path / name, port, user) for name, port in (
        ('through', proxy.port), ('beside', server.port)))
    program.sync()
    beside.sync()
    truth = beside.mails()      # it writes some of the odd mails its own way
    assert program.mails() == truth and sum(map(len, truth.values())) == 65
    mark = tap.mark()
    program.sync()
    assert program.mails() == truth and tap.since(mark).content_fetches == []
    box = program.folder / 'mail' / 'Work'
    first, second = sorted(box.glob('*/*U=[12],*'), key=lambda p: p.name.partition('U=')[2])
    first.rename(box / 'cur' / (first.name.partition(':2,')[0] + ':2,FS'))
    second.unlink()
    (box / 'new' / '1700000000.local.host').write_bytes(tools.mail(300).replace(b'\r\n', b'\n'))
    program.sync()
    with server.client(user) as direct:
        direct.select('Work', examine=True)
        assert direct.must('UID SEARCH ALL').search() == [1, 3, 4, 5, 6]
        assert direct.must('UID SEARCH SEEN FLAGGED').search() == [1]
        assert local(programs.on_server(direct))['Work'] == local(program.mails())['Work']


@programs.needs('offlineimap', 'mbsync')
def test_offlineimap_and_mbsync_at_the_same_time(proxy, server, user, tmp_path):
    """Each uploads, flags and deletes of its own in the same mailbox; in the end both have what the server has."""
    server.fill(user, 'INBOX', tools.mails(40, 2000))
    one = Offlineimap(tmp_path / 'off', proxy.port, user)
    other = Mbsync(tmp_path / 'mb', proxy.port, user)

    def both():
        running = one.start(), other.start()
        one.end(running[0])
        other.end(running[1])
    both()
    assert len(one.mails()['INBOX']) == len(other.mails()['INBOX']) == 40
    for program, first in ((one, 0), (other, 10)):
        box = program.folder / 'mail' / 'INBOX'
        files = sorted([p for p in box.glob('[cn]*/*')], key=lambda p: int(programs.number_of(p)))
        for path in files[first:first + 5]:
            path.rename(box / 'cur' / (path.name.partition(':2,')[0] + ':2,F'))
        for path in files[first + 5:first + 8]:
            path.unlink()
        for number in range(6):
            (box / 'new' / ('17000%02d.%d.host' % (number, first))).write_bytes(
                tools.mail(500 + first + number).replace(b'\r\n', b'\n'))
    both()
    one.sync()      # what the other one did last
    other.sync()
    one.sync()
    with server.client(user) as direct:
        direct.select(examine=True)
        assert direct.must('UID SEARCH FLAGGED').search() == [1, 2, 3, 4, 5, 11, 12, 13, 14, 15]
        gone = set(range(1, 41)) - set(direct.must('UID SEARCH ALL').search())
        assert gone == {6, 7, 8, 16, 17, 18}
        truth = local(programs.on_server(direct))
    assert len(truth['INBOX']) == 40 - 6 + 12
    assert local(one.mails()) == truth
    assert local(other.mails()) == truth
