"""The votes of one slot and the quorum over them (contract 2).

A voter is one required check seen from one location. Voters are numbered check by check, so that the
votes of a slot are three whole numbers with one bit for each voter, and a check's share of them is a
row of bits as wide as there are locations.
"""

from __future__ import annotations

from msgspec import Struct

from services.sla.runs import reason_order
from shared.facts import Because, State


class Votes(Struct, array_like=True, gc=False):
    """What the voters have said about one undecided slot."""

    slot: int
    first_arrival: int
    up: int = 0
    down: int = 0
    unknown: int = 0
    errors: dict[int, str] | None = None
    """What went wrong, by voter, for votes that are not up."""


def quorum(votes: Votes, checks: int, locations: int, held: int) -> tuple[State, int]:
    """The target's verdict in the slot, and the checks (one bit each) whose last verdict is down after it.

    More down than up makes a check down, more up than down up; a tie leaves it at its last verdict
    (`held`); with neither it is unmeasured and its last verdict stays for the next tie. One check down
    makes the target down; otherwise one unmeasured makes it unmeasured.
    """
    row = (1 << locations) - 1
    down = unmeasured = False
    for check in range(checks):
        bit = 1 << check
        ups = (votes.up >> check * locations & row).bit_count()
        downs = (votes.down >> check * locations & row).bit_count()
        if ups == downs == 0:
            unmeasured = True
            continue
        if downs > ups:
            held |= bit
        elif ups > downs:
            held &= ~bit
        down = down or bool(held & bit)
    return "down" if down else "unmeasured" if unmeasured else "up", held


def testimony(
    votes: Votes, verdict: State, checks: tuple[str, ...], locations: tuple[str, ...]
) -> tuple[Because, ...]:
    """The votes behind a verdict, sorted: those for down, those that are unknown, none for up."""
    if verdict == "up":
        return ()
    said = votes.down if verdict == "down" else votes.unknown
    errors = votes.errors or {}
    reasons = []
    while said:
        voter = (said & -said).bit_length() - 1
        said &= said - 1
        check, location = divmod(voter, len(locations))
        reasons.append(Because(checks[check], locations[location], errors.get(voter)))
    return tuple(sorted(reasons, key=reason_order))


def renumber(votes: Votes, voters: dict[int, int]) -> Votes:
    """The same votes under new numbers of the voters (old to new); votes of voters left out are dropped."""
    errors = {voters[voter]: error for voter, error in (votes.errors or {}).items() if voter in voters}
    return Votes(
        votes.slot,
        votes.first_arrival,
        renumber_bits(votes.up, voters),
        renumber_bits(votes.down, voters),
        renumber_bits(votes.unknown, voters),
        errors or None,
    )


def renumber_bits(bits: int, numbers: dict[int, int]) -> int:
    """The set of new numbers for a set of old ones, as bits."""
    return sum(1 << new for old, new in numbers.items() if bits >> old & 1)
