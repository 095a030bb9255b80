"""The upstreams of the tests by name: KINDS[name] is a class of server.py's kind."""
from . import courier, cyrus, dovecot

KINDS = {kind.facts.name: kind for kind in (dovecot.Dovecot, cyrus.Cyrus, courier.Courier)}
