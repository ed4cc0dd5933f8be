"""How many mails a second the desk takes in from a real mailbox: `python -m bench.intake [MAILS] [KIND]`.

The mails are put into a mailbox of a mail server of its own (`tests.mail.servers`) first; then time counts
from the first connection until the last mail is committed, in one process. KIND is sqlite (the default) or
postgresql.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from services.support.filing import position
from services.support.tables import messages, outbox, tickets
from services.support.taking import take
from shared import logs
from shared.database import reading, wall_clock
from shared.mail.mailbox import Delivery, State, watch
from tests.core.billing_books import SetClock
from tests.core.support_mail import empty_desk, furnish, mail, settings
from tests.mail.servers import kinds, mail_server

_BOX = "bench"
_TEXT = "The application has been slow since this morning.\r\n" * 40


def measure(wanted: int, kind: str) -> dict[str, Any]:
    """Takes `wanted` mails into a database of `kind`."""
    logs.configure(level=30)
    with (
        tempfile.TemporaryDirectory(prefix="garant-bench-") as folder,
        empty_desk(kind, Path(folder)) as engine,
    ):
        furnish(engine, SetClock())
        server = mail_server(kinds()[0], Path(tempfile.mkdtemp(dir=folder)))
        server.start()
        try:
            user = server.new_user()
            with server.imap(user) as client:
                for number in range(wanted):
                    client.append(
                        "INBOX", mail(f"Slow {number}", _TEXT, message_id=f"<{number}@demo.example>")
                    )
            desk = settings(
                imap_host=server.host,
                imap_port=server.imap_port,
                imap_user=user,
                imap_password=server.users[user],
                imap_tls="none",
            )
            mailbox = desk.mailbox()
            assert mailbox is not None
            stop, state, batches = threading.Event(), State(), list[int]()

            def reached(validity: int) -> int:
                with reading(engine) as connection:
                    return position(connection, _BOX, validity)

            def put_away(found: Sequence[Delivery]) -> None:
                batches.append(len(take(engine, desk, _BOX, found, wall_clock)))
                if sum(batches) >= wanted:
                    stop.set()

            begun, cpu = time.perf_counter(), time.process_time()
            watch(mailbox, reached, put_away, stop, state)
            spent, worked = time.perf_counter() - begun, time.process_time() - cpu
        finally:
            server.remove()
        with engine.connect() as connection:
            counted = [
                connection.execute(select(func.count()).select_from(table)).scalar_one()
                for table in (messages, tickets, outbox)
            ]
        assert counted == [wanted] * 3, counted
    return {
        "part": "intake",
        "mails": wanted,
        "mailbox": server.kind,
        "database": kind,
        "per_second": round(wanted / spent),
        "batches": len(batches),
        "cpu_ms_per_mail": round(1_000 * worked / wanted, 2),
    }


if __name__ == "__main__":
    print(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000, *(sys.argv[2:] or ["sqlite"])))
