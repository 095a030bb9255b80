"""Mails for tests: generated from a seed, always the same, and the real ones of ../shared/mail where present."""
import pathlib
import random
import re
import time

NAMES = ('Anna Berg', 'Bo Lind', 'Chen Wei', 'Dora Ortiz', 'Emil Novak', 'Fatima Said', 'Gil Rosen', 'Hanna Vogt')
WORDS = ('account order invoice meeting garden river budget report ticket window letter summer train music kitchen '
         'bridge answer market island paper winter office delivery contract').split()
KEYWORDS = ('$Forwarded', '$Junk', 'Work', 'later', 'Project-X')
SYSTEM_FLAGS = ('\\Seen', '\\Answered', '\\Flagged', '\\Deleted', '\\Draft')
EPOCH = 1_600_000_000


class Mail:
    """octets (CRLF), flags, date (as APPEND wants it), name for reports."""
    __slots__ = ('octets', 'flags', 'date', 'name')

    def __init__(self, octets, flags=(), date='', name=''):
        self.octets, self.flags, self.date, self.name = octets, tuple(flags), date, name


def append_date(when, zone='+0000'):
    """Seconds since 1970 in the form of APPEND and INTERNALDATE."""
    return time.strftime('%d-%b-%Y %H:%M:%S ', time.gmtime(when)) + zone


def crlf(octets):
    """Every line end as CRLF."""
    return re.sub(rb'\r?\n', b'\r\n', octets)


