"""imapflow (Node), beside Perl's Mail::IMAPTalk on the same mailbox: what one changes the other is told.

imapflow is installed by tests/run (see imapflow/package.json) into build/clients."""
import json
import pathlib
import queue
import shutil
import subprocess
import threading

import pytest

import client_tools as programs
import spine_tools as tools

HERE = pathlib.Path(__file__).resolve().parent
MODULES = HERE.parents[1] / 'build' / 'clients' / 'node_modules'
pytestmark = [
    pytest.mark.skipif(shutil.which('node') is None, reason='node: not installed'),
    pytest.mark.skipif(not (MODULES / 'imapflow').is_dir(),
                       reason='imapflow: not installed (tests/run does it where npm is)')]


class Flow:
    """A running play.js."""

    def __init__(self, port, user, folder):
        env = programs.home(folder, NODE_PATH=str(MODULES))
        self.process = subprocess.Popen(['node', str(HERE / 'imapflow' / 'play.js'), str(port), user], env=env,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        preexec_fn=programs.procs.die_with_parent)
        self.lines = queue.Queue()
        self.events = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(json.loads(line))
        self.lines.put(None)

    def _next(self, seconds=20):
        try:
            got = self.lines.get(timeout=seconds)
        except queue.Empty:
            pytest.fail('node says nothing more; events not looked at: %r' % self.events)
        assert got is not None, 'node has ended'
        if 'event' in got:
            self.events.append(got)
        return got

    def do(self, verb, *arguments):
        self.process.stdin.write(json.dumps({'do': verb, 'with': arguments}) + '\n')
        self.process.stdin.flush()
        while True:
            got = self._next()
            if 'event' not in got:
                assert got.get('done') == verb, got
                return got.get('result')

    def event(self, wanted):
        """Wait until wanted(event) of one that was not looked at before; it is returned."""
        while True:
            for event in self.events:
                if wanted(event):
                    self.events.remove(event)
                    return event
            self._next()

    def end(self):
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def flow(proxy, user, tmp_path):
    client = Flow(proxy.port, user, tmp_path / 'node')
    yield client
    client.end()


def test_imapflow_full_tour(flow, server, user):
    server.fill(user, 'INBOX', [tools.mail(n, 12_000 if n == 4 else 0) for n in range(1, 11)])
    said = flow.do('connect')
    assert {'CONDSTORE', 'QRESYNC', 'UIDPLUS', 'MOVE', 'IDLE'} <= set(said['capabilities'])
    assert 'QRESYNC' in said['enabled'] and 'UTF8=ACCEPT' not in said['enabled']
    flow.do('create', 'Kept')
    assert {box['path']: box['status']['messages'] for box in flow.do('list')} == {'INBOX': 10, 'Kept': 0}
    assert flow.do('open', 'INBOX')['exists'] == 10
    got = flow.do('fetch', '1:*', {'uid': True, 'flags': True, 'envelope': True, 'bodyStructure': True, 'size': True,
                                   'internalDate': True, 'headers': ['subject'], 'source': True}, {'uid': True})
    assert [m['uid'] for m in got] == list(range(1, 11))
    for message in got:
        octets = tools.mail(message['uid'], 12_000 if message['uid'] == 4 else 0)
        assert message['source'].encode('latin1') == octets and message['size'] == len(octets)
        assert message['envelope']['subject'] == 'number %d' % message['uid']
        assert message['bodyStructure']['type'] == 'text/plain'
        assert message['headers'] == 'Subject: number %d\r\n\r\n' % message['uid']
    assert flow.do('download', '4', 'TEXT').encode('latin1') == tools.mail(4, 12_000).split(b'\r\n\r\n', 1)[1]
    assert flow.do('search', {'subject': 'number 7'}) == [7]
    assert flow.do('flag', '2,3', ['\\Flagged'])
    moved = flow.do('move', '5:6', 'Kept')
    assert moved['uidMap'] == {'5': 1, '6': 2}
    assert flow.do('remove', '8')
    added = flow.do('append', 'Kept', tools.mail(20).decode(), ['\\Seen'])
    assert added['uid'] == 3
    status = flow.do('status', 'Kept')
    assert (status['messages'], status['unseen'], status['uidNext']) == (3, 2, 4)
    assert flow.do('logout')
    with server.client(user) as direct:
        direct.select(examine=True)
        assert direct.must('UID SEARCH ALL').search() == [1, 2, 3, 4, 7, 9, 10]
        assert direct.must('UID SEARCH FLAGGED').search() == [2, 3]
        direct.select('Kept', examine=True)
        octets = {uid: items['BODY[]'] for uid, items in tools.whole(direct).items()}
        assert octets == {1: tools.mail(5), 2: tools.mail(6), 3: tools.mail(20)}


@programs.needs('perl')
def test_imapflow_hears_what_imaptalk_does_and_the_other_way_round(flow, server, proxy, user, tmp_path):
    server.fill(user, 'INBOX', tools.mails(6))
    flow.do('connect')
    assert flow.do('open', 'INBOX')['exists'] == 6
    flow.do('idle')
    done = programs.talk(proxy.port, user, tmp_path / 'perl', '''
        $talk->select('INBOX') or die $@;
        $talk->store('2', '+flags', '(\\\\Flagged)') or die $@;
        $talk->store('5', '+flags', '(\\\\Deleted)') or die $@;
        $talk->uidexpunge('5') or die $@;
        $talk->append('INBOX', '(\\\\Seen)', { Literal => $ARGV[2] }) or die $@ for (1, 2);
        say_json({ appended => [ $talk->get_response_code('appenduid') ] });
    ''', tools.mail(30).decode())
    assert done['appended'][0][1] == '8'
    told = flow.event(lambda e: e['event'] == 'flags' and e['uid'] == 2)
    assert set(told['flags']) - {'\\Recent'} == {'\\Flagged'}
    assert flow.event(lambda e: e['event'] == 'expunge' and e['vanished'])['uid'] == 5
    flow.event(lambda e: e['event'] == 'exists')
    # and the other way: what imapflow does, the next IMAPTalk sees
    flow.do('flag', '1', ['\\Answered'])
    flow.do('remove', '3')
    done = programs.talk(proxy.port, user, tmp_path / 'perl', '''
        $talk->select('INBOX') or die $@;
        my $flags = $talk->fetch('1:*', '(uid flags)') or die $@;
        say_json({ map { $_ => $flags->{$_}{flags} } keys %$flags });
    ''')
    assert sorted(map(int, done)) == [1, 2, 4, 6, 7, 8] and set(done['1']) >= {'\\Answered'} and done['7'] == ['\\Seen']
    assert [m['uid'] for m in flow.do('fetch', '1:*', {'uid': True})] == [1, 2, 4, 6, 7, 8]
