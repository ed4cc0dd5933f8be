"""What the SLA service concluded, noted at the request or the quota it is about."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, select, update
from sqlalchemy.dialects import postgresql, sqlite

from services.support.acknowledgements import Result, acknowledge
from services.support.settings import SupportSettings
from services.support.tables import quotas, tickets
from shared import outcomes
from shared.database import Clock

Deadline = (
    outcomes.ResponseDue
    | outcomes.ResponseAtRisk
    | outcomes.ResponseMet
    | outcomes.ResponseMissed
    | outcomes.ResponseLate
    | outcomes.RequestUncovered
)
Quota = (
    outcomes.QuotaOpened
    | outcomes.QuotaChanged
    | outcomes.QuotaUsed
    | outcomes.QuotaWarned
    | outcomes.QuotaRestored
)


def note_deadline(
    connection: Connection, settings: SupportSettings, found: Deadline, clock: Clock
) -> Result | None:
    """Notes it at the request, and answers who asked at the first news of when the response is due. Returns
    what became of that letter; None where none was due or nobody here knows the request."""
    ticket = connection.execute(select(tickets).where(tickets.c.ticket == found.ticket)).one_or_none()
    if ticket is None or ticket.account != found.account:
        return None  # it was opened elsewhere: facts may come from any program that has the topic
    values, answer = _of(found, ticket)
    connection.execute(update(tickets).where(tickets.c.ticket == found.ticket).values(**values))
    if not answer:
        return None
    return acknowledge(connection, settings, ticket, values.get("due_at"), clock)


def _of(found: Deadline, ticket: Row[Any]) -> tuple[dict[str, Any], bool]:
    match found:
        case outcomes.ResponseDue():
            waits = ticket.response in ("waiting", "at-risk")
            return {
                "covered": True,
                "revision": found.revision,
                "due_at": found.due_at,
                "at_risk_at": found.at_risk_at,
                # Another deadline: whether it is at risk is said anew.
                "response": "waiting" if waits else ticket.response,
            }, found.revision == 1
        case outcomes.ResponseAtRisk():
            return {"response": "at-risk"}, False
        case outcomes.ResponseMet():
            return {"response": "met", "late_by_ms": None}, False
        case outcomes.ResponseMissed():
            return {"response": "missed"}, False
        case outcomes.ResponseLate():
            return {"response": "late", "late_by_ms": found.late_by_ms}, False
        case outcomes.RequestUncovered():
            return {"covered": False}, True


def note_quota(connection: Connection, found: Quota) -> None:
    """Notes what is left of a subscription year's quota, and which percentages have been warned of and not
    been restored since."""
    warned = _warned(connection, found)
    match found:
        case outcomes.QuotaRestored():
            warned.discard(found.percent)
        case outcomes.QuotaWarned():
            warned.add(found.percent)
    values = {
        "account": found.account,
        "quota_minutes": found.quota_minutes,
        "used_minutes": found.used_minutes,
        "warned": ",".join(str(one) for one in sorted(warned)),
    }
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    connection.execute(
        dialect.insert(quotas)
        .values(subscription=found.subscription, year_starts_on=found.year_starts_on, **values)
        .on_conflict_do_update(index_elements=["subscription", "year_starts_on"], set_=values)
    )


def _warned(connection: Connection, found: Quota) -> set[int]:
    c = quotas.c
    stands = connection.execute(
        select(c.warned).where(c.subscription == found.subscription, c.year_starts_on == found.year_starts_on)
    ).scalar_one_or_none()
    return {int(one) for one in (stands or "").split(",") if one}
