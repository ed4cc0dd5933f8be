"""What waits in the database, for the gauges."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Connection, Engine, and_, case, func, or_, select

from services.support import metrics
from services.support.tables import (
    letters,
    messages,
    outbox,
    quotas,
    subscriptions,
    ticket_facts,
    tickets,
)
from shared.database import reading
from shared.mail.letters import MARKER, counts
from shared.time import Instant, seconds_since


def count(engine: Engine, now: Instant) -> None:
    """Sets the gauges to what holds at `now`."""
    with reading(engine) as connection:
        _count_mail(connection, now)
        _count_requests(connection)
        _count_quotas(connection, now)
        oldest = connection.execute(
            select(func.min(ticket_facts.c.said_at)).join(outbox).where(outbox.c.sent_at.is_(None))
        ).scalar_one()
        metrics.OUTBOX_OLDEST.set(seconds_since(oldest, now))


def _count_mail(connection: Connection, now: Instant) -> None:
    quarantined, since = connection.execute(
        select(func.count(), func.min(messages.c.taken_at)).where(messages.c.state == "quarantined")
    ).one()
    metrics.QUARANTINED.set(quarantined)
    metrics.QUARANTINE_OLDEST.set(seconds_since(since, now))
    for state, number in counts(connection, letters).items():
        metrics.LETTERS.labels(state).set(number)
    oldest = connection.execute(
        select(func.min(letters.c.created_at)).where(
            letters.c.state == "waiting", letters.c.purpose != MARKER
        )
    ).scalar_one()
    metrics.OLDEST_WAITING.set(seconds_since(oldest, now))


def _count_requests(connection: Connection) -> None:
    c = tickets.c
    found = dict.fromkeys(metrics.RESPONSES, 0)
    for response, number in connection.execute(
        select(c.response, func.count()).where(c.status == "open").group_by(c.response)
    ):
        found[response] = number
    for response, number in found.items():
        metrics.REQUESTS.labels(response).set(number)
    metrics.OPEN.set(sum(found.values()))
    due = connection.execute(
        select(func.min(c.due_at)).where(
            c.status == "open", c.responded_at.is_(None), c.response.in_(("waiting", "at-risk"))
        )
    ).scalar_one()
    metrics.NEXT_DEADLINE.set(float("nan") if due is None else due / 1_000)


def _count_quotas(connection: Connection, now: Instant) -> None:
    today = datetime.fromtimestamp(now / 1_000, UTC).date()
    latest = (
        select(quotas.c.subscription, func.max(quotas.c.year_starts_on).label("year"))
        .group_by(quotas.c.subscription)
        .subquery()
    )
    used_up = and_(quotas.c.used_minutes >= quotas.c.quota_minutes, quotas.c.used_minutes > 0)
    used = case((used_up, "used-up"), (quotas.c.warned != "", "warned"), else_="left").label("used")
    rows = connection.execute(
        select(used, func.count())
        .join_from(
            quotas,
            latest,
            (quotas.c.subscription == latest.c.subscription) & (quotas.c.year_starts_on == latest.c.year),
        )
        .outerjoin(subscriptions, subscriptions.c.subscription == quotas.c.subscription)
        .where(or_(subscriptions.c.ends_on.is_(None), subscriptions.c.ends_on > today))
        .group_by("used")
    )
    found = dict.fromkeys(metrics.QUOTA_USED, 0)
    for name, number in rows:
        found[name] = number
    for name, number in found.items():
        metrics.QUOTAS.labels(name).set(number)
