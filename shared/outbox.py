"""The outbox relay: publishes the facts a service has put down in its database, in order, and notes what the
broker acknowledged.

Killed between the two it publishes the same bytes with the same origin again: readers drop repeats, and
nothing is lost. On PostgreSQL one instance relays at a time; the others wait for its lock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog
from aiokafka.errors import KafkaError, OutOfOrderSequenceNumber
from msgspec import Struct
from sqlalchemy import Connection, Engine

from shared.cloudevents import Origin, headers
from shared.codec import decode_fact
from shared.database import RELAYING, Clock
from shared.facts import Fact
from shared.failpoints import reach
from shared.kafka import send
from shared.leading import leading
from shared.rights import WITHDRAWN, told
from shared.running import KafkaConnection
from shared.topics import TOPIC_OF, Topic, key_of
from shared.tracing import spans
from shared.tracing.context import Trace, begun, carry

log = structlog.get_logger()


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
    kept: KafkaConnection,
    engine: Engine,
    waiting: Callable[[Connection], list[Outgoing]],
    mark_sent: Callable[[Connection, list[int], Clock], None],
    clock: Clock,
    every_s: float,
    progress: Callable[[], None],
) -> None:
    """Publishes for ever what `waiting` gives, oldest first, once `kept` has its broker, and tells
    `mark_sent` the sequences of those that the broker has; both get a connection in a transaction. `progress`
    is called at each round, for the liveness check. Raises NotAllowed, and what the database raises."""
    await kept.made.wait()
    async with leading(engine, RELAYING, every_s, progress) as lead:
        while True:
            found = await lead.whole(waiting)
            if found:
                reach("outbox.read")
            for one in found:  # one after another: what comes out of order is taken for a repeat
                await _publish(kept, one, progress)
                reach("outbox.published")
                _tell(one)
            progress()
            if found:
                await lead.whole(mark_sent, [one.sequence for one in found], clock)
                reach("outbox.marked")
            else:
                await asyncio.sleep(every_s)


async def _publish(kept: KafkaConnection, one: Outgoing, progress: Callable[[], None]) -> None:
    """Returns once the broker has acknowledged it; tries again for as long as that takes."""
    topic = kept.kafka.topic(one.topic)
    while True:
        progress()
        try:
            await (await send(kept.broker, topic, one.value, key=one.key, headers=one.headers))
            return
        except (*WITHDRAWN, OutOfOrderSequenceNumber) as error:
            raise told(kept.kafka, error) from error  # this producer takes no further record
        except KafkaError as error:
            log.warning("relay.waiting", sequence=one.sequence, error=str(error))
            await asyncio.sleep(1)


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
