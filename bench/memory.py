"""What a target and a subscription weigh in the memory of an SLA service that owns everything.

Resident memory of a process that has imported the service and read both folds' states as they are saved,
without a broker. Each target, with nine voters, is in the uptime fold and in every journal partition.
"""

from __future__ import annotations

import gc
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.throughput import alone
from bench.workload import INTERVAL, fleet, target_name
from services.sla import subscriptions as subscribed
from services.sla.app import service  # noqa: F401  (what the interpreter weighs with all of it imported)
from services.sla.app.ownership import settle
from services.sla.app.uptime_states import PAGE_TARGETS
from services.sla.history import History
from services.sla.pages import page, states_of
from services.sla.promises import Promises, entry
from services.sla.states import TargetState, observe
from shared.calendar import local_date
from shared.codec import decode_probe_fact, encode, encode_state, state_decoder
from shared.facts import ProbeResult, SubscriptionStarted, TargetObserved, TargetStateChanged
from shared.money import Amount
from shared.terms import BUILT_IN
from shared.time import HOUR, Instant, parse_instant

PARTITIONS = 3
SLOTS = 3
_NOON = parse_instant("2026-11-24T12:00:00.000Z")


def measure(targets: int, subscriptions: int) -> dict[str, Any]:
    """Bytes a target and a subscription."""
    with tempfile.TemporaryDirectory() as folder:
        alone(_write, Path(folder), targets, subscriptions)
        uptime, promises, _ = alone(_weighed, Path(folder), "targets")
        *_, everything = alone(_weighed, Path(folder), "everything")
    of_targets = uptime + promises
    return {
        "part": "memory",
        "targets": targets,
        "subscriptions": subscriptions,
        "bytes_a_target": round(of_targets / targets),
        "of_it_in_the_uptime_fold": round(uptime / targets),
        "bytes_a_subscription": round((everything - of_targets) / subscriptions),
    }


def _write(folder: Path, targets: int, subscriptions: int) -> None:
    states = list(watched(targets, SLOTS, _NOON).values())
    for first in range(0, targets, PAGE_TARGETS):
        (folder / f"page-{first}").write_bytes(page(states[first : first + PAGE_TARGETS]))
    shares = promised(targets, 0, PARTITIONS, _NOON)
    for number, share in enumerate(shares):
        (folder / f"targets-{number}").write_bytes(encode_state(share.history))
    _subscribe(shares, targets, subscriptions, _NOON)
    for number, share in enumerate(shares):
        (folder / f"everything-{number}").write_bytes(encode_state(share.history))


def _weighed(folder: Path, which: str) -> tuple[int, int, int]:
    """Bytes of the uptime fold, of the promises folds, and of both."""
    begun = resident()
    states = [states_of(path.read_bytes()) for path in folder.glob("page-*")]
    after_uptime = resident()
    shares = []
    for path in folder.glob(f"{which}-*"):
        history = state_decoder(History).decode(path.read_bytes())
        history.subscriptions = subscribed.share(history.subscriptions)
        shares.append(Promises(history))
    after = resident()
    del states
    return after_uptime - begun, after - after_uptime, after - begun


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
    """Resident memory of this process in bytes, settled as the service settles after reading its state."""
    gc.collect()
    settle()
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no VmRSS in /proc/self/status")


if __name__ == "__main__":
    print(measure(int(sys.argv[1]), int(sys.argv[2])))
