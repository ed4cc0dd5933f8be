"""Puts a cut back onto an empty broker: the same offsets, times, keys, values and headers.

Journal, books and states name records by their offsets, so each record must come to stand where it was. Where
the log no longer began at its first record, fillers take the offsets before it and are deleted again. Topics
that the broker stamps keep the times they are given while this runs. In the end everything is read back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.errors import KafkaError
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import ClusterAuthorizationFailedError, TopicAuthorizationFailedError

from services.cli.backup import states
from services.cli.backup.archive import Cut, Kept, Part, line_of, onward, records_of
from services.cli.backup.copying import HISTORY, read_range
from shared.errors import NeedsAPerson
from shared.kafka import kept, open_reader
from shared.rights import not_allowed
from shared.security import aiokafka_arguments, blocking_arguments
from shared.settings import KafkaSettings
from shared.topic_admin import ensure_topics
from shared.topics import MAX_RECORD_BYTES, PROBE_RESULTS, TOPICS, Topic

_AT_ONCE = 5_000
_FILLERS = 100_000
_TIME = "message.timestamp.type"
_AS_GIVEN = "CreateTime"
_DYNAMIC = 1
"""Kafka's number for a setting of the topic itself, as DescribeConfigs tells it."""
_TAKES_S = 30.0

_Say = Callable[[str], None]


class NotEmpty(NeedsAPerson):
    """There is something on the topics to restore to."""


class NotRestored(NeedsAPerson):
    """What stands on the broker is not what the folder has; nothing may be started on it."""


def restore(settings: KafkaSettings, folder: Path, cut: Cut, say: _Say) -> int:
    """Makes the topics that are missing and puts everything of `cut` onto them; returns how many records.

    Raises NotEmpty before anything is written, and NotRestored where something came to stand elsewhere or
    otherwise; BackupUnusable, TopicMismatch, Refused.
    """
    _check_layout(settings, cut)
    ensure_topics(settings)
    _check_empty(settings)
    by_name = {topic.name: topic for topic in HISTORY}
    stamped = [topic for topic in HISTORY if topic.append_time]
    with _times_as_given(settings, stamped):
        fillers = asyncio.run(_put(settings, folder, cut, by_name, say))
    asyncio.run(states.put_back(settings, folder, cut))
    say("reading everything back")
    count = 0
    with open_reader(settings) as consumer:
        for part in cut.parts:
            count += _check_same(settings, consumer, by_name[part.topic], part, fillers[part.name])
    return count


def _check_layout(settings: KafkaSettings, cut: Cut) -> None:
    for topic in HISTORY:
        count = cut.partitions.get(topic.name, settings.partitions(topic))
        if count != settings.partitions(topic):
            raise NotRestored(
                f"The cut has {count} partitions of {topic.name}, the settings ask for "
                f"{settings.partitions(topic)}: set GARANT_KAFKA_TARGET_PARTITIONS and "
                "GARANT_KAFKA_ACCOUNT_PARTITIONS to what was backed up. Nothing was written."
            )


def _check_empty(settings: KafkaSettings) -> None:
    for topic, found in kept(settings, *TOPICS).items():
        for partition, range_ in found.items():
            if range_ != (0, 0):
                raise NotEmpty(
                    f"{settings.topic(topic)}/{partition} has had {range_[1]} records: stop all services, "
                    "delete the topics, or name another broker or GARANT_KAFKA_PREFIX. Nothing was written."
                )


@contextmanager
def _times_as_given(settings: KafkaSettings, topics: Sequence[Topic]) -> Iterator[None]:
    """While this runs the broker keeps the times that records of `topics` come with."""
    admin = KafkaAdminClient(**blocking_arguments(settings))
    try:
        names = [settings.topic(topic) for topic in topics]
        own = {name: _own_settings(admin, name) for name in names}
        try:
            _set(admin, {name: found | {_TIME: _AS_GIVEN} for name, found in own.items()})
            deadline = time.monotonic() + _TAKES_S
            while any(_own_settings(admin, name).get(_TIME) != _AS_GIVEN for name in names):
                if time.monotonic() > deadline:
                    raise NotRestored(f"The broker did not take {_TIME}={_AS_GIVEN} for {', '.join(names)}.")
                time.sleep(0.2)
            # It is known; brokers take it over one after the other, and what comes too early shows.
            time.sleep(1.0)
            yield
        finally:
            _set(admin, own)
    except (TopicAuthorizationFailedError, ClusterAuthorizationFailedError) as error:
        raise not_allowed(settings, "change settings of topics; restore as a super user") from error
    finally:
        admin.close()


def _own_settings(admin: Any, name: str) -> dict[str, str]:
    answer = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
    entries = [entry for response in answer for entry in response.resources[0][4]]
    return {entry[0]: entry[1] for entry in entries if entry[3] == _DYNAMIC}


