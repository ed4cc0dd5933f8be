"""Instants (milliseconds since 1970, UTC), local dates, and terms of years and months (contract 1 and 4)."""

import calendar
import importlib.resources
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

HOUR = 3_600_000
DAY = 24 * HOUR

# Read from the pinned package, never from the machine: two machines must agree on summer time.
with importlib.resources.files("tzdata").joinpath("zoneinfo/Europe/Zurich").open("rb") as _rules:
    ZONE = ZoneInfo.from_file(_rules, key="Europe/Zurich")


@cache
def parse(text: str) -> int:
    """Milliseconds of an RFC 3339 instant with `Z` and milliseconds."""
    at = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    return int(at.replace(microsecond=0).timestamp()) * 1000 + at.microsecond // 1000


def show(ms: int) -> str:
    """The instant as it stands in facts: `2026-11-01T00:00:00.000Z`."""
    at = datetime.fromtimestamp(ms // 1000, tz=UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"


@cache
def day_start(day: date) -> int:
    """The instant at which the local date begins."""
    return int(datetime(day.year, day.month, day.day, tzinfo=ZONE).timestamp()) * 1000


@cache
def local_date(ms: int) -> date:
    """The local date that holds the instant."""
    return datetime.fromtimestamp(ms // 1000, tz=ZONE).date()


def next_day(day: date) -> date:
    return day + timedelta(days=1)


def month_first(day: date) -> date:
    return day.replace(day=1)


def next_month(first: date) -> date:
    return later(first, 1)


@cache
def later(origin: date, months: int) -> date:
    """`origin` moved by whole months; a day the month lacks becomes the month's last."""
    year, month = divmod(origin.year * 12 + origin.month - 1 + months, 12)
    return date(year, month + 1, min(origin.day, calendar.monthrange(year, month + 1)[1]))


def term_days(starts_on: date, months: int, day: date) -> int:
    """Days of the term of `months` months, counted from `starts_on`, that contains `day`."""
    number = 0
    while later(starts_on, (number + 1) * months) <= day:
        number += 1
    return (later(starts_on, (number + 1) * months) - later(starts_on, number * months)).days
