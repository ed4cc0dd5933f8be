"""What the folds tell Prometheus, on a real broker: how far behind they are, and what digest they came to."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from services.cli.local.ports import free_port
from services.sla.app.promises_worker import PromisesWorker
from services.sla.app.uptime_worker import UptimeWorker
from services.sla.app.watched import Watched
from shared.codec import encode
from shared.facts import TargetStateChanged
from shared.kafka import read_topic, service_broker
from shared.settings import KafkaSettings
from shared.time import Instant
from shared.topics import JOURNAL, PROBE_RESULTS, UPTIME_CHANGES
from tests.core.probing import T0, declared

ROOT = Path(__file__).parents[2]
GARANT = str(Path(sys.executable).with_name("garant"))
WITHIN_S = 60.0
Produce = Callable[..., None]


class Folds:
    """Both folds of an instance, and what it tells."""

    def __init__(self, settings: KafkaSettings) -> None:
        self.broker = service_broker(settings, "sla")
        self.uptime = UptimeWorker(self.broker, settings)
        self.promises = PromisesWorker(self.broker, settings)
        self.watched = Watched(self.uptime, self.promises, settings)

    async def until(self, check: Callable[[], object]) -> None:
        """Lets the folds go on, as the service does, and tells what they say until `check`."""
        async with asyncio.timeout(WITHIN_S):
            await self.watched.tell()
            while not check():
                await self.promises.idle()
                await asyncio.sleep(0.05)
                await self.watched.tell()


def told(name: str, **labels: object) -> float | None:
    return REGISTRY.get_sample_value(
        f"garant_sla_{name}", {label: str(value) for label, value in labels.items()}
    )


def every(name: str) -> list[float | None]:
    """What is told of each partition of the uptime fold."""
    return [told(name, fold="uptime", partition=partition) for partition in range(6)]


@pytest.fixture
async def folds(topics: KafkaSettings) -> AsyncIterator[Folds]:
    made = Folds(topics)
    await made.broker.start()
    await made.until(lambda: made.uptime.ownership.assigned and made.promises.ready)
    await made.until(lambda: None not in every("fold_lag_records"))
    yield made
    await made.promises.close()
    await made.uptime.close()
    await made.broker.stop()


async def test_a_fold_that_is_held_up_tells_how_many_records_wait_and_that_it_gets_older(
    folds: Folds, produce: Produce
) -> None:
    assert every("fold_lag_records") == [0] * 6
    assert told("fold_partitions", fold="uptime") == 6
    assert told("fold_partitions_expected", fold="uptime") == 6
    assert told("fold_partitions_expected", fold="promises") == 3
    record = encode(declared())
    async with folds.uptime.ownership.lock:  # as while it folds or restores
        for _ in range(3):
            await asyncio.to_thread(produce, PROBE_RESULTS, b"app", record)
        await folds.watched.tell()
        lags, ages = every("fold_lag_records"), every("fold_age_seconds")
        assert sorted(lag or 0 for lag in lags) == [0, 0, 0, 0, 0, 3]
        assert [bool(age) for age in ages] == [bool(lag) for lag in lags]
        await folds.watched.tell()
        assert max(age or 0 for age in every("fold_age_seconds")) > max(age or 0 for age in ages)
    await folds.until(lambda: every("fold_lag_records") == [0] * 6)
    assert every("fold_age_seconds") == [0] * 6
    assert sorted(position or 0 for position in every("fold_position")) == [-1] * 5 + [2]


async def test_the_digest_told_is_the_one_worked_out_from_the_journal_at_the_position_told(
    folds: Folds, topics: KafkaSettings, produce: Produce
) -> None:
    assert told("intakes") == 3
    change = encode(TargetStateChanged("app", Instant(T0), "down", Instant(T0 + 1), ()))
    for _ in range(5):  # of no subscription: nothing follows, so the digest is of the entries alone
        await asyncio.to_thread(produce, UPTIME_CHANGES, b"app", change)
    await folds.until(lambda: told("journal_position", partition=0) == 4)
    await folds.until(lambda: told("intake_lag_records", partition=0, topic="uptime.changes") == 0)
    digest = sha256(b"").digest()
    for entry in read_topic(topics, JOURNAL, 0):
        digest = sha256(digest + (entry.value or b"")).digest()
    assert told("journal_digest", partition=0) == int(digest.hex()[:12], 16)


async def test_partitions_that_were_handed_over_are_no_longer_told_of(folds: Folds) -> None:
    assert told("fold_lag_records", fold="promises", partition=1) == 0
    assert told("journal_digest", partition=1) is not None
    await folds.promises.close()
    await folds.watched.tell()
    assert told("fold_lag_records", fold="promises", partition=1) is None
    assert told("journal_digest", partition=1) is None
    assert told("fold_partitions", fold="promises") == 0


def sample(port: int, name: str) -> float | None:
    """A metric without labels as the process on `port` tells it; None while it tells nothing."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
    except OSError:
        return None
    families = text_string_to_metric_families(text)
    found = [one.value for family in families for one in family.samples if one.name == name]
    return found[0] if found else None


def until(port: int, name: str, value: float) -> None:
    deadline = time.monotonic() + WITHIN_S
    while sample(port, name) != value:
        assert time.monotonic() < deadline, f"{name} is {sample(port, name)}, not {value}"
        time.sleep(0.2)


def test_an_instance_that_waits_for_old_rules_to_leave_says_so_until_they_have(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    del topics
    old, new = free_port(), free_port()
    waiting, intakes = "garant_sla_waiting_for_old_rules", "garant_sla_intakes"
    started: list[subprocess.Popen[bytes]] = []

    def start(port: int, *command: str) -> None:
        arguments = [*command, "sla", "--port", str(port)]
        with (tmp_path / f"{port}.log").open("wb") as log:
            started.append(subprocess.Popen(arguments, env=os.environ, cwd=ROOT, stdout=log, stderr=log))

    try:
        start(old, GARANT)
        until(old, intakes, 3)
        start(new, sys.executable, "-m", "tests.kafka.other_rules", "7")
        until(new, waiting, 1)
        assert sample(old, waiting) == 0
        started[0].terminate()
        until(new, waiting, 0)
        until(new, intakes, 3)
    finally:
        for process in started:
            process.kill()
            process.wait()
