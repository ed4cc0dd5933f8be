"""Appending in order, on a real broker that refuses a batch in the middle."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka.errors import KafkaError

from shared.appending import ToAppend, append, append_by_key
from shared.cloudevents import headers
from shared.kafka import read_topic, service_broker
from shared.settings import KafkaSettings
from shared.topics import JOURNAL, MAX_RECORD_BYTES, PROBE_RESULTS


def record(text: str, key: str | None = None, length: int = 0) -> ToAppend:
    value = text.encode().ljust(length, b".")
    named = headers(value, type_name="Test", source="/test", time_ms=0)
    return ToAppend(value, named, None if key is None else key.encode())


def test_what_is_behind_a_refused_batch_is_not_on_the_log(topics: KafkaSettings) -> None:
    """The third batch holds a record that is too long for the topic; a hundred batches wait behind it."""
    before = [record(f"before {number}", length=200_000) for number in range(2)]
    behind = [record(f"behind {number}", length=200_000) for number in range(100)]

    async def work() -> None:
        broker = service_broker(topics, "test")
        await broker.start()
        try:
            with pytest.raises(KafkaError):
                await append(
                    broker,
                    topics.topic(JOURNAL),
                    0,
                    [*before, record("too long", length=MAX_RECORD_BYTES), *behind],
                )
        finally:
            await broker.stop()

    asyncio.run(work())
    assert [found.value for found in read_topic(topics, JOURNAL)] == [one.value for one in before]


def test_each_keys_records_keep_their_order_and_its_partition(topics: KafkaSettings) -> None:
    """The partition is the one Kafka's own clients choose for the key."""
    told = [record(f"{number}", f"target-{number % 7}", length=1_000) for number in range(2_000)]
    told += [record(f"{number}", f"target-{number % 7}", length=100) for number in range(2_000, 4_000)]

    async def work() -> None:
        broker = service_broker(topics, "test")
        await broker.start()
        try:
            await append_by_key(broker, topics.topic(PROBE_RESULTS), told[:1_000])
            for one in told[1_000:1_010]:
                await broker.publish(one.value, topics.topic(PROBE_RESULTS), key=one.key)
            await append_by_key(broker, topics.topic(PROBE_RESULTS), told[1_010:])
        finally:
            await broker.stop()

    asyncio.run(work())
    by_key: dict[bytes, list[tuple[int, bytes]]] = {}
    for found in read_topic(topics, PROBE_RESULTS):
        by_key.setdefault(found.key or b"", []).append((found.partition, found.value or b""))
    for key, places in by_key.items():
        assert len({partition for partition, _ in places}) == 1
        assert [value for _, value in places] == [one.value for one in told if one.key == key]
    assert sum(map(len, by_key.values())) == len(told)


def test_appending_nothing_does_nothing(topics: KafkaSettings) -> None:
    async def work() -> int:
        broker = service_broker(topics, "test")
        await broker.start()
        try:
            return await append(broker, topics.topic(JOURNAL), 0, [])
        finally:
            await broker.stop()

    assert asyncio.run(work()) == -1
