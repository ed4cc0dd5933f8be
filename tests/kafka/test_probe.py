"""The agent as a process and a real broker that is away, comes, and goes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from services.cli.local.ports import free_port
from shared.codec import decode_probe_fact, encode
from shared.facts import ProbeResult, TargetDeclared
from shared.kafka import Record, read_topic
from shared.settings import KafkaSettings
from shared.topic_admin import ensure_topics
from shared.topics import PROBE_RESULTS
from tests.conftest import StartKafka

LISTENER = """
import socket
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
while True:
    listening.accept()[0].close()
"""
CONFIGURATION = """
locations: [zurich, geneva, lugano]
allow: [loopback]
targets:
  - target: app
    name: {name}
    host: 127.0.0.1
    interval_s: 1
    checks:
      - {{kind: tcp, port: {port}}}
"""


@pytest.fixture
def port() -> Iterator[int]:
    """The port of a target in a process of its own."""
    listener = subprocess.Popen([sys.executable, "-c", LISTENER], stdout=subprocess.PIPE, text=True)
    assert listener.stdout is not None
    yield int(listener.stdout.readline())
    listener.kill()
    listener.wait()


@contextmanager
def agent(config: Path, health: int, bootstrap: str) -> Iterator[subprocess.Popen[bytes]]:
    """A real agent at geneva; killed hard at the end unless it has ended."""
    process = subprocess.Popen(
        [
            sys.executable, "-c", "from services.probe.command import app; app()",
            "--config", str(config), "--location", "geneva", "--port", str(health),
        ],
        env={**os.environ, "GARANT_HOME": str(config.parent), "GARANT_KAFKA_BOOTSTRAP": bootstrap},
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def ask(health: int, path: str) -> dict[str, object]:
    with urllib.request.urlopen(f"http://127.0.0.1:{health}{path}", timeout=5) as answer:
        found: dict[str, object] = json.load(answer)
        return found


def wait_for(what: Callable[[], bool], within_s: float = 30) -> None:
    deadline = time.monotonic() + within_s
    while True:
        try:
            if what():
                return
        except OSError:
            pass
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.1)


def published(settings: KafkaSettings) -> list[Record]:
    return [record for record in read_topic(settings, PROBE_RESULTS) if record.key == b"app"]


def count(settings: KafkaSettings, kind: type) -> int:
    return sum(isinstance(decode_probe_fact(record.value or b""), kind) for record in published(settings))


def test_results_reach_kafka_declared_first_with_their_headers(
    topics: KafkaSettings, port: int, tmp_path: Path
) -> None:
    config, health = tmp_path / "agent.yaml", free_port()
    config.write_text(CONFIGURATION.format(name="App", port=port))
    with agent(config, health, topics.bootstrap) as process:
        wait_for(lambda: count(topics, ProbeResult) >= 3)
        assert ask(health, "/live")["live"] is True
        assert ask(health, "/ready")["kafka"] == "answers"
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    records = published(topics)
    facts = [decode_probe_fact(record.value or b"") for record in records]
    assert isinstance(facts[0], TargetDeclared)
    assert facts[0].locations == ("zurich", "geneva", "lugano")
    results = [fact for fact in facts if isinstance(fact, ProbeResult)]
    assert [fact.outcome for fact in results] == ["up"] * len(results)
    assert [fact.slot for fact in results] == sorted({fact.slot for fact in results})
    assert all(encode(fact) == record.value for fact, record in zip(facts, records, strict=True))
    assert len({record.partition for record in records}) == 1
    last = records[-1].headers
    assert last["ce_type"] == "garant.ProbeResult"
    assert last["ce_source"] == "/garant/probe/geneva"
    assert last["content-type"] == "application/json"
    assert last["ce_id"] != records[-2].headers["ce_id"]

    with agent(config, health, topics.bootstrap):
        wait_for(lambda: count(topics, ProbeResult) > len(results) + 1)
        assert count(topics, TargetDeclared) == 1, "nothing changed, so nothing is declared again"
        config.write_text(CONFIGURATION.format(name="The application", port=port))
        wait_for(lambda: count(topics, TargetDeclared) == 2)


def test_results_of_an_outage_survive_a_kill_and_arrive_in_order(
    start_kafka: StartKafka, port: int, tmp_path: Path, clean_environment: pytest.MonkeyPatch
) -> None:
    config, health, broker_port = tmp_path / "agent.yaml", free_port(), free_port()
    config.write_text(CONFIGURATION.format(name="App", port=port))
    bootstrap = f"127.0.0.1:{broker_port}"

    with agent(config, health, bootstrap):  # no broker at the start; the end of the block is a kill -9
        wait_for(lambda: int(str(ask(health, "/ready")["waiting"])) >= 5)
        ready = ask(health, "/ready")
        assert (ready["ready"], ready["kafka"]) == (True, "away")
        time.sleep(0.5)  # a result is on disk a fifth of a second after it was seen
    kept = sum(file.read_bytes().count(b"\n") for file in tmp_path.glob("probe/geneva/spool/*.spool"))
    assert kept >= 5

    with agent(config, health, bootstrap) as process:
        settings = KafkaSettings(bootstrap=bootstrap)
        first = start_kafka(port=broker_port)
        ensure_topics(settings)
        wait_for(lambda: ask(health, "/ready")["kafka"] == "answers", 60)
        assert first.process is not None
        first.process.kill()
        first.process.wait()
        wait_for(lambda: ask(health, "/ready")["kafka"] == "away", 60)
        started = time.time()
        time.sleep(2.5)
        start_kafka(port=broker_port)
        wait_for(lambda: ask(health, "/ready")["kafka"] == "answers", 90)
        back = time.time()
        wait_for(lambda: int(str(ask(health, "/ready")["waiting"])) == 0)
        time.sleep(1.5)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0

    facts = [decode_probe_fact(record.value or b"") for record in published(settings)]
    assert isinstance(facts[0], TargetDeclared)
    slots = list(dict.fromkeys(fact.slot for fact in facts if isinstance(fact, ProbeResult)))
    assert slots == sorted(slots), "the first telling of each slot is in order"
    away = [slot for slot in slots if started * 1_000 <= slot <= back * 1_000]
    assert len(away) >= 2
    assert away == list(range(away[0], away[-1] + 1, 1_000)), "no slot of the outage is lost"
    assert sum(isinstance(fact, ProbeResult) for fact in facts) >= kept
