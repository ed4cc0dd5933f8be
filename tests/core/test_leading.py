"""Of several instances on one PostgreSQL one leads, until it ends; a SQLite file has but one process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, text

from services.billing.database import BOOKS
from shared.database import RELAYING, SENDING, open_engine
from shared.leading import leading
from tests.core.billing_books import KINDS, empty_url

EVERY_S = 0.02


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    with empty_url(request.param, tmp_path) as url:
        made = open_engine(url, BOOKS)
        yield made
        made.dispose()


@pytest.fixture
def instances(tmp_path: Path) -> Iterator[list[Engine]]:
    """Three, each with an engine of its own on one PostgreSQL."""
    with empty_url("postgresql", tmp_path) as url:
        made = [open_engine(url, BOOKS) for _ in range(3)]
        yield made
        for one in made:
            one.dispose()


def nothing() -> None:
    """For one that has nobody to wait for."""


def test_one_leads_and_the_next_when_it_ends(instances: list[Engine]) -> None:
    at_once, turns, asked = 0, [], 0

    def standing_by() -> None:
        nonlocal asked
        asked += 1

    async def take_a_turn(number: int) -> None:
        nonlocal at_once
        async with leading(instances[number], RELAYING, EVERY_S, standing_by):
            at_once += 1
            assert at_once == 1
            turns.append(number)
            await asyncio.sleep(5 * EVERY_S)
            at_once -= 1

    async def all_of_them() -> None:
        await asyncio.gather(*(take_a_turn(number) for number in range(3)))

    asyncio.run(all_of_them())
    assert sorted(turns) == [0, 1, 2]
    assert asked >= 2


def test_it_leads_no_more_when_its_session_is_gone(instances: list[Engine]) -> None:
    """As of a process that was killed: nobody gives the lock back."""

    async def story() -> None:
        async with leading(instances[0], RELAYING, EVERY_S, nothing) as lost:
            session = await lost.whole(lambda c: c.execute(text("SELECT pg_backend_pid()")).scalar_one())
            with instances[2].begin() as connection:
                connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": session})
            async with asyncio.timeout(30), leading(instances[1], RELAYING, EVERY_S, nothing) as taken:
                assert await taken.whole(one) == 1

    asyncio.run(story())


def test_another_purpose_has_a_lead_of_its_own(engine: Engine) -> None:
    async def story() -> None:
        async with (
            asyncio.timeout(30),
            leading(engine, RELAYING, EVERY_S, nothing),
            leading(engine, SENDING, EVERY_S, nothing) as other,
        ):
            assert await other.whole(one) == 1

    asyncio.run(story())


def test_a_step_is_a_transaction(engine: Engine) -> None:
    def fail(connection: Connection) -> None:
        connection.execute(text("INSERT INTO noted VALUES (1)"))
        raise ZeroDivisionError

    async def story() -> None:
        async with leading(engine, RELAYING, EVERY_S, nothing) as lead:
            await lead.whole(lambda c: c.execute(text("CREATE TABLE noted (what INTEGER)")))
            with pytest.raises(ZeroDivisionError):
                await lead.whole(fail)
            assert await lead.whole(noted) == 0

    asyncio.run(story())


def test_a_step_that_has_begun_is_done_to_its_end_when_cancelled(engine: Engine) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slowly(connection: Connection) -> None:
        connection.execute(text("INSERT INTO noted VALUES (1)"))
        begun.set()
        assert go_on.wait(30)

    async def lead_and_note() -> None:
        async with leading(engine, RELAYING, EVERY_S, nothing) as lead:
            await lead.whole(lambda c: c.execute(text("CREATE TABLE noted (what INTEGER)")))
            await lead.whole(slowly)

    async def story() -> None:
        task = asyncio.create_task(lead_and_note())
        await asyncio.to_thread(begun.wait, 30)
        task.cancel()
        await asyncio.sleep(5 * EVERY_S)
        assert not task.done()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(story())
    with engine.begin() as connection:
        assert noted(connection) == 1


def one(connection: Connection) -> int:
    return int(connection.execute(text("SELECT 1")).scalar_one())


def noted(connection: Connection) -> int:
    return int(connection.execute(text("SELECT count(*) FROM noted")).scalar_one())
