"""Open time: when requests are answered (contract 5), in worked examples."""

from __future__ import annotations

from datetime import date
from typing import Any

import msgspec
import pytest

from services.sla.support_hours import SupportHours, weekly_minutes
from shared.codec import Undecodable, decode_fact, encode
from shared.terms import BUILT_IN, HolidayHours, Week
from shared.time import HOUR, MINUTE, parse_instant
from tests.core.asking import hours, local, support_with
from tests.core.telling import Telling, instant, published, reasons

OFFICES = SupportHours("Europe/Zurich", BUILT_IN.support)
LUNCH: Any = (("08:00", "13:00"), ("14:00", "18:00"))
ALL_DAY: Any = (("00:00", "24:00"),)


def after(start: str, open_ms: int, of: SupportHours = OFFICES) -> str:
    return local(of.after(instant(start), open_ms))


@pytest.mark.parametrize(
    ("start", "open_ms", "due"),
    [
        ("2026-11-20 16:00", HOUR, "2026-11-20 17:00"),
        ("2026-11-20 16:30", 9 * HOUR, "2026-11-23 16:30"),
        ("2026-11-20 17:00", HOUR, "2026-11-23 09:00"),
        ("2026-11-21 11:00", HOUR, "2026-11-23 09:00"),
        ("2026-11-20 16:59:59.999", 1, "2026-11-20 17:00"),
        ("2026-11-20 16:59:59.999", 2, "2026-11-23 08:00:00.001"),
        ("2026-11-21 11:00", 0, "2026-11-21 11:00"),
    ],
)
def test_the_earliest_instant_counts(start: str, open_ms: int, due: str) -> None:
    """Friday 16:00 and an hour is Friday 17:00, not Monday 08:00."""
    assert after(start, open_ms) == due


def test_several_intervals_a_day_leave_the_lunch_break_out() -> None:
    """15 hours from Friday 27 March 2015, 12:00 in Berlin; the clocks change at the weekend."""
    week = Week(mon=LUNCH, tue=LUNCH, wed=LUNCH, thu=LUNCH, fri=LUNCH)
    berlin = SupportHours("Europe/Berlin", hours(week=week))
    due = berlin.after(parse_instant("2015-03-27T11:00:00.000Z"), 15 * HOUR)
    assert due == parse_instant("2015-03-31T07:00:00.000Z")


def test_a_request_on_a_sunday_begins_on_monday() -> None:
    """Sunday 31 January 2016, 12:25:30 in Berlin, and five hours: Monday 13:00."""
    ten: Any = (("08:00", "18:00"),)
    berlin = SupportHours("Europe/Berlin", hours(week=Week(mon=ten, tue=ten, wed=ten, thu=ten, fri=ten)))
    assert local(berlin.after(instant("2016-01-31 12:25:30"), 5 * HOUR)) == "2016-02-01 13:00"


def test_an_office_elsewhere_keeps_its_own_time() -> None:
    nine: Any = (("09:00", "18:00"),)
    york = SupportHours(
        "America/New_York", hours(week=Week(mon=nine, tue=nine, wed=nine, thu=nine, fri=nine))
    )
    due = york.after(parse_instant("2007-01-01T22:00:00.000Z"), 2 * HOUR)
    assert due == parse_instant("2007-01-02T15:00:00.000Z")


def test_a_holiday_closes_its_date() -> None:
    friday = SupportHours("Europe/Zurich", hours(holidays=(date(2026, 12, 25),)))
    assert after("2026-12-24 16:30", HOUR, friday) == "2026-12-28 08:30"


def test_a_holiday_with_hours_replaces_that_dates_hours() -> None:
    half_day = HolidayHours(date(2026, 12, 24), (("08:00", "12:00"),))
    offices = SupportHours("Europe/Zurich", hours(holidays=(half_day,)))
    assert after("2026-12-24 11:30", HOUR, offices) == "2026-12-25 08:30"


def test_hours_on_a_sunday_open_it() -> None:
    sunday = HolidayHours(date(2026, 11, 22), (("10:00", "11:00"),))
    offices = SupportHours("Europe/Zurich", hours(holidays=(sunday,)))
    assert after("2026-11-20 17:00", HOUR, offices) == "2026-11-22 11:00"


