"""Sharing the work: which partitions this instance owns, from restored to handed over."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

import structlog
from aiokafka import ConsumerRebalanceListener, TopicPartition

log = structlog.get_logger()

EXIT_STOPPED = 70
"""Exit status of a worker that must not go on: it starts again from what it last saved."""


def die(worker: str, error: BaseException) -> NoReturn:
    """Ends the process at once, loudly, saving nothing: what was not saved is folded again after a restart.

    An exception in a handler or a rebalance listener would be swallowed by the libraries and the next
    commit would bury the record; skipping is how money gets lost.
    """
    log.critical("worker.stopped", worker=worker, kind=type(error).__name__, error=str(error), exc_info=error)
    os._exit(EXIT_STOPPED)


class Ownership(ConsumerRebalanceListener):  # type: ignore[misc]
    """Follows the group's assignments. `lock` is held while a batch is folded and while ownership changes,
    so that state never changes hands in the middle of a batch; `epoch` tells a batch fetched before a
    change from one fetched after it."""

    def __init__(
        self,
        worker: str,
        restore: Callable[[int], Awaitable[int]],
        hand_over: Callable[[set[int]], Awaitable[None]],
    ) -> None:
        self.lock = asyncio.Lock()
        self.epoch = 0
        self.assigned = False
        """Whether the group has given this instance its share, restored, which may be nothing."""
        self.subscriber: Any = None
        self._worker = worker
        self._restore = restore
        self._hand_over = hand_over

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        try:
            async with self.lock:
                self.assigned = False
                await self._hand_over({place.partition for place in revoked})
        except BaseException as error:
            die(self._worker, error)

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        try:
            async with self.lock:
                self.epoch += 1
                for place in sorted(assigned):
                    position = await self._restore(place.partition)
                    self.subscriber.consumer.seek(place, position)
                self.assigned = True
                log.info(
                    "partitions.owned", worker=self._worker, partitions=sorted(p.partition for p in assigned)
                )
        except BaseException as error:
            die(self._worker, error)
