"""Merges the topics of facts into one journal partition, once: that order is history (contract 1).

One intake writes one journal partition. It reads the account topics' same partition, and every partition of
the facts that concern all accounts. Its positions come from the journal itself, never from beside it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import structlog
from aiokafka import TopicPartition as Place
from faststream.kafka import KafkaBroker, TopicPartition
from msgspec import Struct

from services.sla import promises
from services.sla.app import metrics, traced
from services.sla.app.ownership import check_history, die
from shared.appending import ToAppend, append
from shared.cloudevents import ORIGIN, Origin, headers, origin_of
from shared.codec import encode, is_object, type_of
from shared.facts import ClockAdvanced
from shared.failpoints import reach
from shared.kafka import FACT_BYTES, Batch, bury, subscribe_batches
from shared.lag import ends_of
from shared.outcomes import Source
from shared.rights import told
from shared.settings import KafkaSettings
from shared.topics import (
    JOURNAL,
    SUBSCRIPTION_EVENTS,
    TERMS_EVENTS,
    TICKET_EVENTS,
    TOPICS,
    UPTIME_CHANGES,
    Topic,
)
from shared.tracing import spans
from shared.tracing.context import Cause, begun, carry, cause_in

log = structlog.get_logger()

WORKER = "journal"
SOURCE = "/garant/sla/journal"
OF_THE_ACCOUNT = (SUBSCRIPTION_EVENTS, TICKET_EVENTS)
OF_ALL_ACCOUNTS = (UPTIME_CHANGES, TERMS_EVENTS)
_TOPIC_BY_TYPE = {record.__name__: topic for topic in TOPICS for record in topic.records}


def now_ms() -> int:
    """The wall clock (ms), read only where the journal is written."""
    return time.time_ns() // 1_000_000


class _News(Struct, frozen=True):
    """A fact for the journal; what is None or 0 it has when it comes from no topic but from the clock."""

    fact: bytes
    type_name: str
    source: Source | None = None
    origin: Origin | None = None
    cause: Cause | None = None
    appended_at: int = 0


class Intake:
    """Writes one journal partition while this instance owns it.

    `sources` and `origins` are what the journal already holds; `recorded_at` the time of its last entry.
    """

    def __init__(
        self,
        broker: KafkaBroker,
        settings: KafkaSettings,
        partition: int,
        sources: dict[str, int],
        origins: dict[str, tuple[int, int]],
        recorded_at: int,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self.written = -1
        """Offset of the last entry written by this intake."""
        self._broker = broker
        self._settings = settings
        self._partition = partition
        self._sources = dict(sources)
        self._origins = dict(origins)
        self._recorded_at = recorded_at
        self._clock = clock
        self._lock = asyncio.Lock()
        self._subscriber: Any = None
        self._logical = {settings.topic(topic): topic for topic in (*OF_THE_ACCOUNT, *OF_ALL_ACCOUNTS)}

    async def start(self) -> None:
        """Begins to read, each topic from behind what the journal has of it."""
        places = [Place(self._settings.topic(topic), self._partition) for topic in OF_THE_ACCOUNT]
        places += [
            Place(self._settings.topic(topic), partition)
            for topic in OF_ALL_ACCOUNTS
            for partition in range(self._settings.partitions(topic))
        ]
        self._subscriber = subscribe_batches(
            self._broker,
            self._settings,
            [],
            self._take,
            lambda error: die(WORKER, told(self._settings, error)),
            partitions=[TopicPartition(place.topic, place.partition) for place in places],
            persistent=False,
            max_records=2_000,
            title=f"journal intake {self._partition}",
        )
        async with self._lock:  # nothing is taken before every place is where it belongs
            await self._subscriber.start()
            for place in places:
                known = self._sources.get(f"{self._logical[place.topic].name}/{place.partition}", -1)
                await check_history(self._subscriber.consumer, place, known + 1)
                self._subscriber.consumer.seek(place, known + 1)

    async def stop(self) -> None:
        """Stops reading; what was read and not written stays where it is."""
        if self._subscriber is not None:
            subscriber, self._subscriber = self._subscriber, None
            await subscriber.stop()

    async def behind(self) -> dict[str, int]:
        """How many records of each topic it has not looked at yet."""
        behind = dict.fromkeys((topic.name for topic in self._logical.values()), 0)
        ends = {} if self._subscriber is None else await ends_of(self._subscriber.consumer)
        for place, end in ends.items():
            topic = self._logical[place.topic].name
            behind[topic] += max(0, end - 1 - self._sources.get(f"{topic}/{place.partition}", -1))
        return behind

    async def tick(self, due: int) -> bool:
        """Writes that time went on, once the clock has reached `due` (ms). Returns whether it had."""
        async with self._lock:
            if self._clock() < due:
                return False
            data = encode(ClockAdvanced())
            await self._write([_News(data, "ClockAdvanced")])
            reach("sla.journal.ticked")
        metrics.ENTRIES.labels("clock").inc()
        return True

    async def _take(self, batch: Batch, consumer: Any) -> None:
        del consumer
        try:
            async with self._lock:
                await self._journal(batch)
        except Exception as error:
            die(WORKER, error)

    async def _journal(self, batch: Batch) -> None:
        reach("sla.journal.read")
        news: list[_News] = []
        for record in batch:
            topic = self._logical[record.topic]
            place = f"{topic.name}/{record.partition}"
            if record.offset <= self._sources.get(place, -1):
                continue
            self._sources[place] = record.offset
            value = record.value or b""
            reason = _unfit(value, topic)
            try:
                origin = origin_of(record.headers)
            except ValueError:
                origin, reason = None, "its origin header cannot be read"
            if origin is not None and self._has(origin):
                metrics.REPEATS.inc()
                continue
            if reason is None:
                source = Source(topic.name, record.partition, record.offset)
                cause = cause_in(record, topic.name)
                news.append(_News(value, type_of(value), source, origin, cause, record.timestamp))
                metrics.ENTRIES.labels(topic.name).inc()
            elif topic in OF_THE_ACCOUNT or self._partition == 0:
                await bury(self._broker, self._settings, record, topic.name, reason, "sla")
                metrics.DEAD_LETTERS.labels(topic.name).inc()
                reach("sla.journal.buried")
        if news:
            await self._write(news)

    def _has(self, origin: Origin) -> bool:
        if origin.reached <= self._origins.get(origin.place, (-1, -1)):
            return True
        self._origins[origin.place] = origin.reached
        return False

    async def _write(self, news: list[_News]) -> None:
        entries, hops = [], []
        for one in news:
            self._recorded_at = max(self._clock(), self._recorded_at)
            data = promises.entry(self._recorded_at, one.fact, one.source)
            source = one.source
            follows = None if source is None else Origin(source.topic, source.partition, source.offset)
            named = headers(
                data, type_name=one.type_name, source=SOURCE, time_ms=self._recorded_at, origin=follows
            )
            if one.origin is not None:
                named[ORIGIN] = str(one.origin)
            cause = one.cause or Cause(begun(f"{JOURNAL.name}/{self._partition}", data), told=False)
            own = carry(named, cause.trace, self._partition)
            if spans.on():
                since = one.appended_at or self._recorded_at
                hops.append(traced.Hop(f"entry {one.type_name}", JOURNAL, own, cause.parent, since))
            entries.append(ToAppend(data, named))
        self.written = await append(self._broker, self._settings.topic(JOURNAL), self._partition, entries)
        reach("sla.journal.written")
        traced.tell(hops)


def _unfit(value: bytes, topic: Topic) -> str | None:
    """Why a record has no place in the journal; None where it has one, if only to be rejected there."""
    if not is_object(value):
        return "not a JSON object"
    if len(value) > FACT_BYTES:
        return f"longer than {FACT_BYTES} bytes"
    found = _TOPIC_BY_TYPE.get(type_of(value))
    if found is not None and found is not topic:
        return f"{type_of(value)} belongs on {found.name}"
    return None
