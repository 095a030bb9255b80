"""Links whose other end is gone without a word: a relay that swallows all octets and stays open, the form of it that needs
neither namespaces nor filters. The kernel's own probes (TCP_USER_TIMEOUT, keep-alive) are acknowledged by the relay, so
that what is shown here is what the program finds out by itself."""
import time

import pytest

import spine_tools as tools

FOUND = 32      # seconds: half a minute, and the new link
FOUND_IDLING = 76       # a minute of silence, the answer that does not come, and the new link


def swallow(tap, proxy):
    """All present links hear and say nothing from now on; new ones work."""
    tap.stall()


def test_t26_half_open_feed_is_found_while_idling(dovecot, user, tap, proxy, connect):
    """The client of a dead link idles: it sees new mail, nothing but a pause."""
    dovecot.fill(user, 'INBOX', tools.mails(2))
    client, direct = connect(proxy.port, user, timeout=90), connect(dovecot.port, user)
    client.select()
    client.idle()
    time.sleep(0.3)
    swallow(tap, proxy)
    direct.append('INBOX', tools.mail(3))
    began = time.monotonic()
    client.idle_wait(lambda got: any(r.name == 'EXISTS' and r.num == 3 for r in got), FOUND_IDLING)
    print('heard after %.1f s' % (time.monotonic() - began))
    assert client.done().ok


def test_t26_half_open_links_are_found_by_commands(dovecot, user, tap, proxy, connect):
    """Commands of all links wait for new ones, are answered, and are done once."""
    dovecot.fill(user, 'INBOX', tools.mails(5, 3000))
    direct = connect(dovecot.port, user)
    direct.must('CREATE there')
    client, other, third = [connect(proxy.port, user, timeout=60) for _ in range(3)]
    for c in (client, other, third):
        c.select()
    assert client.uid_fetch('1', 'BODY.PEEK[]')[1]['BODY[]'] == tools.mail(1, 3000)     # the link for bodies is up
    time.sleep(18.5)    # a while in which nothing is said on it
    swallow(tap, proxy)
    began = time.monotonic()
    body = client.start('UID FETCH 2 (BODY.PEEK[])')
    store = other.start('UID STORE 1 +FLAGS (\\Flagged)')
    copy = third.start('UID COPY 3 there')
    assert other.wait(store).ok
    assert third.wait(copy).ok
    assert client.wait(body).fetch_by_uid()[2]['BODY[]'] == tools.mail(2, 3000)
    print('done after %.1f s' % (time.monotonic() - began))
    assert time.monotonic() - began < FOUND
    direct.select('there')
    assert direct.must('UID SEARCH ALL').search() == [1]


@pytest.mark.skipif(not tools.LONG, reason='two minutes')
def test_upload_that_stands_still_lets_go_of_its_link(dovecot, user, tap, make_proxy, connect):
    proxy = make_proxy(tap.port)
    client = connect(proxy.port, user, timeout=30)
    client.send_raw(b'a APPEND INBOX {100000}\r\n')
    assert client.read_raw(4, 10).startswith(b'+')
    client.send_raw(b'x' * 1000)
    tools.wait_until(lambda: tap.current == 0, 150, 'its link to be given up')
    client.send_raw(b'x' * 99000 + b'\r\n')
    assert b'a NO [UNAVAILABLE]' in client.read_raw(30, 10)


def test_upstream_without_idle_is_polled(make_proxy, connect):
    """Who idles hears of what happens outside although the server tells nothing by itself."""
    from imapjudge import fakeserver
    with fakeserver.FakeServer(capabilities='IMAP4rev1 SASL-IR LITERAL+ UIDPLUS') as fake:
        fake.mailbox().add(tools.mail(1))
        proxy = make_proxy(fake.port)
        client = connect(proxy.port, 'anna', timeout=60)
        client.select()
        client.idle()
        fake.change(lambda: fake.mailbox().add(tools.mail(2)))
        client.idle_wait(lambda got: any(r.name == 'EXISTS' and r.num == 2 for r in got), 40)
