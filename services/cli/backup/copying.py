"""Copies the log to a folder while everything runs, so that what is copied goes together.

What follows from something is cut before what it follows from: states, outcomes, the journal, its sources,
the probe results. So nothing copied rests on a record that is not; what a cut lacks of conclusions the folds
say again, byte for byte. The next copy reads only what came since.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from kafka import TopicPartition
from kafka.errors import TopicAuthorizationFailedError

from services.cli.backup import states
from services.cli.backup.archive import (
    FORMAT,
    NOTHING,
    Cut,
    File,
    Kept,
    Part,
    cuts,
    kept,
    line_of,
    lines_of,
    onward,
    read_cut,
    write_cut,
    write_lines,
)
from shared.errors import NeedsAPerson
from shared.kafka import HistoryGone, open_reader
from shared.kafka import kept as kept_offsets
from shared.rights import not_allowed
from shared.settings import KafkaSettings
from shared.time import format_instant
from shared.topics import (
    JOURNAL,
    PROBE_RESULTS,
    SUBSCRIPTION_EVENTS,
    TERMS_EVENTS,
    TICKET_EVENTS,
    TOPICS,
    UPTIME_CHANGES,
    Topic,
)

FILE_RECORDS = 100_000
FILE_BYTES = 32 * 1024 * 1024
HISTORY = tuple(topic for topic in TOPICS if not topic.compacted)
"""What is copied record for record; of the other topics only what the folds could go on from."""
SOURCES = (UPTIME_CHANGES, SUBSCRIPTION_EVENTS, TICKET_EVENTS, TERMS_EVENTS)

_Say = Callable[[str], None]


class AnotherLog(NeedsAPerson):
    """The broker's log is not the one that the folder holds."""


class NotCopied(NeedsAPerson):
    """The log cannot be copied as it is."""


class _Range(NamedTuple):
    topic: Topic
    partition: int
    first: int
    end: int


def write(
    settings: KafkaSettings, folder: Path, garant: str, now_ms: int, say: _Say, *, with_states: bool = True
) -> tuple[Cut, int]:
    """Copies what came since the folder's newest cut; returns the new cut and how many records that were.

    Raises AnotherLog, NotCopied, HistoryGone, BackupUnusable, Refused and BrokerUnreachable; then there is no
    new cut, and the ones before are as they were.
    """
    before = {(part.topic, part.partition): part for part in read_cut(folder).parts} if cuts(folder) else {}
    saved = asyncio.run(states.copied(settings, folder, now_ms, say)) if with_states else ()
    parts, count = [], 0
    with open_reader(settings) as consumer:
        ranges = list(_ranges(settings, consumer))
        for at in ranges:
            part, copied = _copy(
                settings, consumer, folder, at, before.get((at.topic.name, at.partition)), say
            )
            parts.append(part)
            count += copied
    if not with_states and any(at.topic is PROBE_RESULTS and at.first > 0 for at in ranges):
        raise NotCopied(
            f"{PROBE_RESULTS.name} no longer begins at its first record, so the uptime fold could not go on "
            "from this copy alone: copy its states too (without --no-states, as a user who may read them)."
        )
    partitions = {topic.name: sum(at.topic is topic for at in ranges) for topic in HISTORY}
    cut = Cut(FORMAT, garant, format_instant(now_ms), partitions, tuple(parts), saved)
    write_cut(folder, cut)
    return cut, count


def _ranges(settings: KafkaSettings, consumer: Any) -> Iterator[_Range]:
    """Every partition with what the broker keeps of it, what follows before what it follows from."""
    outcomes = [topic for topic in HISTORY if topic not in (JOURNAL, *SOURCES, PROBE_RESULTS)]
    for tier in (outcomes, [JOURNAL], SOURCES, [PROBE_RESULTS]):
        for topic, found in kept_offsets(settings, *tier, reader=consumer).items():
            if len(found) != settings.partitions(topic):
                raise NotCopied(
                    f"{settings.topic(topic)} has {len(found)} partitions, the settings ask for "
                    f"{settings.partitions(topic)}: set GARANT_KAFKA_TARGET_PARTITIONS, "
                    "GARANT_KAFKA_ACCOUNT_PARTITIONS and GARANT_KAFKA_PREFIX as the services have them."
                )
            for partition, (first, end) in sorted(found.items()):
                yield _Range(topic, partition, first, end)


