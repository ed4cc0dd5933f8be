"""Records appended in order: nothing is on the log behind a record that is not.

Readers drop repeats by the highest place they have taken, so a record that fails while a later one arrives
would be lost for good. A producer's own batches can do that (one is refused, the next is not). Here each
batch is acknowledged, whole, before the next is handed over, and the first failure is the last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from aiokafka.partitioner import DefaultPartitioner
from faststream.kafka import KafkaBroker
from msgspec import Struct

from shared.failpoints import reach

_by_key = DefaultPartitioner()


class ToAppend(Struct, frozen=True):
    """What is to be appended: the value as it stands on the log, its key and its headers."""

    value: bytes
    headers: dict[str, str]
    key: bytes | None = None


async def append(broker: KafkaBroker, topic: str, partition: int, records: Sequence[ToAppend]) -> int:
    """Appends `records` to one partition in their order; returns the offset of the last, -1 for none.

    Raises what the client does; then some first of them may be on the log, and no later one without them.
    Two calls for one partition must not overlap.
    """
    producer = _producer(broker)
    last, at = -1, 0
    while at < len(records):
        batch = producer.create_batch()
        first = at
        while at < len(records) and _fits(batch, records[at]):
            at += 1
        if at == first:
            raise ValueError(f"a record of {len(records[at].value)} bytes fits no batch of {topic}")
        batch.close()
        acknowledged = await producer.send_batch(batch, topic, partition=partition)
        reach("append.sent")
        written = await acknowledged
        reach("append.acknowledged")
        last = written.offset + at - first - 1
    return last


async def append_by_key(broker: KafkaBroker, topic: str, records: Iterable[ToAppend]) -> None:
    """Appends `records`, each to the partition its key belongs to, in order within each.

    Raises like `append`; with the first failure, what other partitions had not sent yet is given up.
    """
    partitions = sorted(await _producer(broker).partitions_for(topic))
    spread: dict[int, list[ToAppend]] = {}
    for record in records:
        spread.setdefault(_by_key(record.key, partitions, partitions), []).append(record)
    await append_to_each(broker, topic, spread)


async def append_to_each(broker: KafkaBroker, topic: str, spread: dict[int, list[ToAppend]]) -> None:
    """Appends to each partition its records, side by side. Raises like `append_by_key`."""
    appending = [asyncio.ensure_future(append(broker, topic, *one)) for one in spread.items()]
    try:
        await asyncio.gather(*appending)
    finally:
        for task in appending:
            task.cancel()


def _fits(batch: Any, record: ToAppend) -> bool:
    headers = [(name, text.encode()) for name, text in record.headers.items()]
    return batch.append(timestamp=None, key=record.key, value=record.value, headers=headers) is not None


def _producer(broker: KafkaBroker) -> Any:
    # The framework publishes one record at a time or a batch whose records share their headers; ours differ.
    framework: Any = broker.config.producer
    return framework._producer.producer
