"""Which declared facts the broker does not have yet: what `shared.outbox` publishes for billing."""

from __future__ import annotations

from sqlalchemy import Connection, select, update

from services.billing import metrics
from services.billing.statements import unsent
from services.billing.tables import outbox, subscription_facts
from shared.database import Clock
from shared.outbox import Outgoing, outgoing

OUTBOX = "billing.outbox"
"""The stream a published fact follows from: its origin is `billing.outbox/0/SEQUENCE/0`."""
_AT_ONCE = 100


def waiting(connection: Connection) -> list[Outgoing]:
    """The next facts to publish, oldest first."""
    metrics.UNSENT.set(unsent(connection))
    rows = connection.execute(
        select(subscription_facts.c.sequence, subscription_facts.c.said_at, subscription_facts.c.fact)
        .join(outbox)
        .where(outbox.c.sent_at.is_(None))
        .order_by(outbox.c.sequence)
        .limit(_AT_ONCE)
    )
    return [outgoing(OUTBOX, "billing", row.sequence, row.said_at, row.fact.encode()) for row in rows]


def mark_sent(connection: Connection, sequences: list[int], clock: Clock) -> None:
    """Notes that the broker has the facts."""
    connection.execute(update(outbox).where(outbox.c.sequence.in_(sequences)).values(sent_at=clock()))
    metrics.PUBLISHED.inc(len(sequences))
