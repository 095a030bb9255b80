"""Twins: two users of one Dovecot with identical mailboxes, filled once and copied at file level for each run."""
from imapjudge import dovecot, mailgen

import generate

SIZES = {'INBOX': 40, 'Work': 25, 'Archive': 12}


def mail_pool(seed, real=40, generated=80):
    """The mails a conversation appends; the same for the same seed (and the same real mails)."""
    mails = mailgen.Generator(seed, big=30_000).mails(generated)
    return mails + [m for m in mailgen.real_mails() if len(m.octets) < 40_000][:real]


def fill(client_of, mails):
    """Fill an empty account over IMAP: client_of() -> logged-in client."""
    client = client_of()
    for number, (box, count) in enumerate(SIZES.items()):
        if box != 'INBOX':
            client.must('CREATE "%s"' % box)
        for index in range(count):
            mail = mails[(index * 3 + number) % len(mails)]
            client.append(box, mail.octets, ' '.join(mail.flags), mail.date)
    for box in generate.SCRATCH[:2]:
        client.must('CREATE "%s"' % box)
    client.logout()


class Twins:
    """with Twins(seed) as twins: twins.fresh() -> (direct user, subject user), as often as wanted."""

    def __init__(self, seed=1, mail_format='sdbox', server=None):
        self.mails = mail_pool(seed)
        self._own = server is None
        self.server = server or dovecot.Dovecot(users=0, mail_format=mail_format)
        self._template = 'any-template%d' % seed
        self._runs = 0

    def __enter__(self):
        if self._own:
            self.server.start()
        fill(lambda: self.server.client(self._template), self.mails)
        return self

    def __exit__(self, *_):
        if self._own:
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
