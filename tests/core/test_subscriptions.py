"""Contract 4 and the wire contract: what a subscription is told to be, and what is rejected."""

from __future__ import annotations

import json
from datetime import date

import pytest

from services.sla.subscriptions import ByDate
from shared.codec import encode
from tests.core.telling import (
    HOUR,
    Telling,
    after,
    but_quota,
    cancelled,
    changed,
    closed,
    credits,
    instant,
    months,
    november,
    reasons,
    started,
    totals,
)


def told(*facts: object) -> list[str]:
    """Why the last of the facts is rejected."""
    story = Telling().at("2026-11-01 00:00")
    *before, last = facts
    assert but_quota(story.tell(*before)) == []  # type: ignore[arg-type]
    return reasons(story.tell(last))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ([started(), started()], "subscription S-1 has already started"),
        ([started(), started(account="A-2")], "subscription S-1 has already started"),
        ([started(price="-0.01")], "a price cannot be negative"),
        ([started(), changed("2026-12-01", price="-1.00")], "a price cannot be negative"),
        ([changed("2026-12-01", price="1.00")], "account A-1 has no subscription S-1"),
        ([cancelled("2026-12-01")], "account A-1 has no subscription S-1"),
        ([started(), changed("2026-12-01", account="A-2")], "account A-2 has no subscription S-1"),
        ([started(), cancelled("2026-12-01", account="A-2")], "account A-2 has no subscription S-1"),
        ([started(), cancelled("2026-10-31")], "subscription S-1 cannot end before it starts"),
    ],
)
def test_nonsense_is_rejected_with_a_reason(facts: list[object], reason: str) -> None:
    assert told(*facts) == [reason]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("deployment", "on premises"),
        ("term", "quarter"),
        ("currency", "francs"),
        ("price", "1200.005"),
        ("price", 1200),
        ("starts_on", "2026-02-30"),
        ("starts_on", "1899-12-31"),
        ("starts_on", "3000-01-01"),
        ("targets", "app"),
        ("account", ""),
        ("subscription", "S" * 201),
        ("language", None),
    ],
)
def test_a_field_out_of_its_form_is_rejected(field: str, value: object) -> None:
    fact = json.loads(encode(started()))
    assert len(told(json.dumps({**fact, field: value}).encode())) == 1
    fact.pop(field)
    assert len(told(json.dumps(fact).encode())) == 1


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
def test_an_implausible_date_is_rejected_and_stops_nothing(day: str) -> None:
    """A slip of the keyboard in one account must not stop the conclusions for all others."""
    story = Telling().at("2026-11-01 00:00")
    story.tell(started())
    for fact in (
        encode(started("S-2")).replace(b"2026-11-01", day.encode()),
        encode(changed("2026-11-01", price="1.00")).replace(b"2026-11-01", day.encode()),
        encode(cancelled("2026-11-01")).replace(b"2026-11-01", day.encode()),
    ):
        assert reasons(story.tell(fact)) == [f"{day} lies outside the years 1900 to 2999; correct the year"]
    assert len(months(closed(story))) == 1


def test_a_rejected_fact_changes_nothing() -> None:
    story, undisturbed = (
        november(after("2026-11-10 10:00", 5 * HOUR)),
        november(after("2026-11-10 10:00", 5 * HOUR)),
    )
    story.tell(
        started(price="9.00"), changed("2026-11-01", account="A-2", price="9.00"), cancelled("2026-10-01")
    )
    said, expected = closed(story), closed(undisturbed)
    assert (credits(said), months(said)[0].window_ms) == (credits(expected), months(expected)[0].window_ms)
    assert story.fold.history.subscriptions == undisturbed.fold.history.subscriptions


def test_an_end_equal_to_the_start_is_empty_not_nonsense() -> None:
    assert told(started(), cancelled("2026-11-01")) == []


def test_of_several_cancellations_the_last_said_counts() -> None:
    story = november()
    story.tell(cancelled("2026-11-20"), cancelled("2026-11-10"), cancelled("2026-11-15"))
    assert months(closed(story))[0].window_ms == 14 * 24 * HOUR


def test_the_window_ends_at_local_midnight() -> None:
    story = november()
    story.tell(cancelled("2026-11-15"))
    view_end = story.fold.next_due
    assert view_end == instant("2026-12-01 06:00")
    assert months(closed(story))[0].window_ms == instant("2026-11-15 00:00") - instant("2026-11-01 00:00")


def test_a_backdated_start_closes_the_months_it_made_overdue_as_outcomes_of_its_own_entry() -> None:
    story = Telling().at("2026-11-01 00:00")
    story.watch("2026-11-01 00:00", "2027-02-01 00:00", ("2026-11-10 00:00", "2026-11-12 00:00"))
    said = story.at("2027-02-10 00:00").tell(started())
    assert [type(one).__name__ for one in said] == ["CreditGranted", "QuotaOpened", *["MonthClosed"] * 3]
    assert [month.month for month in months(said)] == ["2026-11", "2026-12", "2027-01"]
    assert {one.journal.offset for one in said} == {len(story.entries) - 1}
    assert [one.journal.index for one in said] == [0, 1, 2, 3, 4]


def test_a_long_backdated_window_closes_every_month() -> None:
    """Fifty years at once, and in reasonable time."""
    story = Telling().at("2026-11-01 06:00")
    assert len(months(story.tell(started(starts_on="1976-11-01")))) == 600


def test_a_backdated_price_restates_concluded_credits() -> None:
    story = november(("2026-11-10 00:00", "2026-11-12 00:00"), after("2026-11-20 10:00", 5 * HOUR))
    closed(story)
    said = story.tell(changed("2026-11-01", price="3650.00"))
    assert credits(said) == [
        ("outage/2026-11-10 00:00", "13.42", "20.00"),
        ("uptime/2026-11", "6.71", "10.00"),
    ]
    assert months(said) == []


def test_a_change_of_deployment_changes_no_credit() -> None:
    story = november(("2026-11-10 00:00", "2026-11-12 00:00"))
    closed(story)
    assert story.tell(changed("2026-11-01", deployment="on-premises")) == []


def test_backdated_targets_restate_the_closed_month() -> None:
    story = november(("2026-11-10 00:00", "2026-11-12 00:00"))
    closed(story)
    said = story.tell(changed("2026-11-01", targets=("db",)))
    assert months(said)[0].uptime_percent is None
    assert totals(story.said) == {}


def test_values_by_date() -> None:
    prices = ByDate([date(2026, 11, 1)], ["first"])
    prices.change(date(2026, 12, 1), "second")
    prices.change(date(2026, 11, 15), "between")
    prices.change(date(2026, 12, 1), "second, corrected")
    days = {(11, 1): "first", (11, 14): "first", (11, 15): "between", (12, 1): "second, corrected"}
    assert {day: prices.on(date(2026, *day)) for day in days} == days
    assert prices.on(date(2026, 10, 1)) == "first"
