"""One agent against a listener in another process: how punctual, and how many TCP checks a second.

The listener notes every 2 ms which connections have arrived, so that punctuality is also measured from
outside. All checks share one slot each second, the hardest case there is. Results
go the whole way the agent sends them: judged, encoded, and to the Kafka named by GARANT_KAFKA_BOOTSTRAP
when `--kafka` is given, else to a sink that acknowledges at once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prometheus_client import Counter

from services.probe.agent import Agent
from services.probe.config import Configuration
from services.probe.metrics import Metrics
from services.probe.outbox import Outbox
from services.probe.publisher import Publisher
from services.probe.spool import Spool
from shared.settings import KafkaSettings

LISTENER = """
import json, socket, sys, threading, time
listening = socket.socket()
listening.bind(("127.0.0.1", 0))
listening.listen(65535)
listening.setblocking(False)
print(listening.getsockname()[1], flush=True)
arrivals = []
def accept():
    while True:
        time.sleep(0.002)  # a real target is another machine: it does not take the agent's processor
        now = time.time()
        try:
            while True:
                listening.accept()[0].close()
                arrivals.append(now)
        except BlockingIOError:
            pass
threading.Thread(target=accept, daemon=True).start()
sys.stdin.readline()
print(json.dumps(arrivals), flush=True)
"""


def configuration(checks: int, port: int) -> Configuration:
    """`checks` targets of one TCP check each, every second."""
    return Configuration.model_validate(
        {
            "locations": ["bench"],
            "allow": ["loopback"],
            "concurrency": 20_000,
            "targets": [
                {
                    "target": f"bench-{number}",
                    "name": "Bench",
                    "host": "127.0.0.1",
                    "interval_s": 1,
                    "checks": [{"kind": "tcp", "port": port}],
                }
                for number in range(checks)
            ],
        }
    )


def measure(checks: int, seconds: float, *, kafka: bool) -> dict[str, Any]:
    """`checks` TCP checks every second for `seconds`: what the agent says of it, and the listener."""
    listener = subprocess.Popen(
        [sys.executable, "-c", LISTENER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert listener.stdin is not None
    assert listener.stdout is not None
    try:
        port = int(listener.stdout.readline())
        with tempfile.TemporaryDirectory() as home:
            said = asyncio.run(_run(configuration(checks, port), seconds, Path(home), kafka=kafka))
        listener.stdin.write("\n")
        listener.stdin.flush()
        said["listener"] = _punctuality(json.loads(listener.stdout.readline()))
        return said
    finally:
        listener.kill()
        listener.wait()


async def _run(wanted: Configuration, seconds: float, home: Path, *, kafka: bool) -> dict[str, Any]:
    publisher = Publisher(KafkaSettings(), "bench")
    spool = Spool(home, max_bytes=1 << 30, max_age_s=86_400)
    outbox = Outbox(publisher.send if kafka else _acknowledge, spool)
    metrics = Metrics()
    agent = Agent(wanted, "bench", outbox.put, metrics)
    tasks = [asyncio.create_task(agent.run()), asyncio.create_task(outbox.run())]
    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.sleep(seconds)
    agent.stop()
    await tasks[0]
    outbox.stop()
    await tasks[1]
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    await publisher.stop()
    outcomes = {name: _count(metrics.results, outcome=name) for name in ("up", "down", "unknown")}
    return {
        "checks": sum(outcomes.values()),
        "per_second": round(sum(outcomes.values()) / took),
        **outcomes,
        "missed": _count(metrics.missed, reason="late") + _count(metrics.missed, reason="busy"),
        "delivered": outbox.delivered,
        "cpu_share": round(cpu / took, 2),
        "cpu_us_per_check": round(cpu / max(1, sum(outcomes.values())) * 1e6, 1),
        "started_within_20_ms_percent": _within(metrics, 0.02),
    }


async def _acknowledge(records: Sequence[bytes]) -> None:
    """A broker that is never slow."""


def _count(counter: Counter, **labels: str) -> int:
    return int(
        sum(
            sample.value
            for family in counter.collect()
            for sample in family.samples
            if sample.name.endswith("_total") and sample.labels == labels
        )
    )


def _within(metrics: Metrics, bound_s: float) -> float:
    samples = [sample for family in metrics.start_delay.collect() for sample in family.samples]
    within = sum(sample.value for sample in samples if sample.labels.get("le") == str(bound_s))
    count = sum(sample.value for sample in samples if sample.name.endswith("_count"))
    return round(100 * within / max(1, count), 2)


def _punctuality(arrivals: list[float]) -> dict[str, Any]:
    late_ms = sorted(abs((at + 0.5) % 1 - 0.5) * 1_000 for at in arrivals)  # from the nearest second
    if not late_ms:
        return {"connections": 0}
    return {
        "connections": len(late_ms),
        "within_20_ms_percent": round(100 * sum(ms <= 20 for ms in late_ms) / len(late_ms), 2),
        "p50_ms": round(late_ms[len(late_ms) // 2], 1),
        "p99_ms": round(late_ms[len(late_ms) * 99 // 100], 1),
    }


def main() -> None:
    """Prints both measurements as JSON lines."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=15.5)
    arguments.add_argument("--kafka", action="store_true", help="publish to GARANT_KAFKA_BOOTSTRAP")
    arguments.add_argument("--checks", type=int, nargs="+", default=[1_000, 6_000])
    chosen = arguments.parse_args()
    for checks in chosen.checks:
        found = measure(checks, chosen.seconds, kafka=chosen.kafka)
        print(json.dumps({"asked_per_second": checks, **found}))


if __name__ == "__main__":
    main()
