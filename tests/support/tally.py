"""Counts test results for tests/run, in a file of its folder.

tally.py FOLDER --pass NAME | --fail NAME | --suite NAME JUNIT.XML STATUS [JUNIT.XML of a second run] | --total
tally.py FOLDER --again JUNIT.XML     names the failed tests that may be run a second time, a line each"""
import pathlib
import re
import sys
import xml.etree.ElementTree


def cases_of(report):
    """(name, 'pass' | 'fail' | 'skip') of a JUnit report of pytest or CTest."""
    for case in xml.etree.ElementTree.parse(report).iter('testcase'):
        kinds = {child.tag for child in case}
        name = '.'.join(filter(None, (case.get('classname'), case.get('name'))))
        if kinds & {'failure', 'error'} or case.get('status') == 'fail':
            yield name, 'fail'
        elif 'skipped' in kinds or case.get('status') in ('notrun', 'disabled'):
            yield name, 'skip'
        else:
            yield name, 'pass'


AGAIN_MAX = 5   # more than so many are no accident of a busy machine
_NEVER_AGAIN = re.compile(r'Sanitizer|runtime error: ')


def again(report):
    """pytest's names of the tests that failed, when they are few and no sanitizer has found anything."""
    failed = {}
    for case in xml.etree.ElementTree.parse(report).iter('testcase'):
        texts = [(child.text or '') + child.get('message', '') for child in case if child.tag in ('failure', 'error')]
        if texts:
            file = case.get('classname', '').replace('.', '/') + '.py'
            failed['%s::%s' % (file, case.get('name'))] = any(_NEVER_AGAIN.search(text) for text in texts)
    return [] if any(failed.values()) or len(failed) > AGAIN_MAX else list(failed)


def outcomes(report):
    try:
        return list(cases_of(report))
    except (OSError, xml.etree.ElementTree.ParseError):
        return []


def suite(name, report, status, second=None):
    better = {case for case, result in outcomes(second) if result == 'pass'} if second else set()
    better -= {case for case, result in outcomes(second) if result == 'fail'} if second else set()
    cases = [(case, 'again' if result == 'fail' and case in better else result) for case, result in outcomes(report)]
    results = [('%s: %s' % (name, case), result) for case, result in cases]
    # A run that fails without naming a test that failed, or tests nothing, is itself a failure.
    if (status and all(result not in ('fail', 'again') for _, result in results)) or not results:
        results.append((name, 'fail'))
    return results


def main(folder, action, *rest):
    path = pathlib.Path(folder) / 'tally'
    if action == '--total':
        lines = [line.split(' ', 1) for line in path.read_text().splitlines()] if path.exists() else []
        failed = [name for result, name in lines if result == 'fail']
        skipped = [name for result, name in lines if result == 'skip']
        unstable = [name for result, name in lines if result == 'again']
        for title, names in (('skipped', skipped), ('passed only when run again, alone', unstable), ('failed', failed)):
            for name in names:
                print('%s: %s' % (title, name))
        passed = len(lines) - len(failed) - len(skipped)
        print('%d passed, %d failed%s' % (passed, len(failed), ', %d skipped' % len(skipped) if skipped else ''))
        return 1 if failed or not passed else 0
    if action == '--again':
        print('\n'.join(again(rest[0])))
        return 0
    if action == '--suite':
        results = suite(rest[0], rest[1], int(rest[2]), *rest[3:])
    else:
        results = [(rest[0], action[2:])]
    with open(path, 'a') as out:
        for name, result in results:
            out.write('%s %s\n' % (result, name.replace('\n', ' ')))
    return 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
