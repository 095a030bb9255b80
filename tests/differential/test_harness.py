"""The harness proven: it passes before a plain relay and catches every seeded fault."""
import os
import subprocess
import sys

import pytest

import faulty
import faulty_search
import generate
import model
import rules
import twins
from imapjudge import relay, servers, wire
from judge import Judge, Settings
from rules import Mismatch

# What the harness has to say to each fault: one of these kinds, so that it is caught for what it is.
CAUGHT_AS = {
    'swallowed-expunge': {'not-settled', 'expunge-not-told', 'exists-shrinks'},
    'swapped-uids': {'uid', 'fetch-value', 'fetch-missing', 'numbering'},
    'stale-flag': {'not-settled', 'idle-push'},
    'lost-seen': {'mailbox', 'fetch-value'},
    'off-by-one-partial': {'fetch-value'},
    'other-body': {'fetch-value'},
    'wrong-uidnext': {'select'},
    'fetch-twice': {'fetch-twice'},
    'missing-exists': {'not-settled', 'numbering'},
    'search-short': {'search', 'search-amid'},
    'split-line': {'fetch-split'},
    'early-expunge': {'expunge-forbidden'},
    'unasked-item': {'fetch-unasked'},
    'store-not-echoed': {'store-not-echoed'},
    'ok-for-no': {'status', 'pipeline'},
    'append-elsewhere': {'code', 'mailbox', 'status', 'uidvalidity'},
    **{name: {'search-modseq'} if 'modseq' in name else {'search', 'search-amid'} for name in faulty_search.FAULTS},
    'store-last': {'search', 'fetch-value'},
    'torn-search': {'search-amid'},
    'first-order-kept': {'sort'},
}


@pytest.fixture(scope='module')
def bench():
    with twins.Twins(seed=1) as prepared:
        yield prepared


def judge_before(bench, port, seed, commands, settle, preset=None):
    here = ('127.0.0.1', bench.server.port)
    direct, subject = bench.fresh()
    weights = dict(dict.fromkeys(generate.WEIGHTS, 0), **generate.PRESETS[preset]) if preset else {}
    judge = Judge(Settings(seed=seed, commands=commands, settle=settle, weights=weights),
                  dict(address=here, control=here, user=direct, password='pw'),
                  dict(address=('127.0.0.1', port), control=here, user=subject, password='pw'), bench.mails)
    judge.compare.is_relay = True
    return judge


@pytest.mark.parametrize('seed,preset', [(1, None), (2, None), (3, None), (1, 'searches')])
def test_plain_relay_passes(bench, seed, preset):
    with relay.Relay(bench.server.port) as plain:
        judge = judge_before(bench, plain.port, seed, 1000, settle=10, preset=preset)
        try:
            judge.run()
        except Mismatch as mismatch:
            pytest.fail('seed %d, command %d: %s\n%s' % (seed, judge.step, mismatch, judge.report(5)))
        finally:
            judge.close()
        assert judge.step == 1000
        # Nothing was passed over: the kinds that matter did occur.
        for verb in ('FETCH', 'UID FETCH', 'STORE', 'UID STORE', 'SEARCH', 'UID SEARCH', 'COPY', 'MOVE', 'EXPUNGE', 'APPEND',
                     'IDLE'):
            assert judge.counts[verb] > 0, verb
        assert judge.counts['SORT'] + judge.counts['UID SORT'] > 0
        assert preset is None or min(judge.counts[verb] for verb in ('ANEW', 'PIPELINE', 'AMID')) > 0


def test_every_fault_has_its_verdict():
    assert set(CAUGHT_AS) == set(faulty.FAULTS)


@pytest.mark.parametrize('name', sorted(faulty.FAULTS))
def test_fault_is_caught(bench, name):
    with faulty.FaultyRelay(bench.server.port, name) as liar:
        preset = 'searches' if name in faulty_search.FAULTS else None
        judge = judge_before(bench, liar.port, 1, 3000, settle=1, preset=preset)
        try:
            with pytest.raises(Mismatch) as caught:
                judge.run()
            assert liar.fault.fired, 'caught %s before the fault was made' % caught.value
            assert caught.value.kind in CAUGHT_AS[name], caught.value
        finally:
            judge.close()


def test_the_same_seed_is_the_same_conversation(bench):
    told = []
    for _ in range(2):
        with relay.Relay(bench.server.port) as plain:
            judge = judge_before(bench, plain.port, 7, 200, settle=10)
            judge.run()
            judge.close()
            told.append([repr(op) for op in judge.ops])
    assert told[0] == told[1]


