"""Saying facts about requests: each fact, its place in the outbox and what the desk itself remembers of it,
in the caller's transaction. What is refused here would be rejected by the SLA service too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Row, insert, select, text, update

from services.support.tables import outbox, ticket_facts, tickets, work_entries
from shared import facts
from shared.codec import decode_fact, encode
from shared.database import Clock, lock_id, next_number
from shared.time import MINUTE, Instant

NO_ACCOUNT = "unknown"
"""The account of a request by someone who belongs to none: it is accepted, and uncovered."""
_AHEAD_MS = 5 * MINUTE
"""How far ahead of our clock another's may be before what it says is taken for a slip."""


class Nonsense(ValueError):
    """A fact that cannot be; the message says why and what can."""


class Contradiction(Nonsense):
    """The same id or idempotency key was used before to say something else."""


class Unknown(LookupError):
    """No such request, message or person."""


class Opening(Struct, frozen=True):
    """A request to open. `received_at` (ms) starts the clock; `origin` says where it came from ("mail/17",
    "api", "zammad/4711"); `ticket` None gets the next number."""

    account: str
    subscription: str | None
    severity: facts.Severity
    kind: facts.Kind
    received_at: int
    language: str
    origin: str
    contact: str | None = None
    subject: str | None = None
    ticket: str | None = None


def open_request(
    connection: Connection, opening: Opening, clock: Clock, key: str | None = None, *, acknowledge: bool
) -> tuple[str, bool]:
    """Opens a request; returns its ticket and whether it was new.

    `acknowledge`: whether a letter with the deadline is to be sent once it is known. The same key again, or
    the same ticket word for word, opens nothing. Raises Contradiction for a key or ticket used for something
    else, Nonsense for a receipt in the future.
    """
    if (before := _under(connection, key)) is not None:
        fact = decode_fact(before.fact.encode())
        if isinstance(fact, facts.RequestOpened) and _same_opening(fact, opening):
            return fact.ticket, False
        raise Contradiction(f"idempotency key {key!r} was used for something else; choose a new one")
    _not_ahead(opening.received_at, clock)
    ticket = opening.ticket
    if ticket is not None and (known := _opened(connection, ticket)) is not None:
        if _same_opening(known, opening):
            return ticket, False
        raise Contradiction(
            f"ticket {ticket} was opened with other words; say what changed, or take another id"
        )
    while ticket is None or (opening.ticket is None and _opened(connection, ticket) is not None):
        ticket = next_ticket(connection)
    connection.execute(insert(tickets).values(**_row(ticket, opening, acknowledge)))
    _put_down(connection, _fact(ticket, opening), clock, key)
    return ticket, True


class Numbered(Struct, frozen=True):
    """A request to open under the ticket it has got already (`next_ticket`)."""

    ticket: str
    opening: Opening
    acknowledge: bool


def next_ticket(connection: Connection) -> str:
    """The next number for a request; nobody else gets it."""
    return f"T-{next_number(connection, 'tickets'):06d}"


def open_numbered(connection: Connection, wanted: Sequence[Numbered], clock: Clock) -> None:
    """Opens many at once, in their order: what takes `open_request` seven statements each takes four for all.

    Raises Nonsense for a receipt in the future, IntegrityError where somebody gave a request such a ticket.
    """
    if not wanted:
        return
    for one in wanted:
        _not_ahead(one.opening.received_at, clock)
    connection.execute(insert(tickets), [_row(one.ticket, one.opening, one.acknowledge) for one in wanted])
    numbers = next_numbers(connection, "ticket.facts", len(wanted))
    now = clock()
    connection.execute(
        insert(ticket_facts),
        [
            {
                "sequence": number,
                "ticket": one.ticket,
                "said_at": now,
                "idempotency_key": None,
                "fact": encode(_fact(one.ticket, one.opening)).decode(),
            }
            for number, one in zip(numbers, wanted, strict=True)
        ],
    )
    connection.execute(insert(outbox), [{"sequence": number} for number in numbers])


def next_numbers(connection: Connection, counter: str, count: int) -> range:
    """The counter's next `count` numbers, as `shared.database.next_number` gives one."""
    statement = text(
        "INSERT INTO counters (name, last) VALUES (:name, :count)"
        " ON CONFLICT (name) DO UPDATE SET last = counters.last + :count RETURNING last"
    )
    last = int(connection.execute(statement, {"name": counter, "count": count}).scalar_one()) if count else 0
    return range(last - count + 1, last + 1)


def _fact(ticket: str, opening: Opening) -> facts.RequestOpened:
    return facts.RequestOpened(
        opening.account,
        opening.subscription,
        ticket,
        opening.severity,
        opening.kind,
        Instant(opening.received_at),
    )


def _row(ticket: str, opening: Opening, acknowledge: bool) -> dict[str, Any]:
    return {
        "ticket": ticket,
        "account": opening.account,
        "subscription": opening.subscription,
        "contact": opening.contact,
        "language": opening.language,
        "subject": opening.subject,
        "origin": opening.origin,
        "severity": opening.severity,
        "kind": opening.kind,
        "status": "open",
        "received_at": opening.received_at,
        "revision": 0,
        "response": "waiting",
        "acknowledged": not acknowledge,
    }


def say(connection: Connection, fact: facts.TicketFact, clock: Clock, key: str | None = None) -> bool:
    """Says one more fact about a request that is open here; returns whether it was new.

    The same key again, or word for word what was said before of the entry, changes nothing. Raises Unknown
    for an unknown ticket, Nonsense for what cannot be, Contradiction for a key or an entry used for something
    else.
    """
    lock_id(connection, fact.ticket)
    if (before := _under(connection, key)) is not None:
        if _same(decode_fact(before.fact.encode()), fact):
            return False
        raise Contradiction(f"idempotency key {key!r} was used for something else; choose a new one")
    ticket = ticket_of(connection, fact.ticket)
    if ticket.account != fact.account:
        raise Nonsense(f"ticket {fact.ticket} is of account {ticket.account}, not of {fact.account}")
    if not isinstance(fact, facts.RequestOpened):
        _not_ahead(fact.at, clock)
    if not _remembered(connection, ticket, fact):
        return False
    _put_down(connection, fact, clock, key)
    return True


