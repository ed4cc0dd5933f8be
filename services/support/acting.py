"""What staff do to a request: each thing is a fact, said once under its key (contract 5, 6)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, select, update

from services.support import contacts
from services.support.intake import Term, term_on
from services.support.saying import Contradiction, Nonsense, Opening, Unknown, open_request, say, ticket_of
from services.support.settings import Language, SupportSettings
from services.support.tables import messages, subscriptions, thread_ids, ticket_facts, tickets, work_entries
from services.support.threads import digest
from shared import facts
from shared.calendar import local_date
from shared.codec import decode_fact
from shared.database import Clock, lock_id
from shared.time import Instant

MOVED = "assigned/"
"""The origin of a request that was opened anew as another one."""


def asked_by(
    connection: Connection, account: str, contact: str | None, default: Language
) -> tuple[contacts.Contact | None, str]:
    """The contact and the language a request of the account is answered in. Raises Nonsense for a contact who
    is unknown or of another account."""
    if contact is None:
        return None, default
    try:
        found = contacts.find(connection, contact)
    except Unknown as error:
        raise Nonsense(str(error)) from None
    if found.account != account:
        raise Nonsense(f"contact {contact} is of account {found.account}, not of {account}")
    return found, found.language


def subscription_for(
    connection: Connection, account: str, wanted: str | None, received_at: int, zone: str
) -> str | None:
    """The account's subscription that a request received then is asked under, `wanted` before others."""
    rows = connection.execute(select(subscriptions).where(subscriptions.c.account == account))
    terms = [Term(row.subscription, row.starts_on, row.ends_on) for row in rows]
    return term_on(wanted, terms, local_date(received_at, zone))


def respond(
    connection: Connection, ticket: str, at: int | None, clock: Clock, key: str | None = None
) -> bool:
    """States that somebody answered, at `at` (ms; None: now). Raises Nonsense for an instant before the
    receipt."""
    row = locked(connection, ticket)
    when = clock() if at is None else at
    if when < row.received_at:
        raise Nonsense(f"that is before request {ticket} was received; say when it was answered")
    return say(connection, facts.FirstResponseSent(row.account, ticket, Instant(when)), clock, key)


def log_work(
    connection: Connection,
    ticket: str,
    entry: str | None,
    minutes: int,
    at: int | None,
    clock: Clock,
    key: str | None = None,
) -> tuple[str, bool]:
    """Logs minutes of work done at `at` (ms; None: now); returns its entry, the next number unless given, and
    whether it is new."""
    row = locked(connection, ticket)
    known = _entries(connection, ticket)
    before = _said_under(connection, key)
    if entry is None and isinstance(before, facts.WorkLogged) and before.ticket == ticket:
        entry = before.entry
    if entry is None:
        entry = str(1 + max((int(one) for one in known if one.isdecimal() and one.isascii()), default=0))
    if at is None and entry in known:
        at = known[entry][1]  # said again without an instant it is the same
    when = Instant(clock() if at is None else at)
    return entry, say(connection, facts.WorkLogged(row.account, ticket, entry, minutes, when), clock, key)


def correct_work(
    connection: Connection,
    ticket: str,
    entry: str,
    minutes: int,
    at: int | None,
    clock: Clock,
    key: str | None = None,
) -> bool:
    """Replaces what the entry says; its date (ms) stays where `at` is None."""
    row = locked(connection, ticket)
    if at is None:
        known = _entries(connection, ticket).get(entry)
        at = known[1] if known is not None else clock()
    return say(connection, facts.WorkCorrected(row.account, ticket, entry, minutes, Instant(at)), clock, key)


def assign(
    connection: Connection,
    settings: SupportSettings,
    ticket: str,
    account: str,
    subscription: str | None,
    contact: str | None,
    clock: Clock,
) -> tuple[str, bool]:
    """Opens the request anew for the account it is of in truth, received when it was received; returns the
    new ticket and whether it is new.

    The old one is withdrawn. Its response, its work and its mails go along: the old one's work is corrected
    to nothing, so that it counts once. Raises Contradiction where it was assigned elsewhere before.
    """
    old = locked(connection, ticket)
    if old.origin.startswith(MOVED):
        return _assigned(connection, old, account)
    if old.status == "withdrawn":
        raise Nonsense(f"ticket {ticket} was withdrawn; open a new request")
    if contact is None and old.account == account:
        contact = old.contact
    person, language = asked_by(connection, account, contact, settings.default_language)
    if subscription is None:
        wanted = person.subscription if person else None
        subscription = subscription_for(connection, account, wanted, old.received_at, settings.zone)
    if (account, subscription) == (old.account, old.subscription):
        raise Nonsense(
            f"ticket {ticket} is of account {account} and {subscription or 'no subscription'} already"
        )
    opening = Opening(
        account,
        subscription,
        old.severity,
        old.kind,
        old.received_at,
        language if person else old.language,
        old.origin,
        contact,
        old.subject,
    )
    new, _ = open_request(connection, opening, clock, acknowledge=old.responded_at is None)
    _goes_along(connection, old, account, new, contact, clock)
    now = clock()
    say(connection, facts.RequestWithdrawn(old.account, ticket, now), clock)
    if old.status == "closed":
        say(connection, facts.RequestClosed(account, new, now), clock)
    connection.execute(update(tickets).where(tickets.c.ticket == ticket).values(origin=f"{MOVED}{new}"))
    return new, True


