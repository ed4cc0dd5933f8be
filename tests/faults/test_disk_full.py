"""The disk is full, really: the agent keeps its results in memory until there is room; a service on SQLite
says so in one line and ends, has acknowledged nothing that it did not keep, and goes on with room."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import msgspec
import pytest
from kafka import KafkaProducer
from sqlalchemy import select

from services.billing.database import BOOKS
from services.billing.tables import ledger_entries
from services.cli.local.ports import free_port
from shared.codec import encode
from shared.database import open_engine
from shared.topics import CREDITS
from tests.core.billing_books import credit
from tests.faults.agents import agent
from tests.faults.around import (
    QUIET_S,
    WITHIN_S,
    Around,
    Place,
    Running,
    complaints,
    end_of,
    kafka_env,
    own_topics,
    until,
)
from tests.faults.desks import desk, template
from tests.faults.noted import note
from tests.faults.offices import office, people
from tests.faults.offices import template as office_template
from tests.faults.prepared import Own
from tests.faults.small_disk import SmallDisk, mounted, small_disk
from tests.mail.relay import Relay
from tests.mail.servers import MailServer


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", 16) as found:
        yield found


@pytest.fixture
def around(kafka: str, mail: MailServer, relay: Relay) -> Around:
    return Around(Own(), kafka, mail, relay)


def ends(process: Running, log: Path, since: int, name: str) -> None:
    """It ended, and said in one line that the disk is full."""
    assert process.wait(WITHIN_S) == 1, complaints(log, since)
    told = complaints(log, since)
    assert len(told) == 1, told
    assert told[0].startswith(f"error: The {name} database"), told
    assert "full" in told[0], told


def until_it_ends(process: Running, more: Callable[[], None]) -> None:
    """Gives it work until it ends: some room is left in what it has on the disk."""
    deadline = time.monotonic() + WITHIN_S
    while process.poll() is None:
        assert time.monotonic() < deadline, "it goes on as if there were room"
        more()
        time.sleep(0.5)


@mounted
def test_given_a_full_disk_then_the_agent_keeps_results_in_memory_and_loses_none(
    kafka: str, disk: SmallDisk, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    with agent(Own(), own_topics(kafka), "full", Place(tmp_path / "agent", disk)) as it:
        process = it.start(opens_in_s=None)
        until(lambda: len(it.target.seen) > 2, process, it.said)
        disk.fill()
        until(lambda: "spool.disk_failed" in it.said(), process, it.said)
        time.sleep(3)  # results that only memory has
        waiting = it.waiting()
        disk.make_room()
        until(lambda: "spool.disk_works_again" in it.said(), process, it.said)
        disk.fill()
        time.sleep(3)
        it.gate.open()  # delivered while the disk is full
        until(it.delivered, process, it.said)
        disk.make_room()
        it.stop(process)
        it.check_log()
    note("disk full for the spool", times=2, in_flight=waiting)


@mounted
def test_given_a_full_disk_then_the_desk_acknowledges_nothing_it_has_not_kept_and_goes_on_with_room(
    around: Around, disk: SmallDisk, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    own = Place(tmp_path / "desk", disk)
    with desk(around, around.server.new_user(), own, template(tmp_path)) as it:
        process = it.start()
        it.write("before")
        until(it.done, process, it.said)
        since = end_of(it.log)
        disk.fill()
        until_it_ends(process, lambda: it.write(f"mail-{len(it.mails)}", "Please look. " * 20_000))
        ends(process, it.log, since, "support")
        in_flight = len(it.mails) - len(it.sent())
        since = end_of(it.log)
        ends(it.start(), it.log, since, "support")  # still full
        disk.make_room()
        it.finish()
        it.check()
    note("disk full for support", times=1, in_flight=in_flight)


@mounted
def test_given_a_full_disk_then_notify_ends_and_writes_each_letter_once_there_is_room(
    around: Around, disk: SmallDisk, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    own, address = Place(tmp_path / "office", disk), around.server.new_user()
    with people() as asked, office(around, address, asked, own, office_template(tmp_path)) as it:
        process = it.start()
        it.conclude()
        until(it.done, process, it.said)
        since = end_of(it.log)
        disk.fill()
        until_it_ends(process, lambda: it.conclude(40))
        ends(process, it.log, since, "notify")
        in_flight = it.letters - len(it.sent())
        disk.make_room()
        it.finish()
        it.check()
    note("disk full for notify", times=1, in_flight=in_flight)


@mounted
def test_given_a_full_disk_then_billing_ends_and_books_each_credit_once_there_is_room(
    kafka: str, disk: SmallDisk, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    topics, port, log = own_topics(kafka), free_port(), tmp_path / "billing.log"
    env = {**kafka_env(topics), **Place(tmp_path, disk).env("BILLING"), "GARANT_BILLING_PORT": str(port)}
    engine = open_engine(f"sqlite:///{disk.folder / 'billing.db'}", BOOKS)
    producer = KafkaProducer(bootstrap_servers=kafka, retries=20)
    granted: list[str] = []

    def grant() -> None:
        for _ in range(20):
            one = credit("1.00", subscription=f"S-{len(granted)}", at=(0, len(granted), 0))
            large = msgspec.structs.replace(one, calculation={"why": "x" * 5_000})
            producer.send(topics.topic(CREDITS), key=b"A-1", value=encode(large)).get(20)
            granted.append(one.credit)

    def booked() -> list[str]:
        with engine.connect() as connection:
            return list(connection.execute(select(ledger_entries.c.credit)).scalars())

    def said() -> str:
        return log.read_text()[-3_000:]

    billing = Own()
    process = billing.start(["billing", "serve"], env, log)
    try:
        until(lambda: (disk.folder / "billing.db").exists() and answers(port), process, said)
        grant()
        until(lambda: booked() == granted, process, said)
        since = end_of(log)
        disk.fill()
        until_it_ends(process, grant)
        ends(process, log, since, "billing")
        in_flight = len(granted) - len(booked())
        disk.make_room()
        process = billing.start(["billing", "serve"], env, log)
        until(lambda: len(booked()) >= len(granted), process, said)
        time.sleep(QUIET_S)
        assert booked() == granted
    finally:
        process.kill()
        process.wait()
        producer.close()
        engine.dispose()
    note("disk full for billing", times=1, in_flight=in_flight)


def answers(port: int) -> bool:
    """Whether the service at `port` is ready."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/ready", timeout=2, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False
