"""The list of allowed differences, and the exception for all others."""
import collections
import pathlib
import tomllib

ALLOWED_FILE = pathlib.Path(__file__).with_name('allowed.toml')


class Mismatch(Exception):
    """The subject said or did what the upstream could not have told that client."""

    def __init__(self, kind, text):
        super().__init__('%s: %s' % (kind, text))
        self.kind = kind


class Rules:
    """differ(kind, text): counts an allowed difference, raises Mismatch for any other."""

    def __init__(self, path=ALLOWED_FILE, server='dovecot'):
        with open(path, 'rb') as file:
            lists = tomllib.load(file)
        self.allowed, self.avoided = (self._ids(lists.get(name, []), server) for name in ('allowed', 'avoided'))
        self.used = collections.Counter()

    @staticmethod
    def _ids(entries, server):
        for entry in entries:
            if not (entry['rfc'] and entry['reason']):
                raise ValueError('%s: section or reason missing' % entry['id'])
        return {entry['id'] for entry in entries if server in entry.get('servers', [server])}

    def differ(self, kind, text=''):
        if kind not in self.allowed:
            raise Mismatch(kind, text)
        self.used[kind] += 1
