"""Bulletins of the status page become letters: once each, in four languages, ended with one click."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, select, update

from services.notify.api import build_api
from services.notify.bulletin_routes import add_bulletins
from services.notify.bulletins import BOUNCES_MOST, letter
from services.notify.settings import LANGUAGES, Language, NotifySettings
from services.notify.tables import letters
from shared.bulletins import Bulletin
from shared.database import reading, writing
from shared.mail.reading import read
from shared.time import parse_instant
from tests.core.billing_books import KINDS, SetClock
from tests.core.notify_books import empty_office

TOKEN = "token-of-the-test"  # noqa: S105
AT = "2026-11-24T15:21:00.000Z"
NOW = parse_instant(AT)
SETTINGS = NotifySettings(support_address="support@acme.example")
UNSUBSCRIBE = "https://status.acme.example/fr/unsubscribe/" + "t" * 60

ABOUT: dict[str, dict[str, Any]] = {
    "confirm": {
        "confirm_url": "https://status.acme.example/fr/confirm/x",
        "hours": 48,
        "components": ["API"],
    },
    "change": {
        "condition": "up",
        "components": [{"name": "API", "at": AT, "lasted_ms": 8_100_000}, {"name": "Web", "at": AT}],
    },
    "incident": {
        "title": "Slow answers",
        "status": "identified",
        "paragraphs": ["We found it.", "A fix is on its way."],
        "at": AT,
        "components": [],
        "url": "https://status.acme.example/fr/incidents/i1/",
    },
    "maintenance": {"phase": "announced", "starts_at": AT, "ends_at": AT, "components": ["API"]},
    "corrected": {"components": ["API"], "periods": ["2026-11-01", "2026-06"]},
}


def bulletin(
    kind: str = "change", language: str = "fr", id: str = "news/1/s1", **more: Any
) -> dict[str, Any]:
    return {
        "id": id,
        "contact": "status-s1",
        "to": "anna@demo.example",
        "language": language,
        "vendor": "Acme SA",
        "product": "Acme Suite",
        "zone": "Europe/Zurich",
        "page_url": f"https://status.acme.example/{language}/",
        "unsubscribe_url": "" if kind == "confirm" else UNSUBSCRIBE,
        "about": {"kind": kind, **ABOUT[kind]},
        **more,
    }


def written(**given: Any) -> Any:
    return message_from_bytes(
        letter(SETTINGS, Bulletin.model_validate(bulletin(**given)), NOW).data, policy=default
    )


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    with empty_office(request.param, tmp_path) as found:
        yield found


class Asked:
    """Notify's API in this process."""

    def __init__(self, engine: Engine) -> None:
        self.written = asyncio.Event()
        clock = SetClock(AT)
        api = build_api(engine, TOKEN, clock, list, list)
        add_bulletins(api, engine, TOKEN, SETTINGS, clock, self.written)
        self._transport = httpx.ASGITransport(api)

    async def __call__(self, method: str, path: str, body: Any = None, token: str = TOKEN) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(transport=self._transport, base_url="http://notify") as client:
            return await client.request(method, path, json=body, headers=headers)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", ABOUT)
def test_each_bulletin_says_what_it_must_in_text_and_html(kind: str, language: Language) -> None:
    mail = written(kind=kind, language=language)
    text = mail.get_body(("plain",)).get_content()
    page = mail.get_body(("html",)).get_content().replace("\u00a0", " ").replace("&#39;", "'")
    told = {
        "confirm": ("https://status.acme.example/fr/confirm/x", "48", "API"),
        "change": ("API", "Web", "16:21", "2 h 15 min", f"https://status.acme.example/{language}/"),
        "incident": ("Slow answers", "We found it.", "A fix is on its way.", "incidents/i1/", "16:21"),
        "maintenance": ("API", "16:21", "24"),
        "corrected": ("API", "2026"),
    }[kind]
    for value in told:
        assert value in text
        assert value in page
    assert ("Europe/Zurich" in text) == (kind != "confirm")
    assert f'lang="{language}"' in page
    assert "Acme Suite" in mail["Subject"]
    assert "{" not in text + mail["Subject"]
    assert "None" not in text
    assert max(len(line) for line in text.splitlines() if "http" not in line) <= 76


def test_languages_differ_in_every_line_that_is_ours() -> None:
    for kind in ABOUT:
        subjects = [written(kind=kind, language=language)["Subject"] for language in LANGUAGES]
        assert len(set(subjects)) == len(LANGUAGES)


def test_one_click_ends_it_and_what_is_not_subscribed_yet_has_nothing_to_end() -> None:
    mail = written()
    assert mail["List-Unsubscribe"] == f"<{UNSUBSCRIBE}>"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    raw = letter(SETTINGS, Bulletin.model_validate(bulletin()), NOW).data
    assert f"\r\nList-Unsubscribe: <{UNSUBSCRIBE}>\r\n".encode() in raw  # in one piece: machines read it
    assert UNSUBSCRIBE in mail.get_body(("plain",)).get_content()
    asked = written(kind="confirm")
    assert asked["List-Unsubscribe"] is asked["List-Unsubscribe-Post"] is None
    plain = written(unsubscribe_url="http://status.acme.example/fr/unsubscribe/x")
    assert plain["List-Unsubscribe-Post"] is None  # RFC 8058 wants https
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Reply-To"] == "support@acme.example"


