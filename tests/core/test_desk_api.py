"""The desk's HTTP API over a real socket, on both databases: requests, keys, the work list, assigning."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, select

from services.support.settings import SupportSettings
from services.support.tables import letters, outbox, ticket_facts, tickets
from shared.codec import decode_fact
from shared.database import reading
from shared.mail.reading import read
from tests.core.desk_books import (
    KINDS,
    NOW,
    SetClock,
    client,
    empty_desk,
    judged,
    mail,
    quota,
    served,
    subscribed,
)

OPEN = {"account": "A-1", "subscription": "S-1", "severity": "serious"}
PERSON = {
    "account": "A-1",
    "addresses": ["emilie@example.ch", "Emilie.Dupont@example.ch"],
    "name": "Emilie Dupont",
    "language": "fr",
}


@pytest.fixture
def clock() -> SetClock:
    return SetClock(NOW)


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    with empty_desk(request.param, tmp_path) as found:
        yield found


@pytest.fixture
def url(engine: Engine, clock: SetClock) -> Iterator[str]:
    with served(engine, clock) as found:
        yield found


@pytest.fixture
def http(url: str) -> Iterator[httpx.Client]:
    with client(url) as found:
        yield found


@pytest.fixture(scope="module", params=KINDS)
def used(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A desk that several tests ask; none of them may change what is in it."""
    with (
        empty_desk(request.param, tmp_path_factory.mktemp("desk")) as engine,
        served(engine, SetClock(NOW)) as url,
        client(url) as found,
    ):
        found.post("/tickets", json={**OPEN, "ticket": "N-1"})
        yield found


def said(engine: Engine, ticket: str) -> list[str]:
    """The names of the facts that were said about a request, in order."""
    with reading(engine) as connection:
        rows = connection.execute(
            select(ticket_facts.c.fact)
            .join(outbox)
            .where(ticket_facts.c.ticket == ticket)
            .order_by(ticket_facts.c.sequence)
        )
        return [type(decode_fact(text.encode())).__name__ for text in rows.scalars()]


def opened(http: httpx.Client, **changed: Any) -> str:
    answer = http.post("/tickets", json={**OPEN, **changed})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["ticket"])


def keyed(http: httpx.Client, path: str, body: dict[str, Any], key: str) -> httpx.Response:
    return http.post(path, json=body, headers={"Idempotency-Key": key})


def test_every_route_but_health_and_the_webhook_wants_the_token(url: str) -> None:
    paths = httpx.get(f"{url}/openapi.json", trust_env=False).json()["paths"]
    checked = 0
    for path, methods in paths.items():
        for method in methods:
            answer = httpx.request(
                method, url + path, headers={"Authorization": "Bearer wrong"}, trust_env=False
            )
            if path in ("/live", "/ready", "/metrics"):
                assert answer.status_code == 200
            elif path == "/zammad":
                assert answer.status_code == 404
            else:
                assert answer.status_code == 401, path
                assert "GARANT_SUPPORT_TOKEN" in answer.json()["detail"]
                checked += 1
    assert checked >= 29


def test_a_request_opened_again_under_its_key_or_id_is_one(engine: Engine, http: httpx.Client) -> None:
    first, again = (keyed(http, "/tickets", OPEN, "K-1") for _ in range(2))
    other = keyed(http, "/tickets", {**OPEN, "severity": "down"}, "K-1")
    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 409)
    assert first.json() == again.json()
    assert "K-1" in other.json()["detail"]
    shown = first.json()
    assert (shown["ticket"], shown["received_at"], shown["kind"], shown["standing"]) == (
        "T-000001",
        NOW,
        "unclassified",
        "unheard",
    )
    own = {**OPEN, "ticket": "HD-7", "received_at": "2026-11-27T08:00:00Z"}
    assert [http.post("/tickets", json=own).status_code for _ in range(2)] == [201, 200]
    assert http.post("/tickets", json={**own, "account": "A-2"}).status_code == 409
    assert said(engine, "HD-7") == said(engine, "T-000001") == ["RequestOpened"]


