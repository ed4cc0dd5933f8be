"""The HTTP API and the command line on it, over a real socket, on both databases."""

from __future__ import annotations

import json
import os
import secrets
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from pydantic import SecretStr
from sqlalchemy import Engine
from typer.testing import CliRunner

from services.billing.api import build_api
from services.billing.booking import book
from services.billing.command import app
from services.billing.database import BOOKS
from services.billing.issuing import Rules
from services.billing.settings import TOKEN as TOKEN_OF_BILLING
from services.billing.settings import BillingSettings
from services.billing.warnings import note
from shared.database import DatabaseUnusable, open_engine, own_file
from shared.errors import NeedsAPerson
from shared.health import Pulse
from shared.tokens import NoToken, caller_token, service_token
from tests.core.billing_books import KINDS, SetClock, credit, empty_books, quota_warning

CLOCK = SetClock()
TOKEN = secrets.token_urlsafe()
BODY = {
    "account": "A-1",
    "subscription": "S-1",
    "deployment": "cloud",
    "targets": ["T-1"],
    "price": "1200.00",
    "currency": "CHF",
    "term": "year",
    "starts_on": "2025-01-01",
    "language": "fr",
}


@contextmanager
def served(engine: Engine, live: Callable[[], list[str]] = list) -> Iterator[str]:
    """The API on a port of its own; yields its URL."""
    api = build_api(engine, Rules(), TOKEN, CLOCK, live, list)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(api, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    with empty_books(request.param, tmp_path) as found:
        yield found


@pytest.fixture
def url(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with served(engine) as found:
        monkeypatch.setenv("GARANT_BILLING_URL", found)
        monkeypatch.setenv("GARANT_BILLING_TOKEN", TOKEN)
        monkeypatch.setenv("COLUMNS", "250")
        yield found


@pytest.fixture
def http(url: str) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with httpx.Client(base_url=url, headers=headers, trust_env=False) as client:
        yield client


def garant(*args: str) -> str:
    """What `garant billing ARGS` prints."""
    result = CliRunner().invoke(app, list(args), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_every_route_but_health_wants_the_token(url: str, http: httpx.Client) -> None:
    paths = httpx.get(f"{url}/openapi.json", trust_env=False).json()["paths"]
    checked = 0
    for path, methods in paths.items():
        for method in methods:
            answer = httpx.request(
                method, url + path, headers={"Authorization": "Bearer wrong"}, trust_env=False
            )
            if path in ("/live", "/ready", "/metrics"):
                assert answer.status_code == 200
            else:
                assert answer.status_code == 401, path
                assert "GARANT_BILLING_TOKEN" in answer.json()["detail"]
                checked += 1
    assert checked >= 18
    assert httpx.get(f"{url}/owed", trust_env=False).status_code == 401
    assert http.get("/owed").status_code == 200


def test_a_start_said_twice_is_one_and_another_under_its_id_is_a_conflict(http: httpx.Client) -> None:
    first, again = http.post("/subscriptions", json=BODY), http.post("/subscriptions", json=BODY)
    other = http.post("/subscriptions", json={**BODY, "price": "1.00"})
    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 409)
    assert first.json() == again.json() == {**BODY, "ends_on": None}
    assert [one["subscription"] for one in http.get("/subscriptions").json()] == ["S-1"]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"price": 1200.0}, "price"),
        ({"price": "1200.005"}, "price"),
        ({"price": "-1.00"}, "price"),
        ({"term": "week"}, "term"),
        ({"starts_on": "01.01.2025"}, "starts_on"),
        ({"starts_on": "20250-01-01"}, "starts_on"),
        ({"starts_on": "9999-06-01"}, "starts_on"),
        ({"language": "rm"}, "language"),
        ({"currency": "chf"}, "currency"),
        ({"subscription": "S/1"}, "subscription"),
        ({"targets": ["T-1", "T-1"]}, "targets"),
        ({"prize": "1200.00"}, "prize"),
    ],
)
def test_a_wrong_or_unknown_field_is_named(http: httpx.Client, wrong: dict[str, Any], field: str) -> None:
    answer = http.post("/subscriptions", json={**BODY, **wrong})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][:2] == ["body", field]
    assert http.get("/subscriptions").json() == []


