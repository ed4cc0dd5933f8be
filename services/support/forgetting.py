"""Forgetting a person: every column that says who it was is emptied; ids, instants and facts stay.

What `PERSONAL` in `services.support.tables` names is all there is of people here, but for the reason a person
gave for setting a mail aside and the words of a relay or bounce about a letter, which go too. The digests in
`thread_ids` and of mails stay: a digest of a Message-ID says nothing about anyone, and by them replies still
find their request and a mail that is taken again is known. Facts never held more than ids, so every replay
gives the same bytes as before.

Mails that are still in the mailbox itself, and backups, are not ours to change.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import TypeVar

import structlog
from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, Engine, and_, delete, func, or_, select, update

from services.support.saying import Nonsense, Unknown
from services.support.tables import addresses, contacts, letters, messages, raw_messages, tickets
from shared.database import Clock, lock_id, reading, writing
from shared.mail import letters as outbox

log = structlog.get_logger()

T = TypeVar("T")

_FORGOTTEN = "forgotten"
_OF_MACHINES = ("own", "bounce", "automatic", "repeat", "discarded")
"""Mails with nobody else's words that matter: where they name the person they go too."""
_PATIENCE_S = 5.0


class Forgotten(Struct, frozen=True):
    """How much was erased now. `mentioned` are other people's mails that name an address of the person: what
    becomes of them a person decides. `left_on_disk`: a file's old pages could not be overwritten yet."""

    contact: str
    addresses: int
    messages: int
    tickets: int
    letters: int
    mentioned: tuple[int, ...]
    left_on_disk: bool


class _Person(Struct, frozen=True):
    contact: str
    known: bool
    addresses: tuple[str, ...]


def forget(engine: Engine, contact: str, clock: Clock) -> Forgotten:
    """Erases the contact: name and addresses, mails and answers, subjects and letters. Said again it erases
    what has come since. Raises Unknown for a contact that never was."""
    with reading(engine) as connection:
        if (
            connection.execute(select(contacts.c.contact).where(contacts.c.contact == contact)).first()
            is None
        ):
            raise Unknown(f"no contact {contact}; `garant support contact list` lists them")
        rows = connection.execute(select(addresses.c.address).where(addresses.c.contact == contact))
        person = _Person(contact, True, tuple(rows.scalars()))
    return _forget(engine, person, clock)


def forget_sender(engine: Engine, address: str, clock: Clock) -> Forgotten:
    """The same for somebody who wrote and is no contact. Raises Nonsense where the address is a contact's."""
    address = address.lower()
    with reading(engine) as connection:
        owner = connection.execute(
            select(addresses.c.contact).where(addresses.c.address == address)
        ).scalar_one_or_none()
    if owner is not None:
        raise Nonsense(f"that address is contact {owner}'s: forget that contact")
    own = "sender:" + sha256(address.encode()).hexdigest()[:24]
    return _forget(engine, _Person(own, False, (address,)), clock)


def erase(engine: Engine, message: int) -> bool:
    """Empties one mail that names somebody, whoever it is of. Returns whether all is gone from the disk."""
    with writing(engine) as connection:
        known = connection.execute(select(messages.c.message).where(messages.c.message == message)).first()
        if known is None:
            raise Unknown(f"no message {message}; `garant desk show TICKET` lists a request's")
        _empty(connection, [message])
    return _overwritten(engine)


def _forget(engine: Engine, person: _Person, clock: Clock) -> Forgotten:
    named = _naming(engine, person.addresses)  # beforehand: it takes a while, and mail must go on coming in
    with writing(engine) as connection:
        lock_id(connection, "support.taking")  # first, as intake does; then requests, in one order
        lock_id(connection, "contacts")
        requests, mails = _whose(connection, person)
        for ticket in sorted(requests):
            lock_id(connection, ticket)
        mails |= {number for number, state in named.items() if state in _OF_MACHINES}
        erased = _empty(connection, mails)
        subjects = connection.execute(
            update(tickets)
            .where(tickets.c.ticket.in_(requests), tickets.c.subject.is_not(None))
            .values(subject=None)
        ).rowcount
        written = _letters(connection, person)
        gone = connection.execute(delete(addresses).where(addresses.c.contact == person.contact)).rowcount
        connection.execute(
            update(contacts)
            .where(contacts.c.contact == person.contact)
            .values(name=None, forgotten_at=func.coalesce(contacts.c.forgotten_at, clock()))
        )
    mentioned = tuple(sorted(set(named) - mails))
    left = not _overwritten(engine)
    log.info(
        "support.forgotten",
        contact=person.contact,
        messages=erased,
        letters=written,
        mentioned=len(mentioned),
    )
    return Forgotten(person.contact, gone, erased, subjects, written, mentioned, left)


