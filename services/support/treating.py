"""What follows from a mail, done: the decision, the request it opens or joins, what is said and sent on."""

from __future__ import annotations

import zlib

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, select, update

from services.support import contacts
from services.support.arrivals import Arrival, arrival, mail_of, rules_of
from services.support.authentication import Verdict
from services.support.correspondence import remember
from services.support.intake import Decision, Earlier, Known, Thread, decide
from services.support.lookups import Lookups, look_up
from services.support.replies import send_on
from services.support.saying import (
    Nonsense,
    Numbered,
    Unknown,
    next_ticket,
    open_numbered,
    open_request,
    say,
)
from services.support.settings import SupportSettings
from services.support.tables import letters, messages, raw_messages, thread_ids
from services.support.threads import digest
from shared.database import Clock, lock_id
from shared.mail.address import domain_of
from shared.mail.bounces import bounce_of
from shared.mail.letters import bounced, copy_seen
from shared.mail.mailbox import Delivery
from shared.time import Instant

_JOINS = ("opened", "threaded", "staff", "released")


class Treated(Struct, frozen=True):
    """What was decided, the request the mail belongs to now, and the digest of the Message-ID by which it is
    found from now on, if the caller notes it (`correspondence.remember`)."""

    decision: Decision
    ticket: str | None
    digest: str | None = None


def treat(
    connection: Connection,
    settings: SupportSettings,
    one: Arrival,
    number: int,
    known: Lookups,
    clock: Clock,
    pending: list[Numbered] | None = None,
) -> Treated:
    """Decides about message `number` and does what follows, in the caller's transaction. A request it opens
    is added to `pending`, if there is one, for the caller to open (`open_numbered`)."""
    incoming = one.incoming
    sender = (incoming.sender or "").lower()
    contact = known.contacts.get(sender)
    ours = (
        incoming.own
        and incoming.message_id is not None
        and sender == settings.address.lower()  # else anybody could say that a letter had arrived
        and copy_seen(connection, letters, incoming.message_id, clock)
    )
    bounce = None if ours else _bounce(connection, settings, one, clock)
    found = Known(
        contact=contact,
        terms=known.terms.get(contact.account, ()) if contact else (),
        threads=known.threads_of(incoming),
        earlier=known.earlier.get(one.content_digest),
        ours=ours,
        bounced=bounce.letter if bounce else None,
    )
    decision = decide(mail_of(one, number, settings, clock), found, rules_of(settings))
    if ours and incoming.message_id is not None:
        decision = msgspec.structs.replace(decision, ticket=known.ticket_of.get(digest(incoming.message_id)))
    if bounce is not None:
        decision = msgspec.structs.replace(decision, ticket=bounce.ticket, contact=bounce.contact)
    return _done(connection, settings, one, decision, clock, pending)


def learn(known: Lookups, one: Arrival, number: int, treated: Treated) -> None:
    """Adds what was done with a mail to what is known for those behind it in the batch."""
    decision, ticket = treated.decision, treated.ticket
    if decision.state != "repeat":
        known.earlier[one.content_digest] = Earlier(number, decision.state, ticket)
    if ticket is None or decision.state not in _JOINS:
        return
    if treated.digest is not None:
        known.ticket_of.setdefault(treated.digest, ticket)
    if decision.opening is not None:
        account = decision.opening.account
        known.threads[ticket] = Thread(ticket, account, "open", one.incoming.sender)
    elif decision.says and decision.state == "threaded":
        known.threads[ticket] = msgspec.structs.replace(known.threads[ticket], status="open")


