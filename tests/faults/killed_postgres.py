"""A PostgreSQL of a test's own that can be killed hard, postmaster and all, and started again on its data."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pgserver
import psutil
from sqlalchemy import make_url


class Postgres:
    """`url` is where its database is, the same each time."""

    def __init__(self, server: Any) -> None:
        self._server = server
        url = make_url(server.get_uri()).set(drivername="postgresql+psycopg")
        self.url = url.render_as_string(hide_password=False)

    def kill(self) -> int:
        """kill -9 of the postmaster and of everything it started; returns how many processes that were."""
        postmaster = psutil.Process(self._server.get_pid())
        processes = [postmaster, *postmaster.children(recursive=True)]
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        psutil.wait_procs(processes, timeout=10)
        return len(processes)

    def start(self) -> None:
        """Starts it again; it recovers from its log."""
        for _ in range(50):
            try:
                self._server.ensure_postgres_running()
                return
            except Exception:  # the memory it shared is not free yet
                time.sleep(0.2)
        self._server.ensure_postgres_running()


@contextmanager
def postgres(home: Path) -> Iterator[Postgres]:
    """It runs; its data are in `home`, which is made."""
    server: Any = pgserver.get_server(home, cleanup_mode="stop")
    try:
        yield Postgres(server)
    finally:
        server.cleanup()