def _copy(
    settings: KafkaSettings, consumer: Any, folder: Path, at: _Range, before: Part | None, say: _Say
) -> tuple[Part, int]:
    name = f"{settings.topic(at.topic)}/{at.partition}"
    files = [] if before is None else [file for file in before.files if file.end > at.first]
    start, digest, last = (
        (at.first, NOTHING, None) if before is None else (before.end, before.digest, before.last)
    )
    if before is None and at.first > 0 and at.topic.kept_ms is None:
        raise HistoryGone(f"{name} begins at offset {at.first}: records that are kept for ever are gone.")
    if before is not None:
        _check_same(settings, consumer, at, before, name)
    lines: list[bytes] = []
    first, opening = start, digest
    while files and _is_small(files[-1], at.end - first):  # many short files would make every cut long
        merged = files.pop()
        first, opening, lines = merged.first, merged.before, [*lines_of(folder, merged), *lines]
    size = sum(map(len, lines))
    following = start
    for record in read_range(settings, consumer, at.topic, at.partition, start, at.end):
        if record.offset != following and at.topic is JOURNAL:
            raise NotCopied(f"{name} has no offset {following}: somebody wrote it in a Kafka transaction.")
        line = line_of(record)
        digest, last, following = onward(digest, line), sha256(line).hexdigest(), record.offset + 1
        lines.append(line)
        size += len(line)
        if len(lines) >= FILE_RECORDS or size >= FILE_BYTES:
            files.append(write_lines(folder, at.topic.name, at.partition, first, following, opening, lines))
            first, size, opening, lines = following, 0, digest, []
            say(f"{name}: {following:,} of {at.end:,}")
    if lines:
        files.append(write_lines(folder, at.topic.name, at.partition, first, at.end, opening, lines))
    return Part(at.topic.name, at.partition, at.end, digest, last, tuple(files)), at.end - start


def _is_small(file: File, coming: int) -> bool:
    return 0 < file.end - file.first <= coming < FILE_RECORDS - (file.end - file.first)


def _check_same(settings: KafkaSettings, consumer: Any, at: _Range, before: Part, name: str) -> None:
    """Raises AnotherLog where the last record copied is not what the broker has there."""
    same = at.end >= before.end
    if same and at.first > before.end:
        raise NotCopied(
            f"{name} begins at offset {at.first}, the folder ends at {before.end}: what was between is "
            "deleted. Copy to a new folder."
        )
    if same and before.last is not None and at.first < before.end:
        where = (at.topic, at.partition, before.end - 1, before.end)
        found = [sha256(line_of(one)).hexdigest() for one in read_range(settings, consumer, *where)]
        same = found in ([], [before.last])
    if not same:
        raise AnotherLog(
            f"{name} is not the log that the folder holds up to offset {before.end}: the broker was restored "
            "to another state, or is another one. Copy to a new folder."
        )


def read_range(
    settings: KafkaSettings, consumer: Any, topic: Topic, partition: int, start: int, end: int
) -> Iterator[Kept]:
    """The records from offset `start` to, without, `end`, byte for byte. Raises Refused."""
    place = TopicPartition(settings.topic(topic), partition)
    consumer.assign([place])
    consumer.seek(place, start)
    try:
        while consumer.position(place) < end:
            for one in consumer.poll(timeout_ms=1_000).get(place, ()):
                if one.offset >= end:
                    return
                yield kept(one.offset, one.timestamp, one.key, one.value, one.headers)
    except TopicAuthorizationFailedError as error:
        raise not_allowed(settings, f"read {place.topic}") from error
