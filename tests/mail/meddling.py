"""A line between an IMAP client and a real server on which a test can meddle: swallow, answer, cut."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Command = Callable[[bytes], bytes | None]
"""What becomes of a client's command (a line): None: it goes on to the server; b"": the line is cut; other
bytes are the answer, after the command's tag."""


class Meddler:
    """`port` is where clients connect; `command` and `told` may be set at any time."""

    def __init__(self, port: int) -> None:
        self.server_port = port
        self.command: Command = lambda _: None
        self.told: Callable[[bytes], bytes] = lambda data: data
        """What becomes of what the server says."""
        self.silent = False
        """Nothing the server says comes through."""
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                try:
                    server = socket.create_connection(("127.0.0.1", self.server_port))
                except OSError:
                    client.close()
                    continue
                self._open += [client, server]
                threading.Thread(target=self._commands, args=(client, server), daemon=True).start()
                threading.Thread(target=self._answers, args=(client, server), daemon=True).start()

    def _commands(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError, ValueError), client.makefile("rb") as lines:
            for line in lines:
                answer = self.command(line)
                if answer is None:
                    server.sendall(line)
                elif not answer:
                    break
                else:
                    client.sendall(line.split(b" ")[0] + b" " + answer + b"\r\n")
        self._cut(client, server)

    def _answers(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(65_536):
                if not self.silent:
                    client.sendall(self.told(data))
        self._cut(client, server)

    def _cut(self, *ends: socket.socket) -> None:
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def cut(self) -> None:
        """Cuts every connection there is."""
        self._cut(*self._open)
        self._open.clear()

    def close(self) -> None:
        self._listener.close()
        self.cut()


@contextmanager
def meddling(port: int) -> Iterator[Meddler]:
    """A meddler before the server at `port`."""
    meddler = Meddler(port)
    try:
        yield meddler
    finally:
        meddler.close()
