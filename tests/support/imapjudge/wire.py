"""IMAP on the wire: parsing responses into Python values, and scanning streams for lines and literals.

Nothing here talks to a socket. Used by the client, the tap, the scripted server and the faulty relay.
"""
import re

_QUOTED = re.compile(rb'"((?:[^"\\\r\n]|\\.)*)"')
_LITERAL = re.compile(rb'~?\{(\d+)\+?\}\r?\n')
_ATOM = re.compile(rb'[^\s()"]+')
_ITEM_NAME = re.compile(rb'[A-Za-z0-9.\-]+')
_PARTIAL = re.compile(rb'<(\d+)(?:\.\d+)?>')
_CODE = re.compile(rb'\[([^\s\]]+)(?: ([^\]]*))?\]')
_LITERAL_AT_END = re.compile(rb'~?\{(\d+)(\+?)\}\r?\n\Z')
_UNESCAPE = re.compile(rb'\\(.)', re.S)
STATUS_WORDS = frozenset((b'OK', b'NO', b'BAD', b'BYE', b'PREAUTH'))


class ParseError(ValueError):
    """The bytes are no legal IMAP response."""


class Atom(bytes):
    """A bare word, as opposed to a string: the atom NIL is None, an atom of digits an int."""


def literal_at_end(line):
    """(octets, non_sync) when @line (with its line end) announces a literal, else None."""
    found = _LITERAL_AT_END.search(line[-40:])
    return (int(found.group(1)), found.group(2) == b'+') if found else None


def parse_value(raw, pos):
    """One value at @pos: list, bytes (string), Atom, int or None (NIL). Returns (value, next position)."""
    first = raw[pos:pos + 1]
    if first == b'(':
        return _parse_list(raw, pos + 1)
    if first == b'"':
        found = _QUOTED.match(raw, pos)
        if not found:
            raise ParseError('open quoted string at %d: %r' % (pos, raw[pos:pos + 40]))
        text = found.group(1)
        return (_UNESCAPE.sub(rb'\1', text) if b'\\' in text else text), found.end()
    if first in (b'{', b'~'):
        found = _LITERAL.match(raw, pos)
        if found:
            end = found.end() + int(found.group(1))
            if end > len(raw):
                raise ParseError('short literal at %d' % pos)
            return raw[found.end():end], end
    found = _ATOM.match(raw, pos)
    if not found:
        raise ParseError('no value at %d: %r' % (pos, raw[pos:pos + 40]))
    text = found.group()
    if text.isdigit():
        return int(text), found.end()
    return (None if text.upper() == b'NIL' else Atom(text)), found.end()


def _parse_list(raw, pos):
    items = []
    while True:
        char = raw[pos:pos + 1]
        if char == b')':
            return items, pos + 1
        if char == b' ':
            pos += 1
            continue
        value, pos = parse_value(raw, pos)
        items.append(value)


def parse_values(raw, pos=0):
    """All values up to the end of the line."""
    values = []
    end = len(raw)
    while pos < end and raw[pos:pos + 1] not in (b'\r', b'\n'):
        if raw[pos:pos + 1] == b' ':
            pos += 1
            continue
        value, pos = parse_value(raw, pos)
        values.append(value)
    return values


def _parse_section(raw, pos):
    """From '[' to behind ']' (and <origin>): the label in canonical form, and the next position."""
    out = [b'[']
    pos += 1
    while raw[pos:pos + 1] != b']':
        char = raw[pos:pos + 1]
        if char == b'':
            raise ParseError('open section')
        if char == b'"' or _LITERAL.match(raw, pos):
            value, pos = parse_value(raw, pos)
            out.append(value)
            continue
        out.append(char)
        pos += 1
    pos += 1
    label = b''.join(out) + b']'
    found = _PARTIAL.match(raw, pos)
    if found:
        label += b'<' + found.group(1) + b'>'
        pos = found.end()
    return label, pos


def parse_fetch(raw, pos):
    """The list of a FETCH response: (name, value) pairs in order; names upper-case, labels unquoted."""
    if raw[pos:pos + 1] != b'(':
        raise ParseError('FETCH without list: %r' % raw[:80])
    pos += 1
    items = []
    while True:
        char = raw[pos:pos + 1]
        if char == b')':
            break
        if char == b' ':
            pos += 1
            continue
        found = _ITEM_NAME.match(raw, pos)
        if not found:
            raise ParseError('no FETCH item at %d: %r' % (pos, raw[pos:pos + 40]))
        name = found.group().upper()
        pos = found.end()
        if raw[pos:pos + 1] == b'[':
            label, pos = _parse_section(raw, pos)
            name += label.upper()
        if raw[pos:pos + 1] != b' ':
            raise ParseError('FETCH item %r without value' % name)
        value, pos = parse_value(raw, pos + 1)
        items.append((name.decode('latin-1'), value))
    if raw[pos + 1:].strip(b'\r\n'):
        raise ParseError('garbage behind FETCH: %r' % raw[pos + 1:pos + 60])
    return items


