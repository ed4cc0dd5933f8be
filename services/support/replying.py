"""A person's answer by mail: a letter to who asked, and the fact that the first response was given."""

from __future__ import annotations

from hashlib import sha256

from sqlalchemy import Connection, select

from services.support.acting import locked, respond
from services.support.correspondence import correspondent
from services.support.replies import PURPOSE, send_on
from services.support.saying import Contradiction, Nonsense
from services.support.settings import SupportSettings
from services.support.tables import letters
from shared.database import Clock


def reply(
    connection: Connection,
    settings: SupportSettings,
    ticket: str,
    text: str,
    clock: Clock,
    key: str | None = None,
) -> bool:
    """Mails `text` to who asked and states the response; returns whether there was anything new.

    It is stated at the instant the person said it: the letter is in the outbox then, which gives it to the
    relay exactly once, and the customer did not wait for a person while our relay was away. A letter that is
    refused or bounces later is on the work list; the response stays stated, as it would on paper.

    The same text without a key goes out once: it is a page sent twice. Under a new key it goes out again.
    Raises Contradiction for a key used with another text, Nonsense where nobody can be written to.
    """
    row = locked(connection, ticket)
    said = _digest(text)
    place = f"{_digest(key)}.{said}" if key is not None else said
    prefix = f"ticket/{ticket}/{PURPOSE}/"
    known = set(
        connection.execute(
            select(letters.c.id).where(letters.c.id.startswith(prefix, autoescape=True))
        ).scalars()
    )
    if prefix + place in known:
        return False
    if key is not None and any(one.startswith(f"{prefix}{_digest(key)}.") for one in known):
        raise Contradiction(f"idempotency key {key!r} was used for another text; choose a new one")
    if correspondent(connection, row) is None:
        raise Nonsense(
            f"nobody is known to write to about ticket {ticket} (no contact, or forgotten): answer another "
            "way and state the response without a text"
        )
    send_on(connection, settings, ticket, text, place, clock)
    respond(connection, ticket, None, clock, key)
    return True


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:24]
