"""Taking subscriptions and outcomes from the log: what follows and the position in one transaction, then the
commit of the group's offsets, from which only lag is read.

Reading begins at the position in the database, not at the group's offset: a database restored from a backup
gets what it has not seen, and a group the broker forgot repeats nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from aiokafka import ConsumerRebalanceListener, TopicPartition
from faststream.kafka import KafkaBroker
from msgspec import Struct
from sqlalchemy import Connection, Engine

from services.support import metrics, positions
from services.support.outcomes import Deadline, Quota, note_deadline, note_quota
from services.support.settings import SupportSettings
from services.support.subscriptions import note_subscription
from shared.codec import Undecodable, decode_fact, decode_outcome
from shared.database import Clock, lock_id, reading, writing
from shared.facts import SubscriptionFact
from shared.failpoints import reach
from shared.kafka import Batch, HistoryGone, bury, commit_taken, into, subscribe_batches
from shared.settings import KafkaSettings
from shared.topics import DEADLINES, QUOTA, SUBSCRIPTION_EVENTS, Topic

log = structlog.get_logger()

TAKEN = (SUBSCRIPTION_EVENTS, DEADLINES, QUOTA)
_AT_ONCE = 500


class Found(Struct, frozen=True):
    """One record, and where it stands; `value` None could not be read and is buried."""

    topic: Topic
    partition: int
    offset: int
    value: SubscriptionFact | Deadline | Quota | None


def subscribe(
    broker: KafkaBroker,
    kafka: KafkaSettings,
    engine: Engine,
    settings: SupportSettings,
    clock: Clock,
    busy: Callable[[bool], None],
    failed: asyncio.Future[None],
) -> Any:
    """Makes `broker` take every record once it is started, and returns its subscriber.

    `failed` gets the exception that ended it: from then on nothing is taken or committed, and the caller ends
    the process. `busy` is told when a batch begins and ends, for the liveness check.
    """

    async def take(batch: Batch, consumer: Any) -> None:
        if failed.done():
            return
        busy(True)
        try:
            reach("support.log.read")
            found = [await _read(broker, kafka, record) for record in batch]
            await asyncio.to_thread(take_records, engine, settings, found, clock)
            reach("support.log.taken")
            reached = {TopicPartition(one.topic, one.partition): one.offset + 1 for one in batch}
            await commit_taken(consumer, reached, "support")
            reach("support.log.committed")
        except Exception as error:
            failed.set_exception(error)
        finally:
            busy(False)

    places = _Places(kafka, engine, failed)
    places.subscriber = subscribe_batches(
        broker,
        [kafka.topic(topic) for topic in TAKEN],
        take,
        into(failed),
        group_id=kafka.group("support"),
        listener=places,
        max_records=_AT_ONCE,
    )
    return places.subscriber


def take_records(engine: Engine, settings: SupportSettings, found: Sequence[Found], clock: Clock) -> None:
    """Notes what the records say and moves the positions, in one transaction; repeats change nothing."""
    with writing(engine) as connection:
        # Requests first and in one order, as everybody locks them; then the places.
        for ticket in sorted(
            {str(ticket) for one in found if (ticket := getattr(one.value, "ticket", None))}
        ):
            lock_id(connection, ticket)
        for place in sorted({positions.place_of(one.topic.name, one.partition) for one in found}):
            lock_id(connection, place)
        reached = positions.read(connection)
        for one in found:
            place = positions.place_of(one.topic.name, one.partition)
            if one.offset <= reached.get(place, -1):
                metrics.RECORDS.labels(one.topic.name, "repeat").inc()
                continue
            reached[place] = one.offset
            metrics.RECORDS.labels(one.topic.name, _note(connection, settings, one, reached, clock)).inc()
        reach("support.log.noting")
        positions.move(connection, reached)
        reach("support.log.taking")


async def caught_up(consumer: Any, kafka: KafkaSettings, engine: Engine) -> None:
    """Returns once every subscription that stands on the log now is known here."""
    name = kafka.topic(SUBSCRIPTION_EVENTS)
    places = [TopicPartition(name, number) for number in range(kafka.partitions(SUBSCRIPTION_EVENTS))]
    starts, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
    while True:
        known = await asyncio.to_thread(_known, engine)
        if all(
            ends[place] <= starts[place]
            or known.get(positions.place_of(SUBSCRIPTION_EVENTS.name, place.partition), -1) >= ends[place] - 1
            for place in places
        ):
            return
        await asyncio.sleep(0.1)


def _known(engine: Engine) -> dict[str, int]:
    with reading(engine) as connection:
        return positions.read(connection)


async def _read(broker: KafkaBroker, kafka: KafkaSettings, record: Any) -> Found:
    topic = next(one for one in TAKEN if kafka.topic(one) == record.topic)
    data = record.value or b""
    try:
        value = decode_fact(data) if topic is SUBSCRIPTION_EVENTS else decode_outcome(data)
        if not isinstance(value, topic.records):
            raise Undecodable(f"a {type(value).__name__} does not belong on this topic")
    except Undecodable as error:
        await bury(broker, kafka, record, topic.name, str(error), "support")
        reach("support.log.buried")
        metrics.RECORDS.labels(topic.name, "dead").inc()
        value = None
    return Found(topic, record.partition, record.offset, value)


def _note(
    connection: Connection, settings: SupportSettings, one: Found, reached: dict[str, int], clock: Clock
) -> str:
    if one.value is None:
        return "skipped"
    if isinstance(one.value, SubscriptionFact):
        note_subscription(connection, one.value)
        return "taken"
    stream = positions.stream_of(one.topic.name, one.value.journal)
    if (at := positions.reached(one.value.journal)) <= reached.get(stream, -1):
        return "repeat"
    reached[stream] = at
    if isinstance(one.value, Quota):
        note_quota(connection, one.value)
        return "taken"
    result = note_deadline(connection, settings, one.value, clock)
    if result is not None:
        metrics.ACKNOWLEDGEMENTS.labels(result).inc()
        log.info("support.acknowledgement", ticket=one.value.ticket, result=result)
    return "taken"


class _Places(ConsumerRebalanceListener):  # type: ignore[misc]
    """Sets each partition that comes to this process to the position in the database."""

    subscriber: Any = None

    def __init__(self, kafka: KafkaSettings, engine: Engine, failed: asyncio.Future[None]) -> None:
        self._names = {kafka.topic(topic): topic.name for topic in TAKEN}
        self._engine = engine
        self._failed = failed

    async def on_partitions_revoked(self, revoked: Any) -> None:
        """Nothing: what is taken is in the database."""

    async def on_partitions_assigned(self, assigned: Any) -> None:
        consumer, places = self.subscriber.consumer, sorted(assigned)
        try:
            # The client fetches from the group's offset while this runs; behind a restored database that is
            # too late: nothing may be taken until the places have been sought.
            consumer.pause(*places)
            known = await asyncio.to_thread(_known, self._engine)
            starts, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
            for place in places:
                name = positions.place_of(self._names[place.topic], place.partition)
                following = known.get(name, -1) + 1
                _check(name, following, starts[place], ends[place])
                consumer.seek(place, following)
            consumer.resume(*places)
        except Exception as error:
            if not self._failed.done():
                self._failed.set_exception(error)


def _check(place: str, following: int, start: int, end: int) -> None:
    if start > following:
        raise HistoryGone(
            f"{place} begins at offset {start}, the desk needs {following}: records that are kept for ever "
            "are gone; restore the topic from its backup."
        )
    if following > end:
        raise HistoryGone(
            f"{place} ends at offset {end}, the desk has taken {following} records of it: this is another "
            "broker than before. Point GARANT_KAFKA_BOOTSTRAP to the one this database belongs to, or start "
            "with an empty database."
        )
