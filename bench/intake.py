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


def main(wanted: int, kind: str) -> None:
    """Measures and prints."""
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
        print(
            f"{wanted} mails, {server.kind} mailbox, {kind}: {spent:.2f} s, {wanted / spent:.0f} mails/s "
            f"({len(batches)} batches, {1_000 * worked / wanted:.2f} ms of this process's CPU each)"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000, sys.argv[2] if len(sys.argv) > 2 else "sqlite")
