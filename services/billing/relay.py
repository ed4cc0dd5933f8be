"""The outbox relay: publishes what was declared, in order, and notes what the broker acknowledged.

Killed between the two it publishes the same bytes with the same origin again: readers drop repeats, and
nothing is lost. On PostgreSQL one instance relays at a time; the others wait for its lock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from msgspec import Struct
from sqlalchemy import Connection, Engine, select, update

from services.billing import metrics
from services.billing.database import RELAYING, Clock, try_lock
from services.billing.statements import unsent
from services.billing.tables import outbox, subscription_facts
from shared.cloudevents import Origin, headers
from shared.codec import decode_fact
from shared.topics import SUBSCRIPTION_EVENTS, Topic, key_of

log = structlog.get_logger()

T = TypeVar("T")

OUTBOX = "billing.outbox"
"""The stream a published fact follows from: its origin is `billing.outbox/0/SEQUENCE/0`."""
SOURCE = "/garant/billing"
_AT_ONCE = 100


class Letter(Struct, frozen=True):
    """One record to publish, ready for the broker."""

    sequence: int
    topic: Topic
    key: bytes | None
    value: bytes
    headers: dict[str, str]


Send = Callable[[Letter], Awaitable[None]]
"""Publishes one record and returns once the broker has acknowledged it."""


async def relay(
    engine: Engine, send: Send, clock: Clock, every_s: float, progress: Callable[[], None]
) -> None:
    """Publishes for ever. `progress` is called at each round, for the liveness check."""
    connection = await asyncio.to_thread(engine.connect)
    try:
        while not await _whole(_lead, connection):
            progress()
            await asyncio.sleep(every_s)
        while True:
            letters = await _whole(waiting, connection)
            for letter in letters:
                await send(letter)
                await _whole(mark_sent, connection, letter.sequence, clock)
                metrics.PUBLISHED.inc()
                log.info("billing.published", sequence=letter.sequence, topic=letter.topic.name)
            progress()
            if not letters:
                await asyncio.sleep(every_s)
    finally:
        connection.invalidate()  # not back to the pool: the server drops the lock with the session
        connection.close()


async def _whole(step: Callable[..., T], *args: object) -> T:
    """Runs `step` in a thread, to its end even when cancelled: the connection is in nobody's hands after."""
    running = asyncio.ensure_future(asyncio.to_thread(step, *args))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait({running})
        raise


def _lead(connection: Connection) -> bool:
    with connection.begin():
        return try_lock(connection, RELAYING)


def waiting(connection: Connection) -> list[Letter]:
    """The next facts to publish, oldest first."""
    with connection.begin():
        metrics.UNSENT.set(unsent(connection))
        rows = connection.execute(
            select(subscription_facts.c.sequence, subscription_facts.c.said_at, subscription_facts.c.fact)
            .join(outbox)
            .where(outbox.c.sent_at.is_(None))
            .order_by(outbox.c.sequence)
            .limit(_AT_ONCE)
        ).all()
    return [_letter(row.sequence, row.said_at, row.fact.encode()) for row in rows]


def _letter(sequence: int, said_at: int, value: bytes) -> Letter:
    fact = decode_fact(value)
    found = headers(
        value,
        type_name=type(fact).__name__,
        source=SOURCE,
        time_ms=said_at,
        origin=Origin(OUTBOX, 0, sequence),
    )
    return Letter(sequence, SUBSCRIPTION_EVENTS, key_of(fact), value, found)


def mark_sent(connection: Connection, sequence: int, clock: Clock) -> None:
    """Notes that the broker has the fact."""
    with connection.begin():
        connection.execute(update(outbox).where(outbox.c.sequence == sequence).values(sent_at=clock()))
