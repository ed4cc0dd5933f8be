"""`garant reconcile` beside the real services: silent while all agrees, and each difference by its id.

One installation, run once by the real processes and then stopped. What is wrong is made wrong afterwards: on
the log by a stranger's producer, in the books by raw SQL on a copy.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer
from msgspec.structs import replace

from services.cli.audit.reconciliation import Reconciled
from services.cli.publish import publish_facts
from services.sla import promises
from shared.codec import decode_entry, decode_outcome, encode
from shared.facts import (
    ClockAdvanced,
    FirstResponseSent,
    ProbeResult,
    TargetObserved,
    WorkLogged,
)
from shared.kafka import read_topic
from shared.money import Amount
from shared.outcomes import QuotaWarned, Source
from shared.time import HOUR, MINUTE, Instant
from shared.topics import (
    CREDITS,
    DEADLINES,
    JOURNAL,
    MONTHS,
    NOTICES,
    QUOTA,
    REJECTED,
    SUBSCRIPTION_EVENTS,
    TICKET_EVENTS,
    UPTIME_CHANGES,
)
from tests.kafka.reconciling import (
    CREDIT,
    CUT,
    FIRST,
    OTHER,
    SLOT,
    World,
    counted,
    credit_of,
    forget,
    installation,
    place_of,
    reconciled,
    sequence_of,
    values,
)
from tests.waiting import eventually


@pytest.fixture(scope="module")
def world(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """All that the services made of the facts; they still run."""
    with installation(kafka, tmp_path_factory.mktemp("reconcile")) as made:
        yield made


def ids(found: Reconciled) -> set[str]:
    return {one.id for one in found.differences}


def told_by(run: subprocess.CompletedProcess[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The differences by id, and the summary, of a run with --json."""
    assert run.stderr == ""
    *found, summary = [json.loads(line) for line in run.stdout.splitlines()]
    assert summary["type"] == "Summary"
    return {one["id"]: one for one in found}, summary


def test_what_real_services_made_agrees_with_its_replay(world: World) -> None:
    run = world.run("--json")
    found, summary = told_by(run)
    assert (run.returncode, found, summary["agrees"]) == (0, {}, True)
    records = {one["what"]: one["records"] for one in summary["compared"]}
    assert records.pop("billing: quarantine") == 0
    assert all(records.values()), records
    assert (records["sla.credits"], records["billing: ledger"]) == (2, 2)


def test_facts_that_arrive_while_it_reads_are_no_difference(world: World) -> None:
    """Fifty a second, half of them journalled in every partition, from before it begins until it ends."""
    over = threading.Event()

    def publish() -> None:
        producer = KafkaProducer(bootstrap_servers=world.settings.bootstrap, retries=20)
        for minute in itertools.count():
            at = Instant(CUT + 40 * 24 * HOUR + minute * MINUTE)
            for topic, fact in (
                (UPTIME_CHANGES, TargetObserved("other", at)),
                (TICKET_EVENTS, FirstResponseSent("A-1", "T-1", at)),
            ):
                producer.send(world.settings.topic(topic), key=b"A-1", value=encode(fact))
            if over.wait(0.02):
                break
        producer.close()

    publishing = threading.Thread(target=publish)
    publishing.start()
    try:
        run = world.run()
    finally:
        over.set()
        publishing.join()
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.endswith("Everything agrees.\n")
    assert all(len(line) <= 100 for line in run.stdout.splitlines())


def test_the_same_bytes_said_twice_are_a_repeat_and_only_counted(world: World) -> None:
    """What services that were killed do: a credit and a published fact are said again."""
    _, data = credit_of(world, CREDIT)
    world.put(CREDITS, data)
    (fact,) = read_topic(world.settings, SUBSCRIPTION_EVENTS)
    world.put(SUBSCRIPTION_EVENTS, fact.value or b"", headers=fact.headers)
    found = reconciled(world, settle_s=20)
    assert found.differences == ()
    repeats = {one.what: one.repeats for one in found.compared}
    assert (repeats[CREDITS.name], repeats[SUBSCRIPTION_EVENTS.name]) == (1, 1)


def test_what_a_stopped_sla_service_has_not_journalled_is_named_until_it_has(world: World) -> None:
    sla, _ = world.services
    sla.send_signal(signal.SIGSTOP)
    try:
        place = world.put(TICKET_EVENTS, encode(WorkLogged("A-1", "T-1", "2", 6, Instant(CUT + 3 * HOUR))))
        run = world.call("--json", "--settle", "0.5")
    finally:
        sla.send_signal(signal.SIGCONT)
    found, summary = told_by(run)
    _, partition, _ = place.split("/")
    missing = f"fact-unjournalled:{place} in sla.journal/{partition}"
    assert (run.returncode, set(found)) == (1, {missing})
    assert (found[missing]["about"], summary["agrees"]) == ("WorkLogged T-1", False)
    assert reconciled(world, settle_s=40).differences == ()


