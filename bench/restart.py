"""How soon `garant sla` is ready again after `kill -9`, with everything it owns.

The topics are filled once, with the states that the service's own folds come to and its own code saves. Then
it is started and killed again and again; time counts from the process's start to /ready. Its own log lines
say what the time went into.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from aiokafka.partitioner import DefaultPartitioner
from faststream.kafka import KafkaBroker

from bench.memory import promised, watched
from bench.throughput import alone
from bench.workload import INTERVAL
from services.cli.local.ports import HOST, free_port
from services.sla.app import snapshots, uptime_states, uptime_worker
from services.sla.app.snapshots import Snapshot
from services.sla.app.uptime_states import Share
from services.sla.app.volumes import Place
from services.sla.promises import entry
from shared.cloudevents import headers
from shared.codec import encode
from shared.facts import ClockAdvanced
from shared.kafka import send, service_broker
from shared.settings import KafkaSettings
from shared.topic_admin import ensure_topics
from shared.topics import JOURNAL, PROBE_RESULTS, UPTIME_STATE, Topic

GARANT = str(Path(sys.executable).with_name("garant"))
SLOTS = 3
WITHIN_S = 120.0


def fill(settings: KafkaSettings, targets: int, subscriptions: int) -> dict[str, Any]:
    """Leaves what a service leaves that folded `targets` and started `subscriptions`, an equal share of them
    in each: the topics, and both states saved by its own code."""
    ensure_topics(settings)
    began = time.monotonic()
    asyncio.run(_fill(settings, targets, subscriptions))
    return {
        "part": "restart filled",
        "targets": targets,
        "subscriptions": subscriptions,
        "took_s": round(time.monotonic() - began, 1),
    }


async def _fill(settings: KafkaSettings, targets: int, subscriptions: int) -> None:
    broker = service_broker(settings, "bench")
    await broker.start()
    try:
        ends = {topic: await _one_record_each(broker, settings, topic) for topic in (PROBE_RESULTS, JOURNAL)}
        now = time.time_ns() // 1_000_000
        shares = [Share(position=ends[PROBE_RESULTS]) for _ in range(settings.target_partitions)]
        place_of, partitions = DefaultPartitioner(), list(range(len(shares)))
        for name, state in watched(targets, SLOTS, now - INTERVAL).items():
            state.position = ends[PROBE_RESULTS]
            shares[place_of(name.encode(), partitions, partitions)].states[name] = state
        for partition, share in enumerate(shares):
            place = Place(
                broker, settings.topic(UPTIME_STATE), partition, "UptimeState", uptime_worker.SOURCE
            )
            await (await uptime_states.save(place, share, now)).conclude(place, now)
        for partition, fold in enumerate(promised(targets, subscriptions, settings.account_partitions, now)):
            fold.history.position = ends[JOURNAL]
            await snapshots.save(broker, settings, partition, Snapshot(fold.history), "a")
    finally:
        await broker.stop()


async def _one_record_each(broker: KafkaBroker, settings: KafkaSettings, topic: Topic) -> int:
    """Appends a record to each partition, which the state will have; returns its offset."""
    data = entry(0, encode(ClockAdvanced())) if topic is JOURNAL else b"folded"
    named = headers(data, type_name="ClockAdvanced", source="/garant/bench", time_ms=0)
    for partition in range(settings.partitions(topic)):
        name = settings.topic(topic)
        await (await send(broker, name, data, key=None, headers=named, partition=partition))
    return 0


def measure(
    settings: KafkaSettings, targets: int, subscriptions: int, turns: int = 3
) -> Iterator[dict[str, Any]]:
    """Starts the service `turns` times, kills it each time a while after it was ready; then once with nothing
    to own, for what it weighs then."""
    yield alone(fill, settings, targets, subscriptions)
    found = [_started(settings) for _ in range(turns)]
    empty = settings.model_copy(update={"prefix": f"{settings.prefix}empty-"})
    ensure_topics(empty)
    nothing = _started(empty)
    for number, turn in enumerate(found, 1):
        yield {"part": "restart turn", "turn": number, **turn}
    yield {
        "part": "restart",
        "targets": targets,
        "subscriptions": subscriptions,
        "ready_s": sorted(each["ready_s"] for each in found)[turns // 2],
        "cpu_s": sorted(each["cpu_s"] for each in found)[turns // 2],
        "ready_with_nothing_s": nothing["ready_s"],
        "mb_above_nothing": round(max(each["rss_mb"] for each in found) - nothing["rss_mb"]),
        "mb_allowed": round((targets + 4 * subscriptions) / 1024),
        "loop_of_10_million_s": loop_s(),
    }


def loop_s() -> float:
    """Seconds of a plain loop that adds ten million numbers: how fast the machine is, and how shared."""
    began, total = time.perf_counter(), 0
    for number in range(10_000_000):
        total += number
    return round(time.perf_counter() - began, 2)


def _started(settings: KafkaSettings) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        service = Service(settings, Path(folder) / "sla.log")
        try:
            took = service.wait(WITHIN_S)
            found = {"ready_s": round(took, 2), "cpu_s": service.cpu_s(), "rss_mb": service.rss_mb()}
            time.sleep(3)
            return {**found, "said_s": service.parts()}
        finally:
            service.kill()


class Service:
    """`garant sla` as a process."""

    def __init__(self, settings: KafkaSettings, log: Path, **environment: str) -> None:
        self.port, self._log = free_port(), log
        self._environment = {
            **os.environ,
            "GARANT_KAFKA_BOOTSTRAP": settings.bootstrap,
            "GARANT_KAFKA_PREFIX": settings.prefix,
            "GARANT_SLA_INSTANCE": "bench",
            **environment,
        }
        self.began = time.time()
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [GARANT, "sla", "--port", str(self.port)], env=self._environment, stderr=file, stdout=file
            )

    def wait(self, within_s: float) -> float:
        """Returns the seconds from the start of the process until it was ready."""
        while not self._ready():
            if self.process.poll() is not None or time.time() > self.began + within_s:
                raise RuntimeError(f"garant sla did not become ready: {self._log.read_text()[-2_000:]}")
            time.sleep(0.05)
        return time.time() - self.began

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{HOST}:{self.port}/ready", timeout=20) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def parts(self) -> dict[str, float]:
        """When (seconds after the start of the process) its log said what for the last time."""
        found: dict[str, float] = {}
        for line in self._log.read_bytes().splitlines():
            try:
                said = msgspec.json.decode(line)
            except msgspec.DecodeError:
                continue
            at = datetime.fromisoformat(said["timestamp"]).astimezone(UTC).timestamp() - self.began
            name = said["event"] + (f" {said['worker']}" if "worker" in said else "")
            found.setdefault(f"first {name}", round(at, 2))
            found[f"last {name}"] = round(at, 2)
        return found

    def rss_mb(self) -> float:
        """Resident memory of the process."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return round(int(line.split()[1]) / 1024, 1)
        return 0.0

    def cpu_s(self) -> float:
        """Processor time of the process until now."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return round((int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), 2)

    def kill(self) -> None:
        """`kill -9`."""
        self.process.kill()
        self.process.wait()
