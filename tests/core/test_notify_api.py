"""Notify's HTTP API and the command line on it, over a real socket; what records and answers it takes."""

from __future__ import annotations

import asyncio
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from msgspec.structs import replace
from pydantic import ValidationError
from sqlalchemy import Engine, update
from typer.testing import CliRunner

from services.notify.api import build_api
from services.notify.command import app
from services.notify.consumer import fact_of, outcome_of
from services.notify.own_mail import take_mail
from services.notify.recipients import Contact, SupportAway, letters_to
from services.notify.settings import NotifySettings
from services.notify.tables import letters
from shared import facts, outcomes
from shared.calling import Refused
from shared.codec import Undecodable, encode
from shared.database import writing
from shared.mail.composing import Letter, compose
from shared.time import parse_instant
from shared.topics import QUOTA
from tests.core.billing_books import KINDS, started
from tests.core.notify_books import BEAT, Office, empty_office, warned

TOKEN = secrets.token_urlsafe()
LETTER = "quota/S-1/2026-01-01/0/10/C-1"
OTHER = "quota/S-1/2026-01-01/0/10/C-2"


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    with empty_office(request.param, tmp_path) as found:
        yield found


@pytest.fixture
def office(engine: Engine) -> Office:
    """An office with one letter to each of two people, and one occasion for which there is nobody."""
    found = Office(engine)
    found.people = [*found.people, BEAT]
    found.take("quota", warned())
    found.later(2)
    found.write()
    found.people = []
    found.take("quota", warned(subscription="S-2", account="A-2", at=(11, 1)))
    found.later(2)
    found.write()
    return found


@pytest.fixture
def http(engine: Engine, office: Office, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    api = build_api(engine, TOKEN, office.clock, list, list)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(api, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    monkeypatch.setenv("GARANT_NOTIFY_URL", url)
    monkeypatch.setenv("GARANT_NOTIFY_TOKEN", TOKEN)
    monkeypatch.setenv("COLUMNS", "250")
    try:
        with httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False
        ) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()


def set_letter(engine: Engine, letter: str, **values: object) -> None:
    with writing(engine) as connection:
        connection.execute(update(letters).where(letters.c.id == letter).values(**values))


def garant(*args: str) -> str:
    result = CliRunner().invoke(app, list(args), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_every_route_but_health_wants_the_token(http: httpx.Client) -> None:
    paths = http.get("/openapi.json").json()["paths"]
    open_paths = {"/live", "/ready", "/metrics"}
    assert set(paths) >= open_paths | {"/letters", "/waiting", "/contacts/{contact}"}
    for path, methods in paths.items():
        for method in methods:
            answer = httpx.request(method, f"{http.base_url}{path}", trust_env=False)
            assert answer.status_code == (200 if path in open_paths else 401), path


def test_letters_are_listed_by_state_and_account_and_shown_with_their_text(
    engine: Engine, http: httpx.Client
) -> None:
    set_letter(engine, LETTER, state="refused", reason="550 5.1.1 no such user")
    assert {row["letter"] for row in http.get("/letters").json()} == {LETTER, OTHER}
    (row,) = http.get("/letters", params={"state": "refused", "account": "A-1"}).json()
    assert (row["letter"], row["kind"], row["subscription"], row["reason"]) == (
        LETTER,
        "quota",
        "S-1",
        "550 5.1.1 no such user",
    )
    assert http.get("/letters", params={"account": "A-9"}).json() == []
    assert http.get("/letters", params={"state": "lost"}).status_code == 422
    shown = http.get(f"/letters/{LETTER}").json()
    assert shown["recipient"] == "anna@demo.example"
    assert "2 h 15 min" in shown["text"]
    assert http.get("/letters/quota/none").status_code == 404


def test_what_waits_for_somebody_to_write_to_is_shown(http: httpx.Client) -> None:
    (row,) = http.get("/waiting").json()
    assert (row["account"], row["state"]) == ("A-2", "no address")
    assert "no contact" in row["reason"]


def test_a_person_decides_on_letters_in_doubt_and_only_on_those(engine: Engine, http: httpx.Client) -> None:
    answer = http.post(f"/letters/{LETTER}/resend")
    assert (answer.status_code, "waiting" in answer.json()["detail"]) == (409, True)
    assert http.post(f"/letters/{LETTER}/accepted").status_code == 409
    set_letter(engine, LETTER, state="doubtful")
    set_letter(engine, OTHER, state="doubtful")
    assert http.post(f"/letters/{LETTER}/resend").json()["state"] == "waiting"
    assert http.post(f"/letters/{OTHER}/accepted").json()["state"] == "accepted"
    assert http.post("/letters/none/resend").status_code == 404


def test_a_contact_is_forgotten_and_again_is_no_error(http: httpx.Client) -> None:
    assert http.delete("/contacts/C-1").json() == {"contact": "C-1", "letters": 1}
    assert http.delete("/contacts/C-1").json() == {"contact": "C-1", "letters": 0}
    shown = http.get(f"/letters/{LETTER}").json()
    assert (shown["recipient"], shown["subject"], shown["text"], shown["state"]) == (
        None,
        None,
        None,
        "forgotten",
    )
    assert http.post(f"/letters/{LETTER}/resend").status_code == 409
    assert http.get(f"/letters/{OTHER}").json()["text"]


def test_the_command_line_does_all_of_it(engine: Engine, http: httpx.Client) -> None:
    listed = garant("letters")
    assert LETTER in listed
    assert "no address" in listed
    assert "Reste:" in garant("show", LETTER)
    set_letter(engine, LETTER, state="bounced")
    set_letter(engine, OTHER, state="doubtful")
    assert garant("letters", "--state", "bounced", "--account", "A-1").count("quota/") == 1
    assert garant("resend", LETTER).strip() == f"{LETTER}: waiting"
    assert garant("accepted", OTHER).strip() == f"{OTHER}: accepted"
    with pytest.raises(Refused, match="only a doubtful one"):
        garant("accepted", OTHER)


def test_a_service_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GARANT_NOTIFY_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("GARANT_NOTIFY_TOKEN", TOKEN)
    with pytest.raises(Refused, match="GARANT_NOTIFY_URL"):
        garant("letters")


def asked(answer: httpx.Response) -> list[Contact]:
    async def ask() -> list[Contact]:
        async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: answer)) as client:
            return await letters_to(client, "http://desk.example/", TOKEN, "A/1")

    return asyncio.run(ask())