def test_what_a_stopped_billing_has_not_taken_is_named_until_it_has(world: World) -> None:
    _, billing = world.services
    billing.send_signal(signal.SIGSTOP)
    try:
        warned = len(list(read_topic(world.settings, QUOTA)))
        work = WorkLogged("A-1", "T-1", "3", 10, Instant(CUT + 4 * HOUR))
        asyncio.run(publish_facts(world.settings, [work], "/test"))
        eventually(lambda: len(list(read_topic(world.settings, QUOTA))) == warned + 2)
        found = reconciled(world)
    finally:
        billing.send_signal(signal.SIGCONT)
    (missing,) = found.differences
    assert (missing.kind, missing.about) == ("warning-missing", "QuotaWarned S-1 2026-10-01 100 %")
    assert reconciled(world, settle_s=40).differences == ()


def test_credits_forged_on_the_topic_are_named_with_what_became_of_them(world: World) -> None:
    """One of a place that nothing leads to, which billing books; one beside a right one: to quarantine."""
    credit, _ = credit_of(world, CREDIT)
    name = "S-1/uptime/2026-09"
    nowhere = replace(credit.journal, offset=10**6)
    invented = replace(credit, credit=name, cause="uptime", period="2026-09", journal=nowhere)
    more = replace(credit, amount=Amount(98_700), total=Amount(98_700))
    first, second = (world.put(CREDITS, encode(one)) for one in (invented, more))
    eventually(lambda: counted(world, "inbox") == 3 and counted(world, "quarantine") == 1)
    run = world.call("--json", "--settle", "0")
    found, summary = told_by(run)
    assert run.returncode == 1
    assert set(found) == {
        f"outcome-extra:{first}",
        f"outcome-twice:{second}",
        "entry-extra:3",
        f"sum-differs:{name}",
        "quarantine-undecided:1",
    }
    assert "amount 6.58 by the journal, 987.00 on the topic" in found[f"outcome-twice:{second}"]["detail"]
    assert found[f"sum-differs:{name}"]["detail"] == "0.00 by the journal, 6.58 in the ledger"
    assert sum(summary["differences"].values()) == 5

    known = world.home / "known"
    known.write_text("".join(f"{id}  # incident 7\n" for id in found if id != "entry-extra:3"))
    run = world.call("--known", str(known), "--settle", "0")
    assert run.returncode == 1
    assert "entry-extra: 1\n" in run.stdout
    assert "4 known differences are not counted." in run.stdout
    with known.open("a") as file:
        file.write("entry-extra:3\n")
    assert world.call("--known", str(known), "--settle", "0").returncode == 0


@pytest.fixture(scope="module")
def stopped(world: World) -> World:
    """The same when its services have ended: what is forged now, nobody takes."""
    for one in world.services:
        one.terminate()
        assert one.wait(40) == 0
    return world


@pytest.fixture(scope="module")
def before(stopped: World) -> set[str]:
    """What was reported so far; `new` adds to it."""
    return ids(reconciled(stopped))


def new(world: World, before: set[str], books: Path | None = None) -> dict[str, str]:
    """What is reported now and was not before: the detail by id."""
    found = {one.id: one.detail for one in reconciled(world, books).differences if one.id not in before}
    if books is None:
        before |= set(found)
    return found


@pytest.fixture
def meddle(stopped: World, tmp_path: Path) -> Callable[[str], Path]:
    """Runs raw SQL on a copy of the books, with all that guards them taken away; returns the copy."""

    def run(statements: str) -> Path:
        copy = tmp_path / "billing.db"
        with closing(sqlite3.connect(stopped.books)) as books, closing(sqlite3.connect(copy)) as other:
            books.backup(other)
            for (name,) in other.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
                other.execute(f"DROP TRIGGER {name}")
            other.executescript(statements)
        return copy

    return run


