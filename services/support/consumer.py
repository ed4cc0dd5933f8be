"""Taking subscriptions and outcomes from the log: what follows and the position in one transaction, then the
commit of the group's offsets, from which only lag is read.

Reading begins at the position in the database, not at the group's offset: a database restored from a backup
gets what it has not seen, and a group the broker forgot repeats nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import structlog
from aiokafka import TopicPartition
from faststream.kafka import KafkaBroker
from msgspec import Struct
from sqlalchemy import Connection, Engine

from services.support import metrics
from services.support.outcomes import Deadline, Quota, note_deadline, note_quota
from services.support.positions import reached as reached_in
from services.support.positions import stream_of
from services.support.settings import SupportSettings
from services.support.subscriptions import note_subscription
from services.support.tables import positions
from shared.codec import Undecodable, decode_fact, decode_outcome
from shared.database import Clock, lock_id, reading, writing
from shared.facts import SubscriptionFact
from shared.failpoints import reach
from shared.kafka import Batch, bury, commit_taken, into, subscribe_batches, taking
from shared.places import Places, move, place_of, read
from shared.settings import KafkaSettings
from shared.topics import DEADLINES, QUOTA, SUBSCRIPTION_EVENTS, Topic
from shared.tracing import spans
from shared.tracing.context import Cause, cause_in

log = structlog.get_logger()

TAKEN = (SUBSCRIPTION_EVENTS, DEADLINES, QUOTA)
_AT_ONCE = 500


class Found(Struct, frozen=True):
    """One record, and where it stands; `value` None could not be read and is buried."""

    topic: Topic
    partition: int
    offset: int
    value: SubscriptionFact | Deadline | Quota | None
    appended_at: int = 0
    cause: Cause | None = None
    """The trace it stands in."""


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
        reach("support.log.read")
        found = [await _read(broker, kafka, record) for record in batch]
        await asyncio.to_thread(take_records, engine, settings, found, clock)
        reach("support.log.taken")
        reached = {TopicPartition(one.topic, one.partition): one.offset + 1 for one in batch}
        await commit_taken(consumer, reached, "support")
        reach("support.log.committed")

    places = Places(kafka, TAKEN, engine, positions, failed, "support")
    places.subscriber = subscribe_batches(
        broker,
        kafka,
        [kafka.topic(topic) for topic in TAKEN],
        taking(take, failed, busy),
        into(failed),
        group_id=kafka.group("support"),
        listener=places,
        max_records=_AT_ONCE,
    )
    return places.subscriber


def take_records(engine: Engine, settings: SupportSettings, found: Sequence[Found], clock: Clock) -> None:
    """Notes what the records say and moves the positions, in one transaction; repeats change nothing."""
    taken: list[tuple[Found, str | None]] = []
    with writing(engine) as connection:
        # Requests first and in one order, as everybody locks them; then the places.
        for ticket in sorted(
            {str(ticket) for one in found if (ticket := getattr(one.value, "ticket", None))}
        ):
            lock_id(connection, ticket)
        for place in sorted({place_of(one.topic.name, one.partition) for one in found}):
            lock_id(connection, place)
        reached = read(connection, positions)
        for one in found:
            place = place_of(one.topic.name, one.partition)
            if one.offset <= reached.get(place, -1):
                metrics.RECORDS.labels(one.topic.name, "repeat").inc()
                continue
            reached[place] = one.offset
            result, letter = _note(connection, settings, one, reached, clock)
            metrics.RECORDS.labels(one.topic.name, result).inc()
            if result == "taken":
                taken.append((one, letter))
        reach("support.log.noting")
        move(connection, positions, reached)
        reach("support.log.taking")
    for one, letter in taken:
        if one.cause is not None:
            spans.tell_taken("support", one.cause, one.appended_at, one.value, acknowledgement=letter)


async def caught_up(consumer: Any, kafka: KafkaSettings, engine: Engine) -> None:
    """Returns once every subscription that stands on the log now is known here."""
    name = kafka.topic(SUBSCRIPTION_EVENTS)
    places = [TopicPartition(name, number) for number in range(kafka.partitions(SUBSCRIPTION_EVENTS))]
    starts, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
    while True:
        known = await asyncio.to_thread(_known, engine)
        if all(
            ends[place] <= starts[place]
            or known.get(place_of(SUBSCRIPTION_EVENTS.name, place.partition), -1) >= ends[place] - 1
            for place in places
        ):
            return
        await asyncio.sleep(0.1)


def _known(engine: Engine) -> dict[str, int]:
    with reading(engine) as connection:
        return read(connection, positions)


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
    cause = cause_in(record, topic.name)
    return Found(topic, record.partition, record.offset, value, record.timestamp, cause)


def _note(
    connection: Connection, settings: SupportSettings, one: Found, reached: dict[str, int], clock: Clock
) -> tuple[str, str | None]:
    """What became of the record, and of the acknowledgement if one was due."""
    if one.value is None:
        return "skipped", None
    if isinstance(one.value, SubscriptionFact):
        note_subscription(connection, one.value)
        return "taken", None
    stream = stream_of(one.topic.name, one.value.journal)
    if (at := reached_in(one.value.journal)) <= reached.get(stream, -1):
        return "repeat", None
    reached[stream] = at
    if isinstance(one.value, Quota):
        note_quota(connection, one.value)
        return "taken", None
    letter = note_deadline(connection, settings, one.value, clock)
    if letter is not None:
        metrics.ACKNOWLEDGEMENTS.labels(letter).inc()
        with nullcontext() if one.cause is None else spans.within(one.cause.trace):
            log.info("support.acknowledgement", ticket=one.value.ticket, result=letter)
    return "taken", letter
