"""Twins: two users of one server with identical mailboxes, filled once and copied for each run."""
from imapjudge import dovecot, imapclient, mailgen

import generate

SIZES = (40, 25, 12)        # messages in generate.SHARED


def mail_pool(seed, real=40, generated=80):
    """The mails a conversation appends; the same for the same seed (and the same real mails)."""
    mails = mailgen.Generator(seed, big=30_000).mails(generated)
    return mails + [m for m in mailgen.real_mails() if len(m.octets) < 40_000][:real]


def fill(client_of, mails, names):
    """Fill an empty account over IMAP: client_of() -> logged-in client."""
    client = client_of()
    for number, (box, count) in enumerate(zip(names.shared, SIZES)):
        if box != 'INBOX':
            client.must('CREATE "%s"' % box)
        for index in range(count):
            mail = mails[(index * 3 + number) % len(mails)]
            client.append(box, mail.octets, ' '.join(mail.flags), mail.date)
    for box in names.scratch[:2]:
        client.must('CREATE "%s"' % box)
    client.logout()


def accepted(client, mails):
    """Those of @mails that this server takes; the others would be refused on both sides."""
    kept = []
    for mail in mails:
        try:
            client.append('INBOX', mail.octets, ' '.join(mail.flags), mail.date)
            kept.append(mail)
        except imapclient.IMAPRefused:
            continue
    return kept


class Twins:
    """with Twins(seed) as twins: twins.fresh() -> (direct user, subject user), as often as wanted. server: one of
    imapjudge.servers, started and ended here. names: of the mailboxes, see generate.Names."""

    def __init__(self, seed=1, server=None):
        self.mails = mail_pool(seed)
        self.server = server or dovecot.Dovecot(users=0)
        self.names = generate.Names(self.server.facts)
        self._template = 'any-template%d' % seed
        self._runs = 0

    def __enter__(self):
        self.server.start()
        with self.server.client('any-taker') as client:
            self.mails = accepted(client, self.mails)
        fill(lambda: self.server.client(self._template), self.mails, self.names)
        return self

    def __exit__(self, *_):
        self.server.stop()

    def fresh(self):
        self._runs += 1
        pair = tuple('any-%s%d' % (name, self._runs) for name in ('direct', 'twin'))
        for user in pair:
            self.server.copy_user(self._template, user)
        return pair

    def forget(self, pair):
        for user in pair:
            self.server.remove_user_mail(user)
