"""Contract 4, outage credit: given these cuts, these credits under these names."""

from __future__ import annotations

from datetime import date

import pytest

from shared.terms import Exact
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
    granted,
    instant,
    months,
    november,
    observed,
    published,
    started,
    state,
    terms_with,
    totals,
)

DAY = 24 * HOUR
TEN = "2026-11-10 10:00"
RATE = "3.29"
"""CHF 1,200 / 365 = 3.2877 a day."""


def outage(*cuts: tuple[str | int, str | int]) -> list[tuple[str, str, str]]:
    """The outage credits of a November with these cuts."""
    return [found for found in credits(november(*cuts).said) if found[0].startswith("outage/")]


def test_a_cut_of_exactly_24_hours_earns_nothing() -> None:
    assert outage(after(TEN, DAY)) == []


def test_one_millisecond_more_earns_two_daily_rates() -> None:
    """Two times 24 hours were started."""
    assert outage(after(TEN, DAY + 1)) == [("outage/2026-11-10 10:00", "6.58", "6.58")]


@pytest.mark.parametrize(
    ("length", "earned"),
    [
        (2 * DAY, "6.58"),
        (2 * DAY + 1, "9.86"),
        (3 * DAY, "9.86"),
        (3 * DAY + 1, "13.15"),
        (10 * DAY, "32.88"),
    ],
)
def test_each_started_24_hours_earn_a_daily_rate(length: int, earned: str) -> None:
    assert outage(after(TEN, length)) == [("outage/2026-11-10 10:00", earned, earned)]


def test_two_cuts_are_not_one() -> None:
    """Two times 23 hours with a minute of service between them earn no outage credit."""
    assert outage(("2026-11-10 00:00", "2026-11-10 23:00"), ("2026-11-10 23:01", "2026-11-11 22:01")) == []


def test_a_cut_is_concluded_when_it_ends() -> None:
    story = Telling().at("2026-11-01 00:00")
    story.tell(started(), state("2026-11-01 00:00", "up"))
    assert story.at(TEN).tell(state(TEN, "down")) == []
    assert story.at("2026-11-11 22:00").tell(observed("2026-11-11 22:00")) == []
    said = story.at("2026-11-11 22:02").tell(state("2026-11-11 22:00", "up"))
    assert credits(said) == [("outage/2026-11-10 10:00", "6.58", "6.58")]


def test_unmeasured_time_ends_a_cut() -> None:
    story = Telling().at("2026-11-01 00:00")
    story.tell(started(), state("2026-11-01 00:00", "down"))
    assert credits(story.at("2026-11-03 00:00").tell(state("2026-11-03 00:00", "unmeasured"))) == [
        ("outage/2026-11-01 00:00", "6.58", "6.58")
    ]


def test_silence_ends_no_cut() -> None:
    """While nothing has been said after it, the cut lasts; at the month's close it is as if it had ended
    at the month's end, or where it was last seen."""
    story = Telling().at("2026-11-01 00:00")
    story.tell(started(), state("2026-11-01 00:00", "down"))
    assert story.at("2026-11-03 00:00").tell(observed("2026-11-03 00:00")) == []
    assert story.passes("2026-11-20 00:00") == []
    assert credits(closed(story)) == [("outage/2026-11-01 00:00", "6.58", "6.58")]


def test_what_is_said_after_a_long_silence_ends_the_cut_that_waited() -> None:
    """Down again after seven silent hours said as such: two cuts, the first of them over."""
    story = Telling().at("2026-11-01 00:00")
    story.tell(started(), state("2026-11-01 00:00", "down"), observed("2026-11-03 00:00"))
    story.at("2026-11-03 08:00")
    assert credits(story.tell(state("2026-11-03 00:00", "unmeasured"))) == [
        ("outage/2026-11-01 00:00", "6.58", "6.58")
    ]
    assert story.tell(state("2026-11-03 07:00", "down"), observed("2026-11-03 08:00")) == []
    assert credits(closed(story, "2026-12-01 06:00"))[-1] == ("uptime/2026-11", RATE, RATE)


def test_a_lasting_cut_is_credited_to_the_months_end_and_revised_as_it_goes_on() -> None:
    """Split over months for the percentage, one cut for the 24 hours: the same credit, revised."""
    story = november(("2026-11-29 00:00", "2026-12-01 00:00"))
    said = closed(story)
    assert months(said)[0].down_ms == 2 * DAY
    assert credits(said) == [("outage/2026-11-29 00:00", "6.58", "6.58")]
    story.at("2026-12-03 12:00").tell(observed("2026-12-03 12:00"))
    said = story.tell(state("2026-12-03 12:00", "up"))
    assert credits(said) == [("outage/2026-11-29 00:00", "9.86", "16.44")]
    assert granted(said)[0].revision == 2
    story.at("2027-01-01 00:00").tell(observed("2027-01-01 00:00"))
    said = story.passes("2027-01-01 06:00")
    assert months(said)[0].down_ms == 60 * HOUR
    assert credits(said) == []


