"""What several tests on a real broker need."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kafka import KafkaProducer

from services.cli.local.ports import free_port
from services.cli.up.run_state import read_run
from shared.settings import KafkaSettings
from shared.topics import Topic

GARANT = str(Path(sys.executable).with_name("garant"))

Garant = Callable[..., "subprocess.CompletedProcess[str]"]
"""Runs `garant ARGUMENTS` and returns what it said."""


@pytest.fixture
def produce(topics: KafkaSettings) -> Callable[..., None]:
    """Puts raw bytes on a topic, as a stranger's producer would."""

    def put(topic: Topic, key: bytes, value: bytes, **headers: bytes) -> None:
        producer = KafkaProducer(bootstrap_servers=topics.bootstrap, retries=20)
        producer.send(topics.topic(topic), key=key, value=value, headers=list(headers.items())).get(10)
        producer.close()

    return put


@pytest.fixture
def garant(topics: KafkaSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Garant:
    """Runs a command on an installation of the test's own."""
    monkeypatch.setenv("GARANT_HOME", str(tmp_path / "home"))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([GARANT, *arguments], capture_output=True, text=True, timeout=240)

    return run


@pytest.fixture
def running(garant: Garant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """`garant up` on ports of its own, every part ready."""
    names = (
        *("DEMO_HTTP", "DEMO_TCP", "SLA", "BILLING", "SUPPORT", "NOTIFY", "STATUS", "STATUS_API"),
        *("MAILBOX", "SMTP", "IMAP"),
    )
    ports = {f"GARANT_UP_{name}_PORT": str(free_port()) for name in names}
    for name in ("BILLING", "SUPPORT", "NOTIFY", "STATUS", "STATUS_API"):
        monkeypatch.setenv(f"GARANT_{name}_PORT", ports[f"GARANT_UP_{name}_PORT"])
    first_agent = next(port for port in range(free_port(), 65_000) if str(port) not in ports.values())
    env = {**os.environ, **ports, "GARANT_UP_PROBE_PORT": str(first_agent)}
    with (tmp_path / "up.log").open("wb") as log:
        up = subprocess.Popen([GARANT, "up"], env=env, stdout=log, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 120
    while not _ready(tmp_path / "home") or "Ctrl-C stops" not in (tmp_path / "up.log").read_text():
        assert up.poll() is None, (tmp_path / "up.log").read_text()
        assert time.monotonic() < deadline, (tmp_path / "up.log").read_text()
        time.sleep(0.2)
    yield
    up.send_signal(signal.SIGTERM)
    assert up.wait(60) == 0


def _ready(home: Path) -> bool:
    run = read_run(home)
    return run is not None and {one.state for one in run.components} == {"ready"}
