"""Our own mailbox: copies of our letters, and bounces. Everything else in it is left alone, and counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog
from sqlalchemy import Connection, Engine, select
from sqlalchemy.dialects import postgresql, sqlite

from services.notify import metrics
from services.notify.tables import letters, mailbox_positions
from shared.database import WATCHING, Clock, reading, writing
from shared.failpoints import reach
from shared.leading import leading
from shared.mail.bounces import bounce_of
from shared.mail.composing import own_message_id
from shared.mail.letters import bounced, copy_seen
from shared.mail.mailbox import Delivery, Mailbox, State, watching
from shared.mail.reading import read

log = structlog.get_logger()

_STAND_BY_S = 2.0


async def watch_own(
    engine: Engine,
    mailbox: Mailbox,
    address: str,
    domain: str,
    clock: Clock,
    state: State,
    progress: Callable[[], None],
) -> None:
    """Watches for ever; on PostgreSQL one instance at a time, the others stand by. `address` is ours and
    `domain` the one of our Message-IDs."""
    name = f"{mailbox.user}@{mailbox.host}/{mailbox.folder}"[:400]

    def position(uidvalidity: int) -> int:
        c = mailbox_positions.c
        with reading(engine) as connection:
            uid = connection.execute(
                select(c.uid).where(c.mailbox == name, c.uidvalidity == uidvalidity)
            ).scalar_one_or_none()
        return uid or 0

    def take(found: Sequence[Delivery]) -> None:
        with writing(engine) as connection:
            for delivery in found:
                take_mail(connection, delivery.raw, address, domain, clock)
            reach("notify.mail.noting")
            _move(connection, name, found[-1])

    async with leading(engine, WATCHING, _STAND_BY_S, progress):
        await watching(mailbox, position, take, state)


def take_mail(connection: Connection, raw: bytes, address: str, domain: str, clock: Clock) -> str:
    """Notes what one mail in our mailbox tells of our letters: "copy", "bounce" or "other"."""
    kind = _kind(connection, raw, address, domain, clock)
    metrics.MAIL.labels(kind).inc()
    return kind


def _kind(connection: Connection, raw: bytes, address: str, domain: str, clock: Clock) -> str:
    said = read(raw, own_domain=domain)
    own = said.message_id if said.message_id and own_message_id(said.message_id, domain) else None
    if own is not None and copy_seen(connection, letters, own, clock):
        return "copy"
    bounce = bounce_of(raw, ignoring=(address,))
    if bounce is None:
        return "other"
    letter = bounced(connection, letters, bounce, clock)
    if letter is None:
        return "other"
    log.warning("letter.bounced", letter=letter, status=bounce.status, permanent=bounce.permanent)
    return "bounce"


def _move(connection: Connection, name: str, last: Delivery) -> None:
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(mailbox_positions).values(mailbox=name, uidvalidity=last.uidvalidity, uid=last.uid)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["mailbox", "uidvalidity"],
            set_={"uid": last.uid},
            where=mailbox_positions.c.uid < last.uid,
        )
    )
