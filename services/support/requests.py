"""Requests as staff see them: filtered lists, and one with everything about it."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, func, select

from services.support.saying import ticket_of
from services.support.tables import letters, messages, outbox, ticket_facts, tickets, work_entries
from services.support.worklist import Standing, standing_of
from shared.mail.reading import read


class Request(Struct, frozen=True):
    """A request as it stands. Instants are ms; `standing` as on the work list."""

    ticket: str
    account: str
    subscription: str | None
    contact: str | None
    language: str
    subject: str | None
    origin: str
    severity: str
    kind: str
    status: str
    standing: Standing
    received_at: int
    responded_at: int | None
    covered: bool | None
    revision: int
    due_at: int | None
    at_risk_at: int | None
    response: str
    late_by_ms: int | None


class Said(Struct, frozen=True):
    """A fact, when it was said and when the broker had it (ms; None: not yet)."""

    sequence: int
    said_at: int
    published_at: int | None
    fact: dict[str, Any]


class Work(Struct, frozen=True):
    """An entry of work as it stands after corrections."""

    entry: str
    minutes: int
    at: int


class Written(Struct, frozen=True):
    """A letter we wrote, and what it says (None: erased). Instants are ms."""

    id: str
    purpose: str
    contact: str | None
    recipient: str | None
    state: str
    attempts: int
    created_at: int
    sent_at: int | None
    reason: str | None
    text: str | None


class About(Struct, frozen=True):
    """A request with everything about it; `messages` are rows of that table."""

    request: Request
    work: tuple[Work, ...]
    facts: tuple[Said, ...]
    messages: tuple[Any, ...]
    letters: tuple[Written, ...]


def request_of(connection: Connection, ticket: str, now: int) -> Request:
    """The request at `now` (ms). Raises Unknown."""
    return _request(ticket_of(connection, ticket), now)


def listed(
    connection: Connection,
    now: int,
    *,
    account: str | None = None,
    subscription: str | None = None,
    status: str | None = None,
    limit: int = 100,
) -> list[Request]:
    """Requests that match everything given, the newest received first."""
    query = select(tickets).order_by(tickets.c.received_at.desc(), tickets.c.ticket.desc()).limit(limit)
    for column, wanted in (
        (tickets.c.account, account),
        (tickets.c.subscription, subscription),
        (tickets.c.status, status),
    ):
        if wanted is not None:
            query = query.where(column == wanted)
    return [_request(row, now) for row in connection.execute(query)]


def about(connection: Connection, ticket: str, now: int) -> About:
    """The request with its work, facts, mails and letters, each in order. Raises Unknown."""
    request, prefix = request_of(connection, ticket, now), f"ticket/{ticket}/"
    work = connection.execute(
        select(work_entries.c.entry, work_entries.c.minutes, work_entries.c.at)
        .where(work_entries.c.ticket == ticket)
        .order_by(work_entries.c.at, work_entries.c.entry)
    )
    facts = connection.execute(
        select(ticket_facts.c.sequence, ticket_facts.c.said_at, outbox.c.sent_at, ticket_facts.c.fact)
        .outerjoin(outbox)
        .where(ticket_facts.c.ticket == ticket)
        .order_by(ticket_facts.c.sequence)
    )
    mails = connection.execute(
        select(messages)
        .where(messages.c.ticket == ticket, messages.c.state != "own")  # our letters stand there themselves
        .order_by(messages.c.received_at, messages.c.message)
    )
    written = connection.execute(
        select(letters)
        .where(letters.c.id.startswith(prefix, autoescape=True))
        .where(func.substr(letters.c.id, 1, len(prefix)) == prefix)  # LIKE ignores case in SQLite
        .order_by(letters.c.created_at, letters.c.id)
    )
    return About(
        request,
        tuple(Work(*row) for row in work),
        tuple(Said(*row[:3], msgspec.json.decode(row[3])) for row in facts),
        tuple(mails),
        tuple(_written(row) for row in written),
    )


def _written(row: Any) -> Written:
    known = {name: getattr(row, name) for name in Written.__struct_fields__ if name != "text"}
    return Written(text=read(row.data).text if row.data else None, **known)


def _request(row: Any, now: int) -> Request:
    known = {name: getattr(row, name) for name in Request.__struct_fields__ if name != "standing"}
    return Request(standing=standing_of(row, now), **known)
