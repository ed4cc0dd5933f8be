"""The rows of support, notify and, unless they are told of real mailboxes, the local mail server they use."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from services.cli.local.ports import HOST
from services.cli.mail.settings import MailboxSettings
from services.cli.mail.users import ensure_users
from services.cli.up.settings import UpSettings
from services.cli.up.supervisor import Child

SUPPORT = "support@garant.example"
LETTERS = "letters@garant.example"
STAFF = "staff@garant.example"
_REAL = ("GARANT_SUPPORT_IMAP_HOST", "GARANT_NOTIFY_SMTP_HOST")
"""Set by someone who has a mailbox and a relay: then no local mail server is run."""


def mail_children(garant: str, home: Path, settings: UpSettings) -> tuple[Child, ...]:
    """The rows, in the order of their start. Makes the local mailboxes' passwords in `home`/mail/users."""
    support: dict[str, str] = {"GARANT_SUPPORT_PORT": str(settings.support_port)}
    notify = {
        "GARANT_NOTIFY_PORT": str(settings.notify_port),
        "GARANT_NOTIFY_SUPPORT_URL": f"http://{HOST}:{settings.support_port}",
    }
    rows: list[Child] = []
    if not any(os.environ.get(name) for name in _REAL):
        mailbox = MailboxSettings()
        users = ensure_users(home / "mail" / "users", mailbox.addresses)
        rows.append(_mailbox(garant, settings))
        support |= _box("SUPPORT", SUPPORT, users, settings) | {
            "GARANT_SUPPORT_AUTHSERV_ID": mailbox.authserv_id,
            "GARANT_SUPPORT_STAFF": STAFF,
        }
        notify |= _box("NOTIFY", LETTERS, users, settings) | {
            "GARANT_NOTIFY_STAFF": STAFF,
            "GARANT_NOTIFY_STAFF_LANGUAGE": "en",
            "GARANT_NOTIFY_DESK_URL": f"http://{HOST}:{settings.support_port}/",
        }
    rows.append(_service(garant, "support", settings.support_port, support))
    rows.append(_service(garant, "notify", settings.notify_port, notify))
    return tuple(rows)


def _mailbox(garant: str, settings: UpSettings) -> Child:
    smtp, imap, http = settings.smtp_port, settings.imap_port, settings.mailbox_port
    return Child(
        "mailbox",
        (garant, "mailbox"),
        f"http://{HOST}:{http}/ready",
        {smtp: "GARANT_UP_SMTP_PORT", imap: "GARANT_UP_IMAP_PORT", http: "GARANT_UP_MAILBOX_PORT"},
        {
            "GARANT_MAILBOX_SMTP_PORT": str(smtp),
            "GARANT_MAILBOX_IMAP_PORT": str(imap),
            "GARANT_MAILBOX_HTTP_PORT": str(http),
        },
    )


def _box(service: str, address: str, users: Mapping[str, str], settings: UpSettings) -> dict[str, str]:
    """What a service is told of its local mailbox and of the relay it sends through."""
    told = {
        "ADDRESS": address,
        "IMAP_HOST": HOST,
        "IMAP_PORT": str(settings.imap_port),
        "IMAP_USER": address,
        "IMAP_PASSWORD": users[address],
        "IMAP_TLS": "none",
        "SMTP_HOST": HOST,
        "SMTP_PORT": str(settings.smtp_port),
        "SMTP_USER": address,
        "SMTP_PASSWORD": users[address],
        "SETTLE_S": "5",
    }
    return {f"GARANT_{service}_{name}": value for name, value in told.items()}


def _service(garant: str, name: str, port: int, env: Mapping[str, str]) -> Child:
    argv = (garant, name, "serve")
    return Child(name, argv, f"http://{HOST}:{port}/ready", {port: f"GARANT_UP_{name.upper()}_PORT"}, env)
