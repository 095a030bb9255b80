#!/usr/bin/python3
"""Text of the project: no marks of unfinished work, no tabs or trailing blanks in code, no line far over 100 columns
in C, a newline at the end, and at the root only what belongs there."""
import pathlib
import re
import subprocess
import sys

UNFINISHED = re.compile(r'\b(?:TO' r'DO|FIX' r'ME|XX' r'X|HA' r'CK)\b')
CODE = ('.c', '.h', '.py', '.sh')
C_COLUMNS = 120  # 100 is the aim; this is what nobody should need
ROOT_NAMES = {'proxy', 'cache', 'include', 'tests', 'conf', 'CMakeLists.txt', 'CMakePresets.json', 'README.md', 'LICENSE'}


def project_files(root):
    """What git knows or would add; without git, all but build folders."""
    try:
        out = subprocess.run(['git', '-C', str(root), 'ls-files', '-coz', '--exclude-standard'], check=True,
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
        names = [n for n in out.decode().split('\0') if n]
    except (OSError, subprocess.CalledProcessError):
        names = [str(p.relative_to(root)) for p in root.rglob('*') if p.is_file()]
        names = [n for n in names if not re.match(r'\.git/|build/', n) and '__pycache__' not in n]
    return [n for n in names if (root / n).is_file()]


def check(name, text):
    is_code = name.endswith(CODE)
    for number, line in enumerate(text.split('\n'), 1):
        if UNFINISHED.search(line):
            yield '%s:%d: unfinished' % (name, number)
        if is_code and (line.endswith((' ', '\t')) or '\t' in line):
            yield '%s:%d: tab or trailing blank' % (name, number)
        if name.endswith(('.c', '.h')) and len(line) > C_COLUMNS:
            yield '%s:%d: %d columns' % (name, number, len(line))
    if is_code and not text.endswith('\n'):
        yield '%s: no newline at the end' % name


def main(root):
    root = pathlib.Path(root).resolve()
    problems = []
    names = project_files(root)
    for name in names:
        top = name.split('/')[0]
        if top not in ROOT_NAMES and not top.startswith('.'):
            problems.append('%s: does not belong to the root' % name)
        try:
            text = (root / name).read_bytes().decode()
        except UnicodeDecodeError:
            if name.endswith(CODE):
                problems.append('%s: not plain text' % name)
            continue
        if not name.startswith('tests/fuzz/corpus/'):
            problems += check(name, text)
    print('\n'.join(problems or ['%d files' % len(names)]))
    return 1 if problems or not names else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parents[2]))
