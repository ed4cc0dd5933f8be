"""Which facts of requests the broker does not have yet: what `shared.outbox` publishes for support."""

from __future__ import annotations

from sqlalchemy import Connection, func, select, update

from services.support import metrics
from services.support.tables import outbox, ticket_facts
from shared.database import Clock
from shared.outbox import Outgoing, outgoing

OUTBOX = "support.outbox"
"""The stream a published fact follows from: its origin is `support.outbox/0/SEQUENCE/0`."""
_AT_ONCE = 200


def waiting(connection: Connection) -> list[Outgoing]:
    """The next facts to publish, oldest first."""
    unsent = connection.execute(select(func.count()).where(outbox.c.sent_at.is_(None))).scalar_one()
    metrics.UNSENT.set(unsent)
    rows = connection.execute(
        select(ticket_facts.c.sequence, ticket_facts.c.said_at, ticket_facts.c.fact)
        .join(outbox, outbox.c.sequence == ticket_facts.c.sequence)
        .where(outbox.c.sent_at.is_(None))
        .order_by(outbox.c.sequence)
        .limit(_AT_ONCE)
    )
    return [outgoing(OUTBOX, "support", row.sequence, row.said_at, row.fact.encode()) for row in rows]


def mark_sent(connection: Connection, sequences: list[int], clock: Clock) -> None:
    """Notes that the broker has the facts."""
    connection.execute(update(outbox).where(outbox.c.sequence.in_(sequences)).values(sent_at=clock()))
    metrics.PUBLISHED.inc(len(sequences))