def test_a_cut_shorter_at_the_months_close_moves_from_the_uptime_credit_when_it_grows_longer() -> None:
    """No second of down time is paid for twice: 20 hours at the close, 30 when it ends."""
    story = november(("2026-11-30 04:00", "2026-12-01 00:00"))
    assert credits(closed(story)) == [("uptime/2026-11", RATE, RATE)]
    story.at("2026-12-01 10:00").tell(observed("2026-12-01 10:00"))
    assert credits(story.tell(state("2026-12-01 10:00", "up"))) == [
        ("outage/2026-11-30 04:00", "6.58", "6.58"),
        ("uptime/2026-11", "-3.29", "0.00"),
    ]


def test_a_cut_over_three_months_is_one_credit_with_a_revision_at_each_close() -> None:
    story = november(("2026-11-30 00:00", "2026-12-01 00:00"))
    assert credits(closed(story)) == [("uptime/2026-11", RATE, RATE)]
    story.at("2027-01-01 00:00").tell(observed("2027-01-01 00:00"))
    assert credits(story.passes("2027-01-01 06:00")) == [
        ("outage/2026-11-30 00:00", "105.21", "105.21"),  # 32 days
        ("uptime/2026-11", "-3.29", "0.00"),
    ]
    story.at("2027-02-01 00:00").tell(observed("2027-02-01 00:00"))
    assert credits(story.passes("2027-02-01 06:00")) == [("outage/2026-11-30 00:00", "101.91", "207.12")]


def test_each_24_hours_have_the_daily_rate_of_the_local_date_on_which_they_begin() -> None:
    """A price of 3,650 from 12 November: 10.00 a day from then on."""
    story = Telling().at("2026-11-01 00:00")
    story.tell(started(), changed("2026-11-12", price="3650.00"))
    story.watch("2026-11-01 00:00", "2026-12-01 00:00", ("2026-11-10 23:59", "2026-11-13 12:00"))
    # They begin on 10, 11 and 12 November at 23:59: 3.2877 + 3.2877 + 10.00.
    assert totals(story.said)["S-1/outage/2026-11-10T22:59:00.000Z"] == "16.58"


def test_24_hours_are_hours_also_when_the_clocks_change() -> None:
    """From Saturday 24 October 12:00 to Sunday 12:00 local are 25 hours: a cut longer than 24."""
    for ends, earned in (("2026-10-25 11:00", []), ("2026-10-25 12:00", ["6.58"])):
        story = Telling().at("2026-10-01 00:00")
        story.tell(started(starts_on="2026-10-01"))
        story.watch("2026-10-01 00:00", "2026-10-31 00:00", ("2026-10-24 12:00", ends))
        assert [total for _, _, total in credits(story.said)] == earned


def test_a_cut_before_the_service_window_counts_from_its_start() -> None:
    story = Telling().at("2026-11-01 00:00")
    story.tell(started(starts_on="2026-11-11"))
    story.watch("2026-11-01 00:00", "2026-12-01 00:00", ("2026-11-09 00:00", "2026-11-12 00:00"))
    assert totals(story.said) == {}
    assert totals(closed(story)) == {"S-1/uptime/2026-11": RATE}


def test_a_cut_is_concluded_when_the_service_window_ends() -> None:
    story = Telling().at("2026-11-01 00:00")
    story.tell(started(), cancelled("2026-11-13"), state("2026-11-01 00:00", "up"))
    story.at(TEN).tell(state(TEN, "down"))
    story.at("2026-11-12 23:00").tell(observed("2026-11-12 23:00"))
    assert credits(story.passes("2026-11-13 00:00")) == [("outage/2026-11-10 10:00", "9.86", "9.86")]
    assert credits(story.at("2026-11-14 00:00").tell(observed("2026-11-14 00:00"))) == []


def test_a_window_that_ends_earlier_takes_back_what_lies_after_it() -> None:
    story = november(("2026-11-10 00:00", "2026-11-14 00:00"))
    assert totals(story.said) == {"S-1/outage/2026-11-09T23:00:00.000Z": "13.15"}
    assert credits(story.tell(cancelled("2026-11-12"))) == [("outage/2026-11-10 00:00", "-6.57", "6.58")]
    assert credits(story.tell(cancelled("2026-11-20"))) == [("outage/2026-11-10 00:00", "6.57", "13.15")]


