"""What happens in an installation whose records are kept: probe results at their own times, and what
operators say. It has two parts: the folds' states are saved after the first, and are behind the topics after
the second."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from shared import facts
from shared.facts import Check, Fact, ProbeResult, TargetDeclared
from shared.terms import BUILT_IN, HolidayHours, Maintenance, Tier, Tiers
from shared.time import HOUR, MINUTE, Instant, parse_instant

Told = tuple[int, Fact]
"""When a probe result is recorded (ms), and what it says."""

OCTOBER = parse_instant("2026-09-30T22:00:00.000Z")
NOON = parse_instant("2026-11-03T11:00:00.000Z")
TWO, THREE = ("zurich", "geneva"), ("zurich", "geneva", "lugano")
TCP = (Check("tcp:443", True),)
TRAVEL = 2_000
"""How long a result takes to its topic (ms)."""


def _declared(
    target: str, every_s: int, checks: tuple[Check, ...], where: tuple[str, ...], **more: Any
) -> Told:
    counts = {"confirm_down": 2, "confirm_up": 2, **more}
    return OCTOBER, TargetDeclared(target, f"Server {target}", every_s, checks, where, at=OCTOBER, **counts)


def _slot(target: str, check: str, slot: int, votes: dict[str, str], late: int = 0) -> Iterator[Told]:
    """One result for each location in `votes`: "up", "unknown", or the error for which it is down."""
    for location, vote in votes.items():
        outcome, error = (vote, None) if vote == "up" else ("down", vote)
        if vote.startswith("unknown"):
            outcome, error = "unknown", vote.removeprefix("unknown").strip() or None
        rtt = 4_200 if vote == "up" else None
        said = ProbeResult(target, check, location, Instant(slot), outcome, rtt, error)  # type: ignore[arg-type]
        yield slot + TRAVEL + late, said


def _all(where: tuple[str, ...], vote: str) -> dict[str, str]:
    return dict.fromkeys(where, vote)


def _shop(start: int, end: int) -> Iterator[Told]:
    """Every twelve hours; nothing listens for two days of October."""
    cut = parse_instant("2026-10-10T10:00:00.000Z")
    for slot in range(start, end, 12 * HOUR):
        vote = "refused" if cut <= slot < cut + 48 * HOUR else "up"
        yield from _slot("shop", "tcp:443", slot, _all(TWO, vote))


def _two_checks(start: int, minutes: int, tls: dict[str, str]) -> Iterator[Told]:
    for slot in range(start, start + minutes * MINUTE, MINUTE):
        yield from _slot("api", "tcp:443", slot, _all(THREE, "up"))
        yield from _slot("api", "https:/", slot, tls)
        yield from _slot("api", "icmp", slot, _all(THREE, "timeout"))


def _mail(start: int, minutes: int, vote: str) -> Iterator[Told]:
    for slot in range(start, start + minutes * MINUTE, MINUTE):
        yield from _slot("mail", "tcp:25", slot, _all(THREE, vote))


def first_results() -> Iterator[Told]:
    """One target is down, one unmeasured, one waits for a location that is behind, one is about to change,
    one was declared anew, one says nothing."""
    yield _declared("shop", 43_200, TCP, TWO)
    yield from _shop(OCTOBER, OCTOBER + 33 * 24 * HOUR)
    checks = (Check("icmp", False), Check("tcp:443", True), Check("https:/", True))
    yield _declared("api", 60, checks, THREE)
    yield from _two_checks(NOON, 3, _all(THREE, "up"))
    ill = {"zurich": "status 503", "geneva": "status 503", "lugano": "unknown own network"}
    yield from _two_checks(NOON + 3 * MINUTE, 3, ill)
    yield _declared("mail", 60, (Check("tcp:25", True),), THREE)
    yield from _mail(NOON, 3, "up")
    yield from _mail(NOON + 3 * MINUTE, 4, "unknown own network")
    yield _declared("lab", 300, TCP, THREE)
    yield from _slot("lab", "tcp:443", NOON, _all(THREE, "up"))
    yield from _slot("lab", "tcp:443", NOON + 5 * MINUTE, _all(THREE, "up"))
    for number in (2, 3, 4):  # lugano is behind: these wait for it
        votes = {"zurich": "up", "geneva": "timeout" if number > 2 else "up"}
        yield from _slot("lab", "tcp:443", NOON + number * 5 * MINUTE, votes)
    yield _declared("desk", 60, TCP, THREE, confirm_down=3)
    yield from _slot("desk", "tcp:443", NOON, _all(THREE, "up"))
    yield from _slot("desk", "tcp:443", NOON + MINUTE, _all(THREE, "up"))
    yield from _slot("desk", "tcp:443", NOON + 2 * MINUTE, _all(THREE, "no route"))
    yield from _slot("desk", "tcp:443", NOON + 3 * MINUTE, _all(THREE, "unknown"))
    yield from _slot("desk", "tcp:443", NOON + 4 * MINUTE, _all(THREE, "no route"))
    yield _declared("moved", 60, TCP, ("zurich", "geneva", "lugano"))
    yield from _slot("moved", "tcp:443", NOON, {"zurich": "up", "lugano": "up"})
    yield from _slot("moved", "tcp:443", NOON + MINUTE, {"zurich": "up"})
    again = _declared("moved", 60, TCP, ("bern", "zurich", "geneva"))[1]
    yield NOON + 2 * MINUTE, again
    yield _declared("idle", 60, TCP, TWO)


def second_results() -> Iterator[Told]:
    """The one that is down comes back, the unmeasured one is heard of hours later, the late location
    delivers, the run is confirmed."""
    yield from _shop(OCTOBER + 33 * 24 * HOUR, OCTOBER + 34 * 24 * HOUR)
    yield from _two_checks(NOON + 6 * MINUTE, 3, _all(THREE, "up"))
    yield from _mail(NOON + 3 * HOUR, 3, "up")
    for number in (2, 3, 4):
        late = {"lugano": "up" if number == 2 else "timeout"}
        yield from _slot("lab", "tcp:443", NOON + number * 5 * MINUTE, late, late=11 * MINUTE)
    yield from _slot("lab", "tcp:443", NOON + 25 * MINUTE, _all(THREE, "timeout"))
    yield from _slot("desk", "tcp:443", NOON + 5 * MINUTE, _all(THREE, "no route"))
    for minute in (1, 2, 3):
        votes = _all(("bern", "zurich", "geneva"), "up")
        yield from _slot("moved", "tcp:443", NOON + minute * MINUTE, votes, late=2 * MINUTE)


def terms() -> Iterator[Fact]:
    """In force before anything is promised: credits by tiers, maintenance left out, a half-day."""
    tiers = Tiers((Tier(Decimal("99.5"), Decimal(5)), Tier(Decimal(95), Decimal("12.5"))))
    uptime = replace(BUILT_IN.uptime, maintenance=Maintenance(excluded=True, notice_hours=48), credit=tiers)
    holidays = (date(2026, 12, 25), HolidayHours(date(2026, 12, 24), (("08:00", "12:00"),)))
    support = replace(BUILT_IN.support, holidays=holidays)
    document = replace(BUILT_IN, uptime=uptime, support=support)
    yield facts.TermsPublished("2026-09", date(2026, 9, 1), False, document)


def new_terms() -> Iterator[Fact]:
    """A major version that customers are told of, far ahead."""
    yield facts.TermsPublished("2099-01", date(2099, 1, 1), True, BUILT_IN)


def said_first() -> Iterator[Fact]:
    """Maintenance, one called off; a correction and one of that; and what makes no sense: it is rejected."""
    start = parse_instant("2026-10-20T20:00:00.000Z")
    announced = Instant(start - 72 * HOUR)
    yield facts.MaintenanceAnnounced("shop", "M-1", start, Instant(start + 4 * HOUR), announced)
    yield facts.MaintenanceAnnounced(
        "shop", "M-2", Instant(start + 48 * HOUR), Instant(start + 50 * HOUR), announced
    )
    yield facts.MaintenanceCancelled("shop", "M-2", Instant(start + 24 * HOUR))
    yield facts.MaintenanceCancelled("shop", "M-9", start)
    seen = Instant(NOON - 4 * HOUR)
    after, part = Instant(NOON + 24 * HOUR), (Instant(seen + 2 * HOUR), Instant(seen + 3 * HOUR))
    whole = (seen, Instant(seen + 6 * HOUR))
    yield facts.DowntimeCorrected("lab", *whole, "down", "seen by hand", "staff-7", after)
    later = Instant(NOON + 48 * HOUR)
    yield facts.DowntimeCorrected("lab", *part, "up", "it was up in between", "staff-8", later)
    yield facts.SubscriptionCancelled("A-9", "S-9", date(2026, 12, 1))


def said_second() -> Iterator[Fact]:
    """A correction that changes a closed month, and so what was granted."""
    start = parse_instant("2026-10-11T10:00:00.000Z")
    at = parse_instant("2026-11-05T09:00:00.000Z")
    end = Instant(start + 24 * HOUR)
    yield facts.DowntimeCorrected("shop", start, end, "up", "the probes' own firewall", "staff-7", at)
    part = (Instant(NOON - HOUR), Instant(NOON + HOUR))
    yield facts.DowntimeCorrected("lab", *part, "unmeasured", "nobody knows", "staff-7", at)
    yield facts.DowntimeCorrected("shop", end, start, "up", "ends before it starts", "staff-7", at)


NOT_FACTS = {
    "probe.results": (b"shop", b"no json"),
    "uptime.changes": (b"shop", b'{"type":"WorkLogged"}'),
    "ticket.events": (b"A-1", b'{"type":"CoffeeServed","account":"A-1"}'),
}
"""By topic, what stands there and is no fact of it: key and value."""
