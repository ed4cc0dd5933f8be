"""Two instances of support on one database: one watches the mailbox, the other is ready and waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from services.cli.local.ports import free_port
from services.support.mail_in import mailbox_wrong, watch_mailbox
from shared.mail.mailbox import State
from tests.core.billing_books import SetClock
from tests.core.support_mail import empty_desk, settings


async def until(met: Callable[[], bool]) -> None:
    while not met():  # noqa: ASYNC110 - nothing tells when a state changes
        await asyncio.sleep(0.05)


async def test_an_instance_that_waits_while_another_watches_the_mailbox_is_ready(tmp_path: Path) -> None:
    """Else a rolling update never ends: the new one would wait for the old one, and be waited for."""
    desk = settings(imap_host="127.0.0.1", imap_port=free_port(), imap_tls="none", imap_user="nobody")
    go, first, second = asyncio.Event(), State(), State()
    go.set()
    with empty_desk("postgresql", tmp_path) as engine:
        watching = asyncio.create_task(
            watch_mailbox(engine, desk, SetClock(), first, go, lambda: None), name="first"
        )
        await until(lambda: first.error is not None)  # it has its turn, and there is no server
        waiting = asyncio.create_task(
            watch_mailbox(engine, desk, SetClock(), second, go, lambda: None), name="second"
        )
        await until(lambda: second.elsewhere)
        assert mailbox_wrong(desk, second, watched=True) == []
        assert "cannot be read" in mailbox_wrong(desk, first, watched=True)[0]
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await until(lambda: not second.elsewhere)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
