"""One differential run on the binary IMAPCACHED_BIN names, as a test: run() -> what run.py printed."""
import os
import pathlib
import shlex
import subprocess
import sys

import pytest

SETTLED = str(pathlib.Path(__file__).with_name('settled.conf'))
RUN = pathlib.Path(__file__).with_name('run.py')
# The slowest first, so that at the end no processor waits for one of its runs.
SERVERS = (os.environ.get('IMAPCACHED_DIFF_SERVERS') or 'courier,cyrus,dovecot').split(',')
LONG = os.environ.get('IMAPCACHED_LONG', '') not in ('', '0')
needs_binary = pytest.mark.skipif(not os.environ.get('IMAPCACHED_BIN'), reason='IMAPCACHED_BIN is not set')


def run(seed, commands, *more):
    """With an even seed searches are remembered at once, as nothing here indexes mail late; else as by default."""
    settled = '' if seed % 2 else ' --config ' + shlex.quote(SETTLED)
    subject = os.environ['IMAPCACHED_BIN'] + settled + (' --upstream imap://127.0.0.1:{upstream_port} '
                                                        '--listen 127.0.0.1:{listen_port} --cache {folder}/cache')
    done = subprocess.run([sys.executable, str(RUN), '--subject-cmd', subject, '--seed', str(seed),
                           '--commands', str(commands), *more], capture_output=True, text=True)
    if done.returncode:
        pytest.fail('seed %d, status %d\n%s%s' % (seed, done.returncode, done.stdout[-20000:], done.stderr), pytrace=False)
    return done.stdout
