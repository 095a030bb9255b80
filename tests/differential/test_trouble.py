"""The proxy judged while its upstream is not what it was: links cut between and amid commands, capabilities hidden, the
proxy killed and started again. Long forms with IMAPCACHED_LONG=1."""
import os
import re

import pytest

from proxyrun import LONG, SERVERS, needs_binary, run

SEED = int(os.environ.get('IMAPCACHED_DIFF_SEED') or 1)
NO_MODSEQ = 'QRESYNC,CONDSTORE'
POOR = NO_MODSEQ + ',UIDPLUS,ESEARCH,LITERAL+,MOVE'
NO_RUNG = ['QRESYNC', 'CONDSTORE']
# name: (commands, how, rungs of the ladder that have to be used, and never)
RUNS = {
    'cut': (500, '--cut 4', ['QRESYNC'], []),
    'cut-amid': (400, '--cut 2 --cut-in 0.3', ['QRESYNC'], []),
    'condstore': (500, '--hide QRESYNC', [], ['QRESYNC']),
    'condstore-cut': (400, '--hide QRESYNC --cut 4', ['CONDSTORE'], ['QRESYNC']),
    'no-modseq': (500, '--hide %s' % NO_MODSEQ, ['scan'], ['QRESYNC', 'CONDSTORE']),
    'no-modseq-cut': (400, '--hide %s --cut 4' % NO_MODSEQ, ['scan'], ['QRESYNC', 'CONDSTORE']),
    'poor': (500, '--hide %s,NAME' % POOR, ['scan'], ['QRESYNC', 'CONDSTORE']),
    'poor-cut-amid': (300, '--hide %s --cut 2 --cut-in 0.3' % POOR, ['scan'], ['QRESYNC', 'CONDSTORE']),
    'no-idle': (200, '--hide IDLE --weight outside=0.5', [], []),
    'no-idle-poor-cut': (200, '--hide %s,IDLE,NAME --weight outside=0.5 --cut 2' % POOR, ['scan'], ['CONDSTORE']),
    'kill': (300, '--kill 4', ['QRESYNC'], []),
    'searches-cut': (300, '--preset searches --cut 4 --cut-in 0.1', ['QRESYNC'], []),
    'searches-kill': (300, '--preset searches --kill 4', ['QRESYNC'], []),
    'searches-poor': (300, '--preset searches --hide %s' % POOR, ['scan'], ['QRESYNC', 'CONDSTORE']),
    'kill-condstore': (300, '--kill 4 --cut 2 --hide QRESYNC', ['CONDSTORE'], ['QRESYNC']),
}


# Courier has neither CONDSTORE nor what else is hidden above; its commands are slower.
COURIER = {
    'cut': (300, '--cut 4', ['scan'], NO_RUNG),
    'cut-amid': (300, '--cut 2 --cut-in 0.3', ['scan'], NO_RUNG),
    'poor': (300, '--hide UIDPLUS,NAME', [], NO_RUNG),
    'no-idle-cut': (150, '--hide IDLE,NAME --weight outside=0.5 --cut 2', ['scan'], NO_RUNG),
    'kill': (200, '--kill 4', ['scan'], NO_RUNG),
    'searches-cut': (200, '--preset searches --cut 4', ['scan'], NO_RUNG),
    'searches-kill': (200, '--preset searches --kill 4', ['scan'], NO_RUNG),
}
ALL = [('courier', name) for name in COURIER] + [(server, name) for server in ('cyrus', 'dovecot') for name in RUNS]


@needs_binary
@pytest.mark.parametrize('server,name', [case for case in ALL if case[0] in SERVERS])
def test_trouble(server, name):
    commands, how, used, unused = (COURIER if server == 'courier' else RUNS)[name]
    seed = SEED + SEED % 2 if 'searches' in name else SEED     # even: remembered at once
    told = run(seed, commands * (20 if LONG else 1), '--server', server, *how.split())
    rungs = dict(re.findall(r'(QRESYNC|CONDSTORE|scan|SEARCH ALL) (\d+)', told[told.index('resynchronised by'):]))
    for rung in used:
        assert int(rungs[rung]) > 0, (rung, told)
    for rung in unused:
        assert int(rungs[rung]) == 0, (rung, told)
