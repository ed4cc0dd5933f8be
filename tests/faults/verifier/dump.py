"""Everything that stands on the topics and in billing's books, as it stands there.

Read with kafka-python-ng and plain SQL: nothing here comes from the product, so that a mistake in how it
reads cannot hide what it wrote.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import psycopg
from kafka import KafkaConsumer, TopicPartition
from psycopg.rows import dict_row

SOURCES = ("probe.results", "uptime.changes", "subscription.events", "ticket.events", "terms.events")
JOURNAL, DEAD, REJECTED = "sla.journal", "dead.letters", "sla.rejected"
OUTCOMES = ("sla.months", "sla.credits", "sla.deadlines", "sla.quota", "sla.notices", REJECTED)
TOPICS = (*OUTCOMES, JOURNAL, *SOURCES, DEAD)  # what follows before what it follows from

Row = dict[str, Any]


class Record(NamedTuple):
    """A record; `topic` without the installation's prefix, `at` the broker's timestamp in ms."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: dict[str, str]
    at: int = 0

    @property
    def place(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


@dataclass(frozen=True)
class Dump:
    """All records by topic, in order of partition and offset, and the rows of billing's tables.

    `begins`: the first offset the broker still has, by (topic, partition).
    """

    records: dict[str, list[Record]]
    begins: dict[tuple[str, int], int] = field(default_factory=dict)
    ledger: list[Row] = field(default_factory=list)
    warnings: list[Row] = field(default_factory=list)
    quarantine: list[Row] = field(default_factory=list)
    declared: list[Row] = field(default_factory=list)  # sequence, subscription, fact
    has_books: bool = True

    def of(self, topic: str) -> list[Record]:
        return self.records.get(topic, [])


def read_dump(bootstrap: str, prefix: str, database: str | None, stalls_after_s: float = 60) -> Dump:
    """Reads all of it, up to the end each topic had when this began.

    `prefix`: GARANT_KAFKA_PREFIX, may be "". `database`: a path of an SQLite file, `sqlite:///PATH` or
    `postgresql://..`; None leaves out what concerns the books. Only where nothing is under way any more does
    everything fit together: let the services catch up first. TimeoutError when the broker gives nothing.
    """
    books = read_books(database) if database else {}
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_poll_records=5_000,
        max_partition_fetch_bytes=16 << 20,
        fetch_max_bytes=64 << 20,
        consumer_timeout_ms=1_000,
    )
    try:
        records, begins = _read_topics(consumer, prefix, stalls_after_s)
    finally:
        consumer.close()
    return Dump(records, begins, **books, has_books=database is not None)


def origin_of(record: Record) -> tuple[str, tuple[int, int]] | None:
    """(stream, place in it) of the header `origin`; None without one, or when it is none of ours."""
    parts = record.headers.get("origin", "").rsplit("/", 2)
    if len(parts) != 3 or not (parts[1].isdigit() and parts[2].isdigit()):
        return None
    return parts[0], (int(parts[1]), int(parts[2]))


def _read_topics(
    consumer: Any, prefix: str, stalls_after_s: float
) -> tuple[dict[str, list[Record]], dict[tuple[str, int], int]]:
    known = consumer.topics()
    places = [
        TopicPartition(prefix + topic, partition)
        for topic in TOPICS
        if prefix + topic in known
        for partition in sorted(consumer.partitions_for_topic(prefix + topic) or ())
    ]
    ends = consumer.end_offsets(places)
    first = consumer.beginning_offsets(places)
    consumer.assign(places)
    consumer.seek_to_beginning(*places)
    records: dict[str, list[Record]] = {topic: [] for topic in TOPICS}
    waiting = {place for place in places if first[place] < ends[place]}
    last_news = time.monotonic()
    while waiting:
        for place, batch in consumer.poll(timeout_ms=500).items():
            last_news = time.monotonic()
            topic = place.topic.removeprefix(prefix)
            records[topic] += [_record(topic, one) for one in batch if one.offset < ends[place]]
        waiting = {place for place in waiting if consumer.position(place) < ends[place]}
        if time.monotonic() - last_news > stalls_after_s:
            left = ", ".join(sorted(f"{place.topic}/{place.partition}" for place in waiting))
            raise TimeoutError(f"the broker gave nothing for {stalls_after_s} s; still to be read: {left}")
    for found in records.values():
        found.sort(key=lambda record: (record.partition, record.offset))
    return records, {(place.topic.removeprefix(prefix), place.partition): first[place] for place in places}


def _record(topic: str, one: Any) -> Record:
    headers = {
        name: value.decode("utf-8", "replace") for name, value in one.headers or () if value is not None
    }
    return Record(topic, one.partition, one.offset, one.key, one.value, headers, one.timestamp)


def read_books(database: str) -> dict[str, list[Row]]:
    """The rows of billing's tables that the verifier compares."""
    asked = {
        "ledger": "SELECT * FROM ledger_entries ORDER BY sequence",
        "warnings": "SELECT * FROM quota_warnings ORDER BY journal_partition, journal_offset, journal_index",
        "quarantine": "SELECT * FROM quarantine ORDER BY id",
        "declared": "SELECT sequence, subscription, fact FROM subscription_facts ORDER BY sequence",
    }
    if database.startswith("postgres"):
        url = database.replace("+psycopg", "", 1)
        with psycopg.connect(url, row_factory=dict_row) as connection:
            return {name: connection.execute(query).fetchall() for name, query in asked.items()}
    path = database.removeprefix("sqlite:///")
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as opened:
        opened.row_factory = sqlite3.Row
        return {name: [dict(row) for row in opened.execute(query)] for name, query in asked.items()}
