"""Time lines: of a target, whoever states it (contract 2), and of a subscription (contract 3).

Everything is a list of half-open stretches between all the instants at which anything could change; what
holds in a stretch is asked at its first millisecond.
"""

from bisect import bisect_right
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from tests.oracle.clock import HOUR, day_start, local_date, month_first, next_day, next_month, parse
from tests.oracle.known import Known, Terms, ends_on, in_force, starts_on, window

LONG_AGO = -(10**15)
FAR_AHEAD = 10**15


@dataclass(frozen=True)
class TargetStretch:
    start: int
    end: int
    state: str
    said: bool  # by a change, an observation or a correction
    waiting: bool  # silence after "down": the outage may still be going on


@dataclass(frozen=True)
class Stretch:
    start: int
    end: int
    state: str  # down, excluded, unmeasured, up, or none: no target
    carries: bool  # excluded, and an excluded target is seen down: does not end a cut
    waiting: bool  # a target is seen down in excluded time, or silent since it was down
    said: bool  # something is stated of a target here


def target_stretches(known: Known, target: str) -> list[TargetStretch]:
    """The whole of time for one target."""
    changes = {}
    for fact in known.states.get(target, []):
        changes[parse(fact["at"])] = fact["state"]
    if not changes:
        base, last_at, horizon, last_state = [(LONG_AGO, FAR_AHEAD, "unmeasured")], 0, LONG_AGO, "unmeasured"
    else:
        ats = sorted(changes)
        last_at, last_state = ats[-1], changes[ats[-1]]
        horizon = max([last_at] + [parse(fact["through"]) for fact in known.seen.get(target, [])])
        base = [(LONG_AGO, ats[0], "unmeasured")]
        base += [(at, end, changes[at]) for at, end in zip(ats, [*ats[1:], horizon], strict=True)]
        base += [(horizon, FAR_AHEAD, "unmeasured")]
    bridged = _bridge(known, _merge(base))

    corrections = []
    for said, fact in enumerate(known.corrections.get(target, [])):
        corrections.append(
            (parse(fact["at"]), said, parse(fact["starts_at"]), parse(fact["ends_at"]), fact["state"])
        )
    first = min(changes, default=FAR_AHEAD)
    edges = {LONG_AGO, FAR_AHEAD, first, horizon}
    edges |= {edge for start, end, _ in bridged for edge in (start, end)}
    edges |= {edge for correction in corrections for edge in correction[2:4]}
    line, starts = sorted(edges), [start for start, _, _ in bridged]
    result = []
    for start, end in pairwise(line):
        over = [c for c in corrections if c[2] <= start < c[3]]
        if over:
            result.append(TargetStretch(start, end, max(over)[4], said=True, waiting=False))
        else:
            state = bridged[bisect_right(starts, start) - 1][2]
            silent = bool(changes) and start >= horizon
            result.append(
                TargetStretch(start, end, state, first <= start < horizon, silent and last_state == "down")
            )
    return result


