"""Contract 1 and 4: local dates, months and terms, by the rules of the pinned time zone database."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import calendar
from shared.time import parse_instant

ZURICH = "Europe/Zurich"
HOUR = 3_600_000


def starts(day: str, zone: str = ZURICH) -> int:
    return calendar.day_start(date.fromisoformat(day), zone)


@pytest.mark.parametrize(
    ("day", "zone", "begins"),
    [
        ("2026-11-01", ZURICH, "2026-10-31T23:00:00.000Z"),
        ("2026-07-01", ZURICH, "2026-06-30T22:00:00.000Z"),
        ("2026-03-29", ZURICH, "2026-03-28T23:00:00.000Z"),
        ("2026-03-30", ZURICH, "2026-03-29T22:00:00.000Z"),
        ("2026-11-01", "America/New_York", "2026-11-01T04:00:00.000Z"),
        ("2026-11-01", "UTC", "2026-11-01T00:00:00.000Z"),
        ("2018-11-04", "America/Sao_Paulo", "2018-11-04T03:00:00.000Z"),  # 00:00 is skipped: from 01:00
        ("2026-11-01", "America/Havana", "2026-11-01T04:00:00.000Z"),  # 00:00 comes twice: the first
    ],
)
def test_a_local_date_begins_at_its_midnight(day: str, zone: str, begins: str) -> None:
    assert starts(day, zone) == parse_instant(begins)
    assert calendar.local_date(starts(day, zone), zone) == date.fromisoformat(day)
    assert calendar.local_date(starts(day, zone) - 1, zone) == date.fromisoformat(day) - timedelta(days=1)


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-28", 24), ("2026-03-29", 23), ("2026-10-25", 25), ("2026-11-01", 24)]
)
def test_a_local_date_has_23_24_or_25_hours(day: str, hours: int) -> None:
    assert calendar.next_day_start(date.fromisoformat(day), ZURICH) - starts(day) == hours * HOUR


@given(st.integers(0, 4_000_000_000_000), st.sampled_from([ZURICH, "America/New_York", "Asia/Kathmandu"]))
def test_every_instant_lies_in_its_local_date(ms: int, zone: str) -> None:
    day = calendar.local_date(ms, zone)
    assert calendar.day_start(day, zone) <= ms < calendar.next_day_start(day, zone)
    assert day == datetime.fromtimestamp(ms // 1000, tz=UTC).astimezone(ZoneInfo(zone)).date()


@pytest.mark.parametrize(
    "name", ["", "Mars/Olympus", "Europe", ".Zurich", "../etc", "Europe/Zurich/", "leapseconds", "a\0b"]
)
def test_an_unknown_zone_is_refused(name: str) -> None:
    with pytest.raises(calendar.UnknownZone, match="is no time zone; use a name like Europe/Zurich"):
        calendar.zone(name)


@pytest.mark.parametrize(
    ("anchor", "months", "expected"),
    [
        ("2026-01-31", 1, "2026-02-28"),
        ("2026-01-31", 2, "2026-03-31"),
        ("2028-01-31", 1, "2028-02-29"),
        ("2024-02-29", 12, "2025-02-28"),
        ("2024-02-29", 48, "2028-02-29"),
        ("2026-11-15", 0, "2026-11-15"),
        ("2026-11-15", -11, "2025-12-15"),
        ("2026-12-01", 1, "2027-01-01"),
    ],
)
def test_a_date_that_does_not_exist_becomes_the_months_last(anchor: str, months: int, expected: str) -> None:
    assert calendar.add_months(date.fromisoformat(anchor), months) == date.fromisoformat(expected)


def test_months() -> None:
    assert calendar.month_of(date(2026, 11, 17)) == date(2026, 11, 1)
    assert calendar.next_month(date(2026, 12, 1)) == date(2027, 1, 1)
    assert list(calendar.dates(date(2026, 2, 27), date(2026, 3, 2))) == [
        date(2026, 2, 27),
        date(2026, 2, 28),
        date(2026, 3, 1),
    ]
    assert list(calendar.dates(date(2026, 3, 2), date(2026, 3, 2))) == []


DATES = st.dates(date(1990, 1, 1), date(2090, 1, 1))


@given(DATES, st.sampled_from([1, 12]), st.integers(0, 40_000))
def test_terms_follow_each_other_without_gap_from_the_original_date(
    starts_on: date, months: int, later: int
) -> None:
    """Every date from the first on lies in exactly one term, counted from `starts_on`."""
    day = starts_on + timedelta(days=later)
    first, end = calendar.term_of(day, starts_on, months)
    assert first <= day < end
    index = 0
    while calendar.term_start(starts_on, months, index) < first:
        index += 1
    assert calendar.term_start(starts_on, months, index) == first
    assert calendar.term_start(starts_on, months, index + 1) == end


@pytest.mark.parametrize(
    ("day", "starts_on", "months", "term"),
    [
        ("2025-02-27", "2024-02-29", 12, ("2024-02-29", "2025-02-28")),
        ("2028-02-28", "2024-02-29", 12, ("2027-02-28", "2028-02-29")),
        ("2026-03-30", "2026-01-31", 1, ("2026-02-28", "2026-03-31")),
        ("2026-03-31", "2026-01-31", 1, ("2026-03-31", "2026-04-30")),
        ("2026-10-31", "2026-11-01", 12, ("2025-11-01", "2026-11-01")),
    ],
)
def test_terms(day: str, starts_on: str, months: int, term: tuple[str, str]) -> None:
    found = calendar.term_of(date.fromisoformat(day), date.fromisoformat(starts_on), months)
    assert tuple(each.isoformat() for each in found) == term
