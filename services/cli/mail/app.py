"""The local mail server as one process: SMTP, IMAP and its health."""

from __future__ import annotations

import asyncio
from pathlib import Path

import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from services.cli.mail.imap import Imap
from services.cli.mail.mailboxes import Writer
from services.cli.mail.settings import MailboxSettings
from services.cli.mail.smtp import Handler
from services.cli.mail.store import Store
from services.cli.mail.users import ensure_users
from shared.health import check_port, serve

_log = structlog.get_logger()


async def serve_mailbox(settings: MailboxSettings, data: Path, rules: Path | None = None) -> None:
    """Serves the mailboxes in `data` until SIGINT or SIGTERM. Raises PortTaken, MailboxesInUse,
    UsersUnreadable."""
    for port, name in (
        (settings.smtp_port, "SMTP"),
        (settings.imap_port, "IMAP"),
        (settings.http_port, "HTTP"),
    ):
        check_port(settings.host, port, f"GARANT_MAILBOX_{name}_PORT")
    users = _users(settings, data)
    store = Store(data / "mailboxes.sqlite")
    try:
        imap = Imap(users, Writer(store), settings.authserv_id)
        handler = Handler(imap, settings, data, rules)
        smtp = await asyncio.get_running_loop().create_server(
            handler.server, settings.host, settings.smtp_port
        )
        async with smtp, await imap.listen(settings.host, settings.imap_port):
            _log.info("mailbox ready", smtp=settings.smtp_port, imap=settings.imap_port, users=len(users))
            await serve(_health(handler), settings.host, settings.http_port)
    finally:
        store.close()


def _users(settings: MailboxSettings, data: Path) -> dict[str, str]:
    if given := settings.password.get_secret_value():
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        return dict.fromkeys(settings.addresses, given)
    return ensure_users(data / "users", settings.addresses)


def _health(handler: Handler) -> Starlette:
    """/live while its loop turns; /ready is 503 while mail finds no room on the disk."""

    async def live(_: Request) -> Response:
        return JSONResponse({"ok": True})

    async def ready(_: Request) -> Response:
        return JSONResponse({"ok": not handler.full}, 503 if handler.full else 200)

    return Starlette(routes=[Route("/live", live), Route("/ready", ready)])
