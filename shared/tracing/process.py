"""Who this process is, in its logs and its traces."""

from __future__ import annotations

import socket
from importlib.metadata import version

from shared import logs
from shared.tracing import spans


def begin(service: str, instance: str = "", *, traced: bool = True) -> None:
    """To be called once, when a service ("sla") starts; `instance` empty is the host's name, which in
    Kubernetes is the pod's. One that has nothing to tell in a trace is not `traced`. Raises NotTraceable."""
    named, ours = instance or socket.gethostname(), version("garant")
    logs.identify(f"garant-{service}", named, ours)
    if traced:
        spans.start(f"garant-{service}", named, ours)