def test_changes_and_an_end_are_seen_and_a_key_says_them_once(http: httpx.Client) -> None:
    http.post("/subscriptions", json=BODY)
    change = {"effective_on": "2026-01-01", "price": "900.00"}
    for expected in (201, 200):
        answer = http.post("/subscriptions/S-1/changes", json=change, headers={"Idempotency-Key": "K-1"})
        assert (answer.status_code, answer.json()["price"]) == (expected, "900.00")
    other = http.post(
        "/subscriptions/S-1/changes",
        json={**change, "price": "800.00"},
        headers={"Idempotency-Key": "K-1"},
    )
    assert other.status_code == 409
    assert http.post("/subscriptions/S-1/changes", json={"effective_on": "2026-01-01"}).status_code == 422
    ended = http.post("/subscriptions/S-1/cancellation", json={"ends_on": "2026-12-31"})
    assert (ended.status_code, ended.json()["ends_on"]) == (201, "2026-12-31")
    too_early = http.post("/subscriptions/S-1/cancellation", json={"ends_on": "2024-12-31"})
    assert too_early.status_code == 422
    assert "before it starts" in too_early.json()["detail"]
    assert http.get("/subscriptions/S-1").json()["ends_on"] == "2026-12-31"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/subscriptions/S-9", None),
        ("GET", "/subscriptions/S-9/next-invoice", None),
        ("POST", "/subscriptions/S-9/changes", {"effective_on": "2026-01-01", "price": "1.00"}),
        ("POST", "/subscriptions/S-9/cancellation", {"ends_on": "2026-01-01"}),
        ("GET", "/invoices/2026-000009", None),
        ("GET", "/invoices/2026-000009/page", None),
        ("POST", "/invoices/2026-000009/void", {"reason": "no such one"}),
        ("POST", "/quarantine/9/resolution", {"resolution": "no such one"}),
    ],
)
def test_what_is_not_there_is_a_404_that_says_where_to_look(
    http: httpx.Client, method: str, path: str, body: dict[str, Any] | None
) -> None:
    answer = http.request(method, path, json=body)
    assert answer.status_code == 404
    assert "garant billing" in answer.json()["detail"]


def test_a_credit_is_seen_on_the_next_invoice_issued_voided_and_settled(
    engine: Engine, http: httpx.Client
) -> None:
    http.post("/subscriptions", json=BODY)
    book(engine, credit("33.27"), "sla.credits/0/0/0", CLOCK)
    draft = http.get("/subscriptions/S-1/next-invoice").json()
    assert (draft["total"], draft["lines"][1]["credit"]) == ("1166.73", "S-1/uptime/2025-11")
    assert http.post("/invoices", json={"through": "2025-01-01"}).json() == {"issued": ["2026-000001"]}
    invoice = http.get("/invoices/2026-000001").json()
    assert {name: invoice[name] for name in draft} == draft
    assert http.get("/subscriptions/S-1/invoices").json() == http.get("/invoices").json() == [invoice]
    assert [row["kind"] for row in http.get("/subscriptions/S-1/ledger").json()] == ["credit", "deduction"]
    voided = http.post("/invoices/2026-000001/void", json={"reason": "wrong address"})
    assert voided.json() == {"voided": "2026-000001", "replaced_by": None}
    (row,) = http.get("/subscriptions/S-1/credits").json()
    assert (row["granted"], row["used"], row["open"], row["held"]) == ("33.27", "0.00", "33.27", False)
    body = {"settlement": "P-1", "credit": row["credit"], "amount": "33.27", "reason": "bank transfer"}
    assert http.post("/subscriptions/S-1/settlements", json=body).json()[0]["open"] == "0.00"
    assert http.post("/subscriptions/S-1/settlements", json={**body, "amount": "1.00"}).status_code == 409


