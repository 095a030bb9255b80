#!/usr/bin/python3
"""Run by hand: do real servers select the same messages by a search program as it was written, and by its canonical
form; is each part of that form accepted where the whole is?  Random programs over generated mail; CMake has built
the library (build/dev), conf/servers has unpacked the servers.

    tests/unit/imap/search_against_servers.py [programs] [seed] [server ...]
"""
import pathlib
import random
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(TOP / 'tests/support'))
from imapjudge import mailgen, servers  # noqa: E402

GLUE = r'''
#include <stdio.h>
#include "imap/searchcanon.h"

static enum status resolve(void *arg, const struct search_node *leaf, struct ranges *out)
{
    return seqset_resolve(&leaf->set, *(uint32_t *)arg, out);
}

static void show(const struct search_node *node, uint32_t last)
{
    struct outcmd cmd;
    struct buf text;
    outcmd_init(&cmd);
    buf_init(&text, 0);
    if (search_write(node, resolve, &last, &cmd) == OK) {
        outcmd_inline(&cmd, &text);
    }
    printf("%.*s\n", (int)text.len, text.len > 0 ? text.data : "");
    buf_fini(&text);
    outcmd_fini(&cmd);
}

int main(int argc, char **argv)
{
    char line[65536];
    uint32_t last = (uint32_t)strtoul(argc > 1 ? argv[1] : "0", NULL, 10);
    while (fgets(line, sizeof(line), stdin) != NULL) {
        struct arena arena;
        struct lexer lx;
        struct search_node *root, *canonical;
        struct search_part parts[SEARCH_PARTS_MAX];
        size_t n = 0;
        arena_init(&arena, 4 << 20);
        lexer_init(&lx, unit_of(slice_of(line, strlen(line) - 1)), LEXER_LENIENT);
        if (search_parse(&lx, &arena, &root) == OK && search_normalize(root, &arena, &canonical) == OK &&
            search_parts(canonical, SLICE(""), parts, &n) == OK) {
            show(canonical, last);
        } else {
            printf("\n");
        }
        printf("%zu\n", n);
        for (size_t i = 0; i < n; i++) {
            show(parts[i].node, last);
        }
        fflush(stdout);
        arena_reset(&arena);
    }
    return 0;
}
'''
# Dovecot 2.3 is wrong in two cases, so each leaf comes once in a program: by `OR a (x NOT x)`, x a flag and a another
# key, it may select all; by `NOT ((a x) (b x))` it selects as by NOT x.
FLAGS = ('SEEN', 'FLAGGED', 'UNDELETED', 'ANSWERED', 'UNDRAFT', 'ALL', 'KEYWORD $Junk', 'UNKEYWORD Work')
WORDS = ('order', 'Invoice', 'GARDEN', 'Anna', 'Lind', 'example', 'a', 'xyzzy', 'or', 'meeting report')


class Canon:
    """The library behind a pipe: a program in, its canonical form and that form's parts out."""

    def __init__(self, folder, last):
        source, binary = folder / 'glue.c', folder / 'glue'
        source.write_text(GLUE)
        subprocess.run(['cc', '-D_GNU_SOURCE', '-iquote', str(TOP / 'include'), '-include', 'stdlib.h', '-include', 'string.h',
                        '-o', str(binary), str(source)] + [str(TOP / 'build/dev' / name) for name in ('libimap.a', 'libbase.a')] +
                       ['-lroaring', '-lxxhash', '-lm', '-lpthread'], check=True)
        self._pipe = subprocess.Popen([str(binary), str(last)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def ask(self, program):
        self._pipe.stdin.write(program + '\n')
        self._pipe.stdin.flush()
        whole = self._pipe.stdout.readline().strip('\n')
        return whole, [self._pipe.stdout.readline().strip('\n') for _ in range(int(self._pipe.stdout.readline()))]

    def close(self):
        self._pipe.stdin.close()
        self._pipe.wait()


def leaf(rng, last):
    word = rng.choice(WORDS)
    day = '%02d-%s-20%02d' % (rng.randrange(1, 29), rng.choice(('Jan', 'feb', 'MAY', 'Oct')), rng.randrange(19, 27))
    first = rng.randrange(1, last + 1)
    return rng.choice((
        rng.choice(FLAGS),
        'UID %d:%d' % (first, min(last, first + rng.randrange(40))),
        '%s "%s"' % (rng.choice(('FROM', 'TO', 'CC', 'SUBJECT', 'TEXT', 'BODY', 'subject', 'from')), word),
        '%s "%s"' % (rng.choice(('FROM', 'SUBJECT', 'TEXT')), word),
        'HEADER %s "%s"' % (rng.choice(('Message-ID', 'FROM', 'X-Mailer', 'subject', 'List-Id')), rng.choice(('', word))),
        '%s %s' % (rng.choice(('BEFORE', 'ON', 'SINCE', 'SENTBEFORE', 'SENTSINCE', 'SENTON')), day),
        '%s %d' % (rng.choice(('LARGER', 'SMALLER')), rng.choice((300, 1000, 5000, 100000)))))


def program(rng, depth, last, used):
    """No NOT right under a NOT: Courier refuses that."""
    kind = rng.randrange(5) if depth else 0
    if kind == 1:
        return 'NOT (%s)' % program(rng, depth - 1, last, used)
    if kind == 2:
        return 'OR %s %s' % (program(rng, depth - 1, last, used), program(rng, depth - 1, last, used))
    if kind > 2:
        return '(%s)' % ' '.join(program(rng, depth - 1, last, used) for _ in range(rng.randrange(1, 4)))
    while True:
        found = leaf(rng, last)
        if found.upper() not in used:
            used.add(found.upper())
            return found


def uids(client, criteria):
    result = client.cmd('UID SEARCH ' + criteria, timeout=60)
    return result.search() if result.ok else None


def compare(name, count, seed):
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder, servers.KINDS[name](users=1) as server:
        mails = mailgen.Generator(seed).mails(120)
        server.fill('u0', 'INBOX', mails, create=False)
        client = server.client('u0')
        client.select('INBOX')
        last = max(uids(client, 'ALL'))
        canon = Canon(pathlib.Path(folder), last)
        parts_n, refused = 0, 0
        for _ in range(count):
            used = set()
            written = ' '.join(program(rng, 4, last, used) for _ in range(rng.randrange(1, 3)))
            canonical, parts = canon.ask(written)
            assert canonical, written
            want, got = uids(client, written), uids(client, canonical)
            assert want == got, '%s: %s\n%s\n%s: %s' % (name, written, want, canonical, got)
            refused += want is None
            parts_n += len(parts)
            assert want is None or all(uids(client, part) is not None for part in parts), (written, parts)
        canon.close()
        print('%s: %d programs (%d refused), %d parts: equal' % (name, count, refused, parts_n), flush=True)


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    for name in sys.argv[3:] or servers.KINDS:
        compare(name, count, seed)


if __name__ == '__main__':
    main()
