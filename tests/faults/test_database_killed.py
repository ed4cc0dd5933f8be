"""PostgreSQL is killed hard while mails and outcomes are taken: the services say so in one line and end;
started again they go on, and nothing is missing or double."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.around import WITHIN_S, Around, Place, Running, complaints, end_of
from tests.faults.cases import LONG, SEED
from tests.faults.desks import Desk, desk
from tests.faults.killed_postgres import Postgres, postgres
from tests.faults.noted import note
from tests.faults.offices import Office, office, people
from tests.faults.prepared import prepared
from tests.mail.relay import Relay
from tests.mail.servers import MailServer

TIMES = 20 if LONG else 3


@pytest.fixture
def database() -> Iterator[Postgres]:
    # Its user must reach it, and a socket's path is short: pytest's directories are neither.
    with tempfile.TemporaryDirectory(prefix="garant-postgres-") as home:
        Path(home).chmod(0o755)
        with postgres(Path(home) / "data") as found:
            yield found


@pytest.fixture
def around(kafka: str, mail: MailServer, relay: Relay) -> Around:
    return Around(prepared(), kafka, mail, relay)


def killed(database: Postgres, it: Desk | Office, process: Running, name: str) -> None:
    """The database dies, the service ends and says why in one line, and so does one that is started now; then
    the database is started again."""
    since = end_of(it.log)
    database.kill()
    for one in (process, it.start()):
        assert one.wait(WITHIN_S) == 1, complaints(it.log, since)
    told = complaints(it.log, since)
    assert len(told) == 2, told
    assert all(line.startswith(f"error: The {name} database") for line in told), told
    database.start()


def test_given_a_database_killed_while_mails_are_taken_then_each_is_answered_exactly_once(
    around: Around, database: Postgres, tmp_path: Path
) -> None:
    chance, in_flight = random.Random(SEED), 0
    with desk(around, around.server.new_user(), Place(tmp_path / "desk", url=database.url)) as it:
        for number in range(TIMES):
            process = it.start()
            it.answers.again()
            for more in range(4):
                it.write(f"mail-{number}-{more}")
            before = len(it.sent())
            deadline = time.monotonic() + WITHIN_S
            while len(it.sent()) == before and chance.random() > 0.02:
                assert process.poll() is None, it.said()
                assert time.monotonic() < deadline, it.said()
                time.sleep(0.05)
            in_flight += len(it.mails) - len(it.sent())
            killed(database, it, process, "support")
        it.finish()
        it.check()
    note("database of support killed", times=TIMES, in_flight=in_flight, seed=SEED)


def test_given_a_database_killed_while_outcomes_are_taken_then_each_letter_leaves_exactly_once(
    around: Around, database: Postgres, tmp_path: Path
) -> None:
    chance, in_flight = random.Random(SEED), 0
    own, address = Place(tmp_path / "office", url=database.url), around.server.new_user()
    with people() as asked, office(around, address, asked, own) as it:
        for _ in range(TIMES):
            process = it.start()
            it.conclude(10)
            before = len(it.sent())
            deadline = time.monotonic() + WITHIN_S
            while len(it.sent()) == before and chance.random() > 0.02:
                assert process.poll() is None, it.said()
                assert time.monotonic() < deadline, it.said()
                time.sleep(0.05)
            in_flight += it.letters - len(it.sent())
            killed(database, it, process, "notify")
        it.finish()
        it.check()
    note("database of notify killed", times=TIMES, in_flight=in_flight, seed=SEED)