def _merge(parts: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    merged: list[tuple[int, int, str]] = []
    for start, end, state in parts:
        if start == end:
            continue
        if merged and merged[-1][2] == state:
            start = merged.pop()[0]
        merged.append((start, end, state))
    return merged


def _bridge(known: Known, parts: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Short unmeasured stretches with down on both sides are down."""
    bridged = list(parts)
    for i in range(1, len(parts) - 1):
        start, end, state = parts[i]
        if state == "unmeasured" and parts[i - 1][2] == parts[i + 1][2] == "down":
            hours = known.terms_on(local_date(start)).body["uptime"]["bridge_hours"]
            if end - start <= hours * HOUR:
                bridged[i] = (start, end, "down")
    return _merge(bridged)


def month_terms(known: Known, subscription: str, first: date) -> Terms:
    """A month is judged by the terms of the first day of (month and service window)."""
    return known.terms_on(max(first, starts_on(known, subscription)))


def excluded_windows(known: Known, target: str) -> list[tuple[int, int, int]]:
    """(start, end, milliseconds of notice) of each maintenance that was not cancelled before it began."""
    said: dict[str, tuple[int, int, int]] = {}
    for fact in known.maintenance.get(target, []):
        name = fact["maintenance"]
        if fact["type"] == "MaintenanceAnnounced":
            start = parse(fact["starts_at"])
            said[name] = (start, parse(fact["ends_at"]), start - parse(fact["announced_at"]))
        else:
            start, end, notice = said[name]
            said[name] = (start, max(start, min(end, parse(fact["at"]))), notice)
    return [(start, end, notice) for start, end, notice in said.values() if start < end]


def subscription_stretches(known: Known, subscription: str, until: int) -> list[Stretch]:
    """The service window of a subscription, up to `until` where it is open or ends later."""
    opens, ends = window(known, subscription)
    until = until if ends is None else min(until, ends)
    if until <= opens:
        return []
    start_fact, changes = known.starts[subscription], known.changes.get(subscription, [])
    targets = set(start_fact["targets"]).union(*(change.get("targets") or [] for change in changes))
    lines = {target: target_stretches(known, target) for target in sorted(targets)}
    starts = {target: [part.start for part in line] for target, line in lines.items()}
    maintenance = {target: excluded_windows(known, target) for target in lines}

    edges = {opens, until} | {day_start(date.fromisoformat(change["effective_on"])) for change in changes}
    edges |= {edge for line in lines.values() for part in line for edge in (part.start, part.end)}
    edges |= {edge for shut in maintenance.values() for start, end, _ in shut for edge in (start, end)}
    first = month_first(local_date(opens))
    while day_start(first) < until:
        edges.add(day_start(first))
        first = next_month(first)

    result = []
    rules = {}  # of each month
    inside = sorted(edge for edge in edges if opens <= edge <= until)
    for start, end in pairwise(inside):
        day = local_date(start)
        month = month_first(day)
        if month not in rules:
            rules[month] = month_terms(known, subscription, month).body["uptime"]["maintenance"]
        rule = rules[month]
        down = shut_down = shut = unmeasured = said = waiting = False
        current = in_force(known, subscription, "targets", day)
        for target in current:
            part = lines[target][bisect_right(starts[target], start) - 1]
            excluded = rule["excluded"] and any(
                begin <= start < close and notice >= rule["notice_hours"] * HOUR
                for begin, close, notice in maintenance[target]
            )
            down |= part.state == "down" and not excluded
            shut_down |= part.state == "down" and excluded
            shut |= excluded
            unmeasured |= part.state == "unmeasured"
            said |= part.said
            waiting |= part.waiting
        state = "down" if down else "excluded" if shut else "unmeasured" if unmeasured else "up"
        if not current:
            state = "none"
        result.append(
            Stretch(start, end, state, shut_down and state == "excluded", waiting or shut_down, said)
        )
    return result


def window_in_month(known: Known, subscription: str, first: date) -> int:
    """`window_ms`: milliseconds of (month and service window) in which there is a target."""
    ends = ends_on(known, subscription)
    after = next_month(first) if ends is None else min(next_month(first), ends)
    total, day = 0, max(first, starts_on(known, subscription))
    while day < after:
        if in_force(known, subscription, "targets", day):
            total += day_start(next_day(day)) - day_start(day)
        day = next_day(day)
    return total


@dataclass(frozen=True)
class Cut:
    """A maximal stretch in which the subscription is down; `parts` are its down time."""

    parts: tuple[tuple[int, int], ...]
    lasting: bool

    @property
    def start(self) -> int:
        return self.parts[0][0]

    def until(self, end: int) -> list[tuple[int, int]]:
        return [(start, min(stop, end)) for start, stop in self.parts if start < end]


def cuts(stretches: list[Stretch], window_over: bool) -> list[Cut]:
    """The cuts of a subscription's time line; `window_over`: the end of the service window has come."""
    found: list[list[tuple[int, int]]] = []
    open_cut = False
    for part in stretches:
        if part.state == "down":
            if open_cut:
                found[-1].append((part.start, part.end))
            else:
                found.append([(part.start, part.end)])
            open_cut = True
        elif not part.carries:
            open_cut = False
    return [Cut(tuple(parts), not window_over and _lasts(stretches, parts[-1][1])) for parts in found]


def _lasts(stretches: list[Stretch], end: int) -> bool:
    """Nothing but excluded time has been said after the down time that stops at `end`."""
    after = [part for part in stretches if part.start >= end]
    if not after or not (after[0].waiting or after[0].state == "excluded"):
        return False
    return not any(
        part.state == "down" or (part.said and not part.waiting and part.state != "excluded")
        for part in after
    )
