"""Sharing the work: which partitions this instance owns, from restored to handed over."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

import structlog
from aiokafka import ConsumerRebalanceListener, TopicPartition

from services.sla.app import metrics
from services.sla.app.membership import member_id
from shared.errors import NeedsAPerson
from shared.kafka import Batch, HistoryGone

log = structlog.get_logger()

EXIT_STOPPED = 70
"""Exit status of a worker that must not go on: it starts again from what it last saved."""


def die(worker: str, error: BaseException) -> NoReturn:
    """Ends the process at once, loudly, saving nothing: what was not saved is folded again after a restart.

    An exception in a handler or a rebalance listener would be swallowed by the libraries and the next
    commit would bury the record; skipping is how money gets lost.
    """
    known = isinstance(error, NeedsAPerson)
    log.critical(
        "worker.stopped",
        worker=worker,
        kind=type(error).__name__,
        error=str(error),
        exc_info=None if known else error,
    )
    os._exit(EXIT_STOPPED)


async def check_history(consumer: Any, place: TopicPartition, following: int) -> None:
    """Raises HistoryGone where the broker no longer keeps `following`, the next offset that is needed: to
    fold on behind a hole would conclude other things from other history."""
    first = (await consumer.beginning_offsets([place]))[place]
    if first > following:
        raise HistoryGone(
            f"{place.topic}/{place.partition} begins at offset {first}, {following} is needed next. Restore "
            "the topic, or the state topic that reached further, from its backup; nothing was concluded."
        )


def settle() -> None:
    """After a restore: what was read stays, so the collector need not walk it; what reading took goes back to
    the system, where the C library can be told."""
    gc.freeze()
    if (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)


Work = Callable[[], Awaitable[None]]


class Ownership(ConsumerRebalanceListener):  # type: ignore[misc]
    """Follows the group's assignments. `lock` is held while a batch is folded and while ownership changes,
    so that state never changes hands in the middle of a batch; `epoch` tells a batch fetched before a
    change from one fetched after it."""

    def __init__(
        self,
        worker: str,
        restore: Callable[[int], Awaitable[int]],
        hand_over: Callable[[set[int]], Awaitable[None]],
        check_name: Callable[[Any, str], Awaitable[None]],
    ) -> None:
        self.lock = asyncio.Lock()
        self.epoch = 0
        self.assigned = False
        """Whether the group has given this instance its share, restored, which may be nothing."""
        self.unfinished = False
        """Whether a fold was begun and its outcomes are not acknowledged yet. Where it stays so (the fold was
        cancelled), nothing may be saved any more."""
        self.beat = time.monotonic()
        """When the worker last advanced (monotonic seconds)."""
        self.newest: dict[int, float] = {}
        """When the newest record folded of each partition was appended (s since the epoch); where none was
        since the restore, when that was."""
        self.subscriber: Any = None
        self._worker = worker
        self._restore = restore
        self._hand_over = hand_over
        self._check_name = check_name
        self._member = ""

    async def take(self, fold: Work, save: Work) -> None:
        """Runs `fold`, then `save`, unless the batch to fold was fetched before ownership changed. Does not
        return from an exception: it ends the process."""
        epoch = self.epoch
        try:
            async with self.lock:
                if epoch == self.epoch:
                    self.unfinished = True
                    await fold()
                    self.unfinished = False
                    await save()
            self.beat = time.monotonic()
        except Exception as error:
            die(self._worker, error)

    def folded(self, batch: Batch) -> None:
        """Notes that all of `batch` is folded, its outcomes acknowledged."""
        self.newest |= {record.partition: record.timestamp / 1_000 for record in batch}

    async def attend(self, work: Work) -> None:
        """Runs `work` while nothing is folded and no partition changes hands; fails like `take`."""
        try:
            async with self.lock:
                if not self.unfinished:
                    await work()
            self.beat = time.monotonic()
        except Exception as error:
            die(self._worker, error)

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        try:
            async with self.lock:
                if self.assigned:
                    await self._check_name(self.subscriber.consumer, self._member)
                self.assigned = False
                await self._hand_over({place.partition for place in revoked})
        except Exception as error:
            die(self._worker, error)

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        consumer = self.subscriber.consumer
        try:
            # The client fetches from the group's offset while this runs, and a state that was found unusable
            # begins before that: nothing may be taken until the place to go on from has been sought.
            consumer.pause(*assigned)
            began = time.monotonic()
            async with self.lock:
                for place in sorted(assigned):
                    following = await self._restore(place.partition)
                    await check_history(consumer, place, following)
                    consumer.seek(place, following)
                    self.newest[place.partition] = time.time()
                metrics.RESTORED_IN.labels(self._worker).set(time.monotonic() - began)
                settle()
                self.epoch += 1
                consumer.resume(*assigned)
                self._member = member_id(consumer)
                self.assigned = True
                log.info(
                    "partitions.owned", worker=self._worker, partitions=sorted(p.partition for p in assigned)
                )
        except Exception as error:
            die(self._worker, error)
