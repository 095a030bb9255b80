"""Faults of a memory of searches, for faulty.py: they go on from where they begin, for what is remembered is wrong again
and again. A search is known again by its octets (without the tag) and the mailbox of the connection."""
import collections
import re

NUMBERS = re.compile(rb'\* (SEARCH|SORT)((?: \d+)*)')
_SELECT = re.compile(rb'(?i)\S+ (?:SELECT|EXAMINE) ("[^"]*"|\S+)')
_PROGRAM = re.compile(rb'\([^)]*\)')
_UID_SEARCH = re.compile(rb'(?i)\S+ UID SEARCH ')
_FLAG = re.compile(rb'(?i)\b(SEEN|UNSEEN|ANSWERED|UNANSWERED|FLAGGED|UNFLAGGED|DELETED|UNDELETED|DRAFT|UNDRAFT|(UN)?KEYWORD)\b')
_SORT_MODSEQ = re.compile(rb'(\* SORT(?: \d+)+|\* ESEARCH [^\r]* ALL [^\r]*)( \(?MODSEQ )(\d+)(\)?\r\n)\Z')
_WRITE = re.compile(rb'(?i)\S+ (?:UID )?(?:STORE|EXPUNGE|MOVE|COPY|APPEND) ?')
_GONE = re.compile(rb'(?i)\S+ (?:DELETE|RENAME) ("[^"]*"|\S+)')
_CLOSED = re.compile(rb'(?i)\bUID (\d+:\d+)(?=[ )\r])')


def box_of(line):
    found = _SELECT.match(line)
    return found.group(1).strip(b'"').lower() if found else None


def plain(search):
    """In one spelling: a memory knows what is the same."""
    return re.sub(rb'CHARSET (UTF-8|US-ASCII) |"', b'', search.strip().upper())


def without_parentheses(text):
    """Without the ones around all of it."""
    depth = 0
    for at, octet in enumerate(text):
        depth += (octet == 0x28) - (octet == 0x29)
        if not depth and at < len(text) - 1:
            return text
    return text[1:-1] if text[:1] == b'(' else text


class SearchFault:
    """See faulty.Fault. told(conn, numbers) -> the numbers told instead."""

    def __init__(self):
        self.fired = 0
        self._known = {}            # (mailbox, search) -> what was answered first, or latest
        self._highest = {}          # mailbox -> highest UID heard of

    def command(self, line, conn):
        box = box_of(line)
        if box is not None:
            conn.box = box
        return line

    def chunk(self, data, conn):
        return data

    def key(self, conn):
        return conn.box, plain(conn.asked.partition(b' ')[2])

    def answer(self, response, conn):
        for uid in re.findall(rb'\bUID (\d+)', response[:80]):
            self._heard(conn, int(uid))
        found = NUMBERS.match(response)
        if not found or not _UID_SEARCH.match(conn.asked):
            return [response]
        numbers = [int(n) for n in found.group(2).split()]
        if numbers:
            self._heard(conn, max(numbers))
        told = self.told(conn, numbers)
        self.fired += told != numbers
        return [b'* ' + found.group(1) + b''.join(b' %d' % n for n in told) + response[found.end():]]

    def _heard(self, conn, uid):
        self._highest[conn.box] = max(uid, self._highest.get(conn.box, 0))

    def told(self, conn, numbers):
        return numbers


class ClosedAsOpen(SearchFault):
    """A closed range asked as if it were n:*, which matches the last message too."""

    def command(self, line, conn):
        super().command(line, conn)
        changed = _CLOSED.sub(rb'UID \1,*', line) if b'SEARCH' in line[:20].upper() else line
        self.fired += changed != line
        return changed


class UnsettledTailKept(SearchFault):
    """Asked again, a search knows nothing of the mail that has come since: as if that had been asked about, and not been
    found."""

    def told(self, conn, numbers):
        highest = self._known.setdefault(self.key(conn), self._highest.get(conn.box, 0))
        return [n for n in numbers if n <= highest]


class NotOverUnknown(SearchFault):
    """NOT of a search asked before: all but what was found then, messages never asked about among them."""

    def command(self, line, conn):
        super().command(line, conn)
        box, search = conn.box, line.partition(b' ')[2]
        negated = re.match(rb'UID SEARCH NOT (.*)\Z', plain(search), re.S)
        if negated:
            hits = self._known.get((box, b'UID SEARCH ' + without_parentheses(negated.group(1))))
            if hits:
                self.fired += 1
                return b'%s UID SEARCH NOT UID %s\r\n' % (line.partition(b' ')[0], b','.join(b'%d' % n for n in hits))
        return line

    def told(self, conn, numbers):
        self._known[self.key(conn)] = numbers
        return numbers


