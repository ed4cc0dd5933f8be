"""What the services tell Prometheus of their databases and their targets: on given books, these figures."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from sqlalchemy import Engine, insert

import services.billing.metrics
import services.support.metrics
from services.billing.booking import book
from services.billing.counting import count_books, count_outbox
from services.billing.declaring import declare
from services.sla.app.watched import tell_targets
from services.support.counting import count
from services.support.tables import letters
from shared.database import reading, writing
from shared.process_metrics import tell_process
from shared.time import HOUR, MINUTE, SECOND, Instant, parse_instant
from tests.core.billing_books import KINDS, SetClock, credit, empty_books, started
from tests.core.desk_books import NOW, client, empty_desk, judged, mail, quota, served, subscribed
from tests.core.probing import T0, Fold, declared


def value(registry: CollectorRegistry, name: str, **labels: str) -> float:
    found = registry.get_sample_value(name, labels)
    assert found is not None, f"{name} {labels} is not told"
    return found


# Support


@pytest.fixture(params=KINDS)
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    with empty_desk(request.param, tmp_path) as found:
        yield found


def support(name: str, **labels: str) -> float:
    return value(services.support.metrics.REGISTRY, f"garant_support_{name}", **labels)


def opened(engine: Engine, clock: SetClock, *tickets: str) -> None:
    subscribed(engine)
    body = {"account": "A-1", "subscription": "S-1", "severity": "serious"}
    with served(engine, clock) as url, client(url) as http:
        for ticket in tickets:
            answer = http.post("/tickets", json={**body, "ticket": ticket})
            assert answer.status_code == 201, answer.text


def test_an_empty_desk_has_nothing_waiting_and_no_next_deadline(desk: Engine) -> None:
    count(desk, parse_instant(NOW))
    assert math.isnan(support("next_deadline_timestamp_seconds"))
    for name in ("oldest_waiting", "quarantine_oldest", "outbox_oldest"):
        assert support(f"{name}_seconds") == 0
    assert [support("quotas", used=used) for used in ("left", "warned", "used-up")] == [0, 0, 0]


def test_requests_are_told_by_their_first_response_and_the_next_deadline_is_one_nobody_has_met(
    desk: Engine,
) -> None:
    clock = SetClock(NOW)
    opened(desk, clock, "T-1", "T-2", "T-3")
    judged(desk, "T-1", "2026-11-27T10:00:00.000Z", None, response="missed")
    judged(desk, "T-2", "2026-11-27T12:00:00.000Z", None, response="at-risk")
    judged(desk, "T-3", "2026-11-27T11:00:00.000Z", None, response="met", responded_at=clock())
    count(desk, clock())
    told = {name: support("requests", response=name) for name in services.support.metrics.RESPONSES}
    assert told == {"waiting": 0, "at-risk": 1, "missed": 1, "met": 1, "late": 0}
    assert support("requests_open") == 3
    assert support("next_deadline_timestamp_seconds") == parse_instant("2026-11-27T12:00:00.000Z") / 1_000


def test_facts_that_the_broker_does_not_have_are_as_old_as_the_first_of_them(desk: Engine) -> None:
    clock = SetClock(NOW)
    opened(desk, clock, "T-1")
    count(desk, Instant(clock() + 90 * SECOND))
    assert support("outbox_oldest_seconds") == 90


def test_quarantine_and_letters_say_since_when_the_oldest_waits(desk: Engine) -> None:
    clock = SetClock(NOW)
    mail(desk)
    with writing(desk) as connection:
        for minutes, state in ((30, "accepted"), (20, "waiting"), (10, "waiting")):
            connection.execute(
                insert(letters).values(
                    id=f"L-{minutes}",
                    purpose="reply",
                    recipient="a@example.ch",
                    message_id=f"<{minutes}@example.ch>",
                    data=b"x",
                    state=state,
                    attempts=0,
                    created_at=clock() - minutes * MINUTE,
                )
            )
    count(desk, clock())
    assert support("oldest_waiting_seconds") == 20 * 60
    assert (support("quarantined"), support("quarantine_oldest_seconds")) == (1, 44 * 60 + 59)


def test_quotas_are_told_by_what_is_used_of_those_that_have_not_ended(desk: Engine) -> None:
    for name, used, warned in (("S-1", 10, None), ("S-2", 95, 90), ("S-3", 120, 100), ("S-4", 120, 100)):
        subscribed(desk, name, ends_on=date(2026, 6, 1) if name == "S-4" else None)
        quota(desk, name, used, 100, warned)
    count(desk, parse_instant(NOW))
    assert [support("quotas", used=used) for used in ("left", "warned", "used-up")] == [1, 1, 1]


# Billing


@pytest.fixture(params=KINDS)
def books(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    with empty_books(request.param, tmp_path) as found:
        yield found


def billing(name: str, **labels: str) -> float:
    return value(services.billing.metrics.REGISTRY, f"garant_billing_{name}", **labels)


def test_credits_are_told_after_their_revisions_and_one_taken_back_is_none(books: Engine) -> None:
    clock = SetClock()
    declare(books, started(), clock)
    for record in (
        credit("50.00"),
        credit("-20.00", total="30.00", revision=2),
        credit("10.00", period="2025-10"),
        credit("-10.00", total="0.00", period="2025-10", revision=2),
        credit("7.00", subscription="S-2", currency="EUR", at=(1, 5, 0)),
    ):
        assert book(books, record, "sla.credits/0/7/0", clock) == "booked"
    with reading(books) as connection:
        count_books(connection, clock())
    assert (billing("credits", currency="CHF"), billing("credits_hundredths", currency="CHF")) == (1, 3_000)
    assert (billing("credits", currency="EUR"), billing("credits_hundredths", currency="EUR")) == (1, 700)


def test_a_contradiction_is_in_quarantine_since_it_was_seen(books: Engine) -> None:
    clock = SetClock()
    declare(books, started(), clock)
    assert book(books, credit("50.00"), "sla.credits/0/7/0", clock) == "booked"
    assert book(books, credit("51.00", at=(0, 1, 0)), "sla.credits/0/8/0", clock) == "quarantined"
    with reading(books) as connection:
        count_books(connection, Instant(clock() + HOUR))
        count_outbox(connection, Instant(clock() + MINUTE))
    assert (billing("quarantined"), billing("quarantine_oldest_seconds")) == (1, 3_600)
    assert billing("outbox_oldest_seconds") == 60


# The folds' targets


def sla(name: str, **labels: str) -> float:
    return value(REGISTRY, f"garant_sla_{name}", **labels)


def test_targets_are_told_by_state_and_the_oldest_undecided_slot_by_its_age() -> None:
    up, down = Fold(declared()), Fold(declared(locations=["zrh", "gva"], target="app"))
    up.slots("uu")
    for minute in range(4):
        down.vote(minute, "dd", locations=("zrh", "gva"))
    down.vote(4, "d", locations=("zrh",))  # the other location's word on it is not there yet
    tell_targets([up.states, down.states], (T0 + 10 * MINUTE) / 1_000)
    assert [sla("targets", state=state) for state in ("up", "down", "unmeasured")] == [1, 1, 0]
    assert sla("undecided_slots") == 1
    assert sla("oldest_undecided_slot_seconds") == 6 * 60
    tell_targets([], (T0 + 10 * MINUTE) / 1_000)
    assert (sla("undecided_slots"), sla("oldest_undecided_slot_seconds")) == (0, 0)


def test_a_location_is_silent_once_nobody_waits_for_any_of_its_checks() -> None:
    fold = Fold(declared(checks=["icmp", "https"], locations=["zrh", "gva"]))
    for minute in range(2):
        for check in ("icmp", "https"):
            fold.vote(minute, "uu", check=check, locations=("zrh", "gva"))
    tell_targets([fold.states], T0 / 1_000)
    assert (sla("silent_targets", location="zrh"), sla("silent_targets", location="gva")) == (0, 0)
    for minute in range(2, 12):
        for check in ("icmp", "https"):
            fold.vote(minute, "u", check=check, locations=("zrh",))
        fold.vote(minute, ".u", check="icmp", locations=("zrh", "gva"))
    tell_targets([fold.states], T0 / 1_000)
    assert sla("silent_targets", location="gva") == 0, "it reports one of its checks"
    for minute in range(12, 22):
        fold.vote(minute, "u", check="icmp", locations=("zrh",))
        fold.vote(minute, "u", check="https", locations=("zrh",))
    tell_targets([fold.states], T0 / 1_000)
    assert (sla("silent_targets", location="zrh"), sla("silent_targets", location="gva")) == (0, 1)


# Every process


def test_each_process_says_which_service_and_version_it_is_and_what_it_takes() -> None:
    registry = CollectorRegistry()
    tell_process(registry, "billing")
    shown = generate_latest(registry).decode()
    assert 'garant_build_info{component="billing",version="' in shown
    assert value(registry, "process_resident_memory_bytes") > 0
