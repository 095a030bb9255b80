#!/usr/bin/python3
"""Run by hand: are HEADER, TEXT, HEADER.FIELDS and .NOT, derived from BODY[] of well-formed messages, the very bytes
Dovecot answers?  Random messages, random field lists; builds the mime code as a shared library and calls it.

    tests/unit/imap/against_dovecot.py [messages] [seed]
"""
import ctypes
import imaplib
import pathlib
import random
import re
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(TOP / 'tests/support'))
from imapjudge import dovecot  # noqa: E402

GLUE = r'''
#include "imap/mime.h"
#include <string.h>
long derive(const char *msg, size_t n, const char **names, size_t names_n, int is_not, char *out, size_t room);
long derive(const char *msg, size_t n, const char **names, size_t names_n, int is_not, char *out, size_t room)
{
    struct mime_octets octets = {0};
    size_t len;
    mime_octets_feed(&octets, slice_of(msg, n));
    if (!mime_octets_ok(&octets) || !mime_header_ok(slice_of(msg, n), &len)) {
        return -1;
    }
    if (names_n == 0) {
        return (long)len;
    }
    struct arena arena;
    struct buf buf;
    struct slice list[64];
    arena_init(&arena, 1 << 20);
    buf_init(&buf, 0);
    for (size_t i = 0; i < names_n; i++) {
        list[i] = slice_str(names[i]);
    }
    struct mime_fields fields;
    if (mime_fields_init(&fields, &arena, list, names_n) != OK) {
        return -2;
    }
    mime_fields_extract(&fields, is_not != 0, slice_of(msg, len), &buf);
    long got = (long)buf.len;
    memcpy(out, buf.data, buf.len < room ? buf.len : room);
    buf_fini(&buf);
    arena_reset(&arena);
    return got;
}
'''


def build(folder):
    glue = folder / 'glue.c'
    glue.write_text(GLUE)
    sources = ['proxy/imap/mime.c', 'proxy/imap/mimefields.c', 'cache/base/arena.c', 'cache/base/buf.c',
               'cache/base/slice.c', 'cache/base/alloc.c', 'cache/base/check.c']
    subprocess.run(['cc', '-std=c11', '-D_GNU_SOURCE', '-shared', '-fPIC', '-O1', '-iquote', str(TOP / 'include'),
                    '-o', str(folder / 'glue.so'), str(glue)] + [str(TOP / s) for s in sources], check=True)
    lib = ctypes.CDLL(str(folder / 'glue.so'))
    lib.derive.restype = ctypes.c_long
    lib.derive.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.POINTER(ctypes.c_char_p), ctypes.c_size_t,
                           ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t]
    return lib


NAMES = [b'Subject', b'From', b'To', b'Received', b'X-A', b'X-Ab', b'Date', b'Message-ID', b'Sub', b'x', b'List-Id',
         b'Content-Type', b'MIME-Version', b'Content-Transfer-Encoding', b'X_Odd!#$%&\'*+-/=?^`{|}~']


def random_message(rng):
    out = []
    for _ in range(rng.randrange(1, 14)):
        name = rng.choice(NAMES)
        name = rng.choice([name, name.lower(), name.upper()])
        value = rng.choice([b' ', b'', b'  ', b'\t']) + bytes(rng.choice(b'abc :;<>"\\()@\xe4\xc3\x01') for _ in range(rng.randrange(0, 30)))
        if name.lower() == b'content-type':
            value = rng.choice([b' text/plain', b' multipart/mixed; boundary=x', b' multipart/mixed;\r\n boundary="x y"',
                                b' multipart/mixed', b' message/rfc822', b' (c) text/html', b'', b' TEXT/PLAIN; charset=x'])
        for _ in range(rng.choice([0, 0, 0, 1, 2])):
            value += b'\r\n' + rng.choice([b' ', b'\t', b' \t ']) + rng.choice([b'fold', b'', b'a: b', b'Subject: x'])
        out.append(name + rng.choice([b':', b':', b':', b':', b':', b' :']) + value + rng.choice([b'\r\n'] * 30 + [b'\n']))
    body = b''.join(rng.choice([b'line\r\n', b'\r\n', b'--x\r\n', b'--x y\r\n', b'--x--\r\n', b'From: z\r\n', b'no end', b'\n', b'\r'])
                    if rng.random() < 0.9 else b'text\r\n' for _ in range(rng.randrange(0, 6)))
    return b''.join(out) + rng.choice([b'\r\n'] * 12 + [b'', b'\n']) + body


def literal(data, pattern):
    for part in data:
        if isinstance(part, tuple) and re.search(pattern, part[0]):
            return part[1]
    for part in data:
        text = part if isinstance(part, bytes) else part[0]
        if re.search(pattern + rb' ""', text):
            return b''
    raise AssertionError('no %r in %r' % (pattern, data))


def compare(box, lib, uid, rng):
    """1 when the message was well-formed and all derived items were the server's."""
    whole = literal(box.uid('FETCH', uid, '(BODY.PEEK[])')[1], rb'BODY\[\]')
    none = (ctypes.c_char_p * 1)()
    header_len = lib.derive(whole, len(whole), none, 0, 0, None, 0)
    if header_len < 0:
        return 0
    parts = box.uid('FETCH', uid, '(BODY.PEEK[HEADER] BODY.PEEK[TEXT])')[1]
    assert literal(parts, rb'BODY\[HEADER\]') == whole[:header_len], whole
    assert literal(parts, rb'BODY\[TEXT\]') == whole[header_len:], whole
    for is_not in (0, 1):
        names = rng.sample(NAMES[:-1], rng.randrange(1, 6)) + ([NAMES[-1].replace(b'{', b'')] if rng.random() < 0.1 else [])
        out = ctypes.create_string_buffer(1 << 16)
        n = lib.derive(whole, len(whole), (ctypes.c_char_p * len(names))(*names), len(names), is_not, out, len(out))
        item = '(BODY.PEEK[HEADER.FIELDS%s (%s)])' % ('.NOT' if is_not else '', ' '.join('"%s"' % n.decode() for n in names))
        want = literal(box.uid('FETCH', uid, item)[1], rb'BODY\[HEADER.FIELDS')
        assert want == out.raw[:n], (whole, names, is_not, want, out.raw[:n])
    return 1


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    rng = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    with tempfile.TemporaryDirectory() as folder, dovecot.Dovecot(users=1) as server:
        lib = build(pathlib.Path(folder))
        box = imaplib.IMAP4(server.host, server.port)
        box.login('u0', 'pw')
        good = 0
        for _ in range(count):
            message = random_message(rng)
            box.literal = message
            box._simple_command('APPEND', 'INBOX')
        box.select('INBOX')
        for uid in box.uid('SEARCH', 'ALL')[1][0].split():
            good += compare(box, lib, uid.decode(), rng)
        print('%d messages, %d well-formed, all derived items equal' % (count, good))
        box.logout()


if __name__ == '__main__':
    main()