def split(
    connection: Connection, settings: SupportSettings, message: int, severity: facts.Severity, clock: Clock
) -> tuple[str, bool]:
    """A mail of another request becomes a request of its own, received when that mail was; returns its ticket
    and whether it is new. Raises Unknown, and Nonsense for a mail that is no customer's second one."""
    lock_id(connection, f"message {message}")
    row = message_of(connection, message)
    origin = f"mail/{message}"
    if row.state == "opened" and row.reason == _SPLIT:
        return row.ticket, False
    if row.state != "threaded" or row.ticket is None:
        raise Nonsense(f"message {message} is {row.state}: only one that joined a request can be split off")
    old = locked(connection, row.ticket)
    contact = row.contact or old.contact
    person, language = asked_by(connection, old.account, contact, settings.default_language)
    wanted = person.subscription if person else old.subscription
    opening = Opening(
        old.account,
        subscription_for(connection, old.account, wanted, row.received_at, settings.zone),
        severity,
        "unclassified",
        row.received_at,
        language,
        origin,
        contact,
        row.subject,
    )
    ticket, new = open_request(connection, opening, clock, acknowledge=True)
    connection.execute(
        update(messages)
        .where(messages.c.message == message)
        .values(state="opened", ticket=ticket, reason=_SPLIT)
    )
    if row.message_id is not None:
        connection.execute(
            update(thread_ids).where(thread_ids.c.digest == digest(row.message_id)).values(ticket=ticket)
        )
    return ticket, new


_SPLIT = "split off by a person"


def assigned_as(connection: Connection, ticket: str) -> str:
    """The request that `ticket` is now: itself, or the one it was assigned anew as. Raises Unknown."""
    while (origin := ticket_of(connection, ticket).origin).startswith(MOVED):
        ticket = origin.removeprefix(MOVED)
    return ticket


def message_of(connection: Connection, message: int) -> Row[Any]:
    """The mail's row. Raises Unknown."""
    found = connection.execute(select(messages).where(messages.c.message == message)).one_or_none()
    if found is None:
        raise Unknown(f"no message {message}; `garant desk show TICKET` lists a request's")
    return found


def locked(connection: Connection, ticket: str) -> Row[Any]:
    """The request's row; nobody else changes it until the transaction ends. Raises Unknown."""
    lock_id(connection, ticket)
    return ticket_of(connection, ticket)


def _assigned(connection: Connection, old: Row[Any], account: str) -> tuple[str, bool]:
    new = old.origin.removeprefix(MOVED)
    if ticket_of(connection, new).account != account:
        raise Contradiction(f"ticket {old.ticket} was assigned before; it is {new} now: assign that one")
    return new, False


def _goes_along(
    connection: Connection, old: Row[Any], account: str, new: str, contact: str | None, clock: Clock
) -> None:
    if old.responded_at is not None:
        say(connection, facts.FirstResponseSent(account, new, Instant(old.responded_at)), clock)
    for entry, (minutes, at) in _entries(connection, old.ticket).items():
        say(connection, facts.WorkLogged(account, new, entry, minutes, Instant(at)), clock)
        say(connection, facts.WorkCorrected(old.account, old.ticket, entry, 0, Instant(at)), clock)
    moved = update(messages).where(messages.c.ticket == old.ticket)
    connection.execute(moved.where(messages.c.contact.is_(None)).values(contact=contact))
    connection.execute(moved.values(ticket=new))
    connection.execute(update(thread_ids).where(thread_ids.c.ticket == old.ticket).values(ticket=new))


def _entries(connection: Connection, ticket: str) -> dict[str, tuple[int, int]]:
    rows = connection.execute(
        select(work_entries.c.entry, work_entries.c.minutes, work_entries.c.at)
        .where(work_entries.c.ticket == ticket)
        .order_by(work_entries.c.at, work_entries.c.entry)
    )
    return {entry: (minutes, at) for entry, minutes, at in rows}


def _said_under(connection: Connection, key: str | None) -> facts.Fact | None:
    if key is None:
        return None
    found = connection.execute(
        select(ticket_facts.c.fact).where(ticket_facts.c.idempotency_key == key)
    ).scalar_one_or_none()
    return None if found is None else decode_fact(found.encode())
