"""Billing as a process on a real broker and a real database: booked once, published once, whatever dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from msgspec.structs import replace
from sqlalchemy import Engine, text

from services.billing.database import BOOKS
from services.cli.local.local_kafka import LocalKafka
from services.cli.local.ports import free_port
from shared.cloudevents import DEAD_LETTER_REASON, ORIGIN
from shared.codec import encode
from shared.database import migrate, open_engine, writing
from shared.kafka import Record, read_topic
from shared.outcomes import Credit
from shared.settings import KafkaSettings
from shared.topics import CREDITS, DEAD_LETTERS, QUOTA, SUBSCRIPTION_EVENTS
from tests.core.billing_books import KINDS, credit, empty_url, quota_warning, started
from tests.waiting import eventually

TOKEN = "token-of-the-test"  # noqa: S105
SERVICE = "from services.billing.command import app; app(['serve'])"

DIES_BEFORE_THE_BOOKS_ARE_COMMITTED = """
import os, signal
from sqlalchemy import Engine, event
@event.listens_for(Engine, "after_cursor_execute")
def die(connection, cursor, statement, *rest):
    if statement.startswith("INSERT INTO ledger_entries"):
        os.kill(os.getpid(), signal.SIGKILL)
"""
DIES_BETWEEN_BOOKS_AND_POSITION = """
import os, signal
from shared.places import Places
def die(*args):
    os.kill(os.getpid(), signal.SIGKILL)
Places.keep = die
"""
DIES_BETWEEN_BROKER_AND_OUTBOX = """
import os, signal
from services.billing import app
def die(*args):
    os.kill(os.getpid(), signal.SIGKILL)
app.mark_sent = die
"""


class Billing:
    """One instance of the service as a process of its own, and its HTTP API."""

    def __init__(self, url: str, directory: Path, fault: str = "") -> None:
        self.port = free_port()
        self.log = directory / f"billing-{self.port}.log"
        env = {
            **os.environ,
            "GARANT_HOME": str(directory),
            "GARANT_BILLING_DATABASE_URL": url,
            "GARANT_BILLING_PORT": str(self.port),
            "GARANT_BILLING_TOKEN": TOKEN,
            "GARANT_BILLING_ISSUE_EVERY_S": "3600",
        }
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-c", fault + SERVICE], env=env, stdout=out, stderr=subprocess.STDOUT
            )

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = httpx.request(
            method,
            f"http://127.0.0.1:{self.port}{path}",
            json=body,
            headers={"Authorization": f"Bearer {TOKEN}"},
            timeout=20,
            trust_env=False,
        )
        assert answer.status_code < 400, answer.text
        return answer.json()

    def answers(self, path: str = "/live") -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            answer = httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=2, trust_env=False)
        except httpx.HTTPError:
            return False
        return answer.status_code == 200

    def declare(self, subscription: str = "S-1", **more: str) -> None:
        body = {
            "account": "A-1",
            "subscription": subscription,
            "deployment": "cloud",
            "targets": ["T-1"],
            "price": "1200.00",
            "term": "year",
            "starts_on": "2025-01-01",
            "language": "fr",
        }
        self.ask("POST", "/subscriptions", body | more)

    def granted(self, subscription: str = "S-1") -> dict[str, str]:
        rows = self.ask("GET", f"/subscriptions/{subscription}/credits")
        return {row["period"]: row["granted"] for row in rows}


Start = Callable[..., Billing]


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with empty_url(request.param, tmp_path) as found:
        yield found


@pytest.fixture
def start(url: str, tmp_path: Path) -> Iterator[Start]:
    """Starts an instance on the test's own database; whatever still runs is killed after the test."""
    instances: list[Billing] = []

    def begin(fault: str = "") -> Billing:
        instances.append(Billing(url, tmp_path, fault))
        return instances[-1]

    yield begin
    for one in instances:
        one.process.kill()
        one.process.wait()


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """The test's own look at the books."""
    found = open_engine(url, BOOKS)
    yield found
    found.dispose()


def say(settings: KafkaSettings, *values: Credit | bytes, headers: Any = ()) -> None:
    """Puts records on sla.credits, all under one account's key."""
    producer = KafkaProducer(bootstrap_servers=settings.bootstrap, retries=20)
    for value in values:
        data = value if isinstance(value, bytes) else encode(value)
        producer.send(settings.topic(CREDITS), key=b"A-1", value=data, headers=list(headers)).get(20)
    producer.close()


