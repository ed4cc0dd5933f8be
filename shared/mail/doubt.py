"""Resolving doubt: did the relay have the letter whose answer we never noted? Our own copy tells.

Every attempt's envelope also names an address of ours. If the copy arrives, the relay had the letter. That
it does not arrive proves nothing by itself: the relay, or the way to the mailbox, may be down. So a marker
is sent the same way. Once it has arrived the way is open; the copy then gets time to settle; and a second
marker, sent after that, shows by arriving that we have read all that arrived before it. Still no copy: the
relay never had the letter, and it goes out again.

What this rests on: within the time to settle, the relay delivers to our mailbox what it had before the
marker. A way that was down for a while gets as long again, for mails the relay put off meanwhile.
"""

from __future__ import annotations

import secrets

from msgspec import Struct
from sqlalchemy import Connection, Table, delete, select, update

from shared.mail.address import domain_of
from shared.mail.composing import Letter, compose, message_id
from shared.mail.letters import MARKER, Outgoing, put
from shared.time import SECOND, Instant


class Markers(Struct, frozen=True):
    """From whom to whom they go, and how long is waited (ms)."""

    mail_from: str
    copy_to: str
    settle_ms: int
    again_ms: int


def doubt_all(connection: Connection, letters: Table, now: Instant) -> int:
    """At the start: nobody is sending, so what is marked so was cut off. How many letters became doubtful."""
    c = letters.c
    markers = update(letters).where(c.state == "sending", c.purpose == MARKER)
    connection.execute(markers.values(state="waiting", next_attempt_at=now))
    cut_off = {"state": "doubtful", "doubted_at": now, "reason": "cut off while it was sent"}
    return connection.execute(update(letters).where(c.state == "sending").values(**cut_off)).rowcount


def resolve(connection: Connection, letters: Table, markers: Markers, now: Instant) -> list[str]:
    """Puts letters back to waiting that the relay never had, and a marker into the outbox if one is needed.

    The ids of the letters put back. A letter sent without a copy stays doubtful: a person decides; so does
    one of which a copy was seen before, an earlier sending's.
    """
    c = letters.c
    doubtful = connection.execute(
        select(c.id, c.doubted_at, c.data.is_(None).label("forgotten")).where(
            c.state == "doubtful", c.copy_to == markers.copy_to, c.copy_seen_at.is_(None), c.purpose != MARKER
        )
    ).all()
    if not doubtful:
        ended = delete(letters).where(c.purpose == MARKER, c.state.not_in(("waiting", "sending")))
        connection.execute(ended)
        return []
    sent = [
        (row.created_at, row.copy_seen_at, row.state in ("waiting", "sending"))
        for row in connection.execute(
            select(c.created_at, c.copy_seen_at, c.state).where(
                c.purpose == MARKER, c.recipient == markers.copy_to
            )
        )
    ]
    resolved = []
    for letter in doubtful:
        since = _marker_since(letter.doubted_at, sent, markers.settle_ms)
        if since is None:
            state = "forgotten" if letter.forgotten else "waiting"
            noted = {"state": state, "next_attempt_at": now, "reason": "the relay never had it"}
            connection.execute(update(letters).where(c.id == letter.id).values(**noted))
            resolved.append(letter.id)
        elif now >= since and not any(
            made >= since and seen is None and (due or now - made < markers.again_ms)
            for made, seen, due in sent
        ):
            put(connection, letters, _marker(markers, now), lambda: now)
            sent.append((now, None, True))
    return resolved


def _marker_since(doubted: int, sent: list[tuple[int, int | None, bool]], settle_ms: int) -> int | None:
    """From when on a marker must have been made to tell more; None: all is told, and there is no copy."""
    arrived = [(seen, made) for made, seen, _ in sent if made >= doubted and seen is not None]
    if not arrived:
        return doubted
    seen, made = min(arrived)
    settled = seen + max(settle_ms, seen - made)
    return None if any(made >= settled for _, made in arrived) else settled


def _marker(markers: Markers, now: Instant) -> Outgoing:
    # Its id is nobody's guess: a forged marker would tell that the way is open when it is not.
    key = secrets.token_hex(16)
    letter = Letter(
        message_id=message_id(MARKER, key, domain_of(markers.mail_from)),
        sender_name="",
        sender=markers.mail_from,
        to_name="",
        to=markers.copy_to,
        subject="Marker",
        text="Garant sent this to itself to see whether its mail arrives. It can be deleted.",
        date_ms=now // SECOND * SECOND,
        headers=(("Auto-Submitted", "auto-generated"),),
    )
    return Outgoing(f"{MARKER}/{key}", MARKER, markers.copy_to, letter.message_id, compose(letter))
