"""What was said of one target, with what the page tells beside it: when each state was certain, and why.

The timeline is the promises' own, by the promises' own functions: what they reject is ignored here. Times
are ms.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

import msgspec
from msgspec import Struct

from services.sla import timeline
from services.sla.timeline import NEVER, Timeline
from services.status.history.causes import causes_bits
from shared.facts import (
    DowntimeCorrected,
    MaintenanceAnnounced,
    MaintenanceCancelled,
    TargetFact,
    TargetObserved,
    TargetStateChanged,
)

_SOME = 256
"""Statements that are kept without looking whether some are too old."""


class Watched(Struct):
    """One target. `confirmed` and `causes` (bits) go with the timeline's `ats`; `first_known` is the first
    instant ever stated, also when that is forgotten; at `look_at` statements it is looked for old ones."""

    line: Timeline = msgspec.field(default_factory=Timeline)
    confirmed: list[int] = []
    causes: list[int] = []
    first_known: int = NEVER
    look_at: int = _SOME


def told(watched: Watched, fact: TargetFact) -> int:
    """Takes `fact`. Returns the first instant whose meaning this may change (ms), NEVER for none."""
    line = watched.line
    since = NEVER
    if isinstance(fact, TargetObserved):
        return timeline.observed(line, fact.through)
    if isinstance(fact, TargetStateChanged):
        since = _state_changed(watched, fact)
    elif isinstance(fact, DowntimeCorrected):
        if fact.ends_at >= fact.starts_at:
            since = timeline.corrected(line, fact)
    elif isinstance(fact, MaintenanceAnnounced):
        if fact.ends_at >= fact.starts_at:
            since = timeline.announced(line, fact)
    elif isinstance(fact, MaintenanceCancelled) and fact.maintenance in line.maintenance:
        since = timeline.cancelled(line, fact)
    watched.first_known = min(watched.first_known, line.known_since)
    return since


def _state_changed(watched: Watched, fact: TargetStateChanged) -> int:
    ats = watched.line.ats
    place = bisect_left(ats, fact.at)
    confirmed, bits = int(fact.confirmed_at), causes_bits(fact.because) if fact.state == "down" else 0
    if place < len(ats) and ats[place] == fact.at:
        watched.confirmed[place], watched.causes[place] = confirmed, bits
    else:
        watched.confirmed.insert(place, confirmed)
        watched.causes.insert(place, bits)
    return timeline.state_changed(watched.line, fact.at, fact.state)


def forget(watched: Watched, before: int) -> None:
    """Drops what says nothing of any instant from `before` on (ms)."""
    line = watched.line
    first = bisect_right(line.ats, before) - 1
    while first > 0 and line.states[first] == "unmeasured":
        first -= 1  # a silence is bridged by what lies before it
    if first > 0:
        for kept in (line.ats, line.states, watched.confirmed, watched.causes):
            del kept[:first]
    if line.corrections and line.corrections[0].ends_at <= before:
        later = [each for each in line.corrections if each.ends_at > before]
        numbers = {each.number: place for place, each in enumerate(sorted(later, key=lambda c: c.number))}
        line.corrections = [
            msgspec.structs.replace(each, number=numbers[each.number])  # the next one gets their count
            for each in later
        ]
    for name in [name for name, planned in line.maintenance.items() if planned.ends_at <= before]:
        del line.maintenance[name]
    watched.look_at = max(_SOME, 2 * len(line.ats))


def said_at(watched: Watched, at: int) -> int | None:
    """The place of the statement made for exactly `at`, None where there is none."""
    place = bisect_left(watched.line.ats, at)
    return place if place < len(watched.line.ats) and watched.line.ats[place] == at else None


def causes_between(watched: Watched, start: int, end: int) -> int:
    """The causes (bits) of every state in force anywhere in [start, end]."""
    ats = watched.line.ats
    bits = 0
    for place in range(max(bisect_right(ats, start) - 1, 0), bisect_right(ats, end)):
        bits |= watched.causes[place]
    return bits


def corrections_touching(watched: Watched, start: int, end: int) -> bool:
    """Whether a correction says anything of [start, end)."""
    found = watched.line.corrections
    return any(each.ends_at > start and each.starts_at < end for each in found)
