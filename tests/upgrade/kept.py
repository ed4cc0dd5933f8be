"""Topics as files: every record of an installation as it stood on the broker, one JSON object a line, and
back onto a broker with the same partitions, offsets, times, keys, bytes and headers."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic

from shared.kafka import Record, read_topic
from shared.settings import KafkaSettings
from shared.topic_admin import topic_config
from shared.topics import TOPICS, Topic

AS_TOLD = {
    "message.timestamp.type": "CreateTime",
    "message.timestamp.after.max.ms": str(2**63 - 1),
    "retention.ms": "-1",
}
"""How a test's topics differ from the registry's: they keep the times that records are given, whatever year
the test runs in."""


def make_topics(settings: KafkaSettings) -> None:
    """Makes the registry's topics, each of which keeps the time of a record that is put on it."""
    admin = KafkaAdminClient(bootstrap_servers=settings.bootstrap)
    try:
        admin.create_topics(
            [
                NewTopic(
                    settings.topic(topic),
                    settings.partitions(topic),
                    1,
                    topic_configs=topic_config(topic) | AS_TOLD,
                )
                for topic in TOPICS
            ]
        )
    finally:
        admin.close()


def write_topic(settings: KafkaSettings, topic: Topic, folder: Path) -> int:
    """Writes every record of `topic` to a file in `folder`; how many. Raises ValueError where offsets are
    missing: put back, records would stand elsewhere than positions say."""
    following: dict[int, int] = defaultdict(int)
    lines = []
    for record in read_topic(settings, topic):
        if record.offset != following[record.partition]:
            raise ValueError(f"{topic.name}/{record.partition} has no offset {following[record.partition]}")
        following[record.partition] += 1
        lines.append(json.dumps(_plain(topic, record), ensure_ascii=False))
    (folder / f"{topic.name}.jsonl").write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return len(lines)


def _plain(topic: Topic, record: Record) -> dict[str, Any]:
    value = record.value or b""
    try:
        said = {"value": value.decode()}
    except UnicodeDecodeError:
        said = {"value_base64": b64encode(value).decode()}
    return {
        "topic": topic.name,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp_ms,
        "key": None if record.key is None else record.key.decode(),
        **said,
        "headers": record.headers,
    }


def kept(folder: Path, topic: Topic) -> list[Record]:
    """The records that `write_topic` kept of `topic`; none where that version did not have it."""
    path = folder / f"{topic.name}.jsonl"
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return [
        Record(
            one["partition"],
            one["offset"],
            one["timestamp"],
            None if one["key"] is None else one["key"].encode(),
            one["value"].encode() if "value" in one else b64decode(one["value_base64"]),
            one["headers"],
        )
        for one in map(json.loads, lines)
    ]


def put_back(settings: KafkaSettings, folder: Path, topics: Iterable[Topic] = TOPICS) -> None:
    """Puts the kept records of `topics` onto empty topics of a broker."""
    put(settings, {topic: kept(folder, topic) for topic in topics})


def put(settings: KafkaSettings, records: dict[Topic, list[Record]]) -> None:
    """Puts records onto their topics; raises ValueError where one does not come to stand at its offset."""
    producer = KafkaProducer(
        bootstrap_servers=settings.bootstrap, retries=20, max_in_flight_requests_per_connection=1, linger_ms=5
    )
    try:
        sent = [
            (
                record,
                producer.send(
                    settings.topic(topic),
                    value=record.value,
                    key=record.key,
                    headers=[(name, text.encode()) for name, text in record.headers.items()],
                    partition=record.partition,
                    timestamp_ms=record.timestamp_ms,
                ),
            )
            for topic, each in records.items()
            for record in each
        ]
        producer.flush()
        for record, future in sent:
            found = future.get(20)
            if found.offset != record.offset:
                raise ValueError(f"{found.topic}/{found.partition}: {record.offset} stands at {found.offset}")
    finally:
        producer.close()


def read_from(settings: KafkaSettings, starts: dict[Topic, dict[int, int]]) -> dict[Topic, list[Record]]:
    """What stands on each topic now, in each partition from the offset that `starts` says; all with one
    consumer, where `read_topic` takes one for each topic."""
    by_name = {settings.topic(topic): topic for topic in starts}
    found: dict[Topic, list[Record]] = {topic: [] for topic in starts}
    consumer = KafkaConsumer(bootstrap_servers=settings.bootstrap, enable_auto_commit=False)
    try:
        first = {
            TopicPartition(settings.topic(topic), partition): offset
            for topic, each in starts.items()
            for partition, offset in each.items()
        }
        ends = {place: end for place, end in consumer.end_offsets(list(first)).items() if end > first[place]}
        consumer.assign(list(ends))
        for place in ends:
            consumer.seek(place, first[place])
        while any(consumer.position(place) < end for place, end in ends.items()):
            for place, records in consumer.poll(timeout_ms=500).items():
                found[by_name[place.topic]] += [
                    Record(
                        one.partition,
                        one.offset,
                        one.timestamp,
                        one.key,
                        one.value,
                        {name: value.decode() for name, value in one.headers},
                    )
                    for one in records
                    if one.offset < ends[place]
                ]
    finally:
        consumer.close()
    return {topic: sorted(each, key=lambda one: (one.partition, one.offset)) for topic, each in found.items()}
