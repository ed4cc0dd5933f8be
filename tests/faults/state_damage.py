"""What the SLA service has saved of itself, damaged on its topics while no instance runs."""

from __future__ import annotations

from random import Random

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

STATES = ("sla.uptime.state", "sla.promises.state")
WAYS = ("truncated", "flipped", "deleted", "emptied")


def damage(bootstrap: str, rng: Random, way: str) -> int:
    """Damages some of the latest records of both state topics in `way`; returns how many."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all")
    damaged = 0
    try:
        for topic in STATES:
            for partition in sorted(consumer.partitions_for_topic(topic) or ()):
                latest = _latest(consumer, TopicPartition(topic, partition))
                for key in rng.sample(sorted(latest), min(len(latest), rng.choice((1, 1, 2)))):
                    value = _damaged(latest[key], way, rng)
                    producer.send(topic, key=key, value=value, partition=partition).get(30)
                    damaged += 1
    finally:
        consumer.close()
        producer.close()
    return damaged


def _latest(consumer: KafkaConsumer, place: TopicPartition) -> dict[bytes, bytes]:
    consumer.assign([place])
    consumer.seek_to_beginning(place)
    end, found = consumer.end_offsets([place])[place], dict[bytes, bytes]()
    while consumer.position(place) < end:
        for records in consumer.poll(timeout_ms=1_000).values():
            for record in records:
                found[record.key] = record.value
    return {key: value for key, value in found.items() if value}


def _damaged(value: bytes, way: str, rng: Random) -> bytes | None:
    if way == "deleted":
        return None
    if way == "emptied":
        return b""
    if way == "truncated":
        return value[: rng.randrange(len(value))]
    place = rng.randrange(len(value))
    return value[:place] + bytes([value[place] ^ (1 << rng.randrange(8))]) + value[place + 1 :]


def compact(bootstrap: str, *, eagerly: bool) -> None:
    """Makes the broker compact the state topics all the time, or as usual again."""
    lines = {"segment.ms": "1000", "min.cleanable.dirty.ratio": "0.001", "delete.retention.ms": "0"}
    usual = {"segment.ms": "604800000", "min.cleanable.dirty.ratio": "0.2", "delete.retention.ms": "86400000"}
    both = {"cleanup.policy": "compact", "retention.ms": "-1", "max.message.bytes": str(8 * 1024 * 1024)}
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        found = both | (lines if eagerly else usual)
        admin.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, topic, configs=found) for topic in STATES]
        )
    finally:
        admin.close()