class Generator:
    """Generator(seed).mails(200): a mixture of every kind below. next() gives one more."""

    def __init__(self, seed=1, flags=True, big=200_000):
        self._random = random.Random(seed)
        self._flags = flags
        self._big = big
        self._count = 0
        self._kinds = [(self._plain, 8), (self._alternative, 4), (self._attachments, 4), (self._nested, 2),
                       (self._eight_bit, 2), (self._odd_folds, 2), (self._no_blank_line, 1), (self._empty_body, 1),
                       (self._long_lines, 1), (self._deep, 1), (self._repeated_headers, 1), (self._large, 1)]

    def mails(self, number):
        return [self.next() for _ in range(number)]

    def next(self, kind=None):
        """One mail; @kind names one ('plain', 'large' ...)."""
        self._count += 1
        if kind is None:
            make = self._random.choices([k for k, _ in self._kinds], [w for _, w in self._kinds])[0]
        else:
            make = getattr(self, '_' + kind)
        octets = make()
        flags = []
        if self._flags:
            flags = [f for f in SYSTEM_FLAGS if self._random.random() < 0.15 and f != '\\Deleted']
            flags += [k for k in KEYWORDS if self._random.random() < 0.05]
        when = EPOCH + self._random.randrange(5 * 365) * 86400 + self._random.randrange(86400)
        return Mail(octets, flags, append_date(when), make.__name__.strip('_'))

    # ---- pieces

    def _words(self, number):
        return ' '.join(self._random.choice(WORDS) for _ in range(number))

    def _address(self):
        name = self._random.choice(NAMES)
        return '%s <%s@example.%s>' % (name, name.split()[0].lower(), self._random.choice(('com', 'org', 'net')))

    def _header(self, subject=None, extra=()):
        when = EPOCH + self._random.randrange(5 * 365) * 86400
        lines = ['Return-Path: <bounce@example.com>',
                 'Received: from mx.example.com by mail.example.org; ' + _rfc_date(when),
                 'From: ' + self._address(), 'To: ' + self._address(),
                 'Subject: ' + (subject if subject is not None else self._words(self._random.randint(1, 6))),
                 'Date: ' + _rfc_date(when),
                 'Message-ID: <%d.%d@example.com>' % (self._count, self._random.randrange(10 ** 9)),
                 'MIME-Version: 1.0']
        if self._random.random() < 0.3:
            lines.insert(4, 'Cc: %s,\r\n\t%s' % (self._address(), self._address()))
        return '\r\n'.join(lines + list(extra)) + '\r\n'

    def _text(self, lines=None):
        number = lines or self._random.randint(1, 30)
        return ''.join(self._words(self._random.randint(1, 10)) + '\r\n' for _ in range(number))

    def _boundary(self):
        return '=_%08x' % self._random.randrange(1 << 32)

    def _base64(self, octets):
        line = ''.join(self._random.choices('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/', k=76))
        return (line + '\r\n') * (octets // 57 + 1)

    def _multipart(self, subtype, parts):
        boundary = self._boundary()
        body = ''.join('--%s\r\n%s' % (boundary, part) for part in parts)
        return ('Content-Type: multipart/%s; boundary="%s"\r\n\r\n%s--%s--\r\n' % (subtype, boundary, body, boundary))

    def _text_part(self, subtype='plain'):
        return 'Content-Type: text/%s; charset=utf-8\r\n\r\n%s' % (subtype, self._text())

    # ---- kinds

    def _plain(self):
        return (self._header(extra=['Content-Type: text/plain; charset=us-ascii']) + '\r\n' + self._text()).encode()

    def _alternative(self):
        parts = [self._text_part(), self._text_part('html')]
        return (self._header() + self._multipart('alternative', parts)).encode()

    def _attachments(self):
        parts = [self._text_part()]
        for number in range(self._random.randint(1, 3)):
            parts.append('Content-Type: application/octet-stream; name="file%d.bin"\r\n'
                         'Content-Disposition: attachment; filename="file%d.bin"\r\n'
                         'Content-Transfer-Encoding: base64\r\n\r\n%s'
                         % (number, number, self._base64(self._random.randint(100, 6000))))
        return (self._header() + self._multipart('mixed', parts)).encode()

    def _nested(self):
        inner = (self._header() + 'Content-Type: text/plain\r\n\r\n' + self._text())
        parts = [self._text_part(), 'Content-Type: message/rfc822\r\n\r\n' + inner]
        return (self._header('Fwd: ' + self._words(2)) + self._multipart('mixed', parts)).encode()

    def _deep(self):
        inner = self._multipart('alternative', [self._text_part(), self._text_part('html')])
        for _ in range(self._random.randint(1, 4)):
            inner = self._multipart('mixed', [self._text_part(), inner])
        return (self._header() + inner).encode()

    def _eight_bit(self):
        head = self._header('Gr\u00fc\u00dfe aus K\u00f6ln ' + self._words(1))
        return (head + 'Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\n'
                + 'd\u00e9j\u00e0 vu ' + self._text()).encode('latin-1')

    def _odd_folds(self):
        extra = ['X-Folded: one\r\n two\r\n\tthree\r\n    four', 'X-Empty:', 'X-Tabs:\tvalue',
                 'References: <a@example.com>\r\n <b@example.com>\r\n  <c@example.com>']
        return (self._header('folded\r\n  subject ' + self._words(3), extra) + '\r\n' + self._text()).encode()

    def _no_blank_line(self):
        return self._header('header only ' + self._words(2)).encode()

    def _empty_body(self):
        return (self._header('nothing inside') + '\r\n').encode()

    def _long_lines(self):
        return (self._header('long ' + self._words(1)) + '\r\n' + self._words(1500) + '\r\n' + self._text(2)).encode()

    def _repeated_headers(self):
        extra = ['Received: hop %d' % n for n in range(4)] + ['Subject: second subject', 'X-Twice: a', 'x-twice: b']
        return (self._header(extra=extra) + '\r\n' + self._text(3)).encode()

    def _large(self):
        return (self._header('large ' + self._words(2)) + '\r\n' + self._base64(self._big)).encode()


def _rfc_date(when):
    return time.strftime('%a, %d %b %Y %H:%M:%S +0000', time.gmtime(when))


def real_mail_folder():
    """../shared/mail seen from the project's root, or None."""
    folder = pathlib.Path(__file__).resolve().parents[4] / 'shared' / 'mail'
    return folder if folder.is_dir() else None


def real_mails(limit=None, largest=2_000_000):
    """Real mail as Mail objects with CRLF line ends, in a fixed order; empty where the folder is not there."""
    folder = real_mail_folder()
    if folder is None:
        return []
    mails = []
    for path in sorted(p for p in folder.rglob('*') if p.is_file() and p.name != 'README.md'):
        octets = crlf(path.read_bytes())
        if octets and b'\0' not in octets and len(octets) <= largest:
            mails.append(Mail(octets, (), append_date(EPOCH + len(mails) * 3600), path.name))
    return mails if limit is None else mails[:limit]