def lag(settings: KafkaSettings) -> int:
    """How many records of sla.credits the group has not committed."""
    consumer = KafkaConsumer(bootstrap_servers=settings.bootstrap, group_id=settings.group("billing"))
    try:
        name = settings.topic(CREDITS)
        places = [TopicPartition(name, number) for number in consumer.partitions_for_topic(name) or ()]
        ends = consumer.end_offsets(places)
        return sum(ends[place] - (consumer.committed(place) or 0) for place in places)
    finally:
        consumer.close()


def published(settings: KafkaSettings) -> list[Record]:
    return list(read_topic(settings, SUBSCRIPTION_EVENTS))


def test_a_credit_on_the_log_is_deducted_from_the_next_invoice(topics: KafkaSettings, start: Start) -> None:
    billing = start()
    eventually(lambda: billing.answers("/ready"))
    billing.declare()
    say(topics, credit("33.27"), credit("33.27"), credit("-13.27", revision=2, total="20.00"))
    eventually(lambda: lag(topics) == 0)
    assert billing.granted() == {"2025-11": "20.00"}
    (first, *_) = billing.ask("POST", "/invoices", {"through": "2025-01-01"})["issued"]
    invoice = billing.ask("GET", f"/invoices/{first}")
    assert (invoice["total"], invoice["lines"][1]["credit"]) == ("1180.00", "S-1/uptime/2025-11")
    metrics = httpx.get(f"http://127.0.0.1:{billing.port}/metrics", trust_env=False).text
    assert 'garant_billing_credit_records_total{result="repeat"} 1.0' in metrics
    billing.process.send_signal(signal.SIGTERM)
    assert billing.process.wait(20) == 0, billing.log.read_text()


def test_a_quota_that_runs_low_is_noted_once_and_what_cannot_be_read_is_buried(
    topics: KafkaSettings, start: Start, produce: Callable[..., None]
) -> None:
    billing = start()
    eventually(lambda: billing.answers("/ready"))
    for data in (
        encode(quota_warning()),
        encode(quota_warning()),
        b"no json",
        encode(quota_warning(90, at=1)),
    ):
        produce(QUOTA, b"A-1", data)
    path = "/subscriptions/S-1/quota-warnings"
    found = eventually(lambda: len(rows := billing.ask("GET", path)) == 2 and rows)
    assert [row["percent"] for row in found] == [75, 90]
    (dead,) = read_topic(topics, DEAD_LETTERS)
    assert dead.headers[ORIGIN].startswith("sla.quota/")


def test_what_is_declared_is_published_in_order_with_its_origin(topics: KafkaSettings, start: Start) -> None:
    billing = start()
    eventually(lambda: billing.answers("/ready"))
    billing.declare()
    change = {"effective_on": "2026-01-01", "price": "900.00"}
    billing.ask("POST", "/subscriptions/S-1/changes", change)
    billing.ask("POST", "/subscriptions/S-1/cancellation", {"ends_on": "2027-01-01"})
    found = eventually(lambda: len(records := published(topics)) == 3 and records)
    assert found[0].value == encode(started())
    assert {record.key for record in found} == {b"A-1"}
    assert [record.headers[ORIGIN] for record in found] == [
        f"billing.outbox/0/{place}/0" for place in (1, 2, 3)
    ]
    assert [record.headers["ce_type"] for record in found] == [
        "garant.SubscriptionStarted",
        "garant.SubscriptionChanged",
        "garant.SubscriptionCancelled",
    ]
    assert len({record.headers["ce_id"] for record in found}) == 3


def test_what_cannot_be_read_goes_to_dead_letters_with_its_origin_and_booking_goes_on(
    topics: KafkaSettings, start: Start
) -> None:
    billing = start()
    say(topics, b"\xff no json", b'{"type":"CreditForgotten"}', b"")
    say(topics, replace(credit("33.27"), currency="FRANC"))
    say(topics, credit("33.27"), headers=[("correlation_id", b"\xff"), ("reply_to", b"sla.credits")])
    eventually(lambda: billing.answers("/ready"))
    eventually(lambda: lag(topics) == 0)
    assert billing.granted() == {"2025-11": "33.27"}
    dead = list(read_topic(topics, DEAD_LETTERS))
    assert [record.value for record in dead[:3]] == [b"\xff no json", b'{"type":"CreditForgotten"}', b""]
    (partition,) = {record.headers[ORIGIN].split("/")[1] for record in dead}
    assert [record.headers[ORIGIN] for record in dead] == [f"sla.credits/{partition}/{n}/0" for n in range(4)]
    assert all(record.headers[DEAD_LETTER_REASON] for record in dead)