def test_entries_and_warnings_that_were_tampered_with_are_named(
    stopped: World, before: set[str], meddle: Callable[[str], Path]
) -> None:
    credit, _ = credit_of(stopped, CREDIT)
    copy = meddle(
        f"""
        DELETE FROM ledger_entries WHERE credit = '{CREDIT}';
        UPDATE ledger_entries SET amount = 987 WHERE credit = '{OTHER}';
        UPDATE quota_warnings SET used_minutes = 59 WHERE percent = 75;
        UPDATE quota_warnings SET journal_index = 7 WHERE percent = 100;
        """  # noqa: S608
    )
    found = new(stopped, before, copy)
    sequence = sequence_of(stopped, OTHER)
    warned = [one for one in map(decode_outcome, values(stopped, QUOTA)) if isinstance(one, QuotaWarned)]
    at = {one.percent: place_of(one) for one in warned}
    moved = f"{at[100].rpartition('/')[0]}/7"
    assert found == {
        f"credit-unbooked:{place_of(credit)}": "the inbox says that it was booked: its entry was removed",
        f"sum-differs:{CREDIT}": "6.58 by the journal, 0.00 in the ledger",
        f"entry-differs:{sequence}": "amount 6.58 by the journal, 9.87 in the ledger",
        f"sum-differs:{OTHER}": "6.58 by the journal, 9.87 in the ledger",
        f"warning-differs:{at[75]}": "used_minutes 50 by the journal, 59 in billing",
        f"warning-missing:{at[100]}": "",
        f"warning-extra:{moved}": "",
    }


def test_marks_records_and_declarations_that_were_tampered_with_are_named(
    stopped: World, before: set[str], meddle: Callable[[str], Path]
) -> None:
    credit, _ = credit_of(stopped, CREDIT)
    other, _ = credit_of(stopped, OTHER)
    at = "journal_offset = {0.offset} AND journal_index = {0.index}"
    copy = meddle(
        f"""
        UPDATE ledger_entries SET record = replace(record, '"terms":"t"', '"terms":"u"')
            WHERE credit = '{CREDIT}';
        DELETE FROM inbox WHERE {at.format(credit.journal)};
        UPDATE inbox SET digest = '00' WHERE {at.format(other.journal)};
        INSERT INTO inbox VALUES (0, 5, 0, '00', 1);
        UPDATE quarantine SET resolved_at = 1, resolution = 'forged';
        INSERT INTO subscription_facts SELECT 2, subscription, 1, 'k', fact FROM subscription_facts;
        INSERT INTO outbox VALUES (2, 1);
        UPDATE subscription_facts SET fact = replace(fact, '1200.00', '1300.00') WHERE sequence = 1;
        """  # noqa: S608
    )
    found = new(stopped, before, copy)
    declared = read_topic(stopped.settings, SUBSCRIPTION_EVENTS)
    facts = [f"{SUBSCRIPTION_EVENTS.name}/{one.partition}/{one.offset}" for one in declared]
    sequence = sequence_of(stopped, CREDIT)
    assert set(found) == {
        f"entry-differs:{sequence}",
        f"mark-differs:{place_of(credit)}",
        f"mark-differs:{place_of(other)}",
        "mark-extra:0/5/0",
        "fact-unpublished:billing.outbox/0/2/0",
        *(f"fact-undeclared:{place}" for place in facts),
    }
    assert found[f"entry-differs:{sequence}"] == "terms t by the journal, u in the record it keeps"
    assert "quarantine-undecided:1" not in ids(reconciled(stopped, copy))


def test_outcomes_gone_changed_misplaced_and_unreadable_are_named(stopped: World, before: set[str]) -> None:
    """The notice and the rejection are deleted; the notice comes back with another version in it."""
    (notice,) = read_topic(stopped.settings, NOTICES)
    (rejected,) = read_topic(stopped.settings, REJECTED)
    told, refused = decode_outcome(notice.value or b""), decode_outcome(rejected.value or b"")
    for topic, record in ((NOTICES, notice), (REJECTED, rejected)):
        asyncio.run(forget(stopped.settings, topic, record.partition, record.offset + 1))
    other = stopped.put(NOTICES, (notice.value or b"").replace(b'"t2"', b'"t3"'))
    astray = stopped.put(DEADLINES, notice.value or b"")
    unreadable = stopped.put(MONTHS, b"{}")
    assert new(stopped, before) == {
        f"outcome-missing:{REJECTED.name}:{place_of(refused)}": "",
        f"records-gone:{REJECTED.name}/0": "it begins at offset 1",
        f"records-gone:{NOTICES.name}/{notice.partition}": "it begins at offset 1",
        f"outcome-differs:{other}": (
            f"it claims the place {place_of(told)} in the journal; version t2 by the journal, t3 on the topic"
        ),
        f"outcome-extra:{astray}": f"it claims the place {place_of(told)} in the journal",
        f"outcome-unreadable:{unreadable}": "Object missing required field `type`",
    }


