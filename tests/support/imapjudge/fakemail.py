"""Mailboxes in memory for the scripted server: as much IMAP as a plausible upstream needs, not more."""
import email.parser
import email.policy
import re
import time

from . import mailgen, wire


class FakeMessage:
    __slots__ = ('uid', 'octets', 'flags', 'date', 'modseq', 'answers')

    def __init__(self, uid, octets, flags, date, modseq):
        self.uid, self.octets, self.flags, self.date, self.modseq = uid, octets, set(flags), date, modseq
        self.answers = {}       # item label -> octets of the value: what is said instead of the truth


class FakeMailbox:
    """One mailbox. All changes go through its methods, so that modseq, UIDNEXT and vanished stay coherent."""

    def __init__(self, name, uidvalidity=1000):
        self.name = name
        self.uidvalidity = uidvalidity
        self.uidnext = 1
        self.modseq = 1
        self.messages = []
        self.vanished = []      # (modseq, uid)

    def add(self, octets, flags=(), date=None, uid=None):
        """A new message; @uid may skip numbers."""
        self.modseq += 1
        uid = self.uidnext if uid is None else uid
        message = FakeMessage(uid, mailgen.crlf(octets), flags, date or mailgen.append_date(time.time()), self.modseq)
        self.uidnext = uid + 1
        self.messages.append(message)
        return message

    def by_uid(self, uid):
        return next((m for m in self.messages if m.uid == uid), None)

    def set_flags(self, uid, flags):
        message = self.by_uid(uid)
        if message is not None and message.flags != set(flags):
            self.modseq += 1
            message.flags = set(flags)
            message.modseq = self.modseq

    def expunge(self, uids):
        for uid in uids:
            message = self.by_uid(uid)
            if message is not None:
                self.modseq += 1
                self.messages.remove(message)
                self.vanished.append((self.modseq, uid))


def _quote(value):
    if value is None:
        return b'NIL'
    value = value.encode('utf-8', 'replace') if isinstance(value, str) else value
    if re.search(rb'[\r\n"\\\x80-\xff]', value):
        return b'{%d}\r\n%s' % (len(value), value)
    return b'"%s"' % value


def _literal(octets):
    return b'{%d}\r\n%s' % (len(octets), octets)


def split(octets):
    """(header with its blank line, text)."""
    head, blank, text = octets.partition(b'\r\n\r\n')
    return (head + blank, text) if blank else (octets, b'')


def header_fields(header, names, negated):
    out, keep = [], False
    for line in header.split(b'\r\n'):
        if line[:1] not in (b' ', b'\t'):
            keep = bool(line) and ((line.partition(b':')[0].strip().upper() in names) != negated)
        if keep:
            out.append(line)
    return b''.join(line + b'\r\n' for line in out) + b'\r\n'


def _addresses(parsed, field):
    values = parsed.get_all(field, [])
    if not values:
        return b'NIL'
    out = []
    for address in (a for v in values for a in getattr(v, 'addresses', ())):
        out.append(b'(%s NIL %s %s)' % (_quote(address.display_name or None), _quote(address.username),
                                       _quote(address.domain)))
    return b'(' + b''.join(out) + b')' if out else b'NIL'


def envelope(octets):
    parsed = email.parser.BytesHeaderParser(policy=email.policy.default).parsebytes(split(octets)[0])
    sender = _addresses(parsed, 'From')
    fields = [_quote(parsed['Date'] and str(parsed['Date'])), _quote(parsed['Subject'] and str(parsed['Subject'])),
              sender, sender, sender, _addresses(parsed, 'To'), _addresses(parsed, 'Cc'), _addresses(parsed, 'Bcc'),
              _quote(parsed['In-Reply-To']), _quote(parsed['Message-ID'])]
    return b'(' + b' '.join(fields) + b')'


def body_structure(octets, extended):
    text = split(octets)[1]
    ending = b' NIL NIL NIL NIL' if extended else b''
    return b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" %d %d%s)' % (
        len(text), text.count(b'\n'), ending)


def section(octets, label):
    """Octets of BODY[label]; parts are not told apart: 1 is the text, 1.MIME the header, others are empty."""
    header, text = split(octets)
    word = label.upper()
    found = re.match(rb'HEADER\.FIELDS(\.NOT)? ?\(([^)]*)\)', word)
    if found:
        return header_fields(header, set(found.group(2).replace(b'"', b'').split()), bool(found.group(1)))
    return {b'': octets, b'HEADER': header, b'TEXT': text, b'1': text, b'1.MIME': header}.get(word, b'')


MACROS = {'ALL': 'FLAGS INTERNALDATE RFC822.SIZE ENVELOPE', 'FAST': 'FLAGS INTERNALDATE RFC822.SIZE',
          'FULL': 'FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY'}
_ITEM = re.compile(r'([A-Z0-9.\-]+)(\[[^\]]*\])?(?:<(\d+)\.(\d+)>)?', re.I)


def parse_items(text):
    """FETCH items as (name, section or None, origin or None, octets or None)."""
    text = text.strip()
    if text.startswith('('):
        text = text[1:-1]
    text = MACROS.get(text.upper(), text)
    out = []
    for name, label, origin, octets in _ITEM.findall(text):
        out.append((name.upper(), label[1:-1] if label else None, int(origin) if origin else None,
                    int(octets) if octets else None))
    return out


