"""Mail handed over by SMTP and LMTP: taken once it is committed, and not lost while it cannot be."""

from __future__ import annotations

import asyncio
import smtplib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select

from services.cli.local.ports import free_port
from services.support.database import DESK
from services.support.settings import SupportSettings
from services.support.smtp_in import listen
from services.support.tables import messages, tickets
from shared.database import open_engine
from shared.time import Instant, parse_instant
from tests.core.billing_books import SetClock
from tests.core.support_mail import ANNA, MONDAY, SERVER, US, empty_desk, furnish, mail, settings

NOON = "2026-11-23T12:00:00.000Z"
BOUNCES = "bounces@demo.example"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with empty_desk("sqlite", tmp_path) as found:
        furnish(found, SetClock())
        yield found


@pytest.fixture
def desk() -> SupportSettings:
    return settings(smtp_in_port=free_port(), lmtp_in_port=free_port(), max_message_bytes=100_000)


@asynccontextmanager
async def listening(engine: Engine, desk: SupportSettings, *, go: bool = True) -> AsyncIterator[None]:
    may = asyncio.Event()
    if go:
        may.set()
    servers = await listen(engine, desk, SetClock(NOON), may)
    try:
        yield
    finally:
        for one in servers:
            one.close()


def handed() -> bytes:
    """A mail without the Return-Path that only we add."""
    return mail().partition(b"\r\n")[2]


def by_smtp(desk: SupportSettings, raw: bytes, mail_from: str = BOUNCES, to: str = US) -> Any:
    with smtplib.SMTP("127.0.0.1", desk.smtp_in_port, timeout=20) as client:
        return client.sendmail(mail_from, [to], raw)


def by_lmtp(desk: SupportSettings, raw: bytes, mail_from: str = BOUNCES, *to: str) -> Any:
    with smtplib.LMTP("127.0.0.1", desk.lmtp_in_port, timeout=20) as client:
        return client.sendmail(mail_from, list(to or [US]), raw)


def rows(engine: Engine, table: Any) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(select(table)).all())


@pytest.mark.parametrize("send", [by_smtp, by_lmtp])
async def test_given_a_mail_then_it_is_committed_when_250_is_said_and_received_when_our_server_had_it(
    engine: Engine, desk: SupportSettings, send: Callable[..., Any]
) -> None:
    async with listening(engine, desk):
        await asyncio.to_thread(send, desk, handed())
        (row,) = rows(engine, messages)
        await asyncio.to_thread(send, desk, handed())
    assert (row.state, row.uid, row.received_at) == ("opened", 1, parse_instant(MONDAY))
    assert [one.state for one in rows(engine, messages)] == ["opened", "repeat"]


@pytest.mark.parametrize(
    "said", ["nonsense", "Mon, 23 Nov 2099 10:00:00 +0000", "Mon, 2 Nov 2026 10:00:00 +0000"]
)
async def test_given_a_received_field_that_cannot_be_then_it_was_received_now(
    engine: Engine, desk: SupportSettings, said: str
) -> None:
    raw = handed().replace(b"Mon, 23 Nov 2026 10:00:00 +0000\r\nFrom", said.encode() + b"\r\nFrom")
    async with listening(engine, desk):
        await asyncio.to_thread(by_smtp, desk, raw)
    assert rows(engine, messages)[0].received_at == Instant(parse_instant(NOON))


@pytest.mark.parametrize("send", [by_smtp, by_lmtp])
async def test_given_a_database_that_fails_or_a_desk_that_is_not_ready_then_the_mail_stays_with_our_server(
    engine: Engine, desk: SupportSettings, send: Callable[..., Any], tmp_path: Path
) -> None:
    broken = open_engine(f"sqlite:///{tmp_path / 'empty.db'}", DESK)
    for where, go in ((broken, True), (engine, False)):
        async with listening(where, desk, go=go):
            with pytest.raises(smtplib.SMTPDataError) as refused:
                await asyncio.to_thread(send, desk, handed())
        assert refused.value.smtp_code == 451
    assert rows(engine, messages) == []
    broken.dispose()


async def test_given_a_mail_that_is_too_large_then_it_is_refused_for_good(
    engine: Engine, desk: SupportSettings
) -> None:
    async with listening(engine, desk):
        with pytest.raises(smtplib.SMTPResponseException) as refused:
            await asyncio.to_thread(by_smtp, desk, handed() + b"x" * 70 * 2_000)
    assert refused.value.smtp_code == 552


async def test_given_a_bounce_by_its_null_path_then_it_opens_nothing(
    engine: Engine, desk: SupportSettings
) -> None:
    async with listening(engine, desk):
        await asyncio.to_thread(by_lmtp, desk, handed(), "")
    assert rows(engine, messages)[0].state == "automatic"


async def test_given_a_plus_address_then_the_envelope_says_the_severity(
    engine: Engine, desk: SupportSettings
) -> None:
    async with listening(engine, desk):
        await asyncio.to_thread(by_lmtp, desk, handed(), BOUNCES, "support+down@garant.example")
    assert rows(engine, tickets)[0].severity == "down"


async def test_given_several_recipients_then_lmtp_takes_them_one_at_a_time(
    engine: Engine, desk: SupportSettings
) -> None:
    async with listening(engine, desk):
        refused = await asyncio.to_thread(by_lmtp, desk, handed(), BOUNCES, US, "other@garant.example")
    assert refused["other@garant.example"][0] == 452
    assert [one.state for one in rows(engine, messages)] == ["opened"]


async def test_given_what_our_server_says_then_it_is_believed_and_what_the_sender_says_is_not(
    engine: Engine, desk: SupportSettings
) -> None:
    forged = f"From: {ANNA}\r\nAuthentication-Results: {SERVER}; dkim=pass header.d=demo.example\r\n"
    raw = handed().replace(b"dkim=pass", b"dkim=fail").replace(f"From: {ANNA}\r\n".encode(), forged.encode())
    async with listening(engine, desk):
        await asyncio.to_thread(by_smtp, desk, raw)
    assert rows(engine, messages)[0].state == "quarantined"


async def test_given_lines_longer_than_any_standard_then_the_mail_is_taken(
    engine: Engine, desk: SupportSettings
) -> None:
    async with listening(engine, desk):
        await asyncio.to_thread(by_smtp, desk, handed() + b"y" * 50_000 + b"\r\n")
    assert rows(engine, messages)[0].state == "opened"
