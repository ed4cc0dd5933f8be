"""The mailbox, watched: on PostgreSQL by one instance at a time, the others wait for its lock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog
from sqlalchemy import Engine

from services.support.filing import position
from services.support.settings import SupportSettings
from services.support.taking import take
from shared.database import WATCHING, Clock, reading
from shared.leading import leading
from shared.mail.mailbox import Delivery, State, watching

log = structlog.get_logger()

_STANDBY_S = 2.0


def mailbox_name(settings: SupportSettings) -> str:
    """How the mailbox is called in the database."""
    return f"{settings.imap_user or settings.address}@{settings.imap_host}/{settings.imap_folder}"[:300]


async def watch_mailbox(
    engine: Engine,
    settings: SupportSettings,
    clock: Clock,
    state: State,
    go: asyncio.Event,
    progress: Callable[[], None],
) -> None:
    """Takes in what comes to the mailbox, for ever, once `go` is set and it is this instance's turn. The
    server may be away. Raises what the database raises."""
    name, mailbox = mailbox_name(settings), settings.mailbox(settings.max_message_bytes)
    if mailbox is None:
        return

    def reached(uidvalidity: int) -> int:
        with reading(engine) as connection:
            return position(connection, name, uidvalidity)

    def put_away(deliveries: Sequence[Delivery]) -> None:
        take(engine, settings, name, deliveries, clock)

    def standing_by() -> None:
        state.elsewhere = True
        progress()

    await go.wait()
    async with leading(engine, WATCHING, _STANDBY_S, standing_by):
        state.elsewhere = False
        log.info("support.mailbox.watching", mailbox=name)
        # Should the lock's connection break, another instance watches too: what both take is taken once.
        await watching(mailbox, reached, put_away, state)


def mailbox_wrong(settings: SupportSettings, state: State, *, watched: bool) -> list[str]:
    """What keeps mail from being taken in or believed, for /ready and the work list.

    Nothing where another instance watches: a new one has to be ready before the old one is stopped.
    """
    wrong = []
    if settings.imap_host and watched and not (state.connected or state.elsewhere):
        wrong.append(f"the mailbox cannot be read: {state.error or 'connecting'}")
    if not settings.authserv_id and (settings.imap_host or settings.smtp_in_port or settings.lmtp_in_port):
        wrong.append(
            "every mail waits in quarantine: GARANT_SUPPORT_AUTHSERV_ID does not say how our mail server "
            "signs what it verified"
        )
    return wrong
