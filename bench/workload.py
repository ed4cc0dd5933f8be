"""The records every measurement folds: the same each time, shaped like what three agents say of a fleet."""

from __future__ import annotations

from collections.abc import Iterator

from shared.cloudevents import headers
from shared.codec import encode
from shared.facts import Check, Outcome, ProbeFact, ProbeResult, TargetDeclared
from shared.time import MINUTE, Instant

LOCATIONS = ("zurich", "geneva", "frankfurt")
CHECKS = ("icmp", "tcp:443", "tcp:8443")
INTERVAL = MINUTE
CUT_EVERY = 100
"""One target in so many is down for twenty slots, seen from everywhere; its change is published."""
LOSS_EVERY = 97
"""One result in so many is a lost packet that no other location confirms."""


def fleet(targets: int, slots: int, last_slot: int) -> Iterator[ProbeFact]:
    """`targets` declarations, then their results of `slots` slots up to `last_slot` (ms), in the order in
    which agents that all work on time append them: by slot, location, target and check."""
    names = [target_name(number) for number in range(targets)]
    checks = tuple(Check(name, True) for name in CHECKS)
    first = last_slot - (slots - 1) * INTERVAL
    for name in names:
        yield TargetDeclared(name, name, INTERVAL // 1_000, checks, LOCATIONS, 2, 2, Instant(first))
    serial = 0
    for number in range(slots):
        slot = Instant(first + number * INTERVAL)
        for location in LOCATIONS:
            for index, name in enumerate(names):
                cut = index % CUT_EVERY == 0 and 20 <= (number + index) % slots < 40
                for check in CHECKS:
                    serial += 1
                    yield _result(name, check, location, slot, serial, cut or serial % LOSS_EVERY == 0)


def target_name(number: int) -> str:
    """The id of the target `number`, from 0."""
    return f"customer-{number:04d}"


def _result(name: str, check: str, location: str, slot: Instant, serial: int, down: bool) -> ProbeResult:
    outcome: Outcome = "down" if down else "up"
    rtt_us = None if down else 2_000 + serial * 7_919 % 40_000
    return ProbeResult(name, check, location, slot, outcome, rtt_us, "timeout" if down else None)


def record(fact: ProbeFact) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    """Key, value and headers as a probe agent's producer appends them."""
    data = encode(fact)
    time_ms = fact.slot if isinstance(fact, ProbeResult) else fact.at
    source = f"/garant/probe/{fact.location if isinstance(fact, ProbeResult) else LOCATIONS[0]}"
    named = headers(data, type_name=type(fact).__name__, source=source, time_ms=time_ms)
    named["correlation_id"] = named["ce_id"]
    return fact.target.encode(), data, [(name, value.encode()) for name, value in named.items()]
