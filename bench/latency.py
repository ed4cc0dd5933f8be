"""From the append of the confirming result to its state and its credit, through the running service.

Each target was down for more than a day and is up again in one slot; the result published is the last vote
of the second, which ends the cut and earns a credit. What counts is the broker's time of that append, and
the moment a consumer has the record that follows, on the same machine's clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from bench.workload import LOCATIONS, record
from services.cli.local.ports import HOST, free_port
from services.cli.publish import publish_facts
from shared.calendar import local_date
from shared.codec import decode_credit, decode_fact
from shared.facts import Check, Fact, ProbeResult, SubscriptionStarted, TargetDeclared, TargetStateChanged
from shared.money import Amount
from shared.settings import KafkaSettings
from shared.time import HOUR, MINUTE, Instant
from shared.topic_admin import ensure_topics
from shared.topics import CREDITS, PROBE_RESULTS, UPTIME_CHANGES

CHECK = "tcp:443"
INTERVAL = 30 * MINUTE
CUT_SLOTS = 60
GARANT = str(Path(sys.executable).with_name("garant"))
READY_S = 60.0
ARRIVED_S = 30.0


def history(cuts: int, now: int) -> tuple[list[Fact], list[ProbeResult]]:
    """What happened to `cuts` targets until `now` (ms) but for one result each, the last of a slot."""
    last = now // INTERVAL * INTERVAL
    slots = range(last - (CUT_SLOTS + 3) * INTERVAL, last + 1, INTERVAL)
    starts_on = local_date(slots[0], "Europe/Zurich") - timedelta(days=2)
    facts: list[Fact] = []
    confirming = []
    for number in range(cuts):
        target = f"cut-{number:04d}"
        facts.append(
            SubscriptionStarted(
                f"A-{number}", target, "cloud", (target,), Amount(120_000), "CHF", "year", starts_on, "fr"
            )
        )
        facts.append(
            TargetDeclared(target, target, 1_800, (Check(CHECK, True),), LOCATIONS, 2, 2, Instant(slots[0]))
        )
        for index, slot in enumerate(slots):
            for location in LOCATIONS:
                down = 2 <= index < 2 + CUT_SLOTS
                rtt_us, error = (None, "timeout") if down else (2_000, None)
                outcome = "down" if down else "up"
                facts.append(ProbeResult(target, CHECK, location, Instant(slot), outcome, rtt_us, error))  # type: ignore[arg-type]
        last_vote = facts.pop()
        assert isinstance(last_vote, ProbeResult)
        confirming.append(last_vote)
    return facts, confirming


def measure(settings: KafkaSettings, cuts: int, mean_gap_s: float = 0.07) -> dict[str, Any]:
    """Ends `cuts` cuts one by one at random moments; the delays to state and credit in ms."""
    ensure_topics(settings)
    facts, confirming = history(cuts, time.time_ns() // 1_000_000 - HOUR)
    asyncio.run(publish_facts(settings, facts, "/garant/bench"))
    with service(settings):
        return asyncio.run(_measure(settings, confirming, mean_gap_s))


@contextlib.contextmanager
def service(settings: KafkaSettings) -> Iterator[None]:
    """`garant sla` as a process, ready; stopped at the end."""
    port = free_port()
    env = {
        **os.environ,
        "GARANT_KAFKA_BOOTSTRAP": settings.bootstrap,
        "GARANT_KAFKA_PREFIX": settings.prefix,
    }
    process = subprocess.Popen(
        [GARANT, "sla", "--port", str(port)], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + READY_S
        while not _ready(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("garant sla did not become ready; run it by hand to see why")
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait()


def _ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}/ready", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


class Arrivals:
    """When (ms, wall clock) the state and the credit of each target arrived here, the latest of each."""

    def __init__(self) -> None:
        self.down: set[str] = set()
        self.states: dict[str, float] = {}
        self.credits: dict[str, float] = {}

    def take(self, of_credits: bool, value: bytes) -> None:
        """Notes a record of sla.credits or else of uptime.changes."""
        now = time.time_ns() / 1e6
        if of_credits:
            self.credits[decode_credit(value).subscription] = now
        elif isinstance(change := decode_fact(value), TargetStateChanged):
            self.states[change.target] = now
            if change.state == "down":
                self.down.add(change.target)


async def _measure(
    settings: KafkaSettings, confirming: list[ProbeResult], mean_gap_s: float
) -> dict[str, Any]:
    arrivals, chance = Arrivals(), random.Random(1)
    consumer = AIOKafkaConsumer(
        settings.topic(UPTIME_CHANGES),
        settings.topic(CREDITS),
        bootstrap_servers=settings.bootstrap,
        auto_offset_reset="earliest",
    )
    await consumer.start()

    async def watch() -> None:
        async for each in consumer:
            arrivals.take(each.topic == settings.topic(CREDITS), each.value)

    watching = asyncio.create_task(watch())
    try:
        await _until(
            lambda: watching.done() or len(arrivals.down) == len(confirming),
            "the service folded what went before",
        )
        await asyncio.sleep(3)  # the promises fold takes it too
        assert not arrivals.credits, "a cut that still lasts earns nothing before its month closes"
        arrivals.states.clear()
        appended: dict[str, int] = {}
        async with AIOKafkaProducer(bootstrap_servers=settings.bootstrap, acks="all") as producer:
            for fact in confirming:
                await asyncio.sleep(chance.expovariate(1 / mean_gap_s))
                key, data, named = record(fact)
                topic = settings.topic(PROBE_RESULTS)
                said = await producer.send_and_wait(topic, data, key=key, headers=named)
                appended[fact.target] = said.timestamp
        await _until(
            lambda: watching.done() or len(arrivals.credits) == len(confirming), "every credit arrived"
        )
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
        await consumer.stop()
    return {
        "part": "latency",
        "cuts": len(confirming),
        "state_ms": percentiles([arrivals.states[target] - at for target, at in appended.items()]),
        "credit_ms": percentiles([arrivals.credits[target] - at for target, at in appended.items()]),
    }


async def _until(check: Any, what: str) -> None:
    deadline = time.monotonic() + ARRIVED_S
    while not check():
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited {ARRIVED_S:g} s in vain until {what}")
        await asyncio.sleep(0.1)


def percentiles(found: list[float]) -> dict[str, float]:
    """p50, p99 and the largest of `found`, to a tenth."""
    ordered = sorted(found)
    return {
        "p50": round(ordered[len(ordered) // 2], 1),
        "p99": round(ordered[len(ordered) * 99 // 100], 1),
        "max": round(ordered[-1], 1),
    }
