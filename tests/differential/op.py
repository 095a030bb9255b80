"""One step of a conversation."""


class Op:
    """One step. session: index, or None for a change from outside. verb: as the rules for updates see it ('FETCH',
    'UID FETCH' ...). text: the command, with {modseq:n} and {uidvalidity} filled in for each side.
    items: response names a FETCH must give. literal and sync: of APPEND."""

    def __init__(self, session, verb, text='', **meta):
        self.session, self.verb, self.text = session, verb, text
        self.meta = meta

    def as_dict(self):
        return {'session': self.session, 'verb': self.verb, 'text': self.text, 'meta': self.meta}

    @classmethod
    def of_dict(cls, values):
        return cls(values['session'], values['verb'], values['text'], **values['meta'])

    def __repr__(self):
        who = 'outside' if self.session is None else 's%d' % self.session
        more = ' + mail %d' % self.meta['mail'] if 'mail' in self.meta else ''
        if 'changes' in self.meta:
            more += ' %s' % [repr(Op.of_dict(change)) for change in self.meta['changes']]
        if 'ops' in self.meta:
            more += ' %s' % [repr(Op.of_dict(op)) for op in self.meta['ops']]
        if 'asks' in self.meta:
            more += ' %s' % [repr(Op.of_dict(ask)) for ask in self.meta['asks']]
        if 'write' in self.meta:
            more += ' beside %r, order %s' % (Op.of_dict(self.meta['write']), self.meta['order'])
        if self.meta.get('cut'):
            more += ' (cut %s)' % self.meta['cut']
        return '%s: %s%s' % (who, self.text or self.verb, more)


def sets_seen(items):
    """True when one of the response names stands for octets, so that a request without PEEK sets \\Seen."""
    return any('[' in name or name in ('RFC822', 'RFC822.TEXT') for name in items)
