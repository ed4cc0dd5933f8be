"""Child processes kept running: started, waited for, restarted with back-off, stopped in reverse order."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import httpx
from msgspec import Struct
from rich.console import Console

from services.cli.local.ports import HOST
from services.cli.up.run_state import Component, Run
from services.cli.up.tether import ends_with_starter, stop_process
from shared.health import check_port

STOP_S = 20.0
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
STEADY_S = 60.0
LOG_BYTES = 20 * 1024 * 1024


class Child(Struct, frozen=True):
    """One row of the table of what runs: `ready_url` answers 200 when it is ready, `ports` are those it
    listens on (with the variable that moves each), `env` is added to the environment."""

    name: str
    argv: tuple[str, ...]
    ready_url: str | None = None
    ports: Mapping[int, str] = {}
    env: Mapping[str, str] = {}


class Supervised:
    """A child and the process it is now, if any; times are monotonic seconds."""

    def __init__(self, child: Child, log: Path) -> None:
        self.child = child
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None
        self.state = "starting"
        self.since_ms = _now_ms()
        self.started = 0.0
        self.crashes = 0
        self.next_start = 0.0

    def become(self, state: str) -> None:
        self.state = state
        self.since_ms = _now_ms()

    def seen(self) -> Component:
        return Component(
            name=self.child.name,
            pid=self.process.pid if self.process is not None else None,
            state=self.state,
            since_ms=self.since_ms,
            ready_url=self.child.ready_url,
            ports=tuple(self.child.ports),
            log=str(self.log),
        )


class Supervisor:
    """Runs `children`, all with `env` added to the environment, each with a log file in `home`/logs. Call
    `look` several times a second.

    A child whose name is a file in `home`/held is stopped, and started again when the file is gone.
    """

    def __init__(
        self, children: tuple[Child, ...], home: Path, env: Mapping[str, str], console: Console
    ) -> None:
        self.held = home / "held"
        self.env = env
        self.console = console
        logs = home / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        self.held.mkdir(exist_ok=True)
        self.all = [Supervised(child, logs / f"{child.name}.log") for child in children]
        self.started_ms = _now_ms()
        self._client = httpx.Client(timeout=2, trust_env=False)

    def start(self) -> None:
        """Starts every child that is not held. Raises PortTaken before anything is started."""
        for one in self.all:
            for port, variable in one.child.ports.items():
                check_port(HOST, port, variable)
        for one in self.all:
            if not self._is_held(one):
                self._launch(one)

    def look(self) -> bool:
        """Buries the dead, restarts what is due, asks those that start whether they are ready, obeys holds.

        Returns whether anything changed since the last look.
        """
        before = self.components()
        for one in self.all:
            if self._is_held(one):
                self._hold(one)
            elif one.process is not None and one.process.poll() is not None:
                self._bury(one)
            elif one.process is None and time.monotonic() >= one.next_start:
                self._launch(one)
            elif one.state == "starting" and self._ready(one):
                one.become("ready")
                took = time.monotonic() - one.started
                self.console.print(f"[green]ready[/]     {one.child.name} ({took:.1f} s)")
        return before != self.components()

    def waiting(self) -> list[str]:
        """The names of those that are neither ready nor held."""
        return [one.child.name for one in self.all if one.state not in ("ready", "held")]

    def components(self) -> tuple[Component, ...]:
        """Every child as it is now."""
        return tuple(one.seen() for one in self.all)

    def run(self, bootstrap: str) -> Run:
        """Everything as it is now, for other commands to read."""
        return Run(os.getpid(), self.started_ms, bootstrap, self.components())

    def stop(self) -> None:
        """Stops every child, the last started first, and waits for each."""
        for one in reversed(self.all):
            if one.process is not None and one.process.poll() is None:
                self.console.print(f"stopping  {one.child.name}")
                stop_process(one.process, STOP_S)
            one.process = None
        self._client.close()

    def _is_held(self, one: Supervised) -> bool:
        return (self.held / one.child.name).exists()

    def _hold(self, one: Supervised) -> None:
        if one.process is not None:
            stop_process(one.process, STOP_S)
            one.process = None
        if one.state != "held":
            one.become("held")
            one.crashes, one.next_start = 0, 0.0
            self.console.print(f"[yellow]stopped[/]   {one.child.name}, until it is mended")

    def _launch(self, one: Supervised) -> None:
        if one.log.exists() and one.log.stat().st_size > LOG_BYTES:
            one.log.replace(one.log.with_suffix(".log.1"))
        with one.log.open("ab") as log:
            one.process = subprocess.Popen(
                one.child.argv,
                env={**os.environ, **self.env, **one.child.env, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the supervisor: children stop in its order
                preexec_fn=ends_with_starter(),
            )
        one.started = time.monotonic()
        one.become("starting" if one.child.ready_url else "ready")

    def _bury(self, one: Supervised) -> None:
        assert one.process is not None  # noqa: S101 - the caller looked
        status, one.process = one.process.wait(), None
        one.crashes = 1 if time.monotonic() - one.started > STEADY_S else one.crashes + 1
        pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (one.crashes - 1))
        one.next_start = time.monotonic() + pause
        one.become("restarting")
        self.console.print(
            f"[red]ended[/]     {one.child.name} ({_how(status)}); starting it again in {pause:g} s; "
            f"its log: {one.log}"
        )
        if said := last_line(one.log):
            self.console.print(f"          {said}", markup=False, highlight=False)

    def _ready(self, one: Supervised) -> bool:
        try:
            return self._client.get(one.child.ready_url or "").status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False


def last_line(log: Path) -> str:
    """The last line of a log that says anything, at most 200 characters; empty when there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return next((line.strip()[:200] for line in reversed(lines) if line.strip()), "")


def _how(status: int) -> str:
    return f"killed by signal {-status}" if status < 0 else f"exit status {status}"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
