"""How far a consumer is behind its topics."""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError
from prometheus_client import Gauge

from shared.settings import KafkaSettings
from shared.topics import Topic

_PATIENCE_S = 2.0
"""Whoever asks for metrics does not wait for long."""


async def ends_of(consumer: Any) -> dict[TopicPartition, int]:
    """The offset that the next record of each partition of `consumer` (None: none yet) will get.

    The broker is asked: what it said with the last records is old while a batch is in hand. Where it does not
    answer, that is all we know, and a partition nobody has said anything of is left out.
    """
    places = consumer.assignment() if consumer else ()
    if not places:
        return {}
    try:
        found = await asyncio.wait_for(consumer.end_offsets(places), _PATIENCE_S)
        return dict(found)
    except (KafkaError, TimeoutError):
        said = {place: consumer.highwater(place) for place in consumer.assignment()}
        return {place: end for place, end in said.items() if end is not None}


async def tell_lag(gauge: Gauge, subscriber: Any, kafka: KafkaSettings, topics: tuple[Topic, ...]) -> None:
    """Sets `gauge` to the records of each of `topics` that this instance has still to read, over the
    partitions it has; 0 where it has none, for another instance tells of them."""
    names = {kafka.topic(topic): topic.name for topic in topics}
    behind = dict.fromkeys(names.values(), 0)
    consumer = subscriber.consumer
    for place, end in (await ends_of(consumer)).items():
        try:
            position = await asyncio.wait_for(consumer.position(place), _PATIENCE_S)
        except (TimeoutError, IllegalStateError):
            continue  # not known yet, or no longer ours
        behind[names[place.topic]] += max(0, end - position)
    for name, records in behind.items():
        gauge.labels(name).set(records)