def test_a_correction_that_moves_the_start_renames_the_credit() -> None:
    story = november(("2026-11-10 10:00", "2026-11-12 00:00"))
    assert totals(story.said) == {"S-1/outage/2026-11-10T09:00:00.000Z": "6.58"}
    said = story.tell(corrected("2026-11-10 08:00", "2026-11-10 10:00", "down"))
    assert credits(said) == [
        ("outage/2026-11-10 08:00", "6.58", "6.58"),
        ("outage/2026-11-10 10:00", "-6.58", "0.00"),
    ]


def test_a_correction_of_a_correction_gives_the_credit_back_under_its_first_name() -> None:
    story = november(("2026-11-10 10:00", "2026-11-12 00:00"))
    closed(story)
    said = story.at("2026-12-10 09:00").tell(corrected("2026-11-10 10:00", "2026-11-12 00:00", "up"))
    assert credits(said) == [("outage/2026-11-10 10:00", "-6.58", "0.00")]
    said = story.tell(corrected("2026-11-10 10:00", "2026-11-12 00:00", "down", at="2026-12-10 10:00"))
    assert credits(said) == [("outage/2026-11-10 10:00", "6.58", "6.58")]
    assert (months(said)[0].revision, granted(said)[0].revision) == (3, 3)
    assert [type(one).__name__ for one in said] == ["MonthClosed", "CreditAdjusted"]


def test_a_correction_may_cut_a_long_cut_in_two_short_ones() -> None:
    story = november(("2026-11-10 00:00", "2026-11-11 12:00"))
    said = story.tell(corrected("2026-11-10 20:00", "2026-11-10 20:01", "up"))
    assert credits(said) == [("outage/2026-11-10 00:00", "-6.58", "0.00")]
    assert credits(closed(story)) == [("uptime/2026-11", "6.58", "6.58")]


def test_the_longest_cut_without_a_credit_is_that_of_the_terms_of_the_day_it_began() -> None:
    """Twelve hours from 15 November on, 24 before."""
    story = Telling().at("2026-10-01 00:00")
    story.tell(published(terms_with(), "t-24", "2026-01-01"))
    story.tell(published(terms_with(longer_than_hours=12), "t-12", "2026-11-15"))
    story.tell(started())
    story.watch(
        "2026-11-01 00:00",
        "2026-12-01 00:00",
        ("2026-11-14 23:00", "2026-11-15 15:00"),
        ("2026-11-16 00:00", "2026-11-16 12:00"),
        ("2026-11-17 00:00", "2026-11-17 12:01"),
    )
    (credit,) = granted(story.said)
    assert credits([credit]) == [("outage/2026-11-17 00:00", RATE, RATE)]
    assert credit.terms == "t-12"


def test_the_exact_rule_pays_each_millisecond_at_its_dates_rate() -> None:
    """30 hours from 10 November 10:00: 14 of 24 hours on the 10th, 16 of 24 on the 11th."""
    story = november(after(TEN, 30 * HOUR), terms=terms_with(outage_credit=Exact()))
    (credit,) = granted(story.said)
    assert credits([credit]) == [("outage/2026-11-10 10:00", "4.11", "4.11")]  # 1200/365 * 30/24 = 4.1096
    assert credit.calculation["rule"] == "exact"
    assert credit.calculation["exact"] == "300/73"
    lines = [(day["down_ms"], day["of_ms"]) for day in credit.calculation["days"]]
    assert lines == [(14 * HOUR, DAY), (16 * HOUR, DAY)]


def test_the_exact_rule_knows_the_local_dates_length() -> None:
    """The 25 hours of 25 October 2026 are one daily rate together with nothing else."""
    story = Telling().at("2026-10-01 00:00")
    story.tell(published(terms_with(outage_credit=Exact(), longer_than_hours=24), "t", "2026-01-01"))
    story.tell(started(starts_on="2026-10-01"))
    story.watch("2026-10-01 00:00", "2026-10-31 00:00", ("2026-10-25 00:00", "2026-10-26 00:00"))
    assert [total for _, _, total in credits(story.said)] == [RATE]


def test_excluded_time_does_not_end_a_cut_while_the_target_is_seen_down_in_it() -> None:
    """20 hours, a maintenance of 10 hours, 20 hours: one cut of 40 hours of down time."""
    story = november(("2026-11-10 00:00", "2026-11-12 02:00"), terms=terms_with(excluded=True))
    assert credits(story.said) == [("outage/2026-11-10 00:00", "9.86", "9.86")]
    said = story.tell(announced("2026-11-10 20:00", "2026-11-11 06:00"))
    assert credits(said) == [("outage/2026-11-10 00:00", "-3.28", "6.58")]
    (month,) = months(closed(story))
    assert (month.excluded_ms, month.down_ms) == (10 * HOUR, 40 * HOUR)


