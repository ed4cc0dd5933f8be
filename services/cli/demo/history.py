"""A month of a shop that kept none of its promises: the probe results that `garant demo month` publishes.

Made from the month alone: published again they are the same bytes, and change nothing.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date, timedelta

from msgspec import Struct

from shared.calendar import add_months, day_start, local_date, month_of, next_month
from shared.facts import Check, Fact, ProbeResult, TargetDeclared
from shared.terms import BUILT_IN
from shared.time import HOUR, MINUTE, Instant

ACCOUNT = "demo"
SUBSCRIPTION = "demo-shop"
TARGET = "demo-shop"
LOCATIONS = ("zurich", "geneva", "lugano")
CHECKS = (Check("icmp", False), Check("tcp:443", True), Check("https:/", True))
INTERVAL_S = 300

_ZONE = BUILT_IN.zone
_RTT_US = {"zurich": 2_100, "geneva": 5_400, "lugano": 7_800}
_ROUND_TRIPS = {"icmp": 1.0, "tcp:443": 1.1, "https:/": 4.5}
_LONE_FAILURES = 0.002
"""How often one location alone sees a failure: a quorum of three does not mind."""


class Fault(Struct, frozen=True):
    """Between two instants (ms) the checks in `errors` fail everywhere, each with its error."""

    starts_at: int
    ends_at: int
    errors: dict[str, str]


def last_closed_month(now_ms: int) -> date:
    """The first date of the last calendar month that the terms have closed by `now_ms`."""
    month = add_months(month_of(local_date(now_ms, _ZONE)), -1)
    closed_at = day_start(next_month(month), _ZONE) + BUILT_IN.uptime.close_after_hours * HOUR
    return month if now_ms >= closed_at else add_months(month, -1)


def subscription_start(month: date) -> date:
    """The subscription of the demonstration started a month before."""
    return add_months(month, -1)


def _at(month: date, day: int, hours: int, minutes: int) -> int:
    return day_start(month + timedelta(days=day - 1), _ZONE) + hours * HOUR + minutes * MINUTE


def long_cut(month: date) -> Fault:
    """Thirty hours in which nothing listens."""
    start = _at(month, 10, 8, 20)
    return Fault(start, start + 30 * HOUR, {"tcp:443": "refused", "https:/": "refused"})


def faults(month: date) -> tuple[Fault, ...]:
    """Every cut of the month: the long one, and shorter ones of 7 h 15 min in all."""
    dead = {"icmp": "timeout", "tcp:443": "timeout", "https:/": "timeout"}
    ill = {"https:/": "status 503"}
    return (
        Fault(_at(month, 4, 14, 5), _at(month, 4, 16, 15), ill),
        long_cut(month),
        Fault(_at(month, 18, 21, 30), _at(month, 19, 0, 55), dead),
        Fault(_at(month, 24, 6, 45), _at(month, 24, 8, 25), ill),
    )


def silence(month: date) -> tuple[int, int]:
    """Five and a half hours in which no agent reported: unmeasured, neither up nor down (ms)."""
    return _at(month, 21, 11, 0), _at(month, 21, 16, 30)


def month_end(month: date) -> int:
    """The first instant after the month (ms), which is also its last slot here."""
    return day_start(next_month(month), _ZONE)


def results(month: date) -> Iterator[Fact]:
    """The declaration of the target, then every result of the month in the order of slots, with the slot in
    which the next month begins."""
    chance = random.Random(month.isoformat())
    start, end = day_start(month, _ZONE), month_end(month)
    yield TargetDeclared(TARGET, "Demonstration shop", INTERVAL_S, CHECKS, LOCATIONS, 2, 2, at=Instant(start))
    broken, (quiet_from, quiet_to) = faults(month), silence(month)
    for slot in range(start, end + 1, INTERVAL_S * 1_000):
        if not quiet_from <= slot < quiet_to:
            fault = next((one for one in broken if one.starts_at <= slot < one.ends_at), None)
            yield from _slot(Instant(slot), fault.errors if fault else {}, chance)


def _slot(slot: Instant, errors: dict[str, str], chance: random.Random) -> Iterator[ProbeResult]:
    for location in LOCATIONS:
        lone = chance.random() < _LONE_FAILURES
        for check in CHECKS:
            error = errors.get(check.check) or ("timeout" if lone else None)
            rtt = round(_RTT_US[location] * _ROUND_TRIPS[check.check] * chance.lognormvariate(0, 0.15))
            outcome, rtt_us = ("up", rtt) if error is None else ("down", None)
            yield ProbeResult(TARGET, check.check, location, slot, outcome, rtt_us, error)  # type: ignore[arg-type]
