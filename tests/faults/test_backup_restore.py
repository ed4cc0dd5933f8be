"""Backups made while all runs, and what comes back of them, by the commands of docs/operations: after all is
gone, after Kafka alone or a database alone is gone. The same digests at the same places, nothing lost that
was backed up, nothing twice, and it goes on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest

from services.cli.backup.archive import read_cut
from shared.facts import Check, ProbeResult, TargetDeclared, TargetObserved
from shared.kafka import kept, read_topic
from shared.time import HOUR, MINUTE, Instant
from shared.topics import CREDITS, JOURNAL, PROBE_RESULTS, SUBSCRIPTION_EVENTS
from tests.conftest import StartKafka
from tests.faults.restored import KEEP, Installation
from tests.kafka.reconciling import CUT, FIRST, SLOT, facts
from tests.waiting import eventually


@pytest.fixture
def it(tmp_path: Path, start_kafka: StartKafka, clean_environment: object) -> Iterator[Installation]:
    made = Installation(tmp_path, start_kafka)
    try:
        made.publish(*facts())
        made.start("sla", *KEEP)
        sell(made, "A-1", "S-1")
        made.booked("S-1", 2)
        yield made
    finally:
        made.close()


def sell(it: Installation, account: str, subscription: str) -> None:
    it.running["billing"].ask(
        "POST",
        "/subscriptions",
        {
            "account": account,
            "subscription": subscription,
            "deployment": "cloud",
            "targets": ["shop"],
            "price": "1200.00",
            "term": "year",
            "starts_on": date(2026, 10, 1).isoformat(),
            "language": "fr",
        },
    )


def ask(it: Installation, account: str, subscription: str) -> str:
    body = {"account": account, "subscription": subscription, "severity": "serious"}
    return str(it.running["support"].ask("POST", "/tickets", body)["ticket"])


@contextmanager
def stream(it: Installation) -> Iterator[None]:
    """Facts all the time, of another target and of none."""
    over = threading.Event()

    def tell() -> None:
        minute = 0
        while not over.wait(0.2):
            at = Instant(CUT + 40 * 24 * HOUR + minute * MINUTE)
            it.publish(
                TargetDeclared("other", "Other", 60, (Check("tcp:1", True),), ("zurich",), 2, 2, at),
                *(
                    ProbeResult("other", "tcp:1", "zurich", Instant(at + each * MINUTE), "up", None, None)
                    for each in range(50)
                ),
                TargetObserved("third", at),
            )
            minute += 50

    telling = threading.Thread(target=tell)
    telling.start()
    try:
        yield
    finally:
        over.set()
        telling.join()


def test_everything_is_lost_and_comes_back_from_a_backup_made_while_all_ran(it: Installation) -> None:
    """Broker and databases deleted. What was told after the backup is gone, and told again it counts once."""
    ticket = ask(it, "A-1", "S-1")
    with stream(it):
        it.done(
            "backup", "write", str(it.home / "copy")
        )  # the first takes everything, the next what came since
        it.dump(*KEEP)
        sell(it, "A-2", "S-2")  # behind the dump, before the cut: on the log, not in the books
        it.booked("S-2", 2)
        it.done("backup", "write", str(it.home / "copy"))
    books = {name: it.ledger(name) for name in ("S-1", "S-2")}
    cut = read_cut(it.home / "copy")
    ends = {part.partition: part.end for part in cut.parts if part.topic == JOURNAL.name}
    digests = it.digests(ends)
    assert min(ends.values()) > 200
    sell(it, "A-3", "S-3")
    it.booked("S-3", 2)

    it.kill()
    it.lose_kafka()
    it.new_broker("kafka-2")
    assert "read back and the same" in it.done("backup", "restore", str(it.home / "copy"))
    refused = it.garant("backup", "align", "billing")  # the database was not restored yet
    assert (refused.returncode, "is newer than the log" in refused.stderr) == (1, True), refused.stderr
    it.restore(*KEEP)
    assert "1 facts taken back from the log, 0 to be" in it.done("backup", "align", "billing")
    it.done("backup", "align", "support")
    it.done("backup", "align", "notify")
    assert it.digests(ends) == digests

    it.start("sla", *KEEP)
    assert it.booked("S-2", 2) == books["S-2"]
    assert it.ledger("S-1") == books["S-1"]
    assert it.running["support"].ask("GET", f"/tickets/{ticket}")["ticket"] == ticket
    assert [one["subscription"] for one in it.running["billing"].ask("GET", "/subscriptions")] == [
        "S-1",
        "S-2",
    ]
    sell(it, "A-3", "S-3")
    it.booked("S-3", 2)
    third_cut(it)
    assert len(it.booked("S-1", 3)) == len(it.booked("S-3", 3)) == 3
    assert it.digests(ends) == digests
    it.done("reconcile")


def third_cut(it: Installation) -> None:
    """A cut of 32 h in November, as the agent sees it."""
    began = FIRST + 33 * 24 * HOUR
    slots = [Instant(began + number * SLOT) for number in range(24)]
    down = slots[2:10]
    it.publish(
        *(
            ProbeResult("shop", "tcp:443", "zurich", slot, "down", None, "refused")
            if slot in down
            else ProbeResult("shop", "tcp:443", "zurich", slot, "up", None, None)
            for slot in slots
        )
    )


def test_billing_s_database_alone_is_lost(it: Installation) -> None:
    """What was declared since the dump is on the log: it comes back under its numbers; the next counts."""
    it.dump("billing", "support")
    sell(it, "A-2", "S-2")
    it.booked("S-2", 2)
    first = ask(it, "A-1", "S-1")
    eventually(lambda: len(it.running["support"].ask("GET", "/worklist")["waiting"]) == 1)
    books = {name: it.ledger(name) for name in ("S-1", "S-2")}
    running = it.garant("backup", "align", "billing")
    assert (running.returncode, "stop all its instances" in running.stderr) == (1, True), running.stderr

    it.kill("billing", "support")
    it.restore("billing", "support")
    assert "1 facts taken back" in it.done("backup", "align", "billing")
    assert "1 facts on the log are not known here" in it.done("backup", "align", "support")
    it.start("billing", "support")
    assert it.booked("S-2", 2) == books["S-2"]
    assert it.ledger("S-1") == books["S-1"]
    sell(it, "A-3", "S-3")
    assert len(it.booked("S-3", 2)) == 2
    assert ask(it, "A-1", "S-1") > first  # no number of a request on the log is given away again
    it.done("reconcile")


def test_kafka_alone_is_lost_and_the_facts_since_its_backup_are_in_the_books(it: Installation) -> None:
    """What was declared and not concluded since is published again by itself."""
    it.done("backup", "write", str(it.home / "copy"))
    it.kill("sla")
    sell(it, "A-2", "S-2")
    eventually(lambda: len(list(read_topic(it.kafka, SUBSCRIPTION_EVENTS))) == 2)
    ends = kept(it.kafka, CREDITS, PROBE_RESULTS)
    it.kill()
    it.lose_kafka()
    it.new_broker("kafka-2")
    it.done("backup", "restore", str(it.home / "copy"))
    assert kept(it.kafka, CREDITS, PROBE_RESULTS) == ends
    assert "0 facts taken back from the log, 1 to be published again" in it.done("backup", "align", "billing")
    it.start("sla", "billing")
    assert len(it.booked("S-2", 2)) == 2
    it.done("reconcile")
