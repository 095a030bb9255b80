"""Random MIME for tests of derivation: trees that are almost always well-formed, and mutations of any mail that mostly
are not. The same seed gives the same mails."""
import random

from . import mailgen

BOUNDARIES = ('b%d', '=_%d_part', '----=_Part_%d.x', "odd'()+_,-./:=?%d", 'long' * 15 + '%d')
TEXTS = (b'one line', b'one line\r\n', b'several\r\nlines\r\n', b'blank at the end\r\n\r\n', b'--\r\nsignature\r\n',
         b'-- not a delimiter\r\n', b'From here on\r\n.\r\n', b'=C3=A4=20\r\n', b'x' * 900 + b'\r\n', b'\r\n\r\n',
         b'tab\there\r\n', b'')
LEAVES = (b'Content-Type: text/plain\r\n', b'Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n',
          b'Content-Type: text/html; charset="us-ascii"\r\nContent-ID: <a@b>\r\n',
          b'Content-Type: application/octet-stream;\r\n name="a (1).bin"\r\nContent-Transfer-Encoding: base64\r\n'
          b'Content-Disposition: attachment\r\n',
          b'Content-Type: IMAGE/Png; name=x.png\r\nContent-Description: a picture\r\n',
          b'Content-Type: message/delivery-status\r\n', b'Content-Type: text/plain\r\nX-Other: field\r\n',
          b'Content-Disposition: inline\r\n')


class MimeGenerator:
    """mails(n): random trees. mutated(octets): one of the many ways to spoil a mail."""

    def __init__(self, seed=1):
        self._random = random.Random(seed)
        self._count = 0

    def mails(self, number):
        return [mailgen.Mail(self.message(), (), '', 'tree%d' % n) for n in range(number)]

    def message(self, depth=0):
        self._count += 1
        head = b'From: Anna <a@example.com>\r\nSubject: tree %d\r\nTo: b@example.com,\r\n c@example.com\r\n' % self._count
        if depth > 0 and self._random.random() < 0.3:
            return head + b'\r\n' + self._text()
        return head + self._random.choice((b'MIME-Version: 1.0\r\n', b'Mime-Version: 1.0 (generated)\r\n')) + self._part(depth)

    def _text(self):
        return b''.join(self._random.choice(TEXTS) for _ in range(self._random.randrange(1, 4)))

    def _part(self, depth, in_digest=False):
        kind = self._random.random()
        if depth < 4 and (kind < 0.35 or depth == 0 and kind < 0.9):
            return self._multipart(depth)
        if depth > 0 and depth < 4 and (kind < 0.5 or in_digest):
            return self._random.choice((b'Content-Type: message/rfc822\r\n',
                                        b'Content-Type: message/rfc822\r\nContent-Disposition: attachment\r\n')) \
                + b'\r\n' + self.message(depth + 1)
        leaf = self._random.choice(LEAVES)
        return leaf + b'\r\n' + (b'AAECAw==\r\n' if b'base64' in leaf else self._text())

    def _multipart(self, depth):
        choose = self._random
        self._count += 1
        boundary = (choose.choice(BOUNDARIES) % self._count)[:70].encode()
        subtype = choose.choice((b'mixed', b'alternative', b'related', b'report', b'MIXED', b'x-own', b'digest'))
        out = [b'Content-Type: multipart/', subtype, choose.choice((b'; ', b';\r\n\t')), b'boundary="', boundary, b'"\r\n\r\n',
               choose.choice((b'', b'', b'This is MIME.\r\n', b'\r\n'))]
        for _ in range(choose.randrange(1, 4)):
            out += [b'--', boundary, b'\r\n', self._part(depth + 1, subtype == b'digest'), b'\r\n']
        return b''.join(out) + b'--' + boundary + b'--' + \
            choose.choice((b'\r\n', b'\r\n', b'', b'\r\n\r\n') + ((b'\r\nepilogue\r\n',) if choose.random() < 0.2 else ()))

    def mutated(self, octets):
        """Lines lost, doubled, swapped, cut or changed: mostly where they matter."""
        lines = octets.split(b'\r\n')
        choose = self._random
        for _ in range(choose.randrange(1, 3)):
            dashes = [n for n, line in enumerate(lines) if line.startswith(b'--') or b'oundary' in line or line[:8].lower() == b'content-']
            at = choose.choice(dashes) if dashes and choose.random() < 0.8 else choose.randrange(len(lines))
            line = lines[at]
            how = choose.randrange(10)
            if how == 0:
                del lines[at]
            elif how == 1:
                lines.insert(at, line)
            elif how == 2:
                lines[at] = line + choose.choice((b' ', b'-', b'--', b'\t', b'x', b';', b' (c)'))
            elif how == 3:
                lines[at] = choose.choice((b' ', b'-', b'')) + line
            elif how == 4:
                lines[at] = line[:-1]
            elif how == 5:
                lines.insert(at, b'')
            elif how == 6:
                lines[at] = line.swapcase()
            elif how == 7 and at + 1 < len(lines):
                lines[at], lines[at + 1] = lines[at + 1], lines[at]
            elif how == 8:
                lines[at] = line.replace(b'"', b'', 1)
            else:
                lines[at] = choose.choice((b'Content-Type: text/plain', b'Content-Type: message/rfc822', b'MIME-Version: 1.0',
                                           b'Content-Transfer-Encoding: base64', b'Content-Type: multipart/mixed; boundary=z', b'--z--'))
            lines = lines or [b'']
        return b'\r\n'.join(lines)