def test_invoices_are_issued_at_most_two_years_ahead(http: httpx.Client) -> None:
    http.post("/subscriptions", json=BODY)
    answer = http.post("/invoices", json={"through": "2028-01-16"})
    assert (answer.status_code, http.get("/invoices").json()) == (422, [])
    assert "24 months ahead" in answer.json()["detail"]
    assert len(http.post("/invoices", json={"through": "2028-01-15"}).json()["issued"]) == 4


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("fr", ("Facture 2026-000001", "Avoir déduit", "Total à payer")),
        ("de", ("Rechnung 2026-000001", "Abgezogene Gutschrift", "Zu bezahlen")),
        ("it", ("Fattura 2026-000001", "Accredito dedotto", "Totale da pagare")),
        ("en", ("Invoice 2026-000001", "Credit deducted", "Total to pay")),
    ],
)
def test_an_invoice_is_a_page_in_the_subscriptions_language(
    engine: Engine, http: httpx.Client, language: str, words: tuple[str, ...]
) -> None:
    http.post("/subscriptions", json={**BODY, "language": language, "price": "20.00"})
    book(engine, credit("33.27", period="<b>"), "sla.credits/0/0/0", CLOCK)
    http.post("/invoices", json={"through": "2025-01-01"})
    page = http.get("/invoices/2026-000001/page").text
    for word in (*words, "-20.00", "CHF 13.27", "01.01.2025 – 31.12.2025"):
        assert word in page
    assert "<b>" not in page
    http.post("/invoices/2026-000001/void", json={"reason": "wrong address"})
    assert 'class="voided"' in http.get("/invoices/2026-000001/page").text


def test_warnings_about_the_quota_are_shown_by_api_and_command(engine: Engine, http: httpx.Client) -> None:
    note(engine, quota_warning(90), CLOCK)
    note(engine, quota_warning(90, at=1, restored=True), CLOCK)
    found = http.get("/subscriptions/S-1/quota-warnings").json()
    assert [(row["kind"], row["percent"], row["year_starts_on"]) for row in found] == [
        ("warned", 90, "2025-01-01"),
        ("restored", 90, "2025-01-01"),
    ]
    assert found[0]["taken_at"] == "2026-01-15T12:00:00.000Z"
    assert http.get("/subscriptions/S-2/quota-warnings").json() == []
    assert [line.split()[1] for line in garant("warnings", "S-1").splitlines()[1:]] == ["warned", "restored"]


def test_what_needs_a_person_is_shown(engine: Engine, http: httpx.Client) -> None:
    book(engine, credit("33.27"), "sla.credits/0/0/0", CLOCK)
    book(engine, credit("99.00"), "sla.credits/0/1/0", CLOCK)
    (due,) = http.get("/owed").json()["credits"]
    assert (due["amount"], due["reason"]) == ("33.27", "unknown-subscription")
    (record,) = http.get("/quarantine").json()
    assert (record["amount"], record["origin"], record["times_seen"]) == ("99.00", "sla.credits/0/1/0", 1)
    assert json.loads(record["record"])["amount"] == "99.00"
    resolved = http.post(f"/quarantine/{record['id']}/resolution", json={"resolution": "told the operators"})
    assert resolved.status_code == 204
    assert http.get("/quarantine").json() == []


