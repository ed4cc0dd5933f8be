"""The uptime fold: probe results in, changes of a target's state out (contract 2).

Pure: a target's conclusions follow from its own records and the time they were recorded at, nothing
else. This module decides when a slot has waited long enough; `slots` judges it, `runs` draws the
conclusion.

A slot is decided, in the order of slots, once no voter can add to it any more:

- The voter has reported this slot or a later one: agents report each check in the order of slots.
- The voter has fallen silent for longer than the target's patience, so a location that is dead for
  weeks costs one wait and none after it. When the whole target had fallen silent (the broker or every
  agent was cut off), nobody is given up for some time after its first record: each location gets the
  chance to deliver its spool, and late results count as they would have in time.
- The slot has waited long enough: a location that came back and is delivering hours of old slots does
  not hold up today's.

Only new results move a target's time: a repeated one changes nothing at all.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from services.sla.runs import NEVER, Said, Standing, follow
from services.sla.slots import Votes, quorum, renumber, renumber_bits, testimony
from shared.facts import Because, ProbeFact, State, TargetDeclared
from shared.time import MINUTE, SECOND

STATE_VERSION: Final = 1
"""Of the saved form of `TargetState`; another one cannot be read, fold the topic again."""

CLOCK_AHEAD: Final = 10 * MINUTE
"""A slot further ahead of its record (ms) comes from an agent whose clock is wrong."""

LEAST_PATIENCE: Final = MINUTE
"""A voter is given up when silent for longer than three intervals, and never sooner than this (ms)."""

MAX_LAG: Final = 15 * MINUTE
"""A slot waits no longer than this (ms), or the patience if that is longer, for a voter that is alive but
behind. After a silence of the whole target nobody is given up for as long as it lasted, and no longer
than this."""

MAX_UNDECIDED: Final = 10_000
"""Slots kept undecided for a target; beyond it the oldest is decided with the votes it has."""


class TargetState(Struct):
    """Everything the fold knows about one target; plain values only, so msgspec saves it as it stands."""

    position: int
    """Offset of the last record folded."""
    interval: int
    confirm_down: int
    confirm_up: int
    checks: tuple[str, ...]
    """The required ones; a declaration that requires none requires all."""
    locations: tuple[str, ...]
    voters: dict[str, dict[str, int]]
    """The voter's number, by check and location."""
    everyone: int
    """All voters, one bit each; so are `live` and `awaited`."""
    standing: Standing
    held: int
    """The checks, one bit each, whose last verdict is down."""
    reached: list[int]
    """By voter: the latest slot it reported."""
    heard: list[int]
    """By voter: when its last record was recorded."""
    live: int
    """The voters not given up."""
    awaited: int
    """The live voters that have not reached the oldest undecided slot."""
    undecided: dict[int, Votes]
    order: list[int]
    """The undecided slots, oldest first."""
    grace_until: int
    """Nobody is given up, and no slot decided for its age, up to here."""
    wake: int
    """After this instant time alone may decide something."""


def observe(
    states: dict[str, TargetState], fact: ProbeFact, recorded_at: int, position: int
) -> Sequence[Said]:
    """Folds one record of a target into its state in `states`, in place; returns what it makes known.

    `recorded_at` is the record's append time in ms, `position` its offset. A record at or below the
    position of its target is a repeat and is skipped. Results of a target never declared, of a check
    that is not required or a location that is not declared, and of slots more than ten minutes in the
    future change nothing. Never raises for a decoded record.
    """
    state = states.get(fact.target)
    if state is None:
        if isinstance(fact, TargetDeclared):
            states[fact.target] = _first_declared(fact, position)
        return ()
    if position <= state.position:
        return ()
    state.position = position
    if isinstance(fact, TargetDeclared):
        return _declared_again(state, fact, recorded_at)

    by_location = state.voters.get(fact.check)
    if by_location is None:
        return ()
    voter = by_location.get(fact.location)
    if voter is None:
        return ()
    now = recorded_at + 0  # plain ints, not Instants: they are saved as they stand, and faster
    slot = fact.slot + 0
    if slot > now + CLOCK_AHEAD:
        return ()

    bit = 1 << voter
    if slot <= state.reached[voter] and _known(state, slot, bit):
        return ()
    said: Sequence[Said] = ()
    if now > state.wake:
        said = _pass_time(state, voter, now)
    if slot > state.reached[voter]:
        state.reached[voter] = slot
    state.heard[voter] = now
    if not state.live & bit:
        state.live |= bit
        _await(state)
    if slot <= state.standing.decided:
        return said

    votes = state.undecided.get(slot)
    if votes is None:
        votes = _open(state, slot, now)
    outcome = fact.outcome
    if outcome == "up":
        votes.up |= bit
    else:
        if outcome == "down":
            votes.down |= bit
        else:
            votes.unknown |= bit
        if fact.error is not None:
            if votes.errors is None:
                votes.errors = {}
            votes.errors[voter] = fact.error
    awaited = state.awaited = state.awaited & ~bit
    if awaited and len(state.order) <= MAX_UNDECIDED:
        return said
    decided = _decide(state, now)
    return [*said, *decided] if said else decided


def _known(state: TargetState, slot: int, bit: int) -> bool:
    # Behind its voter's latest slot: a repeat, or too late to tell from one, or out of order and welcome.
    if slot <= state.standing.decided:
        return True
    votes = state.undecided.get(slot)
    return votes is not None and bool((votes.up | votes.down | votes.unknown) & bit)