def release(
    connection: Connection, settings: SupportSettings, number: int, clock: Clock, contact: str | None = None
) -> Treated:
    """A person vouches for a mail in quarantine: it is treated as if our mail server had, as of when it was
    received; `contact` says whose it is if its sender does not.

    Raises Unknown for no such message or contact, Nonsense where even so nothing can be made of it.
    """
    lock_id(connection, "support.taking")
    row = connection.execute(select(messages).where(messages.c.message == number)).one_or_none()
    if row is None:
        raise Unknown(f"no message {number}; `garant support quarantine` lists those that wait")
    if row.state != "quarantined":
        raise Nonsense(f"message {number} is {row.state}; only what is in quarantine can be released")
    data = connection.execute(select(raw_messages.c.data).where(raw_messages.c.message == number)).scalar()
    if data is None:
        raise Nonsense(f"message {number} was erased; there is nothing left of it")
    received = Instant(row.received_at)
    one = arrival(Delivery(row.uidvalidity, row.uid, received, row.size, zlib.decompress(data)), settings)
    if contact is not None:
        one = _written_by(connection, one, contact)
    found = look_up(connection, [(one.incoming, one.content_digest)])
    mail = mail_of(one, number, settings, clock)
    sender = one.incoming.sender or ""
    whose = found.contacts.get(sender.lower())
    decision = decide(
        msgspec.structs.replace(mail, verdict=Verdict(domain_of(sender) or None, "a person")),
        Known(whose, found.terms.get(whose.account, ()) if whose else (), found.threads_of(one.incoming)),
        rules_of(settings),
    )
    if decision.state in ("quarantined", "automatic"):
        raise Nonsense(f"nothing follows from message {number}: {decision.reason}")
    treated = _done(connection, settings, one, decision, clock)
    if treated.digest is not None and treated.ticket is not None:
        remember(connection, {treated.digest: treated.ticket})
    connection.execute(
        update(messages)
        .where(messages.c.message == number)
        .values(
            state="released",
            reason=f"released: {decision.reason}",
            ticket=treated.ticket,
            contact=decision.contact,
        )
    )
    return treated


def _written_by(connection: Connection, one: Arrival, contact: str) -> Arrival:
    whose = contacts.find(connection, contact)
    if not whose.addresses:
        raise Nonsense(f"contact {contact} has no address; add the one this mail came from")
    incoming = msgspec.structs.replace(one.incoming, sender=whose.addresses[0])
    return msgspec.structs.replace(one, incoming=incoming)


class _Bounced(Struct, frozen=True):
    """The letter that did not arrive ("": none of ours), the request it is about and whose data it holds."""

    letter: str
    ticket: str | None = None
    contact: str | None = None


def _bounce(connection: Connection, settings: SupportSettings, one: Arrival, clock: Clock) -> _Bounced | None:
    """What the mail says did not arrive; None if it is no bounce."""
    if one.incoming.automatic != "bounce" and one.incoming.return_path != "":
        return None
    bounce = bounce_of(one.delivery.raw, ignoring=(settings.address,))
    if bounce is None:
        return None
    letter = bounced(connection, letters, bounce, clock)
    if letter is None:
        return _Bounced("")
    row = connection.execute(
        select(thread_ids.c.ticket, letters.c.contact)
        .select_from(letters.outerjoin(thread_ids, thread_ids.c.digest == digest(bounce.message_id)))
        .where(letters.c.id == letter)
    ).one()
    return _Bounced(letter, row.ticket, row.contact)


def _done(
    connection: Connection,
    settings: SupportSettings,
    one: Arrival,
    decision: Decision,
    clock: Clock,
    pending: list[Numbered] | None = None,
) -> Treated:
    ticket = decision.ticket
    if decision.opening is not None and pending is not None:
        ticket = next_ticket(connection)
        pending.append(Numbered(ticket, decision.opening, decision.answer))
    elif decision.opening is not None:
        ticket, _ = open_request(connection, decision.opening, clock, acknowledge=decision.answer)
    if pending and (decision.says or decision.send_on):
        open_numbered(connection, pending, clock)  # it may be about one of those
        pending.clear()
    for fact in decision.says:
        say(connection, fact, clock)
    incoming = one.incoming
    if ticket is not None and decision.send_on:
        send_on(connection, settings, ticket, incoming.text, one.raw_digest[:32], clock)
    found = incoming.message_id is not None and ticket is not None and decision.state in _JOINS
    return Treated(decision, ticket, digest(incoming.message_id or "") if found else None)
