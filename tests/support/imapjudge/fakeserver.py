"""A scripted upstream: by default a small plausible IMAP server with mailboxes in memory; on request it lies.

    fake = FakeServer()
    fake.mailbox('INBOX').add(b'Subject: x\\r\\n\\r\\nbody')
    fake.on('UID FETCH', lambda conn, command: conn.send_cut(conn.default(command), 100))
    with fake: ... connect to fake.port ...; fake.commands has every command seen

A handler gets (conn, command) and does what it wants with conn: send(), default() for what would have been said,
send_cut(), cut(), bye(), stall(). It may also return octets to send, or None. Handlers run with the server's lock
not held; one thread per connection.
"""
import base64
import collections
import re
import socket
import ssl
import threading
import time

from . import fakemail, ports, wire

CAPABILITIES = ('IMAP4rev1 SASL-IR LITERAL+ ID ENABLE IDLE NAMESPACE CHILDREN UNSELECT UIDPLUS MOVE CONDSTORE QRESYNC '
                'ESEARCH')


class Hangup(Exception):
    """Unwinds a connection's thread."""


class FakeCommand:
    """tag, verb ('UID FETCH'), args (octets behind the verb, literals in place), values (parsed), conn number."""

    def __init__(self, conn, raw):
        words = re.sub(rb'\r?\n\Z', b'', raw).split(None, 2)
        self.conn = conn
        self.raw = raw
        self.tag = words[0] if words else b'*'
        self.verb = words[1].decode('latin-1').upper() if len(words) > 1 else ''
        self.args = words[2] if len(words) > 2 else b''
        if self.verb == 'UID' and self.args:
            verb, _, self.args = self.args.partition(b' ')
            self.verb = 'UID ' + verb.decode('latin-1').upper()
        self.time = time.monotonic()

    @property
    def values(self):
        return wire.parse_values(self.args)

    def __repr__(self):
        return '<%d %s>' % (self.conn, self.raw[:160].decode('latin-1').rstrip())


