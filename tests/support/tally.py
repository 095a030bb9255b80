"""Counts test results for tests/run, in a file of its folder.

tally.py FOLDER --pass NAME | --fail NAME | --suite NAME JUNIT.XML STATUS | --total"""
import pathlib
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


def suite(name, report, status):
    try:
        cases = list(cases_of(report))
    except (OSError, xml.etree.ElementTree.ParseError):
        cases = []
    results = [('%s: %s' % (name, case), result) for case, result in cases]
    # A run that fails without naming a test that failed, or tests nothing, is itself a failure.
    if (status and all(result != 'fail' for _, result in results)) or not results:
        results.append((name, 'fail'))
    return results


def main(folder, action, *rest):
    path = pathlib.Path(folder) / 'tally'
    if action == '--total':
        lines = [line.split(' ', 1) for line in path.read_text().splitlines()] if path.exists() else []
        failed = [name for result, name in lines if result == 'fail']
        skipped = [name for result, name in lines if result == 'skip']
        for title, names in (('skipped', skipped), ('failed', failed)):
            for name in names:
                print('%s: %s' % (title, name))
        passed = len(lines) - len(failed) - len(skipped)
        print('%d passed, %d failed%s' % (passed, len(failed), ', %d skipped' % len(skipped) if skipped else ''))
        return 1 if failed or not passed else 0
    if action == '--suite':
        results = suite(rest[0], rest[1], int(rest[2]))
    else:
        results = [(rest[0], action[2:])]
    with open(path, 'a') as out:
        for name, result in results:
            out.write('%s %s\n' % (result, name.replace('\n', ' ')))
    return 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
