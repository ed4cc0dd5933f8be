"""The promises fold with 100,000 open requests: facts a second, and what the deadline of one request costs.

Without a broker: the fold takes journal entries as bytes and gives outcomes as bytes, digests and all, as in
the service. *reading* is decoding and digesting those bytes and nothing else.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from multiprocessing import get_context
from typing import Any

from services.sla.history import History
from services.sla.promises import Promises, entry
from services.sla.spoken import NOTHING_SAID, chained
from services.sla.support_hours import SupportHours
from shared import facts
from shared.codec import decode_known_entry, encode
from shared.facts import Severity
from shared.money import Amount
from shared.terms import BUILT_IN
from shared.time import HOUR, Instant, parse_instant

_MONDAY = parse_instant("2026-11-23T07:00:00.000Z")
_ACCOUNTS = 1_000
_SEVERITIES: tuple[Severity, ...] = ("serious", "moderate", "limited")


def measure(requests: int, told: int) -> dict[str, Any]:
    """Opens `requests`, then folds `told` facts about them."""
    many, opening = _folded(requests, told)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        both = [one for one, _ in pool.map(_folded, [requests] * 2, [told] * 2)]
    return {
        "part": "support",
        "open_requests": requests,
        "opened_per_second": opening,
        "facts_per_second": many["per_second"],
        "two_processes_per_second": sum(one["per_second"] for one in both),
        "outcomes_per_fact": many["outcomes_per_fact"],
        "reading_per_second": _reading(told),
        "deadline_us": deadline_us(),
    }


def deadline_us(requests: int = 20_000) -> float:
    """What due and at-risk instants of one request cost (µs), calendars and all, over a year of arrivals."""
    hours = SupportHours(BUILT_IN.zone, BUILT_IN.support)
    arrivals = [_MONDAY + number * 26 * 60_000 for number in range(requests)]
    began = time.perf_counter()
    for arrival in arrivals:
        hours.after(arrival, 18 * HOUR)
        hours.after(arrival, 27 * HOUR // 2)
    return round((time.perf_counter() - began) / requests * 1e6, 2)


def _folded(requests: int, told: int) -> tuple[dict[str, Any], int]:
    fold, offset = Promises(History()), 0
    for number in range(_ACCOUNTS):
        fold.apply(offset, _entry(_started(number), _MONDAY))
        offset += 1
    opened = [_entry(_opened(number), _MONDAY + number) for number in range(requests)]
    began = time.perf_counter()
    for data in opened:
        fold.apply(offset, data)
        offset += 1
    opening = round(requests / (time.perf_counter() - began))
    lines, said = list(_life(requests, told)), 0
    gc.collect()
    began = time.perf_counter()
    for data in lines:
        said += len(fold.apply(offset, data))
        offset += 1
    took = time.perf_counter() - began
    return {"per_second": round(told / took), "outcomes_per_fact": round(said / told, 2)}, opening


def _reading(told: int) -> int:
    lines, digest = list(_life(100, told)), NOTHING_SAID
    began = time.perf_counter()
    for data in lines:
        decode_known_entry(data)
        digest = chained(digest, data)
    return round(told / (time.perf_counter() - began))


def _life(requests: int, told: int) -> Iterator[bytes]:
    """What happens to requests: first answered, worked on twice, classified, closed; in any order."""
    rng = random.Random(1)
    for number in range(told):
        which, at = rng.randrange(requests), Instant(_MONDAY + requests + number)
        account, ticket = f"A-{which % _ACCOUNTS}", f"T-{which}"
        match number % 5:
            case 0:
                fact: facts.Fact = facts.FirstResponseSent(account, ticket, at)
            case 1:
                fact = facts.RequestClassified(account, ticket, rng.choice(("account", "bug")), at)
            case 2:
                fact = facts.RequestClosed(account, ticket, at)
            case _:
                fact = facts.WorkLogged(account, ticket, f"E-{number}", rng.randrange(1, 60), at)
        yield _entry(fact, at + 250)


def _started(number: int) -> facts.SubscriptionStarted:
    first = date(2026, 11, 1)
    return facts.SubscriptionStarted(
        f"A-{number}", f"S-{number}", "cloud", (), Amount(500_000), "CHF", "year", first, "fr"
    )


def _opened(number: int) -> facts.RequestOpened:
    which, at = number % _ACCOUNTS, Instant(_MONDAY + number)
    severity = _SEVERITIES[number % 3]
    return facts.RequestOpened(f"A-{which}", f"S-{which}", f"T-{number}", severity, "account", at)


def _entry(fact: facts.Fact, at: int) -> bytes:
    return entry(at, encode(fact))


if __name__ == "__main__":
    print(measure(100_000, 100_000))
