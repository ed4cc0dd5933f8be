"""Folds probe.results into states: outcomes acknowledged before state, state before offsets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from faststream.kafka import KafkaBroker

from services.sla.app import metrics, traced, uptime_states
from services.sla.app.membership import as_member, check_name
from services.sla.app.ownership import Ownership, die
from services.sla.app.uptime_states import Share
from services.sla.app.volumes import Place
from services.sla.states import observe
from shared.appending import ToAppend, append_to_each
from shared.cloudevents import Origin, headers
from shared.codec import Undecodable, decode_probe_fact, encode
from shared.facts import ProbeFact, TargetObserved, TargetStateChanged
from shared.failpoints import reach
from shared.kafka import Batch, bury, subscribe_batches
from shared.rights import told
from shared.settings import KafkaSettings
from shared.topics import PROBE_RESULTS, UPTIME_CHANGES, UPTIME_STATE
from shared.tracing import spans
from shared.tracing.context import carry, cause_in

log = structlog.get_logger()

WORKER = "uptime"
SOURCE = "/garant/sla/uptime"
SAVE_EVERY_S = 2.0
MAX_RECORDS = 250
"""Records of a batch. With more of them the garbage collector starts to walk each batch, with fewer the
framework's cost of a batch shows: see docs/reference/benchmarks.md."""


RESULT_BYTES = 64 * 1024
"""A longer record is none of an agent's; what a change says of all its voters has to fit a record."""


class UptimeWorker:
    """One instance's part of the uptime fold."""

    def __init__(
        self,
        broker: KafkaBroker,
        settings: KafkaSettings,
        save_every_s: float = SAVE_EVERY_S,
        instance: str = "",
        max_records: int = MAX_RECORDS,
    ) -> None:
        self.shares: dict[int, Share] = {}
        self._broker = broker
        self._settings = settings
        self._save_every_s = save_every_s
        self._saved_at = time.monotonic()
        group = settings.group(WORKER)
        check = partial(check_name, settings, group, instance)
        self.ownership = Ownership(WORKER, self._restore, self._hand_over, check)
        self.subscriber = self.ownership.subscriber = subscribe_batches(
            broker,
            settings,
            [settings.topic(PROBE_RESULTS)],
            self._take,
            lambda error: die(WORKER, told(settings, error)),
            group_id=group,
            listener=self.ownership,
            max_records=max_records,
            **as_member(instance),
            title="uptime fold",
        )

    async def _take(self, batch: Batch, consumer: Any) -> None:
        del consumer
        await self.ownership.take(lambda: self._fold(batch), self._save_sometimes)

    async def idle(self) -> None:
        """Saves what is unsaved when no more records come."""
        await self.ownership.attend(self._save_sometimes)

    async def _fold(self, batch: Batch) -> None:
        reach("sla.uptime.read")
        said: list[tuple[Any, Sequence[TargetStateChanged | TargetObserved]]] = []
        partition, share = -1, None
        for record in batch:
            if record.partition != partition:  # a batch holds each partition's records together
                partition = record.partition
                share = self.shares.get(partition)
            offset = record.offset
            if share is None or offset <= share.position:
                continue
            try:
                fact = _read(record.value or b"")
            except Undecodable as error:
                await bury(self._broker, self._settings, record, PROBE_RESULTS.name, str(error), "sla")
                metrics.DEAD_LETTERS.labels(PROBE_RESULTS.name).inc()
                share.position = offset
                continue
            found = observe(share.states, fact, record.timestamp, offset)
            share.position = offset
            if found:
                said.append((record, found))
        metrics.RESULTS.inc(len(batch))
        reach("sla.uptime.folded")
        await self._publish(said)
        self.ownership.folded(batch)

    async def _publish(self, said: list[tuple[Any, Sequence[TargetStateChanged | TargetObserved]]]) -> None:
        spread: dict[int, list[ToAppend]] = {}
        hops: list[traced.Hop] = []
        for record, found in said:
            cause = cause_in(record, PROBE_RESULTS.name)
            parent = traced.tell_result(record, cause)
            for step, fact in enumerate(found):
                data, name = encode(fact), type(fact).__name__
                origin = Origin(PROBE_RESULTS.name, record.partition, record.offset, step)
                named = headers(data, type_name=name, source=SOURCE, time_ms=record.timestamp, origin=origin)
                own = carry(named, cause.trace)
                if spans.on():
                    hops.append(traced.Hop(name, UPTIME_CHANGES, own, parent, record.timestamp, fact))
                spread.setdefault(record.partition, []).append(ToAppend(data, named, fact.target.encode()))
                metrics.CHANGES.labels(name).inc()
        if spread:
            # Both topics are keyed by target and have as many partitions: the results' order is the changes'.
            await append_to_each(self._broker, self._settings.topic(UPTIME_CHANGES), spread)
            reach("sla.uptime.published")
            traced.tell(hops)

    async def _save_sometimes(self) -> None:
        if time.monotonic() - self._saved_at >= self._save_every_s:
            await self._save()

    async def _save(self) -> None:
        """States of the targets that changed, then the position they reach, then the group's offsets."""
        now = time.time_ns() // 1_000_000
        changed = {
            partition: share for partition, share in self.shares.items() if share.position > share.saved
        }
        if not changed:
            self._saved_at = time.monotonic()
            return
        saving = {
            partition: await uptime_states.save(self._place(partition), share, now)
            for partition, share in changed.items()
        }
        reach("sla.uptime.states-saved")
        await asyncio.gather(
            *[saved.conclude(self._place(partition), now) for partition, saved in saving.items()]
        )
        reach("sla.uptime.saved")
        offsets = {}
        for partition, share in changed.items():
            offsets[TopicPartition(self._settings.topic(PROBE_RESULTS), partition)] = share.saved + 1
        self._saved_at = time.monotonic()
        await commit(self.subscriber.consumer, offsets)

    def _place(self, partition: int) -> Place:
        topic = self._settings.topic(UPTIME_STATE)
        return Place(self._broker, topic, partition, "UptimeState", SOURCE)

    async def _restore(self, partition: int) -> int:
        """Reads the saved states of `partition`; returns the offset to go on from."""
        self.shares[partition] = share = await uptime_states.restored(self._settings, partition)
        reach("sla.uptime.restored")
        log.info("uptime.restored", partition=partition, targets=len(share.states), position=share.position)
        return share.position + 1

    async def close(self) -> None:
        """Saves everything and lets go of every share, in good order."""
        async with self.ownership.lock:
            self.ownership.epoch += 1
            await self._hand_over(set(self.shares))

    async def _hand_over(self, partitions: set[int]) -> None:
        held = [self.shares[partition] for partition in partitions if partition in self.shares]
        if not self.ownership.unfinished and any(share.position > share.saved for share in held):
            await self._save()
        for partition in partitions:
            self.shares.pop(partition, None)


def _read(data: bytes) -> ProbeFact:
    if len(data) > RESULT_BYTES:
        raise Undecodable(f"longer than {RESULT_BYTES} bytes")
    return decode_probe_fact(data)


async def commit(consumer: Any, offsets: dict[TopicPartition, int]) -> None:
    """Commits group offsets, which only lag metrics read: a refusal after a rebalance is no loss."""
    try:
        await consumer.commit(offsets)
    except KafkaError as error:
        log.info("offsets.not_committed", reason=str(error))
