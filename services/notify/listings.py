"""What notify tells people: its letters, what waits to be written, and how many of each."""

from __future__ import annotations

from typing import Any, get_args

from msgspec import Struct
from sqlalchemy import Connection, Row, func, select

from services.notify.occasions import WAITING, State
from services.notify.tables import letters, occasions, written
from shared.mail.letters import MARKER, Standing, counts
from shared.mail.reading import read
from shared.time import Instant


class Unknown(LookupError):
    """No such letter or contact."""


class ShownLetter(Struct, frozen=True):
    """A letter without its text; instants in ms. A bulletin is of no account: an empty one."""

    letter: str
    kind: str
    account: str
    subscription: str | None
    ticket: str | None
    contact: str | None
    recipient: str | None
    state: Standing
    attempts: int
    created_at: Instant
    sent_at: Instant | None
    next_attempt_at: Instant | None
    copy_seen_at: Instant | None
    bounced_at: Instant | None
    reason: str | None


class ShownOccasion(Struct, frozen=True):
    """Something to write about whose letters are not written; instants in ms."""

    occasion: str
    kind: str
    account: str
    subscription: str | None
    ticket: str | None
    state: State
    recorded_at: Instant
    next_at: Instant
    reason: str


_columns = [
    letters.c.id.label("letter"),
    letters.c.purpose.label("kind"),
    func.coalesce(occasions.c.account, "").label("account"),
    *(occasions.c[name] for name in ("subscription", "ticket")),
    *(letters.c[name] for name in ShownLetter.__struct_fields__[5:]),
]
_shown = (
    select(*_columns)
    .outerjoin(written, written.c.letter == letters.c.id)
    .outerjoin(occasions, occasions.c.occasion == written.c.occasion)
    .where(letters.c.purpose != MARKER)
)


def letters_listed(
    connection: Connection, state: Standing | None, account: str | None, limit: int
) -> list[ShownLetter]:
    """Letters, the newest first; of one state, of one account."""
    query = _shown
    if state is not None:
        query = query.where(letters.c.state == state)
    if account is not None:
        query = query.where(occasions.c.account == account)
    rows = connection.execute(query.order_by(letters.c.created_at.desc(), letters.c.id).limit(limit))
    return [_letter(row) for row in rows]


def letter_of(connection: Connection, letter: str) -> tuple[ShownLetter, str | None, str | None]:
    """The letter, its subject and its plain text; both None where they were erased. Raises Unknown."""
    row = connection.execute(_shown.where(letters.c.id == letter)).one_or_none()
    if row is None:
        raise Unknown(f"no letter {letter}; `garant notify letters` lists them")
    data = connection.execute(select(letters.c.data).where(letters.c.id == letter)).scalar_one()
    if data is None:
        return _letter(row), None, None
    said = read(data)
    return _letter(row), said.subject, said.text


def waiting_listed(connection: Connection, limit: int) -> list[ShownOccasion]:
    """What waits to be written, the oldest first."""
    c = occasions.c
    columns = [c[name] for name in ShownOccasion.__struct_fields__]
    rows = connection.execute(
        select(*columns).where(c.state.in_(WAITING)).order_by(c.recorded_at, c.occasion).limit(limit)
    )
    return [
        ShownOccasion(
            **{
                **row._mapping,
                "recorded_at": Instant(row.recorded_at),
                "next_at": Instant(row.next_at),
            }
        )
        for row in rows
    ]


def standing(connection: Connection, now: Instant) -> tuple[dict[Standing, int], dict[str, int], float]:
    """Letters by state, unwritten occasions by state, and the age (s) of the oldest letter that waits."""
    c = occasions.c
    unwritten = dict.fromkeys(WAITING, 0) | {
        row.state: row.number
        for row in connection.execute(
            select(c.state, func.count().label("number")).where(c.state.in_(WAITING)).group_by(c.state)
        )
    }
    oldest = connection.execute(
        select(func.min(letters.c.created_at)).where(
            letters.c.state == "waiting", letters.c.purpose != MARKER
        )
    ).scalar_one()
    age = 0.0 if oldest is None else max(0, now - oldest) / 1_000
    return counts(connection, letters), dict(unwritten), age


def _letter(row: Row[Any]) -> ShownLetter:
    found = dict(row._mapping)
    for name in ("created_at", "sent_at", "next_attempt_at", "copy_seen_at", "bounced_at"):
        found[name] = None if found[name] is None else Instant(found[name])
    return ShownLetter(**found)


STATES: tuple[Standing, ...] = get_args(Standing)
