"""Open time of an office, found by asking of every minute what the clock on the wall shows (contract 5).

A minute of UTC is open when its local wall time lies in an interval of the hours of its local date. So a
doubled local minute is open twice and a missing one never. A minute in which the zone's offset changes, or
in which it is no whole number of minutes (local mean time), is asked second by second. Only then are touching
minutes joined to stretches, half-open, in milliseconds; an instant within a minute is exact.

Where the contract is silent, this model reads: a minute in two intervals of one date is open once; an
allowance of nothing is due at the instant it begins, open or not; a holiday of an empty list of hours closes.
"""

import importlib.resources
import json
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from fractions import Fraction
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

MINUTE = 60_000
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_SECONDS = 86_400
EPOCH = date(1970, 1, 1)
NEVER = 4000  # days without any open time after which an office is said never to open

Intervals = tuple[tuple[int, int], ...]  # seconds of the wall clock, half-open
Stretches = tuple[tuple[int, int], ...]  # instants in milliseconds, half-open


@cache
def zone_named(name: str) -> ZoneInfo:
    """The zone by the rules of the pinned package, not of the machine."""
    with importlib.resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as rules:
        return ZoneInfo.from_file(rules, key=name)


def _offset(zone: str, second: int) -> int:
    """Seconds the local clock is ahead of UTC."""
    offset = datetime.fromtimestamp(second, tz=zone_named(zone)).utcoffset() or timedelta(0)
    return offset.days * DAY_SECONDS + offset.seconds


@cache
def offsets(zone: str, utc_day: int) -> tuple[tuple[int, int, int], ...]:
    """(from, to, offset) in seconds: the runs of one offset within a day of UTC.

    Asked hour by hour, and where it differs from one to the next, minute by minute, second by second.
    """
    runs: list[tuple[int, int, int]] = []

    def ask(start: int, end: int, step: int) -> None:
        for second in range(start, end, step):
            offset = _offset(zone, second)
            if step > 1 and offset != _offset(zone, second + step):
                ask(second, second + step, step // 60)
            else:
                since = runs.pop()[0] if runs and runs[-1][2] == offset else second
                runs.append((since, second + step, offset))

    ask(utc_day * DAY_SECONDS, (utc_day + 1) * DAY_SECONDS, 3600)
    return tuple(runs)


@cache
def _open(zone: str, utc_day: int, hours: tuple[tuple[int, Intervals], ...]) -> Stretches:
    """The open stretches of a day of UTC; `hours`: those of each local date (days since 1970) it meets."""
    by_date = dict(hours)
    if not any(by_date.values()):
        return ()
    whole = all(edge % 60 == 0 for _, intervals in hours for pair in intervals for edge in pair)
    found: list[tuple[int, int]] = []
    for start, end, offset in offsets(zone, utc_day):
        step = 60 if whole and start % 60 == end % 60 == offset % 60 == 0 else 1
        for second in range(start, end, step):
            local_day, of_day = divmod(second + offset, DAY_SECONDS)
            for opens, closes in by_date[local_day]:
                if opens <= of_day < closes:
                    begin = second * 1000
                    if found and found[-1][1] == begin:
                        begin = found.pop()[0]
                    found.append((begin, (second + step) * 1000))
                    break
    return tuple(found)


def _seconds(wall: str) -> int:
    """`08:30` of the wall clock; `24:00` is the end of the date."""
    parts = [int(part) for part in wall.split(":")]
    return parts[0] * 3600 + parts[1] * 60 + (parts[2] if len(parts) > 2 else 0)


def _intervals(hours: list[list[str]]) -> Intervals:
    return tuple((_seconds(opens), _seconds(closes)) for opens, closes in hours)


class Office:
    """The open hours of one document of terms."""

    def __init__(self, zone: str, week: dict[str, list[list[str]]], holidays: list[Any]) -> None:
        self.zone = zone
        self.week = {day: _intervals(week.get(day, [])) for day in DAYS}
        self.holidays: dict[int, Intervals] = {}
        for holiday in holidays:
            day, hours = (holiday, []) if isinstance(holiday, str) else (holiday["date"], holiday["hours"])
            self.holidays[(date.fromisoformat(day) - EPOCH).days] = _intervals(hours)
        self.days: dict[int, Stretches] = {}

    def hours(self, local_day: int) -> Intervals:
        """The hours of a local date: a holiday's, of two the later listed, else its weekday's."""
        if local_day in self.holidays:
            return self.holidays[local_day]
        return self.week[DAYS[(EPOCH + timedelta(days=local_day)).weekday()]]

    def of_utc_day(self, utc_day: int) -> Stretches:
        if utc_day not in self.days:
            met = set()
            for start, end, offset in offsets(self.zone, utc_day):
                met |= {(start + offset) // DAY_SECONDS, (end - 1 + offset) // DAY_SECONDS}
            self.days[utc_day] = _open(
                self.zone, utc_day, tuple((day, self.hours(day)) for day in sorted(met))
            )
        return self.days[utc_day]

    def stretches(self, since: int) -> Iterator[tuple[int, int]]:
        """Open stretches from an instant on, for ever."""
        utc_day = since // 1000 // DAY_SECONDS
        quiet = 0
        while quiet < NEVER:
            quiet += 1
            for start, end in self.of_utc_day(utc_day):
                if end > since:
                    yield max(start, since), end
                    quiet = 0
            utc_day += 1
        raise ValueError("the office never opens")

    def after(self, since: int, allowance: Fraction | int) -> int:
        """The earliest instant at which `allowance` milliseconds of open time have passed since `since`."""
        left = Fraction(allowance)
        if left <= 0:
            return since
        for start, end in self.stretches(since):
            if end - start >= left:
                return start - (-left // 1)
            left -= end - start
        raise AssertionError("stretches go on for ever")

    def between(self, since: int, until: int) -> int:
        """Milliseconds of open time from one instant to a later one."""
        total = 0
        for utc_day in range(since // 1000 // DAY_SECONDS, until // 1000 // DAY_SECONDS + 1):
            for start, end in self.of_utc_day(utc_day):
                total += max(0, min(end, until) - max(start, since))
        return total


@cache
def _office(known_as: str) -> Office:
    return Office(*json.loads(known_as))


def office_of(body: dict[str, Any]) -> Office:
    """The office of a document of terms."""
    support = body["support"]
    return _office(json.dumps([body["zone"], support["week"], support["holidays"]]))