def test_the_next_24_hours_begin_with_their_first_millisecond_of_down_time() -> None:
    """Exactly 24 hours, then a maintenance over midnight: the second 24 hours begin on the 13th, when the
    target is down again outside of it, at the new price."""
    story = Telling().at("2026-11-01 00:00")
    story.tell(published(terms_with(excluded=True)))
    story.tell(started(), changed("2026-11-13", price="3650.00"))
    story.tell(announced("2026-11-12 10:00", "2026-11-13 02:00"))
    story.watch("2026-11-01 00:00", "2026-12-01 00:00", ("2026-11-11 10:00", "2026-11-13 04:00"))
    assert credits(story.said) == [("outage/2026-11-11 10:00", "13.29", "13.29")]  # 3.2877 + 10.00


def test_excluded_time_in_which_the_target_is_up_ends_a_cut() -> None:
    story = november(
        ("2026-11-10 00:00", "2026-11-10 21:00"),
        ("2026-11-10 22:00", "2026-11-11 12:00"),
        terms=terms_with(excluded=True),
    )
    story.tell(announced("2026-11-10 20:00", "2026-11-11 00:00"))
    assert [found for found in credits(closed(story)) if "outage" in found[0]] == []


def test_a_cut_before_a_maintenance_lasts_until_something_is_said_after_it() -> None:
    """Up again within the maintenance is said in excluded time only."""
    story = Telling().at("2026-11-01 00:00")
    story.tell(published(terms_with(excluded=True)), started(), state("2026-11-01 00:00", "up"))
    story.tell(announced("2026-11-12 00:00", "2026-11-12 10:00"))
    story.at("2026-11-10 00:00").tell(state("2026-11-10 00:00", "down"))
    story.at("2026-11-12 05:00")
    assert story.tell(state("2026-11-12 05:00", "up"), observed("2026-11-12 06:00")) == []
    assert story.at("2026-11-12 10:00").tell(observed("2026-11-12 10:00")) == []
    said = story.at("2026-11-12 11:00").tell(observed("2026-11-12 11:00"))
    assert credits(said) == [("outage/2026-11-10 00:00", "6.58", "6.58")]


def test_a_cut_ends_with_the_last_target_once_it_was_seen_down_until_then() -> None:
    story = Telling().at("2026-11-01 00:00")
    story.tell(started(), state("2026-11-01 00:00", "down"), changed("2026-11-04", targets=()))
    assert story.at("2026-11-03 23:00").tell(observed("2026-11-03 23:00")) == []
    said = story.at("2026-11-04 01:00").tell(observed("2026-11-04 01:00"))
    assert credits(said) == [("outage/2026-11-01 00:00", "9.86", "9.86")]


def test_a_cut_said_beforehand_to_end_ends_when_it_is_observed_until_then() -> None:
    """A correction for a time to come: an operator knows when the server will be back."""
    story = Telling().at("2026-11-01 00:00")
    story.tell(started(), state("2026-11-01 00:00", "down"))
    said = story.tell(corrected("2026-11-03 00:00", "2026-11-03 06:00", "up", at="2026-11-01 00:00"))
    assert said == []
    said = story.at("2026-11-03 07:00").tell(observed("2026-11-03 07:00"))
    assert credits(said) == [("outage/2026-11-01 00:00", "6.58", "6.58")]


def test_a_second_telling_of_what_is_known_says_nothing() -> None:
    story = november(("2026-11-10 00:00", "2026-11-12 00:00"))
    assert story.tell(state("2026-11-10 00:00", "down"), observed("2026-11-20 00:00")) == []


def test_the_calculation_says_how_a_credit_came_about() -> None:
    story = november(("2026-11-10 23:00", "2026-11-12 05:00"))
    (credit,) = granted(story.said)
    assert credit.calculation == {
        "rule": "started-day",
        "starts_at": "2026-11-10T22:00:00.000Z",
        "ends_at": "2026-11-12T04:00:00.000Z",
        "down_ms": instant("2026-11-12 05:00") - instant("2026-11-10 23:00"),
        "longer_than_ms": DAY,
        "days": [
            {"date": date(2026, 11, 10), "price": "1200.00", "term_days": 365},
            {"date": date(2026, 11, 11), "price": "1200.00", "term_days": 365},
        ],
        "exact": "480/73",
    }
