"""Taking credits from the log: the database transaction first, then the commit of the position.

Whatever is between the two repeats and is recognised as a repeat. An exception while booking ends the
worker: skipping a record is how money gets lost. Only bytes that are no credit go to dead.letters.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, TypeAlias

import structlog
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError
from faststream import AckPolicy
from faststream.exceptions import StopApplication
from faststream.kafka import KafkaBroker
from faststream.kafka.message import KafkaAckableMessage
from sqlalchemy import Engine

from services.billing import metrics
from services.billing.booking import book
from services.billing.database import Clock
from services.billing.relay import SOURCE
from shared.cloudevents import DEAD_LETTER_REASON, Origin, headers
from shared.codec import Undecodable, decode_credit
from shared.settings import KafkaSettings
from shared.topics import CREDITS, DEAD_LETTERS

log = structlog.get_logger()

Record: TypeAlias = "ConsumerRecord[bytes, bytes]"


def subscribe(
    broker: KafkaBroker,
    kafka: KafkaSettings,
    engine: Engine,
    clock: Clock,
    busy: Callable[[bool], None],
    failed: asyncio.Future[None],
) -> Any:
    """Makes `broker` book every credit once it is started, and returns its subscriber.

    `failed` gets the exception that ended it. `busy` is told when a batch begins and ends, for the
    liveness check.
    """
    subscriber = broker.subscriber(
        kafka.topic(CREDITS),
        group_id=kafka.group("billing"),
        auto_offset_reset="earliest",
        ack_policy=AckPolicy.MANUAL,
        no_reply=True,
        batch=True,
        max_records=200,
    )

    # The framework's own parser decodes headers; where it fails the batch is dropped and the next commit
    # buries it. This one cannot fail: booking reads the value alone.
    async def parse(batch: tuple[Record, ...]) -> KafkaAckableMessage:
        return KafkaAckableMessage(raw_message=batch, body=b"", consumer=subscriber.consumer)

    async def as_it_is(message: KafkaAckableMessage) -> KafkaAckableMessage:
        return message

    async def take_batch(message: KafkaAckableMessage) -> None:
        busy(True)
        try:
            reached: dict[TopicPartition, int] = {}
            for record in message.raw_message:
                await _take(broker, kafka, engine, clock, record)
                reached[TopicPartition(record.topic, record.partition)] = record.offset + 1
            await _commit(message.consumer, reached)
        except BaseException as error:
            log.error("billing.booking.stopped", error=str(error), kind=type(error).__name__)
            if not failed.done():
                failed.set_exception(error)
            raise StopApplication from error
        finally:
            busy(False)

    subscriber(take_batch, parser=parse, decoder=as_it_is)
    return subscriber


async def _take(
    broker: KafkaBroker, kafka: KafkaSettings, engine: Engine, clock: Clock, record: Record
) -> None:
    origin = Origin(record.topic, record.partition, record.offset)
    try:
        credit = decode_credit(record.value or b"")
    except Undecodable as error:
        await _bury(broker, kafka, record, origin, str(error), clock)
        metrics.CREDITS.labels("dead").inc()
        log.error("billing.record.undecodable", origin=str(origin), reason=str(error))
        return
    result = await asyncio.to_thread(book, engine, credit, str(origin), clock)
    metrics.CREDITS.labels(result).inc()
    log.log(
        logging.WARNING if result == "quarantined" else logging.INFO,
        f"billing.credit.{result}",
        account=credit.account,
        credit=credit.credit,
        revision=credit.revision,
        journal=f"{credit.journal.partition}/{credit.journal.offset}/{credit.journal.index}",
    )


async def _bury(
    broker: KafkaBroker, kafka: KafkaSettings, record: Record, origin: Origin, reason: str, clock: Clock
) -> None:
    value = record.value or b""
    found = headers(value, type_name="DeadLetter", source=SOURCE, time_ms=clock(), origin=origin)
    found[DEAD_LETTER_REASON] = reason
    await broker.publish(value, kafka.topic(DEAD_LETTERS), headers=found, correlation_id=found["ce_id"])


async def _commit(consumer: Any, reached: dict[TopicPartition, int]) -> None:
    """Commits what was booked. Refused because the partitions went to another instance, it is no loss: that
    one reads the records again and finds them booked."""
    try:
        await consumer.commit(reached)
    except (CommitFailedError, IllegalStateError) as error:
        log.warning("billing.commit.refused", error=str(error))
