"""What a FETCH asks ahead is bounded in octets, too: the items of a command may be as long as the command.
The other servers take no lines as long as that."""
import threading

import hostile_tools as hostile
import spine_tools as tools

MB = 1 << 20


def test_long_items_of_many_messages_cost_little(dovecot, user, make_proxy, connect):
    dovecot.fill(user, 'INBOX', [tools.mail(n) for n in range(1, 601)])
    proxy = make_proxy(dovecot.port, env=hostile.sanitizer_env())
    client = connect(proxy.port, user, timeout=60)
    client.select()
    client.must('UID FETCH 1:* (UID FLAGS)')
    before = proxy.rss()
    grown, is_over = [0], threading.Event()

    def watch():
        while not is_over.wait(0.01):
            grown.append(proxy.rss() - before)
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        lists = [' '.join('X-%d-%d-%s' % (part, n, 'y' * 240) for n in range(120)) for part in range(4)]
        client.send_raw(b''.join(b'p%d UID FETCH 1:* BODY.PEEK[HEADER.FIELDS (%s)]\r\n' % (n, names.encode())
                                 for n, names in enumerate(lists)))
        client.must('NOOP', timeout=60)         # answered behind them
    finally:
        is_over.set()
        watcher.join()
    assert max(grown) < 60 * MB, max(grown) // MB
