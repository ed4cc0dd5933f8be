"""What runs here now, as `garant up` writes it down and other commands read it: GARANT_HOME/run.json."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import DecodeError, Struct, ValidationError, json

from shared.errors import NeedsAPerson


class AlreadyRuns(NeedsAPerson):
    """Another `garant up` holds this directory."""


class Component(Struct, frozen=True):
    """A process under supervision; `state` is starting, ready, restarting or held, `since_ms` when it became
    so (Unix time, ms). `pid` is None while there is no process."""

    name: str
    pid: int | None
    state: str
    since_ms: int
    ready_url: str | None
    ports: tuple[int, ...]
    log: str


class Run(Struct, frozen=True):
    """One `garant up`: its own process, the broker's address and every component."""

    pid: int
    started_ms: int
    bootstrap: str
    components: tuple[Component, ...] = ()


def write_run(home: Path, run: Run) -> None:
    """Replaces the file in one step: a reader never sees half of it."""
    new = home / "run.json.new"
    new.write_bytes(json.format(json.encode(run), indent=2) + b"\n")
    new.replace(home / "run.json")


def read_run(home: Path) -> Run | None:
    """The run that is under way, or None: none was started, it ended, or it was killed."""
    if not _held(home):
        return None
    try:
        return json.decode((home / "run.json").read_bytes(), type=Run)
    except (OSError, DecodeError, ValidationError):
        return None


@contextmanager
def only_run(home: Path) -> Iterator[None]:
    """Keeps a second `garant up` out of the directory while this one lives. Raises AlreadyRuns.

    The kernel holds the lock, so a killed run leaves nothing to clean up.
    """
    home.mkdir(parents=True, exist_ok=True)
    lock = os.open(home / "run.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            run = read_run(home)
            who = f" (pid {run.pid})" if run else ""
            raise AlreadyRuns(
                f"Garant already runs on {home}{who}. See it with `garant status`, stop it with Ctrl-C there"
                f"{f' or `kill {run.pid}`' if run else ''}, or set GARANT_HOME to another directory."
            ) from None
        yield
    finally:
        os.close(lock)


def _held(home: Path) -> bool:
    try:
        lock = os.open(home / "run.lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # Shared: two readers at one time must not take each other for a run.
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False