def ticket_of(connection: Connection, ticket: str) -> Row[Any]:
    """The request's row. Raises Unknown."""
    found = connection.execute(select(tickets).where(tickets.c.ticket == ticket)).one_or_none()
    if found is None:
        raise Unknown(f"no ticket {ticket}; `garant desk` lists the open ones")
    return found


def facts_of(connection: Connection, ticket: str) -> list[facts.Fact]:
    """Everything said about a request, in order."""
    rows = connection.execute(
        select(ticket_facts.c.fact).where(ticket_facts.c.ticket == ticket).order_by(ticket_facts.c.sequence)
    )
    return [decode_fact(text.encode()) for text in rows.scalars()]


def _remembered(connection: Connection, ticket: Row[Any], fact: facts.TicketFact) -> bool:
    """Notes what the fact changes here; False where it says nothing new."""
    match fact:
        case facts.RequestOpened():
            raise Nonsense(f"ticket {fact.ticket} is open already")
        case facts.SeverityChanged():
            if ticket.severity == fact.severity:
                return False
            _set(connection, fact.ticket, severity=fact.severity)
        case facts.RequestClassified():
            if ticket.kind == fact.kind:
                return False
            _set(connection, fact.ticket, kind=fact.kind)
        case facts.FirstResponseSent():
            if ticket.responded_at is not None and ticket.responded_at <= fact.at:
                return False  # of several responses the earliest counts
            _set(connection, fact.ticket, responded_at=fact.at)
        case facts.WorkLogged() | facts.WorkCorrected():
            return _work(connection, fact)
        case facts.RequestClosed():
            if ticket.status != "open":
                return False
            _set(connection, fact.ticket, status="closed")
        case facts.RequestReopened():
            if ticket.status == "withdrawn":
                raise Nonsense(f"ticket {fact.ticket} was withdrawn; open a new request")
            if ticket.status == "open":
                return False
            _set(connection, fact.ticket, status="open")
        case facts.RequestWithdrawn():
            if ticket.status == "withdrawn":
                return False
            _set(connection, fact.ticket, status="withdrawn")
    return True


def _work(connection: Connection, fact: facts.WorkLogged | facts.WorkCorrected) -> bool:
    if fact.minutes < 0:
        raise Nonsense("minutes cannot be negative; correct the entry it is about instead")
    known = connection.execute(
        select(work_entries.c.minutes, work_entries.c.at).where(
            work_entries.c.ticket == fact.ticket, work_entries.c.entry == fact.entry
        )
    ).one_or_none()
    if isinstance(fact, facts.WorkCorrected):
        if known is None:
            raise Unknown(f"no entry {fact.entry} on ticket {fact.ticket}; log it first")
        if known == (fact.minutes, fact.at):
            return False
        connection.execute(
            update(work_entries)
            .where(work_entries.c.ticket == fact.ticket, work_entries.c.entry == fact.entry)
            .values(minutes=fact.minutes, at=fact.at)
        )
        return True
    if known is not None:
        if known == (fact.minutes, fact.at):
            return False
        raise Contradiction(f"entry {fact.entry} of ticket {fact.ticket} says otherwise; correct it instead")
    connection.execute(
        insert(work_entries).values(ticket=fact.ticket, entry=fact.entry, minutes=fact.minutes, at=fact.at)
    )
    return True


def _set(connection: Connection, ticket: str, **values: object) -> None:
    connection.execute(update(tickets).where(tickets.c.ticket == ticket).values(**values))


def _put_down(connection: Connection, fact: facts.TicketFact, clock: Clock, key: str | None) -> None:
    sequence = next_number(connection, "ticket.facts")
    connection.execute(
        insert(ticket_facts).values(
            sequence=sequence,
            ticket=fact.ticket,
            said_at=clock(),
            idempotency_key=key,
            fact=encode(fact).decode(),
        )
    )
    connection.execute(insert(outbox).values(sequence=sequence))


def _under(connection: Connection, key: str | None) -> Row[Any] | None:
    if key is None:
        return None
    lock_id(connection, f"key {key}")
    return connection.execute(
        select(ticket_facts.c.fact).where(ticket_facts.c.idempotency_key == key)
    ).one_or_none()


def _opened(connection: Connection, ticket: str) -> facts.RequestOpened | None:
    lock_id(connection, ticket)
    said = facts_of(connection, ticket)
    return said[0] if said and isinstance(said[0], facts.RequestOpened) else None


def _same_opening(fact: facts.RequestOpened, opening: Opening) -> bool:
    said = (fact.account, fact.subscription, fact.severity, fact.kind)
    return said == (opening.account, opening.subscription, opening.severity, opening.kind) and (
        opening.ticket in (None, fact.ticket)
    )


def _same(said: facts.Fact, fact: facts.TicketFact) -> bool:
    """Word for word the same; but for `at`, which a caller who tries again may leave to us anew."""
    if type(said) is not type(fact):
        return False
    names = [name for name in fact.__struct_fields__ if name not in ("at", "received_at")]
    return all(getattr(said, name) == getattr(fact, name) for name in names)


def _not_ahead(at: int, clock: Clock) -> None:
    if at > clock() + _AHEAD_MS:
        raise Nonsense("that instant lies in the future; say when it happened")
