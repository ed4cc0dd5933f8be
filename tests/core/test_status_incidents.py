"""Incidents: what staff write, through the HTTP API and the command line on it, over a real socket."""

from __future__ import annotations

import secrets
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from sqlalchemy import Engine, inspect, select
from typer.testing import CliRunner

from services.status.database import PAGE
from services.status.staff.api import build_api
from services.status.staff.incident_command import app
from services.status.staff.incidents import incidents_since
from services.status.staff.noticing import Noticed
from services.status.tables import incident_updates, incidents, metadata
from shared.calling import Refused
from shared.database import migrate, open_engine, reading
from shared.errors import NeedsAPerson
from shared.time import DAY
from tests.core.billing_books import KINDS, SetClock, empty_url

TOKEN = secrets.token_urlsafe()
OPENING = {
    "title": {"fr": "Connexions lentes", "en": "Slow logins"},
    "text": {"fr": "Nous cherchons."},
    "impact": "minor",
    "components": ["app"],
}


class Desk:
    """The API of one database, and what it was told."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.clock = engine, SetClock("2026-11-24T12:00:00.000Z")
        self.there, self.told = True, 0
        self.url = ""

    def note(self) -> None:
        self.told += 1

    def ask(self, method: str, path: str, body: Any = None, key: str | None = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {TOKEN}"} | ({"Idempotency-Key": key} if key else {})
        return httpx.request(method, self.url + path, json=body, headers=headers, trust_env=False)

    def opened(self, **changes: Any) -> dict[str, Any]:
        answer = self.ask("POST", "/incidents", OPENING | changes)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    with empty_url(request.param, tmp_path) as url:
        found = open_engine(url, PAGE)
        migrate(found, PAGE)
        yield found
        found.dispose()


@pytest.fixture
def desk(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    desk = Desk(engine)
    api = build_api(
        engine,
        TOKEN,
        desk.clock,
        ("app", "mail"),
        "https://status.example/fr",
        lambda: desk.there,
        desk.note,
        list,
        list,
    )
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(api, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    desk.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    monkeypatch.setenv("GARANT_STATUS_URL", desk.url)
    monkeypatch.setenv("GARANT_STATUS_TOKEN", TOKEN)
    yield desk
    server.should_exit = True
    thread.join()


def test_the_migrations_make_the_tables_that_the_code_uses(engine: Engine) -> None:
    found = inspect(engine)
    for table in metadata.sorted_tables:
        columns = {one["name"]: one["nullable"] for one in found.get_columns(table.name)}
        assert columns == {one.name: one.nullable for one in table.columns}
        unique = {tuple(one["column_names"]) for one in found.get_indexes(table.name)}
        assert {tuple(one.name for one in index.columns) for index in table.indexes} <= unique


def test_an_incident_is_opened_added_to_and_resolved_and_one_language_stands_in_for_the_others(
    desk: Desk,
) -> None:
    found = desk.opened()
    assert found["title"] == {
        "fr": "Connexions lentes",
        "de": "Slow logins",
        "it": "Slow logins",
        "en": "Slow logins",
    }
    assert set(found["updates"][0]["text"].values()) == {"Nous cherchons."}
    assert (found["status"], found["resolved_at"]) == ("investigating", None)
    assert found["url"] == f"https://status.example/fr/incidents/{found['incident']}/"
    path = f"/incidents/{found['incident']}"
    desk.clock.now += 60_000
    body = {
        "text": {"en": "Found."},
        "status": "identified",
        "impact": "major",
        "components": ["app", "mail"],
    }
    found = desk.ask("POST", f"{path}/updates", body).json()
    assert (found["impact"], found["components"], found["status"]) == ("major", ["app", "mail"], "identified")
    desk.clock.now += 60_000
    found = desk.ask("POST", f"{path}/resolve", {"text": {"en": "Over."}}).json()
    assert (found["status"], found["resolved_at"]) == ("resolved", "2026-11-24T12:02:00.000Z")
    assert [one["status"] for one in found["updates"]] == ["resolved", "identified", "investigating"]
    assert desk.told == 3
    again = desk.ask("POST", f"{path}/resolve", {"text": {"en": "Over, really."}})
    assert again.status_code == 409
    later = desk.ask("POST", f"{path}/updates", {"text": {"en": "What we learned."}}).json()
    assert (later["status"], later["resolved_at"]) == ("resolved", "2026-11-24T12:02:00.000Z")
    reopened = desk.ask("POST", f"{path}/updates", {"text": {"en": "Again."}, "status": "monitoring"}).json()
    assert (reopened["status"], reopened["resolved_at"]) == ("monitoring", None)


def test_words_that_come_late_take_their_place_by_time_and_do_not_open_what_is_resolved(desk: Desk) -> None:
    id = desk.opened(at="2026-11-24T10:00:00.000Z")["incident"]
    said = {"text": {"en": "Over."}, "at": "2026-11-24T11:00:00.000Z"}
    desk.ask("POST", f"/incidents/{id}/resolve", said)
    late = {"text": {"en": "Seen."}, "status": "identified", "at": "2026-11-24T10:30:00.000Z"}
    found = desk.ask("POST", f"/incidents/{id}/updates", late).json()
    assert [one["status"] for one in found["updates"]] == ["resolved", "identified", "investigating"]
    assert (found["status"], found["resolved_at"]) == ("resolved", "2026-11-24T11:00:00.000Z")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"components": ["app", "db-7"]}, "no component db-7 on the page; there are: app, mail"),
        ({"text": {}}, "write it in at least one language"),
        ({"text": {"fr": " "}}, "write it in at least one language"),
        ({"text": {"es": "Hola"}}, "'fr', 'de', 'it' or 'en'"),
        ({"text": {"fr": "a\x1b[2J"}}, "without control characters"),
        ({"text": {"fr": "x" * 20_001}}, "at most 20,000"),
        ({"title": {"fr": "two\nlines"}}, "in one line"),
        ({"impact": "terrible"}, "'none', 'minor', 'major' or 'critical'"),
        ({"status": "fixed"}, "'investigating', 'identified', 'monitoring' or 'resolved'"),
        ({"at": "2026-11-24T12:10:00.000Z"}, "that is in the future"),
        ({"at": "yesterday"}, "2026"),
        ({"author": "Anna"}, "Extra inputs are not permitted"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(desk: Desk, changes: dict[str, Any], says: str) -> None:
    answer = desk.ask("POST", "/incidents", OPENING | changes)
    assert answer.status_code == 422
    assert says in str(answer.json()["detail"])
    assert desk.ask("GET", "/incidents").json() == []
    assert desk.told == 0


def test_the_same_key_says_it_once_and_another_thing_under_it_is_refused(desk: Desk) -> None:
    first = desk.ask("POST", "/incidents", OPENING, "one")
    again = desk.ask("POST", "/incidents", OPENING, "one")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert desk.ask("POST", "/incidents", OPENING | {"impact": "major"}, "one").status_code == 409
    id = first.json()["incident"]
    assert desk.ask("POST", f"/incidents/{id}/updates", {"text": {"fr": "Suite."}}, "one").status_code == 409
    resolve = (f"/incidents/{id}/resolve", {"text": {"fr": "Fini."}}, "two")
    assert [desk.ask("POST", *resolve).status_code for _ in range(2)] == [201, 200]
    other = desk.opened()["incident"]
    assert desk.ask("POST", f"/incidents/{other}/resolve", *resolve[1:]).status_code == 409
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(desk.ask, "POST", "/incidents", OPENING, "three") for _ in range(8)]
        answers = [one.result() for one in asked]
    assert sorted(one.status_code for one in answers) == [200] * 7 + [201]
    assert len({one.json()["incident"] for one in answers}) == 1
    assert len(desk.ask("GET", "/incidents").json()) == 3


def test_only_with_the_token_and_only_what_is_there(desk: Desk) -> None:
    assert httpx.get(f"{desk.url}/incidents", trust_env=False).status_code == 401
    assert httpx.post(f"{desk.url}/incidents", json=OPENING, trust_env=False).status_code == 401
    assert httpx.get(f"{desk.url}/live", trust_env=False).status_code == 200
    assert desk.ask("GET", "/incidents/abc").status_code == 404
    unknown = desk.ask("POST", "/incidents/abc/resolve", {"text": {"fr": "Fini."}})
    assert unknown.json()["detail"] == "no incident abc; `garant incident list` names them"


def test_while_the_database_is_away_it_says_to_send_it_again(desk: Desk) -> None:
    desk.there = False
    answer = desk.ask("POST", "/incidents", OPENING, "one")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "same Idempotency-Key" in answer.json()["detail"]
    desk.there = True
    assert desk.ask("POST", "/incidents", OPENING, "one").status_code == 201


def test_the_list_holds_what_is_open_and_what_is_recent(desk: Desk) -> None:
    old = desk.opened(at="2026-01-01T00:00:00.000Z", status="resolved")["incident"]
    lasting = desk.opened(at="2026-01-02T00:00:00.000Z")["incident"]
    recent = desk.opened(status="resolved")["incident"]
    assert [one["incident"] for one in desk.ask("GET", "/incidents").json()] == [recent, lasting]
    assert [one["incident"] for one in desk.ask("GET", "/incidents?open=true").json()] == [lasting]
    everything = desk.ask("GET", "/incidents?days=3650").json()
    assert [one["incident"] for one in everything] == [recent, lasting, old]


def test_nobody_s_name_stands_in_the_tables(desk: Desk) -> None:
    columns = {column.name for table in (incidents, incident_updates) for column in table.columns}
    assert not columns & {"author", "by", "user", "staff", "address"}


def test_the_page_keeps_its_incidents_in_a_file_for_starts_without_the_database(
    desk: Desk, engine: Engine, tmp_path: Path
) -> None:
    desk.opened()
    desk.opened(title={"fr": "Autre"})
    with reading(engine) as connection:
        found = incidents_since(connection, desk.clock() - DAY)
    path = tmp_path / "status.incidents"
    noticed = Noticed(path)
    assert not noticed.known
    assert noticed.take(found)
    assert not noticed.take(found)
    kept = Noticed(path)
    assert (kept.known, kept.incidents) == (True, found)
    first = kept.incidents[1]
    id = kept.incidents[0].id
    desk.ask("POST", f"/incidents/{id}/updates", {"text": {"fr": "Suite."}})
    with reading(engine) as connection:
        assert kept.take(incidents_since(connection, desk.clock() - DAY))
    assert kept.incidents[1] is first
    path.write_bytes(b"[{")
    assert not Noticed(path).known


def test_the_command_line_writes_in_several_languages_and_shows_what_stands(
    desk: Desk, engine: Engine
) -> None:
    def said(*arguments: str, **options: Any) -> str:
        result = CliRunner().invoke(app, arguments, **options)
        if result.exception is not None:
            raise result.exception
        return str(result.output)

    opening = ("open", "--title", "fr=Panne", "--title", "Outage", "--impact", "major", "--component", "app")
    shown = said(*opening, "--text", "fr=Nous cherchons : a=b.", "--text", "en=-", input="We are at it.\n")
    assert "investigating, impact major (app)" in shown
    assert "title de/it/en: Outage" in shown
    assert "fr: Nous cherchons : a=b." in shown
    assert "de/it/en: We are at it." in shown
    id = shown.split(":")[0]
    said("update", id, "--text", "x = y", "--status", "monitoring", "--key", "k")
    said("update", id, "--text", "x = y", "--status", "monitoring", "--key", "k")
    assert "resolved, impact major" in said("resolve", id, "--text", "de=Vorbei.")
    with reading(engine) as connection:
        assert len(connection.execute(select(incident_updates)).all()) == 3
    assert id in said("list")
    assert id not in said("list", "--open")
    assert "fr/de/it/en: x = y" in said("show", id)
    with pytest.raises(Refused, match="no component nine on the page; there are: app, mail"):
        said(*opening, "--component", "nine", "--text", "x")
    with pytest.raises(NeedsAPerson, match="two texts in en"):
        said("resolve", id, "--text", "a", "--text", "en=b")