def test_the_same_key_said_by_many_at_once_opens_one_request(engine: Engine, url: str) -> None:
    def once(_: int) -> tuple[int, str]:
        with client(url) as http:
            answer = keyed(http, "/tickets", OPEN, "K-1")
            ticket = str(answer.json()["ticket"])
            logged = keyed(http, f"/tickets/{ticket}/work", {"minutes": 5}, "K-2")
            assert logged.json()["entry"] == "1"
            return answer.status_code, ticket

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(once, range(8)))
    assert sorted(answers) == [(200, "T-000001")] * 7 + [(201, "T-000001")]
    assert said(engine, "T-000001") == ["RequestOpened", "WorkLogged"]


def test_each_thing_staff_say_becomes_one_fact_however_often_it_is_said(
    engine: Engine, http: httpx.Client
) -> None:
    ticket = opened(http, received_at="2026-11-27T08:00:00.000Z")
    at = "2026-11-27T08:30:00.000Z"
    steps: list[tuple[str, dict[str, Any]]] = [
        ("kind", {"kind": "account", "at": at}),
        ("severity", {"severity": "down", "at": at}),
        ("response", {"at": at}),
        ("work", {"minutes": 25, "at": at}),
        ("work/corrections", {"entry": "1", "minutes": 20}),
        ("close", {"at": at}),
        ("reopen", {}),
        ("withdraw", {}),
    ]
    for number, (path, body) in enumerate(steps):
        for expected in (201, 200):
            answer = keyed(http, f"/tickets/{ticket}/{path}", body, f"K-{number}")
            assert answer.status_code == expected, (path, answer.text)
    assert said(engine, ticket) == [
        "RequestOpened",
        "RequestClassified",
        "SeverityChanged",
        "FirstResponseSent",
        "WorkLogged",
        "WorkCorrected",
        "RequestClosed",
        "RequestReopened",
        "RequestWithdrawn",
    ]
    shown = http.get(f"/tickets/{ticket}").json()
    assert shown["work"] == [{"entry": "1", "minutes": 20, "at": at}]
    assert (shown["kind"], shown["severity"], shown["status"], shown["responded_at"]) == (
        "account",
        "down",
        "withdrawn",
        at,
    )
    assert [one["fact"]["type"] for one in shown["facts"]] == said(engine, ticket)
    assert keyed(http, f"/tickets/{ticket}/work", {"minutes": 99}, "K-3").status_code == 409
    assert http.post(f"/tickets/{ticket}/reopen", json={}).status_code == 422


def test_work_without_an_entry_is_numbered_and_a_known_entry_cannot_say_otherwise(
    http: httpx.Client,
) -> None:
    ticket = opened(http)
    assert [http.post(f"/tickets/{ticket}/work", json={"minutes": 5}).json()["entry"] for _ in range(3)] == [
        "1",
        "2",
        "3",
    ]
    assert http.post(f"/tickets/{ticket}/work", json={"minutes": 5, "entry": "3"}).status_code == 200
    assert http.post(f"/tickets/{ticket}/work", json={"minutes": 6, "entry": "3"}).status_code == 409
    missing = http.post(f"/tickets/{ticket}/work/corrections", json={"minutes": 6, "entry": "9"})
    assert (missing.status_code, "log it first" in missing.json()["detail"]) == (404, True)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/tickets/T-9/kind", {"kind": "bug"}),
        ("/tickets/T-9/severity", {"severity": "down"}),
        ("/tickets/T-9/response", {}),
        ("/tickets/T-9/response", {"text": "Bonjour"}),
        ("/tickets/T-9/work", {"minutes": 1}),
        ("/tickets/T-9/work/corrections", {"minutes": 1, "entry": "1"}),
        ("/tickets/T-9/close", {}),
        ("/tickets/T-9/reopen", {}),
        ("/tickets/T-9/withdraw", {}),
        ("/tickets/T-9/assign", {"account": "A-1"}),
        ("/messages/9/split", {}),
        ("/quarantine/9/release", {}),
        ("/quarantine/9/discard", {"reason": "spam"}),
        ("/letters/ticket/T-9/ack/resend", {}),
        ("/letters/ticket/T-9/ack/accepted", {}),
    ],
)
def test_what_is_not_there_is_a_404_that_says_where_to_look(
    used: httpx.Client, path: str, body: dict[str, Any]
) -> None:
    answer = used.post(path, json=body)
    assert answer.status_code == 404
    assert "garant " in answer.json()["detail"]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"severity": "urgent"}, "severity"),
        ({"kind": "question"}, "kind"),
        ({"received_at": "27.11.2026"}, "received_at"),
        ({"received_at": 1}, "received_at"),
        ({"account": "A 1"}, "account"),
        ({"subject": "a\nBcc: b@example.org"}, "subject"),
        ({"prio": "high"}, "prio"),
    ],
)
def test_a_wrong_or_unknown_field_is_named_and_what_it_held_is_not(
    used: httpx.Client, wrong: dict[str, Any], field: str
) -> None:
    answer = used.post("/tickets", json={**OPEN, **wrong})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", field]
    assert "input" not in answer.json()["detail"][0]
    assert [one["ticket"] for one in used.get("/tickets").json()] == ["N-1"]


