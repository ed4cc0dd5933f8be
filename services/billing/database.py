"""The database: SQLite in a file by default, PostgreSQL by URL; one engine, migrations, locks.

Reads and writes of a subscription's money happen in `writing` under `lock_subscription`: SQLite has one
writer at a time by itself, PostgreSQL serialises by advisory lock.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event, func, make_url, select, text
from sqlalchemy.exc import ArgumentError, OperationalError

from shared.errors import NeedsAPerson
from shared.time import Instant

Clock = Callable[[], Instant]

MIGRATING, RELAYING = 1, 2
"""What a whole-database lock is for."""
_LOCKS = 0x6761_7261
_READ = "garant_read"
_BUSY_S = 30


class DatabaseUnusable(NeedsAPerson):
    """The database cannot be reached or its URL is wrong; the message says what to set."""


def wall_clock() -> Instant:
    """Now, in ms since the epoch."""
    return Instant(time.time_ns() // 1_000_000)


def open_engine(url: str) -> Engine:
    """The engine for `url`: `sqlite:///PATH` or `postgresql://...`. Raises DatabaseUnusable."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise DatabaseUnusable(
            "GARANT_BILLING_DATABASE_URL is no database URL; use sqlite:////path/billing.db or "
            "postgresql://user:password@host/name"
        ) from error
    if parsed.get_backend_name() == "postgresql":
        return create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True)
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        raise DatabaseUnusable(
            "billing keeps its books in PostgreSQL or in a SQLite file; set GARANT_BILLING_DATABASE_URL to "
            "sqlite:////path/billing.db or postgresql://user:password@host/name"
        )
    Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed, connect_args={"timeout": _BUSY_S})
    event.listen(engine, "connect", _sqlite_connected)
    event.listen(engine, "begin", _sqlite_begins)
    return engine


def _sqlite_connected(connection: Any, _record: object) -> None:
    # The driver's own implicit BEGIN comes too late to serialise a read followed by a write.
    connection.isolation_level = None
    cursor = connection.cursor()
    _write_ahead(cursor)
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _write_ahead(cursor: Any) -> None:
    # A new file changes its mode under an exclusive lock, for which SQLite does not wait by itself.
    deadline = time.monotonic() + _BUSY_S
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() >= deadline:
                raise
            time.sleep(0.01)


def _sqlite_begins(connection: Connection) -> None:
    read = connection.get_execution_options().get(_READ, False)
    connection.exec_driver_sql("BEGIN" if read else "BEGIN IMMEDIATE")


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction; committed at the end of the block, rolled back by an exception."""
    with engine.begin() as connection:
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One consistent view for the whole block; nothing may be written in it."""
    isolation = {} if engine.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}
    with engine.connect().execution_options(**{_READ: True}, **isolation) as connection:
        yield connection


def lock_subscription(connection: Connection, subscription: str) -> None:
    """Until the transaction ends nobody else books, issues, voids or declares for `subscription`."""
    if connection.dialect.name == "postgresql":
        key = int.from_bytes(sha256(subscription.encode()).digest()[:8], "big", signed=True)
        connection.execute(select(func.pg_advisory_xact_lock(key)))


def try_lock(connection: Connection, purpose: int) -> bool:
    """Whether this connection now holds the whole-database lock for `purpose`, until it is closed.

    PostgreSQL only; True on SQLite, whose file belongs to one process (`services.billing.app` sees to it).
    """
    if connection.dialect.name != "postgresql":
        return True
    return bool(connection.execute(select(func.pg_try_advisory_lock(_LOCKS, purpose))).scalar_one())


def next_number(connection: Connection, counter: str) -> int:
    """The counter's next number, 1 at first. Gapless, and in order of commit: its row stays locked until the
    transaction ends, and a rollback gives the number back."""
    statement = text(
        "INSERT INTO counters (name, last) VALUES (:name, 1)"
        " ON CONFLICT (name) DO UPDATE SET last = counters.last + 1 RETURNING last"
    )
    return int(connection.execute(statement, {"name": counter}).scalar_one())


def migrate(engine: Engine) -> None:
    """Brings the schema to this version. Instances starting together wait for one another.

    Raises DatabaseUnusable where the database cannot be reached.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    try:
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(select(func.pg_advisory_xact_lock(_LOCKS, MIGRATING)))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except OperationalError as error:
        raise DatabaseUnusable(
            f"The billing database {engine.url.render_as_string(hide_password=True)} cannot be used: "
            f"{error.orig}. Start it, or set GARANT_BILLING_DATABASE_URL to where it is."
        ) from error
