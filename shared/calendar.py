"""Local dates and instants: where a date begins, what its date is, months and terms (contract 1 and 4).

The rules of every zone come from the `tzdata` package, which the lock file pins: the same history gives
the same bytes on every machine, whatever its operating system believes about summer time.
"""

from __future__ import annotations

import calendar as _calendar
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from importlib import resources
from zoneinfo import ZoneInfo

from shared.time import DAY, SECOND

_DAY = timedelta(days=1)


class UnknownZone(ValueError):
    """A zone name the time zone database does not hold."""


@lru_cache(maxsize=64)
def zone(name: str) -> ZoneInfo:
    """The zone `name`, e.g. "Europe/Zurich". Raises UnknownZone."""
    package, _, key = ("tzdata.zoneinfo." + name.replace("/", ".")).rpartition(".")
    try:
        if not name or name.startswith(".") or ".." in name:
            raise FileNotFoundError(name)
        with resources.files(package).joinpath(key).open("rb") as file:
            return ZoneInfo.from_file(file, key=name)
    except (OSError, ValueError, ModuleNotFoundError):
        raise UnknownZone(f"{name!r} is no time zone; use a name like Europe/Zurich") from None


@lru_cache(maxsize=65_536)
def day_start(day: date, zone_name: str) -> int:
    """The first instant (ms) of the local date `day`; where 00:00 is skipped, the first that exists."""
    local = datetime(day.year, day.month, day.day, tzinfo=zone(zone_name))
    return int(local.timestamp()) * SECOND


_likely: dict[str, tuple[int, int, date]] = {}
"""By zone, the last local date that was asked for and is one stretch of 24 hours: its first instant, the next
date's, and the date."""


def local_date(ms: int, zone_name: str) -> date:
    """The local date at instant `ms`."""
    start, end, likely = _likely.get(zone_name, (0, 0, date.min))
    if start <= ms < end:
        return likely
    day = _local_date(ms, zone_name)
    start, end = day_start(day, zone_name), day_start(day + _DAY, zone_name)
    if end - start == DAY:  # where clocks change, a date may be two stretches
        _likely[zone_name] = start, end, day
    return day


def _local_date(ms: int, zone_name: str) -> date:
    return datetime.fromtimestamp(ms // SECOND, tz=UTC).astimezone(zone(zone_name)).date()


def next_day_start(day: date, zone_name: str) -> int:
    """The first instant (ms) after the local date `day`: it is 23, 24 or 25 hours after `day_start`."""
    return day_start(day + _DAY, zone_name)


def month_of(day: date) -> date:
    """The first date of the calendar month of `day`: how a month is named inside."""
    return day.replace(day=1)


def next_month(month: date) -> date:
    """The first date of the following calendar month."""
    return add_months(month, 1)


def add_months(anchor: date, months: int) -> date:
    """`anchor` moved by whole calendar months; a date that does not exist becomes the month's last."""
    index = anchor.year * 12 + anchor.month - 1 + months
    year, month = divmod(index, 12)
    last = _calendar.monthrange(year, month + 1)[1]
    return date(year, month + 1, min(anchor.day, last))


@lru_cache(maxsize=65_536)
def term_start(starts_on: date, term_months: int, index: int) -> date:
    """First date of term `index` (0, 1, ...), always counted from the original `starts_on` (contract 4)."""
    return add_months(starts_on, term_months * index)


def term_of(day: date, starts_on: date, term_months: int) -> tuple[date, date]:
    """The term that contains `day`: its first date and the first date of the next one."""
    months = (day.year - starts_on.year) * 12 + day.month - starts_on.month
    index = months // term_months
    if term_start(starts_on, term_months, index) > day:
        index -= 1
    return term_start(starts_on, term_months, index), term_start(starts_on, term_months, index + 1)


def dates(first: date, end: date) -> Iterator[date]:
    """Every date from `first` to `end`, without `end`."""
    for offset in range((end - first).days):
        yield first + timedelta(days=offset)
