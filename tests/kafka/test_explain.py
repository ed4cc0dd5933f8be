"""`garant explain` as a command on a real broker, and the probe results it finds there."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer

from services.cli.audit.credit_history import Told
from services.cli.audit.evidence import MOST_FAILURES, Evidence, Vote, evidence
from services.cli.publish import publish_facts
from shared.facts import Check, Fact, ProbeResult, TargetDeclared, TargetStateChanged
from shared.kafka import Record, read_topic
from shared.settings import KafkaSettings
from shared.time import MINUTE, Instant, parse_instant
from shared.topics import CREDITS, JOURNAL, PROBE_RESULTS
from tests.core.explaining import OUTAGE, UPTIME, credits, cut_of_30_hours, journal

GARANT = str(Path(sys.executable).with_name("garant"))
FIRST = parse_instant("2026-10-10T00:00:00.000Z")


def explain(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([GARANT, "explain", *arguments], capture_output=True, text=True, timeout=60)


@pytest.fixture
def log(topics: KafkaSettings) -> Iterator[KafkaProducer]:
    """A producer for records as the services would have left them."""
    producer = KafkaProducer(bootstrap_servers=topics.bootstrap, retries=10)
    yield producer
    producer.close()


def leave(
    log: KafkaProducer, topics: KafkaSettings, records: Sequence[Record], values: Sequence[bytes]
) -> None:
    """Puts a journal partition and credits on the log."""
    for record in records:
        headers = [(name, value.encode()) for name, value in record.headers.items()]
        log.send(topics.topic(JOURNAL), value=record.value, partition=0, headers=headers).get(10)
    for value in values:
        log.send(topics.topic(CREDITS), key=b"A-1", value=value).get(10)


def test_a_credit_is_explained_and_proved_in_text_and_in_json(
    topics: KafkaSettings, log: KafkaProducer
) -> None:
    records = journal(cut_of_30_hours())
    found = credits(records)
    data = [revision.data for revisions in found.values() for revision in revisions]
    leave(log, topics, records, [*data, *data])
    told = explain(OUTAGE)
    assert told.returncode == 0, told.stderr
    assert "replay agrees: 4 journal entries" in told.stdout
    assert "no longer kept (400 days)" in told.stdout
    assert all(line == line.rstrip() and len(line) <= 100 for line in told.stdout.splitlines())
    document: dict[str, Any] = json.loads(explain(UPTIME, "--json").stdout)
    assert (document["total"], document["proof"]["agrees"]) == ("3.29", True)
    assert document["figures"]["down_ms"] == 35 * 60 * MINUTE
    assert len(document["evidence"]) == 4


def test_other_bytes_than_the_replay_gives_are_told_with_exit_status_1(
    topics: KafkaSettings, log: KafkaProducer
) -> None:
    records = journal(cut_of_30_hours())
    (revision,) = credits(records)[OUTAGE]
    leave(log, topics, records, [revision.data.replace(b'"6.58"', b'"9.87"')])
    told = explain(OUTAGE)
    assert told.returncode == 1
    assert "REPLAY DISAGREES" in told.stdout


def test_an_unknown_credit_is_an_error_that_names_the_nearest(
    topics: KafkaSettings, log: KafkaProducer
) -> None:
    told = explain(OUTAGE)
    assert told.returncode == 1
    assert "No credit has been granted at all yet" in told.stderr
    records = journal(cut_of_30_hours())
    leave(log, topics, records, [one.data for found in credits(records).values() for one in found])
    told = explain("S-1/uptime/2026-11")
    assert told.returncode == 1
    assert f"\n  {UPTIME}\n" in told.stderr
    assert "Traceback" not in told.stderr


def test_a_journal_that_cannot_be_read_is_an_error_that_says_where(
    topics: KafkaSettings, log: KafkaProducer
) -> None:
    records = journal(cut_of_30_hours())
    (revision,) = credits(records)[OUTAGE]
    records[1] = records[1]._replace(value=b"torn")
    leave(log, topics, records, [revision.data])
    told = explain(OUTAGE)
    assert told.returncode == 1
    assert "offset 1 is no journal entry" in told.stderr
    assert "Traceback" not in told.stderr


def slot_results(slot: int, failing: Sequence[str]) -> Iterator[Fact]:
    for location in ("geneva", "lugano", "zurich"):
        for check in ("icmp", "tcp:443"):
            down = location in failing and check != "icmp"
            outcome, error = ("down", "refused") if down else ("up", None)
            yield ProbeResult("shop", check, location, Instant(slot), outcome, 900, error)  # type: ignore[arg-type]


def claim(settings: KafkaSettings, origin: str | None = None) -> Told:
    """Down from the first slot on, confirmed in the second, concluded from the last result on the topic."""
    last = max(read_topic(settings, PROBE_RESULTS), key=lambda record: record.offset)
    changed = TargetStateChanged("shop", FIRST, "down", Instant(FIRST + MINUTE), ())
    return Told(0, FIRST, origin or f"{PROBE_RESULTS.name}/{last.partition}/{last.offset}/0", changed)


def seen(settings: KafkaSettings, facts: Sequence[Fact]) -> Evidence:
    asyncio.run(publish_facts(settings, facts, "/test"))
    (found,) = evidence(settings, [claim(settings)])
    return found


def test_the_votes_of_the_confirming_slots_are_counted_and_the_first_failures_shown(
    topics: KafkaSettings,
) -> None:
    """Results of other slots and of other targets, and repeats, are no part of it."""
    checks = (Check("icmp", False), Check("tcp:443", True))
    declared = TargetDeclared("shop", "Shop", 60, checks, ("geneva", "lugano", "zurich"), 2, 2, FIRST)
    facts = [
        declared,
        *slot_results(FIRST - MINUTE, ()),
        *slot_results(FIRST, ("geneva", "lugano")),
        *slot_results(FIRST, ("geneva", "lugano")),
        *slot_results(FIRST + MINUTE, ("geneva", "lugano", "zurich")),
    ]
    found = seen(topics, facts)
    assert found.note is None
    assert found.votes == (
        Vote("icmp", "geneva", "up", 2),
        Vote("icmp", "lugano", "up", 2),
        Vote("icmp", "zurich", "up", 2),
        Vote("tcp:443", "geneva", "down", 2),
        Vote("tcp:443", "lugano", "down", 2),
        Vote("tcp:443", "zurich", "down", 1),
        Vote("tcp:443", "zurich", "up", 1),
    )
    assert [(one.slot, one.location) for one in found.failures] == [
        (FIRST, "geneva"),
        (FIRST, "lugano"),
        *((FIRST + MINUTE, location) for location in ("geneva", "lugano", "zurich")),
    ]
    assert len(found.failures) <= MOST_FAILURES


def test_what_was_recorded_after_the_conclusion_is_no_part_of_it(topics: KafkaSettings) -> None:
    asyncio.run(publish_facts(topics, list(slot_results(FIRST, ("geneva",))), "/test"))
    concluded = claim(topics)
    asyncio.run(publish_facts(topics, list(slot_results(FIRST + MINUTE, ("geneva",))), "/test"))
    (found,) = evidence(topics, [concluded])
    assert {vote.results for vote in found.votes} == {1}


def test_a_state_that_was_stated_by_a_person_has_no_probe_results(topics: KafkaSettings) -> None:
    asyncio.run(publish_facts(topics, list(slot_results(FIRST, ())), "/test"))
    (found,) = evidence(topics, [claim(topics, origin="uptime.changes/0/0/0")])
    assert (found.votes, found.failures) == ((), ())
    assert found.note is not None
    assert "stated" in found.note