class Response:
    """One server response, parsed: kind is 'untagged', 'tagged' or 'continue'.

    name: upper-case word (EXISTS, FETCH, SEARCH, OK ...); num: the number before it or None;
    code, code_args: of a status response; data: parsed values (FETCH: pairs); raw: all octets."""
    __slots__ = ('raw', 'kind', 'tag', 'name', 'num', 'code', 'code_args', 'text', '_data')

    def __init__(self, raw):
        self.raw = raw
        self.tag = self.num = self.code = self.code_args = None
        self.name = ''
        self.text = b''
        self._data = None
        if raw[:1] == b'+':
            self.kind = 'continue'
            self.text = raw[2:].rstrip(b'\r\n')
            return
        line = raw.split(b'\r\n', 1)[0]
        words = line.split(b' ', 3)
        if len(words) < 2:
            raise ParseError('no response: %r' % raw[:80])
        if words[0] == b'*':
            self.kind = 'untagged'
        else:
            self.kind = 'tagged'
            self.tag = words[0].decode('latin-1')
        start = len(words[0]) + 1
        if self.kind == 'untagged' and words[1].isdigit():
            if len(words) < 3:
                raise ParseError('number without response: %r' % raw[:80])
            self.num = int(words[1])
            start += len(words[1]) + 1
            self.name = words[2].upper().decode('latin-1')
            self._data = start + len(words[2]) + 1
            return
        self.name = words[1].upper().decode('latin-1')
        start += len(words[1]) + 1
        if words[1].upper() in STATUS_WORDS:
            self._status(line, start)
        else:
            self._data = start

    def _status(self, line, start):
        self.text = line[start:]
        found = _CODE.match(line, start)
        if found:
            self.code = found.group(1).upper().decode('latin-1')
            self.code_args = found.group(2)
            self.text = line[found.end():].lstrip(b' ')

    @property
    def data(self):
        """Parsed on first use: FETCH gives pairs, everything else a list of values."""
        if isinstance(self._data, int):
            self._data = (parse_fetch if self.name == 'FETCH' else parse_values)(self.raw, self._data)
        return self._data

    def __repr__(self):
        return '<%s>' % self.raw[:200].decode('latin-1').rstrip()


def parse_set(text):
    """'1:3,7' as a list of numbers; no '*'."""
    out = []
    if isinstance(text, int):
        return [text]
    for part in (text.decode('ascii') if isinstance(text, bytes) else text).split(','):
        low, _, high = part.partition(':')
        low, high = int(low), int(high or low)
        out.extend(range(min(low, high), max(low, high) + 1))
    return out


def format_set(numbers):
    """Sorted numbers as a sequence set with ranges."""
    out, run = [], []
    for number in sorted(numbers):
        if run and number == run[-1] + 1:
            run.append(number)
            continue
        if run:
            out.append(run)
        run = [number]
    if run:
        out.append(run)
    return ','.join('%d:%d' % (r[0], r[-1]) if len(r) > 1 else str(r[0]) for r in out)


class Scanner:
    """Follows one direction of an IMAP stream without keeping literals.

    feed() calls, with absolute stream offsets:
      on_line_start(offset, first)  first octet (an int) of a new line is known
      on_literal(offset, octets)    a literal begins at offset
      on_line(offset, end, text)    a line is complete; text is it without the literals' octets
    A line longer than max_text (without literals) is cut in what is reported, not in what is counted.
    starred=False tells that nobody wants lines beginning with '*': they are passed over quickly."""

    def __init__(self, starred=True, max_text=1 << 20):
        self.offset = 0
        self.starred = starred
        self._max_text = max_text
        self._parts = []
        self._carry = b''
        self._at_start = True
        self._skip = 0
        self._line_offset = 0
        self._quiet = False

    def on_line_start(self, offset, first):
        pass

    def on_literal(self, offset, octets):
        pass

    def on_line(self, offset, end, text):
        pass

    def cancel_literal(self):
        """The announced literal will not come (the server refused it): the line has ended."""
        self._skip = 0
        self._end_line(self.offset)

    def _end_line(self, end):
        parts, self._parts = self._parts, []
        self._at_start = True
        if not self._quiet:
            self.on_line(self._line_offset, end, b''.join(parts))

    def feed(self, data):
        base = self.offset - len(self._carry)
        pos = min(self._skip, len(data))
        self._skip -= pos
        if self._carry:
            data = self._carry + data
            self._carry = b''
        size = len(data)
        self.offset = base + size
        while pos < size:
            if self._at_start:
                self._begin(base + pos, data[pos])
            end = data.find(b'\n', pos) + 1
            if not end:
                self._carry = data[pos:]
                return
            tail = data[max(pos, end - 40):end]
            found = _LITERAL_AT_END.search(tail) if tail[-3:-2] == b'}' or tail[-2:-1] == b'}' else None
            if not self._quiet or not found:
                self._keep(data[pos:end])
            if found is None:
                self._end_line(base + end)
                pos = end
                continue
            octets = int(found.group(1))
            # What is behind belongs to the literal only if it was sent with it: see cancel_literal.
            self.offset = base + end
            self.on_literal(base + end, octets)
            self.offset = base + size
            pos = min(end + octets, size)
            self._skip = octets - (pos - end)

    def _begin(self, offset, first):
        self._at_start = False
        self._line_offset = offset
        self._quiet = not self.starred and first == 0x2a
        self.on_line_start(offset, first)

    def _keep(self, text):
        if not self._quiet and sum(map(len, self._parts)) < self._max_text:
            self._parts.append(text)