def test_a_credit_beyond_the_cap_is_seen_and_released_by_api(engine: Engine, http: httpx.Client) -> None:
    http.post("/subscriptions", json={**BODY, "price": "50000.00"})
    book(engine, credit("20000.00"), "sla.credits/0/0/0", CLOCK)
    assert http.get("/held").json() == [
        {
            "account": "A-1",
            "subscription": "S-1",
            "credit": "S-1/uptime/2025-11",
            "amount": "20000.00",
            "currency": "CHF",
            "because": "account-day",
            "cap": "10000.00",
            "passed": "0.00",
            "day": "2026-01-15",
            "held_at": "2026-01-15T12:00:00.000Z",
        }
    ]
    (row,) = http.get("/subscriptions/S-1/credits").json()
    assert (row["open"], row["held"], row["incomplete"]) == ("20000.00", True, False)
    (entry,) = http.get("/subscriptions/S-1/ledger").json()
    assert entry["held"] is True
    draft = http.get("/subscriptions/S-1/next-invoice").json()
    assert (draft["total"], draft["held"], draft["carried_over"]) == ("50000.00", "20000.00", "0.00")
    body = {"release": "R-1", "credit": row["credit"], "author": "anna", "reason": "looked at it"}
    for wrong, status in (
        ({"amount": "1.00"}, 422),
        ({"author": " "}, 422),
        ({"reason": ""}, 422),
        ({"credit": "S-1/uptime/1999-01"}, 404),
        ({"held": "20000.00"}, 422),
    ):
        answer = http.post("/subscriptions/S-1/releases", json={**body, **wrong})
        assert answer.status_code == status, wrong
    assert len(http.get("/held").json()) == 1
    for _ in range(2):
        answer = http.post("/subscriptions/S-1/releases", json={**body, "amount": "20000.00"})
        assert (answer.status_code, answer.json()[0]["held"]) == (200, False)
    assert http.post("/subscriptions/S-1/releases", json={**body, "amount": "1.00"}).status_code == 409
    assert http.post("/subscriptions/S-1/releases", json={**body, "release": "R-2"}).status_code == 422
    assert http.get("/held").json() == []
    assert http.get("/subscriptions/S-1/next-invoice").json()["total"] == "30000.00"


def test_a_credit_beyond_the_cap_is_seen_and_released_by_command(engine: Engine, url: str) -> None:
    options = ("--account", "A-1", "--price", "50000.00", "--starts-on", "2025-01-01", "--target", "T-1")
    garant("start", "S-1", *options)
    book(engine, credit("5.00", subscription="S-0", at=(0, 0, 0)), "sla.credits/0/0/0", CLOCK)
    book(engine, credit("20000.00"), "sla.credits/0/1/0", CLOCK)
    assert "S-1/uptime/2025-11  20000.00  CHF       account-day" in garant("held")
    assert "beyond a cap" in garant("credits", "S-1")
    assert "held, not deducted: 20000.00" in garant("next", "S-1")
    first, second = garant("owed").splitlines()[1:]
    assert "beyond-cap" in first
    assert "unknown-subscription" in second
    name = "S-1/uptime/2025-11"
    refused = CliRunner().invoke(
        app, ["release", name, "--id", "R-1", "--reason", "looked", "--amount", "5.00"]
    )
    assert "20000.00 of S-1/uptime/2025-11 is held now" in str(refused.exception)
    for _ in range(2):
        told = garant("release", name, "--id", "R-1", "--reason", "looked at it", "--by", "anna")
        assert told == "released: S-1/uptime/2025-11 (open: 20000.00)\n"
    assert "S-1" not in garant("held")
    assert "held" not in garant("next", "S-1")
    assert "-20000.00" in garant("next", "S-1")