@pytest.mark.parametrize(
    ("path", "body", "why"),
    [
        ("", {**OPEN, "received_at": "2026-11-28T09:00:00Z"}, "future"),
        ("", {**OPEN, "contact": "C-9"}, "garant support contact list"),
        ("/N-1/response", {"at": "2026-11-27T08:59:59Z"}, "before request"),
        ("/N-1/response", {"text": "Bonjour"}, "nobody is known to write to"),
        ("/N-1/response", {"text": "Bonjour", "at": NOW}, "a text goes out now"),
        ("/N-1/response", {"text": "  "}, "no text to send"),
        ("/N-1/work", {"minutes": -1}, "greater than or equal to 0"),
        ("/N-1/assign", {"account": "A-1", "subscription": "S-1"}, "already"),
    ],
)
def test_nonsense_is_refused_with_a_reason_and_says_nothing(
    used: httpx.Client, path: str, body: dict[str, Any], why: str
) -> None:
    answer = used.post(f"/tickets{path}", json=body)
    assert answer.status_code == 422
    assert why in answer.text
    assert [one["fact"]["type"] for one in used.get("/tickets/N-1").json()["facts"]] == ["RequestOpened"]
    assert len(used.get("/tickets").json()) == 1


def test_an_answer_is_mailed_once_in_the_customers_thread_and_is_the_first_response(
    engine: Engine, http: httpx.Client, clock: SetClock
) -> None:
    http.put("/contacts/C-1", json=PERSON)
    number = mail(engine)
    ticket = http.post(f"/quarantine/{number}/release", json={}).json()["ticket"]
    clock.now = type(clock.now)(clock.now + 60_000)
    for expected in (201, 200):
        answer = http.post(f"/tickets/{ticket}/response", json={"text": "C'est réparé."})
        assert answer.status_code == expected
    assert answer.json()["responded_at"] == "2026-11-27T09:01:00.000Z"
    other = http.post(f"/tickets/{ticket}/response", json={"text": "Encore une chose."})
    assert other.status_code == 201
    with reading(engine) as connection:
        written = connection.execute(
            select(letters).where(letters.c.purpose == "reply").order_by(letters.c.id)
        ).all()
        asked = connection.execute(select(tickets.c.origin)).scalar_one()
    assert (len(written), asked) == (2, f"mail/{number}")
    (letter,) = [one for one in written if b"par=C3=A9" in one.data]
    seen = read(letter.data)
    original = http.get(f"/tickets/{ticket}").json()["messages"][0]
    assert (letter.recipient, letter.state, letter.contact) == ("emilie@example.ch", "waiting", "C-1")
    assert ticket in seen.subject
    assert original["subject"] in seen.subject
    assert seen.automatic is None
    assert len(seen.references) == 1
    assert said(engine, ticket).count("FirstResponseSent") == 1


