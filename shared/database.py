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
from typing import Any, Final

import structlog
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from msgspec import Struct
from sqlalchemy import (
    URL,
    Connection,
    Engine,
    NullPool,
    create_engine,
    event,
    func,
    make_url,
    select,
    text,
)
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from shared.errors import NeedsAPerson
from shared.time import Instant

log = structlog.get_logger()

Clock = Callable[[], Instant]

MIGRATING, RELAYING, SENDING, WATCHING = 1, 2, 3, 4
"""What a whole-database lock is for."""
_LOCKS = 0x6761_7261
_READ = "garant_read"
_BUSY_S = 30
_NOTICES_A_DEAD_SERVER: Final = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
"""Of PostgreSQL's client: a server whose machine is gone answers nothing, and without these the kernel waits
for minutes or for ever."""
_AGAIN_S = 0.5


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
    """The engine for `url`: `sqlite:///PATH` or `postgresql://...`. Its errors never hold the values of a
    statement: they may be somebody's. Raises DatabaseUnusable."""
    parsed = parsed_url(url, keeping)
    if parsed.get_backend_name() == "postgresql":
        return create_engine(
            parsed, pool_pre_ping=True, hide_parameters=True, connect_args=dict(_NOTICES_A_DEAD_SERVER)
        )
    Path(parsed.database or "").parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed, connect_args={"timeout": _BUSY_S}, hide_parameters=True)
    event.listen(engine, "connect", _sqlite_connected)
    event.listen(engine, "begin", _sqlite_begins)
    return engine


def open_read_only(url: str, keeping: Keeping) -> Engine:
    """The engine for a database that a service of this version keeps, for `reading` only: it works beside the
    service and without it, and can write nothing.

    Raises DatabaseUnusable, also where there is no such database or its schema is of another version.
    """
    parsed = parsed_url(url, keeping)
    if (path := file_of(parsed)) is not None and not path.is_file():
        raise DatabaseUnusable(
            f"There is no {keeping.name} database at {path}. Set {keeping.setting}, or GARANT_HOME, to "
            f"what the {keeping.name} service has."
        )
    engine = read_only_engine(parsed)
    try:
        with reading(engine) as connection:
            found = MigrationContext.configure(connection).get_current_heads()
    except DBAPIError as error:
        raise unusable(parsed, keeping, error) from error
    wanted = wanted_schema(keeping)
    if set(found) != wanted:
        raise DatabaseUnusable(
            f"The {keeping.name} database has schema {', '.join(found) or 'none'}, this version reads "
            f"{', '.join(sorted(wanted))}. Take the garant that the {keeping.name} service runs: it "
            "brings the schema to its own version when it starts."
        )
    return engine


def file_of(parsed: URL) -> Path | None:
    """The file of a SQLite database."""
    sqlite = parsed.get_backend_name() == "sqlite"
    return Path(parsed.database or "").absolute() if sqlite else None


def read_only_engine(parsed: URL) -> Engine:
    """By which nothing can be written, and no file is made."""
    if (path := file_of(parsed)) is None:
        return create_engine(
            parsed,
            connect_args=dict(_NOTICES_A_DEAD_SERVER),
            execution_options={"postgresql_readonly": True},
            hide_parameters=True,
        )
    engine = create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=_BUSY_S),
        poolclass=NullPool,
    )
    event.listen(engine, "connect", _sqlite_read_only)
    event.listen(engine, "begin", _sqlite_begins)
    return engine


def parsed_url(url: str, keeping: Keeping) -> URL:
    """What `url` says, with the driver we use. Raises DatabaseUnusable."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise DatabaseUnusable(
            f"{keeping.setting} is no database URL; use sqlite:////path/{keeping.name}.db or "
            "postgresql://user:password@host/name"
        ) from error
    if parsed.get_backend_name() == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        raise DatabaseUnusable(
            f"{keeping.name} keeps {keeping.keeps} in PostgreSQL or in a SQLite file; set "
            f"{keeping.setting} to sqlite:////path/{keeping.name}.db or postgresql://user:password@host/name"
        )
    return parsed


def _sqlite_read_only(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA query_only=ON")


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


def migrate(engine: Engine, keeping: Keeping, wait_s: float = 0) -> None:
    """Brings the schema to this version. Instances starting together wait for one another.

    Raises DatabaseUnusable where the database cannot be reached within `wait_s`, and where a newer version
    has changed it.
    """
    _wait(engine, keeping, wait_s)
    config = Config()
    config.set_main_option("script_location", str(keeping.migrations).replace("%", "%%"))
    try:
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(select(func.pg_advisory_xact_lock(_LOCKS, MIGRATING)))
            refuse_newer(connection, keeping)
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except OperationalError as error:
        raise unusable(engine.url, keeping, error) from error


def _wait(engine: Engine, keeping: Keeping, wait_s: float) -> None:
    """Returns once the database lets us in, or `wait_s` is over: what comes next says why."""
    deadline, said = time.monotonic() + wait_s, False
    while time.monotonic() < deadline:
        try:
            engine.connect().close()
            return
        except OperationalError as error:
            if not said:
                said = True
                log.warning(f"{keeping.name}.database.waiting", why=in_one_line(error), up_to_s=wait_s)
        time.sleep(_AGAIN_S)


def refuse_newer(connection: Connection, keeping: Keeping) -> None:
    """Raises DatabaseUnusable where a newer version has changed the schema."""
    found = set(MigrationContext.configure(connection).get_current_heads())
    known = {one.revision for one in ScriptDirectory(str(keeping.migrations)).walk_revisions()}
    if strange := found - known:
        where = connection.engine.url.render_as_string(hide_password=True)
        raise DatabaseUnusable(
            f"The {keeping.name} database {where} has schema {', '.join(sorted(strange))}, which this "
            "version does not know: a newer one has used it. Nothing was changed. Start that version again, "
            f"or set {keeping.setting} to a backup from before the upgrade."
        )


def wanted_schema(keeping: Keeping) -> set[str]:
    """The versions of the schema that this version of the service brings it to."""
    return set(ScriptDirectory(str(keeping.migrations)).get_heads())


@contextmanager
def failing(keeping: Keeping) -> Iterator[None]:
    """A database that fails within (it was killed, its disk is full) raises DatabaseUnusable, in one line."""
    try:
        yield
    except OperationalError as error:
        raise DatabaseUnusable(
            f"The {keeping.name} database failed ({in_one_line(error)}). Nothing is lost: see that it runs "
            f"and has room, then start {keeping.name} again; it goes on where it was."
        ) from error


def unusable(url: URL, keeping: Keeping, error: DBAPIError) -> DatabaseUnusable:
    """That the database lets nobody in, why, and what to do about it."""
    said = in_one_line(error)
    advice = f"Start it, or set {keeping.setting} to where it is."
    if "certificate" in said or "does not support SSL" in said:
        advice = (
            "It must offer TLS with a certificate for the host of that URL, of an authority in the file that "
            "PGSSLROOTCERT names (where the chart mounts the Secret of database.caSecret)."
        )
    where = url.render_as_string(hide_password=True)
    return DatabaseUnusable(f"The {keeping.name} database {where} cannot be used: {said}. {advice}")


def in_one_line(error: DBAPIError) -> str:
    """What the database said."""
    return " ".join(str(error.orig).split())


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
