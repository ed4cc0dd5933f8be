"""Taking credits, and warnings about quotas, from the log: booked first, then the place is moved, then the
group's offsets are committed, from which only lag is read.

Reading begins at the place in the database (shared/places.py). Whatever is between two of these repeats and
is recognised as a repeat. An exception while booking ends the worker: skipping a record is how money gets
lost. Only bytes that are no outcome go to dead.letters.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import structlog
from aiokafka import TopicPartition
from faststream.kafka import KafkaBroker
from sqlalchemy import Engine

from services.billing import metrics
from services.billing.booking import book, unfit
from services.billing.caps import DEFAULT_CAPS, Caps
from services.billing.tables import positions
from services.billing.warnings import note, warning_in
from shared.cloudevents import Origin
from shared.codec import Undecodable, decode_credit
from shared.database import Clock
from shared.failpoints import reach
from shared.kafka import Batch, bury, commit_taken, into, subscribe_batches, taking
from shared.outcomes import QuotaRestored
from shared.places import Places
from shared.settings import KafkaSettings
from shared.topics import CREDITS, QUOTA
from shared.tracing import spans
from shared.tracing.context import Cause, Trace, cause_in

log = structlog.get_logger()

TAKEN = (CREDITS, QUOTA)
_AT_ONCE = 200
_LEVELS = {"held": logging.ERROR, "quarantined": logging.WARNING}
"""How loud what became of a credit is said: one that is held waits until a person releases it."""


def subscribe(
    broker: KafkaBroker,
    kafka: KafkaSettings,
    engine: Engine,
    clock: Clock,
    busy: Callable[[bool], None],
    failed: asyncio.Future[None],
    caps: Caps = DEFAULT_CAPS,
) -> Any:
    """Makes `broker` book every credit and note every warning once it is started, and returns its subscriber.

    `failed` gets the exception that ended booking: from then on nothing is booked or committed, and the
    caller ends the process. `busy` is told when a batch begins and ends, for the liveness check.
    """

    async def take(batch: Batch, consumer: Any) -> None:
        reach("billing.inbox.read")
        reached: dict[TopicPartition, int] = {}
        for record in batch:
            if record.topic == kafka.topic(CREDITS):
                await _take(broker, kafka, engine, clock, record, caps)
            else:
                await _take_warning(broker, kafka, engine, clock, record)
            reached[TopicPartition(record.topic, record.partition)] = record.offset + 1
        await asyncio.to_thread(places.keep, reached)
        reach("billing.inbox.moved")
        await commit_taken(consumer, reached, "billing")

    places = Places(kafka, TAKEN, engine, positions, failed, "billing")
    places.subscriber = subscribe_batches(
        broker,
        kafka,
        [kafka.topic(topic) for topic in TAKEN],
        taking(take, failed, busy),
        into(failed),
        group_id=kafka.group("billing"),
        listener=places,
        max_records=_AT_ONCE,
    )
    return places.subscriber


async def _take(
    broker: KafkaBroker, kafka: KafkaSettings, engine: Engine, clock: Clock, record: Any, caps: Caps
) -> None:
    try:
        credit = decode_credit(record.value or b"")
        if reason := unfit(credit):
            raise Undecodable(reason)
    except Undecodable as error:
        await bury(broker, kafka, record, CREDITS.name, str(error), "billing")
        metrics.CREDITS.labels("dead").inc()
        return
    origin = str(Origin(CREDITS.name, record.partition, record.offset))
    cause = cause_in(record, CREDITS.name)
    own = cause.trace.then("billing", "book")
    with spans.within(own):
        result = await asyncio.to_thread(book, engine, credit, origin, clock, caps)
        reach("billing.inbox.booked")
        metrics.CREDITS.labels(result).inc()
        about: dict[str, str | int] = {
            "account": credit.account,
            "credit": credit.credit,
            "revision": credit.revision,
            "journal": f"{credit.journal.partition}/{credit.journal.offset}/{credit.journal.index}",
        }
        log.log(_LEVELS.get(result, logging.INFO), f"billing.credit.{result}", **about)
    _tell("book credit", own, cause, record, {**about, "result": result})


async def _take_warning(
    broker: KafkaBroker, kafka: KafkaSettings, engine: Engine, clock: Clock, record: Any
) -> None:
    try:
        warning = warning_in(record.value or b"")
    except Undecodable as error:
        await bury(broker, kafka, record, QUOTA.name, str(error), "billing")
        metrics.WARNINGS.labels("dead").inc()
        return
    if warning is not None:
        cause = cause_in(record, QUOTA.name)
        own = cause.trace.then("billing", "note")
        with spans.within(own):
            result = await asyncio.to_thread(note, engine, warning, clock)
            reach("billing.inbox.noted")
            metrics.WARNINGS.labels(result).inc()
            about: dict[str, str | int] = {
                "account": warning.account,
                "subscription": warning.subscription,
                "percent": warning.percent,
                "restored": isinstance(warning, QuotaRestored),
            }
            log.info(f"billing.warning.{result}", **about)
        _tell("note warning", own, cause, record, {**about, "result": result})


def _tell(name: str, own: Trace, cause: Cause, record: Any, about: dict[str, str | int]) -> None:
    spans.tell(name, own, cause.parent, record.timestamp, kind="consumer", attributes=about)