HOSTILE = "x\r\nBcc: eve@evil.example\r\n\r\n<script>alert(1)</script>|\u202e" + "y" * 100


@pytest.mark.parametrize("kind", ["change", "incident", "maintenance", "corrected", "confirm"])
def test_hostile_names_and_texts_add_no_header_block_or_tag(kind: str) -> None:
    about = {"kind": kind, **ABOUT[kind]}
    names = [{"name": HOSTILE, "at": AT}] if kind == "change" else [HOSTILE]
    about |= {"components": names}
    if kind == "incident":
        about |= {"title": HOSTILE, "paragraphs": [HOSTILE * 10]}
    mail = written(kind=kind, about=about, vendor=HOSTILE, product=HOSTILE)
    assert mail["Bcc"] is None
    assert mail["To"] == "anna@demo.example"
    assert "<script" not in mail.get_body(("html",)).get_content()
    known = {"Date", "From", "To", "Subject", "Message-ID", "MIME-Version", "Content-Type", "Reply-To"}
    lists = {"List-Unsubscribe", "List-Unsubscribe-Post"}
    assert set(mail.keys()) <= known | lists | {"Auto-Submitted", "X-Auto-Response-Suppress"}


async def test_said_again_it_is_the_same_letter_and_only_callers_with_the_token_say_it(
    engine: Engine,
) -> None:
    ask = Asked(engine)
    given = {"bulletins": [bulletin(), bulletin(id="news/1/s2", contact="status-s2", to="beat@demo.example")]}
    assert (await ask("POST", "/bulletins", given, token="other")).status_code == 401  # noqa: S106
    assert not ask.written.is_set()
    answer = await ask("POST", "/bulletins", given)
    assert answer.json() == [{"id": f"news/1/s{n}", "state": "waiting"} for n in (1, 2)]
    assert ask.written.is_set()
    with writing(engine) as connection:
        connection.execute(update(letters).values(state="accepted"))
    again = await ask("POST", "/bulletins", given)
    assert [one["state"] for one in again.json()] == ["accepted", "accepted"]
    listed = (await ask("GET", "/letters")).json()
    assert sorted((one["letter"], one["account"], one["kind"]) for one in listed) == [
        ("news/1/s1", "", "status-change"),
        ("news/1/s2", "", "status-change"),
    ]
    shown = (await ask("GET", "/letters/news/1/s1")).json()
    assert shown["recipient"] == "anna@demo.example"
    assert (await ask("GET", "/letters?account=A-1")).json() == []


async def test_a_reader_who_is_forgotten_leaves_nothing_and_gets_nothing_said_again(engine: Engine) -> None:
    ask = Asked(engine)
    await ask("POST", "/bulletins", {"bulletins": [bulletin()]})
    assert (await ask("DELETE", "/contacts/status-s1")).json()["letters"] == 1
    again = await ask("POST", "/bulletins", {"bulletins": [bulletin()]})
    assert again.json() == [{"id": "news/1/s1", "state": "forgotten"}]
    with reading(engine) as connection:
        row = connection.execute(select(letters)).one()
    assert (row.recipient, row.data, row.state) == (None, None, "forgotten")


async def test_a_reader_whose_mail_keeps_coming_back_gets_no_more(engine: Engine) -> None:
    ask = Asked(engine)
    for number in range(BOUNCES_MOST):
        await ask("POST", "/bulletins", {"bulletins": [bulletin(id=f"news/{number}/s1")]})
    with writing(engine) as connection:
        connection.execute(update(letters).values(state="bounced"))
    answer = await ask("POST", "/bulletins", {"bulletins": [bulletin(id="news/9/s1")]})
    assert answer.json() == [{"id": "news/9/s1", "state": "bouncing"}]
    with reading(engine) as connection:
        assert len(connection.execute(select(letters)).all()) == BOUNCES_MOST


@pytest.mark.parametrize(
    "wrong",
    [
        {"to": "anna@demo.example, eve@evil.example"},
        {"to": "anna@demo.example\r\nBcc: eve@evil.example"},
        {"contact": "C-1"},
        {"id": "quota/S-1\n"},
        {"language": "rm"},
        {"page_url": "javascript:alert(1)"},
        {"unsubscribe_url": "https://a.example/\r\nBcc: eve@evil.example"},
        {"about": {"kind": "change", "condition": "down", "components": [{"name": "x", "at": "today"}]}},
        {"about": {"kind": "other"}},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
async def test_what_cannot_be_is_refused_whole_and_the_answer_repeats_no_address(
    engine: Engine, wrong: dict[str, Any]
) -> None:
    ask = Asked(engine)
    answer = await ask("POST", "/bulletins", {"bulletins": [bulletin(id="news/0/s1"), bulletin(**wrong)]})
    assert answer.status_code == 422
    assert "eve@" not in answer.text
    with reading(engine) as connection:
        assert connection.execute(select(letters)).all() == []


def test_the_letter_is_read_as_written_by_a_machine() -> None:
    data = letter(SETTINGS, Bulletin.model_validate(bulletin()), NOW).data
    assert read(data).automatic == "auto-generated"
