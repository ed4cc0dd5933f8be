"""What a subscription is at each instant: down, excluded, unmeasured or up (contract 3)."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Mapping
from datetime import date
from enum import IntEnum
from itertools import pairwise
from typing import Any, cast

from msgspec import Struct

from services.sla.maintenance import Excluded, excluded_time
from services.sla.subscriptions import Subscription, all_targets
from services.sla.terms import Book, Version
from services.sla.timeline import NEVER, Seen, Stretch, Timeline, stretches
from shared import calendar
from shared.time import HOUR

_NOT_DECLARED = Timeline()


class Status(IntEnum):
    """A subscription's state at an instant."""

    UP = 0
    UNMEASURED = 1
    SILENT = 2
    """Unmeasured, and nothing is said of any of its targets."""
    WAITING = 3
    """Unmeasured, and nothing has been said of a target since it was last seen down."""
    EXCLUDED = 4
    EXCLUDED_DOWN = 5
    """Excluded, and an excluded target was seen down: a cut goes on through it."""
    NO_TARGET = 6
    DOWN = 7


UNMEASURED = (Status.UNMEASURED, Status.SILENT, Status.WAITING)

Span = tuple[int, int, Status]
_NOWHERE: list[Span] = []

_STATUS = {
    Seen.UP: Status.UP,
    Seen.UNMEASURED: Status.UNMEASURED,
    Seen.SILENT: Status.SILENT,
    Seen.WAITING: Status.WAITING,
    Seen.DOWN: Status.DOWN,
}


class View(Struct, frozen=True):
    """Everything a subscription's conclusions are computed from: history as it stands.

    `shared` holds what was worked out for another subscription of the same history: thousands can share
    a target, and what they see of it is the same.
    """

    subscription: Subscription
    targets: Mapping[str, Timeline]
    book: Book
    shared: dict[Any, Any] = {}

    @property
    def zone(self) -> str:
        return self.book.zone

    @property
    def window_start(self) -> int:
        """The first instant of the service window (ms)."""
        return calendar.day_start(self.subscription.starts_on, self.zone)

    @property
    def window_end(self) -> int:
        """The instant the service window ends (ms), NEVER where no end is known."""
        ends_on = self.subscription.ends_on
        return NEVER if ends_on is None else calendar.day_start(ends_on, self.zone)

    def sight(self, start: int, end: int) -> Hashable:
        """Two subscriptions with the same sight of [start, end) see the same availability in it."""
        planned = any(
            self.targets[name].maintenance for name in all_targets(self.subscription) if name in self.targets
        )
        judged_from = self.subscription.starts_on if planned else None  # its first month's terms
        window = max(start, self.window_start), min(end, self.window_end)
        return (*window, judged_from, *target_periods(self, *window))

    def first_day(self, month: date) -> date:
        """The first local date of (month ∩ service window)."""
        return max(month, self.subscription.starts_on)

    def terms_of(self, month: date) -> Version:
        """The terms a month is judged by."""
        return self.book.on(self.first_day(month))

    def bridge_ms(self, instant: int) -> int:
        """The longest silence (ms) that is bridged when it begins at `instant`."""
        return self.book.on(calendar.local_date(instant, self.zone)).terms.uptime.bridge_hours * HOUR


def month_bounds(view: View, month: date) -> tuple[int, int]:
    """The first instant of the calendar month and of the next one (ms)."""
    start = calendar.day_start(month, view.zone)
    return start, calendar.day_start(calendar.next_month(month), view.zone)


def known_since(view: View) -> int:
    """The first instant at which anything is stated about the subscription's targets (ms), or NEVER."""
    targets = (view.targets.get(name, _NOT_DECLARED) for name in all_targets(view.subscription))
    return min((timeline.known_since for timeline in targets), default=NEVER)


def known_until(view: View) -> int:
    """The end of everything that is stated about the subscription's targets (ms)."""
    targets = (view.targets.get(name, _NOT_DECLARED) for name in all_targets(view.subscription))
    return max((timeline.known_until for timeline in targets), default=-NEVER)


def availability(view: View, start: int, end: int) -> list[Span]:
    """The subscription from `start` to `end`, clipped to its service window; equal neighbours joined."""
    start, end = max(start, view.window_start), min(end, view.window_end)
    if start >= end:
        return _NOWHERE
    sight = view.sight(start, end)
    if (known := view.shared.get(sight)) is not None:
        return cast("list[Span]", known)
    found: list[Span] = []
    for begins, ends, names in target_periods(view, start, end):
        found += _together(view, begins, ends, names)
    view.shared[sight] = found = _joined(found)
    return found


def target_periods(view: View, start: int, end: int) -> list[tuple[int, int, tuple[str, ...]]]:
    """Which targets count from when to when, within [start, end)."""
    changes = view.subscription.targets
    first = calendar.local_date(start, view.zone)
    place = max(bisect_right(changes.days, first) - 1, 0)
    found = []
    for index in range(place, len(changes.days)):
        begins = start if index == place else calendar.day_start(changes.days[index], view.zone)
        last = index + 1 == len(changes.days)
        ends = end if last else calendar.day_start(changes.days[index + 1], view.zone)
        if begins >= end:
            break
        found.append((begins, min(ends, end), changes.values[index]))
    return found


def _together(view: View, start: int, end: int, names: tuple[str, ...]) -> list[Span]:
    if not names:
        return [(start, end, Status.NO_TARGET)]
    timelines = [view.targets.get(name, _NOT_DECLARED) for name in names]
    seen = [stretches(timeline, start, end, view.bridge_ms) for timeline in timelines]
    excluded = [
        excluded_time(timeline, start, end, view.zone, view.terms_of) if timeline.maintenance else []
        for timeline in timelines
    ]
    if len(names) == 1 and not excluded[0]:
        return [(begins, ends, _STATUS[state]) for begins, ends, state in seen[0]]
    edges = {start, end}
    edges.update(begins for found in seen for begins, _, _ in found)
    edges.update(edge for found in excluded for span in found for edge in span)
    ordered = sorted(edges)
    return [(begins, ends, _status(begins, seen, excluded)) for begins, ends in pairwise(ordered)]


def _status(at: int, seen: list[list[Stretch]], excluded: list[Excluded]) -> Status:
    """Down, else excluded, else unmeasured, else up."""
    states = [found[bisect_right(found, at, key=lambda s: s[0]) - 1][2] for found in seen]
    out = [bool(found) and _covers(found, at) for found in excluded]
    if any(state is Seen.DOWN and not gone for state, gone in zip(states, out, strict=True)):
        return Status.DOWN
    if any(out):
        down = any(state is Seen.DOWN and gone for state, gone in zip(states, out, strict=True))
        return Status.EXCLUDED_DOWN if down else Status.EXCLUDED
    if Seen.WAITING in states:
        return Status.WAITING
    if len(set(states)) == 1:
        return _STATUS[states[0]]
    return Status.UNMEASURED  # something is said of one of them


def _covers(found: Excluded, at: int) -> bool:
    place = bisect_left(found, (at + 1, -NEVER)) - 1
    return place >= 0 and at < found[place][1]


def _joined(found: list[Span]) -> list[Span]:
    result: list[Span] = []
    for start, end, status in found:
        if result and result[-1][2] is status and result[-1][1] == start:
            result[-1] = (result[-1][0], end, status)
        else:
            result.append((start, end, status))
    return result
