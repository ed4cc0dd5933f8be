"""Databases of released versions: rows mean what they meant, what waits goes out once, newer are refused."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.cloudevents import ORIGIN, parse_origin
from shared.database import DatabaseUnusable, migrate, open_engine
from shared.settings import KafkaSettings
from shared.topics import SUBSCRIPTION_EVENTS, TICKET_EVENTS, Topic
from tests.core.billing_books import KINDS, empty_url
from tests.mail.relay import Relay
from tests.upgrade.books import TOKEN, make_books, rows
from tests.upgrade.conftest import Left, Start
from tests.upgrade.processes import Service
from tests.upgrade.shown import SERVICES, answered
from tests.waiting import eventually

UNSENT = "SELECT sequence, fact FROM outbox JOIN {} USING (sequence) WHERE sent_at IS NULL ORDER BY sequence"

WAITING = "SELECT message_id FROM letters WHERE state = 'waiting' AND purpose <> 'marker' ORDER BY 1"
STANDING = "SELECT id, state FROM letters WHERE purpose <> 'marker'"
LEDGER = "SELECT * FROM ledger_entries ORDER BY sequence"


def still_said(old: Any, new: Any, where: str) -> None:
    """Everything that was answered is answered still; a newer version may answer more."""
    if isinstance(old, dict):
        assert isinstance(new, dict), where
        for name, value in old.items():
            still_said(value, new.get(name, "nothing"), f"{where}.{name}")
    elif isinstance(old, list):
        assert isinstance(new, list), where
        assert len(new) == len(old), where
        for number, value in enumerate(old):
            still_said(value, new[number], f"{where}[{number}]")
    else:
        assert new == old, where


@pytest.mark.parametrize("service", SERVICES)
def test_given_a_database_of_a_released_version_then_every_row_is_kept_and_means_what_it_meant(
    left: Left, service: str, tmp_path: Path
) -> None:
    database = tmp_path / f"{service}.db"
    make_books(left.folder / f"{service}.sql", database)
    before = rows(database)
    found = answered(service, database, left.written_at)
    still_said(left.answers(service), found, service)
    after = rows(database)
    del before["alembic_version"]
    for table, old in before.items():
        assert len(after[table]) == len(old), table
        columns = old[0].keys() if old else ()
        kept = [{name: row[name] for name in columns} for row in after[table]]
        assert sorted(kept, key=repr) == old, table


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("service", SERVICES)
def test_given_a_database_that_a_newer_version_has_changed_then_it_is_refused_and_left_as_it_is(
    service: str, kind: str, tmp_path: Path
) -> None:
    with empty_url(kind, tmp_path) as url:
        engine = open_engine(url, SERVICES[service])
        migrate(engine, SERVICES[service])
        with engine.begin() as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
        with pytest.raises(DatabaseUnusable, match="has schema 9999, which this version does not know"):
            migrate(engine, SERVICES[service])
        with engine.begin() as connection:
            found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalars().all()
        assert found == ["9999"]
        engine.dispose()


def test_given_a_newer_database_then_the_service_ends_with_one_line_and_status_1(
    left: Left, tmp_path: Path
) -> None:
    database = tmp_path / "billing.db"
    make_books(left.folder / "billing.sql", database)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    billing = Service("billing", KafkaSettings(bootstrap="127.0.0.1:1"), tmp_path, {})
    try:
        assert billing.process.wait(60) == 1
    finally:
        billing.kill()
    (line,) = [line for line in billing.said().splitlines() if "9999" in line]
    assert line.startswith("error: The billing database ")
    assert "Traceback" not in billing.said()


class Desk:
    """The database and the relay of a service that writes letters, as they are when it starts."""

    def __init__(self, name: str, home: Path) -> None:
        self.database = home / f"{name}.db"
        self.relay = Relay()
        self.waiting = [row[0] for row in select(self.database, WAITING)]
        self.before = dict(select(self.database, STANDING))
        self.env = {
            f"GARANT_{name.upper()}_SMTP_HOST": self.relay.host,
            f"GARANT_{name.upper()}_SMTP_PORT": str(self.relay.port),
        }

    def sent(self) -> list[str]:
        """The Message-IDs that the relay has, also twice."""
        return sorted(one.message_id for one in self.relay.accepted)

    def now(self) -> dict[str, str]:
        """The state of each letter."""
        return dict(select(self.database, STANDING))


def select(database: Path, statement: str) -> list[Any]:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return connection.execute(statement).fetchall()


def test_given_databases_of_a_released_version_then_what_waits_goes_out_once_and_nothing_else(
    left: Left, put_back: KafkaSettings, start: Start, tmp_path: Path
) -> None:
    for service in SERVICES:
        make_books(left.folder / f"{service}.sql", tmp_path / f"{service}.db")
    unsent = {
        SUBSCRIPTION_EVENTS: select(tmp_path / "billing.db", UNSENT.format("subscription_facts")),
        TICKET_EVENTS: select(tmp_path / "support.db", UNSENT.format("ticket_facts")),
    }
    ledger = select(tmp_path / "billing.db", LEDGER)
    desks = {name: Desk(name, tmp_path) for name in ("support", "notify")}
    assert all(unsent.values())
    assert all(desk.waiting for desk in desks.values())
    assert {"accepted", "refused", "doubtful", "sending", "waiting"} <= set(desks["notify"].before.values())

    def published() -> dict[Topic, list[tuple[int, str]]]:
        new = left.behind(put_back, *unsent)
        return {
            topic: sorted(
                (parse_origin(one.headers[ORIGIN]).offset, (one.value or b"").decode()) for one in each
            )
            for topic, each in new.items()
        }

    try:
        for desk in desks.values():
            desk.relay.start()
        support = start("support", ready="", **desks["support"].env)
        billing = start("billing", ready="")
        asking = {
            "GARANT_NOTIFY_SUPPORT_URL": f"http://127.0.0.1:{support.port}",
            "GARANT_NOTIFY_SUPPORT_TOKEN": TOKEN,
        }
        notify = start("notify", ready="", **desks["notify"].env, **asking)
        for one in (support, billing, notify):
            one.wait()
        eventually(lambda: published() == unsent)
        eventually(lambda: all(desk.sent() == desk.waiting for desk in desks.values()))
        eventually(lambda: 'result="repeat"' in metrics(billing))  # it reads every credit again
        time.sleep(1.5)
        assert published() == unsent
        for desk in desks.values():
            assert desk.sent() == desk.waiting
            becomes = {"waiting": "accepted", "sending": "doubtful"}
            assert desk.now() == {name: becomes.get(state, state) for name, state in desk.before.items()}
        entries = select(tmp_path / "billing.db", LEDGER)
        assert entries[: len(ledger)] == ledger
        assert not [entry for entry in entries[len(ledger) :] if entry[1] == "credit"]
    finally:
        for desk in desks.values():
            desk.relay.stop()


def metrics(service: Service) -> str:
    """What the service counts."""
    return httpx.get(f"http://127.0.0.1:{service.port}/metrics", timeout=5, trust_env=False).text
