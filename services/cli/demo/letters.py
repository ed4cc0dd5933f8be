"""`garant demo write` and `garant demo inbox`: the demonstration's customer writes to support over SMTP, and
reads what came back over IMAP, as any mail program would."""

from __future__ import annotations

import smtplib
import time
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from pathlib import Path

from imapclient import IMAPClient
from rich.console import Console
from rich.text import Text

from services.cli.demo.installation import Installation, Mail, installation
from services.cli.demo.start import CUSTOMER
from services.cli.up.mail_children import SUPPORT
from shared.errors import NeedsAPerson

_PATIENCE_S = 30


class NoMailbox(NeedsAPerson):
    """Nobody of that address has a mailbox here, or no local mail server runs."""


def write(home: Path, console: Console, subject: str, text: str) -> None:
    """Sends a mail from the customer to support, and waits for what comes back. Raises NeedsAPerson."""
    where = installation(home)
    server = _server(where)
    before = len(_received(server, CUSTOMER))
    mail = EmailMessage(policy=policy.SMTP)
    mail["From"], mail["To"], mail["Subject"] = f"Anna Keller <{CUSTOMER}>", SUPPORT, subject
    mail["Date"], mail["Message-ID"] = format_datetime(datetime.now(UTC)), make_msgid(domain="demo.example")
    mail.set_content(text)
    with smtplib.SMTP(server.host, server.smtp, local_hostname="demo.example", timeout=_PATIENCE_S) as client:
        client.login(CUSTOMER, server.users[CUSTOMER])
        client.send_message(mail)
    console.print(f"sent: {CUSTOMER} to {SUPPORT}", highlight=False)
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        if len(found := _received(server, CUSTOMER)) > before:
            _print(console, found[-1])
            return
        time.sleep(0.2)
    console.print(f"no answer came within {_PATIENCE_S} s; see {where.see} and `garant desk`")


def inbox(home: Path, console: Console, address: str) -> None:
    """Prints every mail in a mailbox of the local mail server, the latest last. Raises NeedsAPerson."""
    found = _received(_server(installation(home)), address)
    for raw in found:
        _print(console, raw)
    console.print(f"{len(found)} in {address}" if found else f"nothing in {address}", highlight=False)


def _server(where: Installation) -> Mail:
    if where.mail is None:
        raise NoMailbox("No local mail server runs here: support and notify use mailboxes of your own.")
    return where.mail


def _received(server: Mail, address: str) -> list[bytes]:
    if address not in server.users:
        raise NoMailbox(f"{address} has no mailbox here; there are {', '.join(sorted(server.users))}")
    with IMAPClient(server.host, server.imap, ssl=False, timeout=_PATIENCE_S) as client:
        client.login(address, server.users[address])
        client.select_folder("INBOX", readonly=True)
        fetched = client.fetch(client.search(), ["BODY.PEEK[]"])
    return [fetched[uid][b"BODY[]"] for uid in sorted(fetched)]


def _print(console: Console, raw: bytes) -> None:
    mail = message_from_bytes(raw, policy=policy.default)
    plain = mail.get_body(("plain",))
    console.rule(style="dim")
    for name in ("From", "To", "Subject"):
        console.print(Text(f"{name}: {mail[name]}", style="bold"), soft_wrap=True)
    console.print()
    console.print(Text(plain.get_content().rstrip() if plain else ""), soft_wrap=True)
    console.rule(style="dim")
