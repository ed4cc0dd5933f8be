"""Mails are handed to the real notify until it has them: one that it refuses holds up no other, and a reader
to whom nothing gets through is let go."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvicorn
from sqlalchemy import Engine, select, update
from structlog.testing import capture_logs

from services.notify.api import build_api
from services.notify.bulletin_routes import add_bulletins
from services.notify.bulletins import BOUNCES_MOST
from services.notify.settings import NotifySettings
from services.notify.tables import letters
from services.status.readers.mails import deliver_mails
from services.status.readers.subscribers import CONFIRM_WITHIN_MS
from services.status.readers.telling import News
from services.status.site import Condition
from services.status.tables import askings, mails, subscribers
from shared.database import reading, writing
from shared.time import HOUR, Instant
from tests.core.billing_books import KINDS, SetClock
from tests.core.notify_books import empty_office
from tests.core.status_readers import ANNA, BEAT, NOW, change, clock, component, empty_page, read_up, site

TOKEN = "token-of-notify"  # noqa: S105
API = component("api")


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    with empty_page(request.param, tmp_path) as found:
        yield found


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Engine]:
    """Notify's database."""
    (tmp_path / "notify").mkdir()
    with empty_office("sqlite", tmp_path / "notify") as found:
        yield found


@asynccontextmanager
async def notify(office: Engine, port: int = 0, token: str = TOKEN) -> AsyncIterator[int]:
    """Notify's API on a port of loopback."""
    api = build_api(office, token, clock(), list, list)
    add_bulletins(api, office, token, NotifySettings(), clock(), asyncio.Event())
    listener = socket.create_server(("127.0.0.1", port))
    server = uvicorn.Server(uvicorn.Config(api, log_config=None, lifespan="off"))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await serving


@asynccontextmanager
async def delivering(engine: Engine, port: int, at: SetClock) -> AsyncIterator[None]:
    url = f"http://127.0.0.1:{port}"
    task = asyncio.create_task(deliver_mails(engine, url, lambda: TOKEN, at, asyncio.Event(), lambda: None))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def eventually(check: Any, within_s: float = 40) -> Any:
    deadline = time.monotonic() + within_s
    while not (found := check()):
        assert time.monotonic() < deadline, "did not happen in time"
        await asyncio.sleep(0.05)
    return found


def told_down(engine: Engine) -> dict[str, str]:
    """Two readers for whom news is put down; subscriber by address."""
    news = News(engine, clock(), lambda: None)
    news.take(site(API))
    found = {address: read_up(engine, address, None, NOW - HOUR) for address in (ANNA, BEAT)}
    assert news.take(site(API, changes=[change(Condition.DOWN)])) == 1
    return found


def rows(engine: Engine, table: Any) -> list[Any]:
    with reading(engine) as connection:
        return list(connection.execute(select(table)).all())


async def test_mails_wait_for_notify_and_for_its_token_and_then_each_is_there_once(
    engine: Engine, office: Engine
) -> None:
    told_down(engine)
    async with notify(office, token="another") as port:  # noqa: S106
        with capture_logs() as logged:
            async with delivering(engine, port, clock()):
                await eventually(lambda: any("GARANT_STATUS_NOTIFY_TOKEN" in str(one) for one in logged))
    assert len(rows(engine, mails)) == 2
    async with notify(office, port) as port, delivering(engine, port, clock()):
        await eventually(lambda: not rows(engine, mails))
    assert sorted(row.recipient for row in rows(office, letters)) == [ANNA, BEAT]
    assert ANNA not in str(logged)


async def test_one_that_notify_refuses_is_kept_with_the_reason_and_holds_up_no_other(
    engine: Engine, office: Engine
) -> None:
    readers = told_down(engine)
    mine = mails.c.contact == f"status-{readers[ANNA]}"
    with writing(engine) as connection:
        body = msgspec.json.decode(connection.execute(select(mails.c.body).where(mine)).scalar_one())
        body["about"]["condition"] = "sideways"
        connection.execute(update(mails).where(mine).values(body=msgspec.json.encode(body).decode()))
    async with notify(office) as port, delivering(engine, port, clock()):
        await eventually(lambda: len(rows(engine, mails)) == 1 and rows(engine, mails)[0].refused)
        await asyncio.sleep(1.5)  # it is not tried again
    assert "condition" in rows(engine, mails)[0].refused
    assert [row.recipient for row in rows(office, letters)] == [BEAT]


async def test_a_reader_whose_mail_keeps_coming_back_is_let_go_and_forgotten(
    engine: Engine, office: Engine
) -> None:
    readers = told_down(engine)
    with writing(office) as connection:
        for number in range(BOUNCES_MOST):
            connection.execute(
                letters.insert().values(
                    id=f"news/old{number}",
                    purpose="status-change",
                    contact=f"status-{readers[ANNA]}",
                    recipient=ANNA,
                    message_id=f"<status-change.{number}@x.example>",
                    data=b"",
                    state="bounced",
                    attempts=1,
                    created_at=0,
                )
            )
    async with notify(office) as port, delivering(engine, port, clock()):
        await eventually(lambda: len(rows(engine, subscribers)) == 1)
        await eventually(lambda: ANNA not in [row.recipient for row in rows(office, letters)])
    assert [row.address for row in rows(engine, subscribers)] == [BEAT]


async def test_who_did_not_confirm_is_forgotten_here_and_in_notify_even_after_a_late_mail(
    engine: Engine, office: Engine
) -> None:
    late = clock(NOW + CONFIRM_WITHIN_MS)
    with writing(engine) as connection:
        connection.execute(
            askings.insert().values(
                asking="a1", confirm_digest="x", address=ANNA, language="fr", components=None, asked_at=NOW
            )
        )
    async with notify(office) as port, delivering(engine, port, late):
        await eventually(lambda: not rows(engine, askings))
        await eventually(lambda: [row.id for row in rows(engine, mails)] == ["forget/a1/1"])
        with writing(office) as connection:  # one that was on its way while the reader was forgotten
            connection.execute(
                letters.insert().values(
                    id="confirm/a1",
                    purpose="status-confirm",
                    contact="status-a1",
                    recipient=ANNA,
                    message_id="<status-confirm.1@x.example>",
                    data=b"x",
                    state="waiting",
                    attempts=0,
                    created_at=0,
                )
            )
        late.now = Instant(late() + HOUR)
        await eventually(lambda: not rows(engine, mails))
    (letter,) = rows(office, letters)
    assert (letter.recipient, letter.data, letter.state) == (None, None, "forgotten")
