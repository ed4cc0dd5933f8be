"""What stands in the books, for the gauges."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from services.billing import metrics
from services.billing.holding import held_amounts, held_now
from services.billing.statements import invoiced_after_end, owed_now, quarantined
from services.billing.tables import ledger_entries, outbox, subscription_facts
from shared.time import Instant, seconds_since


def count_books(connection: Connection, now: Instant) -> None:
    """Sets what is granted, held, in quarantine and left to a person; reads the whole ledger."""
    waiting = quarantined(connection)
    metrics.QUARANTINED.set(len(waiting))
    metrics.QUARANTINE_OLDEST.set(
        seconds_since(min((one.first_seen_at for one in waiting), default=None), now)
    )
    held = held_now(connection)
    metrics.HELD.set(len(held))
    metrics.HELD_OLDEST.set(seconds_since(min((one.held_at for one in held), default=None), now))
    metrics.HELD_AMOUNT.clear()
    for currency, amount in held_amounts(held).items():
        metrics.HELD_AMOUNT.labels(currency).set(amount)
    metrics.NEEDS_PERSON.set(len(owed_now(connection)) + len(invoiced_after_end(connection)))
    c = ledger_entries.c
    granted = (
        select(c.currency, c.subscription, c.credit, func.sum(c.amount).label("amount"))
        .where(c.kind == "credit")
        .group_by(c.currency, c.subscription, c.credit)
        .having(func.sum(c.amount) != 0)
        .subquery()
    )
    by_currency = select(granted.c.currency, func.count(), func.sum(granted.c.amount)).group_by(
        granted.c.currency
    )
    for currency, number, amount in connection.execute(by_currency):
        metrics.GRANTED.labels(currency).set(number)
        metrics.GRANTED_AMOUNT.labels(currency).set(amount)


def count_outbox(connection: Connection, now: Instant) -> None:
    """Sets since when the oldest fact waits for the broker; cheap."""
    oldest = connection.execute(
        select(func.min(subscription_facts.c.said_at)).join(outbox).where(outbox.c.sent_at.is_(None))
    ).scalar_one()
    metrics.OUTBOX_OLDEST.set(seconds_since(oldest, now))
