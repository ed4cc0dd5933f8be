"""Maintenance as excluded time of a target, where the terms of the month exclude it (contract 3)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from services.sla.ordered import since
from services.sla.terms import Version
from services.sla.timeline import Timeline, maintenance_ends
from shared import calendar
from shared.time import HOUR

Excluded = list[tuple[int, int]]


def excluded_time(
    timeline: Timeline, start: int, end: int, zone: str, terms_of: Callable[[date], Version]
) -> Excluded:
    """The stretches of [start, end) that are excluded for this target, ascending, not overlapping (ms).

    `terms_of(month)` are the terms the calendar month is judged by: they say whether maintenance is
    excluded there and how long before its start it had to be announced.
    """
    found: Excluded = []
    for _, planned in since(timeline.maintenance, start, maintenance_ends):
        begins, ends = planned.starts_at, planned.ends_at
        if planned.cancelled_at is not None:
            ends = min(ends, planned.cancelled_at)
        begins, ends = max(begins, start), min(ends, end)
        notice_ms = planned.starts_at - planned.announced_at
        while begins < ends:
            month = calendar.month_of(calendar.local_date(begins, zone))
            until = min(ends, calendar.day_start(calendar.next_month(month), zone))
            rule = terms_of(month).terms.uptime.maintenance
            if rule.excluded and notice_ms >= rule.notice_hours * HOUR:
                found.append((begins, until))
            begins = until
    return _merged(sorted(found))


def _merged(found: Excluded) -> Excluded:
    result: Excluded = []
    for start, end in found:
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        else:
            result.append((start, end))
    return result
