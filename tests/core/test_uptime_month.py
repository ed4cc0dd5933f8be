"""Contract 3: monthly uptime. Given what was watched, the closed month says these figures."""

from __future__ import annotations

import pytest

from services.sla.uptime import shown_percent
from tests.core.telling import (
    HOUR,
    Telling,
    after,
    announced,
    cancelled,
    changed,
    closed,
    corrected,
    credits,
    instant,
    months,
    november,
    observed,
    published,
    started,
    state,
    terms_with,
)

NOVEMBER = 720 * HOUR
ALLOWED = NOVEMBER // 200
"""0.5 % of November: 3 h 36 min."""


def test_a_month_without_an_outage_is_met_at_100_percent() -> None:
    (month,) = months(closed(november()))
    assert (month.month, month.revision, month.window_ms) == ("2026-11", 1, NOVEMBER)
    assert (month.excluded_ms, month.unmeasured_ms, month.down_ms) == (0, 0, 0)
    assert (month.uptime_percent, month.met, month.terms) == ("100.000", True, "2023-02-02")


def test_exactly_the_promised_percentage_is_met() -> None:
    (month,) = months(closed(november(after("2026-11-10 10:00", ALLOWED))))
    assert (month.down_ms, month.uptime_percent, month.met) == (ALLOWED, "99.500", True)


def test_one_millisecond_more_misses_the_promise_and_never_shows_as_the_promised_percentage() -> None:
    said = closed(november(after("2026-11-10 10:00", ALLOWED + 1)))
    (month,) = months(said)
    assert (month.down_ms, month.uptime_percent, month.met) == (ALLOWED + 1, "99.499", False)
    assert credits(said) == [("uptime/2026-11", "3.29", "3.29")]


@pytest.mark.parametrize(
    ("month", "after_it", "hours", "allowed"),
    [
        ("2026-03", "2026-04-01", 743, 13_374_000),
        ("2026-10", "2026-11-01", 745, 13_410_000),
        ("2026-02", "2026-03-01", 672, 12_096_000),
        ("2026-12", "2027-01-01", 744, 13_392_000),
    ],
)
def test_a_month_has_the_hours_of_its_local_calendar(
    month: str, after_it: str, hours: int, allowed: int
) -> None:
    """743 hours in March and 745 in October, when the clocks change; half a percent follows."""
    for more, met in ((0, True), (1, False)):
        story = Telling().at(f"{month}-01 00:00")
        story.tell(started(starts_on=f"{month}-01"))
        story.watch(f"{month}-01 00:00", f"{after_it} 00:00", after(f"{month}-10 10:00", allowed + more))
        (said,) = months(story.passes(f"{after_it} 06:00"))
        assert (said.window_ms, said.down_ms, said.met) == (hours * HOUR, allowed + more, met)


@pytest.mark.parametrize(
    ("up_ms", "measured_ms", "shown"),
    [
        (994_999, 1_000_000, "99.499"),
        (999_960, 1_000_000, "99.996"),
        (999_999, 1_000_000, "99.999"),
        (NOVEMBER - 1, NOVEMBER, "99.999"),
        (1, 1, "100.000"),
        (0, 1, "0.000"),
        (1, 3, "33.333"),
    ],
)
def test_the_percentage_is_floored_to_three_decimals(up_ms: int, measured_ms: int, shown: str) -> None:
    assert shown_percent(up_ms, measured_ms) == shown


def test_another_promised_percentage_is_judged_exactly() -> None:
    terms = terms_with(target_percent="99.95")
    allowed = NOVEMBER * 5 // 10_000
    for more, met in ((0, True), (1, False)):
        (month,) = months(closed(november(after("2026-11-10 10:00", allowed + more), terms=terms)))
        assert (month.met, month.terms) == (met, "t")


