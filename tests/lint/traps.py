#!/usr/bin/python3
"""Every trap of the protocol that this project knows of (T) and every rule for the wording of FETCH (F) has a test
named after it: `test_t13_recent_goes_to_one_session`, `test_f4_...`; one name may bear several (`test_t4_t17_...`).

usage: traps.py ROOT [--list]      exit 1 and one line per trap without a test; --list prints trap -> tests
"""
import pathlib
import re
import sys

TRAPS = {
    'T1': 'fillers that servers send for expunged messages',
    'T2': 'OK without data',
    'T3': 'RFC822.SIZE is not the length of BODY[]',
    'T4': 'what is stored differs from what was APPENDed',
    'T5': 'UIDVALIDITY changes',
    'T6': 'a name used again, RENAME, RENAME INBOX',
    'T7': 'items that change',
    'T8': 'cached mail goes only to who may open the mailbox',
    'T11': '\\Seen by reading',
    'T12': 'EXAMINE',
    'T13': '\\Recent goes to one session',
    'T14': 'the answers of STORE',
    'T15': 'EXPUNGE and CLOSE spare what the client has not seen',
    'T16': 'COPY, MOVE and their codes',
    'T17': 'one reads what one has written',
    'T18': 'when EXPUNGE may be told',
    'T19': 'order of updates',
    'T20': 'messages gone upstream and still in the view',
    'T21': 'pipelined commands',
    'T22': 'freshness at NOOP',
    'T23': 'no HIGHESTMODSEQ beyond what was told',
    'T24': 'commands that enable CONDSTORE',
    'T25': 'resync, and servers that do not keep the rules',
    'T26': 'IDLE',
    'T27': 'the upstream is away',
    'T28': 'budget of connections',
    'T30': 'mailbox names in every form',
    'T31': 'modified UTF-7',
    'T32': 'literals and their limits',
    'T33': 'APPEND streams, early NO',
    'T34': 'flags that no client may set',
    'T35': 'tags',
    'T36': 'how old programs misspell commands',
    'T37': 'what SELECT says',
    'T38': 'STATUS of the selected mailbox',
    'T40': 'logins in every form',
    'T41': 'STARTTLS',
    'T42': 'injection across the hops',
    'T43': 'limits of the parser',
    'T44': 'accounts share nothing',
    'T45': 'ID',
    'F1': 'item names upper-case',
    'F2': 'section label as asked',
    'F3': '.PEEK goes, <o> stays, RFC822 names stay',
    'F4': 'one line per message',
    'F5': 'nothing unrequested',
    'F6': 'UID once and first',
    'F7': 'FLAGS of an implicit \\Seen in the same line',
    'F8': 'octets are literals, NIL is the upstream\'s',
    'F9': 'literal8 for BINARY only',
    'F10': 'MODSEQ with CONDSTORE',
    'F11': 'unknown items passed on, not kept',
    'F12': 'numbers up to their ends',
}
# Trap -> why no test can show it. None so far.
UNTESTABLE = {}
NAME = re.compile(r'^(?:def |static void |static int )((?:test_)?(?:[tf]\d+_)+\w+)\(', re.M)


def tests_of(root):
    """{trap: [path: name]} of everything under tests/."""
    found = {}
    for path in sorted((root / 'tests').rglob('*')):
        if path.suffix not in ('.py', '.c'):
            continue
        for name in NAME.findall(path.read_text(errors='replace')):
            for trap in re.findall(r'[tf]\d+(?=_)', re.match(r'(?:test_)?((?:[tf]\d+_)+)', name).group(1)):
                found.setdefault(trap.upper(), []).append('%s: %s' % (path.relative_to(root), name))
    return found


def main(root, lists=False):
    found = tests_of(pathlib.Path(root).resolve())
    problems = ['%s (%s): no test is named after it' % (trap, title) for trap, title in TRAPS.items()
                if trap not in found and trap not in UNTESTABLE]
    problems += ['%s: %s, and there is no such trap' % (trap, names[0]) for trap, names in found.items()
                 if trap not in TRAPS]
    problems += ['%s: said to be untestable and has a test' % trap for trap in UNTESTABLE if trap in found]
    if lists:
        for trap, title in TRAPS.items():
            print('%s  %s\n    %s' % (trap, title, '\n    '.join(found.get(trap, [UNTESTABLE.get(trap, '(none)')]))))
    print('\n'.join(problems or ['traps: %d, tests named after them: %d' % (
        len(TRAPS), len({name for names in found.values() for name in names}))]))
    return 1 if problems else 0


if __name__ == '__main__':
    arguments = [a for a in sys.argv[1:] if a != '--list']
    sys.exit(main(arguments[0] if arguments else pathlib.Path(__file__).resolve().parents[2], '--list' in sys.argv))
