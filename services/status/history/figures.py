"""A component's days and months, by the promises' own core: it is seen as a subscription to its targets.

Figures go up to a `frontier` (ms): what was observed of every target. After it nothing is counted yet.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from datetime import date, timedelta
from functools import lru_cache

from services.sla.availability import UNMEASURED, Span, Status, View, month_bounds
from services.sla.subscriptions import ByDate, Subscription
from services.sla.uptime import month_figures
from services.status.site import Day, Figure, Month
from shared import calendar

Touched = Callable[[int, int], bool]
"""Whether a correction says anything of [start, end)."""

_EXCLUDED = (Status.EXCLUDED, Status.EXCLUDED_DOWN)


def as_subscription(component: str, targets: tuple[str, ...], starts_on: date) -> Subscription:
    """What the promises would be kept for: the targets from `starts_on` on, without a price."""
    return Subscription(
        account="",
        subscription=component,
        currency="",
        term_months=12,
        starts_on=starts_on,
        prices=ByDate([], []),
        targets=ByDate([starts_on], [targets]),
        deployments=ByDate([], []),
    )


def judged_until(as_of: int | None, now: int, silent_after_ms: int, zone: str) -> int:
    """The frontier: what was observed, or the last midnight that nobody waits for any more; never beyond
    today, whatever a clock that is ahead says."""
    midnight = calendar.day_start(calendar.local_date(now - silent_after_ms, zone), zone)
    today_ends = calendar.next_day_start(calendar.local_date(now, zone), zone)
    return midnight if as_of is None else min(max(as_of, midnight), today_ends)


def day_of(view: View, spans: list[Span], day: date, frontier: int, touched: Touched) -> Day:
    """The local date `day` from `spans`, which cover it from the first instant it counts at."""
    start, end = calendar.day_start(day, view.zone), calendar.next_day_start(day, view.zone)
    totals = dict[Status, int]()
    for begins, ends, status in _between(spans, start, min(end, frontier)):
        totals[status] = totals.get(status, 0) + ends - begins
    figure = _figure(
        sum(totals.values()),
        sum(totals.get(status, 0) for status in _EXCLUDED),
        sum(totals.get(status, 0) for status in UNMEASURED),
        totals.get(Status.DOWN, 0),
    )
    return Day(day, figure, frontier >= end, touched(start, end))


def month(view: View, spans: list[Span], month: date, frontier: int, touched: Touched) -> Month:
    """The calendar month, against the promise in force on its first day (contract 3)."""
    start, end = month_bounds(view, month)
    terms = view.terms_of(month)
    found = month_figures(view, month, _between(spans, start, min(end, frontier)), terms.version)
    figure = _figure(found.window_ms, found.excluded_ms, found.unmeasured_ms, found.down_ms)
    target = str(terms.terms.uptime.target_percent)
    return Month(month, figure, target, found.met, frontier >= end, touched(start, end))


def days_until(today: date, first: date) -> list[date]:
    """Every date from `first` to `today`."""
    return [first + timedelta(days=number) for number in range((today - first).days + 1)]


def _between(spans: list[Span], start: int, end: int) -> list[Span]:
    """What of `spans` lies in [start, end), clipped."""
    found = []
    for place in range(max(bisect_right(spans, start, key=lambda span: span[0]) - 1, 0), len(spans)):
        begins, ends, status = spans[place]
        if begins >= end or start >= end:
            break
        if ends > start:
            found.append((max(begins, start), min(ends, end), status))
    return found


@lru_cache(maxsize=4_096)
def _figure(window_ms: int, excluded_ms: int, unmeasured_ms: int, down_ms: int) -> Figure:
    """Most days are like others: they share one figure."""
    return Figure(window_ms, excluded_ms, unmeasured_ms, down_ms)
