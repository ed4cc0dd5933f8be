"""Reading the log for the page: every record of every partition, from where this process left off.

No consumer group: each instance reads everything for itself and writes nothing. Kafka may be away at any
time, and the topics may not exist yet: it is tried again for as long as the process lives.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from services.status.history import metrics
from services.status.history.saved import encoded
from services.status.history.standing import Standing, Unusable
from shared.codec import decode_fact
from shared.database import Clock
from shared.errors import NeedsAPerson
from shared.kafka import FACT_BYTES, kept
from shared.rights import told
from shared.security import aiokafka_arguments
from shared.settings import KafkaSettings
from shared.time import format_instant
from shared.topics import MAX_RECORD_BYTES, TERMS_EVENTS, UPTIME_CHANGES, Topic
from shared.tracing import spans
from shared.tracing.context import cause_in
from shared.whole_files import put

log = structlog.get_logger()

TOPICS = (TERMS_EVENTS, UPTIME_CHANGES)
AGAIN_S = 1.0
LOOK_EVERY_S = 5.0
_LOOK_S = 5.0
_AT_ONCE = 500
_AT_A_TIME = 4
"""Components made ready before others get their turn."""
_SAVING_SHARE = 50
"""Of the time at most a fiftieth goes into saving."""


class _Elsewhere(Exception):
    """The log is not the one that was read."""


class _NotYet(Exception):
    """A topic does not exist."""


class Reading:
    """Folds the log into `standing`, and keeps what it read in the file `keep`, every `save_every_s` seconds
    and at the end. It and whoever calls `standing.site` share one thread.

    `caught_up`: all that was on the log when it was reached is folded.
    """

    def __init__(
        self, kafka: KafkaSettings, standing: Standing, keep: Path, save_every_s: float, clock: Clock
    ) -> None:
        logging.getLogger("aiokafka").setLevel(
            logging.CRITICAL
        )  # it tells each failed attempt; we say it once
        self.caught_up = False
        self._kafka, self._standing, self._clock = kafka, standing, clock
        self._keep, self._save_every_s = keep, save_every_s
        self._trouble: str | None = "Kafka was not reached yet"
        self._saved: dict[str, int] = dict(standing.positions)
        self._next_save = time.monotonic() + save_every_s
        self._news: Callable[[], None] = lambda: None
        self._names = {kafka.topic(topic): topic for topic in TOPICS}

    def wrong(self) -> list[str]:
        """Why the page hears no news; nothing where it does."""
        return [] if self._trouble is None else [self._trouble]

    async def run(self, news: Callable[[], None]) -> None:
        """Reads for ever. `news` is called once it has caught up, and from then on after each batch that may
        have changed the page."""
        self._news = news
        try:
            while True:
                try:
                    await self._follow()
                except _Elsewhere as error:
                    log.error("status.log.another", why=str(error), next="reads it from its beginning")
                    self._standing.begin()
                    self.caught_up = False
                    continue
                except _NotYet as error:
                    self._troubled(str(error))
                except NeedsAPerson as error:
                    self._troubled(str(error))
                except (KafkaError, OSError, TimeoutError) as error:
                    why = str(told(self._kafka, error)) or type(error).__name__
                    self._troubled(f"Kafka at {self._kafka.bootstrap} does not answer: {why}")
                await asyncio.sleep(AGAIN_S)
        finally:
            self._save_now()

    def _troubled(self, why: str) -> None:
        metrics.KAFKA_AWAY.set(1)
        if self._trouble is None or why not in self._trouble:
            log.warning("status.log.away", why=why, next="tries again; the page keeps what it knows")
            self._trouble = f"{why} (since {format_instant(self._clock())})"

    def _well(self) -> None:
        metrics.KAFKA_AWAY.set(0)
        if self._trouble is not None:
            log.info("status.log.reached", bootstrap=self._kafka.bootstrap)
        self._trouble = None

    async def _follow(self) -> None:
        ends = await self._places()
        async with self._consumer() as consumer:
            consumer.assign(list(ends))
            for place in ends:
                consumer.seek(place, self._position(place))
            self._well()
            await self._tell_caught_up(ends)
            looking = asyncio.create_task(self._look(consumer, ends))
            try:
                while not looking.done():
                    found = await consumer.getmany(timeout_ms=200, max_records=_AT_ONCE)
                    self._take(found)
                    await self._tell_caught_up(ends)
                    await self._save_sometimes()
                looking.result()
            finally:
                looking.cancel()

    async def _places(self) -> dict[TopicPartition, int]:
        """Every partition with the offset of its next record. Raises _NotYet, _Elsewhere, NeedsAPerson."""
        try:
            found = await asyncio.to_thread(kept, self._kafka, *TOPICS)
        except ValueError as error:  # what that client makes of a socket that closes while it waits
            raise OSError(str(error)) from None
        ends = dict[TopicPartition, int]()
        for topic, partitions in found.items():
            if not partitions:
                raise _NotYet(
                    f"topic {self._kafka.topic(topic)} does not exist yet; `garant topics` makes it"
                )
            for number, (first, end) in partitions.items():
                place = TopicPartition(self._kafka.topic(topic), number)
                position = self._position(place)
                _check(place, position, end)
                if first > position:
                    log.error(
                        "status.history.gone",
                        place=f"{place.topic}/{number}",
                        wanted=position,
                        kept_from=first,
                        next="restore the topic from its backup; until then the page lacks what was there",
                    )
                    self._standing.positions[f"{topic.name}/{number}"] = first
                ends[place] = end
        return ends

    @contextlib.asynccontextmanager
    async def _consumer(self) -> AsyncIterator[Any]:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._kafka.bootstrap,
            client_id="garant-status",
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=250,
            max_partition_fetch_bytes=MAX_RECORD_BYTES,
            **aiokafka_arguments(self._kafka),
        )
        try:
            await consumer.start()
            yield consumer
        finally:
            await consumer.stop()

    async def _look(self, consumer: Any, ends: dict[TopicPartition, int]) -> None:
        """Asks the broker now and then whether it is there: the consumer itself waits without a word."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                found = await asyncio.wait_for(consumer.end_offsets(list(ends)), _LOOK_S)
            except (KafkaError, OSError, TimeoutError):
                self._troubled(f"Kafka at {self._kafka.bootstrap} does not answer")
                continue
            for place, end in found.items():
                _check(place, self._position(place), end)
            self._well()

    def _position(self, place: TopicPartition) -> int:
        return self._standing.positions.get(f"{self._names[place.topic].name}/{place.partition}", 0)

    def _take(self, found: dict[TopicPartition, list[Any]]) -> None:
        touched = False
        for place in sorted(found):
            topic = self._names[place.topic]
            for record in found[place]:
                shown = self._taken(topic, record)
                metrics.RECORDS.labels("unusable" if shown is None else "shown" if shown else "unused").inc()
                touched = touched or bool(shown)
                if shown and self.caught_up and spans.on():
                    self._tell(topic, record)
        if touched and self.caught_up:
            self._news()

    def _tell(self, topic: Topic, record: Any) -> None:
        fact = decode_fact(record.value)
        spans.tell_taken("status", cause_in(record, topic.name), record.timestamp, fact)

    def _taken(self, topic: Topic, record: Any) -> bool | None:
        """Whether the record is shown; None for one that cannot be used."""
        value = record.value or b""
        try:
            if len(value) > FACT_BYTES:
                value = b""  # no place in the journal either
            return self._standing.take(
                topic, record.partition, record.offset, value, record.headers, record.timestamp
            )
        except Unusable as error:
            log.error(
                "record.undecodable",
                service="status",
                origin=f"{topic.name}/{record.partition}/{record.offset}",
                reason=str(error),
            )
            return None

    async def _tell_caught_up(self, ends: dict[TopicPartition, int]) -> None:
        if self.caught_up or any(self._position(place) < end for place, end in ends.items()):
            return
        ready = False
        while not ready:
            ready = self._standing.prepare(self._clock(), _AT_A_TIME)
            await asyncio.sleep(0)  # readers of the pages are served in between
        self.caught_up = True
        log.info("status.log.caught-up", records=sum(ends.values()))
        self._news()

    async def _save_sometimes(self) -> None:
        if time.monotonic() < self._next_save or self._saved == self._standing.positions:
            return
        began = time.monotonic()
        positions, data = dict(self._standing.positions), encoded(self._standing.state)
        try:
            await asyncio.to_thread(put, self._keep, data)
            self._saved = positions
            metrics.SAVED.inc()
        except OSError as error:
            log.warning("status.state.unsaved", path=str(self._keep), error=str(error))
        took = time.monotonic() - began
        self._next_save = time.monotonic() + max(self._save_every_s, _SAVING_SHARE * took)

    def _save_now(self) -> None:
        if self._saved != self._standing.positions:
            try:
                put(self._keep, encoded(self._standing.state))
            except OSError as error:
                log.warning("status.state.unsaved", path=str(self._keep), error=str(error))


def _check(place: TopicPartition, position: int, end: int) -> None:
    if position > end:
        raise _Elsewhere(f"{place.topic}/{place.partition} ends at {end}, but was read up to {position}")
