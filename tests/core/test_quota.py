"""The support quota: an hour for each full CHF 1'000, and warnings before it runs out (contract 6)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from shared import facts
from shared.terms import BUILT_IN, QuotaTerms
from tests.core.asking import answered, asked, classified, logged, opened, recounted, told
from tests.core.telling import Telling, cancelled, changed, published, reasons, started

NOVEMBER = "2026-11-20 09:00"


def working(price: str = "5000.00", **of: Any) -> Telling:
    """The plain story with one request of the account's own."""
    story = asked(price, **of).at(NOVEMBER)
    story.tell(opened(NOVEMBER), answered(NOVEMBER))
    return story


@pytest.mark.parametrize(
    ("price", "term", "minutes"),
    [
        ("900.00", "year", 0),
        ("999.99", "year", 0),
        ("1000.00", "year", 60),
        ("1999.99", "year", 60),
        ("5000.00", "year", 300),
        ("290.00", "month", 180),
        ("83.33", "month", 0),
        ("83.34", "month", 60),
    ],
)
def test_an_hour_for_each_full_thousand_of_the_annual_price(price: str, term: str, minutes: int) -> None:
    story = Telling().at("2026-11-01 00:00")
    assert told(story.tell(started(price=price, term=term))) == [f"2026 opens with {minutes}, used 0"]


def test_a_bug_never_touches_it() -> None:
    story = working()
    for number, kind in enumerate(("bug", "global", "unclassified")):
        story.tell(opened(NOVEMBER, ticket=f"T-{kind}", kind=kind))
        assert told(story.tell(logged(600, NOVEMBER, f"E-{number}", f"T-{kind}"))) == []


def test_warnings_come_at_75_90_and_100_percent_each_once() -> None:
    story = working()
    assert told(story.tell(logged(224, NOVEMBER, "a"))) == ["2026 used 224 of 300 by T-1"]
    assert told(story.tell(logged(1, NOVEMBER, "b"))) == ["2026 used 225 of 300 by T-1", "2026 warned 75 %"]
    assert told(story.tell(logged(44, NOVEMBER, "c"))) == ["2026 used 269 of 300 by T-1"]
    assert told(story.tell(logged(1, NOVEMBER, "d")))[1:] == ["2026 warned 90 %"]
    assert told(story.tell(logged(30, NOVEMBER, "e")))[1:] == ["2026 warned 100 %"]
    assert told(story.tell(logged(30, NOVEMBER, "f"))) == ["2026 used 330 of 300 by T-1"]


def test_one_entry_can_cross_several_thresholds() -> None:
    story = working()
    assert told(story.tell(logged(300, NOVEMBER))) == [
        "2026 used 300 of 300 by T-1",
        "2026 warned 75 %",
        "2026 warned 90 %",
        "2026 warned 100 %",
    ]


def test_falling_below_re_arms_the_warning_and_says_so() -> None:
    story = working()
    story.tell(logged(280, NOVEMBER))
    assert told(story.tell(recounted(230, NOVEMBER))) == ["2026 used 230 of 300 by T-1", "2026 restored 90 %"]
    assert told(story.tell(recounted(270, NOVEMBER))) == ["2026 used 270 of 300 by T-1", "2026 warned 90 %"]


def test_a_request_reclassified_takes_its_work_along_back_and_forth() -> None:
    story = working()
    story.tell(logged(200, NOVEMBER, "a"), logged(30, NOVEMBER, "b"))
    assert told(story.tell(classified("bug"))) == ["2026 used 0 of 300 by T-1", "2026 restored 75 %"]
    assert told(story.tell(classified("global"))) == []
    assert told(story.tell(logged(10, NOVEMBER, "c"))) == []
    assert told(story.tell(classified("account"))) == ["2026 used 240 of 300 by T-1", "2026 warned 75 %"]


def test_the_first_minute_uses_up_a_quota_of_nothing() -> None:
    story = working("900.00")
    assert told(story.tell(logged(0, NOVEMBER))) == []
    assert told(story.tell(recounted(1, NOVEMBER))) == [
        "2026 used 1 of 0 by T-1",
        "2026 warned 75 %",
        "2026 warned 90 %",
        "2026 warned 100 %",
    ]


def test_work_counts_in_the_year_of_the_local_date_it_was_done() -> None:
    """Midnight of the offices parts the years."""
    story = working(starts_on="2025-12-01")
    story.at("2026-12-02 09:00")
    said = story.tell(logged(10, "2026-11-30 23:59:59.999", "a"), logged(20, "2026-12-01 00:00", "b"))
    assert told(said) == [
        "2026 opens with 300, used 0",
        "2025 used 10 of 300 by T-1",
        "2026 used 20 of 300 by T-1",
    ]


def test_a_corrected_entry_moves_with_its_date() -> None:
    story = working(starts_on="2025-12-01")
    story.at("2026-12-02 09:00")
    story.tell(logged(10, "2026-11-30 09:00"))
    assert told(story.tell(recounted(15, "2026-12-01 09:00"))) == [
        "2025 used 0 of 300 by T-1",
        "2026 used 15 of 300 by T-1",
    ]


def test_work_dated_in_a_year_to_come_waits_for_it_to_open() -> None:
    story = working("1000.00")
    assert told(story.tell(logged(50, "2027-11-01 00:00"))) == []
    assert told(story.passes("2027-11-01 00:00"))[-2:] == ["2027 opens with 60, used 50", "2027 warned 75 %"]


