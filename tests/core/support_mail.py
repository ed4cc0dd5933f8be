"""Desks and mails for the support tests: an empty, migrated database of each kind, and what comes in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, Table, select

from services.support import contacts
from services.support.contacts import Contact
from services.support.database import DESK
from services.support.settings import SupportSettings
from services.support.subscriptions import note_subscription
from services.support.tables import metadata, ticket_facts
from services.support.taking import Taken, take
from shared.codec import decode_fact
from shared.database import migrate, open_engine, writing
from shared.facts import Fact
from shared.mail.mailbox import Delivery
from shared.time import Instant
from tests.core.billing_books import SetClock, empty_url, started

US = "support@garant.example"
ANNA = "anna@demo.example"
SERVER = "mail.garant.example"
MONDAY = "2026-11-23T10:00:00.000Z"
BOX = "test"


def settings(**more: Any) -> SupportSettings:
    """Settings of a desk that knows its mail server."""
    return SupportSettings(authserv_id=SERVER, staff="bea@garant.example", **more)


@contextmanager
def empty_desk(kind: str, directory: Path) -> Iterator[Engine]:
    """An engine on a migrated, empty database."""
    with empty_url(kind, directory) as url:
        engine = open_engine(url, DESK)
        migrate(engine, DESK)
        try:
            yield engine
        finally:
            engine.dispose()


def clear(engine: Engine) -> None:
    """Makes the desk empty again: a new one for each test takes a second where the machine is busy."""
    with writing(engine) as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())


def furnish(engine: Engine, clock: SetClock) -> None:
    """Account A-1 with subscription S-1 since 2025 and Anna; account B-1 with Carla."""
    with writing(engine) as connection:
        for one in (
            Contact("C-1", "A-1", (ANNA,), "Anna Rossi", "it"),
            Contact("C-2", "B-1", ("carla@other.example",), "Carla", "de"),
        ):
            contacts.put(connection, one, clock)
        note_subscription(connection, started())
        note_subscription(connection, started("S-2", account="B-1"))


def mail(
    subject: str = "It is slow",
    text: str = "Please look.",
    *,
    sender: str = ANNA,
    message_id: str | None = "<1@demo.example>",
    verdict: str | None = None,
    to: str = US,
    more: Sequence[str] = (),
) -> bytes:
    """A mail as our server delivers it; `verdict` None: the sender's domain signed it."""
    domain = sender.rpartition("@")[2].strip(">")
    lines = [
        "Return-Path: <bounces@demo.example>",
        f"Authentication-Results: {SERVER}; {verdict or f'dkim=pass header.d={domain}'}",
        f"Received: from client by {SERVER} with ESMTP id 1; Mon, 23 Nov 2026 10:00:00 +0000",
        *more,
        f"From: {sender}",
        f"To: {to}",
        f"Subject: {subject}",
        *([f"Message-ID: {message_id}"] if message_id else []),
        "Date: Mon, 23 Nov 2026 09:59:00 +0000",
        "",
        text,
        "",
    ]
    return "\r\n".join(lines).encode()


def delivery(raw: bytes, uid: int, at: int, validity: int = 1) -> Delivery:
    """It, as fetched from the mailbox."""
    return Delivery(validity, uid, Instant(at), len(raw), raw)


class Desk:
    """A desk under test: what comes in is taken in, one batch for each call."""

    def __init__(self, engine: Engine, clock: SetClock, **more: Any) -> None:
        self.engine = engine
        self.clock = clock
        self.settings = settings(**more)
        self.uid = 0

    def take(self, *raw: bytes, validity: int = 1) -> list[Taken]:
        """The mails arrive now, one after the other, and are taken in."""
        found = []
        for one in raw:
            self.uid += 1
            found.append(delivery(one, self.uid, self.clock(), validity))
        return take(self.engine, self.settings, BOX, found, self.clock)

    def one(self, raw: bytes) -> Taken:
        """What became of one mail."""
        (taken,) = self.take(raw)
        return taken

    def said(self) -> list[Fact]:
        """Every fact in the outbox, in order."""
        with self.engine.connect() as connection:
            rows = connection.execute(select(ticket_facts.c.fact).order_by(ticket_facts.c.sequence))
            return [decode_fact(text.encode()) for text in rows.scalars()]

    def rows(self, table: Table) -> list[Any]:
        """The table as it is."""
        with self.engine.connect() as connection:
            return list(connection.execute(select(table)).all())
