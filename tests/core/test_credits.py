"""Contract 4: daily rates, the uptime credit and its rules, one rounding, totals that follow history."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest

from services.sla import subscriptions
from shared.terms import Exact, Terms, Tier, Tiers
from tests.core.telling import (
    HOUR,
    Telling,
    after,
    cancelled,
    changed,
    closed,
    corrected,
    credits,
    granted,
    months,
    november,
    published,
    started,
    terms_with,
    totals,
)

DAY = 24 * HOUR
TEN = "2026-11-10 10:00"


def rate(day: str, **of: str) -> Fraction:
    """The daily rate on `day` in francs."""
    subscription = subscriptions.started(started(**of))
    return subscriptions.daily_rate(subscription, date.fromisoformat(day)) / 100


@pytest.mark.parametrize(
    ("starts_on", "day", "days"),
    [
        ("2026-11-01", "2026-11-01", 365),
        ("2026-11-01", "2027-10-31", 365),
        ("2026-11-01", "2027-11-01", 366),
        ("2027-03-01", "2028-02-29", 366),
        ("2024-02-29", "2024-02-29", 365),  # ends 27.2.2025
        ("2024-02-29", "2025-02-27", 365),
        ("2024-02-29", "2025-02-28", 365),  # the term from 28.2.2025
        ("2024-02-29", "2028-02-28", 366),  # 28.2.2027 to 29.2.2028: from the original date
        ("2024-02-29", "2028-02-29", 365),
        ("2011-06-17", "2012-06-16", 366),
    ],
)
def test_a_years_daily_rate_is_the_price_by_the_days_of_its_term(starts_on: str, day: str, days: int) -> None:
    """CHF 1,200 a year: 3.2877 in a term of 365 days, 3.2787 in one of 366."""
    assert rate(day, starts_on=starts_on) == Fraction(1200, days)


@pytest.mark.parametrize(
    ("day", "days"),
    [
        ("2026-01-31", 28),  # 31.1. to 28.2.
        ("2026-02-27", 28),
        ("2026-02-28", 31),  # 28.2. to 31.3.
        ("2026-03-30", 31),
        ("2026-03-31", 30),  # 31.3. to 30.4.
        ("2026-04-30", 31),
        ("2028-02-28", 29),  # 31.1. to 29.2. of a leap year
        ("2028-02-29", 31),
    ],
)
def test_a_months_daily_rate_in_terms_from_the_31st(day: str, days: int) -> None:
    """The 31st becomes the month's last day, always counted from the original date."""
    assert rate(day, starts_on="2026-01-31", term="month", price="100.00") == Fraction(100, days)


def test_a_price_change_inside_a_term_counts_from_its_date() -> None:
    """The price in force that day / the days of the whole term."""
    subscription = subscriptions.started(started())
    subscriptions.changed(subscription, changed("2027-01-01", price="2400.00"))  # type: ignore[arg-type]
    for day, price in (("2026-12-31", 1200), ("2027-01-01", 2400), ("2027-10-31", 2400)):
        assert subscriptions.daily_rate(subscription, date.fromisoformat(day)) == Fraction(price * 100, 365)


def test_of_two_price_changes_for_one_date_the_later_said_counts() -> None:
    story = november(("2026-11-10 00:00", "2026-11-12 00:00"))
    story.tell(changed("2026-11-11", price="730.00"), changed("2026-11-10", price="3650.00"))
    assert totals(story.said) == {"S-1/outage/2026-11-09T23:00:00.000Z": "12.00"}  # 10.00 + 2.00
    story.tell(changed("2026-11-11", price="365.00"))
    assert totals(story.said) == {"S-1/outage/2026-11-09T23:00:00.000Z": "11.00"}


def test_a_price_for_the_first_day_replaces_the_first_price_and_one_before_it_counts_never() -> None:
    story = november(("2026-11-10 00:00", "2026-11-12 00:00"))
    story.tell(changed("2026-10-15", price="99999.00"))
    assert totals(story.said) == {"S-1/outage/2026-11-09T23:00:00.000Z": "6.58"}
    story.tell(changed("2026-11-01", price="3650.00"))
    assert totals(story.said) == {"S-1/outage/2026-11-09T23:00:00.000Z": "20.00"}


def test_a_subscription_for_nothing_earns_nothing() -> None:
    story = november(("2026-11-10 00:00", "2026-11-12 00:00"), price="0.00")
    (month,) = closed(story)
    assert credits(story.said) == []
    assert months([month])[0].met is False


