"""The SLA service as a process on a real broker: what it publishes, and what it survives."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import msgspec
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from kafka import KafkaProducer

from services.cli.audit.journal import replay_journal
from services.cli.local.ports import free_port
from services.cli.publish import publish_facts
from shared.codec import encode
from shared.facts import (
    Check,
    Fact,
    ProbeResult,
    RequestOpened,
    SubscriptionStarted,
    TargetDeclared,
    TermsPublished,
)
from shared.kafka import read_topic
from shared.money import Amount
from shared.settings import KafkaSettings
from shared.terms import BUILT_IN, WEEKDAYS, Week
from shared.time import HOUR, MINUTE, Instant, parse_instant
from shared.topics import (
    CREDITS,
    DEAD_LETTERS,
    DEADLINES,
    JOURNAL,
    MONTHS,
    NOTICES,
    PROBE_RESULTS,
    PROMISES_STATE,
    QUOTA,
    REJECTED,
    SUBSCRIPTION_EVENTS,
    TICKET_EVENTS,
    UPTIME_CHANGES,
    Topic,
)
from tests.waiting import eventually

GARANT = str(Path(sys.executable).with_name("garant"))
OCTOBER = parse_instant("2026-09-30T22:00:00.000Z")
CUT = parse_instant("2026-10-10T00:00:00.000Z")

Sla = Callable[[], "subprocess.Popen[bytes]"]


def subscription(name: str = "S-1", target: str = "shop") -> SubscriptionStarted:
    return SubscriptionStarted(
        "A-1", name, "cloud", (target,), Amount(120_000), "CHF", "year", date(2026, 10, 1), "fr"
    )


def history(target: str = "shop", hours: int = 30) -> Iterator[Fact]:
    """A cut of `hours` in a month of results every half hour from two locations."""
    yield TargetDeclared(
        target, target, 1_800, (Check("tcp:443", True),), ("zurich", "geneva"), 2, 2, OCTOBER
    )
    for slot in range(OCTOBER, OCTOBER + 33 * 24 * HOUR, 30 * MINUTE):
        down = CUT <= slot < CUT + hours * HOUR
        for location in ("zurich", "geneva"):
            outcome, error = ("down", "refused") if down else ("up", None)
            yield ProbeResult(target, "tcp:443", location, Instant(slot), outcome, None, error)  # type: ignore[arg-type]


@pytest.fixture
def sla(topics: KafkaSettings, tmp_path: Path) -> Iterator[Sla]:
    """Starts an instance of `garant sla` and returns once it is ready."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        port = free_port()
        log = (tmp_path / f"sla-{len(started)}.log").open("wb")
        env = {
            **os.environ,
            "GARANT_KAFKA_TARGET_PARTITIONS": "6",
            "GARANT_SLA_STATE_SAVE_EVERY_S": "0.2",
            "GARANT_SLA_SNAPSHOT_EVERY_S": "0.3",
        }
        process = subprocess.Popen(
            [GARANT, "sla", "--port", str(port)], env=env, stdout=log, stderr=subprocess.STDOUT
        )
        started.append(process)
        eventually(lambda: _is_ready(process, port))
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def _is_ready(process: subprocess.Popen[bytes], port: int) -> bool:
    assert process.poll() is None, "the service ended"
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def values(settings: KafkaSettings, topic: Topic) -> list[bytes]:
    return [record.value or b"" for record in read_topic(settings, topic)]


def credits_by_name(settings: KafkaSettings) -> dict[str, str]:
    found = [json.loads(value) for value in values(settings, CREDITS)]
    totals = {credit["credit"]: credit["total"] for credit in found}
    return {name: total for name, total in totals.items() if total != "0.00"}


def said(settings: KafkaSettings) -> list[bytes]:
    """What stands on the outcome topics, every repeat by a restart dropped: the same bytes."""
    return sorted({value for topic in OUTCOMES for value in values(settings, topic)})


