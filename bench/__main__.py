"""`make bench`: measures everything in one go on a Kafka of its own (or the one named in the environment)."""

from __future__ import annotations

import argparse
import os
import tempfile
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from kafka import KafkaAdminClient
from rich.console import Console
from rich.table import Table

from bench import (
    intake,
    latency,
    memory,
    probe,
    replay,
    report,
    restart,
    status,
    status_latency,
    status_render,
    status_web,
    support,
    throughput,
)
from services.cli.local.broker import open_broker
from services.cli.local.ports import free_port
from services.sla.app.uptime_worker import MAX_RECORDS
from shared.settings import KafkaSettings
from shared.topic_admin import ensure_topics

PARTS = ("throughput", "latency", "restart", "memory", "replay", "agent", "support", "intake", "status")


def main() -> None:
    """Prints the raw lines as they come and the summary last; with --write, the page too."""
    arguments = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    arguments.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="some parts only")
    arguments.add_argument("--records", type=int, default=1_000_000, help="records of the throughput part")
    arguments.add_argument("--rounds", type=int, default=5, help="turns of the throughput part")
    arguments.add_argument("--cuts", type=int, default=300, help="cuts ended in the latency part")
    arguments.add_argument("--requests", type=int, default=100_000, help="open requests of the support part")
    arguments.add_argument("--mails", type=int, default=4_000, help="mails of the intake part")
    arguments.add_argument("--targets", type=int, default=100_000, help="of the restart and memory parts")
    arguments.add_argument("--subscriptions", type=int, default=20_000, help="of the same parts")
    arguments.add_argument("--days", type=int, default=60, help="the shortest history of the replay part")
    arguments.add_argument("--seconds", type=float, default=15.5, help="duration of each run of the agent")
    arguments.add_argument("--write", action="store_true", help=f"write {report.PAGE.name}")
    chosen = arguments.parse_args()
    console = Console(stderr=True)
    lines = [report.machine(named="GARANT_KAFKA_BOOTSTRAP" in os.environ)]
    with tempfile.TemporaryDirectory() as home:
        broker = open_broker(Path(home) / "kafka", free_port(), console, keep=False)
        try:
            for line in _measure(broker.bootstrap, chosen):
                print(msgspec.json.encode(line).decode(), flush=True)
                lines.append(line)
        finally:
            broker.stop()
    console.print(_table(lines))
    if chosen.write:
        report.PAGE.parent.mkdir(parents=True, exist_ok=True)
        report.PAGE.write_text(report.page(lines, MAX_RECORDS))
        console.print(f"written: {report.PAGE}")


def _measure(bootstrap: str, chosen: argparse.Namespace) -> Iterator[dict[str, Any]]:
    prefix = f"bench-{uuid.uuid4().hex[:8]}-"
    try:
        if "throughput" in chosen.only:
            settings = KafkaSettings(bootstrap=bootstrap, prefix=f"{prefix}throughput-")
            yield from throughput.measure(
                settings, 1_000, chosen.records, chosen.rounds, (50, MAX_RECORDS, 1_000, 20_000)
            )
        if "latency" in chosen.only:
            settings = KafkaSettings(bootstrap=bootstrap, prefix=f"{prefix}latency-")
            yield throughput.alone(latency.measure, settings, chosen.cuts)
        if "restart" in chosen.only:
            settings = KafkaSettings(bootstrap=bootstrap, prefix=f"{prefix}restart-")
            yield from restart.measure(settings, chosen.targets, chosen.subscriptions)
        if "memory" in chosen.only:
            yield memory.measure(chosen.targets, chosen.subscriptions)
        if "replay" in chosen.only:
            yield replay.measure(chosen.days)
        if "support" in chosen.only:
            yield throughput.alone(support.measure, chosen.requests, chosen.requests)
        if "intake" in chosen.only:
            for kind in ("sqlite", "postgresql"):
                yield throughput.alone(intake.measure, chosen.mails, kind)
        if "status" in chosen.only:
            yield throughput.alone(status.measure, 500, 10, 1_000)
            yield throughput.alone(status.memory, 1_000_000, 500, 20)
            yield from status_render.measure()
            yield status_web.measure()
            settings = KafkaSettings(bootstrap=bootstrap, prefix=f"{prefix}page-")
            yield status_latency.measure(settings, 500, 300, 0.5)
        if "agent" in chosen.only:
            settings = KafkaSettings(bootstrap=bootstrap, prefix=f"{prefix}agent-")
            ensure_topics(settings)
            os.environ |= {"GARANT_KAFKA_BOOTSTRAP": bootstrap, "GARANT_KAFKA_PREFIX": settings.prefix}
            for asked in (1_000, 6_000):
                line = throughput.alone(partial(probe.measure, kafka=True), asked, chosen.seconds)
                yield {"part": "agent", "asked_per_second": asked, **line}
    finally:
        _clean(bootstrap, prefix)


def _clean(bootstrap: str, prefix: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        admin.delete_topics([name for name in admin.list_topics() if name.startswith(prefix)])
    finally:
        admin.close()


def _table(lines: list[dict[str, Any]]) -> Table:
    table = Table("What", "Must reach", "Reached")
    for row in report.rows(lines):
        table.add_row(*row)
    return table


if __name__ == "__main__":
    main()
