"""The SLA service dies at each point between reading and committing, on a history in which every batch says
something: what stands on the topics in the end is what a clean fold says, none of it missing.

Each start carries on where the one before died, and saves after every batch: outcomes not acknowledged
before the state, or a state without its position, would leave a hole that nothing fills again.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from services.cli.local.ports import free_port
from services.cli.publish import publish_facts
from services.sla.states import TargetState, observe
from shared.codec import decode_probe_fact, encode
from shared.facts import Check, Fact, ProbeResult, TargetDeclared
from shared.failpoints import POINTS
from shared.kafka import read_topic
from shared.settings import KafkaSettings
from shared.time import MINUTE, Instant, parse_instant
from shared.topics import PROBE_RESULTS, UPTIME_CHANGES
from tests.kafka.test_sla_service import replayed, said, subscription
from tests.waiting import eventually

GARANT = str(Path(sys.executable).with_name("garant"))
OCTOBER = parse_instant("2026-09-30T22:00:00.000Z")
UPTIME = [name for name in POINTS if name.startswith("sla.uptime.")]
PROMISES = ["append.sent", "append.acknowledged", *(n for n in POINTS if n.startswith("sla.promises."))]
TARGETS, SLOTS = ("shop", "mail", "desk"), 33 * 48
DIES_WITHIN_S = 90


def flapping() -> Iterator[Fact]:
    """Targets that go down for three slots and come up for three, a month long."""
    for target in TARGETS:
        yield TargetDeclared(target, target, 1_800, (Check("tcp:443", True),), ("zurich",), 2, 2, OCTOBER)
    for number in range(SLOTS):
        slot = Instant(OCTOBER + number * 30 * MINUTE)
        down = number // 3 % 2 == 1
        for target in TARGETS:
            yield ProbeResult(target, "tcp:443", "zurich", slot, "down" if down else "up", None, None)


class Service:
    """`garant sla`, one instance under one name, saving whenever it may."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = count()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, failpoint: str = "") -> subprocess.Popen[bytes]:
        env = {
            **os.environ,
            "GARANT_SLA_INSTANCE": "dies",
            "GARANT_SLA_STATE_SAVE_EVERY_S": "0.001",
            "GARANT_SLA_SNAPSHOT_EVERY_S": "0.001",
            "GARANT_FAILPOINTS": failpoint,
        }
        with (self._folder / f"sla-{next(self._number)}.log").open("wb") as log:
            self.process = subprocess.Popen(
                [GARANT, "sla", "--port", str(free_port())], env=env, stdout=log, stderr=subprocess.STDOUT
            )
        return self.process


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path)
    yield made
    if made.process is not None:
        made.process.kill()
        made.process.wait()


def stated(settings: KafkaSettings) -> set[bytes]:
    return {record.value or b"" for record in read_topic(settings, UPTIME_CHANGES)}


def folded(settings: KafkaSettings) -> set[bytes]:
    """What a clean fold says of the results as they stand."""
    found: set[bytes] = set()
    states: dict[int, dict[str, TargetState]] = {}
    for record in read_topic(settings, PROBE_RESULTS):
        fact = decode_probe_fact(record.value or b"")
        state = states.setdefault(record.partition, {})
        found |= {encode(one) for one in observe(state, fact, record.timestamp_ms, record.offset)}
    return found


@pytest.mark.parametrize("points", [UPTIME, PROMISES], ids=["uptime", "promises"])
def test_dying_at_each_point_leaves_no_hole(
    topics: KafkaSettings, service: Service, points: list[str]
) -> None:
    asyncio.run(publish_facts(topics, [subscription(f"S-{one}", one) for one in TARGETS], "/test"))
    facts = list(flapping())
    share = len(facts) // len(points) + 1
    for number, point in enumerate(points):
        asyncio.run(publish_facts(topics, facts[number * share : (number + 1) * share], "/test"))
        process = service.start(point)
        assert process.wait(DIES_WITHIN_S) == -signal.SIGKILL, f"not killed at {point}"
    service.start()
    expected = folded(topics)
    eventually(lambda: stated(topics) >= expected)
    assert stated(topics) == expected
    quiet_since, last = time.monotonic(), -1
    while time.monotonic() - quiet_since < 3:
        if (now := len(said(topics))) != last:
            quiet_since, last = time.monotonic(), now
        time.sleep(0.5)
    assert said(topics) == replayed(topics)
    assert last > 0
