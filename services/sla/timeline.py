"""What a target's states add up to: its timeline, whoever stated it (contract 2, last but one point).

Statements hold from their `at` to the next; what was observed ends somewhere; a short silence with down
time on both sides is bridged; corrections overrule. Times are ms, stretches half-open `(start, end, seen)`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator
from enum import IntEnum
from itertools import pairwise
from operator import attrgetter

from msgspec import Struct

from services.sla.ordered import place
from shared.facts import DowntimeCorrected, MaintenanceAnnounced, MaintenanceCancelled, State

NEVER = 1 << 60
"""An instant after all others (ms)."""


class Seen(IntEnum):
    """What is known of a target at an instant."""

    UP = 0
    UNMEASURED = 1
    """Said to be unmeasured."""
    SILENT = 2
    """Unmeasured because nothing is said of it, not yet or not any more."""
    WAITING = 3
    """Silent, and last seen down: no cut has ended there."""
    DOWN = 4


Stretch = tuple[int, int, Seen]

_SEEN = {"up": Seen.UP, "down": Seen.DOWN, "unmeasured": Seen.UNMEASURED}


class Correction(Struct, frozen=True, array_like=True, gc=False):
    """`number` counts those of a target in the order they were said."""

    at: int
    starts_at: int
    ends_at: int
    state: State
    number: int


class Maintenance(Struct, array_like=True, gc=False):
    """The announcement that counts, and the earliest cancellation said after it."""

    starts_at: int
    ends_at: int
    announced_at: int
    cancelled_at: int | None = None


class Timeline(Struct, array_like=True, gc=False):
    """All that was said of one target. `ats` ascends; of two at one instant the later said stays. Corrections
    and maintenance ascend by `ends_at`; `corrected_since` is the first instant any correction is about."""

    ats: list[int] = []
    states: list[State] = []
    through: int = -NEVER
    corrections: list[Correction] = []
    maintenance: dict[str, Maintenance] = {}
    corrected_since: int | None = None

    @property
    def observed_until(self) -> int:
        """The latest of its `through` and its `at`: unmeasured after."""
        return max(self.through, self.ats[-1]) if self.ats else -NEVER

    @property
    def known_since(self) -> int:
        """The first instant of everything stated, corrections included; NEVER where nothing is."""
        corrected = NEVER if self.corrected_since is None else self.corrected_since
        return min(self.ats[0], corrected) if self.ats else corrected

    @property
    def corrected_until(self) -> int:
        """The end of the last correction; -NEVER where there is none."""
        return self.corrections[-1].ends_at if self.corrections else -NEVER

    @property
    def known_until(self) -> int:
        """The end of everything stated, corrections included; -NEVER where nothing is."""
        return max(self.observed_until, self.corrected_until)


def state_changed(timeline: Timeline, at: int, state: State) -> int:
    """States `state` from `at` on. Returns the first instant whose meaning this may change."""
    since = min(timeline.observed_until, at) if timeline.ats else at
    place = bisect_left(timeline.ats, at)
    if place < len(timeline.ats) and timeline.ats[place] == at:
        timeline.states[place] = state
    else:
        timeline.ats.insert(place, int(at))
        timeline.states.insert(place, state)
    return _with_silence_before(timeline, since)


def observed(timeline: Timeline, through: int) -> int:
    """Extends what was observed. Returns the first instant whose meaning this may change, or NEVER."""
    before = timeline.observed_until
    timeline.through = max(timeline.through, int(through))
    news = timeline.ats and timeline.observed_until > before
    return _with_silence_before(timeline, before) if news else NEVER


def is_plain_after(timeline: Timeline, instant: int) -> bool:
    """Whether every correction and maintenance was over before `instant`: one that ends there still says what
    comes next."""
    planned = timeline.maintenance
    planned_until = planned[next(reversed(planned))].ends_at if planned else -NEVER
    return max(timeline.corrected_until, planned_until) < instant


def _with_silence_before(timeline: Timeline, since: int) -> int:
    """`since`, or where a silence begins that ends there: it may be bridged now, or not any more."""
    place = bisect_left(timeline.ats, since)
    while place and timeline.states[place - 1] == "unmeasured":
        place -= 1
        since = timeline.ats[place]
    return since


def corrected(timeline: Timeline, fact: DowntimeCorrected) -> int:
    """Overrules a stretch. Returns the first instant whose meaning this may change, or NEVER."""
    if fact.ends_at == fact.starts_at:
        return NEVER
    number = len(timeline.corrections)
    found = Correction(fact.at, fact.starts_at, fact.ends_at, fact.state, number)
    insort(timeline.corrections, found, key=_ends_at)
    since = timeline.corrected_since
    timeline.corrected_since = int(fact.starts_at) if since is None else min(since, int(fact.starts_at))
    return int(fact.starts_at)


_ends_at = attrgetter("ends_at")
_later_said_last = attrgetter("at", "number")


def maintenance_ends(name: str, planned: Maintenance) -> int:
    """The rank by which maintenance is in order."""
    del name
    return planned.ends_at


def announced(timeline: Timeline, fact: MaintenanceAnnounced) -> int:
    """Puts a maintenance in place of an earlier one of the same id. Returns the first instant it touches."""
    old = timeline.maintenance.get(fact.maintenance)
    new = Maintenance(fact.starts_at, fact.ends_at, fact.announced_at)
    place(timeline.maintenance, fact.maintenance, new, maintenance_ends)
    return min(int(fact.starts_at), old.starts_at if old else NEVER)


def cancelled(timeline: Timeline, fact: MaintenanceCancelled) -> int:
    """Ends an announced maintenance at `at`, or undoes it where it has not begun.

    Returns the first instant it touches; raises KeyError for one that was never announced.
    """
    found = timeline.maintenance[fact.maintenance]
    found.cancelled_at = int(fact.at) if found.cancelled_at is None else min(found.cancelled_at, fact.at)
    return found.starts_at


def stretches(timeline: Timeline, start: int, end: int, bridge_ms: Callable[[int], int]) -> list[Stretch]:
    """The timeline from `start` to `end`, without holes, equal neighbours joined.

    `bridge_ms(instant)` is the longest silence that is bridged when it begins at `instant`.
    """
    stated = _joined(_clipped(_bridged(_stated(timeline, start, end), bridge_ms), start, end))
    if timeline.corrected_until <= start:
        return stated
    ending_later = timeline.corrections[bisect_right(timeline.corrections, start, key=_ends_at) :]
    touching = sorted((c for c in ending_later if c.starts_at < end), key=_later_said_last)
    return _joined(_overruled(stated, touching)) if touching else stated


def _stated(timeline: Timeline, start: int, end: int) -> list[Stretch]:
    """The statements around [start, end), far enough out that the silences at its edges are whole."""
    ats, states = timeline.ats, timeline.states
    if not ats:
        return [(start, end, Seen.SILENT)]
    first = bisect_right(ats, start) - 1
    while first > 0 and states[first] == "unmeasured":
        first -= 1
    found: list[Stretch] = []
    if first < 0:
        found.append((min(start, ats[0]), ats[0], Seen.SILENT))
        first = 0
    for index in range(first, len(ats)):
        if index + 1 < len(ats):
            found.append((ats[index], ats[index + 1], _SEEN[states[index]]))
            if ats[index + 1] >= end and states[index] != "unmeasured":
                return _joined(found)
    until = timeline.observed_until
    found.append((ats[-1], until, _SEEN[states[-1]]))
    found.append((until, max(end, until), Seen.WAITING if states[-1] == "down" else Seen.SILENT))
    return _joined(found)


def _bridged(found: list[Stretch], bridge_ms: Callable[[int], int]) -> list[Stretch]:
    """Silence no longer than the bridge with down time on both sides is down."""
    result = list(found)
    for index in range(1, len(found) - 1):
        start, end, seen = found[index]
        between = found[index - 1][2] is Seen.DOWN and found[index + 1][2] is Seen.DOWN
        if seen is Seen.UNMEASURED and between and end - start <= bridge_ms(start):
            result[index] = (start, end, Seen.DOWN)
    return result


def _clipped(found: list[Stretch], start: int, end: int) -> Iterator[Stretch]:
    for begins, ends, seen in found:
        if begins < end and ends > start:
            yield max(begins, start), min(ends, end), seen


def _overruled(stated: list[Stretch], corrections: list[Correction]) -> Iterator[Stretch]:
    """`corrections` ascend by `at`, then by when they were said: the last that covers an instant counts."""
    edges = sorted({edge for c in corrections for edge in (c.starts_at, c.ends_at)})
    for start, end, seen in stated:
        cuts = [start, *(edge for edge in edges if start < edge < end), end]
        for begins, ends in pairwise(cuts):
            covering = [c for c in corrections if c.starts_at <= begins and c.ends_at >= ends]
            yield begins, ends, _SEEN[covering[-1].state] if covering else seen


def _joined(found: list[Stretch] | Iterator[Stretch]) -> list[Stretch]:
    result: list[Stretch] = []
    for start, end, seen in found:
        if start == end:
            continue
        if result and result[-1][2] is seen:
            result[-1] = (result[-1][0], end, seen)
        else:
            result.append((start, end, seen))
    return result