def test_a_reply_under_a_key_goes_out_once_and_the_key_cannot_carry_another_text(
    engine: Engine, http: httpx.Client
) -> None:
    http.put("/contacts/C-1", json=PERSON)
    ticket = opened(http, contact="C-1")
    path = f"/tickets/{ticket}/response"
    assert [keyed(http, path, {"text": "Bonjour"}, key).status_code for key in ("K-1", "K-1", "K-2")] == [
        201,
        200,
        201,
    ]
    assert keyed(http, path, {"text": "Bonsoir"}, "K-2").status_code == 409
    assert len(http.get(f"/tickets/{ticket}").json()["letters"]) == 2


def test_a_request_of_somebody_unknown_is_assigned_with_all_that_belongs_to_it(
    engine: Engine, http: httpx.Client
) -> None:
    subscribed(engine)
    number = mail(engine)
    old = http.post(f"/quarantine/{number}/release", json={}).json()["ticket"]
    assert http.get(f"/tickets/{old}").json()["account"] == "unknown"
    http.post(f"/tickets/{old}/work", json={"minutes": 30, "at": "2026-11-27T08:40:00Z"})
    http.put("/contacts/C-1", json=PERSON)
    body = {"account": "A-1", "contact": "C-1"}
    first, again = (http.post(f"/tickets/{old}/assign", json=body) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 200)
    new = first.json()["ticket"]
    assert again.json()["ticket"] == new != old
    assert http.post(f"/tickets/{old}/assign", json={"account": "A-2"}).status_code == 409
    shown = http.get(f"/tickets/{new}").json()
    assert (shown["account"], shown["subscription"], shown["received_at"], shown["language"]) == (
        "A-1",
        "S-1",
        "2026-11-27T08:15:00.000Z",
        "fr",
    )
    assert [one["message"] for one in shown["messages"]] == [number]
    assert shown["work"] == [{"entry": "1", "minutes": 30, "at": "2026-11-27T08:40:00.000Z"}]
    gone = http.get(f"/tickets/{old}").json()
    assert (gone["status"], gone["messages"], gone["work"][0]["minutes"]) == ("withdrawn", [], 0)
    assert http.post(f"/tickets/{new}/response", json={"text": "Bonjour"}).status_code == 201


def test_a_mail_that_asks_something_else_becomes_a_request_received_when_it_was(
    engine: Engine, http: httpx.Client
) -> None:
    subscribed(engine)
    http.put("/contacts/C-1", json=PERSON)
    ticket = opened(http, contact="C-1", received_at="2026-11-26T09:00:00Z")
    number = mail(engine, state="threaded", ticket=ticket, contact="C-1", subject="[down] Autre chose")
    first, again = (http.post(f"/messages/{number}/split", json={}) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 200)
    shown = first.json()
    assert shown["ticket"] == again.json()["ticket"] != ticket
    assert (shown["received_at"], shown["severity"], shown["subscription"]) == (
        "2026-11-27T08:15:00.000Z",
        "down",
        "S-1",
    )
    assert http.get(f"/tickets/{ticket}").json()["messages"] == []
    waiting = mail(engine)
    assert http.post(f"/messages/{waiting}/split", json={}).status_code == 422


def test_the_work_list_puts_what_is_at_risk_first_then_what_is_due_next(
    engine: Engine, http: httpx.Client
) -> None:
    later, sooner, risky, late, unheard, uncovered, answered = (opened(http) for _ in range(7))
    judged(engine, later, "2026-11-27T16:00:00.000Z", "2026-11-27T14:00:00.000Z")
    judged(engine, sooner, "2026-11-27T10:00:00.000Z", "2026-11-27T09:30:00.000Z")
    judged(engine, risky, "2026-11-27T11:00:00.000Z", "2026-11-27T08:00:00.000Z", response="at-risk")
    judged(engine, late, "2026-11-27T08:59:59.999Z", "2026-11-27T08:30:00.000Z", response="missed")
    judged(engine, uncovered, None, None, covered=False)
    judged(engine, answered, "2026-11-27T10:00:00.000Z", "2026-11-27T09:30:00.000Z")
    http.post(f"/tickets/{answered}/response", json={})
    http.post(f"/tickets/{opened(http)}/close", json={})
    found = http.get("/worklist").json()
    assert [(one["ticket"], one["standing"]) for one in found["waiting"]] == [
        (late, "overdue"),
        (risky, "at-risk"),
        (sooner, "waiting"),
        (later, "waiting"),
        (unheard, "unheard"),
        (uncovered, "uncovered"),
    ]
    assert [one["ticket"] for one in found["answered"]] == [answered]
    assert (found["waiting_count"], found["answered_count"], found["unheard"]) == (6, 1, 2)