def replayed(settings: KafkaSettings) -> list[bytes]:
    return sorted(spoken.data for _, each in replay_journal(settings) for spoken in each)


OUTCOMES = (MONTHS, CREDITS, DEADLINES, QUOTA, NOTICES, REJECTED)
EXPECTED = {"S-1/outage/2026-10-10T00:00:00.000Z": "6.58"}


def test_a_cut_becomes_a_credit_and_replaying_the_journal_gives_the_bytes(
    topics: KafkaSettings, sla: Sla
) -> None:
    asyncio.run(publish_facts(topics, [*history(), subscription()], "/test"))
    service = sla()
    eventually(lambda: credits_by_name(topics) == EXPECTED)
    eventually(lambda: len(values(topics, MONTHS)) >= 1)
    time.sleep(1)
    assert said(topics) == replayed(topics)
    service.send_signal(signal.SIGTERM)
    assert service.wait(15) == 0


def test_time_alone_makes_requests_at_risk_and_missed_also_of_a_service_that_was_killed(
    topics: KafkaSettings, sla: Sla
) -> None:
    """Open round the clock, an hour to answer: one is at risk in a few seconds, one was missed by then."""
    always = Week(**dict.fromkeys(WEEKDAYS, (("00:00", "24:00"),)))
    support = msgspec.structs.replace(BUILT_IN.support, week=always, news_grace_minutes=0)
    terms = TermsPublished(
        "t", date(2026, 1, 1), major=False, terms=msgspec.structs.replace(BUILT_IN, support=support)
    )
    asyncio.run(publish_facts(topics, [terms, subscription()], "/test"))
    first = sla()
    eventually(lambda: values(topics, QUOTA))
    now = time.time_ns() // 1_000_000
    requests = [
        RequestOpened("A-1", "S-1", "soon", "down", "account", Instant(now - 45 * MINUTE + 8_000)),
        RequestOpened("A-1", "S-1", "late", "down", "account", Instant(now - HOUR + 8_000)),
    ]
    asyncio.run(publish_facts(topics, requests, "/test"))
    eventually(lambda: len(values(topics, DEADLINES)) >= 3)  # both due, one at risk already
    first.kill()
    sla()

    def concluded() -> dict[str, list[str]]:
        found: dict[str, list[str]] = {"soon": [], "late": []}
        for value in dict.fromkeys(values(topics, DEADLINES)):
            one = json.loads(value)
            found[one["ticket"]].append(one["type"])
        return found

    expected = {
        "soon": ["ResponseDue", "ResponseAtRisk"],
        "late": ["ResponseDue", "ResponseAtRisk", "ResponseMissed"],
    }
    eventually(lambda: concluded() == expected)
    assert said(topics) == replayed(topics)


def test_killed_again_and_again_it_loses_nothing_and_credits_once(topics: KafkaSettings, sla: Sla) -> None:
    facts = [*history(), subscription()]
    for part in (facts[:400], facts[400:1_500], facts[1_500:]):
        service = sla()
        asyncio.run(publish_facts(topics, part, "/test"))
        time.sleep(0.35)
        service.kill()
        service.wait()
    sla()
    eventually(lambda: credits_by_name(topics) == EXPECTED)
    time.sleep(1)
    assert said(topics) == replayed(topics)
    changes = [json.loads(value) for value in values(topics, JOURNAL)]
    stated = [entry["fact"] for entry in changes if entry["fact"]["type"] == "TargetStateChanged"]
    per_partition = len(stated) // topics.account_partitions
    assert per_partition == len({json.dumps(fact) for fact in stated}), "the journal took a repeat"


