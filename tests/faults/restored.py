"""An installation to lose and to restore: a broker and databases of its own, all that keeps something."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pgserver
from sqlalchemy import create_engine, make_url, text

from services.cli.local.local_kafka import LocalKafka
from services.cli.local.ports import free_port
from services.cli.publish import publish_facts
from services.sla.history import History
from services.sla.promises import Promises
from shared.facts import Fact
from shared.kafka import read_topic
from shared.settings import KafkaSettings
from shared.topic_admin import ensure_topics
from shared.topics import JOURNAL
from tests.conftest import StartKafka
from tests.upgrade.processes import CHECKOUT, GARANT, Service
from tests.waiting import eventually

KEEP = ("billing", "support", "notify", "status")
"""The services with a database."""
PROGRAMS = Path(pgserver.__file__).parent / "pginstall" / "bin"


class Installation:
    """SLA service, billing, support, notify, status page; a broker and a PostgreSQL of the test's own."""

    def __init__(self, home: Path, start_kafka: StartKafka) -> None:
        self.home = home
        self._start_kafka = start_kafka
        self.running: dict[str, Service] = {}
        # Not in `home`: the server is another user where this one is root, and pytest's folders are private.
        self._server: Any = pgserver.get_server(
            Path(tempfile.mkdtemp(prefix="garant-postgres-")), cleanup_mode="delete"
        )
        self._admin = create_engine(
            make_url(self._server.get_uri()).set(drivername="postgresql+psycopg"),
            isolation_level="AUTOCOMMIT",
        )
        for name in KEEP:
            self._run(f"CREATE DATABASE {name}")
        self.new_broker("kafka")
        ensure_topics(self.kafka)

    def new_broker(self, name: str) -> None:
        """A broker on an empty disk."""
        self.data = self.home / name
        self.broker: LocalKafka = self._start_kafka(self.data)
        self.kafka = KafkaSettings(bootstrap=self.broker.bootstrap)

    @property
    def env(self) -> dict[str, str]:
        """What every process is told."""
        url = {name: make_url(self._server.get_uri()).set(database=name) for name in KEEP}
        return {
            "GARANT_SLA_STATE_SAVE_EVERY_S": "0.5",
            "GARANT_SLA_SNAPSHOT_EVERY_S": "1",
            "GARANT_BILLING_ISSUE_EVERY_S": "3600",
            "GARANT_NOTIFY_SUPPORT_URL": "http://127.0.0.1:1",
            **{
                f"GARANT_{name.upper()}_DATABASE_URL": url[name].render_as_string(hide_password=False)
                for name in KEEP
            },
        }

    def start(self, *names: str) -> None:
        """Starts services and returns once they are ready."""
        for name in names:
            arguments = [] if name == "sla" else ["serve"]
            port = free_port()
            more = {"GARANT_STATUS_API_PORT": str(port)} if name == "status" else {}
            self.running[name] = Service(name, self.kafka, self.home, {**self.env, **more}, *arguments)
            self.running[name].port = port if more else self.running[name].port
        for name in names:  # notify is not ready without a relay, the page not without its targets
            self.running[name].wait("/live" if name in ("notify", "status") else "/ready")

    def kill(self, *names: str) -> None:
        for name in names or tuple(self.running):
            self.running.pop(name).kill()

    def lose_kafka(self) -> None:
        """The broker is gone, disk and all."""
        self.broker.stop()
        shutil.rmtree(self.data)

    def garant(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs a command on this installation."""
        return subprocess.run(
            [sys.executable, "-c", GARANT, *arguments],
            cwd=CHECKOUT,
            env=self._environment({**self.env, "GARANT_HOME": str(self.home)}),
            capture_output=True,
            text=True,
            timeout=300,
        )

    def done(self, *arguments: str) -> str:
        """What a command said that had to succeed."""
        run = self.garant(*arguments)
        assert run.returncode == 0, run.stdout + run.stderr
        return run.stdout

    def dump(self, *names: str) -> None:
        """Dumps databases, as the page says."""
        for name in names:
            self._postgres("pg_dump", "--format=custom", f"--file={self._file(name)}", self._uri(name))

    def restore(self, *names: str) -> None:
        """Puts the dumps in the databases' place."""
        for name in names:
            self._run(f"DROP DATABASE {name} WITH (FORCE)")
            self._run(f"CREATE DATABASE {name}")
            self._postgres("pg_restore", "--exit-on-error", f"--dbname={self._uri(name)}", self._file(name))

    def publish(self, *facts: Fact) -> None:
        asyncio.run(publish_facts(self.kafka, facts, "/test"))

    def digests(self, ends: Mapping[int, int]) -> dict[int, str]:
        """The running digest of each journal partition before the offset in `ends`, replayed from the log."""
        found = {}
        for partition, end in ends.items():
            fold = Promises(History(partition=partition))
            for record in read_topic(self.kafka, JOURNAL, partition):
                if record.offset < end:
                    fold.apply(record.offset, record.value or b"")
            found[partition] = fold.history.digest.hex()
        return found

    def ledger(self, subscription: str) -> list[tuple[str, int, str]]:
        """Every credit booked for a subscription: credit, revision, amount; not what invoices used."""
        answer = self.running["billing"].ask("GET", f"/subscriptions/{subscription}/ledger")
        booked = [one for one in answer if one["revision"] is not None]
        return sorted((one["credit"], one["revision"], one["amount"]) for one in booked)

    def booked(self, subscription: str, count: int) -> list[tuple[str, int, str]]:
        """The same, once there are `count` entries."""
        eventually(lambda: len(self.ledger(subscription)) == count)
        return self.ledger(subscription)

    def close(self) -> None:
        self.kill()
        self._admin.dispose()
        self._server.cleanup()

    def _file(self, name: str) -> str:
        return str(self.home / f"{name}.dump")

    def _uri(self, name: str) -> str:
        return make_url(self._server.get_uri()).set(database=name).render_as_string(hide_password=False)

    def _run(self, statement: str) -> None:
        with self._admin.connect() as connection:
            connection.execute(text(statement))

    def _postgres(self, program: str, *arguments: str) -> None:
        done = subprocess.run([PROGRAMS / program, *arguments], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def _environment(self, env: Mapping[str, str]) -> dict[str, str]:
        return {
            **os.environ,
            **env,
            "GARANT_KAFKA_BOOTSTRAP": self.kafka.bootstrap,
            "PYTHONPATH": str(CHECKOUT),
        }
