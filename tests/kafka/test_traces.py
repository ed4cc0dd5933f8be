"""Traces of real services on a real broker, told to a collector over OTLP: one trace from the probe result to
the ledger entry and from the mail to its acknowledgement, each span the child of what it follows from."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.cli.local.ports import free_port
from services.cli.publish import publish_facts
from shared.cloudevents import ORIGIN
from shared.kafka import Record, read_topic
from shared.settings import KafkaSettings
from shared.topics import CREDITS, JOURNAL, PROBE_RESULTS, QUOTA, TOPICS, UPTIME_CHANGES, Topic
from shared.tracing.context import TRACEPARENT, trace_in
from tests.core.support_mail import ANNA, US
from tests.kafka.collecting import Collector, Span, collecting
from tests.kafka.test_sla_service import EXPECTED, credits_by_name, history, subscription
from tests.kafka.test_support_service import (
    Installation,
    answers,
    here,
    letter,
    server,
    sold,
)
from tests.mail.servers import MailServer
from tests.waiting import eventually

__all__ = ["here", "server"]

GARANT = str(Path(sys.executable).with_name("garant"))
TOKEN = "token-of-the-test"  # noqa: S105
(CREDIT,) = EXPECTED
WITHIN_S = 120
Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as found:
        yield found


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """`start(COMMAND, .., NAME=VALUE)`: a service as a process; whatever runs is killed after the test."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(*command: str, **more: str) -> subprocess.Popen[bytes]:
        env = {
            **os.environ,
            "GARANT_HOME": str(tmp_path),
            "GARANT_BILLING_TOKEN": TOKEN,
            "GARANT_SLA_INSTANCE": "sla-0",
            "GARANT_SLA_STATE_SAVE_EVERY_S": "0.2",
            "GARANT_SLA_SNAPSHOT_EVERY_S": "0.3",
            **more,
        }
        with (tmp_path / f"{len(started)}.log").open("wb") as log:
            process = subprocess.Popen([GARANT, *command], env=env, stdout=log, stderr=subprocess.STDOUT)
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()


def told(collector: Collector, name: str, **attributes: Any) -> Span:
    """The one span of that name that comes."""
    found = eventually(lambda: collector.named(name, **attributes), WITHIN_S)
    assert len({(one.trace_id, one.span_id) for one in found}) == 1
    return found[0]


def hops(line: list[Span]) -> list[tuple[str, str]]:
    return [(one.service, one.name) for one in line]


def children(collector: Collector, of: Span, name: str, least: int) -> list[Span]:
    """At least `least` spans of that name under `of`; nothing before they have come."""
    found = [one for one in collector.named(name) if (one.trace_id, one.parent) == (of.trace_id, of.span_id)]
    return found if len(found) >= least else []


def whole_line(collector: Collector, span: Span) -> list[Span]:
    """The span and those it follows from, once its root has come: each service tells its own in its time."""

    def found() -> list[Span]:
        line = collector.line(span)
        return [] if line[-1].parent else line

    return eventually(found, WITHIN_S)


def first_revision(value: bytes | None) -> bool:
    found = json.loads(value or b"{}")
    return (found["credit"], found["revision"]) == (CREDIT, 1)


def carried(record: Record) -> tuple[str, str]:
    found = trace_in([(name, text.encode()) for name, text in record.headers.items()])
    assert found is not None
    return found


def test_one_trace_leads_from_the_probe_result_to_the_ledger_entry(
    topics: KafkaSettings, start: Start, collector: Collector
) -> None:
    asyncio.run(publish_facts(topics, [subscription()], "/test"))
    start("sla", "--port", str(free_port()), **collector.environment)
    start("billing", "serve", "--port", str(free_port()), **collector.environment)
    eventually(lambda: list(read_topic(topics, QUOTA)), WITHIN_S)
    asyncio.run(publish_facts(topics, list(history()), "/test"))

    booked = told(collector, "book credit", credit=CREDIT, revision=1)
    line = whole_line(collector, booked)
    # A long cut is credited by the day while it lasts: what decided may be that it was seen to go on.
    decided = line[-2].name.removeprefix("say ")
    assert decided in ("TargetObserved", "TargetStateChanged")
    assert hops(line) == [
        ("garant-billing", "book credit"),
        ("garant-sla", "say CreditGranted"),
        ("garant-sla", f"say entry {decided}"),
        ("garant-sla", f"say {decided}"),
        ("garant-sla", "probe ProbeResult"),
    ]
    assert {one.trace_id for one in line} == {booked.trace_id}
    assert not line[-1].parent
    assert booked.attributes["garant.result"] == "booked"
    assert all(earlier.start_ns <= later.start_ns for later, earlier in pairwise(line))

    # The records name these spans, so that whoever else reads them goes on with the trace.
    granted = [one for one in read_topic(topics, CREDITS) if first_revision(one.value)]
    assert {carried(one) for one in granted} == {(line[1].trace_id, line[1].span_id)}
    result = line[-1].attributes
    place = result["garant.record"].split("/")
    (probed,) = [
        one for one in read_topic(topics, PROBE_RESULTS, int(place[1])) if one.offset == int(place[2])
    ]
    assert TRACEPARENT not in probed.headers
    assert result["garant.target"] == "shop"

    # The state of a target is in every journal partition, and each entry a child of the same change.
    down = told(collector, "say TargetStateChanged", target="shop", state="down")
    entries = eventually(lambda: children(collector, down, "say entry TargetStateChanged", 3), WITHIN_S)
    assert len({one.span_id for one in entries}) == topics.account_partitions == 3
    named = {carried(one) for one in read_topic(topics, JOURNAL)}
    assert {(one.trace_id, one.span_id) for one in entries} <= named

    # FastStream tells of the batches, each under the topic of its first record; what billing booked in one is
    # linked to it.
    names = [f"{topics.topic(topic)} process" for topic in (CREDITS, QUOTA)]

    def linked() -> bool:
        batches = [one for name in names for one in collector.named(name)]
        return set(booked.links) <= {(one.trace_id, one.span_id) for one in batches}

    assert len(booked.links) == 1
    eventually(linked, WITHIN_S)


