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

    def __init__(self, path=ALLOWED_FILE):
        with open(path, 'rb') as file:
            entries = tomllib.load(file)['allowed']
        for entry in entries:
            if not (entry['rfc'] and entry['reason']):
                raise ValueError('%s: section or reason missing' % entry['id'])
        self.allowed = {entry['id'] for entry in entries}
        self.used = collections.Counter()

    def differ(self, kind, text=''):
        if kind not in self.allowed:
            raise Mismatch(kind, text)
        self.used[kind] += 1
