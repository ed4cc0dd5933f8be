"""What a target and a subscription weigh in the memory of an SLA service that owns everything.

Resident memory of a process that has imported the service and holds both folds, without a broker: first as
they have been folded, then as they are restored. Each target is in the uptime fold and in every journal
partition.
"""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

from bench.throughput import alone
from bench.workload import INTERVAL, fleet, target_name
from services.sla.app import service  # noqa: F401  (what the interpreter weighs with all of it imported)
from services.sla.history import History
from services.sla.promises import Promises, entry
from services.sla.states import TargetState, observe
from shared.calendar import local_date
from shared.codec import decode_probe_fact, encode
from shared.facts import ProbeResult, SubscriptionStarted, TargetObserved, TargetStateChanged
from shared.money import Amount
from shared.terms import BUILT_IN
from shared.time import HOUR, Instant, parse_instant

PARTITIONS = 3
SLOTS = 4
_NOON = parse_instant("2026-11-24T12:00:00.000Z")


def measure(targets: int, subscriptions: int) -> dict[str, Any]:
    """Bytes a target and a subscription."""
    return {
        "part": "memory",
        "targets": targets,
        "subscriptions": subscriptions,
        "folded": alone(folded, targets, subscriptions),
    }


def folded(targets: int, subscriptions: int) -> dict[str, int]:
    """As they have been folded from results and facts."""
    begun = resident()
    states = watched(targets, SLOTS, _NOON)
    after_uptime = resident()
    shares = promised(targets, 0, PARTITIONS, _NOON)
    after_targets = resident()
    _subscribe(shares, targets, subscriptions, _NOON)
    after = resident()
    del states
    return {
        "target_uptime": (after_uptime - begun) // targets,
        "target_promises": (after_targets - after_uptime) // targets,
        "target": (after_targets - begun) // targets,
        "subscription": (after - after_targets) // subscriptions,
    }


def watched(targets: int, slots: int, last_slot: int) -> dict[str, TargetState]:
    """The uptime fold's states of a fleet whose last `slots` slots have been reported."""
    states: dict[str, TargetState] = {}
    for position, fact in enumerate(fleet(targets, slots, last_slot // INTERVAL * INTERVAL)):
        at = (fact.slot if isinstance(fact, ProbeResult) else fact.at) + 300 + position % 1_000
        observe(states, decode_probe_fact(encode(fact)), at, position)
    return states


def promised(targets: int, subscriptions: int, partitions: int, now: int) -> list[Promises]:
    """The promises fold of each journal partition: all targets, and its share of the subscriptions."""
    shares = [Promises(History(partition=number)) for number in range(partitions)]
    up, hour = Instant(now // INTERVAL * INTERVAL - INTERVAL), Instant(now // HOUR * HOUR)
    for number in range(targets):
        name = target_name(number)
        for said in (TargetStateChanged(name, up, "up", Instant(now), ()), TargetObserved(name, hour)):
            data = entry(now, encode(said))
            for share in shares:
                share.apply(share.history.position + 1, data)
    _subscribe(shares, targets, subscriptions, now)
    return shares


def _subscribe(shares: list[Promises], targets: int, subscriptions: int, now: int) -> None:
    first = local_date(now, BUILT_IN.zone).replace(day=1)
    each = targets // max(subscriptions, 1)
    for number in range(subscriptions):
        names = tuple(target_name(number * each + place) for place in range(each))
        fact = SubscriptionStarted(
            f"A-{number}", f"S-{number}", "cloud", names, Amount(120_000), "CHF", "year", first, "fr"
        )
        share = shares[number % len(shares)]
        share.apply(share.history.position + 1, entry(now, encode(fact)))


def resident() -> int:
    """Resident memory of this process in bytes, garbage collected."""
    gc.collect()
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no VmRSS in /proc/self/status")


if __name__ == "__main__":
    import sys

    print(measure(int(sys.argv[1]), int(sys.argv[2])))