def test_two_instances_share_the_work_and_one_takes_over(topics: KafkaSettings, sla: Sla) -> None:
    first, _second = sla(), sla()
    facts = [*history(), *history("mail"), subscription(), subscription("S-2", "mail")]
    asyncio.run(publish_facts(topics, facts[:2_000], "/test"))
    time.sleep(0.5)
    first.kill()
    asyncio.run(publish_facts(topics, facts[2_000:], "/test"))
    expected = {**EXPECTED, "S-2/outage/2026-10-10T00:00:00.000Z": "6.58"}
    eventually(lambda: credits_by_name(topics) == expected)
    time.sleep(1)
    assert said(topics) == replayed(topics)


def test_what_cannot_be_read_goes_to_dead_letters_and_nonsense_is_rejected(
    topics: KafkaSettings, sla: Sla, produce: Callable[..., None]
) -> None:
    produce(UPTIME_CHANGES, b"shop", b"\xff\x00 poison")
    produce(PROBE_RESULTS, b"shop", b'{"type":"ProbeResult"}')
    produce(SUBSCRIPTION_EVENTS, b"A-1", b'{"type":"SubscriptionPaused","account":"A-1"}')
    produce(SUBSCRIPTION_EVENTS, b"A-1", b"[1]")
    astray = encode(subscription("S-9"))
    produce(TICKET_EVENTS, b"A-1", astray)
    foreign = b'{"type":"RequestClosed"}'
    produce(TICKET_EVENTS, b"A-1", foreign, origin=b"not/ours")
    asyncio.run(publish_facts(topics, [*history(), subscription()], "/test"))
    sla()
    eventually(lambda: credits_by_name(topics) == EXPECTED)
    letters = eventually(
        lambda: len(list(read_topic(topics, DEAD_LETTERS))) >= 5 and list(read_topic(topics, DEAD_LETTERS))
    )
    origins = {record.headers["origin"].split("/")[0] for record in letters}
    assert origins == {"uptime.changes", "probe.results", "subscription.events", "ticket.events"}
    assert {record.value for record in letters} == {
        b"\xff\x00 poison",
        b'{"type":"ProbeResult"}',
        b"[1]",
        astray,
        foreign,
    }
    rejected = [json.loads(value) for value in values(topics, REJECTED)]
    assert len(rejected) == 1
    assert "SubscriptionPaused" in rejected[0]["reason"]
    assert rejected[0]["source"]["topic"] == "subscription.events"


async def forget(settings: KafkaSettings, topic: Topic, before_offset: int) -> None:
    """What a wrong retention setting does: the broker no longer has the first records of each partition."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap)
    await admin.start()
    places = [TopicPartition(settings.topic(topic), number) for number in range(settings.partitions(topic))]
    await admin.delete_records({place: RecordsToDelete(before_offset) for place in places})
    await admin.close()


def test_history_that_is_gone_stops_the_service_instead_of_changing_what_it_says(
    topics: KafkaSettings, sla: Sla, tmp_path: Path
) -> None:
    """The snapshots cannot be read and the journal no longer begins at its beginning: exit 70, saying so."""
    asyncio.run(publish_facts(topics, [*history(), subscription()], "/test"))
    service = sla()
    eventually(lambda: credits_by_name(topics) == EXPECTED)
    service.send_signal(signal.SIGTERM)
    assert service.wait(15) == 0
    before = said(topics)

    producer = KafkaProducer(bootstrap_servers=topics.bootstrap, retries=20)
    for partition in range(topics.account_partitions):
        name = topics.topic(PROMISES_STATE)
        producer.send(name, key=b"manifest", value=b"torn", partition=partition).get(10)
    producer.close()
    asyncio.run(forget(topics, JOURNAL, before_offset=10))

    log = tmp_path / "stopped.log"
    with log.open("wb") as out:
        stopped = subprocess.run(
            [GARANT, "sla", "--port", str(free_port())],
            stdout=out,
            stderr=subprocess.STDOUT,
            timeout=60,
            check=False,
        )
    assert stopped.returncode == 70
    assert "begins at offset 10, 0 is needed next" in log.read_text()
    assert said(topics) == before
