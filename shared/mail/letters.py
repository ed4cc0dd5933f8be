"""The table of letters that go out, and what is noted in it by those who write, watch and decide."""

from __future__ import annotations

from typing import Any, Literal, get_args

from msgspec import Struct
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    func,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from shared.database import Clock
from shared.failpoints import reach
from shared.mail.bounces import Bounce
from shared.time import Instant

Standing = Literal["waiting", "sending", "accepted", "refused", "bounced", "doubtful", "forgotten"]
"""Values of the column `state`."""

MARKER = "marker"
"""The kind of Message-ID, and the purpose, of mails we send to ourselves to resolve doubt."""


class Outgoing(Struct, frozen=True):
    """A letter to put into the outbox. `id` says what it is about and is the same whenever that is
    (`ticket/T-1/acknowledgement`); `contact` is whose data it holds; `data` is what `compose` gave."""

    id: str
    purpose: str
    recipient: str
    message_id: str
    data: bytes
    contact: str | None = None


class Listed(Struct, frozen=True):
    """A letter as shown to a person; instants in ms."""

    id: str
    purpose: str
    contact: str | None
    recipient: str | None
    message_id: str
    state: Standing
    attempts: int
    next_attempt_at: Instant | None
    created_at: Instant
    sent_at: Instant | None
    reason: str | None
    copy_seen_at: Instant | None
    bounced_at: Instant | None


def letters_table(metadata: MetaData, name: str = "letters") -> Table:
    """The table of the outbox, for the service's `metadata` and its migration (`Table.create`).

    `copy_to` is the address the current attempt also named, NULL if the relay was told of none: no copy of
    it will be seen. `deferred_at` is when the relay first said to come later, `doubted_at` when the letter
    became doubtful.
    """
    return Table(
        name,
        metadata,
        Column("id", String(300), primary_key=True),
        Column("purpose", String(50), nullable=False, index=True),
        Column("contact", String(200), index=True),
        Column("recipient", String(254)),
        Column("message_id", String(320), nullable=False, unique=True),
        Column("data", LargeBinary),
        Column("state", String(20), nullable=False),
        Column("attempts", Integer, nullable=False, default=0),
        Column("next_attempt_at", BigInteger),
        Column("created_at", BigInteger, nullable=False),
        Column("sent_at", BigInteger),
        Column("reason", Text),
        Column("copy_to", String(254)),
        Column("copy_seen_at", BigInteger),
        Column("bounced_at", BigInteger),
        Column("deferred_at", BigInteger),
        Column("doubted_at", BigInteger),
        Index(f"{name}_due", "state", "next_attempt_at"),
    )


def put(connection: Connection, letters: Table, letter: Outgoing, clock: Clock) -> bool:
    """Puts a letter into the outbox, in the caller's transaction. False: its id is there already, and
    nothing changes. Raises IntegrityError if another letter has its Message-ID."""
    now = clock()
    values = {
        **{name: getattr(letter, name) for name in Outgoing.__struct_fields__},
        **{"state": "waiting", "attempts": 0, "next_attempt_at": now, "created_at": now},
    }
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(letters).values(**values).on_conflict_do_nothing(index_elements=["id"])
    return connection.execute(statement.returning(letters.c.id)).one_or_none() is not None


def copy_seen(connection: Connection, letters: Table, message_id: str, clock: Clock) -> bool:
    """Notes that our own copy arrived, so the relay had the letter. Whether it is a letter or marker of ours.

    The mailbox watcher calls it for every mail whose Message-ID is our own, before anything else.
    """
    c = letters.c
    row = connection.execute(
        select(c.id, c.purpose, c.state, c.attempts, c.copy_seen_at)
        .where(c.message_id == message_id)
        .with_for_update()
    ).one_or_none()
    if row is None:
        return False
    # What nobody tried to send yet cannot have been had: such a "copy" is forged. A copy seen before is an
    # earlier sending's, read again: it says nothing of a later one.
    if row.copy_seen_at is not None or row.attempts == 0:
        return True
    now = clock()
    noted: dict[str, object] = {"copy_seen_at": now}
    if row.state in ("sending", "doubtful", "waiting", "refused") and row.purpose != MARKER:
        noted |= {"state": "accepted", "sent_at": now, "reason": "our copy arrived", "next_attempt_at": None}
    connection.execute(update(letters).where(c.id == row.id).values(**noted))
    reach("mail.letters.copy-seen")
    return True


