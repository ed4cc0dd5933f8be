"""Takes a mailbox in, killed at every step once: a process for each step, until one has nothing left to do.

`python -m tests.mail.taking_process DATABASE_URL HOST PORT ADDRESS PASSWORD HOPS` prints how many died.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Engine, event

from services.support.database import DESK
from services.support.filing import position
from services.support.taking import take
from shared import logs
from shared.database import open_engine, reading, wall_clock
from shared.mail.mailbox import Delivery, State, watch
from tests.core.support_mail import settings

BOX = "killed"


def run(told: Sequence[str], step: int) -> None:
    """Takes the mailbox in, and dies at the given step of the database's work."""
    url, host, port, address, password, hops = told
    left = [step]

    def count(*_: Any) -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    engine = open_engine(url, DESK)
    event.listen(engine, "before_cursor_execute", count)
    event.listen(engine, "commit", count)  # before it is committed
    desk = settings(
        imap_host=host,
        imap_port=int(port),
        imap_user=address,
        imap_password=password,
        imap_tls="none",
        received_hops=int(hops),
    )
    mailbox = desk.mailbox()
    assert mailbox is not None
    watch(
        mailbox,
        lambda validity: _reached(engine, validity),
        lambda found: _take(engine, desk, found, count),
        *_until_taken(),
    )


def _reached(engine: Engine, validity: int) -> int:
    with reading(engine) as connection:
        return position(connection, BOX, validity)


def _take(engine: Engine, desk: Any, found: Sequence[Delivery], count: Any) -> None:
    take(engine, desk, BOX, found, wall_clock)
    count()  # after it is committed


def _until_taken() -> tuple[threading.Event, State]:
    stop, state = threading.Event(), State()

    def look() -> None:
        while state.checked_at is None:
            time.sleep(0.01)
        stop.set()

    threading.Thread(target=look, daemon=True).start()
    return stop, state


def main() -> None:
    logs.configure(level=40)
    killed = 0
    while True:
        child = os.fork()
        if child == 0:
            run(sys.argv[1:], killed + 1)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status == 0:
            print(killed)  # noqa: T201
            return
        assert os.WIFSIGNALED(status), status
        killed += 1


if __name__ == "__main__":
    main()
