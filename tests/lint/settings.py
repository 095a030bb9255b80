#!/usr/bin/python3
"""Every key of the configuration table is in the commented example and in the man page, and nothing else is; the
example's defaults are those of the man page's words only where a reader can check them, so they are not compared."""
import pathlib
import re
import sys


def table_keys(text):
    return set(re.findall(r'^    \{"(\w+)", "(\w+)", CONFIG_', text, re.M))


def example_keys(text):
    """Commented-out lines count: "# key = value" and "# section {"."""
    found, section = set(), None
    for line in text.splitlines():
        line = re.sub(r'^\s*#? ?', '', line).strip()
        opened = re.match(r'(\w+)(?: "[^"]*")? \{$', line)
        key = re.match(r'(\w+) = \S', line)
        if opened:
            section = opened.group(1)
        elif line == '}':
            section = None
        elif section:
            line = re.sub(r'^#\s*', '', line)
            key = re.match(r'(\w+) = \S', line)
            if key:
                found.add((section, key.group(1)))
    return found


def manual_keys(text):
    found, section = set(), None
    lines = text.splitlines()
    for before, line in zip([''] + lines, lines):
        opened = re.match(r'\.SH "SECTION (\w+)', line)
        if opened:
            section = opened.group(1)
        elif line.startswith('.SH'):
            section = None
        elif section and before == '.TP':
            words = re.sub(r'"[^"]*"', lambda m: ' , ' if m.group() in ('", "',) else
                           re.sub(r'\([^)]*\)?', '', m.group().strip('"')), line)
            found |= {(section, w) for w in re.findall(r'\b[a-z_]+\b', words.split(' ', 1)[1])}
    return found


def main(root):
    root = pathlib.Path(root)
    keys = table_keys((root / 'proxy/config_keys.c').read_text())
    if len(keys) < 20:
        print('proxy/config_keys.c: the table was not found by this lint')
        return 1
    problems = []
    for name, said in (('conf/imapcached.conf', example_keys((root / 'conf/imapcached.conf').read_text())),
                       ('conf/imapcached.conf.5', manual_keys((root / 'conf/imapcached.conf.5').read_text()))):
        problems += ['%s: %s %s is missing' % (name, *key) for key in sorted(keys - said)]
        problems += ['%s: %s %s is not a key' % (name, *key) for key in sorted(said - keys)]
    print('\n'.join(problems))
    return 1 if problems else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parents[2]))
