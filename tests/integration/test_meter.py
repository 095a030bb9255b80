"""Octets of an account and day, as the log tells them."""
import re
import signal

import spine_tools as tools


def metered(proxy, user, when):
    found = re.findall(r'octets of the day" account="[^"]*/%s" when=%s in=(\d+) out=(\d+)' % (user, when), proxy.log_text())
    return [tuple(map(int, pair)) for pair in found]


def test_octets_of_each_account_are_told(dovecot, tap, proxy, connect):
    heavy, light = dovecot.new_user(), dovecot.new_user()
    dovecot.fill(heavy, 'INBOX', tools.mails(1, 300000))
    dovecot.fill(light, 'INBOX', tools.mails(1))
    for user in (heavy, light):
        client = connect(proxy.port, user)
        client.select()
        assert client.uid_fetch('1', 'BODY.PEEK[]')[1]['BODY[]']
    proxy.signal(signal.SIGUSR2)
    tools.wait_until(lambda: metered(proxy, heavy, 'now') and metered(proxy, light, 'now'))
    (heavy_in, heavy_out), = metered(proxy, heavy, 'now')
    (light_in, light_out), = metered(proxy, light, 'now')
    assert 300000 < heavy_in < 330000 and light_in < 30000
    assert 0 < heavy_out < 10000 and 0 < light_out < 10000


def test_octets_are_told_when_the_account_leaves(dovecot, user, proxy, connect):
    connect(proxy.port, user).select()
    assert not metered(proxy, user, 'left')
    proxy.end()
    (came, went), = metered(proxy, user, 'left')
    assert came > 100 and went > 20
