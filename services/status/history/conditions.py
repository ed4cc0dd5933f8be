"""What a component is at each instant, and the entries of history that follow: every change of it.

Down when any of its targets is seen down, else unmeasured when any is not known to be up, else up: as the
promise is judged, but for excluded time, in which a target that is down is still shown as down.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from itertools import pairwise

from services.sla.timeline import Seen, Timeline, stretches
from services.status.history.causes import causes_in
from services.status.history.watched import Watched, said_at
from services.status.site import Change, Condition

Run = tuple[int, int, Condition]
"""From when to when (ms, half-open) a component was in a condition; neighbours differ."""

_CONDITION = {
    Seen.UP: Condition.UP,
    Seen.UNMEASURED: Condition.UNMEASURED,
    Seen.SILENT: Condition.SILENT,
    Seen.WAITING: Condition.UNMEASURED,
    Seen.DOWN: Condition.DOWN,
}
_LAST = {"up": Condition.UP, "down": Condition.DOWN, "unmeasured": Condition.UNMEASURED}


def public_id(*parts: object) -> str:
    """An id that is the same for the same parts and gives nothing away."""
    return sha256("\0".join(map(str, parts)).encode()).hexdigest()[:20]


def conditions(
    lines: Sequence[Timeline], start: int, end: int, fresh: int, bridge_ms: Callable[[int], int]
) -> list[Run]:
    """The component of the targets `lines` from `start` to `end`.

    Nothing is said of a target after it was observed last. If that is at or after `fresh` its state is taken
    to last (it is heard of once an hour); if before, it is unmeasured from there. Silent is only what
    nothing is known of yet.
    """
    if start >= end:
        return []
    seen = [_of_target(line, start, end, fresh, bridge_ms) for line in lines]
    if len(seen) == 1:
        return _joined(seen[0])
    edges = sorted({end, *(begins for runs in seen for begins, _, _ in runs)})
    return _joined(
        (begins, ends, _worst({runs[bisect_right(runs, begins, key=_begins) - 1][2] for runs in seen}))
        for begins, ends in pairwise(edges)
    )


def _begins(run: Run) -> int:
    return run[0]


def _of_target(
    line: Timeline, start: int, end: int, fresh: int, bridge_ms: Callable[[int], int]
) -> list[Run]:
    found: list[Run] = []
    until = line.observed_until
    tail = _LAST[line.states[-1]] if line.states and until >= fresh else Condition.UNMEASURED
    for begins, ends, seen in stretches(line, start, end, bridge_ms):
        unsaid = seen in (Seen.SILENT, Seen.WAITING) and bool(line.ats) and ends > until
        if unsaid and begins < until:  # joined with the time before anything was said
            found.append((begins, until, _CONDITION[seen]))
        found.append((max(begins, until), ends, tail) if unsaid else (begins, ends, _CONDITION[seen]))
    return found


def _worst(found: set[Condition]) -> Condition:
    if Condition.DOWN in found:
        return Condition.DOWN
    if len(found) == 1:
        return next(iter(found))
    return Condition.UNMEASURED


def _joined(found: Iterable[Run]) -> list[Run]:
    result: list[Run] = []
    for start, end, condition in found:
        if result and result[-1][2] is condition:
            result[-1] = (result[-1][0], end, condition)
        else:
            result.append((start, end, condition))
    return result


def spliced(before: list[Run], since: int, after: list[Run]) -> list[Run]:
    """`before` up to `since`, then `after`, which begins there."""
    kept = before[: bisect_right(before, since - 1, key=_begins)]
    if kept and kept[-1][1] > since:
        kept[-1] = (kept[-1][0], since, kept[-1][2])
    return _joined([*kept[-1:], *after]) if len(kept) <= 1 else kept[:-1] + _joined([kept[-1], *after])


def changes(component: str, runs: Sequence[Run], since: int, watched: Sequence[Watched]) -> list[Change]:
    """An entry for each of `runs` that begins at `since` or later, ascending. What is known of a component
    first is a change from "silent"."""
    found = []
    for place in range(bisect_right(runs, since - 1, key=_begins), len(runs)):
        at, _, condition = runs[place]
        before = runs[place - 1][2] if place else Condition.SILENT
        if condition is not Condition.SILENT:
            found.append(_change(component, at, condition, before, watched))
    return found


def _change(
    component: str, at: int, condition: Condition, before: Condition, watched: Sequence[Watched]
) -> Change:
    confirmed, bits = 0, 0
    for each in watched:
        if (place := said_at(each, at)) is not None:
            confirmed = max(confirmed, each.confirmed[place])
            bits |= each.causes[place]
    stated = [
        each.at for one in watched for each in one.line.corrections if at in (each.starts_at, each.ends_at)
    ]
    return Change(
        public_id(component, at, condition),
        component,
        at,
        condition,
        before,
        max([confirmed, *stated]) or at,
        causes_in(bits) if condition is Condition.DOWN else (),
        bool(stated),
    )
