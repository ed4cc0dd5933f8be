"""What our staff answer by mail, sent on to whoever asked."""

from __future__ import annotations

from sqlalchemy import Connection

from services.support.correspondence import correspondent, write
from services.support.saying import Nonsense, ticket_of
from services.support.settings import SupportSettings
from services.support.wording import reply_wording
from shared.database import Clock

PURPOSE = "reply"


def send_on(
    connection: Connection, settings: SupportSettings, ticket: str, text: str, key: str, clock: Clock
) -> str:
    """Puts an answer to the request into `letters`, once for each `key`; the letter's id. Raises Nonsense
    where nobody can be written to."""
    row = ticket_of(connection, ticket)
    to = correspondent(connection, row)
    letter = None
    if to is not None:
        written = reply_wording(settings, ticket, text, to.language)
        letter = write(connection, settings, row, to, PURPOSE, key, written, clock)
    if letter is None:
        raise Nonsense(f"nobody is known who can be written to about ticket {ticket}")
    return letter
