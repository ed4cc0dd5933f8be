"""`garant up` as a whole: a real broker, a real supervisor process, small processes in place of services."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import httpx
import pytest

from services.cli.local.local_kafka import find_running
from services.cli.local.ports import HOST, accepts, free_port
from services.cli.up.run_state import Run, read_run
from services.cli.up.tether import command_line
from shared.settings import KafkaSettings

T = TypeVar("T")

UP = """
import sys
from pathlib import Path
from rich.console import Console
from services.cli.up.supervisor import Child
from services.cli.up.command import run
from shared.errors import NeedsAPerson

home, http, tcp, service = sys.argv[1:]
SERVICE = '''
import http.server, os, sys
assert os.environ["GARANT_KAFKA_BOOTSTRAP"] and os.environ["GARANT_HOME"]
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'[{"target": "demo", "state": "up", "since": 0}]')
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Ready).serve_forever()
'''
DEMO = "from services.cli.demo.command import app; app()"
table = (
    Child("demo", (sys.executable, "-c", DEMO, "serve", "--http-port", http, "--tcp-port", tcp),
          f"http://127.0.0.1:{http}/health", {int(http): "A", int(tcp): "B"}),
    Child("sla", (sys.executable, "-c", SERVICE, service),
          f"http://127.0.0.1:{service}/ready", {int(service): "C"}),
)
try:
    run(Path(home), lambda: table, Console(width=200))
except NeedsAPerson as error:
    raise SystemExit(f"error: {error}")
"""


class Up:
    """One `garant up` on `home`, started as a process of its own."""

    def __init__(self, home: Path, **env: str) -> None:
        self.home = home
        self.http, self.tcp, self.service = free_port(), free_port(), free_port()
        self.env = {**os.environ, "GARANT_HOME": str(home), **env}
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        ports = (str(self.http), str(self.tcp), str(self.service))
        self.process = subprocess.Popen(
            [sys.executable, "-c", UP, str(self.home), *ports],
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self) -> Run:
        """The run once every component is ready or held."""

        def settled() -> Run | None:
            run = read_run(self.home)
            states = {one.state for one in run.components} if run else set()
            return run if states and states <= {"ready", "held"} else None

        return until(settled)

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        assert self.process is not None
        self.process.send_signal(number)
        said, _ = self.process.communicate(timeout=60)
        return self.process.returncode, said

    def command(self, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code, *arguments], env=self.env, capture_output=True, text=True, timeout=60
        )

    def demo(self, what: str) -> subprocess.CompletedProcess[str]:
        return self.command("from services.cli.demo.command import app; app()", what)

    def status(self) -> subprocess.CompletedProcess[str]:
        return self.command("import typer; from services.cli.up.status import status; typer.run(status)")


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Callable[..., Up]]:
    """`up(**env)` makes a run on a directory of the test's own; one that still runs is ended after it."""
    made: list[Up] = []

    def make(**env: str) -> Up:
        made.append(Up(tmp_path / "home", **env))
        return made[-1]

    yield make
    for one in made:
        if one.process is not None and one.process.poll() is None:
            one.end()


def until(found: Callable[[], T | None], within_s: float = 60) -> T:
    deadline = time.monotonic() + within_s
    while True:
        value = found()
        if value:
            return value
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_up_starts_stops_and_carries_on(up: Callable[..., Up], topics: KafkaSettings) -> None:
    """SIGTERM stops everything in reverse order, without a traceback, with exit status 0; then again."""
    for number in (signal.SIGTERM, signal.SIGINT):
        one = up()
        one.start()
        run = one.run()
        assert run.bootstrap == topics.bootstrap
        status, said = one.end(number)
        assert status == 0, said
        assert "Traceback" not in said
        assert re.search(r"stopping +sla\s+stopping +demo\s+stopping +kafka\s+stopped", said)
        assert not any(command_line(part.pid) for part in run.components if part.pid)
        assert read_run(one.home) is None


def test_a_second_up_on_the_same_directory_is_refused(up: Callable[..., Up], topics: KafkaSettings) -> None:
    first = up()
    first.start()
    run = first.run()
    second = up()
    second.start()
    assert second.process is not None
    said, _ = second.process.communicate(timeout=30)
    assert second.process.returncode == 1
    assert f"already runs on {first.home} (pid {run.pid})" in said
    assert first.end()[0] == 0


