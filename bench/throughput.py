"""Probe results into uptime states: the service's worker beside a bare consumer, turn by turn.

Both read the same records with the same decoding and the same fold, each in a process of its own, the
records long appended by a third. The worker also publishes what it concludes and saves its state; the time
it takes to save what is left at the end counts too.
"""

from __future__ import annotations

import asyncio
import logging
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, TypeAlias, TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.partitioner import DefaultPartitioner

from bench.workload import CHECKS, INTERVAL, LOCATIONS, fleet, record
from services.sla.app.uptime_worker import MAX_RECORDS, UptimeWorker
from services.sla.states import TargetState, observe
from shared.codec import decode_probe_fact
from shared.kafka import service_broker
from shared.settings import KafkaSettings
from shared.topic_admin import ensure_topics
from shared.topics import MAX_RECORD_BYTES, PROBE_RESULTS, Topic

T = TypeVar("T")
Line: TypeAlias = dict[str, Any]
"""One raw line: what was measured, ready for JSON."""

IDLE_EVERY_S = 0.05
"""How often the service calls `idle`."""


class Round(KafkaSettings):
    """Settings of one round: topics of its own, except for the records, which all rounds read."""

    records_prefix: str = ""

    def topic(self, topic: Topic) -> str:
        """The topic's name on this broker."""
        return self.records_prefix + topic.name if topic is PROBE_RESULTS else super().topic(topic)


def alone(function: Callable[..., T], *arguments: Any) -> T:
    """Calls `function` in a fresh process, warnings only in its log, and returns what it returns."""
    with ProcessPoolExecutor(1, get_context("spawn"), initializer=_quiet) as pool:
        return pool.submit(function, *arguments).result()


def _quiet() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))


def measure(
    settings: KafkaSettings, targets: int, records: int, rounds: int, sizes: Sequence[int]
) -> Iterator[Line]:
    """Appends `records` records of `targets` targets, then lets both fold all of them, in turn, `rounds`
    times; then the worker once more with each of `sizes` as its largest batch. The last line has the ratio
    of the medians."""
    ensure_topics(settings)
    slots = max(1, records // (targets * len(LOCATIONS) * len(CHECKS)))
    appended = alone(append, settings, targets, slots)
    yield {"part": "appended", **appended}
    found: dict[str, list[Line]] = {"bare": [], "worker": []}
    for number in range(rounds):
        for name in found:
            if name == "bare":
                line = alone(bare, settings)
            else:
                line = alone(worker, _round(settings, f"{number}-"), appended["records"], MAX_RECORDS)
            found[name].append(line)
            yield {"part": name, "round": number + 1, **line}
    for size in sizes:
        line = alone(worker, _round(settings, f"of-{size}-"), appended["records"], size)
        yield {"part": "worker by batch size", "max_records": size, **line}
    yield {
        "part": "throughput",
        **{name: _spread([line["per_second"] for line in lines]) for name, lines in found.items()},
        "ratio": round(_median(found["worker"], "per_second") / _median(found["bare"], "per_second"), 2),
        "ratio_of_processor_time": round(
            _median(found["bare"], "cpu_us_per_record") / _median(found["worker"], "cpu_us_per_record"), 2
        ),
    }


def _round(settings: KafkaSettings, name: str) -> Round:
    own = Round(bootstrap=settings.bootstrap, prefix=settings.prefix + name, records_prefix=settings.prefix)
    ensure_topics(own)
    return own


def _median(lines: list[Line], figure: str) -> float:
    return float(statistics.median(line[figure] for line in lines))


def _spread(found: list[int]) -> dict[str, int]:
    return {"min": min(found), "median": round(statistics.median(found)), "max": max(found)}


def append(settings: KafkaSettings, targets: int, slots: int) -> Line:
    """Appends the fleet's records, the last slot being now."""
    return asyncio.run(_append(settings, targets, slots))


async def _append(settings: KafkaSettings, targets: int, slots: int) -> Line:
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


def bare(settings: KafkaSettings) -> Line:
    """aiokafka alone: the same decoding and fold in batches; nothing published, nothing saved."""
    return asyncio.run(_bare(settings))


async def _bare(settings: KafkaSettings) -> Line:
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


def worker(settings: KafkaSettings, total: int, max_records: int) -> Line:
    """The service's own worker under FastStream, saving its state every two seconds and at the end."""
    return asyncio.run(_worker(settings, total, max_records))


async def _worker(settings: KafkaSettings, total: int, max_records: int) -> Line:
    broker = service_broker(settings, "sla")
    folding = UptimeWorker(broker, settings, max_records=max_records)
    await broker.start()
    try:
        while not folding.ownership.assigned:  # noqa: ASYNC110  (the worker has no event to wait for)
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


def _figures(total: int, began: float, cpu: float) -> Line:
    took, used = time.perf_counter() - began, time.process_time() - cpu
    return {
        "per_second": round(total / took),
        "took_s": round(took, 3),
        "cpu_us_per_record": round(used / total * 1e6, 3),
    }
