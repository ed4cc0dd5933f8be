"""Folds probe.results into states: outcomes acknowledged before state, state before offsets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import msgspec
import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from faststream.kafka import KafkaBroker
from msgspec import Struct

from services.sla.app import metrics
from services.sla.app.ownership import Ownership
from services.sla.states import STATE_VERSION, TargetState, observe
from shared.cloudevents import Origin, headers
from shared.codec import Undecodable, decode_probe_fact, encode, encode_state, state_decoder
from shared.facts import ProbeFact, TargetObserved, TargetStateChanged
from shared.failpoints import reach
from shared.kafka import Batch, bury, read_topic, send, subscribe_batches
from shared.settings import KafkaSettings
from shared.topics import PROBE_RESULTS, UPTIME_CHANGES, UPTIME_STATE

log = structlog.get_logger()

WORKER = "uptime"
SOURCE = "/garant/sla/uptime"
SAVE_EVERY_S = 2.0
POSITION_KEY = b"@position"
"""Key of the record that says up to where every target's saved state goes at least. Target ids are keys of
the other records, behind a "=" so that no id can be taken for it."""
MAX_RECORDS = 250
"""Records of a batch. With more of them the garbage collector starts to walk each batch, with fewer the
framework's cost of a batch shows: see docs/reference/benchmarks.md."""


class Saved(Struct, frozen=True):
    """A target's state as it is kept on sla.uptime.state."""

    version: int
    state: TargetState


class Position(Struct, frozen=True):
    """Everything up to and with `offset` is in the saved states."""

    version: int
    offset: int


class Share(Struct):
    """One partition of probe.results in this instance's hands; `position` is the last offset folded. The
    states to save are those whose own position is beyond `saved`."""

    states: dict[str, TargetState] = {}
    position: int = -1
    saved: int = -1


_saved = state_decoder(Saved)
_position = state_decoder(Position)


class UptimeWorker:
    """One instance's part of the uptime fold."""

    def __init__(
        self,
        broker: KafkaBroker,
        settings: KafkaSettings,
        save_every_s: float = SAVE_EVERY_S,
        max_records: int = MAX_RECORDS,
    ) -> None:
        self.shares: dict[int, Share] = {}
        self._broker = broker
        self._settings = settings
        self._save_every_s = save_every_s
        self._saved_at = time.monotonic()
        self.ownership = Ownership(WORKER, self._restore, self._hand_over)
        self.subscriber = self.ownership.subscriber = subscribe_batches(
            broker,
            [settings.topic(PROBE_RESULTS)],
            self._take,
            group_id=settings.group(WORKER),
            listener=self.ownership,
            max_records=max_records,
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
        said: list[tuple[int, int, Sequence[TargetStateChanged | TargetObserved], int]] = []
        partition, share = -1, None
        for record in batch:
            if record.partition != partition:  # a batch holds each partition's records together
                partition = record.partition
                share = self.shares.get(partition)
            offset = record.offset
            if share is None or offset <= share.position:
                continue
            try:
                fact: ProbeFact = decode_probe_fact(record.value or b"")
            except Undecodable as error:
                await bury(self._broker, self._settings, record, PROBE_RESULTS.name, str(error), "sla")
                share.position = offset
                continue
            found = observe(share.states, fact, record.timestamp, offset)
            share.position = offset
            if found:
                said.append((partition, offset, found, record.timestamp))
        metrics.RESULTS.inc(len(batch))
        reach("sla.uptime.folded")
        await self._publish(said)

    async def _publish(
        self, said: list[tuple[int, int, Sequence[TargetStateChanged | TargetObserved], int]]
    ) -> None:
        topic, acks = self._settings.topic(UPTIME_CHANGES), []
        for partition, offset, found, recorded_at in said:
            for step, fact in enumerate(found):
                data = encode(fact)
                origin = Origin(PROBE_RESULTS.name, partition, offset, step)
                named = headers(
                    data, type_name=type(fact).__name__, source=SOURCE, time_ms=recorded_at, origin=origin
                )
                acks.append(await send(self._broker, topic, data, key=fact.target.encode(), headers=named))
                metrics.CHANGES.labels(type(fact).__name__).inc()
        if acks:
            reach("sla.uptime.sent")
            await asyncio.gather(*acks)
            reach("sla.uptime.published")

    async def _save_sometimes(self) -> None:
        if time.monotonic() - self._saved_at >= self._save_every_s:
            await self._save()

    async def _save(self) -> None:
        """States of the targets that changed, then the position they reach, then the group's offsets."""
        topic, acks = self._settings.topic(UPTIME_STATE), []
        changed = {
            partition: share for partition, share in self.shares.items() if share.position > share.saved
        }
        for partition, share in changed.items():
            for target, state in share.states.items():
                if state.position > share.saved:
                    data = encode_state(Saved(STATE_VERSION, state))
                    acks.append(await self._keep(topic, b"=" + target.encode(), data, partition))
        await asyncio.gather(*acks)
        reach("sla.uptime.states-saved")
        acks = [
            await self._keep(
                topic, POSITION_KEY, encode_state(Position(STATE_VERSION, share.position)), partition
            )
            for partition, share in changed.items()
        ]
        await asyncio.gather(*acks)
        reach("sla.uptime.saved")
        offsets = {}
        for partition, share in changed.items():
            share.saved = share.position
            offsets[TopicPartition(self._settings.topic(PROBE_RESULTS), partition)] = share.position + 1
        self._saved_at = time.monotonic()
        if offsets:
            await commit(self.subscriber.consumer, offsets)

    async def _keep(self, topic: str, key: bytes, data: bytes, partition: int) -> asyncio.Future[Any]:
        now = time.time_ns() // 1_000_000
        named = headers(data, type_name="UptimeState", source=SOURCE, time_ms=now)
        return await send(self._broker, topic, data, key=key, headers=named, partition=partition)

    async def _restore(self, partition: int) -> int:
        """Reads the saved states of `partition`; returns the offset to go on from."""
        self.shares[partition] = share = await asyncio.to_thread(restored, self._settings, partition)
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


def restored(settings: KafkaSettings, partition: int) -> Share:
    """The share of `partition` as it was saved last; an empty one where there is none, or only one of
    another version: then the topic is folded from its beginning."""
    latest = {
        record.key: record.value
        for record in read_topic(settings, UPTIME_STATE, partition)
        if record.key is not None and record.value is not None
    }
    share = Share()
    try:
        if (data := latest.pop(POSITION_KEY, None)) is None:
            return share
        position = _position.decode(data)
        if position.version != STATE_VERSION:
            raise ValueError(f"state of version {position.version}, this is {STATE_VERSION}")
        for key, value in latest.items():
            share.states[key[1:].decode()] = _saved.decode(value).state
    except (msgspec.DecodeError, ValueError) as error:
        log.warning(
            "uptime.state.unusable", partition=partition, reason=str(error), what="folding from the start"
        )
        return Share()
    share.position = share.saved = position.offset
    return share


async def commit(consumer: Any, offsets: dict[TopicPartition, int]) -> None:
    """Commits group offsets, which only lag metrics read: a refusal after a rebalance is no loss."""
    try:
        await consumer.commit(offsets)
    except KafkaError as error:
        log.info("offsets.not_committed", reason=str(error))