class LostCandidate(SearchFault):
    """Of a search within a set of UIDs, or asked a second time, one message is lost."""

    def told(self, conn, numbers):
        again = self._known.setdefault(self.key(conn), 0)
        self._known[self.key(conn)] += 1
        narrowed = _CLOSED.search(conn.asked) is not None
        return numbers[:-1] if numbers and again + narrowed > 1 else numbers


class StaleFlagSearched(SearchFault):
    """A search for flags is answered, for messages that were there, by the flags as they were when it was first asked."""

    def told(self, conn, numbers):
        if not _FLAG.search(conn.asked):
            return numbers
        before, highest = self._known.setdefault(self.key(conn), (numbers, self._highest.get(conn.box, 0)))
        return sorted([n for n in before if n <= highest] + [n for n in numbers if n > highest])


class KeptOverCreate(SearchFault):
    """What was found in a mailbox is told of another one that has its name later."""

    def __init__(self):
        super().__init__()
        self._gone = collections.Counter()      # mailbox -> how often it was deleted or renamed

    def command(self, line, conn):
        super().command(line, conn)
        found = _GONE.match(line)
        if found:
            self._gone[found.group(1).strip(b'"').lower()] += 1
        return line

    def told(self, conn, numbers):
        before, when = self._known.setdefault(self.key(conn), (numbers, self._gone[conn.box]))
        return before if when != self._gone[conn.box] else numbers


class StoreLast(SearchFault):
    """Of what came at once changes are made last."""

    def chunk(self, data, conn):
        lines = data.splitlines(True)
        is_change = [b' STORE ' in line for line in lines]
        if b'}\r\n' in data or is_change == sorted(is_change):
            return data
        self.fired += 1
        return b''.join(sorted(lines, key=lambda line: b' STORE ' in line))


class TornSearch(SearchFault):
    """A search lacks a message when somebody writes meanwhile."""

    def __init__(self):
        super().__init__()
        self._writes = 0            # begun and ended
        self._began = {}            # connection -> how many of them there were when its command came
        self._writing = set()

    def command(self, line, conn):
        super().command(line, conn)
        if _WRITE.match(line):
            self._writes += 1
            self._writing.add(conn)
        self._began[conn] = self._writes
        return line

    def answer(self, response, conn):
        if conn in self._writing and response[:1] not in b'*+':
            self._writing.discard(conn)
            self._writes += 1
        return super().answer(response, conn)

    def told(self, conn, numbers):
        return numbers if self._began.get(conn) == self._writes and not self._writing else numbers[1:]


class SortModseqLost(SearchFault):
    """The order alone, without the highest modseq of what is in it."""

    def answer(self, response, conn):
        found = _SORT_MODSEQ.match(response)
        if not found:
            return [response]
        self.fired += 1
        return [self.changed(found)]

    def changed(self, found):
        return found.group(1) + b'\r\n'


class SortModseqLow(SortModseqLost):
    """A modseq that none of them has."""

    def changed(self, found):
        return found.group(1) + found.group(2) + b'%d' % (int(found.group(3)) - 1) + found.group(4)


class FirstOrderKept(SearchFault):
    """Messages stay in the order that they were first told in, which on Dovecot may be a wrong one after new mail."""

    def answer(self, response, conn):
        found = NUMBERS.match(response)
        if not found or found.group(1) != b'SORT' or b' UID SORT ' not in conn.asked.upper():
            return [response]
        numbers = [int(n) for n in found.group(2).split()]
        before = self._known.setdefault((conn.box, frozenset(numbers), _PROGRAM.search(conn.asked).group().upper()), numbers)
        self.fired += before != numbers
        return [b'* SORT' + b''.join(b' %d' % n for n in before) + response[found.end():]]


FAULTS = {'first-order-kept': FirstOrderKept, 'store-last': StoreLast, 'torn-search': TornSearch, 'kept-over-create': KeptOverCreate, 'sort-modseq-lost': SortModseqLost, 'sort-modseq-low': SortModseqLow, 'closed-as-open': ClosedAsOpen, 'unsettled-tail-kept': UnsettledTailKept, 'not-over-unknown': NotOverUnknown,
          'lost-candidate': LostCandidate, 'stale-flag-searched': StaleFlagSearched}
