"""Books for the billing tests: an empty, migrated database of each kind, and the records to put in it."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from functools import cache
from pathlib import Path

import pgserver
from sqlalchemy import Engine, create_engine, make_url, text

from services.billing.database import BOOKS
from shared.database import migrate, open_engine
from shared.facts import SubscriptionStarted
from shared.money import parse_amount
from shared.outcomes import Credit, CreditAdjusted, CreditGranted, QuotaRestored, QuotaWarned, Stamp
from shared.time import Instant, parse_instant

KINDS = ("sqlite", "postgresql")


class SetClock:
    """A clock that says what the test says."""

    def __init__(self, now: str = "2026-01-15T12:00:00.000Z") -> None:
        self.now = parse_instant(now)

    def __call__(self) -> Instant:
        return self.now


@cache
def postgres() -> str:
    """A real PostgreSQL: the one GARANT_TEST_POSTGRES names, else one started from the wheel."""
    if named := os.environ.get("GARANT_TEST_POSTGRES"):
        return named
    home = Path(tempfile.mkdtemp(prefix="garant-postgres-"))
    server = pgserver.get_server(home, cleanup_mode="stop")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    atexit.register(server.cleanup)
    return str(server.get_uri())


@contextmanager
def empty_url(kind: str, directory: Path) -> Iterator[str]:
    """The URL of a database of `kind` that nobody has used, gone afterwards."""
    if kind == "sqlite":
        yield f"sqlite:///{directory / 'billing.db'}"
        return
    server = make_url(postgres()).set(drivername="postgresql+psycopg")
    name = f"billing_{uuid.uuid4().hex}"
    admin = create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    try:
        yield server.set(database=name).render_as_string(hide_password=False)
    finally:
        with admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        admin.dispose()


@contextmanager
def empty_books(kind: str, directory: Path) -> Iterator[Engine]:
    """An engine on a migrated, empty database."""
    with empty_url(kind, directory) as url:
        engine = open_engine(url, BOOKS)
        migrate(engine, BOOKS)
        try:
            yield engine
        finally:
            engine.dispose()


def started(
    subscription: str = "S-1",
    *,
    account: str = "A-1",
    price: str = "1200.00",
    term: str = "year",
    starts_on: str = "2025-01-01",
    currency: str = "CHF",
    language: str = "fr",
) -> SubscriptionStarted:
    """A subscription as sold; CHF 1,200 a year from New Year 2025 unless said otherwise."""
    return SubscriptionStarted(
        account=account,
        subscription=subscription,
        deployment="cloud",
        targets=("T-1",),
        price=parse_amount(price),
        currency=currency,
        term=term,  # type: ignore[arg-type]
        starts_on=date.fromisoformat(starts_on),
        language=language,
    )


def credit(
    amount: str,
    *,
    total: str | None = None,
    revision: int = 1,
    period: str = "2025-11",
    cause: str = "uptime",
    subscription: str = "S-1",
    account: str = "A-1",
    currency: str = "CHF",
    at: tuple[int, int, int] | None = None,
) -> Credit:
    """A record of sla.credits; its journal position follows from period and revision unless given."""
    kind = CreditGranted if revision == 1 else CreditAdjusted
    place = at or (0, sum(period.encode()) * 1_000 + revision * 10, 0)
    return kind(
        account=account,
        subscription=subscription,
        credit=f"{subscription}/{cause}/{period}",
        revision=revision,
        cause=cause,  # type: ignore[arg-type]
        period=period,
        amount=parse_amount(amount),
        total=parse_amount(total or amount),
        currency=currency,
        terms="2023-02-02",
        calculation={},
        journal=Stamp(*place, digest="00"),
    )


def quota_warning(
    percent: int = 75, *, at: int = 0, restored: bool = False, subscription: str = "S-1"
) -> QuotaWarned:
    """A record of sla.quota: a threshold crossed, or fallen below again, by the journal entry `at`."""
    kind = QuotaRestored if restored else QuotaWarned
    return kind("A-1", subscription, date(2025, 1, 1), percent, 45, 60, Stamp(0, at, 1, digest="00"))
