"""Where taken mails are kept: what became of each, the mail itself, and how far the mailbox was taken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from services.support.arrivals import Arrival
from services.support.intake import Decision
from services.support.tables import mailbox_positions, messages, raw_messages
from shared.database import Clock

_TEXT_MOST = 200_000


def taken_before(connection: Connection, mailbox: str, found: Sequence[Arrival]) -> set[tuple[int, int]]:
    """The places (UIDVALIDITY, UID) among `found` whose mails are here already."""
    c = messages.c
    return {
        (row.uidvalidity, row.uid)
        for validity in {one.delivery.uidvalidity for one in found}
        for row in connection.execute(
            select(c.uidvalidity, c.uid).where(
                c.mailbox == mailbox,
                c.uidvalidity == validity,
                c.uid.in_([one.delivery.uid for one in found if one.delivery.uidvalidity == validity]),
            )
        )
    }


def row_of(
    mailbox: str, found: Arrival, number: int, decision: Decision, ticket: str | None, clock: Clock
) -> dict[str, Any]:
    """The row of `messages`. A copy of our own letter says nothing that is not in `letters`: of it no text is
    kept here."""
    incoming, own = found.incoming, decision.state == "own"
    return _place(mailbox, found, number, decision, clock) | {
        "ticket": ticket,
        "contact": decision.contact,
        "message_id": incoming.message_id,
        "sender": None if own else incoming.sender,
        "sender_name": None if own else incoming.sender_name,
        "subject": None if own else incoming.subject,
        "text": None if own else incoming.text[:_TEXT_MOST],
        "attachments": incoming.attachments,
    }


def bare_row(mailbox: str, found: Arrival, number: int, decision: Decision, clock: Clock) -> dict[str, Any]:
    """The row of a mail that cannot be taken in: nothing of what it says is in it."""
    nothing = dict.fromkeys(("ticket", "contact", "message_id", "sender", "sender_name", "subject", "text"))
    return _place(mailbox, found, number, decision, clock) | nothing | {"attachments": 0}


def store(connection: Connection, rows: Sequence[dict[str, Any]], packed: Sequence[bytes]) -> None:
    """Keeps the mails and what became of them."""
    if rows:
        connection.execute(insert(messages), list(rows))
        kept = [
            {"message": row["message"], "data": data}
            for row, data in zip(rows, packed, strict=True)
            if row["state"] != "own"
        ]
        if kept:
            connection.execute(insert(raw_messages), kept)


def advance(connection: Connection, mailbox: str, found: Sequence[Arrival]) -> None:
    """Moves the mailbox's position up to the highest UID of the batch."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    c = mailbox_positions.c
    for validity in {one.delivery.uidvalidity for one in found}:
        uid = max(one.delivery.uid for one in found if one.delivery.uidvalidity == validity)
        statement = dialect.insert(mailbox_positions).values(mailbox=mailbox, uidvalidity=validity, uid=uid)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["mailbox", "uidvalidity"],
                set_={"uid": statement.excluded.uid},
                where=c.uid < statement.excluded.uid,
            )
        )


def position(connection: Connection, mailbox: str, uidvalidity: int) -> int:
    """The highest UID taken of the mailbox, 0 if none."""
    c = mailbox_positions.c
    query = select(c.uid).where(c.mailbox == mailbox, c.uidvalidity == uidvalidity)
    return connection.execute(query).scalar_one_or_none() or 0


def _place(mailbox: str, found: Arrival, number: int, decision: Decision, clock: Clock) -> dict[str, Any]:
    now = clock()
    return {
        "message": number,
        "mailbox": mailbox,
        "uidvalidity": found.delivery.uidvalidity,
        "uid": found.delivery.uid,
        "raw_digest": found.raw_digest,
        "content_digest": found.content_digest,
        "received_at": min(found.delivery.received_at, now),
        "taken_at": now,
        "state": decision.state,
        "reason": decision.reason,
        "size": found.delivery.size,
    }
