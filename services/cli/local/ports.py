"""Ports of the loopback interface: whether one is free, and one that is.

A free port that the kernel picks lies among those it gives to clients. While its server is down any client
may get it, above all one that keeps trying to reach that server: it ends up connected to itself, and the
server finds its port taken. So ours lie below that range.
"""

from __future__ import annotations

import random
import socket
import threading
from pathlib import Path
from typing import Final

HOST = "127.0.0.1"
_LOWEST: Final = 10_000
_HIGHEST: Final = 28_000
"""Above are those that `garant up` uses when nothing else is said."""
_CLIENTS: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_given: set[int] = set()
_lock = threading.Lock()


def free_port() -> int:
    """A TCP port that nothing listens on now, given once in this process."""
    first = int(_CLIENTS.read_text().split()[0]) if _CLIENTS.exists() else _LOWEST
    highest = min(first, _HIGHEST)
    with _lock:
        for _ in range(1_000 if highest > _LOWEST + 1_000 else 0):
            port = random.randrange(_LOWEST, highest)
            if port not in _given and not port_taken(port):
                _given.add(port)
                return port
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def port_taken(port: int) -> bool:
    """Whether something holds the port, so that a server could not listen on it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False


def accepts(port: int, host: str = HOST) -> bool:
    """Whether a TCP connection to the port succeeds."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True
