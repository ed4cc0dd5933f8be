"""Desks for the tests: an empty, migrated database of each kind, served over a real socket."""

from __future__ import annotations

import itertools
import secrets
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from sqlalchemy import Engine, insert, update

from services.support.api import build_api
from services.support.correspondence import remember
from services.support.database import DESK
from services.support.settings import SupportSettings
from services.support.tables import messages, quotas, raw_messages, subscriptions, tickets
from services.support.threads import digest
from shared.database import migrate, next_number, open_engine, writing
from shared.time import parse_instant
from tests.core.billing_books import KINDS, SetClock, empty_url

__all__ = ["KINDS", "SetClock"]

TOKEN = secrets.token_urlsafe()
NOW = "2026-11-27T09:00:00.000Z"
_UIDS = itertools.count(1)


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


@contextmanager
def served(engine: Engine, clock: SetClock, settings: SupportSettings | None = None) -> Iterator[str]:
    """The API on a port of its own; yields its URL."""
    api = build_api(engine, settings or SupportSettings(), TOKEN, clock, list, list)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(api, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def client(url: str) -> httpx.Client:
    """One that shows the token."""
    return httpx.Client(
        base_url=url, headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False, timeout=60
    )


def subscribed(engine: Engine, subscription: str = "S-1", account: str = "A-1", **values: Any) -> None:
    """A subscription as subscription.events told of it; from New Year 2025 unless said otherwise."""
    row = {"language": "fr", "starts_on": date(2025, 1, 1), "ends_on": None, **values}
    with writing(engine) as connection:
        connection.execute(insert(subscriptions).values(subscription=subscription, account=account, **row))


def quota(engine: Engine, subscription: str, used: int, included: int, warned: int | None = None) -> None:
    """A quota as sla.quota told of it."""
    with writing(engine) as connection:
        connection.execute(
            insert(quotas).values(
                subscription=subscription,
                account="A-1",
                year_starts_on=date(2026, 1, 1),
                quota_minutes=included,
                used_minutes=used,
                warned=str(warned or ""),
            )
        )


def judged(engine: Engine, ticket: str, due_at: str | None, at_risk_at: str | None, **values: Any) -> None:
    """What sla.deadlines told of a request."""
    row = {
        "revision": 1,
        "covered": True,
        "due_at": due_at and parse_instant(due_at),
        "at_risk_at": at_risk_at and parse_instant(at_risk_at),
        **values,
    }
    with writing(engine) as connection:
        connection.execute(update(tickets).where(tickets.c.ticket == ticket).values(**row))


def mail(
    engine: Engine,
    sender: str = "emilie@example.ch",
    subject: str = "Serveur en panne",
    text: str = "Rien ne va plus.",
    **values: Any,
) -> int:
    """A mail as intake took it in: in quarantine unless said otherwise; its number."""
    raw = (
        f"From: {values.get('sender_name', 'Emilie Dupont')} <{sender}>\r\n"
        f"To: support@garant.example\r\nSubject: {subject}\r\n"
        f"Message-ID: <{next(_UIDS)}@example.ch>\r\n\r\n{text}\r\n"
    ).encode()
    message_id = raw.split(b"Message-ID: ")[1].split(b"\r\n")[0].decode()
    with writing(engine) as connection:
        number = next_number(connection, "messages")
        row = {
            "message": number,
            "mailbox": "INBOX",
            "uidvalidity": 1,
            "uid": next(_UIDS),
            "raw_digest": sha256(raw).hexdigest(),
            "content_digest": sha256(raw + b"c").hexdigest(),
            "received_at": parse_instant("2026-11-27T08:15:00.000Z"),
            "taken_at": parse_instant("2026-11-27T08:15:01.000Z"),
            "state": "quarantined",
            "reason": "our mail server does not vouch for the sender",
            "message_id": message_id,
            "sender": sender,
            "sender_name": "Emilie Dupont",
            "subject": subject,
            "text": text,
            "attachments": 0,
            "size": len(raw),
            **values,
        }
        connection.execute(insert(messages).values(**row))
        connection.execute(insert(raw_messages).values(message=number, data=zlib.compress(raw)))
        if row.get("ticket"):
            remember(connection, {digest(message_id): row["ticket"]})
    return number