def test_facts_that_never_counted_are_named(stopped: World, before: set[str]) -> None:
    """One under an origin that was taken, one below an origin that was, one that billing never declared."""
    (fact, *_) = read_topic(stopped.settings, SUBSCRIPTION_EVENTS)
    stream = fact.headers["origin"].rsplit("/", 2)[0]
    other = (fact.value or b"").replace(b"1200.00", b"9.00")
    taken = stopped.put(SUBSCRIPTION_EVENTS, other, headers={"origin": fact.headers["origin"]})
    below = stopped.put(SUBSCRIPTION_EVENTS, other, headers={"origin": f"{stream}/0/0"})
    ahead = stopped.put(SUBSCRIPTION_EVENTS, other, headers={"origin": f"{stream}/99/0"})
    journal = f"in {JOURNAL.name}/{fact.partition}"
    found = new(stopped, before)
    assert set(found) == {
        f"fact-dropped:{taken} {journal}",
        f"fact-undeclared:{taken}",
        f"fact-dropped:{below} {journal}",
        f"fact-undeclared:{below}",
        f"fact-unjournalled:{ahead} {journal}",
        f"fact-undeclared:{ahead}",
    }
    assert found[f"fact-dropped:{taken} {journal}"].endswith("is in the journal with other content")
    assert found[f"fact-dropped:{below} {journal}"].endswith("a later one of its stream is")


def test_states_that_the_probe_results_do_not_give_are_named(stopped: World, before: set[str]) -> None:
    """With no SLA service, two bad slots lead to a change nobody publishes; somebody forges two."""
    *_, last = (one for one in read_topic(stopped.settings, UPTIME_CHANGES) if "origin" in one.headers)
    origin = last.headers["origin"]
    forged = encode(TargetObserved("shop", Instant(CUT)))
    differs = stopped.put(UPTIME_CHANGES, forged, b"shop", headers={"origin": origin})
    extra = stopped.put(UPTIME_CHANGES, forged, b"shop", headers={"origin": f"{origin[:-2]}/7"})
    slots = [FIRST + 33 * 24 * HOUR + number * SLOT for number in range(2)]
    down = [ProbeResult("shop", "tcp:443", "zurich", Instant(slot), "down", None, "no") for slot in slots]
    asyncio.run(publish_facts(stopped.settings, down, "/test"))
    found = new(stopped, before)
    missing = {id for id in found if id.startswith("change-missing:probe.results/")}
    assert missing
    assert set(found) - missing == {
        f"change-differs:{differs}",
        f"change-extra:{extra}",
        *(f"fact-dropped:{differs} in {JOURNAL.name}/{number}" for number in range(3)),
        *(f"fact-unjournalled:{extra} in {JOURNAL.name}/{number}" for number in range(3)),
    }


def test_entries_forged_in_the_journal_are_named(stopped: World, before: set[str]) -> None:
    """What follows from them is missing on the topics: they may say nothing here."""
    records = [one for one in read_topic(stopped.settings, JOURNAL, 0) if one.value]
    last, time_passed = records[-1], encode(ClockAdvanced())
    entry = decode_entry(last.value or b"")
    assert entry.source is not None
    source = replace(entry.source, topic=TICKET_EVENTS.name, partition=0, offset=10**6)

    def forge(fact: bytes, source: Source | None, origin: str) -> str:
        data = promises.entry(entry.recorded_at, fact, source)
        place = stopped.put(JOURNAL, data, partition=0, headers={"origin": origin})
        return place

    nowhere = forge(time_passed, source, "x/0/1/0")
    again = forge(time_passed, entry.source, "x/0/2/0")
    twice = forge(time_passed, replace(source, offset=10**6 + 1), "x/0/1/0")
    sourceless = forge(encode(TargetObserved("nowhere", Instant(CUT))), None, "x/0/3/0")
    assert set(new(stopped, before)) == {
        f"journal-unfounded:{nowhere}",
        f"journal-differs:{again}",
        f"journal-twice:{again}",
        f"journal-unfounded:{twice}",
        f"journal-twice:{twice}",
        f"journal-unfounded:{sourceless}",
    }


def test_what_cannot_be_read_is_told_with_exit_status_2_and_what_to_do(
    stopped: World, meddle: Callable[[str], Path], tmp_path: Path
) -> None:
    def error(**environment: str) -> str:
        run = stopped.call("--settle", "0", **environment)
        assert (run.returncode, run.stdout) == (2, "")
        assert run.stderr.startswith("error: ")
        assert run.stderr.count("\n") == 1
        return run.stderr

    assert "There is no billing database at" in error(GARANT_HOME=str(tmp_path / "empty"))
    assert not (tmp_path / "empty").exists()
    old = meddle("UPDATE alembic_version SET version_num = '0001'")
    assert "has schema 0001" in error(GARANT_BILLING_DATABASE_URL=f"sqlite:///{old}")
    assert "There is no topic" in error(GARANT_KAFKA_PREFIX="nobody-")
    assert "GARANT_KAFKA_REPLICATION: " in error(GARANT_KAFKA_REPLICATION="none")
    stopped.put(JOURNAL, b"torn", partition=1)
    assert "is no journal entry" in error()
    asyncio.run(forget(stopped.settings, JOURNAL, 0, 10))
    assert "begins at offset 10, 0 was asked for" in error()
