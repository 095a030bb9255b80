"""\\Seen by reading (protocol T11) when the octets do not come: the change is told all the same."""
import spine_tools as tools


def test_t11_seen_is_told_though_the_octets_were_refused(fake, make_proxy, connect):
    box = fake.mailbox('INBOX')
    for n in (1, 2):
        box.add(tools.mail(n))
    client = connect(make_proxy(fake.port).port, 'anna')
    client.select()
    client.fetch('1:*', '(UID FLAGS)')

    def refuse(conn, command):
        if b'BODY.PEEK[]' in command.args:
            conn.no(command, 'Not now')
        else:
            conn.default(command)
    fake.on('UID FETCH', refuse)
    told = client.cmd('FETCH 1 BODY[]')
    assert told.status == 'NO', told
    fake.wait_for('UID STORE')
    tools.wait_until(lambda: any('\\Seen' in m.flags for m in box.messages))
    told = told.untagged + client.must('NOOP').untagged
    assert any(r.name == 'FETCH' and b'\\Seen' in dict(r.data).get('FLAGS', []) for r in told), told
