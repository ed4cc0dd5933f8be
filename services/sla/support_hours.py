"""Open time: Monday to Friday, 08:00 to 17:00 local, minus holidays, or as the terms say (contract 5)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from itertools import pairwise

from shared import calendar
from shared.terms import WEEKDAYS, HolidayHours, Interval, SupportTerms, minute_of_day
from shared.time import DAY, HOUR, MINUTE, SECOND

_EPOCH = date(1970, 1, 1).toordinal()

Span = tuple[int, int]


class SupportHours:
    """When requests are answered, by one document of terms.

    An instant is open when its local minute lies in an interval of its local date: minutes that a clock shows
    twice count twice, those it skips not at all. Kept by UTC day, because a zone may take its clocks back
    over midnight, and then a local date is not one stretch.
    """

    def __init__(self, zone_name: str, terms: SupportTerms) -> None:
        self._zone = calendar.zone(zone_name)
        self._week = [_merged(getattr(terms.week, name)) for name in WEEKDAYS]
        self._holidays = {
            day.toordinal(): hours for day, hours in map(_holiday, terms.holidays)
        }  # of two for one date the later listed counts
        self._days: dict[int, tuple[list[Span], int]] = {}

    def after(self, start: int, open_ms: int) -> int:
        """The earliest instant (ms) at which `open_ms` of open time have passed since `start`.

        The terms have open time in every week (`terms.publish` sees to it), so there is one.
        """
        if open_ms <= 0:
            return start
        number, left = start // DAY, open_ms
        while True:
            spans, total = self._day(number)
            if start <= number * DAY and left > total:
                left -= total
            else:
                for begin, end in spans:
                    begin = max(begin, start)
                    if end - begin >= left:
                        return begin + left
                    left -= max(end - begin, 0)
            number += 1

    def between(self, start: int, end: int) -> int:
        """The open time (ms) in [start, end)."""
        return sum(
            max(min(span[1], end) - max(span[0], start), 0)
            for number in range(start // DAY, -(-end // DAY))
            for span in self._day(number)[0]
        )

    def _day(self, number: int) -> tuple[list[Span], int]:
        """The open spans of UTC day `number` (days since 1970), and their length."""
        found = self._days.get(number)
        if found is None:
            spans: list[Span] = []
            for span in self._open(number * DAY, (number + 1) * DAY):
                if spans and spans[-1][1] == span[0]:
                    spans[-1] = (spans[-1][0], span[1])
                else:
                    spans.append(span)
            found = self._days[number] = (spans, sum(end - start for start, end in spans))
        return found

    def _open(self, start: int, end: int) -> Iterator[Span]:
        for begin, until in pairwise([start, *self._clock_changes(start, end), end]):
            offset = self._offset(begin)
            first, last = begin + offset, until + offset
            for day in range(first // DAY, -(-last // DAY)):
                for opens, closes in self._hours_on(day + _EPOCH):
                    span = max(opens + day * DAY, first), min(closes + day * DAY, last)
                    if span[0] < span[1]:
                        yield span[0] - offset, span[1] - offset

    def _hours_on(self, ordinal: int) -> list[Span]:
        found = self._holidays.get(ordinal)
        return self._week[(ordinal - 1) % 7] if found is None else found

    def _clock_changes(self, start: int, end: int) -> Iterator[int]:
        """The instants in (start, end] at which the zone's offset changes, to the second."""
        for before, after in pairwise(range(start, end + HOUR, HOUR)):
            if self._offset(before) != self._offset(after):
                low, high = before // SECOND, after // SECOND
                while high - low > 1:
                    middle = (low + high) // 2
                    if self._offset(middle * SECOND) == self._offset(before):
                        low = middle
                    else:
                        high = middle
                yield high * SECOND

    def _offset(self, ms: int) -> int:
        found = datetime.fromtimestamp(ms // SECOND, tz=UTC).astimezone(self._zone).utcoffset()
        return int(found.total_seconds()) * SECOND if found is not None else 0


def weekly_minutes(terms: SupportTerms) -> int:
    """The open minutes of a week without holidays."""
    return (
        sum(end - start for name in WEEKDAYS for start, end in _merged(getattr(terms.week, name))) // MINUTE
    )


def _holiday(holiday: date | HolidayHours) -> tuple[date, list[Span]]:
    if isinstance(holiday, HolidayHours):
        return holiday.date, _merged(holiday.hours)
    return holiday, []


def _merged(intervals: tuple[Interval, ...]) -> list[Span]:
    """The intervals of a day as (first, end) ms after midnight; what overlaps is open once."""
    found: list[Span] = []
    for start, end in sorted((minute_of_day(first), minute_of_day(last)) for first, last in intervals):
        if found and start * MINUTE <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end * MINUTE))
        else:
            found.append((start * MINUTE, end * MINUTE))
    return found
