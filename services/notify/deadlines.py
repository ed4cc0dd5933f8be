"""First responses at risk and missed: what staff are told of, and what makes it pointless (contract 5)."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Connection, Row, select
from sqlalchemy.dialects import postgresql, sqlite

from services.notify.occasions import FOR_STAFF, Due, Kind, Occasion, named, note, overtake
from services.notify.tables import occasions, requests
from services.notify.values import Deadline
from shared import facts, outcomes
from shared.time import Instant

Said = (
    outcomes.ResponseDue
    | outcomes.ResponseAtRisk
    | outcomes.ResponseMet
    | outcomes.ResponseMissed
    | outcomes.ResponseLate
    | facts.RequestWithdrawn
)


def take(connection: Connection, record: Said, recorded_at: Instant, now: Instant, *, history: bool) -> None:
    """Notes what `record` says of a request, and the occasion if staff are to be told."""
    match record:
        case outcomes.ResponseDue():
            known = {
                "subscription": record.subscription,
                "severity": record.severity,
                "due_at": record.due_at,
            }
            _put(connection, record, known)
        case outcomes.ResponseAtRisk():
            _put(connection, record, {"subscription": record.subscription, "due_at": record.due_at})
            _note(connection, "at-risk", record, recorded_at, now, history=history)
        case outcomes.ResponseMet():
            _put(connection, record, {"response": "met"})
        case outcomes.ResponseMissed():
            _put(
                connection,
                record,
                {"subscription": record.subscription, "due_at": record.due_at, "response": "missed"},
            )
            _note(connection, "missed", record, recorded_at, now, history=history)
        case outcomes.ResponseLate():
            _put(connection, record, {"response": "late"})
        case facts.RequestWithdrawn():
            _put(connection, record, {"withdrawn": True})
    _recheck(connection, record.ticket)


def overtaken(occasion: Row[Any], request: Row[Any]) -> str | None:
    """Why a letter about this occasion would be pointless now; None: it is not."""
    if request.response == "met":
        return "a response was given in time"
    if occasion.kind == "missed":
        return None
    if request.response != "waiting":
        return "the deadline has passed"
    if request.withdrawn:
        return "the request was withdrawn"
    if request.due_at != msgspec.json.decode(occasion.about, type=Due).due_at:
        return "the deadline has moved"
    return None


def about(connection: Connection, occasion: Row[Any]) -> Deadline | str:
    """What a letter about the occasion tells, or why none is to be written any more."""
    request = connection.execute(select(requests).where(requests.c.ticket == occasion.ticket)).one()
    if (reason := overtaken(occasion, request)) is not None:
        return reason
    due_at = msgspec.json.decode(occasion.about, type=Due).due_at
    return Deadline(
        request.ticket, request.account, request.subscription or "-", request.severity or "-", due_at
    )


def _recheck(connection: Connection, ticket: str) -> None:
    c = occasions.c
    live = connection.execute(
        select(occasions).where(
            c.ticket == ticket, c.kind.in_(FOR_STAFF), c.state.in_(("open", "no address", "written"))
        )
    ).all()
    if not live:
        return
    request = connection.execute(select(requests).where(requests.c.ticket == ticket)).one()
    for occasion in live:
        if (reason := overtaken(occasion, request)) is not None:
            overtake(connection, occasion.occasion, reason)


def _note(
    connection: Connection,
    kind: Kind,
    record: outcomes.ResponseAtRisk | outcomes.ResponseMissed,
    recorded_at: Instant,
    now: Instant,
    *,
    history: bool,
) -> None:
    occasion = Occasion(
        named(kind, record.ticket, record.due_at),
        kind,
        record.account,
        record.subscription,
        record.ticket,
        Due(int(record.due_at)),
        record.journal.offset,
        recorded_at,
        now,
    )
    note(connection, occasion, now, history=history)


def _put(connection: Connection, record: Said, known: dict[str, object]) -> None:
    """Notes `known` of the request. Whose it is the outcomes say; a withdrawal by another account is none."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    first = {"response": "waiting", "withdrawn": False}
    statement = insert(requests).values(ticket=record.ticket, account=record.account, **(first | known))
    c, same = requests.c, requests.c.account == record.account
    if isinstance(record, facts.RequestWithdrawn):
        told = statement.on_conflict_do_update(index_elements=["ticket"], set_=known, where=same)
    else:
        withdrawn = c.withdrawn & same
        changed = {**known, "account": record.account, "withdrawn": withdrawn}
        told = statement.on_conflict_do_update(index_elements=["ticket"], set_=changed)
    connection.execute(told)
