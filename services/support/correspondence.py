"""Letters about a request: to whom they go, in which thread they stand, and the bytes of them.

Their Message-IDs follow from the request and what they say about it, so that each is written once, and a
reply to any of them is known to be about the request.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Row, select
from sqlalchemy.dialects import postgresql, sqlite

from services.support import contacts
from services.support.saying import Unknown
from services.support.settings import SupportSettings
from services.support.tables import letters, messages, thread_ids
from services.support.threads import digest, subject_with
from shared.database import Clock
from shared.mail.address import BadAddress
from shared.mail.composing import HeaderInjection, Letter, compose, harmless, message_id
from shared.mail.letters import Outgoing, put

_REFERENCES_MOST = 20

AUTOMATIC = (("Auto-Submitted", "auto-replied"), ("X-Auto-Response-Suppress", "All"))
"""The headers of what no person wrote. RFC 3834 asks for the first and against Precedence; the second tells
mail systems of one maker, which do not heed the first, that no machine shall answer."""


class Correspondent(Struct, frozen=True):
    """Who asked: where a letter goes, in which language, and the mail it answers, if it was one."""

    address: str
    name: str
    language: str
    contact: str | None
    answers: str | None = None


class Written(Struct, frozen=True):
    """What a letter says."""

    text: str
    html: str | None
    subject: str | None = None
    """Of a letter that answers no mail; else the mail's own is kept."""


def correspondent(connection: Connection, ticket: Row[Any]) -> Correspondent | None:
    """Who is written to about the request (a row of `tickets`): the sender of the mail that opened it, else
    the contact's first address; None where nobody is known, or who was known is forgotten."""
    known = None
    if ticket.contact is not None:
        try:
            known = contacts.find(connection, ticket.contact)
        except Unknown:
            return None
    address, name, answers = "", known.name if known else "", None
    if ticket.origin.startswith("mail/"):
        c = messages.c
        mail = connection.execute(
            select(c.sender, c.sender_name, c.message_id).where(c.message == int(ticket.origin[5:]))
        ).one_or_none()
        if mail is not None and mail.sender and (known is None or mail.sender.lower() in known.addresses):
            address, name, answers = mail.sender, name or mail.sender_name or "", mail.message_id
    if not address and known is not None and known.addresses:
        address = known.addresses[0]
    return Correspondent(address, name, ticket.language, ticket.contact, answers) if address else None


def write(
    connection: Connection,
    settings: SupportSettings,
    ticket: Row[Any],
    to: Correspondent,
    purpose: str,
    key: str,
    written: Written,
    clock: Clock,
    headers: tuple[tuple[str, str], ...] = (),
) -> str | None:
    """Puts the letter `ticket/TICKET/PURPOSE[/KEY]` into `letters`, once however often it is written, and
    makes answers to it find the request. Its id; None where the address or a name cannot stand in a mail."""
    parts = [ticket.ticket, key] if key else [ticket.ticket]
    own_id = message_id(purpose, ".".join(parts), settings.id_domain())
    references = _references(connection, ticket.ticket, to.answers)
    try:
        data = compose(
            Letter(
                own_id,
                settings.sender_name,
                settings.address,
                harmless(to.name, 100),
                to.address,
                written.subject or subject_with(ticket.ticket, ticket.subject or ""),
                written.text,
                clock(),
                written.html,
                references[-1] if references else None,
                references,
                headers,
            )
        )
    except (HeaderInjection, BadAddress):
        return None
    letter = "/".join(["ticket", ticket.ticket, purpose, *parts[1:]])
    put(
        connection,
        letters,
        Outgoing(letter, purpose, to.address, own_id, data, to.contact),
        clock,
    )
    remember(connection, {digest(own_id): ticket.ticket})
    return letter


def remember(connection: Connection, found: dict[str, str]) -> None:
    """Notes which request the Message-IDs with these digests belong to; the first one told stays."""
    if found:
        insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        connection.execute(
            insert(thread_ids).on_conflict_do_nothing(index_elements=["digest"]),
            [{"digest": one, "ticket": ticket} for one, ticket in found.items()],
        )


def _references(connection: Connection, ticket: str, answers: str | None) -> tuple[str, ...]:
    """The ids of the request's mails so far, the one answered last: the customer's newest."""
    c = messages.c
    rows = connection.execute(
        select(c.message_id)
        .where(c.ticket == ticket, c.state.in_(("opened", "threaded", "released")), c.message_id.is_not(None))
        .order_by(c.message)
        .limit(_REFERENCES_MOST)
    )
    ids = [one for one in rows.scalars() if len(one) <= 250]
    if answers is not None and answers not in ids and len(answers) <= 250:
        ids.insert(0, answers)
    return tuple(dict.fromkeys(ids))
