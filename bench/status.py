"""The status page's fold: from a record to the new page as values, what a long history costs, and its memory.

    .venv/bin/python -m bench.status

Components of one target each, with cuts all over the last thirteen months, in one process and without a
broker; writing the pages is another matter (bench/status_render.py). *One change*: a target goes down or
comes up; from the record's bytes in hand to the new `Site`. *Memory*: a million changes over twenty years,
told one after the other; resident memory after each tenth of them, once the first thirteen months are over.
"""

from __future__ import annotations

import argparse
import gc
import random
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from bench import report
from bench.throughput import alone
from services.status.configuration import ComponentConfig, Configuration, GroupConfig
from services.status.history.saved import encoded
from services.status.history.standing import Standing, State
from services.status.site import LANGUAGES
from shared.codec import encode, state_decoder
from shared.facts import Because, TargetFact, TargetObserved, TargetStateChanged
from shared.time import DAY, HOUR, MINUTE, Instant, parse_instant
from shared.topics import UPTIME_CHANGES

NOW = parse_instant("2026-11-28T09:00:00.000Z")
SILENT_AFTER = 90 * MINUTE
HISTORY = 395 * DAY


def page(components: int) -> Configuration:
    """A page of so many components, in groups of ten, of a target each."""
    named = dict.fromkeys(LANGUAGES, "A component")
    lines = [ComponentConfig(f"c-{number}", named, named, (f"t-{number}",)) for number in range(components)]
    groups = tuple(
        GroupConfig(f"g-{first}", named, tuple(lines[first : first + 10]))
        for first in range(0, components, 10)
    )
    return Configuration("Vendor", named, "", "", "fr", groups)


def change(target: str, at: int, state: Any) -> TargetStateChanged:
    """A state, with two votes for it where it is down."""
    because = tuple(Because("tcp:443", place, "timeout") for place in ("zurich", "geneva"))
    return TargetStateChanged(
        target, Instant(at), state, Instant(at + MINUTE), because if state == "down" else ()
    )


def history(components: int, cuts: int, seed: int = 7) -> list[TargetFact]:
    """Thirteen months of each target, `cuts` of them, each of two hours; observed until now."""
    chance = random.Random(seed)
    found: list[TargetFact] = []
    for number in range(components):
        target = f"t-{number}"
        found.append(change(target, NOW - HISTORY, "up"))
        for start in sorted(chance.sample(range(NOW - HISTORY + DAY, NOW - DAY, 3 * HOUR), cuts)):
            found += [change(target, start, "down"), change(target, start + 2 * HOUR, "up")]
        found.append(TargetObserved(target, Instant(NOW - MINUTE)))
    return found


def told(standing: Standing, facts: list[TargetFact]) -> None:
    """Takes `facts` as records."""
    offset = standing.positions.get("uptime.changes/0", 0)
    for number, fact in enumerate(facts):
        standing.take(UPTIME_CHANGES, 0, offset + number, encode(fact))


def measure(components: int, cuts: int, changes: int) -> dict[str, Any]:
    """How long one change takes until its Site, and a start from nothing and from the file."""
    facts = [encode(fact) for fact in history(components, cuts)]
    began, worked = time.perf_counter(), time.process_time()
    standing = Standing(page(components), NOW, SILENT_AFTER)
    for offset, data in enumerate(facts):
        standing.take(UPTIME_CHANGES, 0, offset, data)
    folded = time.perf_counter()
    slices = list[float]()
    ready = False
    while not ready:
        at = time.perf_counter()
        ready = standing.prepare(NOW, 4)
        slices.append((time.perf_counter() - at) * 1_000)
    at = time.perf_counter()
    standing.site(NOW)
    made, start_cpu = time.perf_counter(), time.process_time() - worked
    slices.append((made - at) * 1_000)

    chance, took, of_cpu, untouched = random.Random(11), list[float](), list[float](), list[float]()
    for number in range(changes):
        target = f"t-{chance.randrange(components)}"
        data = encode(change(target, NOW + number, ("down", "up")[number % 2]))
        at, worked = time.perf_counter(), time.process_time()
        standing.take(UPTIME_CHANGES, 0, len(facts) + number, data)
        standing.site(NOW + number)
        took.append((time.perf_counter() - at) * 1_000)
        of_cpu.append((time.process_time() - worked) * 1_000)
        at = time.perf_counter()
        standing.site(NOW + number)
        untouched.append((time.perf_counter() - at) * 1_000)
    file = encoded(standing.state)
    at = time.perf_counter()
    state = state_decoder(State).decode(file[file.index(b"\n") + 33 :])
    again = Standing(page(components), NOW + changes, SILENT_AFTER, state)
    again.site(NOW + changes)
    restarted = time.perf_counter() - at
    return {
        "part": "status",
        "components": components,
        "changes_each": 2 * cuts + 1,
        "records_per_second": round(len(facts) / (folded - began)),
        "first_site_ms": round((made - folded) * 1_000),
        "folding_and_first_site_cpu_ms": round(start_cpu * 1_000),
        "of_it_at_a_time_ms": _spread(slices),
        "one_change_ms": _spread(took),
        "one_change_cpu_ms": _spread(of_cpu),
        "nothing_new_ms": _spread(untouched),
        "restart_from_file_ms": round(restarted * 1_000),
        "file_bytes": len(file),
    }


def _spread(found: list[float]) -> dict[str, float]:
    ordered = sorted(found)
    return {
        name: round(ordered[min(int(len(ordered) * part), len(ordered) - 1)], 2)
        for name, part in (("median", 0.5), ("p99", 0.99), ("worst", 1.0))
    }


def memory(changes: int, components: int, years: int) -> dict[str, Any]:
    """Resident MB after each tenth of `changes`, and how many statements are held then."""
    first = NOW - years * 365 * DAY
    every = (NOW - first) // changes
    standing = Standing(page(components), first, SILENT_AFTER)
    found, held = list[float](), list[int]()
    for number in range(changes):
        at = first + number * every
        target = f"t-{number % components}"
        fact = change(target, at, ("down", "up")[number // components % 2])
        standing.take(UPTIME_CHANGES, 0, number, encode(fact))
        if number % 10_000 == 0:
            standing.site(at)
        if (number + 1) % (changes // 10) == 0:
            gc.collect()
            found.append(round(_resident() / 1e6, 1))
            held.append(sum(len(one.line.ats) for one in standing.state.targets.values()))
    return {
        "part": "status memory",
        "changes": changes,
        "components": components,
        "years": years,
        "resident_mb": found,
        "statements_held": held,
    }


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4_096


def main() -> None:
    """Prints a line for each part."""
    arguments = argparse.ArgumentParser(prog="python -m bench.status", description=__doc__)
    arguments.add_argument("--components", type=int, default=500)
    arguments.add_argument("--cuts", type=int, default=100, help="of each, in thirteen months")
    arguments.add_argument("--changes", type=int, default=1_000, help="timed one by one")
    arguments.add_argument("--told", type=int, default=1_000_000, help="changes of the memory part")
    chosen = arguments.parse_args()
    print(msgspec.json.encode(report.machine(named=True)).decode())
    line = alone(measure, chosen.components, chosen.cuts, chosen.changes)
    print(msgspec.json.encode(line).decode(), flush=True)
    if chosen.told:
        print(msgspec.json.encode(alone(memory, chosen.told, 500, 20)).decode(), flush=True)


if __name__ == "__main__":
    sys.exit(main())
