"""The demonstration month through all of a running `garant up`: Kafka, the SLA service, billing."""

from __future__ import annotations

import time
from fractions import Fraction
from itertools import islice
from typing import Any

from services.cli.asyncapi.document import document
from services.cli.asyncapi.operations import operations
from services.cli.demo.history import last_closed_month
from shared.calendar import next_month
from shared.kafka import read_topic
from shared.money import format_amount, round_half_up
from shared.settings import KafkaSettings
from shared.topics import TOPICS
from tests.kafka.conftest import Garant

MOST_RECORDS = 3_000
"""Of a topic, to be compared with the document."""


def test_the_month_becomes_credits_on_the_next_invoice_and_each_can_be_explained(
    garant: Garant, running: None, topics: KafkaSettings
) -> None:
    """Said twice it changes nothing; and all that was published is as the AsyncAPI document has it."""
    first = garant("demo", "month")
    assert first.returncode == 0, first.stdout + first.stderr
    month = last_closed_month(time.time_ns() // 1_000_000)
    assert "37 h 15 min" in first.stdout
    assert "promise missed" in first.stdout
    explained = [
        line.split()[-1]
        for line in first.stdout.splitlines()
        if line.startswith("  garant explain demo-shop/")
    ]
    assert [name.split("/")[1] for name in explained] == ["outage", "uptime"]
    deducted = [line for line in first.stdout.splitlines() if "deduction demo-shop/" in line]
    rate = Fraction(290, (next_month(month) - month).days)
    amounts = [line.split("-")[-1].strip(" │") for line in deducted]
    assert amounts == [format_amount(round_half_up(started * rate * 100)) for started in (2, 1)]

    again = garant("demo", "month")
    assert again.returncode == 0, again.stderr
    assert "already there" in again.stdout
    assert _tables(again.stdout) == _tables(first.stdout)

    for credit in explained:
        told = garant("explain", credit)
        assert told.returncode == 0, told.stderr
        assert "replay agrees" in told.stdout
        assert "2 down" in told.stdout
    _agrees_with_asyncapi(topics)


def _tables(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(("│", "┃"))]


def _agrees_with_asyncapi(topics: KafkaSettings) -> None:
    found = document(operations())
    senders: dict[str, set[tuple[str, str]]] = {}
    for one in found["operations"].values():
        if one["action"] == "send":
            for message in one["messages"]:
                _, _, channel, _, name = message["$ref"].split("/")
                senders.setdefault(channel, set()).add((one["tags"][0]["name"], name))
    seen = {}
    for topic in TOPICS:
        if topic.compacted:
            continue
        types = _types_by_message(found, topic.name)
        for record in islice(read_topic(topics, topic), MOST_RECORDS):
            service, kind = record.headers["ce_source"].split("/")[2], record.headers["ce_type"]
            names = {name for name, kinds in types.items() if kind in kinds}
            assert names, f"{kind} on {topic.name} is not in the document"
            said = {(service, name) for name in names} & senders[topic.name]
            assert said or service == "demo", f"{service} writes {kind} to {topic.name}"
            seen[topic.name] = seen.get(topic.name, 0) + 1
    assert {
        "probe.results",
        "uptime.changes",
        "subscription.events",
        "sla.journal",
        "sla.months",
    } <= seen.keys()


def _types_by_message(found: dict[str, Any], channel: str) -> dict[str, list[str]]:
    messages = found["channels"][channel]["messages"]
    return {
        name: found["components"]["messages"][name]["headers"]["allOf"][1]["properties"].get(
            "ce_type", {"enum": ["garant.DeadLetter"]}
        )["enum"]
        for name in messages
    }


def test_without_a_running_garant_it_says_how_to_start_one(garant: Garant) -> None:
    told = garant("demo", "month")
    assert told.returncode == 1
    assert "make up" in told.stderr
    assert "Traceback" not in told.stderr
