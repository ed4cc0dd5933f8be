"""A component's line of the page, kept up to date: what a change touches is computed anew, the rest stays.

Values that come out equal stay the same objects.
"""

from __future__ import annotations

from bisect import bisect_left
from datetime import date, timedelta
from typing import TypeVar

from msgspec import Struct

from services.sla.availability import Span, View, availability
from services.sla.terms import Book
from services.sla.timeline import NEVER
from services.status.configuration import ComponentConfig, GroupConfig
from services.status.history import planned
from services.status.history.conditions import Run, changes, conditions, spliced
from services.status.history.cuts import begun_before, cuts
from services.status.history.figures import as_subscription, day_of, days_until, judged_until, month
from services.status.history.watched import Watched, corrections_touching
from services.status.site import Change, Component, Condition, Cut, Day, Month
from shared import calendar

T = TypeVar("T")

DAYS = 90
MONTHS = 13
"""This month and those before it that are shown."""


class Now(Struct, frozen=True):
    """When a page is made: `at` (ms), the local date, and the first instant of the months shown."""

    at: int
    today: date
    first_month: date
    shown_from: int
    silent_after_ms: int


def now_at(at: int, silent_after_ms: int, zone: str) -> Now:
    """The present at `at` (ms)."""
    today = calendar.local_date(at, zone)
    first = calendar.add_months(calendar.month_of(today), 1 - MONTHS)
    return Now(at, today, first, calendar.day_start(first, zone), silent_after_ms)


class Line(Struct):
    """One component. `touched`: from when on history changed since the last `renewed` (ms). `wakes_at`: when
    the clock alone changes something (ms)."""

    config: ComponentConfig
    group: GroupConfig
    watched: tuple[Watched, ...]
    touched: int = -NEVER
    wakes_at: int = -NEVER
    starts_on: date = date.max
    spans: list[Span] = []
    runs: list[Run] = []
    days: dict[date, Day] = {}
    months: dict[date, Month] = {}
    changes: list[Change] = []
    cuts: list[Cut] = []
    frontier: int = -NEVER
    newest: int = -NEVER
    component: Component | None = None


def renewed(line: Line, book: Book, now: Now) -> int:
    """Brings `line` up to date. Returns from when on its changes may be others (ms), NEVER for nowhere."""
    zone, since = book.zone, line.touched
    first_known = min(each.first_known for each in line.watched)
    starts_on = calendar.local_date(first_known, zone) if first_known < NEVER else date.max
    if starts_on != line.starts_on:
        line.starts_on, since = starts_on, -NEVER
    view = _view(line, book)
    newest = max(each.line.observed_until for each in line.watched)
    fresh = newest - now.silent_after_ms
    said = [each.line.observed_until for each in line.watched if each.line.observed_until >= fresh]
    as_of = min(said) if newest > -NEVER else None
    frontier = judged_until(as_of, now.at, now.silent_after_ms, zone)
    old_fresh, line.newest = line.newest - now.silent_after_ms, newest
    first_changed = NEVER
    if view is not None:
        given_up = [
            each.line.observed_until
            for each in line.watched
            if old_fresh <= each.line.observed_until < fresh  # taken to last until now
        ]
        if line.spans and line.spans[-1][1] < calendar.next_day_start(now.today, zone):
            given_up.append(line.spans[-1][1] - 1)  # a day began
        if since < NEVER or given_up:
            first_changed = min(since, *given_up, NEVER)
            _rewritten(line, view, first_changed, fresh, now)
        counted = min(since, line.frontier, frontier)
        _counted(line, view, counted, frontier, now)
    line.frontier, line.touched = frontier, NEVER
    line.component = _component(line, now)
    line.wakes_at = _wakes_at(line, zone, now)
    return first_changed


def _view(line: Line, book: Book) -> View | None:
    if line.starts_on == date.max:
        return None
    subscription = as_subscription(line.config.id, line.config.targets, line.starts_on)
    targets = {name: each.line for name, each in zip(line.config.targets, line.watched, strict=True)}
    return View(subscription, targets, book, {})


