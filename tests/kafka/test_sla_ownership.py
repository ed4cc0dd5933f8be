"""Taking partitions over on a real broker: folding begins where the state ends, wherever the group is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from faststream.kafka import KafkaBroker

from services.sla.app.ownership import Ownership
from shared.kafka import Batch, service_broker, subscribe_batches
from shared.settings import KafkaSettings
from shared.topics import PROBE_RESULTS

GROUP = "garant-test-ownership"
COMMITTED, RECORDS = 40, 60


@pytest.fixture
async def place(topics: KafkaSettings) -> TopicPartition:
    """A partition with records, of which the group has taken most."""
    place = TopicPartition(topics.topic(PROBE_RESULTS), 0)
    producer = AIOKafkaProducer(bootstrap_servers=topics.bootstrap)
    await producer.start()
    for number in range(RECORDS):
        await producer.send_and_wait(place.topic, b"%d" % number, partition=0)
    await producer.stop()
    consumer = AIOKafkaConsumer(bootstrap_servers=topics.bootstrap, group_id=topics.group(GROUP))
    await consumer.start()
    consumer.assign([place])
    await consumer.commit({place: COMMITTED})
    await consumer.stop()
    return place


@pytest.fixture
async def broker(topics: KafkaSettings) -> AsyncIterator[KafkaBroker]:
    made = service_broker(topics, "sla")
    yield made
    await made.stop()


async def test_nothing_is_taken_from_the_group_s_offset_while_an_earlier_state_is_being_restored(
    topics: KafkaSettings, place: TopicPartition, broker: KafkaBroker
) -> None:
    """A state that was found unusable begins at 0: whoever folded what was fetched meanwhile from offset 40
    would skip what stands before, for ever."""
    taken: list[int] = []
    all_taken = asyncio.Event()

    async def restore(partition: int) -> int:
        await asyncio.sleep(1.5)  # long enough for the client to fetch from the group's offset
        return 0

    async def hand_over(partitions: set[int]) -> None:
        pass

    async def check_name(consumer: Any, member: str) -> None:
        pass

    ownership = Ownership("test", restore, hand_over, check_name)

    async def take(batch: Batch, consumer: Any) -> None:
        async def fold() -> None:
            taken.extend(record.offset for record in batch if record.partition == 0)
            if RECORDS - 1 in taken:
                all_taken.set()

        await ownership.take(fold, nothing)

    async def nothing() -> None:
        pass

    def failed(error: BaseException) -> None:
        raise error

    ownership.subscriber = subscribe_batches(
        broker,
        topics,
        [place.topic],
        take,
        failed,
        group_id=topics.group(GROUP),
        listener=ownership,
        max_records=7,
    )
    await broker.start()
    await asyncio.wait_for(all_taken.wait(), 40)
    assert taken == list(range(RECORDS))
