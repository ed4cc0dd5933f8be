"""Zammad's webhooks: what its tickets and articles become here, however often and in whatever order."""

from __future__ import annotations

import hmac
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy import Engine, select

from services.support.settings import SupportSettings
from services.support.tables import letters, ticket_facts
from shared.codec import decode_fact
from shared.database import reading
from tests.core.desk_books import KINDS, NOW, SetClock, client, empty_desk, served, subscribed

SECRET = "zammad-and-garant"  # noqa: S105 - a test's
SETTINGS = SupportSettings(zammad_secret=SecretStr(SECRET), zammad_accounts={"Awesome Customer Inc.": "A-7"})

USER = {
    "id": 3,
    "active": True,
    "email": "emma@garant.example",
    "firstname": "Emma",
    "lastname": "Taylor",
    "roles": ["Agent"],
    "organization": "Garant",
}


NUMBERS = itertools.count(20_000)


def payload(ticket: dict[str, Any] | None = None, article: dict[str, Any] | None = None) -> dict[str, Any]:
    """What Zammad 6 posts by default (its manual's example, shortened), changed as said."""
    return {
        "ticket": {
            "id": 81,
            "number": "10081",
            "title": "Export vide",
            "state": "open",
            "state_id": 2,
            "priority": {"id": 2, "name": "2 normal", "default_create": True, "note": None},
            "priority_id": 2,
            "article_count": 1,
            "article_ids": [104],
            "create_article_sender": "Customer",
            "create_article_type": "email",
            "created_at": "2026-11-27T07:34:35.282Z",
            "updated_at": "2026-11-27T07:34:35.333Z",
            "customer": {
                **USER,
                "id": 8,
                "email": "Emilie@Example.ch",
                "organization": "Awesome Customer Inc.",
            },
            "organization": {"id": 3, "name": "Awesome Customer Inc.", "members": ["emilie@example.ch"]},
            "owner": USER,
            "created_by": USER,
            "updated_by": USER,
            "close_at": None,
            "ticket_time_accounting": [],
            **(ticket or {}),
        },
        "article": {
            "id": 104,
            "ticket_id": 81,
            "sender": "Customer",
            "type": "email",
            "internal": False,
            "from": "Emilie Dupont <emilie@example.ch>",
            "to": "Service Desk",
            "subject": "Export vide",
            "body": "L'export est vide.<br>",
            "content_type": "text/html",
            "created_at": "2026-11-27T07:34:35.318Z",
            "updated_at": "2026-11-27T07:34:35.318Z",
            "created_by": USER,
            "attachments": [],
            "accounted_time": 0,
            **(article or {}),
        },
    }


ANSWER = payload(
    {"updated_at": "2026-11-27T08:00:01.000Z", "article_count": 2},
    {
        "id": 105,
        "sender": "Agent",
        "created_at": "2026-11-27T08:00:00.500Z",
        "accounted_time": 25,
        "body": "C'est réparé.",
    },
)
RAISED = payload(
    {
        "updated_at": "2026-11-27T08:05:00.000Z",
        "priority": {"id": 3, "name": "3 high"},
        "tags": ["vip", "kind:account"],
    }
)
CLOSED = payload({"updated_at": "2026-11-27T08:10:00.000Z", "state": "closed", "tags": "kind:account"})
AGAIN = payload({"updated_at": "2026-11-27T08:20:00.000Z", "state": "open", "tags": ["kind:account"]})


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    with empty_desk(request.param, tmp_path) as found:
        yield found


@pytest.fixture
def http(engine: Engine) -> Iterator[httpx.Client]:
    with served(engine, SetClock(NOW), SETTINGS) as url, client(url) as found:
        yield found


