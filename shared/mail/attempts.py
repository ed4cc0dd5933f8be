"""What is noted of attempts: a letter is marked before one, and what came of it decides what comes next."""

from __future__ import annotations

from typing import Any

import structlog
from msgspec import Struct
from sqlalchemy import Connection, Table, select, update

from shared.failpoints import reach
from shared.mail.answers import Accepted, InDoubt, Later, Refused, Result
from shared.mail.doubt import Markers, resolve
from shared.mail.letters import MARKER
from shared.time import HOUR, MINUTE, SECOND, Instant

log = structlog.get_logger()


class Sending(Struct, frozen=True):
    """How letters go out. `mail_from` is the envelope sender: where bounces come. `copy_to`: an address
    whose mail arrives in the mailbox the service watches (see `copy_seen`)."""

    mail_from: str
    copy_to: str | None = None
    settle_s: float = 60.0
    """How long a copy may take to arrive after the marker did."""
    marker_again_s: float = 600.0
    """A marker not seen for so long is sent again."""
    give_up_s: float = 5 * 86_400.0
    """How long the relay may say to come later before a letter counts as refused."""
    every_s: float = 0.2
    workers: int = 4


class Taken(Struct, frozen=True):
    """A letter marked `sending`, on its way."""

    id: str
    recipient: str
    data: bytes
    copy_to: str | None
    attempts: int
    deferred_at: int | None


def without_copy(connection: Connection, letters: Table, letter: str) -> None:
    """Notes that the attempt under way names no address of ours: no copy will tell of it."""
    connection.execute(update(letters).where(letters.c.id == letter).values(copy_to=None))


def one_round(
    connection: Connection,
    letters: Table,
    sending: Sending,
    now: Instant,
    ended: list[tuple[Taken, Result]],
    room: int,
    taken: list[Taken],
) -> None:
    """Notes what has ended, resolves doubt and adds up to `room` letters that are due to `taken`: there they
    are found also when the one who waits for them is cancelled."""
    for letter, result in ended:
        _note(connection, letters, sending, letter, result, now)
        reach("mail.letters.noting")
    if sending.copy_to is not None:
        markers = Markers(
            sending.mail_from,
            sending.copy_to,
            int(sending.settle_s * SECOND),
            int(sending.marker_again_s * SECOND),
        )
        for letter_id in resolve(connection, letters, markers, now):
            log.warning("mail.resolved", letter=letter_id, state="waiting")
            reach("mail.letters.resolving")
    if room:
        taken += _take(connection, letters, sending, room, now)
        if taken:
            reach("mail.letters.claiming")


def _take(connection: Connection, letters: Table, sending: Sending, room: int, now: Instant) -> list[Taken]:
    c = letters.c
    due = connection.execute(
        select(c.id, c.purpose, c.recipient, c.data, c.attempts, c.deferred_at)
        .where(c.state == "waiting", c.next_attempt_at <= now)
        .order_by(c.next_attempt_at, c.id)
        .limit(room)
        .with_for_update()
    ).all()
    return [_taken(connection, letters, sending, row) for row in due]


def _taken(connection: Connection, letters: Table, sending: Sending, row: Any) -> Taken:
    copy_to = None if row.purpose == MARKER else sending.copy_to
    noted = {"state": "sending", "attempts": row.attempts + 1, "copy_to": copy_to}
    connection.execute(update(letters).where(letters.c.id == row.id).values(**noted))
    return Taken(row.id, row.recipient, row.data, copy_to, row.attempts + 1, row.deferred_at)


def _note(
    connection: Connection, letters: Table, sending: Sending, letter: Taken, result: Result, now: Instant
) -> None:
    """Only what is still `sending` changes: a copy or a bounce may have told more meanwhile."""
    c = letters.c
    noted = _what_of(sending, letter, result, now)
    mine = (c.id == letter.id) & (c.state == "sending")
    if noted["state"] == "waiting":
        gone = update(letters).where(mine, c.data.is_(None))
        connection.execute(gone.values(state="forgotten", next_attempt_at=None))
    changed = connection.execute(update(letters).where(mine).values(**noted)).rowcount
    log.info("mail.attempt", letter=letter.id, state=noted["state"] if changed else "told otherwise")


def _what_of(sending: Sending, letter: Taken, result: Result, now: Instant) -> dict[str, object]:
    noted: dict[str, object] = {"reason": result.text, "next_attempt_at": None}
    tries = letter.attempts - 1
    match result:
        case Accepted():
            return noted | {"state": "accepted", "sent_at": now}
        case Refused(code, text):
            return noted | {"state": "refused", "reason": f"{code} {text}"}
        case InDoubt():
            if letter.id.startswith(f"{MARKER}/"):
                return noted | {"state": "accepted"}  # its arrival tells, nothing else
            return noted | {"state": "doubtful", "doubted_at": now}
        case Later(None, _, False):
            return noted | {"state": "waiting", "next_attempt_at": now, "attempts": tries}
        case Later(None):
            wait = min(MINUTE, SECOND << min(tries, 10))
            return noted | {"state": "waiting", "next_attempt_at": now + wait}
        case Later(code, text):
            since = letter.deferred_at or now
            if now - since >= sending.give_up_s * SECOND:
                return noted | {"state": "refused", "reason": f"expired: {code} {text}"}
            wait = min(HOUR, MINUTE << min(tries, 10))
            again = {"next_attempt_at": now + wait, "deferred_at": since, "reason": f"{code} {text}"}
            return noted | {"state": "waiting", **again}
