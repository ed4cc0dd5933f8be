"""The supervisor of `garant up`, with small real processes in the place of the services."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import httpx
import pytest
from rich.console import Console

from services.cli.local.ports import HOST, accepts, free_port
from services.cli.up.run_state import AlreadyRuns, Run, only_run, read_run, write_run
from services.cli.up.status import state_of
from services.cli.up.supervisor import Child, Supervisor, last_line
from services.cli.up.tether import command_line
from shared.health import PortTaken

STAND_IN = """
import http.server, pathlib, signal, sys
name, port, home = sys.argv[1], int(sys.argv[2]), pathlib.Path(sys.argv[3])

class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if (home / (name + ".ready")).exists() else 503)
        self.end_headers()
    def log_message(self, *_):
        pass

def stop(*_):
    with (home / "stopped").open("a") as file:
        file.write(name + "\\n")
    raise SystemExit(0)

signal.signal(signal.SIGTERM, stop)
print(name, "listens on", port, flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", port), Ready).serve_forever()
"""


def stand_in(name: str, home: Path, *, ready: bool = True) -> Child:
    """A service that answers /ready with 200 once a file says so, and notes when it was stopped."""
    port = free_port()
    if ready:
        (home / f"{name}.ready").touch()
    return Child(
        name,
        (sys.executable, "-c", STAND_IN, name, str(port), str(home)),
        ready_url=f"http://{HOST}:{port}/ready",
        ports={port: f"PORT_OF_{name.upper()}"},
    )


class Watch:
    """A supervisor, what it says, and a loop that looks until something holds."""

    def __init__(self, home: Path, *children: Child) -> None:
        self.said = StringIO()
        self.supervisor = Supervisor(children, home, {}, Console(file=self.said, width=300))

    def until(self, holds: Callable[[], bool], within_s: float = 20) -> None:
        deadline = time.monotonic() + within_s
        while not holds():
            assert time.monotonic() < deadline, f"not within {within_s} s; said:\n{self.said.getvalue()}"
            self.supervisor.look()
            time.sleep(0.05)

    def until_ready(self) -> None:
        self.until(lambda: not self.supervisor.waiting())


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Callable[..., Watch]]:
    made: list[Watch] = []

    def make(*children: Child) -> Watch:
        made.append(Watch(tmp_path, *children))
        return made[-1]

    yield make
    for one in made:
        one.supervisor.stop()


def test_children_are_ready_when_they_say_so_and_stop_in_reverse_order(
    watch: Callable[..., Watch], tmp_path: Path
) -> None:
    """A process that runs but does not answer /ready yet is still waited for."""
    seen = watch(stand_in("first", tmp_path), stand_in("second", tmp_path, ready=False))
    seen.supervisor.start()
    seen.until(lambda: seen.supervisor.waiting() == ["second"])
    (tmp_path / "second.ready").touch()
    seen.until_ready()
    pids = [one.pid for one in seen.supervisor.components()]
    seen.supervisor.stop()
    assert (tmp_path / "stopped").read_text().split() == ["second", "first"]
    assert [command_line(pid) for pid in pids if pid] == ["", ""]
    assert "first listens on" in (tmp_path / "logs" / "first.log").read_text()


def test_a_killed_child_is_started_again_and_the_console_says_so(
    watch: Callable[..., Watch], tmp_path: Path
) -> None:
    seen = watch(stand_in("service", tmp_path))
    seen.supervisor.start()
    seen.until_ready()
    (before,) = seen.supervisor.components()
    assert before.pid is not None
    os.kill(before.pid, signal.SIGKILL)
    seen.until(lambda: seen.supervisor.components()[0].state == "restarting")
    seen.until_ready()
    (after,) = seen.supervisor.components()
    assert after.pid not in (None, before.pid)
    assert "service (killed by signal 9); starting it again in 0.5 s" in seen.said.getvalue()


def test_a_child_that_keeps_crashing_is_started_ever_more_slowly(watch: Callable[..., Watch]) -> None:
    """Each crash doubles the pause, and the last line of the log says why it crashes."""
    seen = watch(Child("broken", (sys.executable, "-c", "raise SystemExit('no database')")))
    seen.supervisor.start()
    seen.until(lambda: "again in 2 s" in seen.said.getvalue())
    said = seen.said.getvalue()
    assert said.index("in 0.5 s") < said.index("in 1 s") < said.index("in 2 s")
    assert said.count("no database") == 3
    assert seen.supervisor.components()[0].pid is None


def test_a_held_child_is_really_stopped_until_the_hold_ends(
    watch: Callable[..., Watch], tmp_path: Path
) -> None:
    """How the demo application is broken: its port refuses, also over a restart of the supervisor."""
    child = stand_in("demo", tmp_path)
    (port,) = child.ports
    seen = watch(child)
    seen.supervisor.start()
    seen.until_ready()
    (tmp_path / "held" / "demo").touch()
    seen.until(lambda: seen.supervisor.components()[0].state == "held")
    assert not accepts(port)
    assert seen.supervisor.waiting() == []
    seen.supervisor.stop()

    again = watch(child)
    again.supervisor.start()
    again.until(lambda: again.supervisor.components()[0].state == "held")
    assert not accepts(port)
    (tmp_path / "held" / "demo").unlink()
    again.until(lambda: again.supervisor.components()[0].state == "ready")
    assert accepts(port)


def test_a_taken_port_is_an_error_before_anything_starts(watch: Callable[..., Watch], tmp_path: Path) -> None:
    first, second = stand_in("first", tmp_path), stand_in("second", tmp_path)
    with socket.create_server((HOST, next(iter(second.ports)))):
        seen = watch(first, second)
        with pytest.raises(PortTaken, match=r"Port \d+ .*PORT_OF_SECOND"):
            seen.supervisor.start()
    assert [one.pid for one in seen.supervisor.components()] == [None, None]


def test_nothing_is_left_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    """kill -9 of the supervisor: on Linux the kernel tells every child."""
    child = stand_in("service", tmp_path)
    (port,) = child.ports
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from rich.console import Console\n"
        "from services.cli.up.supervisor import Child, Supervisor\n"
        "one = Supervisor((Child('service', tuple(sys.argv[2:])),), Path(sys.argv[1]), {}, Console())\n"
        "one.start()\n"
        "print(one.components()[0].pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), *child.argv], stdout=subprocess.PIPE, text=True
    )
    assert starter.stdout is not None
    try:
        pid = int(starter.stdout.readline())
        _until(lambda: accepts(port))
    finally:
        starter.kill()
        starter.communicate()
    if sys.platform != "linux":
        os.kill(pid, signal.SIGTERM)
    _until(lambda: not accepts(port))


def test_one_run_a_directory_and_others_can_read_it(tmp_path: Path) -> None:
    """The kernel holds the claim: what a killed run leaves behind is no run."""
    run = Run(os.getpid(), 1, "127.0.0.1:9")
    write_run(tmp_path, run)
    assert read_run(tmp_path) is None
    with only_run(tmp_path):
        write_run(tmp_path, run)
        assert read_run(tmp_path) == run
        with pytest.raises(AlreadyRuns, match=f"pid {os.getpid()}.*kill {os.getpid()}"), only_run(tmp_path):
            raise AssertionError("two runs on one directory")
    assert read_run(tmp_path) is None


def test_status_asks_each_component_now(watch: Callable[..., Watch], tmp_path: Path) -> None:
    """What was ready a moment ago may not be: a process that no longer answers is not called ready."""
    seen = watch(stand_in("service", tmp_path))
    seen.supervisor.start()
    seen.until_ready()
    (one,) = seen.supervisor.components()
    assert state_of(one) == "ready"
    (tmp_path / "service.ready").unlink()
    assert state_of(one) == "not ready"
    seen.supervisor.stop()
    assert state_of(one) == "no answer"


def test_the_demo_application_answers_on_both_ports() -> None:
    http_port, tcp_port = free_port(), free_port()
    code = "from services.cli.demo.command import app; app()"
    arguments = ["serve", "--http-port", str(http_port), "--tcp-port", str(tcp_port)]
    demo = subprocess.Popen([sys.executable, "-c", code, *arguments])
    try:
        _until(lambda: accepts(http_port) and accepts(tcp_port))
        assert httpx.get(f"http://{HOST}:{http_port}/").status_code == 200
        with socket.create_connection((HOST, tcp_port), timeout=5) as connection:
            assert b"up" in connection.recv(100)
    finally:
        demo.terminate()
        status = demo.wait(10)
    assert status in (0, -signal.SIGTERM)
    assert not accepts(http_port)
    assert not accepts(tcp_port)


def test_the_last_line_of_a_log_is_its_last_that_says_anything(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert last_line(log) == ""
    log.write_text("Traceback\n  in here\nValueError: no such terms\n\n")
    assert last_line(log) == "ValueError: no such terms"


def _until(holds: Callable[[], bool], within_s: float = 15) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
