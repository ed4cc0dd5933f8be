"""Reading what the SLA service concludes: the database transaction first, then the commit of the position.

An exception while taking ends the worker: skipping a record is how a warning gets lost. Only bytes that are
no outcome go to dead.letters. Facts that cannot be read are for the SLA service to report: they are passed
over.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, get_args

import structlog
from aiokafka import TopicPartition
from faststream.kafka import KafkaBroker
from sqlalchemy import Engine

from services.notify import metrics
from services.notify.taking import Found, Result, Rules, Taken, take
from shared import facts, outcomes
from shared.codec import Undecodable, decode_fact, decode_outcome, type_of
from shared.database import Clock, writing
from shared.failpoints import reach
from shared.kafka import Batch, bury, commit_taken, into, subscribe_batches, taking
from shared.settings import KafkaSettings
from shared.time import Instant, parse_instant
from shared.topics import (
    DEADLINES,
    NOTICES,
    QUOTA,
    SUBSCRIPTION_EVENTS,
    TERMS_EVENTS,
    TICKET_EVENTS,
    Topic,
)
from shared.tracing import spans
from shared.tracing.context import cause_in

log = structlog.get_logger()

OUTCOMES = (QUOTA, DEADLINES, NOTICES)
FACTS = (SUBSCRIPTION_EVENTS, TERMS_EVENTS, TICKET_EVENTS)
_Wanted = (
    facts.SubscriptionStarted | facts.SubscriptionCancelled | facts.TermsPublished | facts.RequestWithdrawn
)
_WANTED = {kind.__name__ for kind in get_args(_Wanted)}
_AT_ONCE = 500
_INT = 2**31


def subscribe(
    broker: KafkaBroker,
    kafka: KafkaSettings,
    engine: Engine,
    rules: Rules,
    clock: Clock,
    busy: Callable[[bool], None],
    wake: asyncio.Event,
    failed: asyncio.Future[None],
) -> Any:
    """Makes `broker` take every record once it is started, and returns its subscriber.

    `failed` gets the exception that ended taking: from then on nothing is taken or committed, and the caller
    ends the process. `wake` is set when there may be something to write about; `busy` is told when a batch
    begins and ends, for the liveness check.
    """
    by_name = {kafka.topic(topic): topic for topic in (*OUTCOMES, *FACTS)}

    async def take_batch(batch: Batch, consumer: Any) -> None:
        reach("notify.log.read")
        found = [
            await _found(broker, kafka, by_name[record.topic], record)
            for record in sorted(batch, key=lambda one: (one.topic, one.partition, one.offset))
        ]
        counted = Counter(await asyncio.to_thread(_take, engine, found, rules, clock))
        reach("notify.log.taken")
        for result, number in counted.items():
            metrics.RECORDS.labels(result).inc(number)
        wake.set()
        reached = {TopicPartition(each.topic, each.partition): each.offset + 1 for each in batch}
        await commit_taken(consumer, reached, "notify")
        reach("notify.log.committed")

    return subscribe_batches(
        broker,
        kafka,
        list(by_name),
        taking(take_batch, failed, busy),
        into(failed),
        group_id=kafka.group("notify"),
        max_records=_AT_ONCE,
    )


def _take(engine: Engine, found: Sequence[Found], rules: Rules, clock: Clock) -> list[Result]:
    with writing(engine) as connection:
        taken = take(connection, found, rules, clock())
        reach("notify.log.taking")
    for one, result in zip(found, taken, strict=True):
        if result == "taken" and one.record is not None and one.cause is not None:
            spans.tell_taken("notify", one.cause, one.appended_at, one.record)
    return taken


async def _found(broker: KafkaBroker, kafka: KafkaSettings, topic: Topic, record: Any) -> Found:
    data = record.value or b""
    taken: Taken = None
    if topic in OUTCOMES:
        try:
            taken = outcome_of(topic, data)
        except Undecodable as error:
            await bury(broker, kafka, record, topic.name, str(error), "notify")
            reach("notify.log.buried")
            metrics.RECORDS.labels("dead").inc()
    else:
        taken = fact_of(data)
    if taken is None:
        metrics.RECORDS.labels("unused").inc()
    cause = cause_in(record, topic.name)
    return Found(
        topic.name, record.partition, record.offset, _recorded_at(record), taken, record.timestamp, cause
    )


def outcome_of(topic: Topic, data: bytes) -> Taken:
    """The outcome in `data` if notify has a use for it. Raises Undecodable: none of that topic's, or one that
    no database can hold."""
    record = decode_outcome(data)
    if type(record) not in topic.records:
        raise Undecodable(f"{type(record).__name__} does not belong on {topic.name}")
    for name in record.__struct_fields__:
        value = getattr(record, name)
        if isinstance(value, str) and (not 0 < len(value) <= 200 or "\0" in value):
            raise Undecodable(f"{name} is empty, too long or not text")
        if type(value) is int and not -_INT <= value < _INT:
            raise Undecodable(f"{name} is out of range")
    journal: outcomes.Stamp = record.journal
    if not (0 <= journal.index < _INT and 0 <= journal.offset < 2**63 and 0 <= journal.partition < _INT):
        raise Undecodable("journal is out of range")
    if isinstance(record, outcomes.RequestUncovered | outcomes.MonthClosed | outcomes.FactRejected):
        return None
    if isinstance(record, outcomes.CreditGranted):
        return None
    return record


def fact_of(data: bytes) -> Taken:
    """The fact in `data` if it is one that notify has a use for and can be read."""
    if type_of(data) not in _WANTED:
        return None
    try:
        fact = decode_fact(data)
    except Undecodable:
        return None
    if not isinstance(fact, _Wanted):
        return None
    texts = [getattr(fact, name) for name in fact.__struct_fields__]
    return None if any(isinstance(text, str) and "\0" in text for text in texts) else fact


def _recorded_at(record: Any) -> Instant:
    """When what the record follows from was recorded: the time of its event, else of its append."""
    for name, value in record.headers:
        if name == "ce_time":
            try:
                return parse_instant(value.decode())
            except ValueError:
                break
    return Instant(record.timestamp)