@pytest.mark.parametrize(
    ("fault", "booked_when_it_died"),
    [(DIES_BEFORE_THE_BOOKS_ARE_COMMITTED, 0), (DIES_BETWEEN_BOOKS_AND_POSITION, 1)],
    ids=["before the books are committed", "between books and position"],
)
def test_killed_around_the_booking_a_credit_is_booked_once(
    topics: KafkaSettings, start: Start, engine: Engine, fault: str, booked_when_it_died: int
) -> None:
    say(topics, credit("33.27"))
    dying = start(fault)
    assert dying.process.wait(40) == -signal.SIGKILL, dying.log.read_text()
    assert lag(topics) == 1
    with writing(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM ledger_entries")).scalar_one() == (
            booked_when_it_died
        )
        assert connection.execute(text("SELECT count(*) FROM inbox")).scalar_one() == booked_when_it_died
    billing = start()
    eventually(lambda: lag(topics) == 0)
    assert billing.granted() == {"2025-11": "33.27"}
    assert len(billing.ask("GET", "/subscriptions/S-1/ledger")) == 1
    assert billing.ask("GET", "/quarantine") == []


def test_killed_before_the_group_s_offset_is_committed_the_next_one_commits_it(
    topics: KafkaSettings, start: Start
) -> None:
    """Lag would be seen for ever where no further record comes."""
    say(topics, credit("33.27"))
    dying = start("import os; os.environ['GARANT_FAILPOINTS'] = 'billing.inbox.moved'\n")
    assert dying.process.wait(40) == -signal.SIGKILL, dying.log.read_text()
    billing = start()
    eventually(lambda: lag(topics) == 0)
    assert billing.granted() == {"2025-11": "33.27"}