def test_work_dated_outside_the_service_window_counts_for_nothing() -> None:
    story = working()
    assert told(story.tell(logged(10, "2026-10-31 23:59", "a"))) == []
    story.tell(logged(20, "2026-11-25 09:00", "b"), logged(30, "2026-11-10 09:00", "c"))
    assert told(story.tell(cancelled("2026-11-20"))) == ["2026 used 30 of 300 by T-1"]
    assert told(story.tell(cancelled("2026-12-20"))) == ["2026 used 50 of 300 by T-1"]


def test_a_year_once_opened_stays_and_one_after_the_end_does_not_open() -> None:
    story = working(starts_on="2025-12-01")
    story.at("2026-12-05 09:00")
    story.tell(logged(300, "2026-12-02 09:00"))
    assert told(story.tell(cancelled("2026-11-30"))) == [
        "2026 used 0 of 300 by T-1",
        *(f"2026 restored {percent} %" for percent in (75, 90, 100)),
    ]
    assert told(story.passes("2028-01-01 00:00")) == []


def test_a_higher_price_raises_the_quota_from_its_day() -> None:
    story = working()
    story.tell(logged(270, NOVEMBER))
    assert told(story.tell(changed("2026-12-01", price="6000.00"))) == []
    assert told(story.passes("2026-12-01 00:00")) == ["2026 quota 360, used 270", "2026 restored 90 %"]


def test_a_lower_price_does_not_shrink_it_before_the_next_year() -> None:
    story = working()
    story.tell(changed("2026-12-01", price="2000.00"))
    assert told(story.passes("2027-10-31 12:00")) == []
    assert told(story.passes("2027-11-01 00:00")) == ["2027 opens with 120, used 0"]


def test_a_price_told_late_raises_it_at_once() -> None:
    story = working()
    assert told(story.tell(changed("2026-11-10", price="7999.00"))) == ["2026 quota 420, used 0"]
    assert told(story.tell(changed("2026-11-10", price="4000.00"))) == ["2026 quota 300, used 0"]


def test_years_follow_the_29th_of_february() -> None:
    story = Telling().at("2024-02-29 12:00")
    story.tell(started(starts_on="2024-02-29"))
    said = story.passes("2028-03-01 00:00")
    days = [one.year_starts_on.isoformat() for one in said if hasattr(one, "year_starts_on")]
    assert days == ["2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29"]


def test_a_year_is_judged_by_the_terms_of_its_first_day() -> None:
    quota = QuotaTerms(Decimal("500"), (50, 100, 50))
    story = working(price="1000.00")
    story.tell(published(BUILT_IN, "first", "2026-01-01"))
    story.tell(published(replace(BUILT_IN, quota=quota), "more", "2027-11-01"))
    assert told(story.tell(logged(60, NOVEMBER)))[1:] == [
        f"2026 warned {percent} %" for percent in (75, 90, 100)
    ]
    assert told(story.passes("2027-11-01 00:00")) == ["2027 opens with 120, used 0"]
    story.tell(opened("2027-11-02 09:00", ticket="T-2"))
    assert told(story.tell(logged(60, "2027-11-02 09:00", "E-1", "T-2")))[1:] == ["2027 warned 50 %"]


def test_a_threshold_the_terms_no_longer_have_is_forgotten() -> None:
    story = working(price="1000.00")
    story.tell(logged(50, NOVEMBER))
    terms = replace(BUILT_IN, quota=QuotaTerms(Decimal("1000"), (80, 100)))
    assert told(story.tell(published(terms, "first", "2026-01-01"))) == [
        "2026 quota 60, used 50",
        "2026 warned 80 %",
    ]


def test_each_ticket_whose_work_fell_away_is_said() -> None:
    story = working()
    story.tell(opened(NOVEMBER, ticket="T-0"))
    story.tell(logged(10, "2026-11-25 09:00"), logged(20, "2026-11-25 09:00", "E-1", "T-0"))
    assert told(story.tell(cancelled("2026-11-20"))) == [
        "2026 used 10 of 300 by T-0",
        "2026 used 0 of 300 by T-1",
    ]


@pytest.mark.parametrize(
    ("fact", "reason"),
    [
        (logged(-1, NOVEMBER), "minutes cannot be negative"),
        (logged(1, NOVEMBER, "known"), "ticket T-1 has an entry known already; correct it instead"),
        (recounted(1, NOVEMBER, "unknown"), "ticket T-1 has no entry unknown"),
        (recounted(-1, NOVEMBER, "known"), "minutes cannot be negative"),
        (logged(1, NOVEMBER, ticket="T-9"), "ticket T-9 was never opened"),
    ],
)
def test_work_that_makes_no_sense_is_rejected_and_counts_for_nothing(
    fact: facts.TicketFact, reason: str
) -> None:
    story = working()
    story.tell(logged(20, NOVEMBER, "known"))
    assert reasons(story.tell(fact)) == [reason]
    assert told(story.tell(logged(1, NOVEMBER, "next"))) == ["2026 used 21 of 300 by T-1"]


def test_work_on_an_uncovered_request_counts_for_nothing() -> None:
    story = asked().at(NOVEMBER)
    story.tell(opened(NOVEMBER, subscription=None))
    assert told(story.tell(logged(300, NOVEMBER), classified("bug"), classified("account"))) == []
