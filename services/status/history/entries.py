"""The changes of every component, by month, newest first: what history and feeds are made from."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import date

from services.sla.timeline import NEVER
from services.status.history.lines import Line
from services.status.site import Change
from shared import calendar


def merge(
    months: dict[date, tuple[Change, ...]], touched: Sequence[Line], since: Mapping[str, int], zone: str
) -> set[date]:
    """Puts into `months` the changes of the `touched` lines in place of those they had from their `since` on
    (ms, by component). Returns the months that differ now."""
    found: dict[date, list[Change]] = {}
    for line in touched:
        month_ends, of_month = -NEVER, list[Change]()
        for change in line.changes[bisect_left(line.changes, since[line.config.id], key=_at) :]:
            if change.at >= month_ends:
                month = calendar.month_of(calendar.local_date(change.at, zone))
                month_ends = calendar.day_start(calendar.next_month(month), zone)
                of_month = found.setdefault(month, [])
            of_month.append(change)
    earliest = min(since.values(), default=NEVER)
    later = {month for month in months if calendar.day_start(calendar.next_month(month), zone) > earliest}
    differ = set()
    for month in later | found.keys():
        old = months.get(month, ())
        front = next((place for place, one in enumerate(old) if one.at < earliest), len(old))
        kept = [one for one in old[:front] if one.at < since.get(one.component, NEVER)]
        new = (*sorted([*kept, *found.get(month, ())], key=_newest_first), *old[front:])
        if new != old:
            differ.add(month)
            months[month] = new
    for month in [month for month, left in months.items() if not left]:
        del months[month]
    return differ


def _at(change: Change) -> int:
    return change.at


def _newest_first(change: Change) -> tuple[int, str]:
    return -change.at, change.component