def test_of_two_holidays_for_one_date_the_later_listed_counts() -> None:
    open_, shut = HolidayHours(date(2026, 11, 23), (("08:00", "10:00"),)), date(2026, 11, 23)
    first = SupportHours("Europe/Zurich", hours(holidays=(shut, open_)))
    last = SupportHours("Europe/Zurich", hours(holidays=(open_, shut)))
    assert after("2026-11-20 17:00", HOUR, first) == "2026-11-23 09:00"
    assert after("2026-11-20 17:00", HOUR, last) == "2026-11-24 09:00"


def test_doubled_local_minutes_count_twice_and_missing_ones_not() -> None:
    """Open round the clock, the Sunday of 25 hours has 25 and that of 23 has 23."""
    always = Week(**dict.fromkeys(("mon", "tue", "wed", "thu", "fri", "sat", "sun"), ALL_DAY))
    offices = SupportHours("Europe/Zurich", hours(week=always))
    for day, following, length in (
        ("2026-10-25", "2026-10-26", 25),
        ("2026-03-29", "2026-03-30", 23),
        ("2026-11-22", "2026-11-23", 24),
    ):
        assert offices.between(instant(f"{day} 00:00"), instant(f"{following} 00:00")) == length * HOUR


def test_an_interval_among_doubled_minutes_is_open_twice() -> None:
    """02:00 to 03:00 comes twice on 25 October 2026: it is one stretch of two hours; 02:30 to 03:30 two."""
    night: Any = (("02:00", "03:00"),)
    offices = SupportHours("Europe/Zurich", hours(week=Week(sun=night)))
    since, until = instant("2026-10-25 00:00"), instant("2026-10-26 00:00")
    assert offices.between(since, until) == 2 * HOUR
    late: Any = (("02:30", "03:30"),)
    offices = SupportHours("Europe/Zurich", hours(week=Week(sun=late)))
    assert offices.between(since, until) == 90 * MINUTE
    first = instant("2026-10-25 01:30") + HOUR  # 02:30, the first time
    assert offices.after(first, 31 * MINUTE) == first + HOUR + MINUTE


def test_a_time_that_is_skipped_is_no_open_time() -> None:
    night: Any = (("02:00", "03:00"),)
    offices = SupportHours("Europe/Zurich", hours(week=Week(sun=night)))
    assert offices.between(instant("2026-03-29 00:00"), instant("2026-03-30 00:00")) == 0
    assert local(offices.after(instant("2026-03-28 12:00"), HOUR)) == "2026-04-05 03:00"


def test_intervals_that_overlap_are_open_once() -> None:
    twice: Any = (("10:00", "12:00"), ("08:00", "11:00"), ("12:00", "13:00"))
    assert weekly_minutes(hours(week=Week(mon=twice))) == 300


def test_clocks_taken_back_over_midnight_make_a_date_of_two_stretches() -> None:
    """St John's, 7 November 2010, 00:01: the last hour of the 6th came again."""
    last_hour: Any = (("23:00", "24:00"),)
    offices = SupportHours("America/St_Johns", hours(week=Week(sat=last_hour)))
    saturday = parse_instant("2010-11-06T12:00:00.000Z")
    assert offices.between(saturday, saturday + 48 * HOUR) == HOUR + 59 * MINUTE


@pytest.mark.parametrize(
    "interval",
    [["17:00", "08:00"], ["8:00", "17:00"], ["08:00", "24:01"], ["08:00", "17:60"], ["08:00", "17:00\n"]],
)
def test_opening_hours_that_cannot_be_are_refused(interval: list[str]) -> None:
    mon = msgspec.json.encode([interval])
    data = encode(published(BUILT_IN)).replace(b'"mon":[["08:00","17:00"]]', b'"mon":' + mon)
    with pytest.raises(Undecodable):
        decode_fact(data)


def test_an_end_at_midnight_and_an_empty_interval_are_allowed() -> None:
    data = encode(published(BUILT_IN)).replace(
        b'"mon":[["08:00","17:00"]]', b'"mon":[["08:00","24:00"],["07:00","07:00"]]'
    )
    fact: Any = decode_fact(data)
    assert weekly_minutes(fact.terms.support) == 4 * 540 + 16 * 60


def test_terms_in_which_a_deadline_would_never_come_due_are_rejected() -> None:
    story = Telling().at("2026-11-01 00:00")
    assert reasons(story.tell(published(support_with(week=Week())))) == [
        "a first response within 1620 minutes of open time would not be due within ten years of "
        "0 open minutes a week; give the week more hours"
    ]
