"""Questions and answers over a socket in the pod: a line of JSON each way, one question at a time."""

from __future__ import annotations

import socket
import socketserver
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec import json

SOCKET = Path("/tmp/witness.sock")  # noqa: S108 - the pod's own
Answering = Callable[[dict[str, Any]], dict[str, Any]]


class Refused(Exception):
    """The witness could not do what it was asked; the message is its own."""


def serve(answering: Answering, path: Path = SOCKET, ready: Callable[[], None] = lambda: None) -> None:
    """Answers until the process ends. What fails is answered as `{"failed": ...}`; then the next is taken."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            line = self.rfile.readline()
            if not line:
                return
            try:
                said = answering(json.decode(line, type=dict[str, Any]))
            except Exception:
                said = {"failed": traceback.format_exc()}
            self.wfile.write(json.encode(said) + b"\n")

    path.unlink(missing_ok=True)
    with socketserver.UnixStreamServer(str(path), Handler) as server:
        ready()
        server.serve_forever()


def ask(question: dict[str, Any], path: Path = SOCKET, within_s: float = 1_200) -> dict[str, Any]:
    """The answer. Raises Refused with what the witness says of its failure, OSError where none listens."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(within_s)
        connection.connect(str(path))
        connection.sendall(json.encode(question) + b"\n")
        with connection.makefile("rb") as answer:
            line = answer.readline()
    if not line:
        raise Refused("the witness ended without an answer")
    said = json.decode(line, type=dict[str, Any])
    if "failed" in said:
        raise Refused(said["failed"])
    return said
