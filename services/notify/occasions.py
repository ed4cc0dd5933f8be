"""Occasions: what there is to write about, noted once; what becomes of them until their letters left."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from hashlib import sha256
from typing import Literal

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from services.notify.tables import letters, occasions, written
from shared.time import Instant

Kind = Literal["quota", "at-risk", "missed", "terms"]
State = Literal["open", "no address", "written", "overtaken", "history"]

FOR_STAFF: tuple[Kind, ...] = ("at-risk", "missed")
FOR_CUSTOMERS: tuple[Kind, ...] = ("quota", "terms")
WAITING: tuple[State, ...] = ("open", "no address")

_PLAIN = re.compile(r"[A-Za-z0-9._:-]{1,60}")


class Crossed(Struct, frozen=True):
    """Thresholds (percent of the quota) that one journal entry crossed."""

    year_starts_on: date
    percents: tuple[int, ...]


class Due(Struct, frozen=True):
    """The due (ms) a first response is at risk of, or missed."""

    due_at: int


class Published(Struct, frozen=True):
    """Terms to tell of."""

    version: str
    effective_on: date


class Occasion(Struct, frozen=True):
    """Something to write about. `id` is the same whenever it is the same thing; `next_at` (ms): its time."""

    id: str
    kind: Kind
    account: str
    subscription: str | None
    ticket: str | None
    about: Crossed | Due | Published
    journal_offset: int
    recorded_at: Instant
    next_at: int


def named(*parts: object) -> str:
    """An id of `parts`, readable where they are plain; what is long or has other characters is hashed."""
    texts = [str(part) for part in parts]
    return "/".join(
        text if _PLAIN.fullmatch(text) else "~" + sha256(text.encode()).hexdigest()[:32] for text in texts
    )


def note(connection: Connection, occasion: Occasion, now: Instant, *, history: bool) -> bool:
    """Notes the occasion; False where it is noted already, and nothing changes."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(occasions).values(
        occasion=occasion.id,
        kind=occasion.kind,
        account=occasion.account,
        subscription=occasion.subscription,
        ticket=occasion.ticket,
        about=msgspec.json.encode(occasion.about).decode(),
        journal_offset=occasion.journal_offset,
        recorded_at=occasion.recorded_at,
        taken_at=now,
        state="history" if history else "open",
        next_at=occasion.next_at,
        reason="from before notify began" if history else "",
    )
    new = statement.on_conflict_do_nothing(index_elements=["occasion"]).returning(occasions.c.occasion)
    return connection.execute(new).one_or_none() is not None


def crossed_too(connection: Connection, occasion: str, percent: int) -> bool:
    """Adds a threshold to a quota warning that still waits; False once its letters are written."""
    row = connection.execute(
        select(occasions.c.about, occasions.c.state).where(occasions.c.occasion == occasion).with_for_update()
    ).one()
    if row.state not in WAITING:
        return False
    about = msgspec.json.decode(row.about, type=Crossed)
    percents = tuple(sorted({*about.percents, percent}))
    grown = msgspec.json.encode(Crossed(about.year_starts_on, percents)).decode()
    connection.execute(update(occasions).where(occasions.c.occasion == occasion).values(about=grown))
    return True


def settled(connection: Connection, account: str, journal_offset: int, now: Instant) -> None:
    """A record of a later journal entry was seen: what earlier ones crossed is complete."""
    c = occasions.c
    earlier = (c.kind == "quota") & (c.account == account) & (c.journal_offset < journal_offset)
    statement = update(occasions).where(earlier, c.state == "open", c.next_at > now).values(next_at=now)
    connection.execute(statement)


def overtake(connection: Connection, occasion: str, reason: str) -> int:
    """Something happened that makes the occasion's letters pointless: those the relay does not have are not
    sent. How many that were; what has left stays."""
    c = occasions.c
    state = connection.execute(select(c.state).where(c.occasion == occasion).with_for_update()).scalar_one()
    if state in WAITING:
        _set(connection, occasion, "overtaken", reason)
        return 0
    of_it = select(written.c.letter).where(written.c.occasion == occasion)
    unsent = delete(letters).where(letters.c.id.in_(of_it), letters.c.state == "waiting")
    taken_back = connection.execute(unsent).rowcount
    left = connection.execute(select(letters.c.id).where(letters.c.id.in_(of_it)).limit(1)).one_or_none()
    if taken_back and left is None:
        _set(connection, occasion, "overtaken", reason)
    return taken_back


def put_off(connection: Connection, occasion: str, state: State, reason: str, next_at: int) -> None:
    """The occasion cannot be written about yet; `reason` says why, `next_at` (ms) when to try again."""
    _set(connection, occasion, state, reason, next_at)


def done(connection: Connection, occasion: str, letter_ids: Iterable[str]) -> None:
    """The occasion's letters are in the outbox."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    for letter in letter_ids:
        statement = insert(written).values(letter=letter, occasion=occasion)
        connection.execute(statement.on_conflict_do_nothing())
    _set(connection, occasion, "written", "")


def _set(
    connection: Connection, occasion: str, state: State, reason: str, next_at: int | None = None
) -> None:
    values: dict[str, object] = {"state": state, "reason": reason}
    if next_at is not None:
        values["next_at"] = next_at
    connection.execute(update(occasions).where(occasions.c.occasion == occasion).values(**values))
