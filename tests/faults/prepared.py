"""`garant` processes that start in a moment: one process imports everything once and forks.

What is run is the command line itself, in a process of its own, with the environment it is told; only the
second or two that Python takes to import it are spared. A hundred starts then take seconds, not minutes.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from services.cli.up.tether import ends_with_starter

ROOT = Path(__file__).resolve().parents[2]
GARANT = "from services.cli.main import run; run()"
IMPORTED = (
    *("services.cli.main", "services.support.app", "services.support.command", "services.notify.app"),
    *("services.notify.command", "services.probe.app", "services.probe.command", "alembic.command"),
    *("uvicorn.protocols.http.auto", "uvicorn.protocols.websockets.auto", "uvicorn.loops.auto"),
    *("sqlalchemy.dialects.sqlite", "kafka", "aiokafka", "logging.config", "uvicorn.lifespan.off"),
    *("pydantic.v1", "anyio._backends._asyncio", "tzdata", "psycopg"),
)


class Process:
    """A forked process; like `subprocess.Popen`, as far as tests need it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.ended = threading.Event()

    def poll(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return self.returncode

    def wait(self, timeout_s: float = 60) -> int:
        """The exit status. Raises TimeoutError where it still runs after `timeout_s`."""
        if not self.ended.wait(timeout_s):
            raise TimeoutError(f"process {self.pid} still runs after {timeout_s:g} s")
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        """Sends it, unless the process has ended."""
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """kill -9, and waits."""
        self.send_signal(signal.SIGKILL)
        self.wait()


class Prepared:
    """Starts `garant` processes; safe to use from several threads."""

    def __init__(self, starter: subprocess.Popen[str]) -> None:
        self._starter = starter
        self._lock = threading.Lock()
        self._begun: list[Process] = []
        self._new = threading.Event()
        self._processes: dict[int, Process] = {}
        threading.Thread(target=self._listen, daemon=True).start()

    def start(self, arguments: Sequence[str], env: Mapping[str, str], log: Path) -> Process:
        """Runs `garant ARGUMENTS` with `env` as its whole environment; what it says is added to `log`."""
        told = json.dumps({"arguments": list(arguments), "env": dict(env), "log": str(log)})
        assert self._starter.stdin is not None
        with self._lock:
            self._new.clear()
            self._starter.stdin.write(told + "\n")
            self._starter.stdin.flush()
            while not self._new.wait(0.2):
                assert self._starter.poll() is None, "the starting process ended; see what it said"
            return self._begun.pop()

    def _listen(self) -> None:
        assert self._starter.stdout is not None
        for line in self._starter.stdout:
            pid, _, status = line.strip().partition(" ")
            if not status:
                self._processes[int(pid)] = Process(int(pid))
                self._begun.append(self._processes[int(pid)])
                self._new.set()
            else:
                process = self._processes.pop(int(pid))
                process.returncode = os.waitstatus_to_exitcode(int(status))
                process.ended.set()


class Own:
    """Starts `garant` processes in the usual way; `before` stands before the command, or in its place."""

    def __init__(self, *before: str, garant: Sequence[str] = (sys.executable, "-c", GARANT)) -> None:
        self._command = (*before, *garant)

    def start(self, arguments: Sequence[str], env: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
        """As `Prepared.start`."""
        with log.open("ab") as out:
            return subprocess.Popen(
                [*self._command, *arguments], cwd=ROOT, env=dict(env), stdout=out, stderr=subprocess.STDOUT
            )


@cache
def prepared() -> Prepared:
    """The starting process, one for the whole test run; what it started ends with it.

    To be called from the main thread first: the process ends with the thread that started it.
    """
    assert threading.current_thread() is threading.main_thread()
    starter = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.prepared"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=ends_with_starter(),
    )
    atexit.register(starter.kill)
    return Prepared(starter)


def main() -> None:
    """The starting process: a line of standard input is a process to start."""
    for name in IMPORTED:
        importlib.import_module(name)
    gc.freeze()
    running: set[int] = set()
    held = b""
    while True:
        if select.select([0], [], [], 0.02)[0]:
            if not (data := os.read(0, 65_536)):
                return
            *lines, held = (held + data).split(b"\n")
            for line in lines:
                running.add(_fork(json.loads(line)))
        for pid in list(running):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                running.discard(pid)
                print(pid, status, flush=True)  # noqa: T201


def _fork(told: dict[str, object]) -> int:
    tether = ends_with_starter()
    if pid := os.fork():
        print(pid, flush=True)  # noqa: T201
        return pid
    status = 70
    try:
        tether()
        log = os.open(str(told["log"]), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        status = _run(told)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _run(told: dict[str, object]) -> int:
    env = told["env"]
    assert isinstance(env, dict)
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    from services.cli.main import run
    from shared import failpoints

    importlib.reload(failpoints)  # it reads the environment once, when it is imported
    arguments = told["arguments"]
    assert isinstance(arguments, list)
    sys.argv = ["garant", *arguments]
    try:
        run()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


if __name__ == "__main__":
    main()
