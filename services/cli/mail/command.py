"""`garant mailbox`: the local mail server in the foreground."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from services.cli.mail.app import serve_mailbox
from services.cli.mail.settings import MailboxSettings
from shared import logs
from shared.settings import HomeSettings


def mailbox(
    test_rules: Annotated[Path | None, typer.Option(hidden=True, help="What tests want refused.")] = None,
) -> None:
    """Run a mail server (SMTP and IMAP) on loopback until Ctrl-C; passwords are in GARANT_HOME/mail/users."""
    logs.configure()
    asyncio.run(serve_mailbox(MailboxSettings(), HomeSettings().home.absolute() / "mail", test_rules))