def test_who_is_written_to_is_what_support_says_and_nobody_where_it_knows_no_such_account() -> None:
    body = [{"contact": "C-1", "address": "a@demo.example", "name": None, "language": "fr", "more": 1}]
    assert asked(httpx.Response(200, json=body)) == [Contact("C-1", "", "a@demo.example", "fr")]
    assert asked(httpx.Response(404)) == []


@pytest.mark.parametrize(
    ("answer", "helps"),
    [
        (httpx.Response(401), "GARANT_NOTIFY_SUPPORT_TOKEN"),
        (httpx.Response(500), "its log"),
        (httpx.Response(200, text="<html>"), "GARANT_NOTIFY_SUPPORT_URL"),
    ],
)
def test_an_answer_that_tells_nobody_is_support_being_away(answer: httpx.Response, helps: str) -> None:
    with pytest.raises(SupportAway, match=helps):
        asked(answer)


def test_only_what_a_database_can_hold_is_taken() -> None:
    assert outcome_of(QUOTA, encode(warned())) == warned()
    for bad in (
        b"",
        encode(replace(warned(), account="")),
        encode(replace(warned(), subscription="S\0")),
        encode(replace(warned(), used_minutes=2**31)),
        encode(replace(warned(), journal=outcomes.Stamp(0, -1, 0, ""))),
        encode(outcomes.TermsNoticeDue("A-1", "v", warned().year_starts_on, warned().journal)),
    ):
        with pytest.raises(Undecodable):
            outcome_of(QUOTA, bad)


def test_of_facts_only_the_useful_and_readable_are_taken() -> None:
    withdrawn = facts.RequestWithdrawn("A-1", "T-1", parse_instant("2026-01-01T00:00:00.000Z"))
    assert fact_of(encode(withdrawn)) == withdrawn
    assert fact_of(encode(started())) == started()
    assert fact_of(encode(facts.RequestClosed("A-1", "T-1", withdrawn.at))) is None
    assert fact_of(b'{"type":"RequestWithdrawn"}') is None
    assert fact_of(b"\xff") is None


def test_a_copy_of_ours_says_that_the_relay_had_the_letter_and_a_stranger_s_mail_says_nothing(
    engine: Engine, office: Office, http: httpx.Client
) -> None:
    address = "letters@garant.example"
    set_letter(engine, LETTER, state="doubtful", attempts=1)
    (message_id, *_) = (
        one.message_id for name, one in office.letters().items() if name == LETTER and one.message_id
    )
    stranger = compose(Letter("<quota.x@garant.example>", "", "eve@demo.example", "", address, "hi", "hi", 0))
    copy = compose(Letter(message_id, "", address, "", "anna@demo.example", "copy", "copy", 0))
    with writing(engine) as connection:
        found = [
            take_mail(connection, raw, address, "garant.example", office.clock)
            for raw in (b"", b"\xff\0", stranger, copy)
        ]
    assert found == ["other", "other", "other", "copy"]
    assert http.get(f"/letters/{LETTER}").json()["state"] == "accepted"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("zone", "Europe/Atlantis"),
        ("address", "letters@a.example\r\nBcc: x@a.example"),
        ("staff", "one@a.example, nobody"),
        ("support_address", "a@b.example, c@d.example"),
        ("terms_url", "javascript:alert(1)"),
        ("staff_language", "es"),
    ],
)
def test_a_setting_that_is_wrong_is_refused_at_the_start(name: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=name):
        NotifySettings(**{name: value})


def test_a_copy_to_ourselves_is_asked_for_only_where_our_mailbox_is_watched() -> None:
    assert NotifySettings().sending().copy_to is None
    assert NotifySettings().mailbox() is None
    assert NotifySettings().relay() is None
    watched: Any = {"imap_host": "mail.example", "imap_password": "x", "staff": '["a@b.example"]'}
    assert NotifySettings(**watched).sending().copy_to == "letters@garant.example"
    assert NotifySettings(**watched).staff == ("a@b.example",)