def test_break_closes_the_ports_and_mend_opens_them(up: Callable[..., Up], topics: KafkaSettings) -> None:
    """Connections are refused for as long as the demo application is broken; nothing else is touched."""
    one = up()
    one.start()
    before = {part.name: part.pid for part in one.run().components}
    assert accepts(one.http)
    assert accepts(one.tcp)

    broken = one.demo("break")
    assert broken.returncode == 0, broken.stderr
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://{HOST}:{one.http}/health", trust_env=False)
    assert not accepts(one.tcp)
    status = one.status()
    assert re.search(r"demo +- +held", status.stdout), status.stdout + status.stderr
    assert status.returncode == 0

    mended = one.demo("mend")
    assert mended.returncode == 0, mended.stderr
    assert httpx.get(f"http://{HOST}:{one.http}/health", trust_env=False).status_code == 200
    after = {part.name: part.pid for part in one.run().components}
    assert after["sla"] == before["sla"]
    assert after["demo"] != before["demo"]
    one.end()


def test_status_and_break_say_when_nothing_runs(up: Callable[..., Up]) -> None:
    one = up()
    for told in (one.status(), one.demo("break"), one.demo("mend")):
        assert told.returncode == 1
        assert "make up" in told.stdout + told.stderr
    assert not (one.home / "held" / "demo").exists()


def test_status_shows_targets_as_the_sla_service_tells_them(
    up: Callable[..., Up], topics: KafkaSettings
) -> None:
    one = up()
    one.start()
    one.run()
    said = one.status().stdout
    assert re.search(r"sla +\d+ +ready", said), said
    assert re.search(r"demo +up", said), said
    one.end()


def test_a_killed_broker_is_started_again_under_the_services(
    up: Callable[..., Up], clean_environment: pytest.MonkeyPatch
) -> None:
    """No broker named: `up` has its own. It dies and comes back at the same address; the rest stays up."""
    clean_environment.setenv("DOCKER_HOST", f"tcp://{HOST}:{free_port()}")  # nobody: the broker is a process
    port = free_port()
    one = up(GARANT_BROKER_PORT=str(port))
    one.start()
    run = one.run()
    assert run.bootstrap == f"{HOST}:{port}"
    killed = find_running(one.home / "kafka")
    assert killed is not None
    assert killed.pid is not None
    os.kill(killed.pid, signal.SIGKILL)
    until(lambda: (again := find_running(one.home / "kafka")) and again.pid != killed.pid)
    until(lambda: accepts(port))
    assert {part.pid for part in one.run().components} == {part.pid for part in run.components}
    status, said = one.end()
    assert status == 0, said
    assert "kafka; starting it again" in said
    assert not accepts(port)


def test_no_kafka_in_time_is_an_error_and_nothing_is_started(
    up: Callable[..., Up], clean_environment: pytest.MonkeyPatch
) -> None:
    clean_environment.setenv("GARANT_KAFKA_BOOTSTRAP", f"{HOST}:{free_port()}")
    clean_environment.setenv("GARANT_KAFKA_WAIT_S", "1")
    one = up()
    one.start()
    assert one.process is not None
    said, _ = one.process.communicate(timeout=30)
    assert one.process.returncode == 1
    assert "waiting for Kafka" in said
    assert "No Kafka broker answered" in said
    assert "Traceback" not in said
    assert not accepts(one.http)


def test_a_directory_that_cannot_be_written_is_an_error_without_a_traceback(
    up: Callable[..., Up], topics: KafkaSettings
) -> None:
    """Here /dev/full stands where the run is written down: the device of a full disk."""
    one = up()
    one.home.mkdir()
    (one.home / "run.json.new").symlink_to("/dev/full")
    one.start()
    assert one.process is not None
    said, _ = one.process.communicate(timeout=60)
    assert one.process.returncode == 1
    assert "No space left on device" in said
    assert "GARANT_HOME" in said
    assert "Traceback" not in said
    assert not accepts(one.http)
