"""Conversations beside each other, one process and one server each: run.py --runs N --jobs M. Goes on after a failure."""
import collections
import concurrent.futures
import re
import subprocess
import sys
import time

_OWN = ('--seed', '--runs', '--jobs')
_CLEAN = re.compile(r'^seed \d+: (\d+) commands, no difference but the allowed$', re.M)
_COUNTED = re.compile(r'([\w-]+) (\d+)')


def without_own(argv):
    """@argv without what is of the whole run."""
    out, skip = [], False
    for word in argv:
        if skip:
            skip = False
        elif word in _OWN:
            skip = True
        elif not word.startswith(tuple(name + '=' for name in _OWN)):
            out.append(word)
    return out


def ranges(numbers):
    """'1..5, 7': what a report names its seeds by."""
    out = []
    for number in sorted(numbers):
        if out and out[-1][1] == number - 1:
            out[-1][1] = number
        else:
            out.append([number, number])
    return ', '.join('%d..%d' % (low, high) if high > low else '%d' % low for low, high in out) or 'none'


def run(program, argv, seeds, jobs):
    """Status: 0 when every seed is clean."""
    one = [sys.executable, program] + without_own(argv)
    began, done = time.monotonic(), 0
    clean, failed, used = [], [], collections.Counter()

    def converse(seed):
        return seed, subprocess.run(one + ['--seed', str(seed)], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for future in concurrent.futures.as_completed([pool.submit(converse, seed) for seed in seeds]):
            seed, result = future.result()
            told = _CLEAN.search(result.stdout)
            if result.returncode == 0 and told:
                clean.append(seed)
                done += int(told.group(1))
                print('seed %d: %s commands, no difference but the allowed' % (seed, told.group(1)), flush=True)
                met = re.search(r'^allowed differences met: (.*)', result.stdout, re.M)
                used.update({name: int(n) for name, n in _COUNTED.findall(met.group(1) if met else '')})
            else:
                failed.append(seed)
                print('%s%s---- FAILED seed %d, status %d' % (result.stdout, result.stderr, seed, result.returncode),
                      flush=True)
    seconds = time.monotonic() - began
    print('%d commands in %.1f s, %.0f a second; clean seeds %s; failed seeds %s' % (
        done, seconds, done / seconds, ranges(clean), ranges(failed)))
    print('allowed differences met: ' + (' '.join('%s %d' % u for u in sorted(used.items())) or 'none'))
    return 1 if failed else 0
