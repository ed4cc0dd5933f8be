"""How a target is judged, as it was declared: which voters there are and how many slots confirm a change.

A voter is one required check seen from one location; voters are numbered check by check. Targets that are
judged alike have one and the same electorate: a fleet has thousands of targets and few electorates.
"""

from __future__ import annotations

from functools import lru_cache

from shared.facts import TargetDeclared
from shared.time import SECOND


class Electorate:
    """Never changed. `interval` is in ms; `checks` are the required ones; `voters` has the voter's number by
    check and location, `size` is how many there are, `everyone` all of them, one bit each."""

    __slots__ = (
        "checks",
        "confirm_down",
        "confirm_up",
        "everyone",
        "interval",
        "locations",
        "size",
        "voters",
    )

    def __init__(
        self,
        interval: int,
        confirm_down: int,
        confirm_up: int,
        checks: tuple[str, ...],
        locations: tuple[str, ...],
    ) -> None:
        self.interval = interval
        self.confirm_down = confirm_down
        self.confirm_up = confirm_up
        self.checks = checks
        self.locations = locations
        wide = len(locations)
        self.voters = {
            check: {location: row * wide + column for column, location in enumerate(locations)}
            for row, check in enumerate(checks)
        }
        self.size = len(checks) * wide
        self.everyone = (1 << self.size) - 1

    def said(self) -> tuple[int, int, int, tuple[str, ...], tuple[str, ...]]:
        """What `electorate` makes it of again."""
        return self.interval, self.confirm_down, self.confirm_up, self.checks, self.locations


@lru_cache(maxsize=4_096)
def electorate(
    interval: int,
    confirm_down: int,
    confirm_up: int,
    checks: tuple[str, ...],
    locations: tuple[str, ...],
) -> Electorate:
    """The one electorate of these properties, as long as there are not thousands of them."""
    return Electorate(interval, confirm_down, confirm_up, checks, locations)


def declared(fact: TargetDeclared) -> Electorate:
    """The electorate of a declaration; one that requires no check requires all."""
    required = [check.check for check in fact.checks if check.required]
    checks = required or [check.check for check in fact.checks]
    return electorate(
        fact.interval_s * SECOND,
        fact.confirm_down,
        fact.confirm_up,
        tuple(dict.fromkeys(checks)),
        tuple(dict.fromkeys(fact.locations)),
    )
