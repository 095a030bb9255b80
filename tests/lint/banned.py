#!/usr/bin/python3
"""Functions that are not called: unbounded or locale-dependent ones anywhere, libraries outside the layer that owns them,
raw allocation outside base. Comments and strings do not count."""
import pathlib
import re
import sys

ANYWHERE = ('strcpy strcat sprintf vsprintf strtok gets atoi atol atoll atof scanf '
            'alloca gethostbyname getaddrinfo setlocale system popen rand srand tmpnam mktemp').split()
# (pattern of a call, folders that may)
OWNED = (
    (re.compile(r'(?<![\w.>*])(?:malloc|calloc|realloc|reallocarray|free|strdup|strndup)\s*\('), ('cache/base',)),
    (re.compile(r'\bmdb_\w+\s*\('), ('cache/store',)),
    (re.compile(r'\b(?:SSL|BIO|X509|PEM|ERR|EVP|OPENSSL|RAND|HMAC|CRYPTO)_\w+\s*\('), ('proxy/net',)),
    (re.compile(r'\bev_\w+\s*\('), ('proxy/net',)),
    (re.compile(r'\bares_\w+\s*\('), ('proxy/net',)),
    (re.compile(r'\bcfg_\w+\s*\('), ('proxy',)),
)
BANNED = re.compile(r'(?<![\w.>])(?:%s)\s*\(' % '|'.join(ANYWHERE))
NOISE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.S)


def blank(match):
    return re.sub(r'[^\n]', ' ', match.group())


def check(root, path):
    name = path.relative_to(root)
    folder = str(name.parent)
    for number, line in enumerate(NOISE.sub(blank, path.read_text()).split('\n'), 1):
        found = BANNED.search(line)
        if found:
            yield '%s:%d: %s) is banned' % (name, number, found.group())
        for pattern, folders in OWNED:
            found = pattern.search(line)
            if found and folder not in folders:
                yield '%s:%d: %s) only in %s' % (name, number, found.group(), ', '.join(folders))


def main(root):
    root = pathlib.Path(root).resolve()
    files = [p for top in ('cache', 'proxy', 'include') for p in sorted((root / top).rglob('*.[ch]'))]
    problems = [problem for path in files for problem in check(root, path)]
    print('\n'.join(problems or ['%d files' % len(files)]))
    return 1 if problems or not files else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parents[2]))
