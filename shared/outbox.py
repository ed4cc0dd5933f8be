"""The outbox relay: publishes the facts a service has put down in its database, in order, and notes what the
broker acknowledged.

Killed between the two it publishes the same bytes with the same origin again: readers drop repeats, and
nothing is lost. On PostgreSQL one instance relays at a time; the others wait for its lock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from aiokafka.errors import KafkaError, OutOfOrderSequenceNumber
from faststream.kafka import KafkaBroker
from msgspec import Struct
from sqlalchemy import Connection, Engine

from shared.cloudevents import Origin, headers
from shared.codec import decode_fact
from shared.database import RELAYING, try_lock
from shared.facts import Fact
from shared.failpoints import reach
from shared.kafka import send
from shared.rights import WITHDRAWN, told
from shared.settings import KafkaSettings
from shared.topics import TOPIC_OF, Topic, key_of
from shared.tracing import spans
from shared.tracing.context import Trace, begun, carry

log = structlog.get_logger()

T = TypeVar("T")


class Outgoing(Struct, frozen=True):
    """One fact to publish, ready for the broker. Its origin is `STREAM/0/SEQUENCE/0`."""

    sequence: int
    topic: Topic
    key: bytes | None
    value: bytes
    headers: dict[str, str]
    fact: Fact
    trace: Trace
    since: int
    """When what the fact tells came to us (ms)."""


Publish = Callable[[Outgoing], Awaitable[None]]
"""Publishes one fact and returns once the broker has acknowledged it."""


def outgoing(stream: str, service: str, sequence: int, said_at: int, value: bytes) -> Outgoing:
    """The fact in `value`, said at `said_at` (ms) by `service` ("billing"), `sequence` in its stream."""
    fact = decode_fact(value)
    found = headers(
        value,
        type_name=type(fact).__name__,
        source=f"/garant/{service}",
        time_ms=said_at,
        origin=Origin(stream, 0, sequence),
    )
    own = carry(found, begun(f"{stream}/0/{sequence}", value))
    since = min(said_at, getattr(fact, "received_at", said_at))
    return Outgoing(sequence, TOPIC_OF[type(fact)], key_of(fact), value, found, fact, own, since)


async def relay(
    engine: Engine,
    waiting: Callable[[Connection], list[Outgoing]],
    mark_sent: Callable[[Connection, list[int]], None],
    publish: Publish,
    every_s: float,
    progress: Callable[[], None],
) -> None:
    """Publishes for ever what `waiting` gives, oldest first, and tells `mark_sent` the sequences of those
    that the broker has; both get a connection in a transaction. `progress` is called at each round, for the
    liveness check."""
    connection = await asyncio.to_thread(engine.connect)
    try:
        while not await _whole(_in_transaction, connection, _lead):
            progress()
            await asyncio.sleep(every_s)
        while True:
            found = await _whole(_in_transaction, connection, waiting)
            if found:
                reach("outbox.read")
            for one in found:
                await publish(one)  # one after another: what comes out of order is taken for a repeat
                reach("outbox.published")
                _tell(one)
            progress()
            if found:
                await _whole(_in_transaction, connection, mark_sent, [one.sequence for one in found])
                reach("outbox.marked")
            else:
                await asyncio.sleep(every_s)
    finally:
        connection.invalidate()  # not back to the pool: the server drops the lock with the session
        connection.close()


def publishing(broker: KafkaBroker, kafka: KafkaSettings, progress: Callable[[], None]) -> Publish:
    """Publishes through `broker`, trying again for as long as it takes; raises NotAllowed."""

    async def publish(one: Outgoing) -> None:
        while True:
            progress()
            try:
                topic = kafka.topic(one.topic)
                await (await send(broker, topic, one.value, key=one.key, headers=one.headers))
                return
            except (*WITHDRAWN, OutOfOrderSequenceNumber) as error:
                raise told(kafka, error) from error  # this producer takes no further record
            except KafkaError as error:
                log.warning("relay.waiting", sequence=one.sequence, error=str(error))
                await asyncio.sleep(1)

    return publish


def _tell(one: Outgoing) -> None:
    """Here the trace begins: it reaches from when a mail or a person told us to when the log has it."""
    spans.tell(
        f"say {type(one.fact).__name__}",
        one.trace,
        None,
        one.since,
        kind="producer",
        attributes=spans.about(one.fact) | {"topic": one.topic.name},
    )
    with spans.within(one.trace):
        log.info("fact.published", sequence=one.sequence, topic=one.topic.name)


def _lead(connection: Connection) -> bool:
    return try_lock(connection, RELAYING)


def _in_transaction(connection: Connection, step: Callable[..., T], *args: object) -> T:
    with connection.begin():
        return step(connection, *args)


async def _whole(step: Callable[..., T], *args: object) -> T:
    """Runs `step` in a thread, to its end even when cancelled: the connection is in nobody's hands after."""
    running = asyncio.ensure_future(asyncio.to_thread(step, *args))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait({running})
        raise
