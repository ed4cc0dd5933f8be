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

import sys
from array import array
from bisect import bisect_left, insort
from collections.abc import Sequence
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from services.sla.electorate import Electorate, declared
from services.sla.runs import NEVER, Said, Standing, follow
from services.sla.slots import Votes, quorum, renumber, renumber_bits, testimony
from shared.facts import Because, ProbeFact, State, TargetDeclared
from shared.time import MINUTE

if TYPE_CHECKING:
    Numbers = array[int]
else:
    Numbers = array

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


_GRACE_UNTIL, _WAKE = -2, -1
"""Where in `times` these are."""


class TargetState(Struct, array_like=True, gc=False):
    """Everything the fold knows about one target; `pages` is how it is saved.

    Sets of voters and of checks are whole numbers with one bit each. A service holds a hundred thousand of
    these: what can be shared is, what is usually empty is None, and times are numbers side by side.
    """

    position: int
    """Offset of the last record folded."""
    electorate: Electorate
    standing: Standing
    held: int
    """The checks whose last verdict is down."""
    given_up: int
    """The voters nobody waits for any more."""
    awaited: int
    """The voters not given up that have not reached the oldest undecided slot."""
    times: Numbers
    """ms: by voter the latest slot it reported; by voter when its last record was recorded; the two below."""
    undecided: list[Votes] | None
    """Oldest first."""

    @property
    def grace_until(self) -> int:
        """Nobody is given up, and no slot decided for its age, up to here."""
        return self.times[_GRACE_UNTIL]

    @property
    def wake(self) -> int:
        """After this instant time alone may decide something."""
        return self.times[_WAKE]


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
            name = sys.intern(fact.target)
            states[name] = _first_declared(name, declared(fact), position)
        return ()
    if position <= state.position:
        return ()
    state.position = position
    if isinstance(fact, TargetDeclared):
        return _declared_again(state, declared(fact), recorded_at)

    electorate = state.electorate
    by_location = electorate.voters.get(fact.check)
    if by_location is None:
        return ()
    voter = by_location.get(fact.location)
    if voter is None:
        return ()
    now = recorded_at + 0  # plain ints, not Instants: they are saved as they stand, and faster
    slot = _plain(fact.slot)
    if slot > now + CLOCK_AHEAD:
        return ()

    bit, times = 1 << voter, state.times
    if slot <= times[voter] and _known(state, slot, bit):
        return ()
    said: Sequence[Said] = ()
    if now > times[_WAKE]:
        said = _pass_time(state, voter, now)
    if slot > times[voter]:
        times[voter] = slot
    times[electorate.size + voter] = now
    if state.given_up & bit:
        state.given_up &= ~bit
        _await(state)
    if slot <= state.standing.decided:
        return said

    votes = _votes(state, slot) or _open(state, slot, now)
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
    if awaited and len(state.undecided or ()) <= MAX_UNDECIDED:
        return said
    found = _decide(state, now)
    return [*said, *found] if said else found


@lru_cache(maxsize=4_096)
def _plain(slot: int) -> int:
    """The slot as a plain number, the same one for every target that has it."""
    return slot + 0


_slot_of = attrgetter("slot")


def _votes(state: TargetState, slot: int) -> Votes | None:
    undecided = state.undecided
    if undecided is None or undecided[-1].slot < slot:
        return None
    if undecided[-1].slot == slot:
        return undecided[-1]
    place = bisect_left(undecided, slot, key=_slot_of)
    return undecided[place] if undecided[place].slot == slot else None


def _known(state: TargetState, slot: int, bit: int) -> bool:
    # Behind its voter's latest slot: a repeat, or too late to tell from one, or out of order and welcome.
    if slot <= state.standing.decided:
        return True
    votes = _votes(state, slot)
    return votes is not None and bool((votes.up | votes.down | votes.unknown) & bit)


def _open(state: TargetState, slot: int, now: int) -> Votes:
    votes = Votes(slot, now)
    if state.undecided is None:
        state.undecided = [votes]
        state.awaited = state.electorate.everyone & ~state.given_up
    else:
        # Whoever reached the oldest slot so far has passed this one too if it is older: `awaited` holds.
        insort(state.undecided, votes, key=_slot_of)
    return votes


