"""The proxy judged before each server: IMAPCACHED_DIFF_COMMANDS (20,000) commands in conversations of five sessions, seeds
counting up from IMAPCACHED_DIFF_SEED (1). A failure names its seed and the command that repeats it."""
import os

import pytest

from proxyrun import SERVERS, needs_binary, run

COMMANDS = int(os.environ.get('IMAPCACHED_DIFF_COMMANDS') or 20000)
SEED = int(os.environ.get('IMAPCACHED_DIFF_SEED') or 1)
PER_RUN = min(COMMANDS, 2000)


@needs_binary
@pytest.mark.parametrize('seed', range(SEED, SEED + -(-COMMANDS // PER_RUN)))
@pytest.mark.parametrize('server', SERVERS)
def test_proxy(server, seed):
    told = run(seed, PER_RUN, '--server', server)
    assert 'seed %d: %d commands, no difference but the allowed' % (seed, PER_RUN) in told


@needs_binary
@pytest.mark.parametrize('seed', range(SEED + 1000, SEED + 1000 + -(-COMMANDS // 10000)))
@pytest.mark.parametrize('server', SERVERS)
def test_searches(server, seed):
    """Nearly all of it SEARCH, SORT and THREAD, a tenth as many commands more."""
    told = run(seed, PER_RUN // 2, '--server', server, '--preset', 'searches')
    assert 'seed %d: %d commands, no difference but the allowed' % (seed, PER_RUN // 2) in told
