"""What waits in quarantine: mails nobody vouches for, until a person says whose they are (contract 5)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, select, update

from services.support import contacts, treating
from services.support.acting import asked_by, locked, message_of, subscription_for
from services.support.correspondence import remember
from services.support.saying import NO_ACCOUNT, Nonsense, Opening, open_request, say
from services.support.settings import SupportSettings
from services.support.severity import said_severity
from services.support.tables import messages
from services.support.threads import digest
from shared.database import Clock, lock_id
from shared.facts import RequestReopened, Severity

_LISTED = 500


def waiting(connection: Connection) -> list[Row[Any]]:
    """The mails in quarantine, the oldest first, at most 500."""
    return list(
        connection.execute(
            select(messages)
            .where(messages.c.state == "quarantined")
            .order_by(messages.c.received_at, messages.c.message)
            .limit(_LISTED)
        )
    )


def release(
    connection: Connection,
    settings: SupportSettings,
    message: int,
    contact: str | None,
    account: str | None,
    subscription: str | None,
    severity: Severity | None,
    ticket: str | None,
    clock: Clock,
) -> tuple[str | None, bool]:
    """A person vouches for the mail; returns its ticket and whether that is new.

    It is treated as if our mail server had vouched: it joins the request it answers, else opens one, received
    when our server had it. What the person says comes before that: `ticket` to join, or whose it is. Raises
    Unknown, and Nonsense for a mail that is not in quarantine or from which nothing follows.
    """
    lock_id(connection, "support.taking")  # first, as intake does; then requests
    row = message_of(connection, message)
    if row.state == "released":
        return row.ticket, False
    if row.state != "quarantined":
        raise Nonsense(f"message {message} is {row.state}, not in quarantine; nothing is to be released")
    if ticket is not None:
        return _joined(connection, row, locked(connection, ticket), clock), False
    if account is None and subscription is None and severity is None:
        treated = treating.release(connection, settings, message, clock, contact)
        return treated.ticket, treated.decision.opening is not None
    if contact is None and row.sender is not None:
        known = contacts.by_address(connection, row.sender)
        if known is not None and account in (None, known.account):
            contact = known.contact
    if account is None:
        account = contacts.find(connection, contact).account if contact is not None else NO_ACCOUNT
    person, language = asked_by(connection, account, contact, settings.default_language)
    if subscription is None and account != NO_ACCOUNT:
        wanted = person.subscription if person else None
        subscription = subscription_for(connection, account, wanted, row.received_at, settings.zone)
    opening = Opening(
        account,
        subscription,
        severity or said_severity(row.subject or "", (), settings.address) or settings.default_severity,
        "unclassified",
        row.received_at,
        language,
        f"mail/{message}",
        contact,
        row.subject,
    )
    ticket, new = open_request(connection, opening, clock, acknowledge=row.sender is not None)
    _released(connection, row, ticket, contact)
    return ticket, new


def _joined(connection: Connection, row: Row[Any], ticket: Row[Any], clock: Clock) -> str:
    """A customer's nudge moves nothing, but opens again what was closed."""
    if ticket.status == "withdrawn":
        raise Nonsense(f"ticket {ticket.ticket} was withdrawn; release the message without it")
    if ticket.status == "closed":
        say(connection, RequestReopened(ticket.account, ticket.ticket, clock()), clock)
    _released(connection, row, ticket.ticket, ticket.contact)
    return str(ticket.ticket)


def _released(connection: Connection, row: Row[Any], ticket: str, contact: str | None) -> None:
    connection.execute(
        update(messages)
        .where(messages.c.message == row.message)
        .values(state="released", ticket=ticket, contact=contact)
    )
    if row.message_id is not None:
        remember(connection, {digest(row.message_id): ticket})


def discard(connection: Connection, message: int, reason: str) -> bool:
    """Nobody answers this mail, and why; it is kept. Whether it was waiting. Raises Unknown, Nonsense."""
    lock_id(connection, "support.taking")
    row = message_of(connection, message)
    if row.state == "discarded":
        return False
    if row.state != "quarantined":
        raise Nonsense(f"message {message} is {row.state}, not in quarantine; nothing is to be discarded")
    connection.execute(
        update(messages).where(messages.c.message == message).values(state="discarded", reason=reason)
    )
    return True