def bounced(connection: Connection, letters: Table, bounce: Bounce, clock: Clock) -> str | None:
    """Notes a bounce; the letter's id, None if it is about no letter of ours. A delay changes no state."""
    c = letters.c
    row = connection.execute(
        select(c.id, c.state, c.attempts)
        .where(c.message_id == bounce.message_id, c.purpose != MARKER)
        .with_for_update()
    ).one_or_none()
    if row is None or row.attempts == 0:
        return None
    reason = f"{bounce.status} {bounce.diagnostic}".strip()
    noted: dict[str, object] = {"reason": reason if bounce.permanent else f"delayed: {reason}"}
    if bounce.permanent and row.state != "forgotten":
        noted |= {"state": "bounced", "bounced_at": clock(), "next_attempt_at": None}
    connection.execute(update(letters).where(c.id == row.id).values(**noted))
    return str(row.id)


def forget(connection: Connection, letters: Table, contact: str) -> int:
    """Erases recipient and text of the contact's letters; those waiting are not sent. How many it were."""
    c = letters.c
    his = (c.contact == contact) & (c.data.is_not(None) | c.recipient.is_not(None))
    waiting = update(letters).where(his, c.state == "waiting")
    connection.execute(waiting.values(state="forgotten", next_attempt_at=None))
    return connection.execute(update(letters).where(his).values(recipient=None, data=None)).rowcount


def resend(connection: Connection, letters: Table, letter: str, clock: Clock) -> bool:
    """A person decides: a doubtful, refused or bounced letter goes out (again). False: it cannot."""
    c = letters.c
    able = (c.state.in_(("doubtful", "refused", "bounced"))) & c.data.is_not(None) & (c.purpose != MARKER)
    again = {"state": "waiting", "next_attempt_at": clock(), "deferred_at": None, "doubted_at": None}
    statement = update(letters).where(c.id == letter, able).values(**again, reason="sent again by a person")
    return connection.execute(statement).rowcount == 1


def mark_accepted(connection: Connection, letters: Table, letter: str, clock: Clock) -> bool:
    """A person decides: the relay had this doubtful letter. False: it is not in doubt."""
    c = letters.c
    noted = {"state": "accepted", "sent_at": clock(), "reason": "accepted, a person says"}
    statement = update(letters).where(c.id == letter, c.state == "doubtful").values(**noted)
    return connection.execute(statement).rowcount == 1


def counts(connection: Connection, letters: Table) -> dict[Standing, int]:
    """How many letters are in each state, all states named; markers are not counted."""
    c = letters.c
    found = connection.execute(
        select(c.state, func.count()).where(c.purpose != MARKER).group_by(c.state)
    ).all()
    return dict.fromkeys(get_args(Standing), 0) | dict(found)


def listing(
    connection: Connection, letters: Table, state: Standing | None = None, limit: int = 100
) -> list[Listed]:
    """Letters, the newest first; of one state if named."""
    c = letters.c
    chosen = select(*(c[name] for name in Listed.__struct_fields__)).where(c.purpose != MARKER)
    chosen = chosen if state is None else chosen.where(c.state == state)
    rows = connection.execute(chosen.order_by(c.created_at.desc(), c.id.desc()).limit(limit))
    return [_listed(row) for row in rows]


def _listed(row: Any) -> Listed:
    found = {name: getattr(row, name) for name in Listed.__struct_fields__}
    instants = {name: Instant(at) for name, at in found.items() if name.endswith("_at") and at is not None}
    return Listed(**(found | instants))
