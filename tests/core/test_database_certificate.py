"""PGSSLMODE and PGSSLROOTCERT decide which PostgreSQL a service talks to: one whose certificate is of that
authority and for that host, and no other. As the chart's database.caSecret sets them.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme
from sqlalchemy import URL, make_url, text

from services.billing.database import BOOKS
from services.cli.local.ports import HOST
from shared.database import DatabaseUnusable, migrate, open_engine, open_read_only, reading
from shared.database_fit import check_fit
from tests.core.billing_books import empty_url

ASKS_FOR_TLS = (8).to_bytes(4) + (80_877_103).to_bytes(4)
"""PostgreSQL's SSLRequest."""


@pytest.fixture
def database(tmp_path: Path) -> Iterator[URL]:
    with empty_url("postgresql", tmp_path) as url:
        yield make_url(url)


@pytest.fixture
def authority(clean_environment: pytest.MonkeyPatch, tmp_path: Path) -> trustme.CA:
    """The one a service is told to trust."""
    made, file = trustme.CA(), tmp_path / "ca.pem"
    made.cert_pem.write_to_path(str(file))
    clean_environment.setenv("PGSSLMODE", "verify-full")
    clean_environment.setenv("PGSSLROOTCERT", str(file))
    return made


@contextmanager
def door_to(database: URL, certificate: trustme.LeafCert | None) -> Iterator[str]:
    """The URL of a door to `database`, a real PostgreSQL without TLS, that lets in only who asks for TLS and
    likes `certificate`; without one it says that it has no TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    if certificate is not None:
        certificate.configure_cert(context)
    opened: Future[tuple[int, Callable[[], None]]] = Future()

    async def let_in(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if await reader.readexactly(8) != ASKS_FOR_TLS:
                return
            if certificate is None:
                writer.write(b"N")
                return
            writer.write(b"S")
            await writer.start_tls(context)
            there = await _connect(database)
            await asyncio.gather(_pass_on(reader, there[1]), _pass_on(there[0], writer))
        except OSError:  # the client did not like our certificate, or went
            pass
        finally:
            writer.close()

    async def stand_open() -> None:
        loop, closing = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(let_in, HOST, 0)
        port = server.sockets[0].getsockname()[1]
        opened.set_result((port, lambda: loop.call_soon_threadsafe(closing.set)))
        await closing.wait()
        server.close()

    thread = threading.Thread(target=asyncio.run, args=(stand_open(),))
    thread.start()
    port, close = opened.result(timeout=10)
    try:
        yield database.set(host=HOST, port=port, query={}).render_as_string(hide_password=False)
    finally:
        close()
        thread.join()


async def _connect(database: URL) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if (folder := database.query.get("host")) is not None:
        return await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.{database.port or 5432}")
    return await asyncio.open_connection(database.host, database.port or 5432)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while some := await reader.read(65_536):
        writer.write(some)
        await writer.drain()
    writer.close()


def test_a_certificate_of_the_authority_for_the_host_is_talked_to(
    database: URL, authority: trustme.CA
) -> None:
    with door_to(database, authority.issue_cert(HOST)) as url:
        check_fit(url, BOOKS, ())
        engine = open_engine(url, BOOKS)
        migrate(engine, BOOKS)
        engine.dispose()
        engine = open_read_only(url, BOOKS)
        with reading(engine) as connection:
            assert connection.execute(text("SELECT count(*) FROM ledger_entries")).scalar_one() == 0
        engine.dispose()


@pytest.mark.parametrize("use", ["before the install", "at the start", "to read"])
@pytest.mark.parametrize("shown", ["another authority", "another host", "no TLS"])
def test_any_other_is_not_and_the_line_says_what_it_must_be(
    database: URL, authority: trustme.CA, shown: str, use: str
) -> None:
    certificates = {
        "another authority": trustme.CA().issue_cert(HOST),
        "another host": authority.issue_cert("elsewhere.example"),
        "no TLS": None,
    }
    with door_to(database, certificates[shown]) as url, pytest.raises(DatabaseUnusable) as told:
        {"before the install": check_fit_of, "at the start": start, "to read": read}[use](url)
    (line,) = str(told.value).splitlines()
    assert "must offer TLS with a certificate for the host of that URL, of an authority in the file" in line


def check_fit_of(url: str) -> None:
    check_fit(url, BOOKS, ())


def start(url: str) -> None:
    migrate(open_engine(url, BOOKS), BOOKS)


def read(url: str) -> None:
    open_read_only(url, BOOKS)