def test_a_request_due_this_very_instant_is_at_risk_and_not_overdue(
    engine: Engine, http: httpx.Client, clock: SetClock
) -> None:
    ticket = opened(http)
    judged(engine, ticket, NOW, NOW)
    assert http.get("/worklist").json()["waiting"][0]["standing"] == "at-risk"
    clock.now = type(clock.now)(clock.now + 1)
    assert http.get("/worklist").json()["waiting"][0]["standing"] == "overdue"


def test_the_work_list_shows_quota_left_and_work_that_counts_for_nothing(
    engine: Engine, http: httpx.Client
) -> None:
    quota(engine, "S-1", 46, 60, 75)
    quota(engine, "S-2", 10, 120)
    quota(engine, "S-0", 0, 0)
    quota(engine, "S-3", 70, 60, 100)
    ticket = opened(http, subject="Export vide")
    http.post(f"/tickets/{ticket}/work", json={"minutes": 20})
    http.post(f"/tickets/{ticket}/work", json={"minutes": 25})
    found = http.get("/worklist").json()
    assert [(one["subscription"], one["left_minutes"], one["warned_percent"]) for one in found["quotas"]] == [
        ("S-3", -10, 100),
        ("S-1", 14, 75),
        ("S-2", 110, None),
        ("S-0", 0, None),
    ]
    assert found["quotas"][0]["year_ends_on"] == "2027-01-01"
    assert [(one["ticket"], one["minutes"]) for one in found["unclassified"]] == [(ticket, 45)]
    assert (found["unclassified_count"], found["unclassified_minutes"]) == (1, 45)
    http.post(f"/tickets/{ticket}/kind", json={"kind": "bug"})
    assert http.get("/worklist").json()["unclassified"] == []


def test_quarantined_mail_is_counted_released_as_received_or_set_aside_and_kept(
    engine: Engine, http: httpx.Client
) -> None:
    subscribed(engine)
    subscribed(engine, "S-2")
    first, second, third = mail(engine), mail(engine, sender="spam@example.org"), mail(engine)
    found = http.get("/worklist").json()
    assert (found["quarantined"], found["quarantined_since"]) == (3, "2026-11-27T08:15:00.000Z")
    assert [one["message"] for one in http.get("/quarantine").json()] == [first, second, third]
    http.put("/contacts/C-1", json=PERSON)
    body = {"contact": "C-1", "subscription": "S-2", "severity": "down"}
    released = [http.post(f"/quarantine/{first}/release", json=body) for _ in range(2)]
    assert [one.status_code for one in released] == [201, 200]
    shown = http.get(f"/tickets/{released[0].json()['ticket']}").json()
    assert (shown["account"], shown["subscription"], shown["severity"], shown["received_at"]) == (
        "A-1",
        "S-2",
        "down",
        "2026-11-27T08:15:00.000Z",
    )
    http.post(f"/tickets/{shown['ticket']}/close", json={})
    joined = http.post(f"/quarantine/{third}/release", json={"ticket": shown["ticket"]})
    assert joined.json()["ticket"] == shown["ticket"]
    assert http.get(f"/tickets/{shown['ticket']}").json()["status"] == "open"
    for _ in range(2):
        gone = http.post(f"/quarantine/{second}/discard", json={"reason": "sells shoes"})
        assert (gone.status_code, gone.json()["state"], gone.json()["text"]) == (
            200,
            "discarded",
            "Rien ne va plus.",
        )
    assert http.post(f"/quarantine/{second}/release", json={}).status_code == 422
    assert http.post(f"/quarantine/{first}/discard", json={"reason": "too late"}).status_code == 422
    assert http.get("/quarantine").json() == []


