"""From the append of the confirming result to the new page being served, through both running services.

    .venv/bin/python -m bench.status_latency

As in bench/latency.py each target was down and one result, the last vote of the second slot, has it up again.
What counts is the broker's time of that append, and the moment a reader who asks all the time has the
component's badge say so, over HTTP, on the same machine's clock. The badge is written after the front pages,
the JSON and the component's own pages: when it is there they are.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from aiokafka import AIOKafkaProducer
from rich.console import Console

from bench import latency
from bench.workload import record
from services.cli.local.broker import open_broker
from services.cli.local.ports import HOST, free_port
from services.cli.publish import publish_facts
from shared.facts import ProbeResult
from shared.settings import KafkaSettings
from shared.time import HOUR
from shared.topic_admin import ensure_topics
from shared.topics import PROBE_RESULTS

READY_S = 120.0
ARRIVED_S = 30.0
LOOK_EVERY_S = 0.005
GROUPS = 10


def configuration(targets: list[str]) -> str:
    """A page with a component for each target."""
    lines = ["vendor: Example", "product: Shop", "language: en", "groups:"]
    for group in range(GROUPS):
        lines += [f"  - id: g{group}", f"    name: Group {group}", "    components:"]
        lines += [
            f"      - {{id: {target}, name: Component {target}, targets: [{target}]}}"
            for target in targets[group::GROUPS]
        ]
    return "\n".join(lines) + "\n"


@contextlib.contextmanager
def page(settings: KafkaSettings, home: Path, targets: list[str]) -> Iterator[int]:
    """`garant status serve` as a process, ready; its port."""
    port, api = free_port(), free_port()
    config = home / "page.yaml"
    config.write_text(configuration(targets))
    env = {
        **os.environ,
        "GARANT_HOME": str(home),
        "GARANT_KAFKA_BOOTSTRAP": settings.bootstrap,
        "GARANT_KAFKA_PREFIX": settings.prefix,
        "GARANT_STATUS_CONFIG": str(config),
        "GARANT_STATUS_PORT": str(port),
        "GARANT_STATUS_API_PORT": str(api),
        "GARANT_STATUS_SILENT_AFTER_MINUTES": "10000",  # what went before ends an hour ago
    }
    with (home / "status.log").open("wb") as log:
        process = subprocess.Popen([latency.GARANT, "status", "serve"], env=env, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + READY_S
        while not _ready(api):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((home / "status.log").read_text() or "garant status did not become ready")
            time.sleep(0.2)
        yield port
    finally:
        process.terminate()
        process.wait()


def _ready(port: int) -> bool:
    try:
        return httpx.get(f"http://{HOST}:{port}/ready", trust_env=False).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def measure(settings: KafkaSettings, components: int, changes: int, mean_gap_s: float) -> dict[str, Any]:
    """Ends `changes` cuts one by one at random moments on a page of `components`; the delays in ms."""
    ensure_topics(settings)
    facts, confirming = latency.history(components, time.time_ns() // 1_000_000 - HOUR)
    asyncio.run(publish_facts(settings, facts, "/garant/bench"))
    targets = [fact.target for fact in confirming]
    with (
        latency.service(settings),
        tempfile.TemporaryDirectory() as home,
        page(settings, Path(home), targets) as port,
    ):
        return asyncio.run(_measure(settings, port, confirming, changes, mean_gap_s))


async def _measure(
    settings: KafkaSettings, port: int, confirming: list[ProbeResult], changes: int, mean_gap_s: float
) -> dict[str, Any]:
    chance = random.Random(1)
    took = []
    async with (
        httpx.AsyncClient(base_url=f"http://{HOST}:{port}", trust_env=False, timeout=10) as client,
        AIOKafkaProducer(bootstrap_servers=settings.bootstrap, acks="all") as producer,
    ):
        await _all_down(client, len(confirming))
        for fact in confirming[:changes]:
            await asyncio.sleep(chance.expovariate(1 / mean_gap_s))
            before = (await client.get(f"/badge/{fact.target}.svg")).content
            key, data, named = record(fact)
            topic = settings.topic(PROBE_RESULTS)
            said = await producer.send_and_wait(topic, data, key=key, headers=named)
            arrived = await _changed(client, fact.target, before)
            took.append(arrived - said.timestamp)
        front = await client.get("/en/", headers={"Accept-Encoding": "gzip"})
    return {
        "part": "status latency",
        "components": len(confirming),
        "changes": len(took),
        "mean_gap_s": mean_gap_s,
        "page_ms": latency.percentiles(took),
        "under_500_ms_percent": round(100 * sum(one < 500 for one in took) / len(took), 2),
        "front_page_bytes": len(front.content),
    }


async def _all_down(client: httpx.AsyncClient, components: int) -> None:
    deadline = time.monotonic() + READY_S
    while True:
        answer = await client.get("/api/v2/components.json")
        if answer.status_code == httpx.codes.OK:
            found = [one["status"] for one in answer.json()["components"] if not one.get("group")]
            if found.count("major_outage") == components:
                return
        if time.monotonic() > deadline:
            raise RuntimeError("the page does not show what went before")
        await asyncio.sleep(0.5)


async def _changed(client: httpx.AsyncClient, target: str, before: bytes) -> float:
    deadline = time.monotonic() + ARRIVED_S
    while time.monotonic() < deadline:
        if (await client.get(f"/badge/{target}.svg")).content != before:
            return time.time_ns() / 1e6
        await asyncio.sleep(LOOK_EVERY_S)
    raise RuntimeError(f"the page of {target} does not change")


def main() -> None:
    """Prints a line of figures."""
    arguments = argparse.ArgumentParser(prog="python -m bench.status_latency", description=__doc__)
    arguments.add_argument("--components", type=int, default=500)
    arguments.add_argument("--changes", type=int, default=300)
    arguments.add_argument("--gap", type=float, default=0.5, help="seconds between changes, on the average")
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as home:
        broker = open_broker(Path(home) / "kafka", free_port(), Console(stderr=True), keep=False)
        try:
            settings = KafkaSettings(bootstrap=broker.bootstrap, prefix=f"bench-{uuid.uuid4().hex[:8]}-")
            print(json.dumps(measure(settings, chosen.components, chosen.changes, chosen.gap)))
        finally:
            broker.stop()


if __name__ == "__main__":
    main()
