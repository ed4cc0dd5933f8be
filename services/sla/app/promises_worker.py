"""Folds the journal into outcomes: outcomes acknowledged before the snapshot, the snapshot before offsets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import structlog
from aiokafka import TopicPartition
from faststream.kafka import KafkaBroker

from services.sla.app import metrics, snapshots, traced
from services.sla.app.intake import Intake, now_ms
from services.sla.app.membership import as_member, check_name
from services.sla.app.ownership import Ownership, die
from services.sla.app.snapshots import Snapshot
from services.sla.app.uptime_worker import commit
from services.sla.app.volumes import other_slot
from services.sla.promises import Promises
from services.sla.spoken import Spoken
from shared.appending import ToAppend, append_by_key
from shared.cloudevents import Origin, headers, origin_of
from shared.failpoints import reach
from shared.kafka import Batch, subscribe_batches
from shared.rights import told
from shared.settings import KafkaSettings
from shared.topics import JOURNAL, TOPIC_OF, key_of
from shared.tracing import spans
from shared.tracing.context import Cause, carry, cause_in

log = structlog.get_logger()

WORKER = "promises"
SAVE_EVERY_S = 10.0
_BREATHE = 50


class Share:
    """One journal partition in this instance's hands: its fold, and its intake once it has caught up."""

    def __init__(self, snapshot: Snapshot, slot: str, end: int) -> None:
        self.snapshot = snapshot
        self.promises = Promises(snapshot.history)
        self.slot = slot
        self.end = end
        """One more than the last offset the journal had when the share was taken over."""
        self.intake: Intake | None = None
        self.saved = snapshot.history.position

    @property
    def position(self) -> int:
        return self.snapshot.history.position

    @property
    def caught_up(self) -> bool:
        return self.position + 1 >= self.end


