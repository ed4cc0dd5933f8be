"""Ports that stay free while nobody listens on them.

A free port that the kernel picks lies among those it gives to clients. While its server is down any client
may get it, above all one that keeps trying to reach that server: it ends up connected to itself, and the
server finds its port taken. So what is killed and started again listens below that range.
"""

from __future__ import annotations

import random
import threading
from pathlib import Path
from typing import Final

from services.cli.local.ports import free_port, port_taken

_LOWEST: Final = 10_000
_RANGE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_given: set[int] = set()
_lock = threading.Lock()


def steady_port() -> int:
    """A TCP port of loopback that nothing listens on, given once in this process."""
    first = int(_RANGE.read_text().split()[0]) if _RANGE.exists() else _LOWEST
    with _lock:
        for _ in range(1_000 if first > _LOWEST + 1_000 else 0):
            port = random.randrange(_LOWEST, first)
            if port not in _given and not port_taken(port):
                _given.add(port)
                return port
    return free_port()
