"""What the tests of real mail programs share: running them, terminals, Maildirs, the server's truth."""
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import termios
import time

import pyte
import pytest

import spine_tools as tools
from imapjudge import procs


def needs(*programs):
    """Mark: skipped with a reason where one of them is not installed."""
    missing = [p for p in programs if shutil.which(p) is None]
    return pytest.mark.skipif(bool(missing), reason='%s: not installed' % ', '.join(missing))


def home(folder, **more):
    """An environment in which a program finds no settings but the test's."""
    folder.mkdir(parents=True, exist_ok=True)
    return dict(os.environ, HOME=str(folder), XDG_CONFIG_HOME=str(folder / '.config'), TERM='xterm', LANG='C', **more)


def start(command, folder, **options):
    return subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, env=home(folder), cwd=folder,
                            preexec_fn=procs.die_with_parent, **options)


def end(process, status=(0,), timeout=60):
    """What it wrote; its exit status has to be one of @status."""
    try:
        text = process.communicate(timeout=timeout)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        pytest.fail('%s does not end:\n%s' % (process.args[0], process.communicate()[0][-3000:]))
    assert process.returncode in status, 'status %d of %s:\n%s' % (process.returncode, process.args, text[-3000:])
    return text


def run(command, folder, status=(0,), timeout=60):
    return end(start(command, folder), status, timeout)


def without(field, octets):
    """A mail without a header field that a program has put in."""
    return re.sub(rb'(?m)^%s: .*\n' % field, b'', octets)


def number_of(path):
    """Of tools.mail(): which one this file is."""
    return re.search(rb'Subject: number (\d+)', path.read_bytes()).group(1)


def maildir(folder):
    """{mailbox: sorted (flags, octets without mbsync's own header)} of a synchronised folder."""
    out = {}
    for box in sorted((folder / 'mail').iterdir()):
        mails = []
        for path in [p for part in ('cur', 'new') for p in (box / part).iterdir()]:
            flags = path.name.partition(':2,')[2]
            octets = without(b'X-TUID', path.read_bytes())
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
            mails.append((flags, without(b'X-TUID', (items['BODY[]'] or b'').replace(b'\r\n', b'\n'))))
        out[name] = sorted(mails)
    return out


class Terminal:
    """A program on a pseudo terminal of 120 x 40."""

    def __init__(self, command, env):
        self.screen = pyte.Screen(120, 40)
        self.stream = pyte.ByteStream(self.screen)
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack('HHHH', 40, 120, 0, 0))
        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=dict(env, TERM='linux'),
                                        preexec_fn=procs.die_with_parent, start_new_session=True)
        os.close(slave)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def read(self, seconds):
        """What it draws within that time; false when nothing comes."""
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        try:
            self.stream.feed(os.read(self.master, 65536))
        except OSError:
            return False        # it has closed its side
        return True

    def shown(self):
        return '\n'.join(line.rstrip() for line in self.screen.display)

    def wait_for(self, text, seconds=20):
        """Until @text (a regular expression) is on the screen."""
        deadline = time.monotonic() + seconds
        while not re.search(text, self.shown()):
            assert time.monotonic() < deadline and self.process.poll() is None, \
                '%r is not shown:\n%s' % (text, self.shown())
            self.read(0.1)

    def type(self, keys):
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


TALK = r'''
use strict; use warnings; use Mail::IMAPTalk; use JSON::PP;
my $talk = Mail::IMAPTalk->new(Server => '127.0.0.1', Port => $ARGV[0], Username => $ARGV[1], Password => 'pw',
                               UseSSL => 0, Uid => 1) or die "no login: $@";
sub say_json { print JSON::PP->new->canonical->encode($_[0]), "\n" }
%s
$talk->logout();
'''


def talk(port, user, folder, script, *arguments):
    """Runs @script with a logged-in Mail::IMAPTalk $talk; gives what it said by say_json()."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'talk.pl').write_text(TALK % script)
    return json.loads(run(['perl', folder / 'talk.pl', port, user, *arguments], folder).splitlines()[-1])


def octets(part):
    """Of what imaplib and imaplib2 give: a line, or (line, literal)."""
    return b' '.join(part) if isinstance(part, tuple) else part or b''
