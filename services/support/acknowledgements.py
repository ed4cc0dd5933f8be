"""The letter that answers a request by itself: when the first response is due, or that none is promised.

It waits for what the SLA service concludes, because that is what it says. It is no response (contract 5).
"""

from __future__ import annotations

from typing import Any, Literal

from sqlalchemy import Connection, Row, func, select, update

from services.support.correspondence import AUTOMATIC, Correspondent, Written, correspondent, write
from services.support.saying import NO_ACCOUNT
from services.support.settings import SupportSettings
from services.support.tables import letters, tickets
from services.support.wording import acknowledgement_wording, uncovered_wording
from shared.database import Clock
from shared.time import HOUR

PURPOSES = ("acknowledgement", "uncovered")
"""Values of `letters.purpose`."""

Result = Literal["written", "unwanted", "too-many", "nobody"]
"""What became of it: in the outbox; not wanted any more; the sender had enough; nobody to write to."""


def acknowledge(
    connection: Connection, settings: SupportSettings, ticket: Row[Any], due_at: int | None, clock: Clock
) -> Result:
    """Answers the request (a row of `tickets`) once: with its deadline (ms), or, where that is None, that no
    subscription covers it. A sender gets no more than the settings' number of such letters within an hour."""
    if ticket.acknowledged:
        return "unwanted"
    connection.execute(update(tickets).where(tickets.c.ticket == ticket.ticket).values(acknowledged=True))
    if ticket.responded_at is not None or ticket.status == "withdrawn":
        return "unwanted"
    to = correspondent(connection, ticket)
    if to is None or to.address.lower() == settings.address.lower():
        return "nobody"
    if _written_lately(connection, to, clock) >= settings.answers_per_hour:
        return "too-many"
    purpose, written = _wording(settings, ticket, to, due_at, clock)
    letter = write(connection, settings, ticket, to, purpose, "", written, clock, AUTOMATIC)
    return "written" if letter is not None else "nobody"


def _wording(
    settings: SupportSettings, ticket: Row[Any], to: Correspondent, due_at: int | None, clock: Clock
) -> tuple[str, Written]:
    if due_at is None:
        known = ticket.account != NO_ACCOUNT
        return PURPOSES[1], uncovered_wording(settings, ticket.ticket, to.language, known=known)
    written = acknowledgement_wording(settings, ticket.ticket, to.language, ticket.severity, due_at, clock())
    return PURPOSES[0], written


def _written_lately(connection: Connection, to: Correspondent, clock: Clock) -> int:
    c = letters.c
    return connection.execute(
        select(func.count()).where(
            c.recipient == to.address, c.created_at > clock() - HOUR, c.purpose.in_(PURPOSES)
        )
    ).scalar_one()