def test_contacts_are_put_listed_and_found_as_whom_letters_go_to(http: httpx.Client) -> None:
    assert http.put("/contacts/C-1", json=PERSON).status_code == 201
    assert http.put("/contacts/C-1", json={**PERSON, "name": "E. Dupont"}).status_code == 200
    http.put("/contacts/C-2", json={**PERSON, "addresses": ["b@example.ch"], "letters": False})
    http.put("/contacts/C-3", json={**PERSON, "addresses": []})
    taken = http.put("/contacts/C-4", json={**PERSON, "account": "A-2"})
    assert (taken.status_code, "C-1" in taken.json()["detail"]) == (409, True)
    assert http.put("/contacts/C-5", json={**PERSON, "addresses": ["no address"]}).status_code == 422
    assert http.get("/accounts/A-1/letters-to").json() == [
        {"contact": "C-1", "name": "E. Dupont", "address": "emilie@example.ch", "language": "fr"}
    ]
    assert http.get("/accounts/A-9/letters-to").json() == []
    assert [one["contact"] for one in http.get("/contacts", params={"account": "A-1"}).json()] == [
        "C-1",
        "C-2",
        "C-3",
    ]
    assert http.get("/contacts/C-1").json()["addresses"] == ["emilie@example.ch", "emilie.dupont@example.ch"]
    assert http.get("/contacts/C-9").status_code == 404


def test_a_letter_in_doubt_is_on_the_work_list_until_a_person_settles_it(
    engine: Engine, http: httpx.Client
) -> None:
    http.put("/contacts/C-1", json=PERSON)
    ticket = opened(http, contact="C-1")
    http.post(f"/tickets/{ticket}/response", json={"text": "Bonjour"})
    (letter,) = http.get("/letters").json()
    assert http.post(f"/letters/{letter['id']}/resend").status_code == 422
    for state, action, then in (("doubtful", "accepted", "accepted"), ("refused", "resend", "waiting")):
        with engine.begin() as connection:
            connection.execute(letters.update().values(state=state, reason="550 no"))
        found = http.get("/worklist").json()
        assert [(one["id"], one["state"]) for one in found["letters"]] == [(letter["id"], state)]
        assert [one["id"] for one in http.get("/letters", params={"state": state}).json()] == [letter["id"]]
        settled = http.post(f"/letters/{letter['id']}/{action}")
        assert (settled.status_code, settled.json()["state"]) == (200, then)
    assert http.get("/worklist").json()["letters"] == []


def test_requests_are_listed_by_what_they_are(http: httpx.Client) -> None:
    first, second = opened(http), opened(http, account="A-2", subscription=None)
    http.post(f"/tickets/{second}/close", json={})
    assert [one["ticket"] for one in http.get("/tickets").json()] == [second, first]
    for query, expected in (
        ({"status": "open"}, [first]),
        ({"account": "A-2"}, [second]),
        ({"subscription": "S-1"}, [first]),
        ({"status": "open", "account": "A-2"}, []),
        ({"limit": 1}, [second]),
    ):
        assert [one["ticket"] for one in http.get("/tickets", params=query).json()] == expected
    assert http.get("/tickets", params={"status": "lost"}).status_code == 422


def test_the_description_of_the_api_names_what_every_route_answers(http: httpx.Client) -> None:
    description = http.get("/openapi.json").json()
    for path, methods in description["paths"].items():
        for method, route in methods.items():
            assert route["tags"], (path, method)
            assert len(route["description"]) > 10, (path, method)
            if route["tags"] != ["health"]:
                assert {"401", "404", "409", "422"} <= set(route["responses"]), (path, method)
    assert {one["name"] for one in description["tags"]} >= {"requests", "work", "quarantine", "people"}


def test_settings_of_zammad_are_named_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GARANT_SUPPORT_ZAMMAD_ACCOUNTS", '{"Awesome Customer Inc.": "A-7"}')
    assert SupportSettings().zammad_accounts == {"Awesome Customer Inc.": "A-7"}
