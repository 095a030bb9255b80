#!/usr/bin/python3
"""Differential run: a random conversation on a mailbox and on its twin behind the subject.

  run.py --relay                              a plain TCP relay (must pass)
  run.py --fault search-short                 a relay that lies (must not pass)
  run.py --subject-cmd 'build/imapcached --upstream imap://127.0.0.1:{upstream_port} --listen 127.0.0.1:{listen_port}
                        --cache {folder}'     what is to be judged, started here before a server started here (--server)
  run.py --direct HOST:PORT --subject HOST:PORT [--user-direct A --user-subject B]
                                              servers that run already; both accounts empty, password --password

A failure prints the seed, the last transcript lines of every session, and the command that repeats it.
"""
import argparse
import collections
import contextlib
import json
import pathlib
import re
import shlex
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / 'support')]

from imapjudge import dovecot, imapclient, ports, procs, relay, servers  # noqa: E402
from imapjudge.server import fast_folder  # noqa: E402

import faulty  # noqa: E402
import generate  # noqa: E402
import many  # noqa: E402
import middle  # noqa: E402
import twins  # noqa: E402
from judge import Judge, Settings  # noqa: E402
from rules import Mismatch  # noqa: E402
from trouble import Trouble  # noqa: E402


def arguments(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument('--subject', help='HOST:PORT of what is judged; needs --direct')
    what.add_argument('--subject-cmd', help='command to start it, with {upstream_port} {listen_port} {folder}')
    what.add_argument('--relay', action='store_true')
    what.add_argument('--fault', choices=sorted(faulty.FAULTS))
    parser.add_argument('--server', default='dovecot', choices=sorted(servers.KINDS), help='the upstream, started here')
    parser.add_argument('--direct', help='HOST:PORT of the upstream')
    parser.add_argument('--user-direct', default='direct')
    parser.add_argument('--user-subject', default='subject')
    parser.add_argument('--password', default='pw')
    parser.add_argument('--seed', type=int, default=int(time.time()) % 100000)
    parser.add_argument('--mail-seed', type=int, default=1, help='of the mails, not of the conversation')
    parser.add_argument('--runs', type=int, default=1, help='as many conversations, seeds counting up')
    parser.add_argument('--jobs', type=int, default=1, help='so many of them beside each other, a process and a server each')
    parser.add_argument('--commands', type=int, default=1000, help='per conversation')
    parser.add_argument('--sessions', type=int, default=5)
    parser.add_argument('--weight', action='append', default=[], metavar='NAME=N',
                        help='of a kind of command: ' + ' '.join(generate.WEIGHTS))
    parser.add_argument('--cut', type=float, default=0, metavar='N',
                        help='weight of cutting all links of the subject while nothing is asked')
    parser.add_argument('--cut-in', type=float, default=0, metavar='SHARE', help='of commands to cut its links amid')
    parser.add_argument('--kill', type=float, default=0, metavar='N',
                        help='weight of kill -9 and a new start with the same cache')
    parser.add_argument('--hide', default='', metavar='A,B', help='let its upstream seem to lack: ' + ' '.join(middle.NEEDS))
    parser.add_argument('--only', help='commas: nothing but these kinds')
    parser.add_argument('--preset', choices=sorted(generate.PRESETS), help='a mixture for a purpose')
    parser.add_argument('--format', default='sdbox', choices=('sdbox', 'mdbox', 'maildir'),
                        help='of a Dovecot; a Maildir may lose and find a message again when it is busy')
    parser.add_argument('--settle', type=float, default=10.0, help='seconds a barrier may take')
    parser.add_argument('--lines', type=int, default=12, help='transcript lines per session in a report')
    parser.add_argument('--replay', help='play the commands of this file (see --save)')
    parser.add_argument('--save', help='write the commands of a failed conversation here')
    parser.add_argument('--shrink', type=float, default=0, metavar='SECONDS',
                        help='spend so long on leaving out commands that the failure does not need')
    options = parser.parse_args(argv)
    if options.subject and not options.direct:
        parser.error('--subject needs --direct')
    options.hide = [name for name in options.hide.upper().split(',') if name]
    if options.jobs > 1 and (options.subject or options.replay):
        parser.error('--jobs is for conversations on servers started here')
    options.is_troubled = bool(options.cut or options.cut_in or options.kill or options.hide)
    if options.is_troubled and not options.subject_cmd:
        parser.error('--cut, --cut-in, --kill and --hide need --subject-cmd')
    return options


# Courier sleeps a second for each, so that no UIDVALIDITY comes twice; Cyrus deletes a name once in a second.
SELDOM = {'cyrus': {'anew': 0.25}, 'courier': {'rename': 0.15, 'delete': 0.15, 'anew': 0.1}}


def weights_of(options):
    weights = dict(SELDOM.get(options.server, {}))
    if options.preset:
        weights = {name: 0 for name in generate.WEIGHTS}
        weights.update(generate.PRESETS[options.preset])
        weights.update({name: n for name, n in SELDOM.get(options.server, {}).items() if weights[name] > n})
    if options.only:
        weights = {name: 0 for name in generate.WEIGHTS}
        weights.update({name: generate.WEIGHTS[name] for name in options.only.split(',')})
    for word in options.weight:
        name, _, value = word.partition('=')
        if name not in generate.WEIGHTS:
            raise SystemExit('no such kind of command: ' + name)
        weights[name] = float(value)
    weights.update(cut=options.cut, kill=options.kill)
    return weights


_SANITIZER = re.compile(r'ERROR: (Address|Leak|Thread)Sanitizer|WARNING: ThreadSanitizer|runtime error: ')


class Subject:
    """What is judged, in front of our server: .port, and .trouble where it is to be troubled."""

    def __init__(self, options, upstream_port, folder):
        self._stack = contextlib.ExitStack()
        self.log = pathlib.Path(folder) / 'subject.log'
        self.trouble = None
        self._process = None
        if options.relay:
            self.port = self._stack.enter_context(relay.Relay(upstream_port)).port
        elif options.fault:
            self.port = self._stack.enter_context(faulty.FaultyRelay(upstream_port, options.fault)).port
        else:
            self.port = ports.free_port()
            if options.is_troubled:
                between = self._stack.enter_context(middle.Middle(upstream_port, options.hide))
                self.trouble = Trouble(between, self)
                upstream_port = between.port
            self._command = options.subject_cmd.format(upstream_port=upstream_port, listen_port=self.port,
                                                       folder=shlex.quote(str(folder)))
            self.start()

    def start(self):
        with open(self.log, 'ab') as log:
            self._process = subprocess.Popen(shlex.split(self._command), stdin=subprocess.DEVNULL, stdout=log,
                                             stderr=log, preexec_fn=procs.die_with_parent)
        deadline = time.monotonic() + 30
        while self._process.poll() is None and time.monotonic() < deadline:
            try:
                socket.create_connection(('127.0.0.1', self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        self.kill9()
        raise SystemExit('the subject did not come up: %s\n%s' % (self._command, self.tail()))

    def kill9(self):
        self._process.kill()
        self._process.wait()

    def is_dead(self):
        return self._process is not None and self._process.poll() is not None

    def end(self):
        """Stop it; what there is to complain of, or ''."""
        if self._process is None:
            return ''
        self._process.terminate()
        try:
            status = self._process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill9()
            return 'it does not leave on SIGTERM'
        self._process = None
        found = _SANITIZER.search(self.log.read_text(errors='replace'))
        if found:
            return found.group()
        return 'it left with status %s' % status if status else ''

    def tail(self, lines=40):
        return '\n'.join(self.log.read_text(errors='replace').splitlines()[-lines:]) if self.log.exists() else ''

    def close(self):
        if self._process is not None:
            self.kill9()
        self._stack.close()


def address(text):
    host, _, port = text.rpartition(':')
    return host or '127.0.0.1', int(port)


class Bench:
    """Gives each conversation its twins: pair() -> arguments for Judge."""

    def __init__(self, options, stack):
        self._options = options
        self.server = None
        kind = servers.KINDS[options.server]
        self.names = generate.Names(kind.facts)
        if options.subject:
            self.mails = twins.mail_pool(options.mail_seed)
            self._filled = False
            self.subject = None
            return
        self._twins = stack.enter_context(twins.Twins(options.mail_seed, (
            dovecot.Dovecot(users=0, mail_format=options.format,
                            folder=fast_folder()) if kind is dovecot.Dovecot else kind(users=0))))
        self.server = self._twins.server
        self.mails = self._twins.mails
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix='imapjudge-subject-'))
        self.subject = Subject(options, self.server.port, folder)
        stack.callback(self.subject.close)

    def pair(self):
        options = self._options
        if options.subject:
            return self._external()
        direct, subject = self._twins.fresh()
        here = ('127.0.0.1', self.server.port)
        return (dict(address=here, control=here, user=direct, password='pw'),
                dict(address=('127.0.0.1', self.subject.port), control=here, user=subject, password='pw'))

    def _external(self):
        options = self._options
        if self._filled:
            raise SystemExit('servers that run already are good for one conversation')
        self._filled = True
        here = address(options.direct)
        for user in (options.user_direct, options.user_subject):
            twins.fill(lambda: imapclient.IMAPClient(*here).login(user, options.password), self.mails, self.names)
        return (dict(address=here, control=here, user=options.user_direct, password=options.password),
                dict(address=address(options.subject), control=here, user=options.user_subject,
                     password=options.password))


def converse(options, bench, seed, commands, ops=None):
    """One conversation: (judge, mismatch or None)."""
    settings = Settings(seed=seed, commands=commands, sessions=options.sessions, weights=weights_of(options),
                        settle=options.settle, ops=ops, cut_in=options.cut_in, hidden=options.hide,
                        names=bench.names)
    trouble = bench.subject.trouble if bench.subject is not None else None
    judge = Judge(settings, *bench.pair(), bench.mails, trouble=trouble)
    judge.compare.is_relay = options.relay or bool(options.fault)
    try:
        judge.run()
        return judge, None
    except Mismatch as mismatch:
        return judge, mismatch
    finally:
        judge.close()


def shrink(options, bench, seed, ops, kind):
    """Fewer commands with the same kind of failure, by leaving out ever smaller pieces."""
    deadline = time.monotonic() + options.shrink
    piece = max(1, len(ops) // 2)
    while piece and time.monotonic() < deadline:
        at, smaller = 0, False
        while at < len(ops) and time.monotonic() < deadline:
            trial = ops[:at] + ops[at + piece:]
            _, mismatch = converse(options, bench, seed, len(trial), trial)
            if mismatch is not None and mismatch.kind == kind:
                ops, smaller = trial, True
            else:
                at += piece
        if not smaller or piece > 1:
            piece //= 2
    return ops


def failed(options, bench, judge, mismatch, seed):
    print(judge.report(options.lines))
    if bench.server is not None:
        print('---- %s log\n%s' % (bench.server.facts.title, bench.server.log(5)))
    if bench.subject is not None and bench.subject.tail():
        print('---- subject log%s\n%s' % (' (it has died)' * bench.subject.is_dead(),
                                          bench.subject.tail(150 if bench.subject.is_dead() else 40)))
    print('---- FAILED seed %d, command %d, %r' % (seed, judge.step, judge.ops[-1] if judge.ops else None))
    print('     %s' % mismatch)
    ops = judge.ops
    if options.shrink and bench.server is not None:
        ops = shrink(options, bench, seed, ops, mismatch.kind)
        print('---- %d of %d commands suffice for it:' % (len(ops), len(judge.ops)))
        for op in ops:
            print('     %r' % op)
    if options.save:
        pathlib.Path(options.save).write_text(json.dumps([op.as_dict() for op in ops], indent=1))
        print('---- repeat with --replay %s' % options.save)
    how = ['--subject-cmd', options.subject_cmd] if options.subject_cmd else (
        ['--relay'] if options.relay else ['--fault', options.fault] if options.fault else
        ['--direct', options.direct, '--subject', options.subject])
    for name in ('cut', 'cut_in', 'kill'):
        if getattr(options, name):
            how += ['--' + name.replace('_', '-'), str(getattr(options, name))]
    how += ['--hide', ','.join(options.hide)] if options.hide else []
    for name in ('preset', 'only', 'weight'):
        for value in (options.weight if name == 'weight' else [getattr(options, name)]):
            how += ['--' + name, value] if value else []
    print('---- repeat: tests/differential/run.py --server %s --seed %d --mail-seed %d --commands %d --sessions %d --format %s %s' % (
        options.server, seed, options.mail_seed, judge.step, options.sessions, options.format, shlex.join(how)))


def main(argv=None):
    options = arguments(argv)
    if options.jobs > 1:
        seeds = range(options.seed, options.seed + options.runs)
        return many.run(str(HERE / 'run.py'), sys.argv[1:] if argv is None else argv, seeds, options.jobs)
    ops = None
    if options.replay:
        ops = [generate.Op.of_dict(values) for values in json.loads(pathlib.Path(options.replay).read_text())]
    used, counts = collections.Counter(), collections.Counter()
    started, done = time.monotonic(), 0
    with contextlib.ExitStack() as stack:
        bench = Bench(options, stack)
        for seed in range(options.seed, options.seed + options.runs):
            judge, mismatch = converse(options, bench, seed, len(ops) if ops else options.commands, ops)
            done += judge.step
            used.update(judge.rules.used)
            counts.update(judge.counts)
            if mismatch is not None:
                failed(options, bench, judge, mismatch, seed)
                return 1
            print('seed %d: %d commands, no difference but the allowed' % (seed, judge.step), flush=True)
        complaint = bench.subject.end() if bench.subject is not None else ''
        if complaint:
            print('---- subject log\n%s\n---- FAILED seeds %d..%d: %s' % (
                bench.subject.tail(120), options.seed, options.seed + options.runs - 1, complaint))
            return 1
    seconds = time.monotonic() - started
    print('%d commands in %.1f s, %.0f a second; %s' % (done, seconds, done / seconds,
                                                        ' '.join('%s %d' % c for c in sorted(counts.items()))))
    if bench.subject is not None and bench.subject.trouble is not None:
        print('resynchronised by: ' + ' '.join('%s %d' % r for r in bench.subject.trouble.middle.rungs.items()))
    print('allowed differences met: ' + (' '.join('%s %d' % u for u in sorted(used.items())) or 'none'))
    return 0


if __name__ == '__main__':
    sys.exit(main())
