"""Loopback ports nobody uses."""
import socket


def free_ports(number, host='127.0.0.1'):
    """So many different free ports; held together so that none comes twice."""
    held = []
    try:
        for _ in range(number):
            sock = socket.socket()
            sock.bind((host, 0))
            held.append(sock)
        return [sock.getsockname()[1] for sock in held]
    finally:
        for sock in held:
            sock.close()


def free_port():
    return free_ports(1)[0]