def _await(state: TargetState) -> None:
    if state.undecided is not None:
        oldest = state.undecided[0].slot
        reached = state.times[: state.electorate.size]
        behind = sum(1 << voter for voter, slot in enumerate(reached) if slot < oldest)
        state.awaited = behind & ~state.given_up


def _patience(interval: int) -> int:
    return max(LEAST_PATIENCE, 3 * interval)


def _pass_time(state: TargetState, voter: int, now: int) -> Sequence[Said]:
    """Gives up voters silent for too long and decides what waited for them only, or waited long enough."""
    patience, size, times = _patience(state.electorate.interval), state.electorate.size, state.times
    last_heard = max(times[size:_GRACE_UNTIL])
    silence = now - last_heard
    if silence > patience:
        # After a longer silence agents may take longer to come back, and there is nobody left to hurry for.
        known_silence = silence if last_heard > NEVER else 0
        times[_GRACE_UNTIL] = now + max(patience, min(known_silence, MAX_LAG))
    times[size + voter] = now

    silent = 0
    wake = now + max(patience, MAX_LAG)
    for number, heard in enumerate(times[size:_GRACE_UNTIL]):
        until = max(heard + patience, state.grace_until)
        if now <= until:
            wake = min(wake, until)
        else:
            silent |= 1 << number
    times[_WAKE] = wake
    if silent != state.given_up:
        state.given_up = silent
        _await(state)
    return _decide(state, now)


def _decide(state: TargetState, now: int) -> Sequence[Said]:
    """Decides undecided slots from the oldest on, as far as they can be."""
    said: Sequence[Said] = ()
    electorate = state.electorate
    while (undecided := state.undecided) is not None:
        votes = undecided[0]
        if state.awaited and len(undecided) <= MAX_UNDECIDED:
            wait = max(MAX_LAG, _patience(electorate.interval))
            end = max(votes.first_arrival + wait, state.grace_until)
            if now <= end:
                state.times[_WAKE] = min(state.wake, end)
                break
        if len(undecided) > 1:
            del undecided[0]
        else:
            state.undecided = None
        verdict: State = "up"
        because: tuple[Because, ...] = ()
        if votes.up == electorate.everyone:
            state.held = 0
        else:
            checks, locations = electorate.checks, electorate.locations
            verdict, state.held = quorum(votes, len(checks), len(locations), state.held)
            because = testimony(votes, verdict, checks, locations)
        news = follow(
            state.standing,
            votes.slot,
            verdict,
            because,
            electorate.interval,
            electorate.confirm_down,
            electorate.confirm_up,
        )
        if news:
            said = [*said, *news] if said else news
        _await(state)
    return said


def _first_declared(target: str, electorate: Electorate, position: int) -> TargetState:
    return TargetState(
        position=position,
        electorate=electorate,
        standing=Standing(target, electorate.interval),
        held=0,
        given_up=electorate.everyone,
        awaited=0,
        times=Numbers("q", [NEVER]) * (2 * electorate.size + 2),
        undecided=None,
    )


def _declared_again(state: TargetState, electorate: Electorate, recorded_at: int) -> Sequence[Said]:
    """Judges by the new declaration from here on, undecided slots too; the confirmed state and run go on.

    Voters that remain keep their votes. A slot that only voters now gone had reported is absent.
    """
    before = state.electorate
    if electorate.said() == before.said():
        return ()
    checks = {
        old: electorate.checks.index(check)
        for old, check in enumerate(before.checks)
        if check in electorate.voters
    }
    remaining = {
        old: electorate.voters[check][location]
        for check, by_location in before.voters.items()
        for location, old in by_location.items()
        if location in electorate.voters.get(check, ())
    }
    times = Numbers("q", [NEVER]) * (2 * electorate.size + 2)
    for old, new in remaining.items():
        times[new] = state.times[old]
        times[electorate.size + new] = state.times[before.size + old]
    times[_GRACE_UNTIL] = recorded_at + _patience(electorate.interval)
    renumbered = [renumber(votes, remaining) for votes in state.undecided or ()]
    state.undecided = [votes for votes in renumbered if votes.up | votes.down | votes.unknown] or None
    state.held = renumber_bits(state.held, checks)
    state.electorate, state.times = electorate, times
    state.given_up = 0
    _await(state)
    return _decide(state, recorded_at)
