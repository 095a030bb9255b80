"""What the hostile tests share: mutated conversations, and looking at the health of the proxy."""
import os
import pathlib
import random
import socket
import time

import spine_tools as tools
from imapjudge import dialects, imapclient, wire


def sanitizer_env():
    """A sanitizer keeps freed memory for long: without this its octets would look like a leak."""
    env = dict(os.environ)
    env['ASAN_OPTIONS'] = env.get('ASAN_OPTIONS', '') + ':quarantine_size_mb=1:thread_local_quarantine_size_kb=64'
    return env


class Health:
    """What the proxy holds and burns."""

    def __init__(self, proxy):
        self.proxy = proxy
        self.proc = pathlib.Path('/proc/%d' % proxy.process.pid)

    def fds(self):
        return len(os.listdir(self.proc / 'fd'))

    def cpu(self):
        """Seconds of processor so far."""
        fields = (self.proc / 'stat').read_text().rsplit(')', 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')

    def settles_at(self, fds, seconds=15):
        """No more descriptors than @fds are open, soon."""
        tools.wait_until(lambda: self.fds() <= fds, seconds, 'at most %d descriptors' % fds)

    def burns_less_than(self, share, seconds=1.0):
        """Of one processor, while nothing is asked of it."""
        began, before = time.monotonic(), self.cpu()
        time.sleep(seconds)
        burnt = (self.cpu() - before) / (time.monotonic() - began)
        assert burnt < share, 'burns %.0f %% of a processor for nothing' % (100 * burnt)


def check_serves(port, user, expected, timeout=20):
    """A well-behaved client gets all of INBOX: {UID: octets}."""
    with imapclient.IMAPClient('127.0.0.1', port, timeout=timeout, name='normal') as client:
        client.login(user)
        client.select()
        got = {uid: items['BODY[]'] for uid, items in tools.whole(client, items='(UID BODY.PEEK[])', timeout=timeout).items()}
        assert sorted(got) == sorted(expected)
        for uid, octets in expected.items():
            assert got[uid] == octets, 'UID %d has other octets' % uid
        assert client.logout().ok


def octets_of(step, facts):
    """A step of a dialect as its commands' octets, without tags."""
    if isinstance(step, dialects.Idle):
        return [b'IDLE\r\nDONE']
    out = []
    for command in step if isinstance(step, dialects.Pipe) else [step]:
        command = command(facts) if callable(command) else command
        parts = (command,) if isinstance(command, str) else command
        out.append(b''.join(p.encode() if isinstance(p, str) else b'{%d%s}\r\n%s' % (
            len(p.data), b'' if p.sync else b'+', p.data) for p in parts))
    return out


# Commands that would end the harmless part of a conversation, or change what check_serves() expects.
_HARMFUL = (b'EXPUNGE', b'MOVE', b'CLOSE', b'DELETED', b'LOGOUT', b'APPEND "INBOX"', b'APPEND INBOX')
_WORDS = (b'NIL', b'INBOX', b'BODY[]', b'{3+}\r\nabc', b'{3}\r\nabc', b'{0+}\r\n', b'{4294967296+}\r\n', b'{99999+}\r\n', b'~{5+}\r\n\0\1\2\3\4',
          b'"', b'\\', b'(', b')', b'((((((((', b'))))', b'[', b']', b'<0.0>', b'<4294967295.4294967295>', b'*', b'0', b'1:*', b'*:*',
          b'4294967295', b'4294967296', b'18446744073709551615', b'99999999999999999999', b'%', b'\0', b'\xff\xfe', b'\r', b'\n',
          b'\r\n', b'\t', b'  ', b'+', b'$', b'UID', b'NOT', b'OR', b'a' * 5000, b'(' * 300, b'1,' * 3000, b'DONE', b'RETURN (',
          b'CHANGEDSINCE', b'BODY.PEEK[1.1.1.1.1.1.1.1.1]', b'BODY[HEADER.FIELDS ()]', b'BINARY[1]', b'\xc3\xa4', b'&AAA-', b'=?utf-8?q?x?=')


class Mutator:
    """Conversations that are nearly right. The same seed is the same conversation."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        facts = dialects.Facts()
        facts.uidnext, facts.exists, facts.uidvalidity, facts.modseq, facts.append_uid = 41, 40, 1, 5, 1
        everything = [c for steps in dialects.DIALECTS.values() for s in steps for c in octets_of(s, facts)]
        self.commands = [c for c in everything if not any(h in c.upper() for h in _HARMFUL)]

    def harm(self, octets):
        """One mutation of one command."""
        rnd = self.random
        at = rnd.randrange(len(octets) + 1)
        kind = rnd.randrange(9)
        if kind == 0:
            return octets[:at] + bytes([rnd.randrange(256)]) + octets[at + 1:]
        if kind == 1:
            return octets[:at] + rnd.choice(_WORDS) + octets[at:]
        if kind == 2:
            return octets[:at]
        if kind == 3:
            end = min(len(octets), at + rnd.randrange(1, 30))
            return octets[:at] + octets[at:end] * rnd.randrange(2, 60) + octets[end:]
        if kind == 4:
            words = octets.split(b' ')
            rnd.shuffle(words)
            return b' '.join(words)
        if kind == 5:
            words = octets.split(b' ')
            words[rnd.randrange(len(words))] = rnd.choice(_WORDS)
            return b' '.join(words)
        if kind == 6:
            end = min(len(octets), at + rnd.randrange(1, 30))
            return octets[:at] + octets[end:]
        if kind == 7:
            other = rnd.choice(self.commands)
            return octets[:at] + other[rnd.randrange(len(other)):]
        size = rnd.choice((0, 1, 5, 64, 70000, 300000))
        return octets + b' {%d%s}\r\n' % (size, rnd.choice((b'', b'+'))) + bytes(rnd.choices(range(256), k=min(size, 400))) * (size // 400 or 1)

    def conversation(self, user, length=25):
        """Octets of a whole session, some of its commands harmed."""
        rnd = self.random
        out = [b'l LOGIN %s pw' % user.encode()] if rnd.random() < 0.95 else []
        if rnd.random() < 0.8:
            out.append(rnd.choice((b's SELECT INBOX', b's EXAMINE INBOX', b's SELECT INBOX (CONDSTORE)')))
        for number in range(rnd.randrange(1, length)):
            command = rnd.choice(self.commands)
            while rnd.random() < 0.55:
                command = self.harm(command)
            if any(h in command.upper() for h in _HARMFUL):
                continue
            out.append(b'f%d ' % number + command)
        return b'\r\n'.join(out) + b'\r\n'


def check_stream(octets, sent):
    """What a session was told is IMAP, whatever it said: whole responses but for the last, tags that it has used."""
    pos = 0
    while pos < len(octets):
        scan = pos
        while True:
            end = octets.find(b'\r\n', scan)
            if end < 0:
                return
            end += 2
            literal = wire.literal_at_end(octets[max(pos, end - 40):end])
            if literal is None:
                break
            scan = end + literal[0]
            if scan > len(octets):
                return
        raw = octets[pos:end]
        response = wire.Response(raw)
        if response.kind == 'tagged':
            assert response.name in ('OK', 'NO', 'BAD'), raw[:200]
            assert response.tag.encode('latin-1') in sent, raw[:200]
        elif response.kind == 'untagged' and response.name not in ('OK', 'NO', 'BAD', 'BYE', 'THREAD'):
            try:
                response.data
            except wire.ParseError as error:
                raise AssertionError('%s in %r ... %r' % (error, raw[:300], raw[-300:])) from None
        pos = end


def hostile_session(port, mutator, user):
    """One session that sends a harmed conversation in odd pieces and ends at an odd moment; checks what it is told."""
    rnd = mutator.random
    said = mutator.conversation(user)
    if rnd.random() < 0.3:
        said = said[:rnd.randrange(len(said))]
    sock = socket.create_connection(('127.0.0.1', port), timeout=10)
    got = b''
    ending = rnd.choice(('drain', 'close', 'half', 'reset', 'drain', 'half'))
    try:
        at = 0
        step = rnd.choice((1, 7, 50, 1000, len(said)))
        if step < 50:
            said = said[:600]
        while at < len(said):
            sock.sendall(said[at:at + step])
            at += step
            if rnd.random() < 0.02:
                time.sleep(0.002)
            if rnd.random() < 0.1:
                sock.settimeout(0.001)
                try:
                    got += sock.recv(1 << 16)
                except (socket.timeout, BlockingIOError):
                    pass
                sock.settimeout(10)
        if ending == 'half':
            sock.shutdown(socket.SHUT_WR)
        if ending in ('half', 'drain'):
            sock.settimeout(10 if ending == 'half' else 0.05)
            while True:
                data = sock.recv(1 << 16)
                if not data:
                    break
                got += data
        elif ending == 'reset':
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
    except socket.timeout:
        assert ending != 'half', 'a session closed by its client does not end; sent %r' % said[:3000]
    except (ConnectionError, BrokenPipeError):
        pass
    finally:
        sock.close()
    check_stream(got, said)
    return ending