def _open(state: TargetState, slot: int, now: int) -> Votes:
    votes = state.undecided[slot] = Votes(now)
    if not state.order:
        state.awaited = state.live
    # Whoever reached the oldest slot so far has passed this one too if it is older: `awaited` holds.
    insort(state.order, slot)
    return votes


def _await(state: TargetState) -> None:
    if state.order:
        oldest = state.order[0]
        behind = sum(1 << voter for voter, slot in enumerate(state.reached) if slot < oldest)
        state.awaited = state.live & behind


def _patience(interval: int) -> int:
    return max(LEAST_PATIENCE, 3 * interval)


def _pass_time(state: TargetState, voter: int, now: int) -> Sequence[Said]:
    """Gives up voters silent for too long and decides what waited for them only, or waited long enough."""
    patience = _patience(state.interval)
    last_heard = max(state.heard)
    silence = now - last_heard
    if silence > patience:
        # After a longer silence agents may take longer to come back, and there is nobody left to hurry for.
        known_silence = silence if last_heard > NEVER else 0
        state.grace_until = now + max(patience, min(known_silence, MAX_LAG))
    state.heard[voter] = now

    live = 0
    wake = now + max(patience, MAX_LAG)
    for number, heard in enumerate(state.heard):
        given_up = max(heard + patience, state.grace_until)
        if now <= given_up:
            live |= 1 << number
            wake = min(wake, given_up)
    state.wake = wake
    if live != state.live:
        state.live = live
        _await(state)
    return _decide(state, now)


def _decide(state: TargetState, now: int) -> Sequence[Said]:
    """Decides undecided slots from the oldest on, as far as they can be."""
    said: Sequence[Said] = ()
    order = state.order
    while order:
        slot = order[0]
        if state.awaited and len(order) <= MAX_UNDECIDED:
            first = state.undecided[slot].first_arrival
            end = max(first + max(MAX_LAG, _patience(state.interval)), state.grace_until)
            if now <= end:
                state.wake = min(state.wake, end)
                break
        del order[0]
        votes = state.undecided.pop(slot)
        verdict: State = "up"
        because: tuple[Because, ...] = ()
        if votes.up == state.everyone:
            state.held = 0
        else:
            verdict, state.held = quorum(votes, len(state.checks), len(state.locations), state.held)
            because = testimony(votes, verdict, state.checks, state.locations)
        news = follow(
            state.standing, slot, verdict, because, state.interval, state.confirm_down, state.confirm_up
        )
        if news:
            said = [*said, *news] if said else news
        _await(state)
    return said


def _first_declared(declared: TargetDeclared, position: int) -> TargetState:
    checks, locations = _electorate(declared)
    count = len(checks) * len(locations)
    interval = declared.interval_s * SECOND
    return TargetState(
        position=position,
        interval=interval,
        confirm_down=declared.confirm_down,
        confirm_up=declared.confirm_up,
        checks=checks,
        locations=locations,
        voters=_numbered(checks, locations),
        everyone=(1 << count) - 1,
        standing=Standing(declared.target, interval),
        held=0,
        reached=[NEVER] * count,
        heard=[NEVER] * count,
        live=0,
        awaited=0,
        undecided={},
        order=[],
        grace_until=NEVER,
        wake=NEVER,
    )


def _declared_again(state: TargetState, declared: TargetDeclared, recorded_at: int) -> Sequence[Said]:
    """Judges by the new declaration from here on, undecided slots too; the confirmed state and run go on.

    Voters that remain keep their votes. A slot that only voters now gone had reported is absent.
    """
    checks, locations = _electorate(declared)
    interval = declared.interval_s * SECOND
    same_voters = (checks, locations) == (state.checks, state.locations)
    if same_voters and (interval, declared.confirm_down, declared.confirm_up) == (
        state.interval,
        state.confirm_down,
        state.confirm_up,
    ):
        return ()
    voters = _numbered(checks, locations)
    remaining = {
        old: voters[check][location]
        for check, by_location in state.voters.items()
        for location, old in by_location.items()
        if check in checks and location in locations
    }
    count = len(checks) * len(locations)
    reached, heard = [NEVER] * count, [NEVER] * count
    for old, new in remaining.items():
        reached[new], heard[new] = state.reached[old], state.heard[old]
    renumbered = ((slot, renumber(state.undecided[slot], remaining)) for slot in state.order)
    state.undecided = {slot: votes for slot, votes in renumbered if votes.up | votes.down | votes.unknown}
    state.order = list(state.undecided)
    state.held = renumber_bits(
        state.held, {old: checks.index(check) for old, check in enumerate(state.checks) if check in checks}
    )
    state.interval, state.confirm_down, state.confirm_up = (
        interval,
        declared.confirm_down,
        declared.confirm_up,
    )
    state.checks, state.locations, state.voters = checks, locations, voters
    state.reached, state.heard = reached, heard
    state.everyone = state.live = (1 << count) - 1
    state.grace_until = recorded_at + _patience(interval)
    state.wake = NEVER
    _await(state)
    return _decide(state, recorded_at)


def _electorate(declared: TargetDeclared) -> tuple[tuple[str, ...], tuple[str, ...]]:
    required = [check.check for check in declared.checks if check.required]
    checks = required or [check.check for check in declared.checks]
    return tuple(dict.fromkeys(checks)), tuple(dict.fromkeys(declared.locations))


def _numbered(checks: tuple[str, ...], locations: tuple[str, ...]) -> dict[str, dict[str, int]]:
    wide = len(locations)
    return {
        check: {location: row * wide + column for column, location in enumerate(locations)}
        for row, check in enumerate(checks)
    }
