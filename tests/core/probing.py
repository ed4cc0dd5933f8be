"""Given / when / then for the uptime fold: results of one target go in, what it says comes out, readable."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from services.sla.states import TargetState, observe
from shared.facts import (
    Because,
    Check,
    ProbeFact,
    ProbeResult,
    State,
    TargetDeclared,
    TargetObserved,
    TargetStateChanged,
)
from shared.time import MINUTE, Instant, parse_instant

T0 = parse_instant("2026-11-02T10:01:00.000Z")
"""Slot 0 of these tests; a minute after a full hour, so that hours do not come up by chance."""

Outcome = Literal["up", "down", "unknown"]
WORDS: dict[str, Outcome] = {"u": "up", "d": "down", "?": "unknown"}


def declared(
    checks: Sequence[str] = ("icmp",),
    locations: Sequence[str] = ("zrh",),
    *,
    optional: Sequence[str] = (),
    interval_s: int = 60,
    confirm_down: int = 2,
    confirm_up: int = 2,
    target: str = "app",
    at: int = T0,
) -> TargetDeclared:
    every = (*(Check(check, True) for check in checks), *(Check(check, False) for check in optional))
    return TargetDeclared(
        target, "App", interval_s, every, tuple(locations), confirm_down, confirm_up, Instant(at)
    )


def result(
    slot: int,
    outcome: Outcome,
    location: str = "zrh",
    check: str = "icmp",
    error: str | None = None,
    target: str = "app",
) -> ProbeResult:
    return ProbeResult(target, check, location, Instant(slot), outcome, None, error)


class Fold:
    """The fold over the records of one partition, as its service would feed it."""

    def __init__(self, *declarations: TargetDeclared) -> None:
        self.states: dict[str, TargetState] = {}
        self.position = -1
        self.said: list[TargetStateChanged | TargetObserved] = []
        for declaration in declarations:
            self.record(declaration, declaration.at)

    def record(self, fact: ProbeFact, recorded_at: int) -> list[TargetStateChanged | TargetObserved]:
        """Appends one record; returns what it alone made known."""
        self.position += 1
        said = list(observe(self.states, fact, recorded_at, self.position))
        self.said += said
        return said

    def vote(
        self,
        minute: int,
        votes: str,
        *,
        at: int | None = None,
        check: str = "icmp",
        locations: Sequence[str] = ("zrh", "gva", "fra", "lon"),
    ) -> list[tuple[int, State]]:
        """One slot: a letter for each location, u(p), d(own), ?(unknown) or . (not reported).

        Recorded a second after the slot, or at minute `at`; returns the changes of state this made known.
        """
        recorded_at = T0 + (minute if at is None else at) * MINUTE + 1_000
        said: list[TargetStateChanged | TargetObserved] = []
        for letter, location in zip(votes, locations, strict=False):
            if letter != ".":
                slot = T0 + minute * MINUTE
                said += self.record(result(slot, WORDS[letter], location, check), recorded_at)
        return changes(said)

    def slots(self, letters: str, start: int = 0, step: int = 1) -> list[tuple[int, State]]:
        """Slot after slot from minute `start`, one letter each, from one location."""
        said: list[tuple[int, State]] = []
        for number, letter in enumerate(letters):
            said += self.vote(start + number * step, letter)
        return said

    def changes(self) -> list[tuple[int, State]]:
        return changes(self.said)

    def hours(self) -> list[Instant]:
        return [fact.through for fact in self.said if isinstance(fact, TargetObserved)]

    @property
    def last_change(self) -> TargetStateChanged:
        return [fact for fact in self.said if isinstance(fact, TargetStateChanged)][-1]


def changes(said: Iterable[TargetStateChanged | TargetObserved]) -> list[tuple[int, State]]:
    """The changes of state as (minute after T0, state), in the order they were said."""
    return [((fact.at - T0) // MINUTE, fact.state) for fact in said if isinstance(fact, TargetStateChanged)]


def timeline(said: Iterable[TargetStateChanged | TargetObserved]) -> list[tuple[int, State]]:
    """The changes by `at` (of two at one instant the later said), without those that change nothing."""
    latest: dict[int, State] = dict(changes(said))
    steps: list[tuple[int, State]] = []
    for at, state in sorted(latest.items()):
        if not steps or steps[-1][1] != state:
            steps.append((at, state))
    return steps


def why(*reasons: tuple[str, str, str | None]) -> tuple[Because, ...]:
    return tuple(Because(*reason) for reason in reasons)
