"""The private roots that conf/servers makes in build/servers: where programs and libraries of a server lie there."""
import os
import pathlib

from .server import ServerError

SERVERS = pathlib.Path(__file__).resolve().parents[3] / 'build' / 'servers'


class PrivateRoot:
    """path: of the root. environment(NAME=value): for its programs."""

    def __init__(self, name):
        self.path = SERVERS / name
        if not (self.path / 'complete').exists():
            raise ServerError('%s is not unpacked: run conf/servers' % name)
        multiarch = [f.parent for f in (self.path / 'usr/lib').glob('*-linux-gnu/') for f in f.glob('*.so*')]
        self._libraries = [self.path / 'usr/lib'] + sorted(set(multiarch))

    def environment(self, **values):
        inherited = {name: os.environ[name] for name in ('PATH', 'TMPDIR') if name in os.environ}
        return dict(inherited, LD_LIBRARY_PATH=':'.join(map(str, self._libraries)),
                    LD_PRELOAD=str(SERVERS / 'private_root.so'), **{k: str(v) for k, v in values.items()})

    def library(self, name):
        """Path of a library file: in the private root, else the system's."""
        for folder in self._libraries + [pathlib.Path(d) for d in sorted(pathlib.Path('/usr/lib').glob('*-linux-gnu'))]:
            if (folder / name).exists():
                return folder / name
        raise ServerError('%s is not there: run conf/servers' % name)
