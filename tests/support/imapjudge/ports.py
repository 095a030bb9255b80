"""Loopback ports nobody uses."""
import collections
import random
import socket

# Below what the kernel gives to outgoing connections: else one of those may take a port between our asking for it and
# the listening of the program it is for.
_RANGE = range(10000, 32000)
_KEPT = 200  # reservations, a socket each: what was asked for before that listens by now, or is over
_reserved = collections.deque()


def _reserve(port):
    """No other test process on this machine is given @port for a while; False: one has it."""
    lock = socket.socket(socket.AF_UNIX)
    try:
        lock.bind('\0imapjudge-port-%d' % port)
    except OSError:
        lock.close()
        return False
    _reserved.append(lock)
    if len(_reserved) > _KEPT:
        _reserved.popleft().close()
    return True


def _is_unused(port, host):
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
        except OSError:
            return False
        return True


def free_port(host='127.0.0.1'):
    for port in random.SystemRandom().sample(_RANGE, 1000):
        if _reserve(port):
            if _is_unused(port, host):
                return port
            _reserved.pop().close()
    raise OSError('no free port among a thousand')


def free_ports(number, host='127.0.0.1'):
    """So many different free ports."""
    return [free_port(host) for _ in range(number)]
