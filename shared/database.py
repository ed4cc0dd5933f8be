"""A service's database: SQLite in a file by default, PostgreSQL by URL; one engine, migrations, locks.

What must not happen twice at one time is done in `writing` under `lock_id`: SQLite has one writer at a time
by itself, PostgreSQL serialises by advisory lock.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from msgspec import Struct
from sqlalchemy import Connection, Engine, create_engine, event, func, make_url, select, text
from sqlalchemy.exc import ArgumentError, OperationalError

from shared.errors import NeedsAPerson
from shared.time import Instant

Clock = Callable[[], Instant]

MIGRATING, RELAYING, SENDING, WATCHING = 1, 2, 3, 4
"""What a whole-database lock is for."""
_LOCKS = 0x6761_7261
_READ = "garant_read"
_BUSY_S = 30


class Keeping(Struct, frozen=True):
    """Whose database it is: the service's `name`, the `setting` that says where, its `migrations`, and what
    it `keeps`, in words for the person who must find a place for it."""

    name: str
    setting: str
    migrations: Path
    keeps: str


class DatabaseUnusable(NeedsAPerson):
    """The database cannot be reached or its URL is wrong; the message says what to set."""


def wall_clock() -> Instant:
    """Now, in ms since the epoch."""
    return Instant(time.time_ns() // 1_000_000)


def open_engine(url: str, keeping: Keeping) -> Engine:
    """The engine for `url`: `sqlite:///PATH` or `postgresql://...`. Raises DatabaseUnusable."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise DatabaseUnusable(
            f"{keeping.setting} is no database URL; use sqlite:////path/{keeping.name}.db or "
            "postgresql://user:password@host/name"
        ) from error
    if parsed.get_backend_name() == "postgresql":
        return create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True)
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        raise DatabaseUnusable(
            f"{keeping.name} keeps {keeping.keeps} in PostgreSQL or in a SQLite file; set "
            f"{keeping.setting} to sqlite:////path/{keeping.name}.db or postgresql://user:password@host/name"
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


def lock_id(connection: Connection, name: str) -> None:
    """Until the transaction ends nobody else holds `name`: what depends on one id happens in turn."""
    if connection.dialect.name == "postgresql":
        key = int.from_bytes(sha256(name.encode()).digest()[:8], "big", signed=True)
        connection.execute(select(func.pg_advisory_xact_lock(key)))


def try_lock(connection: Connection, purpose: int) -> bool:
    """Whether this connection now holds the whole-database lock for `purpose`, until it is closed.

    PostgreSQL only; True on SQLite, whose file belongs to one process (`own_file` sees to it).
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


def migrate(engine: Engine, keeping: Keeping) -> None:
    """Brings the schema to this version. Instances starting together wait for one another.

    Raises DatabaseUnusable where the database cannot be reached.
    """
    config = Config()
    config.set_main_option("script_location", str(keeping.migrations).replace("%", "%%"))
    try:
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(select(func.pg_advisory_xact_lock(_LOCKS, MIGRATING)))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except OperationalError as error:
        raise DatabaseUnusable(
            f"The {keeping.name} database {engine.url.render_as_string(hide_password=True)} cannot be used: "
            f"{error.orig}. Start it, or set {keeping.setting} to where it is."
        ) from error


@contextmanager
def own_file(engine: Engine, keeping: Keeping) -> Iterator[None]:
    """A SQLite file belongs to one process; the kernel drops the lock with the process, however it ends.

    Raises DatabaseUnusable where another process has it.
    """
    if engine.dialect.name != "sqlite" or engine.url.database is None:
        yield
        return
    lock: Any = os.open(f"{engine.url.database}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise DatabaseUnusable(
            f"Another {keeping.name} service works on {engine.url.database}. Stop it, or give this one its "
            f"own GARANT_HOME; several instances share PostgreSQL ({keeping.setting})."
        ) from None
    try:
        yield
    finally:
        os.close(lock)
