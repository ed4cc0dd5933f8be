"""From the checks to Kafka without losing order: straight on while it answers, over the spool while not.

One group of records is on its way at a time. A group not acknowledged within a second is put on disk as
well, and everything that follows goes behind it, until the spool is empty again. A record may so be said
twice, with the same bytes; none is said before an older one was.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import structlog

from services.probe.spool import Spool
from shared.failpoints import reach

log = structlog.get_logger()

_PATIENCE_S = 1.0
_KEEP_EVERY_S = 0.2
_RETRY_S = 1.0


class Outbox:
    """`put` takes records in order; `run` delivers them with `send`, which raises when it cannot."""

    def __init__(
        self,
        send: Callable[[Sequence[bytes]], Awaitable[None]],
        spool: Spool,
        *,
        group: int = 500,
        max_fresh: int = 200_000,
        retry_s: float = _RETRY_S,
    ) -> None:
        self.delivered = 0
        """Records acknowledged so far."""
        self.settled = 0
        """Records that cannot be lost by an end of this process: acknowledged, or in the spool."""
        self.accepted = 0
        """Records taken so far."""
        self.overflowed = 0
        """Records given up because a disk stood still with memory full."""
        self.away = False
        """Whether Kafka does not answer, so that results go to the spool."""
        self.spool = spool
        self._send = send
        self._group = group
        self._max_fresh = max_fresh
        self._retry_s = retry_s
        self._fresh: deque[bytes] = deque()
        self._work = asyncio.Event()
        self._stopping = False

    def put(self, record: bytes) -> None:
        """Takes the next record. Never blocks."""
        self.accepted += 1
        if len(self._fresh) >= self._max_fresh:
            self._fresh.popleft()
            self.overflowed += 1
            self.settled += 1
            if self.overflowed % 10_000 == 1:
                log.error("outbox.overflowed", records=self.overflowed)
        self._fresh.append(record)
        reach("probe.result.found")
        self._work.set()

    @property
    def waiting(self) -> int:
        """Records not acknowledged yet, not counting those on their way for the first time."""
        return len(self._fresh) + len(self.spool)

    async def run(self) -> None:
        """Delivers until `stop` is called and either all is acknowledged or what is left is on disk."""
        while not (self._stopping and not self._fresh and (not len(self.spool) or self.away)):
            if len(self.spool):
                self._keep()
                if head := self.spool.peek(self._group):
                    await self._deliver(head, spooled=True)
                elif len(self.spool):
                    await self._wait_to_retry()  # the disk does not let itself be read now
            elif self._fresh:
                taken = [self._fresh.popleft() for _ in range(min(self._group, len(self._fresh)))]
                reach("probe.outbox.taken")
                await self._deliver(taken, spooled=False)
            else:
                self._work.clear()
                await self._work.wait()
        self.spool.close()

    def stop(self) -> None:
        """Makes `run` return once nothing can be lost any more."""
        self._stopping = True
        self._work.set()

    async def _deliver(self, records: list[bytes], *, spooled: bool) -> None:
        first = self.spool.gone
        loop = asyncio.get_running_loop()
        patient_until = loop.time() + _PATIENCE_S
        sending = asyncio.ensure_future(self._send(records))
        patience = _KEEP_EVERY_S if spooled else _PATIENCE_S
        while not (await asyncio.wait({sending}, timeout=patience))[0]:
            if loop.time() >= patient_until:
                self._say_away("not acknowledged")
            if not spooled:
                spooled, patience = True, _KEEP_EVERY_S
                self._put_away(records)
            self._keep()
            await asyncio.to_thread(self.spool.sync)
            if self._stopping:
                sending.cancel()
        error = sending.exception() if not sending.cancelled() else asyncio.CancelledError()
        if error is None:
            reach("probe.outbox.acknowledged")
            self.delivered += len(records)
            if spooled:
                self.spool.advance(first + len(records))
            else:
                self.settled += len(records)
            self._say_back()
            return
        self._say_away(type(error).__name__)
        if not spooled:
            self._put_away(records)
        await self._wait_to_retry()

    async def _wait_to_retry(self) -> None:
        loop = asyncio.get_running_loop()
        again_at = loop.time() + self._retry_s
        while not self._stopping and (left := again_at - loop.time()) > 0:
            await asyncio.sleep(min(left, _KEEP_EVERY_S))
            self._keep()
            await asyncio.to_thread(self.spool.sync)
        self._keep()

    def _keep(self) -> None:
        """Puts what is fresh behind what is on disk."""
        if self._fresh:
            self._put_away(list(self._fresh))
            self._fresh.clear()

    def _put_away(self, records: list[bytes]) -> None:
        self.spool.append(records)
        self.settled += len(records)

    def _say_away(self, reason: str) -> None:
        if not self.away:
            log.warning("outbox.kafka_away", reason=reason, results="wait on disk, in order")
        self.away = True

    def _say_back(self) -> None:
        if self.away:
            log.warning("outbox.kafka_back", waiting=self.waiting)
        self.away = False