def _whose(connection: Connection, person: _Person) -> tuple[set[str], set[int]]:
    """The person's requests and mails. Of a request of theirs also what staff wrote in it."""
    theirs = messages.c.contact == person.contact
    if person.addresses:
        theirs = theirs | func.lower(messages.c.sender).in_(person.addresses)
    written = set(connection.execute(select(messages.c.message).where(theirs)).scalars())
    opened = [f"mail/{number}" for number in written]
    asked: ColumnElement[bool] = tickets.c.contact == person.contact
    mine = set(connection.execute(select(tickets.c.ticket).where(asked)).scalars())
    for some in _portions(opened):
        mine |= set(
            connection.execute(
                select(tickets.c.ticket).where(
                    tickets.c.origin.in_(some),
                    or_(tickets.c.contact.is_(None), tickets.c.contact == person.contact),
                )
            ).scalars()
        )
    for part in _portions(sorted(mine)):
        written |= set(
            connection.execute(
                select(messages.c.message).where(messages.c.ticket.in_(part), messages.c.contact.is_(None))
            ).scalars()
        )
    return mine, written


def _empty(connection: Connection, mails: Iterable[int]) -> int:
    """Empties the mails; how many still held anything."""
    c = messages.c
    columns = (c.message_id, c.sender, c.sender_name, c.subject, c.text)
    empty = and_(*(column.is_(None) for column in columns))
    count = 0
    for some in _portions(sorted(mails)):
        connection.execute(update(raw_messages).where(raw_messages.c.message.in_(some)).values(data=None))
        count += connection.execute(
            update(messages)
            .where(c.message.in_(some), ~empty | (c.reason != _FORGOTTEN))
            .values(dict.fromkeys(columns) | {c.reason: _FORGOTTEN})
        ).rowcount
    return count


def _letters(connection: Connection, person: _Person) -> int:
    """Letters know their contact; those to somebody nobody knew are found by their recipient."""
    if person.addresses:
        connection.execute(
            update(letters)
            .where(letters.c.contact.is_(None), func.lower(letters.c.recipient).in_(person.addresses))
            .values(contact=person.contact)
        )
    count = outbox.forget(connection, letters, person.contact)
    connection.execute(
        update(letters)
        .where(letters.c.contact == person.contact, letters.c.reason.is_not(None))
        .values(reason=_FORGOTTEN)
    )
    return count


def _naming(engine: Engine, wanted: tuple[str, ...]) -> dict[int, str]:
    """The mails in which one of the addresses stands, and their state."""
    if not wanted:
        return {}
    found: dict[int, str] = {}
    sought = [one.encode() for one in wanted]
    c = messages.c
    with reading(engine) as connection:
        rows = connection.execution_options(yield_per=50).execute(
            select(c.message, c.state, c.sender, c.subject, c.text, raw_messages.c.data).outerjoin(
                raw_messages, raw_messages.c.message == c.message
            )
        )
        for row in rows:
            said = "\n".join(filter(None, (row.sender, row.subject, row.text))).lower().encode()
            raw = zlib.decompress(row.data).lower() if row.data else b""
            if any(one in said or one in raw for one in sought):
                found[row.message] = row.state
    return found


def _overwritten(engine: Engine) -> bool:
    """Whether nothing of it is left in the database's file. A SQLite file keeps old bytes in free pages and
    in its write-ahead log: it is written anew, which wants as much room again and holds up writers meanwhile.
    PostgreSQL drops old rows by its own vacuum."""
    if engine.dialect.name != "sqlite":
        return True
    raw = engine.raw_connection()
    try:
        cursor = raw.cursor()
        cursor.execute("VACUUM")
        cursor.execute("PRAGMA busy_timeout=100")  # the loop below is patient by itself
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            busy, *_ = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() or (1,)
            if not busy:
                return True
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.1)
    except Exception as error:  # busy or the disk is full: erased it is, and it can be asked again
        log.warning("support.forgotten.left_on_disk", kind=type(error).__name__)
        return False
    finally:
        raw.invalidate()


def _portions(every: Sequence[T]) -> Iterable[Sequence[T]]:
    return (every[at : at + 500] for at in range(0, len(every), 500))