def test_only_listed_differences_are_allowed(tmp_path):
    listed = rules.Rules()
    listed.differ('text')
    assert listed.used['text'] == 1
    with pytest.raises(Mismatch):
        listed.differ('fetch-value', 'not in the list')
    short = tmp_path / 'allowed.toml'
    short.write_text('[[allowed]]\nid = "recent"\nrfc = "2.3.2"\nreason = "x"\n')
    with pytest.raises(Mismatch):
        rules.Rules(short).differ('text')


def test_every_rule_is_one_the_harness_goes_by():
    sources = ''.join(path.read_text() for path in rules.ALLOWED_FILE.parent.glob('*.py') if 'test_' not in path.name)
    for server in servers.KINDS:
        listed = rules.Rules(server=server)
        for name in listed.allowed | listed.avoided:
            assert "'%s'" % name in sources, name


def test_what_one_server_demands_is_not_allowed_to_others():
    assert 'upstream-repeats' in rules.Rules(server='courier').allowed
    with pytest.raises(Mismatch):
        rules.Rules(server='cyrus').differ('upstream-repeats')
    assert rules.Rules().avoided == {'anew-from-outside'}


def test_vanished_of_messages_known_by_exists_alone():
    def told(view, line):
        view.apply(wire.Response(line), 'NOOP')
    view = model.View('s')
    view.open('INBOX', False)
    view.qresync = True
    for line in (b'* 4 EXISTS\r\n', b'* 3 FETCH (UID 9 FLAGS ())\r\n', b'* VANISHED 6\r\n'):
        told(view, line)
    assert view.uids() == [None, 9, None]
    told(view, b'* VANISHED 7,9,12\r\n')
    assert view.uids() == []
    with pytest.raises(Mismatch):
        told(view, b'* VANISHED 13\r\n')


class _Two:
    order, flags = [7, 9], {7: frozenset(), 9: frozenset()}


def test_as_many_messages_as_there_are_may_be_others():
    """After a change from outside one may have gone and one come that a session has been told of neither."""
    view = model.View('s')
    view.open('INBOX', False)
    view.apply(wire.Response(b'* 2 EXISTS\r\n'), 'NOOP')
    assert view.settle(_Two, is_known=False) and view.uids() == [None, None] and view.changed
    view.apply(wire.Response(b'* 1 FETCH (UID 6 FLAGS ())\r\n'), 'NOOP')
    assert not view.settle(_Two, is_known=False)
    view.apply(wire.Response(b'* 1 EXPUNGE\r\n'), 'NOOP')
    view.apply(wire.Response(b'* 2 EXISTS\r\n'), 'NOOP')
    assert view.settle(_Two) and view.uids() == [7, 9] and not view.changed


def test_a_rule_taken_away_is_missed(bench, tmp_path):
    """The list is what the harness goes by: without "label-case" the first label in other letters is a failure."""
    text = rules.ALLOWED_FILE.read_text().replace('id = "label-case"', 'id = "something-else"')
    path = tmp_path / 'allowed.toml'
    path.write_text(text)
    with relay.Relay(bench.server.port) as plain:
        judge = judge_before(bench, plain.port, 1, 500, settle=10)
        judge.rules = judge.compare.rules = rules.Rules(path)
        try:
            with pytest.raises(Mismatch) as caught:
                judge.run()
            assert caught.value.kind == 'label-case'
        finally:
            judge.close()


def test_failure_prints_seed_transcript_and_how_to_repeat():
    run = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'run.py')
    done = subprocess.run([sys.executable, run, '--fault', 'fetch-twice', '--seed', '5', '--commands', '500',
                           '--settle', '1', '--shrink', '3'], capture_output=True, text=True, timeout=100)
    assert done.returncode == 1, done.stdout + done.stderr
    assert 'FAILED seed 5' in done.stdout and 'fetch-twice: subject' in done.stdout
    assert '---- subject s0' in done.stdout and '---- direct s4' in done.stdout
    assert 'suffice for it' in done.stdout and 'run.py --server dovecot --seed 5' in done.stdout


def test_runs_beside_each_other_go_on_after_a_failure():
    run = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'run.py')
    done = subprocess.run([sys.executable, run, '--relay', '--runs', '3', '--jobs', '2', '--seed', '4', '--commands', '20'],
                          capture_output=True, text=True, timeout=100)
    assert done.returncode == 0 and '60 commands in' in done.stdout, done.stdout + done.stderr
    assert 'clean seeds 4..6; failed seeds none' in done.stdout
    done = subprocess.run([sys.executable, run, '--fault', 'fetch-twice', '--runs=2', '--jobs=2', '--seed=5', '--settle', '1',
                           '--commands', '300'], capture_output=True, text=True, timeout=100)
    assert done.returncode == 1 and 'clean seeds none; failed seeds 5..6' in done.stdout, done.stdout + done.stderr