def _rewritten(line: Line, view: View, since: int, fresh: int, now: Now) -> None:
    """Spans, conditions, changes and cuts from `since` on."""
    oldest = min((each.line.ats[0] for each in line.watched if each.line.ats), default=NEVER)
    start = max(view.window_start, min(now.shown_from, oldest))
    since = max(since, start)
    today_ends = calendar.next_day_start(now.today, view.zone)
    known = max(each.line.known_until for each in line.watched)
    end = max(known + 1, today_ends, since + 1)
    if not line.spans or line.spans[0][0] > start:
        since, line.spans, line.runs = start, [], []
    elif line.spans[-1][1] < since:
        since = line.spans[-1][1] - 1  # what lies between was not looked at yet
    line.spans = _spliced(line.spans, since, availability(view, since, end))
    while line.spans[0][1] <= start:
        del line.spans[0]
    if line.newest >= start:
        _entered(line, view, min(since, line.newest), fresh, now)

    down_since = line.runs[-1][0] if line.runs and line.runs[-1][2] is Condition.DOWN else None
    first = begun_before(line.spans, since if down_since is None else min(since, down_since))
    begins = line.spans[first][0]
    place = bisect_left(line.cuts, begins, key=lambda one: one.starts_at) if first else 0
    while place and line.cuts[place - 1].ends_at is None:
        place -= 1  # it was the last one, and one more is
    known_cuts = {one.id: one for one in line.cuts[place:]}
    again = cuts(line.config.id, line.spans[first:], line.watched, down_since)
    line.cuts[place:] = [_same(one, known_cuts.get(one.id)) for one in again]
    while line.cuts and (line.cuts[0].ends_at or NEVER) <= now.shown_from:
        del line.cuts[0]


def _entered(line: Line, view: View, since: int, fresh: int, now: Now) -> None:
    """Conditions and changes from `since` on."""
    runs = conditions([each.line for each in line.watched], since, line.newest + 1, fresh, view.bridge_ms)
    place = bisect_left(line.changes, since, key=lambda one: one.at) if line.runs else 0
    line.runs = spliced(line.runs, since, runs)
    while line.runs[0][1] < now.shown_from and len(line.runs) > 1:
        del line.runs[0]
    known = {one.id: one for one in line.changes[place:]}
    found = changes(line.config.id, line.runs, max(since, now.shown_from), line.watched)
    line.changes[place:] = [_same(one, known.get(one.id)) for one in found]
    del line.changes[: bisect_left(line.changes, now.shown_from, key=lambda one: one.at)]


def _spliced(before: list[Span], since: int, after: list[Span]) -> list[Span]:
    kept = before[: bisect_left(before, since, key=lambda span: span[0])]
    if kept and kept[-1][1] > since:
        kept[-1] = (kept[-1][0], since, kept[-1][2])
    if kept and after and kept[-1][2] is after[0][2]:
        after = [(kept.pop()[0], after[0][1], after[0][2]), *after[1:]]
    return kept + after


def _counted(line: Line, view: View, since: int, frontier: int, now: Now) -> None:
    """Days and months from `since` on."""

    def touched(start: int, end: int) -> bool:
        return any(corrections_touching(each, start, end) for each in line.watched)

    earliest = now.today - timedelta(days=DAYS - 1)
    first = calendar.local_date(max(since, now.shown_from), view.zone)
    first = max(first, line.starts_on)
    for day in days_until(now.today, max(first, earliest)):
        line.days[day] = _same(day_of(view, line.spans, day, frontier, touched), line.days.get(day))
    for day in [day for day in line.days if not earliest <= day <= now.today]:
        del line.days[day]
    each = calendar.month_of(first)
    while each <= now.today:
        line.months[each] = _same(month(view, line.spans, each, frontier, touched), line.months.get(each))
        each = calendar.next_month(each)
    for old in [old for old in line.months if not now.first_month <= old <= now.today]:
        del line.months[old]


def _component(line: Line, now: Now) -> Component:
    silent = not line.runs or line.newest < now.at - now.silent_after_ms
    heard = line.newest if line.newest > -NEVER else None
    condition, since = Condition.SILENT, heard
    if not silent:
        since, _, condition = line.runs[-1]
    found = Component(
        line.config.id,
        line.config.name,
        line.config.description,
        line.group.id,
        condition,
        since,
        heard,
        tuple(line.days[day] for day in sorted(line.days)),
        tuple(line.months[month] for month in sorted(line.months, reverse=True)),
        tuple(reversed(line.cuts)),
        planned.is_running(line.watched, now.at),
    )
    return _same(found, line.component)


def _wakes_at(line: Line, zone: str, now: Now) -> int:
    next_day = calendar.next_day_start(now.today, zone)
    falls_silent = line.newest + now.silent_after_ms + 1
    nobody_waits = calendar.day_start(now.today, zone) + now.silent_after_ms
    found = [at for at in (falls_silent, nobody_waits) if at > now.at]
    return min(next_day, planned.next_edge(line.watched, now.at), *found)


def _same(new: T, old: T | None) -> T:
    """`old` where it is equal: what was rendered of it is still right."""
    return old if old is not None and new == old else new