class FakeConnection:
    """One client connection (that is: one link of the proxy)."""

    def __init__(self, server, sock, number):
        self.server = server
        self.sock = sock
        self.number = number
        self.user = None
        self.selected = None
        self.read_only = False
        self.enabled = set()
        self.known = []             # UIDs in the order this connection was told of
        self.told = {}              # uid -> (modseq) this connection was told
        self._buf = b''
        self._out = None

    # ---- what handlers use

    def send(self, data):
        """Octets as they are; str is encoded. Inside default() they are collected."""
        data = data.encode('latin-1') if isinstance(data, str) else data
        if self._out is not None:
            self._out.append(data)
            return
        mangle = self.server.mangle
        if mangle is not None:
            data = mangle(self, data)
        try:
            self.sock.sendall(data)
        except OSError:
            raise Hangup() from None

    def untagged(self, text):
        self.send(b'* ' + (text.encode('latin-1') if isinstance(text, str) else text) + b'\r\n')

    def tagged(self, command, status, text='done', code=None):
        self.send(command.tag + (' %s %s%s\r\n' % (status, '[%s] ' % code if code else '', text)).encode())

    def ok(self, command, text='done', code=None):
        self.tagged(command, 'OK', text, code)

    def no(self, command, text='refused', code=None):
        self.tagged(command, 'NO', text, code)

    def bad(self, command, text='bad command'):
        self.tagged(command, 'BAD', text)

    def default(self, command):
        """What the plausible server says to it, not sent. Not for IDLE and AUTHENTICATE, which talk back."""
        outer, self._out = self._out, []
        try:
            self.server.perform(self, command)
            return b''.join(self._out)
        finally:
            self._out = outer

    def send_cut(self, data, at):
        """Only the first @at octets of @data, then close."""
        self.send(data[:at])
        self.cut()

    def cut(self):
        """Close now (what was sent still arrives)."""
        raise Hangup()

    def reset(self):
        """Close with a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
        raise Hangup()

    def bye(self, text='going away'):
        self.untagged('BYE ' + text)
        raise Hangup()

    def stall(self, seconds=None):
        """Say nothing for so long (None: until the server stops)."""
        self.server.stopping.wait(seconds)
        if self.server.stopping.is_set():
            raise Hangup()

    # ---- reading

    def _fill(self):
        try:
            data = self.sock.recv(65536)
        except socket.timeout:
            raise
        except OSError:
            data = b''
        if not data:
            raise Hangup()
        self._buf += data

    def read_line(self):
        while b'\n' not in self._buf:
            self._fill()
        line, _, self._buf = self._buf.partition(b'\n')
        return line + b'\n'

    def _read_octets(self, number):
        while len(self._buf) < number:
            self._fill()
        data, self._buf = self._buf[:number], self._buf[number:]
        return data

    def read_command(self):
        raw = self.read_line()
        while True:
            literal = wire.literal_at_end(raw)
            if literal is None:
                return FakeCommand(self.number, raw)
            if not literal[1]:
                refusal = self.server.refuse_literal(self, FakeCommand(self.number, raw), literal[0])
                if refusal is not None:
                    self.send(refusal)
                    return None
                self.send('+ go on\r\n')
            raw += self._read_octets(literal[0])
            raw += self.read_line()

    def has_input(self):
        if self._buf:
            return True
        self.sock.settimeout(0.02)
        try:
            self._fill()
            return True
        except socket.timeout:
            return False
        finally:
            self.sock.settimeout(None)

    def run(self):
        greeting = self.server.greeting
        self.send(greeting(self) if callable(greeting) else greeting)
        while True:
            command = self.read_command()
            if command is None or not command.raw.strip():
                continue
            self.server.handle(self, command)


class FakeServer:
    """See the top of this file. users: {login: password}, None lets everybody in. tls: (certificate, key) for
    implicit TLS; starttls: the same, offered as STARTTLS."""

    def __init__(self, capabilities=CAPABILITIES, users=None, greeting=None, tls=None, starttls=None, port=None):
        self.host = '127.0.0.1'
        self.port = port or ports.free_port()
        self.capabilities = capabilities
        self.users = users
        self.greeting = greeting or (lambda conn: '* OK [CAPABILITY %s] fake ready\r\n' % self.shown_capabilities(conn))
        self.commands = []
        self.errors = []
        self.mangle = None
        self.starttls_extra = b''       # said in clear text right behind the OK of STARTTLS
        self.stopping = threading.Event()
        self.total = 0
        self.connections = []
        self._mailboxes = collections.OrderedDict(INBOX=fakemail.FakeMailbox('INBOX'))
        self._handlers = {}
        self._changed = threading.Condition(threading.RLock())
        self._tls = _context(tls)
        self._starttls = _context(starttls)
        self._listener = None

    # ---- script

    def mailbox(self, name='INBOX', uidvalidity=1000):
        """The mailbox of that name, made when it is not there."""
        with self._changed:
            if name not in self._mailboxes:
                self._mailboxes[name] = fakemail.FakeMailbox(name, uidvalidity)
            return self._mailboxes[name]

    def change(self, function):
        """Change mailboxes from outside: connections in IDLE hear of it."""
        with self._changed:
            result = function()
            self._changed.notify_all()
        return result

    def on(self, verb, handler, times=None):
        """Answer @verb ('FETCH' and 'UID FETCH' are two) by handler(conn, command); @times, then as before."""
        self._handlers.setdefault(verb, []).append([handler, times])
        return self

    def off(self, verb=None):
        """Forget the handlers of a verb, or all."""
        if verb is None:
            self._handlers.clear()
        else:
            self._handlers.pop(verb, None)

    def seen(self, *verbs):
        return [c for c in self.commands if not verbs or c.verb in verbs]

    def wait_for(self, verb, number=1, timeout=5.0):
        """Wait until @number commands of that verb were seen; returns them."""
        deadline = time.monotonic() + timeout
        while len(self.seen(verb)) < number:
            if time.monotonic() > deadline:
                raise AssertionError('only %r after %.1f s' % (self.seen(), timeout))
            time.sleep(0.005)
        return self.seen(verb)

    def refuse_literal(self, conn, command, octets):
        """Override or assign: what is said instead of '+' to a synchronising literal, or None."""
        if command.verb == 'APPEND' and self._named(wire.parse_value(command.args, 0)[0]) is None:
            return command.tag + b' NO [TRYCREATE] no such mailbox\r\n'
        return None

    # ---- life

    def start(self):
        self._listener = socket.create_server((self.host, self.port))
        threading.Thread(target=self._accept, daemon=True, name='fake').start()
        return self

    def stop(self):
        self.stopping.set()
        if self._listener is not None:
            # shutdown wakes accept(), close alone would not
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        self._shut_all()

    def drop_all(self):
        """Close all connections, not in the middle of a plain answer: who has seen a FETCH of it may count on its OK."""
        is_whole = self._changed.acquire(timeout=5)     # unless its reader does not read
        try:
            self._shut_all()
        finally:
            if is_whole:
                self._changed.release()

    def _shut_all(self):
        for conn in list(self.connections):
            try:
                conn.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def _accept(self):
        listener = self._listener
        while not self.stopping.is_set():
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.total += 1
            conn = FakeConnection(self, sock, self.total)
            threading.Thread(target=self._serve, args=(conn,), daemon=True, name='fake-conn').start()

    def _serve(self, conn):
        self.connections.append(conn)
        try:
            if self._tls is not None:
                conn.sock = self._tls.wrap_socket(conn.sock, server_side=True)
            conn.run()
        except Hangup:
            pass
        except OSError:
            pass
        except Exception as error:      # a bug of a script must be seen by its test
            self.errors.append(error)
        finally:
            self.connections.remove(conn)
            conn.sock.close()

    # ---- commands

    def handle(self, conn, command):
        self.commands.append(command)
        chain = self._handlers.get(command.verb, [])
        while chain:
            handler, times = chain[0]
            if times is not None:
                chain[0][1] -= 1
                if chain[0][1] <= 0:
                    chain.pop(0)
            said = handler(conn, command)
            if said:
                conn.send(said)
            return
        self.perform(conn, command)

    def perform(self, conn, command):
        """The plausible server."""
        name = 'do_' + command.verb.lower().replace(' ', '_')
        method = getattr(self, name, None)
        if method is None:
            conn.bad(command, 'unknown command')
            return
        if command.verb in ('IDLE', 'AUTHENTICATE', 'STARTTLS'):
            method(conn, command)
            return
        with self._changed:
            try:
                method(conn, command)
            except (wire.ParseError, ValueError, IndexError, KeyError, AttributeError) as error:
                conn.bad(command, 'cannot do that: %r' % error)
            self._changed.notify_all()

    def shown_capabilities(self, conn):
        more = ' AUTH=PLAIN' if conn.user is None else ''
        if self._starttls is not None and not isinstance(conn.sock, ssl.SSLSocket):
            more += ' STARTTLS'
        return self.capabilities + more

    def _find(self, name):
        name = name.strip().strip(b'"').decode('latin-1')
        return self._mailboxes.get('INBOX' if name.upper() == 'INBOX' else name)

    def _named(self, value):
        return self._find(value if isinstance(value, bytes) else str(value).encode())

    def do_capability(self, conn, command):
        conn.untagged('CAPABILITY ' + self.shown_capabilities(conn))
        conn.ok(command)

    def do_noop(self, conn, command):
        self._sync(conn)
        conn.ok(command)

    do_check = do_noop

    def do_id(self, conn, command):
        conn.untagged('ID ("name" "fake")')
        conn.ok(command)

    def do_namespace(self, conn, command):
        conn.untagged('NAMESPACE (("" "/")) NIL NIL')
        conn.ok(command)

    def do_logout(self, conn, command):
        conn.untagged('BYE logging out')
        conn.ok(command)
        if conn._out is None:
            conn.cut()

    def do_starttls(self, conn, command):
        if self._starttls is None:
            conn.bad(command, 'no TLS here')
            return
        conn.ok(command, 'begin TLS')
        if self.starttls_extra:
            conn.send(self.starttls_extra)
        conn._buf = b''
        conn.sock = self._starttls.wrap_socket(conn.sock, server_side=True)

    def _enter(self, conn, command, user, password):
        if self.users is not None and self.users.get(user) != password:
            conn.no(command, 'wrong', 'AUTHENTICATIONFAILED')
            return
        conn.user = user
        conn.ok(command, 'logged in', 'CAPABILITY ' + self.shown_capabilities(conn))

    def do_login(self, conn, command):
        user, password = (v if isinstance(v, bytes) else str(v).encode() for v in command.values)
        self._enter(conn, command, user.decode(), password.decode())

    def do_authenticate(self, conn, command):
        words = command.args.split()
        if not words or words[0].upper() != b'PLAIN':
            conn.no(command, 'mechanism')
            return
        if len(words) > 1:
            answer = words[1]
        else:
            conn.send('+ \r\n')
            answer = conn.read_line().strip()
        _, user, password = base64.b64decode(answer).split(b'\0')
        self._enter(conn, command, user.decode(), password.decode())

    def do_enable(self, conn, command):
        names = [w.upper() for w in command.args.split() if w.upper() in (b'CONDSTORE', b'QRESYNC')]
        conn.enabled |= {n.decode() for n in names}
        conn.untagged(b'ENABLED ' + b' '.join(names) if names else b'ENABLED')
        conn.ok(command)

    # ---- mailboxes

    def do_list(self, conn, command):
        pattern = command.values[-1]
        pattern = pattern.decode('latin-1') if isinstance(pattern, bytes) else str(pattern)
        if pattern == '':
            conn.untagged('%s (\\Noselect) "/" ""' % command.verb)
        expression = re.escape(pattern).replace(r'\*', '.*').replace('%', '[^/]*')
        for name in self._mailboxes:
            if re.fullmatch(expression, name):
                children = any(other.startswith(name + '/') for other in self._mailboxes)
                conn.untagged('%s (\\Has%sChildren) "/" "%s"' % (command.verb, '' if children else 'No', name))
        conn.ok(command)

    do_lsub = do_list

    def do_create(self, conn, command):
        name = command.values[0].decode('latin-1')
        if name in self._mailboxes:
            conn.no(command, 'exists', 'ALREADYEXISTS')
            return
        self.mailbox(name, uidvalidity=1000 + len(self.commands))
        conn.ok(command)

    def do_delete(self, conn, command):
        box = self._named(command.values[0])
        if box is None or box.name == 'INBOX':
            conn.no(command, 'cannot delete', 'NONEXISTENT')
            return
        del self._mailboxes[box.name]
        conn.ok(command)

    def do_rename(self, conn, command):
        box, name = self._named(command.values[0]), command.values[1].decode('latin-1')
        if box is None or name in self._mailboxes:
            conn.no(command, 'cannot rename', 'NONEXISTENT' if box is None else 'ALREADYEXISTS')
            return
        del self._mailboxes[box.name]
        box.name = name
        self._mailboxes[name] = box
        conn.ok(command)

    def do_subscribe(self, conn, command):
        conn.ok(command)

    do_unsubscribe = do_subscribe

    def do_status(self, conn, command):
        values = command.values
        box = self._named(values[0])
        if box is None:
            conn.no(command, 'no such mailbox', 'NONEXISTENT')
            return
        unseen = sum('\\Seen' not in m.flags for m in box.messages)
        numbers = {b'MESSAGES': len(box.messages), b'UIDNEXT': box.uidnext, b'UIDVALIDITY': box.uidvalidity,
                   b'UNSEEN': unseen, b'RECENT': 0, b'HIGHESTMODSEQ': box.modseq,
                   b'SIZE': sum(len(m.octets) for m in box.messages)}
        told = b' '.join(b'%s %d' % (item.upper(), numbers[item.upper()]) for item in values[1])
        conn.untagged(b'STATUS "%s" (%s)' % (box.name.encode(), told))
        conn.ok(command)

    def do_select(self, conn, command, read_only=False):
        values = command.values
        box = self._named(values[0])
        conn.selected, conn.known, conn.told = None, [], {}
        if box is None:
            conn.no(command, 'no such mailbox', 'NONEXISTENT')
            return
        parameters = values[1] if len(values) > 1 else []
        words = [p.upper() for p in parameters if isinstance(p, bytes)]
        if words:
            conn.enabled.add('CONDSTORE')
        conn.selected, conn.read_only = box, read_only
        conn.known = [m.uid for m in box.messages]
        conn.told = {m.uid: m.modseq for m in box.messages}
        keywords = sorted({f for m in box.messages for f in m.flags if not f.startswith('\\')})
        flags = ' '.join(['\\Answered', '\\Flagged', '\\Deleted', '\\Seen', '\\Draft'] + keywords)
        conn.untagged('FLAGS (%s)' % flags)
        conn.untagged('OK [PERMANENTFLAGS (%s)] permitted' % ('' if read_only else flags + ' \\*'))
        conn.untagged('%d EXISTS' % len(box.messages))
        conn.untagged('0 RECENT')
        conn.untagged('OK [UIDVALIDITY %d] valid' % box.uidvalidity)
        conn.untagged('OK [UIDNEXT %d] next' % box.uidnext)
        if 'CONDSTORE' in self.capabilities:
            conn.untagged('OK [HIGHESTMODSEQ %d] highest' % box.modseq)
        if b'QRESYNC' in words:
            self._resync(conn, box, parameters[words.index(b'QRESYNC') + 1])
        conn.ok(command, code='READ-ONLY' if read_only else 'READ-WRITE')

    def do_examine(self, conn, command):
        self.do_select(conn, command, read_only=True)

    def _resync(self, conn, box, arguments):
        if arguments[0] != box.uidvalidity:
            return
        gone = [uid for modseq, uid in box.vanished if modseq > arguments[1]]
        if gone:
            conn.untagged('VANISHED (EARLIER) ' + wire.format_set(gone))
        for number, message in enumerate(box.messages, 1):
            if message.modseq > arguments[1]:
                self._tell(conn, number, message)

    def _tell(self, conn, number, message):
        more = b''
        if 'QRESYNC' in conn.enabled:
            more = b'UID %d ' % message.uid
        if conn.enabled:
            more += b'MODSEQ (%d) ' % message.modseq
        conn.untagged(b'%d FETCH (%s%s)' % (number, more, fakemail.fetch_item(message, ('FLAGS', None, None, None))))
        conn.told[message.uid] = message.modseq

    def _sync(self, conn, expunges=True):
        """Tell what has changed since the connection was told last."""
        box = conn.selected
        if box is None:
            return
        live = {m.uid: m for m in box.messages}
        if expunges:
            gone = [uid for uid in conn.known if uid not in live]
            if gone and 'QRESYNC' in conn.enabled:
                conn.untagged('VANISHED ' + wire.format_set(gone))
            for uid in gone:
                if 'QRESYNC' not in conn.enabled:
                    conn.untagged('%d EXPUNGE' % (conn.known.index(uid) + 1))
                conn.known.remove(uid)
        new = [m for m in box.messages if m.uid > (conn.known[-1] if conn.known else 0)]
        if new:
            conn.known += [m.uid for m in new]
            conn.told.update((m.uid, m.modseq) for m in new)
            conn.untagged('%d EXISTS' % len(conn.known))
        for number, uid in enumerate(conn.known, 1):
            if uid in live and live[uid].modseq > conn.told.get(uid, 0):
                self._tell(conn, number, live[uid])

    def do_unselect(self, conn, command):
        conn.selected, conn.known = None, []
        conn.ok(command)

    def do_close(self, conn, command):
        if conn.selected is not None and not conn.read_only:
            conn.selected.expunge([m.uid for m in list(conn.selected.messages) if '\\Deleted' in m.flags])
        self.do_unselect(conn, command)

    # ---- messages

    def _targets(self, conn, text, by_uid):
        """[(number, message)] of a set; messages already gone are left out."""
        live = {m.uid: m for m in conn.selected.messages}
        last = len(conn.known)
        out = []
        for number, uid in enumerate(conn.known, 1):
            if uid in live and _in_set(uid if by_uid else number, text, conn.known[-1] if by_uid else last):
                out.append((number, live[uid]))
        return out

    def _fetch(self, conn, command, by_uid):
        found = re.match(rb'(\S+) (\(.*?\)|[^( ]\S*(?: ?\([^)]*\)\])?\S*)(?: (\(.*\)))?\s*\Z', command.args, re.S)
        numbers, items, modifiers = found.group(1), found.group(2), found.group(3) or b''
        if items.startswith(b'('):
            # the greedy end: header lists hold parentheses themselves
            body, _, after = command.args[len(numbers) + 1:].rpartition(b')')
            changed = re.search(rb' \(CHANGEDSINCE [^)]*\Z', body, re.I)
            items, modifiers = (body[:changed.start()], changed.group()) if changed else (body + b')', b'')
        items = fakemail.parse_items(items.decode('latin-1'))
        since = re.search(rb'CHANGEDSINCE (\d+)', modifiers, re.I)
        names = [i[0] for i in items]
        if by_uid and 'UID' not in names:
            items.insert(0, ('UID', None, None, None))
        if since:
            conn.enabled.add('CONDSTORE')
            if 'MODSEQ' not in names:
                items.append(('MODSEQ', None, None, None))
            if b'VANISHED' in modifiers.upper():
                gone = [uid for modseq, uid in conn.selected.vanished if modseq > int(since.group(1))]
                if gone:
                    conn.untagged('VANISHED (EARLIER) ' + wire.format_set(gone))
        for number, message in self._targets(conn, numbers.decode(), by_uid):
            if since and message.modseq <= int(since.group(1)):
                continue
            told = list(items)
            if fakemail.sets_seen(items) and not conn.read_only and '\\Seen' not in message.flags:
                conn.selected.set_flags(message.uid, message.flags | {'\\Seen'})
                conn.told[message.uid] = message.modseq
                if 'FLAGS' not in names:
                    told.insert(0, ('FLAGS', None, None, None))
            conn.untagged(b'%d FETCH (%s)' % (number, b' '.join(fakemail.fetch_item(message, i) for i in told)))

    def do_fetch(self, conn, command):
        self._fetch(conn, command, False)
        self._sync(conn, expunges=False)
        conn.ok(command)

    def do_uid_fetch(self, conn, command):
        self._fetch(conn, command, True)
        self._sync(conn)
        conn.ok(command)

    def _store(self, conn, command, by_uid):
        found = re.match(rb'(\S+) (?:\(UNCHANGEDSINCE (\d+)\) )?([+-]?)FLAGS(\.SILENT)? \(?([^)]*)\)?\s*\Z',
                         command.args, re.I)
        numbers, since, sign, silent, flags = found.groups()
        flags = set(flags.decode().split())
        modified = []
        for number, message in self._targets(conn, numbers.decode(), by_uid):
            if since and message.modseq > int(since):
                modified.append(message.uid if by_uid else number)
                continue
            new = {b'+': message.flags | flags, b'-': message.flags - flags, b'': flags}[sign]
            conn.selected.set_flags(message.uid, new)
            if not silent or conn.enabled:
                more = b'UID %d ' % message.uid if by_uid else b''
                more += b'MODSEQ (%d) ' % message.modseq if conn.enabled else b''
                value = fakemail.fetch_item(message, ('FLAGS', None, None, None)) if not silent else b''
                conn.untagged(b'%d FETCH (%s)' % (number, (more + value).strip()))
            conn.told[message.uid] = message.modseq
        return 'MODIFIED ' + wire.format_set(modified) if modified else None

    def do_store(self, conn, command):
        if conn.read_only:
            conn.no(command, 'read-only')
            return
        code = self._store(conn, command, False)
        self._sync(conn, expunges=False)
        conn.ok(command, code=code)

    def do_uid_store(self, conn, command):
        if conn.read_only:
            conn.no(command, 'read-only')
            return
        code = self._store(conn, command, True)
        self._sync(conn)
        conn.ok(command, code=code)

    def _search(self, conn, command, by_uid):
        values = command.values
        wanted = None
        if values and isinstance(values[0], bytes) and values[0].upper() == b'RETURN':
            wanted = [v.upper() for v in values[1]] or [b'ALL']
            values = values[2:]
        if values and isinstance(values[0], bytes) and values[0].upper() == b'CHARSET':
            values = values[2:]
        live = {m.uid: m for m in conn.selected.messages}
        seen = [live[uid] for uid in conn.known if uid in live]
        numbers = {uid: n for n, uid in enumerate(conn.known, 1)}
        hits = [seen[i].uid for i in fakemail.Search(seen).run(values)]
        hits = hits if by_uid else [numbers[uid] for uid in hits]
        if wanted is None:
            conn.untagged(' '.join(['SEARCH'] + [str(h) for h in hits]))
            return
        said = 'ESEARCH (TAG "%s")%s' % (command.tag.decode(), ' UID' if by_uid else '')
        for item in wanted:
            if item == b'COUNT':
                said += ' COUNT %d' % len(hits)
            elif hits:
                said += ' %s %s' % (item.decode(), {b'MIN': hits[0], b'MAX': hits[-1]}.get(item, wire.format_set(hits)))
        conn.untagged(said)

    def do_search(self, conn, command):
        self._search(conn, command, False)
        self._sync(conn, expunges=False)
        conn.ok(command)

    def do_uid_search(self, conn, command):
        self._search(conn, command, True)
        self._sync(conn)
        conn.ok(command)

    def _copy(self, conn, command, by_uid, move):
        numbers, name = command.args.split(None, 1)
        target = self._named(name)
        if target is None:
            conn.no(command, 'no such mailbox', 'TRYCREATE')
            return
        taken = [m for _, m in self._targets(conn, numbers.decode(), by_uid)]
        new = [target.add(m.octets, m.flags, m.date).uid for m in taken]
        code = 'COPYUID %d %s %s' % (target.uidvalidity, wire.format_set(m.uid for m in taken),
                                     wire.format_set(new)) if taken else None
        if move:
            if code:
                conn.untagged('OK [%s] moved' % code)
            conn.selected.expunge([m.uid for m in taken])
        self._sync(conn)
        conn.ok(command, code=None if move else code)

    def do_copy(self, conn, command):
        self._copy(conn, command, False, False)

    def do_uid_copy(self, conn, command):
        self._copy(conn, command, True, False)

    def do_move(self, conn, command):
        self._copy(conn, command, False, True)

    def do_uid_move(self, conn, command):
        self._copy(conn, command, True, True)

    def do_expunge(self, conn, command, uids=None):
        box = conn.selected
        if conn.read_only:
            conn.no(command, 'read-only')
            return
        gone = [m.uid for m in box.messages if '\\Deleted' in m.flags]
        if uids is not None:
            gone = [uid for uid in gone if _in_set(uid, uids, conn.known[-1] if conn.known else 0)]
        box.expunge(gone)
        self._sync(conn)
        conn.ok(command, code='HIGHESTMODSEQ %d' % box.modseq if gone and 'QRESYNC' in conn.enabled else None)

    def do_uid_expunge(self, conn, command):
        self.do_expunge(conn, command, command.args.decode())

    def do_append(self, conn, command):
        values = command.values
        box = self._named(values[0])
        if box is None:
            conn.no(command, 'no such mailbox', 'TRYCREATE')
            return
        flags = next((v for v in values[1:-1] if isinstance(v, list)), [])
        date = next((v for v in values[1:-1] if isinstance(v, bytes)), None)
        message = box.add(values[-1], {f.decode() for f in flags}, date and date.decode())
        self._sync(conn)
        conn.ok(command, code='APPENDUID %d %d' % (box.uidvalidity, message.uid))

    def do_idle(self, conn, command):
        conn.send('+ idling\r\n')
        while True:
            with self._changed:
                self._sync(conn)
            if conn.has_input():
                break
        line = conn.read_line()
        if line.strip().upper() == b'DONE':
            conn.ok(command)
        else:
            conn.bad(command, 'expected DONE')


def _context(pair):
    if pair is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(str(pair[0]), str(pair[1]))
    return context


def _in_set(number, text, top):
    for part in text.split(','):
        low, _, high = part.replace('*', str(top)).partition(':')
        low, high = sorted((int(low), int(high or low)))
        if low <= number <= high:
            return True
    return False


def split_responses(data):
    """Octets of a whole answer as a list of responses, so that a script can reorder or drop some."""
    out, pos, scan = [], 0, 0
    while pos < len(data):
        end = data.index(b'\n', scan) + 1
        literal = wire.literal_at_end(data[pos:end])
        if literal:
            scan = end + literal[0]
            continue
        out.append(data[pos:end])
        pos = scan = end
    return out
