"""The work list: what is due next, what is left of each quota, what waits for a person (contract 5, 6)."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any, Literal

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, Row, case, func, or_, select

from services.support.tables import letters, messages, quotas, subscriptions, tickets, work_entries
from shared.calendar import term_of
from shared.mail import letters as outbox

AT_MOST = 200
"""How many of each kind are listed; the counts beside them are of all."""

Standing = Literal["overdue", "at-risk", "waiting", "unheard", "uncovered", "answered", "closed", "withdrawn"]
"""`unheard`: the SLA service has not said yet when it is due; `uncovered`: nothing is promised."""

_WAITS = (tickets.c.status == "open") & tickets.c.responded_at.is_(None)
_UNHEARD = (tickets.c.revision == 0) & tickets.c.covered.is_(None) & (tickets.c.status != "withdrawn")


class Line(Struct, frozen=True):
    """One request. Instants are ms; `due_at` None: not known, or nothing is promised."""

    ticket: str
    account: str
    subscription: str | None
    subject: str | None
    severity: str
    kind: str
    standing: Standing
    received_at: int
    due_at: int | None
    responded_at: int | None


class Quota(Struct, frozen=True):
    """What is left of a subscription's year, which ends at `year_ends_on` (exclusive). `left_minutes` is
    negative where more was worked than is included."""

    account: str
    subscription: str
    year_starts_on: date
    year_ends_on: date
    quota_minutes: int
    used_minutes: int
    left_minutes: int
    warned_percent: int | None


class Unclassified(Struct, frozen=True):
    """Work that counts for nothing until someone says what kind of request it is."""

    ticket: str
    account: str
    subject: str | None
    status: str
    minutes: int


class Worklist(Struct, frozen=True):
    """Everything at the instant `now` (ms). Lists hold at most `AT_MOST`."""

    now: int
    waiting: tuple[Line, ...]
    waiting_count: int
    answered: tuple[Line, ...]
    answered_count: int
    quotas: tuple[Quota, ...]
    unclassified: tuple[Unclassified, ...]
    unclassified_count: int
    unclassified_minutes: int
    quarantined: int
    quarantined_since: int | None
    unheard: int
    unheard_since: int | None
    letters: tuple[outbox.Listed, ...]
    letters_count: int


def worklist(connection: Connection, now: int) -> Worklist:
    """The list at `now` (ms). First those waiting for their first response, at-risk and overdue ones in
    front, each by when it is due; then the answered ones that are still open."""
    waiting = _lines(connection, _WAITS, now, _pressing(now), tickets.c.due_at.is_(None), tickets.c.due_at)
    answered_is = (tickets.c.status == "open") & tickets.c.responded_at.is_not(None)
    unclassified = _unclassified(connection)
    undelivered = [
        one
        for state in ("refused", "bounced", "doubtful")
        for one in outbox.listing(connection, letters, state, AT_MOST)
    ]
    standing = outbox.counts(connection, letters)
    quarantined, quarantined_since = _count(
        connection, messages.c.received_at, messages.c.state == "quarantined"
    )
    unheard, unheard_since = _count(connection, tickets.c.received_at, _UNHEARD)
    return Worklist(
        now=now,
        waiting=waiting,
        waiting_count=_count(connection, tickets.c.received_at, _WAITS)[0],
        answered=_lines(connection, answered_is, now),
        answered_count=_count(connection, tickets.c.received_at, answered_is)[0],
        quotas=_quotas(connection, now),
        unclassified=tuple(unclassified[:AT_MOST]),
        unclassified_count=len(unclassified),
        unclassified_minutes=sum(one.minutes for one in unclassified),
        quarantined=quarantined,
        quarantined_since=quarantined_since,
        unheard=unheard,
        unheard_since=unheard_since,
        letters=tuple(undelivered[:AT_MOST]),
        letters_count=standing["refused"] + standing["bounced"] + standing["doubtful"],
    )


def standing_of(ticket: Row[Any], now: int) -> Standing:
    """How a request stands at `now`, by what the SLA service said and the clock: its news of a response
    at risk takes a moment to arrive. A response at the due instant is in time."""
    if ticket.status != "open":
        return "closed" if ticket.status == "closed" else "withdrawn"
    if ticket.responded_at is not None:
        return "answered"
    if ticket.covered is False:
        return "uncovered"
    if ticket.due_at is None:
        return "unheard"
    if ticket.response == "missed" or now > ticket.due_at:
        return "overdue"
    if ticket.response == "at-risk" or (ticket.at_risk_at is not None and now >= ticket.at_risk_at):
        return "at-risk"
    return "waiting"


def _pressing(now: int) -> ColumnElement[int]:
    pressing = or_(
        tickets.c.response.in_(("at-risk", "missed")), tickets.c.at_risk_at <= now, tickets.c.due_at < now
    )
    return case((tickets.c.due_at.is_not(None) & pressing, 0), else_=1)


def _lines(
    connection: Connection, condition: ColumnElement[bool], now: int, *order: ColumnElement[Any]
) -> tuple[Line, ...]:
    rows = connection.execute(
        select(tickets)
        .where(condition)
        .order_by(*order, tickets.c.received_at, tickets.c.ticket)
        .limit(AT_MOST)
    )
    return tuple(line_of(row, now) for row in rows)


def line_of(row: Row[Any], now: int) -> Line:
    """The request in `row`, as a line of the list."""
    return Line(
        row.ticket,
        row.account,
        row.subscription,
        row.subject,
        row.severity,
        row.kind,
        standing_of(row, now),
        row.received_at,
        row.due_at,
        row.responded_at,
    )


def _quotas(connection: Connection, now: int) -> tuple[Quota, ...]:
    """The latest year of each subscription that has not ended, the fullest first."""
    today = datetime.fromtimestamp(now / 1_000, UTC).date()
    latest = (
        select(quotas.c.subscription, func.max(quotas.c.year_starts_on).label("year"))
        .group_by(quotas.c.subscription)
        .subquery()
    )
    rows = connection.execute(
        select(quotas, subscriptions.c.starts_on)
        .join(
            latest,
            (quotas.c.subscription == latest.c.subscription) & (quotas.c.year_starts_on == latest.c.year),
        )
        .outerjoin(subscriptions, subscriptions.c.subscription == quotas.c.subscription)
        .where(subscriptions.c.ends_on.is_(None) | (subscriptions.c.ends_on > today))
    )
    found = [
        Quota(
            row.account,
            row.subscription,
            row.year_starts_on,
            term_of(row.year_starts_on, row.starts_on or row.year_starts_on, 12)[1],
            row.quota_minutes,
            row.used_minutes,
            row.quota_minutes - row.used_minutes,
            max((int(one) for one in row.warned.split(",") if one), default=None),
        )
        for row in rows
    ]
    found.sort(key=lambda one: (-_used(one), one.left_minutes, one.subscription))
    return tuple(found)


def _used(quota: Quota) -> float:
    if quota.quota_minutes:
        return quota.used_minutes / quota.quota_minutes
    return float("inf") if quota.used_minutes else 0.0


def _unclassified(connection: Connection) -> list[Unclassified]:
    minutes = func.sum(work_entries.c.minutes)
    rows = connection.execute(
        select(tickets.c.ticket, tickets.c.account, tickets.c.subject, tickets.c.status, minutes)
        .join(work_entries, work_entries.c.ticket == tickets.c.ticket)
        .where(tickets.c.kind == "unclassified")
        .group_by(tickets.c.ticket, tickets.c.account, tickets.c.subject, tickets.c.status)
        .having(minutes > 0)
        .order_by(minutes.desc(), tickets.c.ticket)
    )
    return [Unclassified(*row[:4], int(row[4])) for row in rows]


def _count(
    connection: Connection, since: ColumnElement[int], condition: ColumnElement[bool]
) -> tuple[int, int | None]:
    count, first = connection.execute(select(func.count(), func.min(since)).where(condition)).one()
    return int(count), None if first is None else int(first)