def _set(admin: Any, wanted: dict[str, dict[str, str]]) -> None:
    admin.alter_configs(
        [ConfigResource(ConfigResourceType.TOPIC, name, configs=found) for name, found in wanted.items()]
    )


async def _put(
    settings: KafkaSettings, folder: Path, cut: Cut, by_name: dict[str, Topic], say: _Say
) -> dict[str, set[int]]:
    """Puts every record where it was; returns for each partition the offsets that have fillers."""
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap,
        **aiokafka_arguments(settings),
        acks="all",
        enable_idempotence=True,
        max_request_size=MAX_RECORD_BYTES,
        max_batch_size=256 * 1024,
        linger_ms=5,
    )
    await producer.start()
    found = dict[str, set[int]]()
    try:
        for part in cut.parts:
            place = TopicPartition(settings.topic(by_name[part.topic]), part.partition)
            if part.first > 0:
                if by_name[part.topic] is not PROBE_RESULTS:
                    raise NotRestored(
                        f"The folder has {part.name} from offset {part.first} only: take another."
                    )
                await fill_before(settings, producer, place, part.first, say)
            found[part.name] = await _put_part(producer, place, folder, part)
            say(f"{place.topic}/{place.partition}: {part.first:,} to {part.end:,}")
        return found
    except KafkaError as error:
        raise NotRestored(
            f"The broker at {settings.bootstrap} did not take everything ({error}). {_AGAIN}"
        ) from error
    finally:
        await producer.stop()


_AGAIN = "Start nothing on it: delete the topics and restore again."


async def fill_before(
    settings: KafkaSettings, producer: Any, place: TopicPartition, first: int, say: _Say
) -> None:
    done, now_ms = 0, time.time_ns() // 1_000_000
    while done < first:
        count = min(_FILLERS, first - done)
        batch = producer.create_batch()
        batch_size = 0
        while batch_size < count and batch.append(timestamp=now_ms, key=None, value=b"") is not None:
            batch_size += 1
        _check_place(
            place, done, await (await producer.send_batch(batch, place.topic, partition=place.partition))
        )
        done += batch_size
        if done % (100 * _FILLERS) < batch_size:
            say(f"{place.topic}/{place.partition}: {done:,} of {first:,} offsets passed over")
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap, **aiokafka_arguments(settings))
    await admin.start()
    try:
        await admin.delete_records({place: RecordsToDelete(first)})
    finally:
        await admin.close()


async def _put_part(producer: Any, place: TopicPartition, folder: Path, part: Part) -> set[int]:
    fillers, following = set[int](), part.first
    waiting: list[tuple[int, Any]] = []
    for _, record in records_of(folder, part):
        while following < record.offset:  # the end of somebody's transaction was there
            fillers.add(following)
            waiting.append((following, await _send(producer, place, _filler(following, record.timestamp))))
            following += 1
        waiting.append((following, await _send(producer, place, record)))
        following += 1
        if len(waiting) >= _AT_ONCE:
            await _settled(place, waiting)
    while following < part.end:
        fillers.add(following)
        waiting.append(
            (following, await _send(producer, place, _filler(following, time.time_ns() // 1_000_000)))
        )
        following += 1
    await _settled(place, waiting)
    return fillers


def _filler(offset: int, timestamp: int) -> Kept:
    return Kept(offset, timestamp, value="")


async def _send(producer: Any, place: TopicPartition, record: Kept) -> Any:
    return await producer.send(
        place.topic,
        value=record.value_bytes(),
        key=record.key_bytes(),
        partition=place.partition,
        timestamp_ms=record.timestamp,
        headers=record.headers_bytes(),
    )


async def _settled(place: TopicPartition, waiting: list[tuple[int, Any]]) -> None:
    for (offset, _), found in zip(waiting, await asyncio.gather(*[each for _, each in waiting]), strict=True):
        _check_place(place, offset, found)
    waiting.clear()


def _check_place(place: TopicPartition, offset: int, found: Any) -> None:
    if found.offset != offset:
        raise NotRestored(
            f"{place.topic}/{place.partition}: what belongs to offset {offset} came to stand at "
            f"{found.offset}; something else writes there. Stop all services. {_AGAIN}"
        )


def _check_same(settings: KafkaSettings, consumer: Any, topic: Topic, part: Part, fillers: set[int]) -> int:
    """Reads a partition back; returns how many records it has. Raises NotRestored."""
    digest, count, position = part.files[0].before if part.files else part.digest, 0, part.first
    for record in read_range(settings, consumer, topic, part.partition, part.first, part.end):
        position = record.offset + 1
        if record.offset not in fillers:
            digest, count = onward(digest, line_of(record)), count + 1
    if (digest, position) != (part.digest, part.end):
        raise NotRestored(
            f"{part.name} does not read back as it was (digest {digest}, not {part.digest}). {_AGAIN}"
        )
    return count