def test_books_restored_from_a_backup_take_the_credits_since_again_and_each_once(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    """The group is past them: what the restored database does not know is read from its own place."""
    url = f"sqlite:///{tmp_path / 'billing.db'}"
    instances = [Billing(url, tmp_path)]
    try:
        eventually(lambda: instances[-1].answers("/ready"))
        instances[-1].declare()
        say(topics, credit("10.00"))
        eventually(lambda: lag(topics) == 0)
        instances[-1].process.terminate()
        assert instances[-1].process.wait(20) == 0
        backup = (tmp_path / "billing.db").read_bytes()
        instances.append(Billing(url, tmp_path))
        eventually(lambda: instances[-1].answers("/ready"))
        say(topics, credit("20.00", revision=2, total="30.00"), credit("5.00", revision=3, total="35.00"))
        eventually(lambda: instances[-1].granted() == {"2025-11": "35.00"})
        eventually(lambda: lag(topics) == 0)
        instances[-1].process.terminate()
        assert instances[-1].process.wait(20) == 0
        (tmp_path / "billing.db").write_bytes(backup)
        instances.append(Billing(url, tmp_path))
        eventually(lambda: instances[-1].answers("/ready"))
        eventually(lambda: instances[-1].granted() == {"2025-11": "35.00"})
        ledger = instances[-1].ask("GET", "/subscriptions/S-1/ledger")
        assert [row["amount"] for row in ledger if row["kind"] == "credit"] == ["10.00", "20.00", "5.00"]
        assert instances[-1].ask("GET", "/quarantine") == []
    finally:
        for one in instances:
            one.process.kill()
            one.process.wait()


def test_killed_between_broker_and_outbox_a_fact_is_repeated_the_same_never_lost(
    topics: KafkaSettings, start: Start
) -> None:
    dying = start(DIES_BETWEEN_BROKER_AND_OUTBOX)
    eventually(lambda: dying.answers("/ready"))
    dying.declare()
    assert dying.process.wait(40) == -signal.SIGKILL, dying.log.read_text()
    assert len(published(topics)) == 1
    start()
    first, again = eventually(lambda: len(records := published(topics)) == 2 and records)
    assert (first.value, first.key, first.headers) == (again.value, again.key, again.headers)
    time.sleep(1)
    assert len(published(topics)) == 2


def test_a_booking_that_fails_ends_the_process_and_skips_nothing(
    topics: KafkaSettings, start: Start, engine: Engine
) -> None:
    migrate(engine, BOOKS)
    with writing(engine) as connection:
        connection.execute(text("ALTER TABLE inbox RENAME TO inbox_away"))
    say(topics, credit("33.27"))
    failing = start()
    assert failing.process.wait(40) == 1, failing.log.read_text()
    assert "inbox" in failing.log.read_text()
    assert lag(topics) == 1
    with writing(engine) as connection:
        connection.execute(text("ALTER TABLE inbox_away RENAME TO inbox"))
    billing = start()
    eventually(lambda: lag(topics) == 0)
    assert billing.granted() == {"2025-11": "33.27"}


def test_without_kafka_subscriptions_are_taken_and_published_once_it_is_there(
    start_kafka: Callable[..., LocalKafka],
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port = free_port()
    monkeypatch.setenv("GARANT_KAFKA_BOOTSTRAP", f"127.0.0.1:{port}")
    billing = start()
    eventually(billing.answers)
    billing.declare()
    assert not billing.answers("/ready")
    start_kafka(port=port)
    eventually(lambda: billing.answers("/ready"))
    (record,) = eventually(lambda: published(KafkaSettings()))
    assert record.value == encode(started())


def test_two_instances_on_postgresql_book_and_publish_each_thing_once(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    with empty_url("postgresql", tmp_path) as url:
        instances = [Billing(url, tmp_path), Billing(url, tmp_path)]
        try:
            eventually(lambda: all(one.answers("/ready") for one in instances))
            for place in range(10):
                instances[place % 2].declare(f"S-{place}", account=f"A-{place}")
            say(
                topics,
                *(
                    credit("1.00", subscription=f"S-{place}", period="2025-11", at=(0, place, 0))
                    for place in range(10)
                ),
            )
            eventually(lambda: lag(topics) == 0)
            eventually(lambda: len(published(topics)) >= 10)
            assert sorted(record.headers[ORIGIN] for record in published(topics)) == sorted(
                f"billing.outbox/0/{place}/0" for place in range(1, 11)
            )
            for place in range(10):
                assert instances[1 - place % 2].granted(f"S-{place}") == {"2025-11": "1.00"}
            instances[0].process.kill()
            instances[0].process.wait()
            instances[1].declare("S-10", account="A-10")
            eventually(lambda: len(published(topics)) == 11)
        finally:
            for one in instances:
                one.process.kill()
                one.process.wait()


def test_a_second_service_on_the_same_sqlite_file_says_what_to_do(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'billing.db'}"
    first = Billing(url, tmp_path)
    try:
        eventually(first.answers)
        second = Billing(url, tmp_path)
        assert second.process.wait(20) == 1
        assert "Another billing service works on" in second.log.read_text()
    finally:
        first.process.kill()
        first.process.wait()


def test_a_credit_beyond_the_cap_is_said_as_an_error_and_held_once_though_the_process_was_killed(
    topics: KafkaSettings, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GARANT_BILLING_CAP_PER_ACCOUNT_DAY", "100.00")
    say(topics, credit("100.01"))
    dying = start(DIES_BETWEEN_BOOKS_AND_POSITION)
    assert dying.process.wait(40) == -signal.SIGKILL, dying.log.read_text()
    (said,) = [line for line in dying.log.read_text().splitlines() if "billing.credit.held" in line]
    assert "error" in said
    billing = start()
    eventually(lambda: lag(topics) == 0)
    (held,) = billing.ask("GET", "/held")
    assert (held["amount"], held["because"], held["cap"]) == ("100.01", "account-day", "100.00")
    metrics = httpx.get(f"http://127.0.0.1:{billing.port}/metrics", trust_env=False).text
    assert "garant_billing_held 1.0" in metrics
    assert 'garant_billing_credit_records_total{result="held"} 0.0' in metrics
    assert 'garant_billing_credit_records_total{result="repeat"} 1.0' in metrics
    billing.declare()
    assert billing.ask("GET", "/subscriptions/S-1/next-invoice")["total"] == "1200.00"
    body = {"release": "R-1", "credit": held["credit"], "author": "anna", "reason": "looked at it"}
    billing.ask("POST", "/subscriptions/S-1/releases", body)
    assert billing.ask("GET", "/subscriptions/S-1/next-invoice")["total"] == "1099.99"