class PromisesWorker:
    """One instance's part of the promises fold and of writing the journal."""

    def __init__(
        self,
        broker: KafkaBroker,
        settings: KafkaSettings,
        clock: Callable[[], int] = now_ms,
        save_every_s: float = SAVE_EVERY_S,
        instance: str = "",
    ) -> None:
        self.shares: dict[int, Share] = {}
        self._broker = broker
        self._settings = settings
        self._clock = clock
        self._save_every_s = save_every_s
        self._saved_at = time.monotonic()
        group = settings.group(WORKER)
        check = partial(check_name, settings, group, instance)
        self.ownership = Ownership(WORKER, self._restore, self._hand_over, check)
        self.subscriber = self.ownership.subscriber = subscribe_batches(
            broker,
            settings,
            [settings.topic(JOURNAL)],
            self._take,
            lambda error: die(WORKER, told(settings, error)),
            group_id=group,
            listener=self.ownership,
            max_records=5_000,
            **as_member(instance),
            title="promises fold",
        )

    @property
    def ready(self) -> bool:
        """Every share is restored, has caught up with its journal and is taking facts."""
        return self.ownership.assigned and all(share.intake for share in self.shares.values())

    async def idle(self) -> None:
        """What no record brings about: intakes start, time passes, snapshots are saved."""
        await self.ownership.attend(self._pass_time)

    async def _pass_time(self) -> None:
        for partition, share in self.shares.items():
            await self._attend(partition, share)
        await self._save_sometimes()

    async def _attend(self, partition: int, share: Share) -> None:
        history = share.snapshot.history
        if share.intake is None and share.caught_up:
            intake = Intake(
                self._broker,
                self._settings,
                partition,
                history.sources,
                share.snapshot.origins,
                history.recorded_at,
                self._clock,
            )
            await intake.start()
            share.intake = intake
            log.info("journal.intake.started", partition=partition, position=share.position)
        due = share.promises.next_due
        if share.intake is not None and due is not None and share.intake.written <= share.position:
            await share.intake.tick(due)

    async def _take(self, batch: Batch, consumer: Any) -> None:
        del consumer
        await self.ownership.take(lambda: self._fold(batch), self._save_sometimes)

    async def _fold(self, batch: Batch) -> None:
        reach("sla.promises.read")
        said: dict[str, list[ToAppend]] = {}
        hops: list[traced.Hop] = []
        oldest = self._clock()
        for record in batch:
            share = self.shares.get(record.partition)
            if share is None or record.offset <= share.position:
                continue
            spoken = share.promises.apply(record.offset, record.value or b"")
            _remember(share.snapshot.origins, record.headers)
            metrics.FOLDED.inc()
            if record.offset % _BREATHE == 0:
                await asyncio.sleep(0)  # heartbeats and health answer while a long journal is folded
            if spoken:
                oldest = min(oldest, record.timestamp)
                cause = cause_in(record, JOURNAL.name)
                for each in spoken:
                    topic, outcome = self._outgoing(each, record, cause, hops)
                    said.setdefault(topic, []).append(outcome)
        if said:
            await asyncio.gather(*[append_by_key(self._broker, *one) for one in said.items()])
            reach("sla.promises.published")
            traced.tell(hops)
            metrics.TAKEN_AFTER.observe(max(self._clock() - oldest, 0) / 1_000)
        self.ownership.folded(batch)

    def _outgoing(
        self, spoken: Spoken, entry: Any, cause: Cause, hops: list[traced.Hop]
    ) -> tuple[str, ToAppend]:
        outcome, stamp = spoken.outcome, spoken.outcome.journal
        type_name = type(outcome).__name__
        metrics.count_outcome(outcome)
        named = headers(
            spoken.data,
            type_name=type_name,
            source=snapshots.SOURCE,
            time_ms=entry.timestamp,
            origin=Origin(JOURNAL.name, entry.partition, stamp.offset, stamp.index),
        )
        own, topic = carry(named, cause.trace), TOPIC_OF[type(outcome)]
        if spans.on():
            hops.append(traced.Hop(type_name, topic, own, cause.parent, entry.timestamp, outcome))
        return self._settings.topic(topic), ToAppend(spoken.data, named, key_of(outcome))

    async def _save_sometimes(self) -> None:
        if time.monotonic() - self._saved_at >= self._save_every_s:
            await self._save(set(self.shares))

    async def _save(self, partitions: set[int]) -> None:
        offsets = {}
        for partition in partitions & self.shares.keys():
            share = self.shares[partition]
            if share.saved != share.position:
                await snapshots.save(self._broker, self._settings, partition, share.snapshot, share.slot)
                reach("sla.promises.saved")
                share.slot = other_slot(share.slot)
                share.saved = share.position
                offsets[TopicPartition(self._settings.topic(JOURNAL), partition)] = share.position + 1
        self._saved_at = time.monotonic()
        if offsets:
            await commit(self.subscriber.consumer, offsets)

    async def _restore(self, partition: int) -> int:
        """Reads the last snapshot of `partition`; returns the journal offset to go on from."""
        snapshot, slot = await snapshots.restored(self._settings, partition)
        place = TopicPartition(self._settings.topic(JOURNAL), partition)
        ends = await self.subscriber.consumer.end_offsets([place])
        self.shares[partition] = share = Share(snapshot, slot, ends[place])
        reach("sla.promises.restored")
        log.info("promises.restored", partition=partition, position=share.position, behind=share.end)
        return share.position + 1

    async def close(self) -> None:
        """Saves everything and lets go of every share, in good order."""
        async with self.ownership.lock:
            self.ownership.epoch += 1
            await self._hand_over(set(self.shares))

    async def _hand_over(self, partitions: set[int]) -> None:
        for partition in partitions & self.shares.keys():
            if (intake := self.shares[partition].intake) is not None:
                await intake.stop()
        if not self.ownership.unfinished:
            await self._save(partitions)
        for partition in partitions:
            self.shares.pop(partition, None)


def _remember(origins: dict[str, tuple[int, int]], found: Any) -> None:
    if (origin := origin_of(found)) is not None:
        origins[origin.place] = max(origins.get(origin.place, (-1, -1)), origin.reached)