@pytest.fixture(scope="module", params=KINDS)
def used(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A desk that several tests ask; none of them changes what is in it."""
    with (
        empty_desk(request.param, tmp_path_factory.mktemp("desk")) as engine,
        served(engine, SetClock(NOW), SETTINGS) as url,
        client(url) as found,
    ):
        yield found


def post(http: httpx.Client, body: object, secret: str = SECRET) -> httpx.Response:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    signature = "sha1=" + hmac.new(secret.encode(), data, "sha1").hexdigest()
    headers = {
        "X-Hub-Signature": signature,
        "Content-Type": "application/json; charset=utf-8",
        "Authorization": "",
    }
    return http.post("/zammad", content=data, headers=headers)


def took(http: httpx.Client, body: object) -> list[str]:
    answer = post(http, body)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["said"])


def shown(http: httpx.Client) -> dict[str, Any]:
    return dict(http.get("/tickets/zammad-10081").json())


def test_a_customers_ticket_is_opened_answered_worked_on_classified_closed_and_opened_again(
    engine: Engine, http: httpx.Client
) -> None:
    subscribed(engine, "S-7", "A-7")
    assert took(http, payload()) == ["RequestOpened"]
    found = shown(http)
    assert {name: found[name] for name in ("account", "subscription", "severity", "kind", "received_at")} == {
        "account": "A-7",
        "subscription": "S-7",
        "severity": "moderate",
        "kind": "unclassified",
        "received_at": "2026-11-27T07:34:35.282Z",
    }
    assert found["subject"] == "Export vide"
    assert took(http, ANSWER) == ["FirstResponseSent", "WorkLogged"]
    assert took(http, RAISED) == ["SeverityChanged", "RequestClassified"]
    assert took(http, CLOSED) == ["SeverityChanged", "RequestClosed"]
    assert took(http, AGAIN) == ["RequestReopened"]
    found = shown(http)
    assert found["responded_at"] == "2026-11-27T08:00:00.500Z"
    assert found["work"] == [{"entry": "zammad-105", "minutes": 25, "at": "2026-11-27T08:00:00.500Z"}]
    assert (found["kind"], found["status"]) == ("account", "open")
    with reading(engine) as connection:
        assert connection.execute(select(letters.c.id)).all() == []


def test_a_delivery_that_comes_again_changes_nothing(engine: Engine, http: httpx.Client) -> None:
    for delivery in (payload(), ANSWER, RAISED, CLOSED):
        took(http, delivery)
    before = shown(http)
    for delivery in (CLOSED, payload(), RAISED, ANSWER, payload()):
        assert took(http, delivery) == []
    assert shown(http) == before


def test_the_customer_is_found_by_address_before_the_organization(engine: Engine, http: httpx.Client) -> None:
    subscribed(engine)
    person = {"account": "A-1", "addresses": ["emilie@example.ch"], "language": "de"}
    http.put("/contacts/C-1", json=person)
    took(http, payload())
    found = shown(http)
    assert (found["account"], found["contact"], found["language"], found["subscription"]) == (
        "A-1",
        "C-1",
        "de",
        "S-1",
    )


def test_somebody_of_no_account_is_accepted_as_unknown(http: httpx.Client) -> None:
    took(http, payload({"organization": None, "customer": {"id": 9, "email": None}}))
    assert (shown(http)["account"], shown(http)["subscription"]) == ("unknown", None)


@pytest.mark.parametrize(
    ("article", "said"),
    [
        ({"internal": True}, []),
        ({"type": "note"}, []),
        ({"sender": "System"}, []),
        ({"sender": "Customer"}, []),
        ({"type": "phone"}, ["FirstResponseSent"]),
        ({"type": "web"}, ["FirstResponseSent"]),
        ({"internal": True, "accounted_time": 5}, ["WorkLogged"]),
        ({"created_at": "2026-11-27T07:00:00.000Z"}, []),
    ],
)
def test_only_an_agents_article_that_reaches_the_customer_is_a_response(
    used: httpx.Client, article: dict[str, Any], said: list[str]
) -> None:
    ticket = {"number": str(next(NUMBERS))}
    took(used, payload(ticket))
    answer = {"id": 105, "sender": "Agent", "created_at": "2026-11-27T08:00:00.500Z", **article}
    assert took(used, payload(ticket, answer)) == said


def test_tags_come_before_priority_and_a_field_of_the_ticket_says_the_kind(http: httpx.Client) -> None:
    took(http, payload({"tags": ["severity:down"], "garant_kind": "bug", "priority": {"name": "1 low"}}))
    assert (shown(http)["severity"], shown(http)["kind"]) == ("down", "bug")


def test_time_accounted_anew_corrects_the_entry_and_keeps_its_date(http: httpx.Client) -> None:
    took(http, payload())
    took(http, ANSWER)
    article = {**ANSWER["article"], "accounted_time": 40}
    later = {**ANSWER["ticket"], "updated_at": "2026-11-27T08:30:00.000Z"}
    assert took(http, {"ticket": later, "article": article}) == ["WorkCorrected"]
    assert took(http, ANSWER) == []
    assert shown(http)["work"] == [{"entry": "zammad-105", "minutes": 40, "at": "2026-11-27T08:00:00.500Z"}]


def test_a_ticket_an_agent_began_is_a_request_once_the_customer_writes(http: httpx.Client) -> None:
    began = {"create_article_sender": "Agent"}
    first = post(http, payload(began, {"sender": "Agent"})).json()
    assert (first["ticket"], first["said"]) == (None, [])
    assert took(http, payload(began, {"id": 106, "created_at": "2026-11-27T08:40:00.000Z"})) == [
        "RequestOpened"
    ]
    assert shown(http)["received_at"] == "2026-11-27T08:40:00.000Z"


def test_what_zammad_says_of_a_request_that_was_assigned_reaches_the_new_one(
    engine: Engine, http: httpx.Client
) -> None:
    subscribed(engine)
    took(http, payload({"organization": None}))
    new = http.post("/tickets/zammad-10081/assign", json={"account": "A-1"}).json()["ticket"]
    assert took(http, ANSWER) == ["FirstResponseSent", "WorkLogged"]
    assert took(http, CLOSED) == ["RequestClassified", "RequestClosed"]
    found = http.get(f"/tickets/{new}").json()
    assert (found["account"], found["status"], found["work"][0]["minutes"]) == ("A-1", "closed", 25)
    assert shown(http)["status"] == "withdrawn"


def test_a_trigger_without_an_article_is_taken_as_well(http: httpx.Client) -> None:
    assert took(http, {**payload(), "article": {}}) == ["RequestOpened"]
    assert took(http, {"ticket": CLOSED["ticket"]}) == ["RequestClassified", "RequestClosed"]


def test_a_signature_that_does_not_fit_is_refused(http: httpx.Client) -> None:
    wrong = post(http, payload(), "another")
    assert (wrong.status_code, "GARANT_SUPPORT_ZAMMAD_SECRET" in wrong.json()["detail"]) == (401, True)
    assert http.post("/zammad", json=payload()).status_code == 401
    changed = json.dumps(payload()).encode()
    signature = "sha1=" + hmac.new(SECRET.encode(), changed, "sha1").hexdigest()
    answer = http.post("/zammad", content=changed + b" ", headers={"X-Hub-Signature": signature})
    assert answer.status_code == 401
    assert http.get("/tickets").json() == []


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "body"),
        (b"{", "body"),
        (b"[]", "body"),
        (b"\xff", "body"),
        ({"ticket": "#{ticket.title}"}, "ticket"),
        ({"article": {}}, "ticket"),
        (payload({"number": None}), "ticket.number"),
        (payload({"number": "1/../2"}), "ticket.number"),
        (payload({"id": "x"}), "ticket.id"),
        (payload({"created_at": "yesterday"}), "ticket.created_at"),
        (payload({"created_at": "2126-11-27T07:34:35.282Z"}), "future"),
        (payload(article={"accounted_time": -1}), "article.accounted_time"),
        (payload(article={"created_at": None}), "article.created_at"),
    ],
)
def test_what_is_no_ticket_is_refused_with_the_field_that_is_wrong(
    used: httpx.Client, body: object, why: str
) -> None:
    answer = post(used, body)
    assert (answer.status_code, why in answer.json()["detail"]) == (422, True), answer.text
    assert not [one for one in used.get("/tickets").json() if one["ticket"] == "zammad-10081"]


def test_without_a_secret_there_is_no_webhook(engine: Engine) -> None:
    with served(engine, SetClock(NOW)) as url, client(url) as http:
        answer = post(http, payload(), "")
        assert (answer.status_code, "GARANT_SUPPORT_ZAMMAD_SECRET" in answer.json()["detail"]) == (404, True)


def test_in_whatever_order_deliveries_come_the_same_is_known_in_the_end(tmp_path: Path) -> None:
    deliveries = [payload(), ANSWER, RAISED, CLOSED, AGAIN]
    with empty_desk("sqlite", tmp_path) as engine, served(engine, SetClock(NOW), SETTINGS) as url:

        def known(order: list[int]) -> dict[str, Any]:
            number = str(next(NUMBERS))
            with client(url) as http:
                for at in order:
                    ticket = {**deliveries[at]["ticket"], "number": number}
                    took(http, {"ticket": ticket, "article": deliveries[at]["article"]})
                found = http.get(f"/tickets/zammad-{number}").json()
            return {
                name: found[name]
                for name in ("account", "severity", "kind", "status", "responded_at", "work", "received_at")
            }

        expected = known([0, 1, 2, 3, 4])
        assert (expected["status"], expected["kind"]) == ("open", "account")

        @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.permutations(range(5)), st.lists(st.integers(0, 4), max_size=3))
        def same(order: list[int], repeated: list[int]) -> None:
            assert known([*order, *repeated]) == expected

        same()


def test_the_facts_of_a_ticket_hold_nobodys_name(engine: Engine, http: httpx.Client) -> None:
    for delivery in (payload(), ANSWER, CLOSED):
        took(http, delivery)
    with reading(engine) as connection:
        said = list(connection.execute(select(ticket_facts.c.fact)).scalars())
    assert len([decode_fact(one.encode()) for one in said]) == 5
    for word in ("emilie", "Awesome", "Export"):
        assert not [one for one in said if word.lower() in one.lower()]
