"""A real HTTPS server that webhooks are posted to: keeps what came, answers as it is told."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trustme
from msgspec import Struct

NAME = "hooks.demo.example"


class Received(Struct, frozen=True):
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes


class Receiver:
    """Listens on 127.0.0.1 with a certificate for `hooks.demo.example` and localhost. `answer` are the bytes
    it sends, `wait_s` how long it waits before."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.ca_file = str(folder / "ca.pem")
        authority.cert_pem.write_to_path(self.ca_file)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(NAME, "localhost").configure_cert(self._context)
        self.answer = b"HTTP/1.1 204 No Content\r\n\r\n"
        self.wait_s = 0.0
        self.received: list[Received] = []
        self.connections = 0
        self.sent = 0
        self.port = 0

    @property
    def url(self) -> str:
        return f"https://{NAME}:{self.port}/in?token=of-theirs"

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Receiver]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.split("\r\n")
            headers = {
                line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in lines if line
            }
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            self.received.append(Received(first.split(" ")[1], headers, body))
            await asyncio.sleep(self.wait_s)
            for start in range(0, len(self.answer), 65_536):
                writer.write(self.answer[start : start + 65_536])
                await writer.drain()
                self.sent = start + 65_536
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
