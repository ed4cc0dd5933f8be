"""Probe results into uptime states: the service's worker beside a bare consumer, turn by turn.

Both read the same records with the same decoding and the same fold, each in a process of its own, the
records long appended by a third. The worker also publishes what it concludes and saves its state; the time
it takes to save what is left at the end counts too.
"""

from __future__ import annotations

import asyncio
import statistics
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.partitioner import DefaultPartitioner

from bench.workload import CHECKS, INTERVAL, LOCATIONS, fleet, record
from services.sla.app.uptime_worker import MAX_RECORDS, UptimeWorker
from services.sla.states import TargetState, observe
from shared.codec import decode_probe_fact
from shared.kafka import MAX_RECORD_BYTES, ensure_topics, service_broker
from shared.settings import KafkaSettings
from shared.topics import PROBE_RESULTS, Topic

T = TypeVar("T")

IDLE_EVERY_S = 0.05
"""How often the service calls `idle`."""


class Round(KafkaSettings):
    """Settings of one round: topics of its own, except for the records, which all rounds read."""

    records_prefix: str = ""

    def topic(self, topic: Topic) -> str:
        """The topic's name on this broker."""
        return self.records_prefix + topic.name if topic is PROBE_RESULTS else super().topic(topic)


def alone(function: Callable[..., T], *arguments: Any) -> T:
    """Calls `function` in a fresh process and returns what it returns."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def measure(
    bootstrap: str, targets: int = 1_000, records: int = 1_000_000, rounds: int = 5
) -> dict[str, Any]:
    """Appends `records` records of `targets` targets, then lets both fold all of them `rounds` times.

    Returns records a second (wall clock) and microseconds of processor time a record for each round, and
    the ratio of the medians.
    """
    prefix = f"bench-{uuid.uuid4().hex[:8]}-"
    settings = KafkaSettings(bootstrap=bootstrap, prefix=prefix)
    ensure_topics(settings)
    slots = max(1, records // (targets * len(LOCATIONS) * len(CHECKS)))
    appended = alone(append, settings, targets, slots)
    found: dict[str, list[dict[str, Any]]] = {"bare": [], "worker": []}
    for number in range(rounds):
        found["bare"].append(alone(bare, settings))
        own = Round(bootstrap=bootstrap, prefix=f"{prefix}{number}-", records_prefix=prefix)
        ensure_topics(own)
        found["worker"].append(alone(worker, own, appended["records"]))
    return {
        "appended": appended,
        "bare": found["bare"],
        "worker": found["worker"],
        "ratio": _ratio(found, "per_second"),
        "ratio_of_processor_time": 1 / _ratio(found, "cpu_us_per_record"),
    }


def _ratio(found: dict[str, list[dict[str, Any]]], figure: str) -> float:
    medians = {name: statistics.median(each[figure] for each in rounds) for name, rounds in found.items()}
    return float(medians["worker"] / medians["bare"])


def append(settings: KafkaSettings, targets: int, slots: int) -> dict[str, Any]:
    """Appends the fleet's records, the last slot being now."""
    return asyncio.run(_append(settings, targets, slots))


async def _append(settings: KafkaSettings, targets: int, slots: int) -> dict[str, Any]:
    now = time.time_ns() // 1_000_000
    topic, count, partitions = settings.topic(PROBE_RESULTS), 0, list(range(settings.target_partitions))
    place_of = DefaultPartitioner()
    began, bytes_ = time.perf_counter(), 0
    # The batches are as small as an agent's: the consumers pay for each of them.
    async with AIOKafkaProducer(bootstrap_servers=settings.bootstrap, acks=1) as producer:
        open_ = {partition: producer.create_batch() for partition in partitions}
        waiting: list[asyncio.Future[Any]] = []
        for fact in fleet(targets, slots, now // INTERVAL * INTERVAL):
            key, data, named = record(fact)
            partition = place_of(key, partitions, partitions)
            if open_[partition].append(timestamp=None, key=key, value=data, headers=named) is None:
                waiting.append(await producer.send_batch(open_[partition], topic, partition=partition))
                open_[partition] = producer.create_batch()
                open_[partition].append(timestamp=None, key=key, value=data, headers=named)
            count, bytes_ = count + 1, bytes_ + len(data)
            if len(waiting) > 1_000:
                await asyncio.gather(*waiting)
                waiting.clear()
        for partition, batch in open_.items():
            if batch.record_count():
                waiting.append(await producer.send_batch(batch, topic, partition=partition))
        await asyncio.gather(*waiting)
    took = time.perf_counter() - began
    return {
        "records": count,
        "targets": targets,
        "bytes_of_a_value": bytes_ // count,
        "took_s": round(took, 1),
    }


def bare(settings: KafkaSettings) -> dict[str, Any]:
    """aiokafka alone: the same decoding and fold in batches; nothing published, nothing saved."""
    return asyncio.run(_bare(settings))


async def _bare(settings: KafkaSettings) -> dict[str, Any]:
    topic = settings.topic(PROBE_RESULTS)
    places = [TopicPartition(topic, number) for number in range(settings.target_partitions)]
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.bootstrap,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=MAX_RECORD_BYTES,
    )
    consumer.assign(places)
    await consumer.start()
    try:
        total = sum((await consumer.end_offsets(places)).values())
        states: dict[str, TargetState] = {}
        count, began, cpu = 0, time.perf_counter(), time.process_time()
        while count < total:
            for batch in (await consumer.getmany(timeout_ms=1_000, max_records=MAX_RECORDS)).values():
                for each in batch:
                    observe(states, decode_probe_fact(each.value), each.timestamp, each.offset)
                count += len(batch)
        return _figures(total, began, cpu)
    finally:
        await consumer.stop()


def worker(settings: KafkaSettings, total: int) -> dict[str, Any]:
    """The service's own worker under FastStream, saving its state every two seconds and at the end."""
    return asyncio.run(_worker(settings, total))


async def _worker(settings: KafkaSettings, total: int) -> dict[str, Any]:
    broker = service_broker(settings, "sla")
    folding = UptimeWorker(broker, settings)
    await broker.start()
    try:
        while not folding.ownership.assigned:
            await asyncio.sleep(0.001)
        began, cpu, looked = time.perf_counter(), time.process_time(), 0.0
        while sum(share.position + 1 for share in folding.shares.values()) < total:
            await asyncio.sleep(0.005)
            if time.monotonic() - looked >= IDLE_EVERY_S:
                await folding.idle()
                looked = time.monotonic()
        await folding.close()
        return _figures(total, began, cpu)
    finally:
        await broker.stop()


def _figures(total: int, began: float, cpu: float) -> dict[str, Any]:
    took, used = time.perf_counter() - began, time.process_time() - cpu
    return {
        "per_second": round(total / took),
        "took_s": round(took, 3),
        "cpu_us_per_record": round(used / total * 1e6, 3),
    }