def sets_seen(items):
    return any(name in ('RFC822', 'RFC822.TEXT') or (name == 'BODY' and label is not None)
               for name, label, _, _ in items)


_WHOLE = {'RFC822': b'', 'RFC822.HEADER': b'HEADER', 'RFC822.TEXT': b'TEXT'}


def fetch_item(message, item):
    """'NAME value' as octets."""
    name, label, origin, count = item
    if label is not None or name in _WHOLE:
        shown = (name.replace('.PEEK', '') + '[%s]' % label) if label is not None else name
        octets = section(message.octets, label.encode() if label is not None else _WHOLE[name])
        if origin is not None:
            octets = octets[origin:origin + count]
            shown += '<%d>' % origin
        value = message.answers.get(shown)
        return shown.encode() + b' ' + (_literal(octets) if value is None else value)
    if name in message.answers:
        return name.encode() + b' ' + message.answers[name]
    value = {
        'UID': lambda: b'%d' % message.uid,
        'FLAGS': lambda: b'(' + ' '.join(sorted(message.flags)).encode() + b')',
        'INTERNALDATE': lambda: b'"' + message.date.encode() + b'"',
        'RFC822.SIZE': lambda: b'%d' % len(message.octets),
        'ENVELOPE': lambda: envelope(message.octets),
        'BODY': lambda: body_structure(message.octets, False),
        'BODYSTRUCTURE': lambda: body_structure(message.octets, True),
        'MODSEQ': lambda: b'(%d)' % message.modseq,
    }[name]
    return name.encode() + b' ' + value()


_FLAG_KEYS = {'SEEN': '\\Seen', 'ANSWERED': '\\Answered', 'FLAGGED': '\\Flagged', 'DELETED': '\\Deleted',
              'DRAFT': '\\Draft'}
_HEADER_KEYS = ('SUBJECT', 'FROM', 'TO', 'CC', 'BCC')


def _text(value):
    return (str(value) if isinstance(value, int) else value.decode('latin-1')).lower()


class Search:
    """Evaluates parsed SEARCH keys on a list of messages (their position is their number)."""

    def __init__(self, messages):
        self._messages = messages
        self._all = set(range(len(messages)))

    def run(self, keys):
        keys = list(keys)
        hits = set(self._all)
        while keys:
            hits &= self._key(keys)
        return sorted(hits)

    def _where(self, claim):
        return {i for i, m in enumerate(self._messages) if claim(m)}

    def numbers(self, text, by_uid):
        """Positions named by a set; '*' is the last."""
        last = len(self._messages)
        top = (self._messages[-1].uid if last else 0) if by_uid else last
        wanted = set()
        for part in text.split(','):
            low, _, high = part.replace('*', str(top)).partition(':')
            low, high = sorted((int(low), int(high or low)))
            wanted |= {i for i, m in enumerate(self._messages) if low <= (m.uid if by_uid else i + 1) <= high}
        return wanted

    def _key(self, keys):
        key = keys.pop(0)
        if isinstance(key, list):
            return set(self.run(key))
        word = str(key) if isinstance(key, int) else key.decode('latin-1').upper()
        if word == 'ALL':
            return set(self._all)
        if word == 'NOT':
            return self._all - self._key(keys)
        if word == 'OR':
            return self._key(keys) | self._key(keys)
        if word == 'UID':
            return self.numbers(_text(keys.pop(0)), True)
        if word[0].isdigit() or word[0] == '*':
            return self.numbers(word, False)
        if word in _FLAG_KEYS:
            return self._where(lambda m: _FLAG_KEYS[word] in m.flags)
        if word.startswith('UN') and word[2:] in _FLAG_KEYS:
            return self._where(lambda m: _FLAG_KEYS[word[2:]] not in m.flags)
        return self._with_argument(word, keys)

    def _with_argument(self, word, keys):
        wanted = keys.pop(0)
        if word in ('KEYWORD', 'UNKEYWORD'):
            return self._where(lambda m: (wanted.decode() in m.flags) == (word == 'KEYWORD'))
        if word in ('LARGER', 'SMALLER'):
            return self._where(lambda m: len(m.octets) > wanted if word == 'LARGER' else len(m.octets) < wanted)
        if word == 'MODSEQ':
            return self._where(lambda m: m.modseq >= wanted)
        text = _text(wanted)
        if word == 'HEADER':
            return self._header(text, _text(keys.pop(0)))
        if word in _HEADER_KEYS:
            return self._header(word, text)
        if word == 'TEXT':
            return self._where(lambda m: text in _text(m.octets))
        if word == 'BODY':
            return self._where(lambda m: text in _text(split(m.octets)[1]))
        raise wire.ParseError('search key ' + word)

    def _header(self, name, text):
        names = {name.upper().encode()}
        return self._where(lambda m: text in _text(header_fields(split(m.octets)[0], names, False)[:-2])
                           and len(header_fields(split(m.octets)[0], names, False)) > 2)
