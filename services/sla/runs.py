"""Decided slots in, changes of state out: runs, confirmation and unmeasured time (contract 2)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, Literal

from msgspec import Struct

from shared.facts import Because, State, TargetObserved, TargetStateChanged
from shared.time import HOUR, Instant

Said = TargetStateChanged | TargetObserved

LONGEST_PAUSE: Final = 6 * HOUR
"""A run goes on after unmeasured and absent slots that lasted no longer than this (ms)."""

MOST_REASONS: Final = 50
"""A change of state names at most so many votes: the first ones in sorted order."""

NEVER: Final = -(2**62)
"""An instant before every other."""


class Pause(Struct, array_like=True, gc=False):
    """An unmeasured stretch inside a run: from its first slot to the next measured one."""

    since: int
    until: int
    because: tuple[Because, ...]


class Run(Struct, array_like=True, gc=False):
    """Consecutive slots that speak against the confirmed state and do not overrule it yet."""

    state: Literal["up", "down"]
    since: int
    length: int
    because: tuple[Because, ...]
    pauses: list[Pause]


class Standing(Struct, array_like=True, gc=False):
    """What the decided slots of one target have come to."""

    target: str
    interval: int
    """The interval (ms) under which the last slot was decided."""
    decided: int = NEVER
    confirmed: Literal["up", "down"] | None = None
    run: Run | None = None
    missing_since: int | None = None
    """The first slot unmeasured or absent since the last measured one."""
    unmeasured_since: int | None = None
    """Since when the timeline is unmeasured; one absent slot alone does not make it so."""
    unmeasured_because: tuple[Because, ...] = ()
    next_hour: int = NEVER
    """The next full hour to be told as observed."""
    stated: State = "unmeasured"
    stated_since: int = NEVER
    """What the timeline says last, and since when (ms)."""


def follow(
    standing: Standing,
    slot: int,
    verdict: State,
    because: tuple[Because, ...],
    interval: int,
    confirm_down: int,
    confirm_up: int,
) -> Sequence[Said]:
    """Takes the next decided slot (ms, later than every one before it); returns what it makes known.

    `because` holds the votes behind `verdict`, sorted. Changes of state come in the order of `at` within
    one cause; of two at one instant the later said counts. `TargetObserved` comes last: once for the
    latest full hour (UTC) that the slot reaches or passes, whatever its verdict; a target's first slot
    passes none, it can only reach one.

    Makes the runs, the unmeasured stretches and the timeline of contract 2 true.
    """
    gap = slot - standing.decided
    if (
        verdict == standing.confirmed
        and gap <= interval == standing.interval
        and slot < standing.next_hour
        and standing.run is None
        and standing.missing_since is None
    ):
        standing.decided = slot
        return ()

    said: list[Said] = []
    if standing.decided == NEVER:
        standing.next_hour = -(-slot // HOUR) * HOUR
    else:
        _notice_absence(standing, slot, gap, max(interval, standing.interval), said)
    if verdict == "unmeasured":
        _unmeasured(standing, slot, because, said)
    else:
        _measured(standing, slot, verdict, because, confirm_down if verdict == "down" else confirm_up, said)
    standing.decided = slot
    standing.interval = interval
    for fact in said:
        if isinstance(fact, TargetStateChanged) and fact.at >= standing.stated_since:
            standing.stated, standing.stated_since = fact.state, int(fact.at)
    if slot >= standing.next_hour:
        hour = slot // HOUR * HOUR
        standing.next_hour = _hour_after(hour)
        said.append(TargetObserved(standing.target, Instant(hour)))
    return said


@lru_cache(maxsize=64)
def _hour_after(hour: int) -> int:
    """The next full hour: the same number for every target."""
    return hour + HOUR


def _notice_absence(standing: Standing, slot: int, gap: int, interval: int, said: list[Said]) -> None:
    # Across a change of the interval the longer one counts: no slot was due before the old interval was over.
    if gap <= interval:
        return
    first_absent = standing.decided + interval
    if standing.missing_since is None:
        standing.missing_since = first_absent
    if gap > 2 * interval and standing.unmeasured_since is None:
        standing.unmeasured_since = first_absent
        standing.unmeasured_because = ()
        if standing.confirmed is not None:
            said.append(_changed(standing, first_absent, "unmeasured", slot, ()))


def _unmeasured(standing: Standing, slot: int, because: tuple[Because, ...], said: list[Said]) -> None:
    if standing.missing_since is None:
        standing.missing_since = slot
    if standing.unmeasured_since is None:
        standing.unmeasured_since = slot
        standing.unmeasured_because = because
        if standing.confirmed is not None:
            said.append(_changed(standing, slot, "unmeasured", slot, because))


def _measured(
    standing: Standing,
    slot: int,
    verdict: Literal["up", "down"],
    because: tuple[Because, ...],
    confirm: int,
    said: list[Said],
) -> None:
    unmeasured_since = standing.unmeasured_since
    if standing.missing_since is not None and slot - standing.missing_since > LONGEST_PAUSE:
        standing.run = None
    standing.missing_since = standing.unmeasured_since = None

    run = standing.run
    if verdict == standing.confirmed:
        run = None
    elif run is None or run.state != verdict:
        run = Run(verdict, slot, 1, because[:MOST_REASONS], [])
    else:
        run.length += 1
        if because != run.because:
            run.because = tuple(sorted({*run.because, *because}, key=reason_order)[:MOST_REASONS])
        if unmeasured_since is not None:
            run.pauses.append(Pause(unmeasured_since, slot, standing.unmeasured_because))

    if run is not None and run.length >= confirm:
        _confirm(standing, run, slot, said)
        run = None
    elif unmeasured_since is not None and standing.confirmed is not None:
        reasons = because if verdict == standing.confirmed else ()
        said.append(_changed(standing, slot, standing.confirmed, slot, reasons))
    standing.run = run


def _confirm(standing: Standing, run: Run, slot: int, said: list[Said]) -> None:
    # Where a pause ended inside the run the old state was said again, or, before any state was
    # confirmed, nothing was: the new state has to overrule it there too.
    first = standing.confirmed is None
    standing.confirmed = run.state
    said.append(_changed(standing, run.since, run.state, slot, run.because))
    for pause in run.pauses:
        if first:
            said.append(_changed(standing, pause.since, "unmeasured", slot, pause.because))
        said.append(_changed(standing, pause.until, run.state, slot, run.because))


def _changed(
    standing: Standing, at: int, state: State, slot: int, because: tuple[Because, ...]
) -> TargetStateChanged:
    return TargetStateChanged(standing.target, Instant(at), state, Instant(slot), because[:MOST_REASONS])


def reason_order(reason: Because) -> tuple[str, str, bool, str]:
    """The order in which votes are named: by check, location and error, no error first."""
    return reason.check, reason.location, reason.error is not None, reason.error or ""
