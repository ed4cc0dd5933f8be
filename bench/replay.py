"""How the time of a replay grows with the history: `python -m bench.replay [DAYS]`.

A mixed history of some targets and subscriptions, told for DAYS days, four times and sixteen times as long:
probe results and states told by others, cuts, corrections, maintenance, requests and work on them. Folded as
`garant replay` does it. Processor time counts, so that a busy machine does not show as growth.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator
from datetime import date
from typing import Any

from bench.throughput import alone
from services.cli.audit.replay import replay_lines
from shared import facts
from shared.codec import encode
from shared.facts import Check, Fact
from shared.money import Amount
from shared.outcomes import Source
from shared.time import DAY, HOUR, MINUTE, Instant, format_instant, parse_instant

TIMES = (1, 4, 16)
SUBJECTS = 2
"""Targets of each kind, and subscriptions."""
INTERVAL = HOUR
LOCATIONS = ("zurich", "geneva")
_START = parse_instant("2026-01-04T23:00:00.000Z")
_SEVERITIES: tuple[facts.Severity, ...] = ("down", "serious", "moderate", "limited")


def measure(days: int) -> dict[str, Any]:
    """Seconds and microseconds a fact for each length of history, and how much dearer a fact has become."""
    found = [alone(_replayed, days * times) for times in TIMES]
    return {
        "part": "replay",
        "histories": [{"times": times, **one} for times, one in zip(TIMES, found, strict=True)],
        "growth": round(found[-1]["us_per_fact"] / found[0]["us_per_fact"], 2),
    }


def _replayed(days: int) -> dict[str, Any]:
    lines = list(history(days))
    began = time.process_time()
    outcomes = sum(1 for _ in replay_lines(lines))
    took = time.process_time() - began
    return {
        "days": days,
        "facts": len(lines),
        "outcomes": outcomes,
        "cpu_s": round(took, 2),
        "us_per_fact": round(took / len(lines) * 1e6, 1),
    }


def history(days: int) -> Iterator[bytes]:
    """The lines of a replay file, the same for the same number of days."""
    chance, offset = random.Random(1), 0
    for number in range(SUBJECTS):
        yield _line(_START, _started(number), offset)
        yield _line(_START, _declared(number), offset + 1)
        offset += 2
    for day in range(days):
        told = [each for number in range(SUBJECTS) for each in _day(number, day, chance)]
        for at, fact in sorted(told, key=lambda one: one[0]):
            yield _line(at, fact, offset)
            offset += 1


def _line(at: int, fact: Fact, offset: int) -> bytes:
    source = encode(Source("bench", 0, offset)).decode()
    return (
        f'{{"recorded_at":"{format_instant(at)}","fact":{encode(fact).decode()},"source":{source}}}'.encode()
    )


def _started(number: int) -> Fact:
    targets = (f"probed-{number}", f"told-{number}")
    return facts.SubscriptionStarted(
        f"A-{number}",
        f"S-{number}",
        "cloud",
        targets,
        Amount(5_000_00),
        "CHF",
        "year",
        date(2026, 1, 1),
        "fr",
    )


def _declared(number: int) -> Fact:
    name = f"probed-{number}"
    return facts.TargetDeclared(
        name, name, INTERVAL // 1_000, (Check("tcp:443", True),), LOCATIONS, 2, 2, _START
    )


def _day(number: int, day: int, chance: random.Random) -> Iterator[tuple[int, Fact]]:
    """What happens to the target of each kind and the subscription `number`, and when it is recorded."""
    start = _START + day * DAY
    cut = chance.randrange(20) * HOUR
    lasts = chance.choice((0, 0, 0, HOUR, 4 * HOUR))
    for at in range(start, start + DAY, INTERVAL):
        for place in LOCATIONS:
            down = cut <= at - start < cut + lasts
            outcome: facts.Outcome = "down" if down else "up"
            error = "timeout" if down else None
            result = facts.ProbeResult(
                f"probed-{number}", "tcp:443", place, Instant(at), outcome, None if down else 900, error
            )
            yield at + 700, result
    yield from _told(f"told-{number}", start, cut, lasts, chance)
    yield from _asked(number, day, start, chance)


def _told(target: str, start: int, cut: int, lasts: int, chance: random.Random) -> Iterator[tuple[int, Fact]]:
    def state(at: int, found: facts.State) -> tuple[int, Fact]:
        return at + MINUTE, facts.TargetStateChanged(target, Instant(at), found, Instant(at), ())

    yield state(start, "up")
    for hour in range(start + HOUR, start + DAY, HOUR):
        yield hour + 2 * MINUTE, facts.TargetObserved(target, Instant(hour))
    if lasts:
        yield state(start + cut, "down")
        yield state(start + cut + lasts, "up")
    if chance.randrange(20) == 0:
        since = start - chance.randrange(1, 9) * DAY
        yield (
            start + 9 * HOUR,
            facts.DowntimeCorrected(
                target, Instant(since), Instant(since + HOUR), "down", "seen", "anna", Instant(start)
            ),
        )
    if chance.randrange(30) == 0:
        begins = start + 7 * DAY
        yield (
            start + 10 * HOUR,
            facts.MaintenanceAnnounced(
                target, f"M-{start}", Instant(begins), Instant(begins + 2 * HOUR), Instant(start)
            ),
        )


def _asked(number: int, day: int, start: int, chance: random.Random) -> Iterator[tuple[int, Fact]]:
    if chance.randrange(2):
        return
    account, ticket, at = f"A-{number}", f"T-{number}-{day}", start + 8 * HOUR
    severity, kind = chance.choice(_SEVERITIES), chance.choice(("account", "bug"))
    yield (
        at + 1,
        facts.RequestOpened(account, f"S-{number}", ticket, severity, "unclassified", Instant(at)),
    )
    yield at + HOUR, facts.FirstResponseSent(account, ticket, Instant(at + HOUR))
    yield at + HOUR + 1, facts.RequestClassified(account, ticket, kind, Instant(at + HOUR))  # type: ignore[arg-type]
    yield at + 2 * HOUR, facts.WorkLogged(account, ticket, "1", chance.randrange(5), Instant(at + HOUR))
    yield at + 3 * HOUR, facts.RequestClosed(account, ticket, Instant(at + 3 * HOUR))


if __name__ == "__main__":
    print(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 60))
