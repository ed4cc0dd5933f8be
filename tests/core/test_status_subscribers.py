"""Subscribing without JavaScript: nothing is learnt by asking, nothing happens by opening a link, one click
ends it, and an address that is of no use is gone."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from sqlalchemy import Engine, select

from services.status.readers.forms import PREFIXES, public_routes
from services.status.readers.sources import Sources
from services.status.readers.subscribers import Allowance, all_subscribers, forget_unconfirmed
from services.status.site import LANGUAGES, Site
from services.status.tables import askings, mails, metadata, subscribers
from shared.database import reading, writing
from shared.time import DAY, HOUR, Instant
from tests.core.billing_books import KINDS
from tests.core.status_readers import ANNA, NOW, PLENTY, clock, component, empty_page, site

PAGE = site(component("api"), component("web"))
FORM = {"email": ANNA, "scope": "all", "website": ""}


@pytest.fixture(scope="module", params=KINDS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with empty_page(request.param, tmp_path_factory.mktemp("page")) as found:
        yield found


@pytest.fixture
def engine(made: Engine) -> Engine:
    with writing(made) as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())
    return made


class Public:
    """The forms, as a browser or a mail program asks them."""

    def __init__(self, engine: Engine, page: Site | None = PAGE, allowance: Allowance = PLENTY) -> None:
        self.engine, self.clock, self.wake = engine, clock(), asyncio.Event()
        self.app = public_routes(engine, lambda: page, self.clock, self.wake, allowance)

    async def ask(
        self, method: str, path: str, form: Any = None, source: str = "192.0.2.1", **more: Any
    ) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, client=(source, 1))
        async with httpx.AsyncClient(transport=transport, base_url="https://status.acme.example") as client:
            return await client.request(method, path, data=form, **more)

    async def subscribe(self, address: str = ANNA, language: str = "fr", **form: Any) -> httpx.Response:
        return await self.ask("POST", f"/{language}/subscribe/", {**FORM, "email": address, **form})

    def links(self) -> list[str]:
        """The confirming links in the mails for notify, as paths."""
        with reading(self.engine) as connection:
            waiting = select(mails.c.body).where(mails.c.purpose == "confirm").order_by(mails.c.due_at)
            bodies = connection.execute(waiting).scalars().all()
        urls = [msgspec.json.decode(body)["about"]["confirm_url"] for body in bodies]
        return [url.removeprefix("https://status.acme.example") for url in urls]

    def readers(self) -> list[Any]:
        with reading(self.engine) as connection:
            return list(connection.execute(select(subscribers)).all())

    def rows(self, table: Any) -> list[Any]:
        with reading(self.engine) as connection:
            return list(connection.execute(select(table)).all())


async def confirmed(public: Public, address: str = ANNA, **form: Any) -> str:
    """Subscribes and confirms; the path that ends it."""
    await public.subscribe(address, **form)
    assert (await public.ask("POST", public.links()[-1])).status_code == 200
    (reader,) = [one for one in public.readers() if one.address == address]
    return f"/{reader.language}/unsubscribe/{reader.unsubscribe_token}"


async def test_only_the_button_of_the_mailed_page_confirms(engine: Engine) -> None:
    public = Public(engine)
    asked = await public.subscribe()
    assert (asked.status_code, public.wake.is_set(), public.readers()) == (200, True, [])
    (link,) = public.links()
    assert link.startswith("/fr/confirm/")
    for _ in range(3):  # as programs do that look what is behind the links of a mail
        shown = await public.ask("GET", link)
        assert (shown.status_code, public.readers()) == (200, [])
        assert (await public.ask("HEAD", link)).status_code == 200
    (form,) = forms(shown.text)
    assert (form["method"], form["action"]) == ("post", link)
    assert (await public.ask("POST", link)).status_code == 200
    assert [one.address for one in public.readers()] == [ANNA]
    assert (await public.ask("POST", link)).status_code == 200  # a double click
    assert len(public.readers()) == 1


async def test_the_answer_is_the_same_whatever_is_known_of_the_address(engine: Engine) -> None:
    public = Public(engine, allowance=Allowance(per_address=2, per_source=100))
    first = await public.subscribe()
    await public.ask("POST", public.links()[0])
    subscribed = await public.subscribe()
    too_often = await public.subscribe()
    assert first.content == subscribed.content == too_often.content
    assert first.headers == subscribed.headers == too_often.headers
    assert len(public.links()) == 2
    assert (await public.subscribe("new@demo.example")).content == first.content
    public.clock.now = Instant(NOW + DAY + 1)
    await public.subscribe()
    assert len(public.links()) == 4


async def test_what_is_chosen_again_replaces_what_was_chosen_and_nobody_is_subscribed_twice(
    engine: Engine,
) -> None:
    public = Public(engine)
    await confirmed(public, scope="some", component=["api", "nothing"])
    await public.subscribe("Anna@DEMO.example", "de", scope="some", component=["web"])  # another local part
    with reading(engine) as connection:
        assert [one.components for one in all_subscribers(connection)] == [frozenset({"api"})]
    await public.subscribe("anna@DEMO.example", "de", scope="some", group=["g"])
    await public.ask("POST", public.links()[-1])
    with reading(engine) as connection:
        (reader,) = all_subscribers(connection)
    assert (reader.language, reader.components) == ("de", frozenset({"api", "web"}))
    await confirmed(public, scope="some")
    with reading(engine) as connection:
        assert all_subscribers(connection)[0].components is None


async def test_one_click_ends_it_at_once_and_leaves_nothing_of_the_reader(engine: Engine) -> None:
    public = Public(engine)
    path = await confirmed(public)
    await public.subscribe()
    shown = await public.ask("GET", path)
    assert (shown.status_code, len(public.readers())) == (200, 1)
    public.wake.clear()
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    ended = await public.ask("POST", path, content=b"List-Unsubscribe=One-Click", headers=kind)
    assert (ended.status_code, public.readers(), public.rows(askings)) == (200, [], [])
    left = public.rows(mails)
    assert {row.purpose for row in left} == {"forget"}
    assert sorted(row.due_at - NOW for row in left) == [0] * 3 + [HOUR] * 3  # reader and both askings, twice
    assert ANNA not in str(left)
    assert public.wake.is_set()
    again = await public.ask("POST", path)
    assert (again.status_code, again.content) == (200, ended.content)


async def test_an_old_link_does_not_bring_back_who_has_left(engine: Engine) -> None:
    public = Public(engine)
    await public.subscribe()
    await public.subscribe()
    first, second = public.links()
    await public.ask("POST", first)
    path = f"/fr/unsubscribe/{public.readers()[0].unsubscribe_token}"
    files = {"List-Unsubscribe": (None, "One-Click")}  # RFC 8058 allows multipart too
    assert (await public.ask("POST", path, files=files)).status_code == 200
    for link in (first, second):
        assert (await public.ask("POST", link)).status_code == 404
    assert public.readers() == []


async def test_who_does_not_confirm_within_48_hours_is_forgotten(engine: Engine) -> None:
    public = Public(engine)
    await public.subscribe()
    (link,) = public.links()
    public.clock.now = Instant(NOW + 48 * HOUR)
    assert (await public.ask("GET", link)).status_code == 404
    assert (await public.ask("POST", link)).status_code == 404
    with writing(engine) as connection:
        assert forget_unconfirmed(connection, Instant(NOW + 48 * HOUR - 1)) == 0
        assert forget_unconfirmed(connection, public.clock()) == 1
    assert public.rows(askings) == []
    assert ANNA not in str(public.rows(mails))
    assert {row.purpose for row in public.rows(mails)} == {"forget"}


async def test_one_source_and_all_together_ask_for_so_much_and_no_more(engine: Engine) -> None:
    public = Public(engine, allowance=Allowance(per_source=2, in_all=3))
    answers = [await public.subscribe(f"user{number}@demo.example") for number in range(3)]
    assert [one.status_code for one in answers] == [200, 200, 429]
    other = await public.ask("POST", "/fr/subscribe/", FORM, source="192.0.2.2")
    assert other.status_code == 200
    full = await public.ask("POST", "/fr/subscribe/", {**FORM, "email": "z@demo.example"}, source="192.0.2.3")
    assert full.status_code == 429
    assert len(public.links()) == 3


def test_a_household_on_ipv6_is_one_source_and_memory_is_bounded() -> None:
    sources = Sources(2)
    assert sources.may("2001:db8:1:2::1", NOW)
    assert sources.may("2001:db8:1:2:ffff::9", NOW)
    assert not sources.may("2001:db8:1:2::3", NOW)
    assert sources.may("2001:db8:1:3::1", NOW)
    assert sources.may("2001:db8:1:2::3", Instant(NOW + HOUR))
    assert sources.may("::ffff:192.0.2.1", NOW)
    assert sources.may("192.0.2.1", NOW)
    assert not sources.may("192.0.2.1", NOW)
    for number in range(30_000):
        sources.may(f"10.{number >> 8}.{number & 255}.1", NOW)
    assert len(sources._asked) <= 10_000


@pytest.mark.parametrize(
    "address",
    [
        "",
        "anna",
        "anna@demo.example, eve@evil.example",
        "anna@demo.example\r\nBcc: eve@evil.example",
        "@",
        "x" * 300,
    ],
)
async def test_what_is_no_address_is_said_to_be_none(engine: Engine, address: str) -> None:
    public = Public(engine)
    answer = await public.subscribe(address)
    assert (answer.status_code, public.links()) == (422, [])
    assert "evil" not in answer.text


async def test_what_no_form_of_ours_sends_harms_nothing(engine: Engine) -> None:
    public = Public(engine)
    for body in (b"\xff" * 100, b"email=" + b"a" * 200_000, b"&" * 5_000, b"email=%00%0d%0a@x", b"{}"):
        assert (await public.ask("POST", "/fr/subscribe/", content=body)).status_code == 422
    trapped = await public.subscribe(website="https://spam.example/")
    assert trapped.content == (await public.subscribe()).content
    assert len(public.links()) == 1
    for path in ("/fr/confirm/", "/xx/confirm/a", "/fr/confirm/a/b", "/fr/else/a"):
        assert (await public.ask("GET", path)).status_code == 404
    assert (await public.ask("DELETE", "/fr/confirm/abc")).status_code == 404
    assert (await public.ask("POST", "/fr/confirm/" + "é" * 500)).status_code == 404
    assert (await public.ask("POST", "/fr/unsubscribe/" + "x" * 5_000)).status_code == 200


async def test_without_an_address_of_the_page_nobody_can_subscribe(engine: Engine) -> None:
    for page in (None, site(url="")):
        public = Public(engine, page)
        assert (await public.subscribe()).status_code == 503
        assert public.links() == []


@pytest.mark.parametrize("language", LANGUAGES)
async def test_every_page_is_in_the_reader_s_language_and_as_strict_as_the_others(
    engine: Engine, language: str
) -> None:
    public = Public(engine)
    path = await confirmed(public)
    path = path.replace("/fr/", f"/{language}/")
    answers = [
        await public.subscribe(language=language),
        await public.subscribe("no", language),
        await public.ask("GET", public.links()[-1]),
        await public.ask("GET", f"/{language}/confirm/old"),
        await public.ask("GET", path),
        await public.ask("POST", path),
    ]
    for answer in answers:
        assert f'<html lang="{language}' in answer.text
        assert "<script" not in answer.text
        assert re.search(r"<h1[ >]", answer.text)
        assert answer.headers["Content-Language"] == language
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Referrer-Policy"] == "no-referrer"  # the token is in the address
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert len({answer.text for answer in answers}) == len(answers)


def test_prefixes_name_what_is_answered_here() -> None:
    assert len(PREFIXES) == 2 * len(LANGUAGES)


def test_clicks_at_the_same_instant_make_one_subscriber(engine: Engine) -> None:
    public = Public(engine)
    asyncio.run(public.subscribe())
    asyncio.run(public.subscribe())
    links = public.links() * 4

    def click(link: str) -> int:
        return asyncio.run(public.ask("POST", link)).status_code

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(click, links)) == [200] * 8
    assert len(public.readers()) == 1


async def test_while_the_database_is_away_the_answer_says_so(tmp_path: Path) -> None:
    with empty_page("sqlite", tmp_path) as engine:
        public = Public(engine)
        with writing(engine) as connection:
            connection.exec_driver_sql("DROP TABLE subscribers")
            connection.exec_driver_sql("DROP TABLE askings")
        assert (await public.subscribe()).status_code == 503
        assert (await public.ask("POST", "/fr/unsubscribe/x")).status_code == 503


def forms(page: str) -> list[dict[str, str | None]]:
    """The attributes of the forms on a page."""
    found: list[dict[str, str | None]] = []

    class Forms(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            if tag == "form":
                found.append(dict(attrs))

    Forms().feed(page)
    return found