def test_the_command_line_does_all_of_it(engine: Engine, url: str, tmp_path: Path) -> None:
    options = ("--account", "A-1", "--price", "1200.00", "--starts-on", "2025-01-01", "--target", "T-1")
    assert "1200.00" in garant("start", "S-1", *options)
    assert "900.00" in garant("change", "S-1", "2026-01-01", "--price", "900.00", "--key", "K-1")
    book(engine, credit("33.27"), "sla.credits/0/0/0", CLOCK)
    book(engine, credit("99.00"), "sla.credits/0/1/0", CLOCK)
    assert "1166.73" in garant("next", "S-1")
    assert "issued: 2026-000001" in garant("issue", "--through", "2025-01-01")
    assert "nothing to issue" in garant("issue", "--through", "2025-01-01")
    assert "-33.27" in garant("invoice", "2026-000001")
    assert "2026-000001" in garant("invoices")
    assert "deduction" in garant("ledger", "S-1")
    page = tmp_path / "invoice.html"
    garant("invoice", "2026-000001", "--html", str(page))
    assert "Facture 2026-000001" in page.read_text()
    assert "replaced by 2026-000002" in garant("void", "2026-000001", "--reason", "wrong", "--replace")
    assert "void" in garant("invoices", "S-1")
    assert "2027-06-01" in garant("cancel", "S-1", "2027-06-01")
    assert "2027-06-01" in garant("list")
    assert "33.27" in garant("credits", "S-1")
    garant("issue", "--through", "2027-01-01")
    assert "no next invoice" in garant("next", "S-1")
    book(engine, credit("5.00", period="2025-12"), "sla.credits/0/2/0", CLOCK)
    assert "subscription-ended" in garant("owed")
    garant("settle", "S-1", "S-1/uptime/2025-12", "5.00", "--id", "P-1", "--reason", "bank transfer")
    assert "subscription-ended" not in garant("owed")
    assert "other content" in garant("quarantine")
    garant("quarantine", "--resolve", "1", "--resolution", "told the operators")
    assert "other content" not in garant("quarantine")
    garant("cancel", "S-1", "2025-12-31")
    assert "no longer begin" in garant("owed")
    book(engine, credit("-5.00", total="0.00", revision=2, period="2025-12"), "sla.credits/0/3/0", CLOCK)
    garant("settle", "S-1", "S-1/uptime/2025-12", "--id", "W-1", "--reason", "goodwill", "--", "-5.00")
    assert "cannot-be-taken-back" not in garant("owed")


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (("credits",), None),
        (("invoice", "2026-000009"), "garant billing invoices"),
        (("cancel", "S-9", "2026-01-01"), "garant billing list"),
        (("issue", "--through", "tomorrow"), "through"),
    ],
)
def test_the_command_line_says_what_was_refused_and_why(
    url: str, args: tuple[str, ...], why: str | None
) -> None:
    result = CliRunner().invoke(app, list(args))
    assert result.exit_code != 0
    if why is not None:
        assert isinstance(result.exception, NeedsAPerson)
        assert why in str(result.exception)


def test_a_service_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GARANT_BILLING_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("GARANT_BILLING_TOKEN", TOKEN)
    result = CliRunner().invoke(app, ["list"])
    assert isinstance(result.exception, NeedsAPerson)
    assert "GARANT_BILLING_URL" in str(result.exception)


def test_a_token_is_made_once_and_only_its_owner_may_read_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GARANT_BILLING_TOKEN", raising=False)
    home = tmp_path / "home"

    def serves() -> str:
        return service_token(TOKEN_OF_BILLING, BillingSettings().token, home)

    def shows() -> str:
        return caller_token(TOKEN_OF_BILLING, BillingSettings().token, home)

    with pytest.raises(NoToken, match="GARANT_BILLING_TOKEN"):
        shows()
    token = serves()
    assert len(token) >= 32
    assert serves() == shows() == token
    assert stat.S_IMODE(os.stat(home / "billing.token").st_mode) == 0o600  # noqa: PTH116
    assert token not in repr(BillingSettings(token=SecretStr(token)))
    monkeypatch.setenv("GARANT_BILLING_TOKEN", "given")
    assert serves() == shows() == "given"


def test_a_zone_nobody_knows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="Europe/Zurich"):
        BillingSettings(zone="Europe/Zuerich")


def test_a_loop_that_stands_still_is_not_alive(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    pulse = Pulse("booking")
    pulse.beat("relay")
    pulse.busy(True)
    with served(engine, pulse.stuck) as url:
        assert httpx.get(f"{url}/live", trust_env=False).status_code == 200
        monkeypatch.setattr("shared.health.PULSE_STUCK_AFTER_S", -1.0)
        answer = httpx.get(f"{url}/live", trust_env=False)
        assert (answer.status_code, answer.json()["wrong"]) == (503, ["relay", "booking"])
        pulse.busy(False)
        assert httpx.get(f"{url}/live", trust_env=False).json()["wrong"] == ["relay"]


def test_a_sqlite_file_belongs_to_one_service(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'billing.db'}"
    with (
        own_file(open_engine(url, BOOKS), BOOKS),
        pytest.raises(DatabaseUnusable, match="GARANT_HOME"),
        own_file(open_engine(url, BOOKS), BOOKS),
    ):
        pass
    with own_file(open_engine(url, BOOKS), BOOKS):
        pass
