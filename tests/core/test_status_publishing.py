"""When pages are written: at once on news, now and then without any, never behind those that are there."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from services.status.configuration import load
from services.status.history.reading import Reading
from services.status.history.standing import Standing
from services.status.pages import Pages
from services.status.serving import publishing
from services.status.serving.publishing import Publishing
from services.status.site import LANGUAGES, Incident, Update
from services.status.staff.noticing import Noticed
from shared.database import wall_clock
from shared.settings import KafkaSettings
from shared.time import HOUR
from tests.waiting import until

WORDS = dict.fromkeys(LANGUAGES, "Slow logins")


class Desk:
    """Everything that decides on the pages of one folder, but for a broker that answers."""

    def __init__(self, home: Path) -> None:
        configuration = load(None)
        self.folder = home / "status"
        self.folder.mkdir()
        self.noticed = Noticed(home / "status.incidents")
        standing = Standing(configuration, wall_clock(), HOUR)
        self.reading = Reading(KafkaSettings(), standing, home / "status.state", 60.0, wall_clock)
        pages = Pages(self.folder, "en")
        self.page = Publishing(standing, self.reading, self.noticed, pages, self.folder, wall_clock)

    def heard_all(self) -> None:
        self.reading.caught_up = True
        self.noticed.take(self.noticed.incidents)
        self.page.news()

    def front(self) -> str:
        return (self.folder / "index.html").read_text()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


async def kept(desk: Desk) -> asyncio.Task[None]:
    return asyncio.create_task(desk.page.keep(lambda: None))


async def test_pages_of_an_earlier_run_stay_until_all_is_heard_and_nothing_is_told_before(desk: Desk) -> None:
    (desk.folder / "index.html").write_text("earlier")
    writing = await kept(desk)
    desk.page.news()
    await asyncio.sleep(1)
    assert (desk.front(), desk.page.caught_up()) == ("earlier", None)
    desk.heard_all()
    await until(desk.page.fresh.is_set)
    assert desk.page.caught_up() is not None
    assert desk.front() != "earlier"
    writing.cancel()


async def test_an_empty_folder_gets_its_pages_after_a_while_though_nothing_is_heard(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "PATIENCE_S", 0.5)
    writing = await kept(desk)
    await until((desk.folder / "index.html").exists)
    await until(lambda: desk.page.site is not None)
    assert desk.page.caught_up() is None
    assert not desk.page.fresh.is_set()
    writing.cancel()


async def test_without_news_the_pages_say_every_while_that_they_are_true(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "EVERY_S", 0.2)
    desk.heard_all()
    writing = await kept(desk)
    await until(lambda: desk.page.site)
    first = desk.page.site
    await until(lambda: desk.page.site is not first)
    assert first is not None
    assert desk.page.site is not None
    assert desk.page.site.written_at > first.written_at
    writing.cancel()


async def test_what_staff_wrote_is_on_the_page_at_once(desk: Desk) -> None:
    desk.heard_all()
    writing = await kept(desk)
    await until(desk.page.fresh.is_set)
    now = int(wall_clock())
    desk.noticed.take(
        (Incident("abc", WORDS, "minor", (), now, None, (Update("u", now, "investigating", WORDS),)),)
    )
    desk.page.news()
    await until(lambda: "Slow logins" in desk.front())
    writing.cancel()


async def test_a_folder_that_cannot_be_written_is_said_and_tried_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "AGAIN_S", 0.1)
    (desk.folder / "en").write_text("a file where a directory has to be")
    desk.heard_all()
    writing = await kept(desk)
    await until(lambda: desk.page.failure)
    assert not desk.page.fresh.is_set()
    (desk.folder / "en").unlink()
    await until(lambda: desk.page.failure is None and desk.page.fresh.is_set())
    assert (desk.folder / "en" / "index.html").exists()
    writing.cancel()