def test_unmeasured_time_is_neither_up_nor_down() -> None:
    story = Telling().at("2026-11-01 00:00")
    story.tell(started(), state("2026-11-01 00:00", "up"))
    story.at("2026-11-16 00:02").tell(state("2026-11-16 00:00", "unmeasured"))
    story.at("2026-11-26 00:02").tell(state("2026-11-26 00:00", "up"))
    story.tell(state("2026-11-28 10:00", "down"), state("2026-11-28 12:24:00.001", "up"))
    story.tell(observed("2026-12-01 00:00"))
    (month,) = months(closed(story))
    assert (month.unmeasured_ms, month.down_ms) == (240 * HOUR, 480 * HOUR // 200 + 1)
    assert (month.uptime_percent, month.met) == ("99.499", False)


def test_with_nothing_measured_there_is_no_figure_and_no_credit() -> None:
    story = Telling().at("2026-11-01 00:00")
    story.tell(started())
    said = closed(story)
    (month,) = months(said)
    assert said == [month]
    assert (month.window_ms, month.unmeasured_ms) == (NOVEMBER, NOVEMBER)
    assert (month.uptime_percent, month.met) == (None, None)


def test_all_time_excluded_gives_no_figure() -> None:
    story = november(terms=terms_with(excluded=True))
    story.tell(announced("2026-11-01 00:00", "2026-12-01 00:00", "2026-10-01 00:00"))
    (month,) = months(closed(story))
    assert (month.excluded_ms, month.uptime_percent, month.met) == (NOVEMBER, None, None)


def test_a_month_closes_six_hours_after_its_end() -> None:
    story = november()
    assert story.passes(instant("2026-12-01 06:00") - 1) == []
    assert [month.month for month in months(story.passes("2026-12-01 06:00"))] == ["2026-11"]


def test_the_hours_to_the_close_are_the_terms_of_the_month() -> None:
    story = november(terms=terms_with(close_after_hours=48))
    assert story.passes(instant("2026-12-03 00:00") - 1) == []
    assert len(months(story.passes("2026-12-03 00:00"))) == 1


def test_every_month_due_is_closed_in_order_at_the_first_journal_time_after_it() -> None:
    story = november()
    assert [month.month for month in months(story.passes("2027-02-02 00:00"))] == [
        "2026-11",
        "2026-12",
        "2027-01",
    ]


def test_a_subscription_that_starts_in_a_month_has_its_window_from_then_on() -> None:
    story = Telling().at("2026-11-01 00:00")
    story.tell(started(starts_on="2026-11-16"))
    story.watch("2026-11-01 00:00", "2026-12-01 00:00", ("2026-11-15 20:00", "2026-11-16 01:00"))
    (month,) = months(closed(story))
    assert (month.window_ms, month.down_ms) == (15 * 24 * HOUR, HOUR)


def test_a_subscription_that_ends_in_a_month_has_its_window_until_then() -> None:
    story = Telling().at("2026-11-01 00:00")
    story.tell(started(), cancelled("2026-11-16"))
    story.watch("2026-11-01 00:00", "2026-12-01 00:00", ("2026-11-15 20:00", "2026-11-16 01:00"))
    (month,) = months(closed(story))
    assert (month.window_ms, month.down_ms) == (15 * 24 * HOUR, 4 * HOUR)
    assert story.passes("2027-06-01 00:00") == []


def test_a_window_of_no_days_closes_no_month() -> None:
    story = Telling().at("2026-11-01 00:00")
    assert story.tell(started(starts_on="2026-11-16"), cancelled("2026-11-16")) == []
    assert story.passes("2027-01-01 12:00") == []


def test_a_subscription_without_targets_closes_no_month() -> None:
    story = Telling().at("2026-11-01 00:00")
    story.tell(started(targets=()))
    assert story.passes("2027-03-01 00:00") == []


def test_time_without_a_target_is_no_part_of_the_window() -> None:
    story = november()
    story.tell(changed("2026-11-11", targets=()), changed("2026-11-21", targets=("app",)))
    (month,) = months(closed(story))
    assert month.window_ms == 20 * 24 * HOUR
    assert month.unmeasured_ms == 0


def test_months_close_again_once_a_target_is_there_again() -> None:
    story = Telling().at("2026-11-01 00:00")
    story.tell(started(targets=()), changed("2027-02-10", targets=("app",)))
    assert [month.month for month in months(story.passes("2027-03-01 06:00"))] == ["2027-02"]


def test_a_month_that_lost_its_window_is_restated_with_nothing() -> None:
    story = november(after("2026-11-10 10:00", 5 * HOUR))
    closed(story)
    said = story.tell(cancelled("2026-11-01"))
    (month,) = months(said)
    assert (month.month, month.revision, month.window_ms, month.down_ms) == ("2026-11", 2, 0, 0)
    assert (month.uptime_percent, month.met) == (None, None)
    assert credits(said) == [("uptime/2026-11", "-3.29", "0.00")]


def test_a_month_that_never_had_a_window_is_not_restated() -> None:
    story = november()
    story.tell(cancelled("2026-11-01"))
    assert closed(story) == []


def test_a_window_that_opens_again_closes_the_month_it_left_out() -> None:
    story = november()
    story.tell(cancelled("2026-11-01"))
    closed(story)
    (month,) = months(story.tell(cancelled("2026-11-16")))
    assert (month.month, month.revision, month.window_ms) == ("2026-11", 1, 15 * 24 * HOUR)


def test_a_correction_restates_the_closed_month_at_once() -> None:
    story = november(("2026-11-10 10:00", "2026-11-10 15:00"))
    assert credits(closed(story)) == [("uptime/2026-11", "3.29", "3.29")]
    said = story.at("2026-12-10 09:00").tell(corrected("2026-11-10 10:00", "2026-11-10 14:00", "up"))
    (month,) = months(said)
    assert (month.revision, month.down_ms, month.met) == (2, HOUR, True)
    assert credits(said) == [("uptime/2026-11", "-3.29", "0.00")]


def test_a_fact_that_changes_nothing_of_a_closed_month_restates_nothing() -> None:
    story = november(("2026-11-10 10:00", "2026-11-10 11:00"))
    closed(story)
    assert story.tell(corrected("2026-11-10 10:00", "2026-11-10 11:00", "down")) == []


def test_a_month_is_judged_by_the_terms_of_the_first_day_of_its_window() -> None:
    """New terms in the middle of a month judge the next one; the first month of a subscription is judged
    by the terms of its first day."""
    story = Telling().at("2026-10-20 00:00")
    story.tell(published(terms_with(), "old", "2026-01-01"))
    story.tell(published(terms_with(target_percent="100"), "new", "2026-11-10"))
    story.tell(started("S-1"), started("S-2", starts_on="2026-11-10"))
    story.watch("2026-11-01 00:00", "2026-12-01 00:00", ("2026-11-20 10:00", "2026-11-20 10:01"))
    story.at("2026-12-02 00:00").tell(observed("2026-12-02 00:00"))
    story.passes("2027-01-01 06:00")
    assert [(month.month, month.subscription, month.terms, month.met) for month in months(story.said)] == [
        ("2026-11", "S-1", "old", True),
        ("2026-11", "S-2", "new", False),
        ("2026-12", "S-1", "new", True),
        ("2026-12", "S-2", "new", True),
    ]


def test_new_terms_restate_a_closed_month_they_judge() -> None:
    """The first published may be of any date."""
    story = november(after("2026-11-10 10:00", HOUR))
    closed(story)
    said = story.tell(published(terms_with(target_percent="100"), "strict", "2020-01-01"))
    (month,) = months(said)
    assert (month.revision, month.met, month.terms) == (2, False, "strict")
    assert credits(said) == [("uptime/2026-11", "3.29", "3.29")]
