"""A wire between a service and the broker that can be cut and slowed down.

`Wire(target_port)` listens on a loopback port of its own and carries bytes both ways. `cut` carries nothing
any more and closes nothing, as a network does that drops every packet; `mend` closes what was cut, as a stack
does that gave up, and carries again. `slow` holds every piece back. Neither netem nor a firewall can be had
wherever `make test` runs, so bytes are carried by hand.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading

from services.cli.local.ports import HOST, free_port


class Wire:
    """One wire; it runs in a thread of its own until `close`."""

    def __init__(self, target_port: int) -> None:
        self.port = free_port()
        self.carried = 0
        """Bytes carried so far."""
        self._target_port = target_port
        self._delay_s = 0.0
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._open = asyncio.Event()
        self._open.set()
        self._do(self._listen())

    def cut(self) -> None:
        """From now on nothing arrives, in either direction, and nobody is told."""
        self._loop.call_soon_threadsafe(self._open.clear)

    def mend(self) -> None:
        """Carries again; the connections of before are gone."""
        self._do(self._drop())
        self._loop.call_soon_threadsafe(self._open.set)

    def slow(self, seconds: float) -> None:
        """Every piece takes `seconds` longer, one way."""
        self._delay_s = seconds

    def close(self) -> None:
        """Stops listening and closes everything."""
        self._do(self._drop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def _do(self, work: asyncio.Future[None] | object) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)  # type: ignore[arg-type]

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._carry, HOST, self.port)

    async def _drop(self) -> None:
        for writer in list(self._writers):
            writer.close()
        self._writers.clear()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(HOST, self._target_port)
        except OSError:
            writer.close()
            return
        self._writers |= {writer, far_writer}
        await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        self._writers -= {writer, far_writer}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while data := await reader.read(65_536):
                if self._delay_s:
                    await asyncio.sleep(self._delay_s)
                await self._open.wait()
                if writer.is_closing():
                    break
                writer.write(data)
                await writer.drain()
                self.carried += len(data)
        writer.close()
