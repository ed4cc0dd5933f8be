"""`garant up`: a broker, the topics, the demo application and every service on this machine, until Ctrl-C."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path

from rich.console import Console

from services.cli.demo.installation import on_this_machine
from services.cli.demo.start import start_demo
from services.cli.local.kept_broker import KeptBroker
from services.cli.up.children import children, page_address
from services.cli.up.run_state import Run, only_run, read_run, write_run
from services.cli.up.settings import UpSettings
from services.cli.up.status import status_table
from services.cli.up.stop import Stop, Stopped
from services.cli.up.supervisor import Child, Supervisor
from shared.errors import NeedsAPerson
from shared.settings import HomeSettings

LOOK_S = 0.2
LOW_BYTES = 100 * 1024 * 1024
FOR_A_PERSON = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS)


class NoRoom(NeedsAPerson):
    """Garant's directory is on a full disk, or may not be written."""


def up() -> None:
    """Run everything here: Kafka, the demo application, probes, SLA, billing, support, notify and the status
    page. Ctrl-C stops it."""
    home, settings = HomeSettings().home.absolute(), UpSettings()
    declare = None if settings.probes else _start_demo
    run(
        home,
        lambda: children(home, settings),
        Console(),
        ready_s=settings.ready_s,
        declare=declare,
        page=page_address(settings),
    )


def _start_demo(home: Path, run: Run, now_ms: int) -> str:
    return start_demo(on_this_machine(home, run), now_ms)


Declare = Callable[[Path, Run, int], str]
"""Told the directory, what runs and the time (ms) once all is ready; returns what to tell a person."""


def run(
    home: Path,
    table: Callable[[], tuple[Child, ...]],
    console: Console,
    *,
    ready_s: float = 90.0,
    declare: Declare | None = None,
    page: str | None = None,
) -> None:
    """Runs the children of `table` on directory `home` until SIGINT or SIGTERM, then stops them in order.
    `page` is the status page's address, told once all is ready.

    Raises NeedsAPerson, with everything stopped, when it cannot start or carry on.
    """
    stop = Stop()
    try:
        with suppress(Stopped), only_run(home), stop.listening():
            _run(home, table, console, stop, ready_s, declare, page)
    except OSError as problem:
        if problem.errno not in FOR_A_PERSON:
            raise
        raise NoRoom(
            f"{problem.filename or home}: {problem.strerror}. Make room there, or allow writing, or put "
            "Garant's data elsewhere with GARANT_HOME; then run this again: it carries on where it was."
        ) from problem
    console.print("stopped")


def _run(
    home: Path,
    table: Callable[[], tuple[Child, ...]],
    console: Console,
    stop: Stop,
    ready_s: float,
    declare: Declare | None,
    page: str | None,
) -> None:
    broker = KeptBroker(home, console, stop)
    try:
        broker.open()
        env = {"GARANT_KAFKA_BOOTSTRAP": broker.bootstrap, "GARANT_HOME": str(home)}
        supervisor = Supervisor(table(), home, env, console)
        try:
            supervisor.start()
            if _wait_until_ready(home, broker, supervisor, console, stop, ready_s):
                _tell(home, console, declare, page)
            while not stop.asked.wait(LOOK_S):
                _look(home, broker, supervisor)
        finally:
            supervisor.stop()
    finally:
        broker.stop()
        (home / "run.json").unlink(missing_ok=True)


def _wait_until_ready(
    home: Path, broker: KeptBroker, supervisor: Supervisor, console: Console, stop: Stop, ready_s: float
) -> bool:
    deadline = time.monotonic() + ready_s
    with console.status("starting") if console.is_terminal else nullcontext() as progress:
        while not stop.asked.wait(LOOK_S):
            _look(home, broker, supervisor)
            waiting = supervisor.waiting()
            if not waiting or time.monotonic() >= deadline:
                break
            if progress is not None:
                progress.update(f"waiting for {', '.join(waiting)}")
    if stop.asked.is_set():
        return False
    if waiting:
        console.print(f"[red]not ready[/] after {ready_s:g} s: {', '.join(waiting)}; logs: {home / 'logs'}")
    run = read_run(home)
    if run is not None:
        console.print(status_table(run))
    return not waiting


def _tell(home: Path, console: Console, declare: Declare | None, page: str | None) -> None:
    run = read_run(home)
    if declare is not None and run is not None:
        try:
            console.print(declare(home, run, time.time_ns() // 1_000_000), soft_wrap=True)
        except NeedsAPerson as problem:  # what runs, runs
            console.print(f"[yellow]the demonstration's subscription was not declared[/]: {problem}")
    if page is not None:
        console.print(
            f"[b]The public status page[/]: {page}/ (staff write on it with [b]garant incident[/]).",
            soft_wrap=True,
        )
    console.print(
        "Ctrl-C stops everything. In another terminal (.venv/bin/garant ...): [b]garant status[/], "
        "[b]garant demo break[/] and [b]mend[/], [b]garant demo month[/], [b]garant demo write[/], "
        "[b]garant desk[/].",
        soft_wrap=True,
    )


def _look(home: Path, broker: KeptBroker, supervisor: Supervisor) -> None:
    broker.look()
    if supervisor.look():
        write_run(home, supervisor.run(broker.bootstrap))
    if shutil.disk_usage(home).free < LOW_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(home))
