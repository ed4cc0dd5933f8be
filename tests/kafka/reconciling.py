"""An installation whose real services have worked, for the tests of `garant reconcile`."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import httpx
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from kafka import KafkaProducer
from msgspec import Struct
from typer.testing import CliRunner

from services.billing.database import BOOKS
from services.cli.audit.reconciliation import Reconciled, reconcile
from services.cli.local.ports import free_port
from services.cli.main import app
from services.cli.publish import publish_facts
from shared.codec import decode_credit
from shared.database import open_read_only
from shared.facts import (
    Check,
    Fact,
    FirstResponseSent,
    ProbeResult,
    RequestOpened,
    TargetDeclared,
    TermsPublished,
    WorkLogged,
)
from shared.kafka import read_topic
from shared.outcomes import Credit
from shared.settings import KafkaSettings
from shared.terms import BUILT_IN
from shared.time import HOUR, Instant, parse_instant
from shared.topic_admin import ensure_topics
from shared.topics import (
    CREDITS,
    QUOTA,
    TICKET_EVENTS,
    Topic,
)
from tests.waiting import eventually

GARANT = str(Path(sys.executable).with_name("garant"))
TOKEN = "token-of-the-test"  # noqa: S105
FIRST = parse_instant("2026-09-30T20:00:00.000Z")
SLOT = 4 * HOUR
CUT = parse_instant("2026-10-10T00:00:00.000Z")
CREDIT = "S-1/outage/2026-10-10T00:00:00.000Z"
OTHER = "S-1/outage/2026-10-20T00:00:00.000Z"


def facts() -> Iterator[Fact]:
    """Two cuts of 32 h in October, as one agent saw them."""
    yield TermsPublished("t", date(2026, 1, 1), major=False, terms=BUILT_IN)
    yield TargetDeclared("shop", "Shop", 14_400, (Check("tcp:443", True),), ("zurich",), 2, 2, FIRST)
    for slot in range(FIRST, FIRST + 33 * 24 * HOUR, SLOT):
        down = (slot - CUT) % (10 * 24 * HOUR) < 30 * HOUR and CUT <= slot < CUT + 20 * 24 * HOUR
        outcome, error = ("down", "refused") if down else ("up", None)
        yield ProbeResult("shop", "tcp:443", "zurich", Instant(slot), outcome, None, error)  # type: ignore[arg-type]


def request() -> Iterator[Fact]:
    yield RequestOpened("A-1", "S-1", "T-1", "serious", "account", Instant(CUT))
    yield FirstResponseSent("A-1", "T-1", Instant(CUT + HOUR))
    yield WorkLogged("A-1", "T-1", "1", 50, Instant(CUT + 2 * HOUR))
    yield WorkLogged("A-1", "T-0", "1", 50, Instant(CUT + 2 * HOUR))  # no such request: rejected
    yield TermsPublished("t2", date(2027, 1, 1), major=True, terms=BUILT_IN)


class World(Struct, frozen=True):
    """An installation: where its log is, where its books are, and the environment of its processes."""

    settings: KafkaSettings
    home: Path
    env: dict[str, str]
    services: list[subprocess.Popen[bytes]]

    @property
    def books(self) -> Path:
        return self.home / "billing.db"

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        with (self.home / f"{command[0]}.log").open("ab") as out:
            return subprocess.Popen([GARANT, *command], env=self.env, stdout=out, stderr=subprocess.STDOUT)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs `garant reconcile` as a process of its own."""
        command = [GARANT, "reconcile", *arguments]
        return subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=240)

    def call(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """The same command in this process, which does not take a second to start."""
        command = ["reconcile", *arguments]
        result = CliRunner(env=self.env | environment).invoke(app, command)
        return subprocess.CompletedProcess(command, result.exit_code, result.stdout, result.stderr)

    def put(self, topic: Topic, value: bytes, key: bytes = b"A-1", **options: Any) -> str:
        """Puts raw bytes on a topic, as a stranger's producer would; returns where they lie."""
        producer = KafkaProducer(bootstrap_servers=self.settings.bootstrap, retries=20)
        options["headers"] = [(name, text.encode()) for name, text in options.get("headers", {}).items()]
        put = producer.send(self.settings.topic(topic), key=key, value=value, **options).get(20)
        producer.close()
        return f"{topic.name}/{put.partition}/{put.offset}"

    def first(self, topic: Topic) -> Any:
        return next(iter(read_topic(self.settings, topic)))


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


@contextmanager
def installation(kafka: str, home: Path) -> Iterator[World]:
    """An installation of its own on the broker, with all that the real services make of `facts` and
    `request`; they run until the end of the block."""
    prefix = f"t{uuid.uuid4().hex[:10]}-"
    settings = KafkaSettings(bootstrap=kafka, prefix=prefix)
    sla_port, port = free_port(), free_port()
    env = {
        **os.environ,
        "GARANT_HOME": str(home),
        "GARANT_KAFKA_BOOTSTRAP": kafka,
        "GARANT_KAFKA_PREFIX": prefix,
        "GARANT_BILLING_PORT": str(port),
        "GARANT_BILLING_TOKEN": TOKEN,
        "GARANT_BILLING_ISSUE_EVERY_S": "3600",
    }
    made = World(settings, home, env, [])
    ensure_topics(settings)
    asyncio.run(publish_facts(settings, facts(), "/test"))
    made.services.extend([made.start("sla", "--port", str(sla_port)), made.start("billing", "serve")])
    try:
        eventually(lambda: answers(f"http://127.0.0.1:{port}/ready"))
        eventually(lambda: answers(f"http://127.0.0.1:{sla_port}/ready"))
        body = {
            "account": "A-1",
            "subscription": "S-1",
            "deployment": "cloud",
            "targets": ["shop"],
            "price": "1200.00",
            "term": "year",
            "starts_on": "2026-10-01",
            "language": "fr",
        }
        token = {"Authorization": f"Bearer {TOKEN}"}
        url = f"http://127.0.0.1:{port}/subscriptions"
        assert httpx.post(url, json=body, headers=token, trust_env=False).status_code < 400
        eventually(lambda: any(read_topic(settings, QUOTA)))
        asyncio.run(publish_facts(settings, request(), "/test"))
        made.put(TICKET_EVENTS, b"\xff poison")
        eventually(lambda: counted(made, "quota_warnings") == 1 and counted(made, "inbox") == 2)
        yield made
    finally:
        for one in made.services:
            one.kill()
            one.wait()


def counted(world: World, table: str) -> int:
    with closing(sqlite3.connect(world.books)) as books:
        return int(books.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608


def reconciled(world: World, books: Path | None = None, settle_s: float = 0) -> Reconciled:
    engine = open_read_only(f"sqlite:///{books or world.books}", BOOKS)
    try:
        return reconcile(world.settings, engine, settle_s)
    finally:
        engine.dispose()


def credit_of(world: World, name: str) -> tuple[Credit, bytes]:
    """The first revision of a credit on the log."""
    for record in read_topic(world.settings, CREDITS):
        if record.value and (credit := decode_credit(record.value)).credit == name:
            return credit, record.value
    raise AssertionError(name)


def values(world: World, topic: Topic) -> list[bytes]:
    return [record.value or b"" for record in read_topic(world.settings, topic)]


def sequence_of(world: World, credit: str) -> int:
    """The ledger entry that booked it."""
    with closing(sqlite3.connect(world.books)) as books:
        query = "SELECT sequence FROM ledger_entries WHERE credit = ?"
        return int(books.execute(query, [credit]).fetchone()[0])


def place_of(outcome: Any) -> str:
    return f"{outcome.journal.partition}/{outcome.journal.offset}/{outcome.journal.index}"


async def forget(settings: KafkaSettings, topic: Topic, partition: int, before_offset: int) -> None:
    """What a wrong retention setting does: the broker no longer has a partition's first records."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap)
    await admin.start()
    place = TopicPartition(settings.topic(topic), partition)
    await admin.delete_records({place: RecordsToDelete(before_offset)})
    await admin.close()