@pytest.mark.parametrize(
    ("down_ms", "earned"),
    [(DAY // 4, "3.29"), (DAY, "3.29"), (DAY + 1, "6.58"), (3 * DAY, "9.86")],
)
def test_a_missed_month_earns_a_daily_rate_for_each_started_24_hours_of_its_down_time(
    down_ms: int, earned: str
) -> None:
    """Down time in cuts of at most twelve hours is added up."""
    parts = -(-down_ms // (12 * HOUR))
    cuts = [
        after(f"2026-11-{2 + 2 * part:02d} 06:00", min(12 * HOUR, down_ms - part * 12 * HOUR))
        for part in range(parts)
    ]
    assert credits(closed(november(*cuts))) == [("uptime/2026-11", earned, earned)]


def test_the_uptime_credit_has_the_rate_of_the_first_date_of_the_window() -> None:
    """A price raised on 2 November does not count for November's uptime."""
    story = november(after(TEN, 5 * HOUR))
    story.tell(changed("2026-11-02", price="3650.00"))
    assert credits(closed(story)) == [("uptime/2026-11", "3.29", "3.29")]
    late = Telling().at("2026-11-01 00:00")
    late.tell(started(starts_on="2026-10-05"), changed("2026-11-01", price="3650.00"))
    late.watch("2026-11-01 00:00", "2026-12-01 00:00", after(TEN, 5 * HOUR))
    assert totals(closed(late)) == {"S-1/uptime/2026-11": "10.00"}


def test_no_second_of_down_time_is_paid_for_twice() -> None:
    """A cut of 30 hours is an outage credit; the month is missed, and pays for the other five hours only."""
    story = november(after(TEN, 30 * HOUR), after("2026-11-20 10:00", 5 * HOUR))
    said = closed(story)
    assert totals(story.said) == {"S-1/outage/2026-11-10T09:00:00.000Z": "6.58", "S-1/uptime/2026-11": "3.29"}
    (credit,) = granted(said)
    assert (credit.calculation["in_longer_cuts_ms"], credit.calculation["counted_ms"]) == (
        30 * HOUR,
        5 * HOUR,
    )


def test_a_month_missed_by_a_longer_cut_alone_earns_no_uptime_credit() -> None:
    story = november(after(TEN, 30 * HOUR))
    (month,) = closed(story)
    assert months([month])[0].met is False


def test_a_longer_cut_over_the_months_end_belongs_to_neither_month() -> None:
    story = november(("2026-11-30 12:00", "2026-12-01 00:00"), after("2026-11-10 10:00", HOUR))
    closed(story)
    story.watch("2026-12-02 00:00", "2027-01-01 00:00")
    story.passes("2027-01-01 06:00")
    assert totals(story.said) == {
        "S-1/outage/2026-11-30T11:00:00.000Z": "6.58",
        "S-1/uptime/2026-11": "3.29",
    }


def test_down_time_in_no_longer_cut_is_told_from_a_longer_one_before_and_after_it() -> None:
    """A correction makes part of a longer cut short: what is left of it counts for the month."""
    story = november(("2026-11-10 00:00", "2026-11-13 00:00"))
    closed(story)
    story.at("2026-12-10 09:00").tell(corrected("2026-11-11 12:00", "2026-11-11 13:00", "up"))
    assert totals(story.said) == {
        "S-1/outage/2026-11-09T23:00:00.000Z": "6.58",  # 36 hours
        "S-1/outage/2026-11-11T12:00:00.000Z": "6.58",  # 35 hours
    }
    story.tell(corrected("2026-11-12 12:00", "2026-11-12 13:00", "up"))
    assert totals(story.said) == {
        "S-1/outage/2026-11-09T23:00:00.000Z": "6.58",
        "S-1/uptime/2026-11": "6.58",  # 23 and 11 hours
    }


def test_the_exact_rule_pays_the_months_down_time_to_the_millisecond() -> None:
    story = november(after(TEN, 6 * HOUR), after("2026-11-20 22:00", 4 * HOUR), terms=_uptime(Exact()))
    (credit,) = granted(closed(story))
    assert credits([credit]) == [("uptime/2026-11", "1.37", "1.37")]  # 1200/365 * 10/24 = 1.3699
    assert credit.calculation["exact"] == "100/73"
    assert [day["down_ms"] for day in credit.calculation["days"]] == [6 * HOUR, 2 * HOUR, 2 * HOUR]


def _uptime(rule: Exact | Tiers) -> Terms:
    return terms_with(uptime_credit=rule)


TIERS = Tiers(
    (
        Tier(Decimal("99.5"), Decimal("10")),
        Tier(Decimal("95"), Decimal("50")),
        Tier(Decimal("99"), Decimal("25")),
    )
)
FEE = Fraction(1200 * 30, 365)
"""Of November: the sum of its daily rates, CHF 98.63."""


@pytest.mark.parametrize(
    ("down_ms", "percent", "earned"),
    [
        (5 * HOUR, "10", "9.86"),
        (720 * HOUR // 100, "10", "9.86"),  # exactly 99 % is not below 99
        (720 * HOUR // 100 + 1, "25", "24.66"),
        (20 * HOUR, "25", "24.66"),
    ],
)
def test_the_tiers_pay_a_percentage_of_the_months_fee(down_ms: int, percent: str, earned: str) -> None:
    """The lowest tier reached counts, in whatever order the terms list them."""
    (credit,) = granted(closed(november(after(TEN, down_ms), terms=_uptime(TIERS))))
    assert credits([credit]) == [("uptime/2026-11", earned, earned)]
    assert credit.calculation["percent_of_fee"] == percent
    assert Fraction(credit.calculation["fee"]) == FEE


def test_the_tier_is_reached_without_the_longer_cuts_down_time() -> None:
    """30 hours in one cut would be below 96 %; the other five hours alone leave 99.3 %."""
    story = november(after(TEN, 30 * HOUR), after("2026-11-20 10:00", 5 * HOUR), terms=_uptime(TIERS))
    (credit,) = granted(closed(story))
    assert credits([credit]) == [("uptime/2026-11", "9.86", "9.86")]
    assert credit.calculation["uptime_without_longer_cuts_percent"] == "99.305"


def test_no_tier_reached_earns_nothing() -> None:
    story = november(after(TEN, 30 * HOUR), terms=_uptime(TIERS))
    assert credits(closed(story)) == []


def test_the_fee_is_that_of_the_dates_in_the_service_window_at_their_rates() -> None:
    """From 11 to 20 November, 5 days at 3,650 / 365 and 5 at 7,300 / 365: 150.00."""
    story = Telling().at("2026-11-01 00:00")
    story.tell(published(_uptime(TIERS)))
    story.tell(started(price="3650.00", starts_on="2026-11-11"), changed("2026-11-16", price="7300.00"))
    story.tell(cancelled("2026-11-21"))
    story.watch("2026-11-01 00:00", "2026-12-01 00:00", after("2026-11-12 10:00", 2 * HOUR))
    (credit,) = granted(closed(story))
    assert credit.calculation["fee"] == "150"
    assert credits([credit]) == [("uptime/2026-11", "15.00", "15.00")]


def test_rounding_happens_once_on_the_total() -> None:
    """CHF 1.83 a year is 0.00501 a day, which alone rounds to 0.01: two days are 0.01, three 0.02."""
    for length, earned in ((25 * HOUR, "0.01"), (49 * HOUR, "0.02")):
        story = november(after(TEN, length), price="1.83")
        assert [total for _, _, total in credits(story.said)] == [earned]


def test_half_a_rappen_is_rounded_up() -> None:
    """CHF 1.825 cannot be said; 3.65 a year is 0.01 a day, and half a day of it by the exact rule 0.005."""
    terms = terms_with(uptime_credit=Exact())
    half = november(after("2026-11-10 00:00", 12 * HOUR), terms=terms, price="3.65")
    assert credits(closed(half)) == [("uptime/2026-11", "0.01", "0.01")]
    less = november(after("2026-11-10 00:00", 12 * HOUR - 1), terms=terms, price="3.65")
    assert credits(closed(less)) == []


def test_a_correction_after_the_close_is_a_revision_with_the_difference() -> None:
    story = november(after(TEN, 5 * HOUR))
    closed(story)
    story.at("2026-12-10 09:00")
    said = story.tell(corrected("2026-11-20 00:00", "2026-11-20 23:00", "down"))
    (credit,) = granted(said)
    assert (type(credit).__name__, credit.revision) == ("CreditAdjusted", 2)
    assert credits(said) == [("uptime/2026-11", "3.29", "6.58")]
    said = story.tell(corrected("2026-11-20 00:00", "2026-11-20 23:00", "up", at="2026-12-10 09:01"))
    assert credits(said) == [("uptime/2026-11", "-3.29", "3.29")]
    assert granted(said)[0].revision == 3


def test_a_credit_taken_back_says_so_in_its_calculation() -> None:
    story = november(after(TEN, 5 * HOUR))
    closed(story)
    (credit,) = granted(story.tell(corrected(TEN, "2026-11-10 15:00", "up")))
    assert credit.calculation == {"rule": "none", "exact": "0"}
    assert credit.total == 0


def test_a_revision_that_leaves_the_total_as_it_is_is_none() -> None:
    story = november(after(TEN, 5 * HOUR))
    closed(story)
    said = story.tell(corrected("2026-11-10 15:00", "2026-11-10 16:00", "down"))
    assert (len(months(said)), credits(said)) == (1, [])