def test_one_trace_leads_from_a_mail_to_its_acknowledgement(
    topics: KafkaSettings,
    server: MailServer,
    here: Installation,
    collector: Collector,
) -> None:
    here.env |= collector.environment | {"GARANT_KAFKA_SESSION_S": "20"}  # nobody is killed
    sold(topics)
    sla = here.start(GARANT, "sla", "--port", str(here.sla_port))
    eventually(lambda: answers(sla, here.sla_port), WITHIN_S)
    desk = here.start(GARANT, "support", "serve")
    eventually(lambda: answers(desk, here.port), WITHIN_S)
    server.deliver(letter("slow"), ANNA, US)

    answered = told(collector, "take ResponseDue")
    line = whole_line(collector, answered)
    assert hops(line) == [
        ("garant-support", "take ResponseDue"),
        ("garant-sla", "say ResponseDue"),
        ("garant-sla", "say entry RequestOpened"),
        ("garant-support", "say RequestOpened"),
    ]
    assert not line[-1].parent
    assert answered.attributes["garant.acknowledgement"] == "written"
    assert {one.attributes.get("garant.ticket") for one in line} <= {"T-000001", None}
    everything = repr(collector.spans)
    assert "anna" not in everything.lower()
    assert "slow" not in everything
    server.wait_for(ANNA, 1, WITHIN_S)


def by_origin(settings: KafkaSettings, topic: Topic) -> dict[tuple[int, str, str], list[Record]]:
    found = defaultdict(list)
    for record in read_topic(settings, topic):
        if ORIGIN in record.headers:
            found[(record.partition, record.headers["ce_source"], record.headers["ce_id"])].append(record)
    return found


def test_what_a_killed_service_says_again_has_the_same_headers_told_or_not(
    topics: KafkaSettings, start: Start, collector: Collector
) -> None:
    """It dies with records acknowledged and nothing saved; then it says them again with tracing on."""
    asyncio.run(publish_facts(topics, [*history(), subscription()], "/test"))
    for point in ("sla.uptime.published", "sla.promises.published"):
        dying = start("sla", "--port", str(free_port()), GARANT_FAILPOINTS=point)
        assert dying.wait(WITHIN_S) == -signal.SIGKILL
    start("sla", "--port", str(free_port()), **collector.environment)
    eventually(lambda: credits_by_name(topics) == EXPECTED, WITHIN_S)
    told(collector, "say CreditGranted", credit=CREDIT)

    for topic in (UPTIME_CHANGES, QUOTA):
        repeated = [each for each in by_origin(topics, topic).values() if len(each) > 1]
        assert repeated, f"nothing was said twice on {topic.name}"
        for first, *more in repeated:
            for again in more:
                assert (again.value, again.headers) == (first.value, first.headers)
    for topic in TOPICS:
        if topic.records and topic is not PROBE_RESULTS:
            for record in read_topic(topics, topic):
                if record.headers["ce_source"] != "/test":
                    carried(record)


def test_a_collector_that_is_away_holds_up_nobody(topics: KafkaSettings, start: Start) -> None:
    asyncio.run(publish_facts(topics, [*history(), subscription()], "/test"))
    port = free_port()
    sla = start("sla", "--port", str(port), OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{free_port()}")
    eventually(lambda: credits_by_name(topics) == EXPECTED, WITHIN_S)
    assert httpx.get(f"http://127.0.0.1:{port}/ready", trust_env=False).status_code == 200
    sla.send_signal(signal.SIGTERM)
    assert sla.wait(15) == 0
