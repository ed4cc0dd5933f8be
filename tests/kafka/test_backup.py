"""`garant backup` on a real broker: what comes back is what was there, to the last byte, offset and time; and
what cannot come back right is refused before anything is written."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiokafka import AIOKafkaProducer
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from typer.testing import CliRunner

from services.cli.backup import restoring
from services.cli.backup.archive import cuts, read_cut
from services.cli.main import app
from shared.errors import NeedsAPerson
from shared.kafka import kept
from shared.settings import KafkaSettings
from shared.topic_admin import ensure_topics, topic_settings
from shared.topics import JOURNAL, PROBE_RESULTS, TERMS_EVENTS, TICKET_EVENTS, TOPICS, UPTIME_CHANGES, Topic
from tests.kafka.reconciling import forget

Garant = Callable[..., "Ran"]


class Ran(NamedTuple):
    """What the command said, and the one line it ended with."""

    stdout: str
    error: str


@pytest.fixture
def garant(topics: KafkaSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Garant:
    """Runs a command in this process, which does not take seconds to start."""
    monkeypatch.setenv("GARANT_HOME", str(tmp_path / "home"))

    def run(*arguments: str) -> Ran:
        result = CliRunner().invoke(app, arguments)
        if isinstance(result.exception, NeedsAPerson):
            return Ran(result.stdout, str(result.exception))
        assert result.exit_code == 0, result.output + repr(result.exception)
        return Ran(result.stdout, "")

    return run


@pytest.fixture
def other(topics: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], KafkaSettings]]:
    """Moves the environment to another, empty installation on the broker."""
    prefix = f"t{uuid.uuid4().hex[:10]}-"

    def move() -> KafkaSettings:
        monkeypatch.setenv("GARANT_KAFKA_PREFIX", prefix)
        return KafkaSettings()

    yield move
    admin = KafkaAdminClient(bootstrap_servers=topics.bootstrap)
    admin.delete_topics([name for name in admin.list_topics() if name.startswith(prefix)])
    admin.close()


def put(settings: KafkaSettings, topic: Topic, count: int, **more: Any) -> None:
    producer = KafkaProducer(bootstrap_servers=settings.bootstrap, retries=20)
    for number in range(count):
        value = more.get("value", json.dumps({"type": "Stranger", "number": number}).encode())
        producer.send(
            settings.topic(topic),
            key=more.get("key", b"k"),
            value=value,
            partition=more.get("partition", 0),
            headers=more.get("headers", []),
        )
    producer.flush()
    producer.close()


def everything(settings: KafkaSettings) -> dict[str, list[tuple[Any, ...]]]:
    """Every record of every topic of history as the broker has it."""
    consumer = KafkaConsumer(bootstrap_servers=settings.bootstrap, enable_auto_commit=False)
    found: dict[str, list[tuple[Any, ...]]] = {}
    for topic in TOPICS:
        if topic.compacted:
            continue
        for partition in range(settings.partitions(topic)):
            place = TopicPartition(settings.topic(topic), partition)
            consumer.assign([place])
            consumer.seek_to_beginning(place)
            end, mine = consumer.end_offsets([place])[place], []
            while consumer.position(place) < end:
                for one in consumer.poll(timeout_ms=500).get(place, ()):
                    mine.append((one.offset, one.timestamp, one.key, one.value, tuple(one.headers)))
            found[f"{topic.name}/{partition}"] = mine
    consumer.close()
    return found


def test_what_comes_back_is_what_was_there_to_the_last_byte_and_millisecond(
    topics: KafkaSettings, other: Callable[[], KafkaSettings], garant: Garant, tmp_path: Path
) -> None:
    """Text, binary, empty and missing values and keys, headers said twice; results whose first are gone."""
    put(topics, PROBE_RESULTS, 500, partition=1)
    put(topics, PROBE_RESULTS, 20, partition=2)
    asyncio.run(forget(topics, PROBE_RESULTS, 1, 437))
    asyncio.run(forget(topics, PROBE_RESULTS, 2, 20))
    put(topics, JOURNAL, 3, partition=2, key=None)
    put(topics, TERMS_EVENTS, 1, value=b"\xff\x00poison", key=b"\xfe")
    put(topics, TERMS_EVENTS, 1, value=b"", key=b"")
    put(topics, TERMS_EVENTS, 1, value=None, headers=[("a", b"1"), ("a", b"\xff"), ("b", b"")])
    put(topics, UPTIME_CHANGES, 7, headers=[("origin", b"x/0/1/0")])
    before = everything(topics)
    ends = {topic.name: found for topic, found in kept(topics, *TOPICS).items()}

    written = garant("backup", "write", str(tmp_path / "copy"))
    assert "76 new records, 76 in all" in written.stdout
    new = other()
    restored = garant("backup", "restore", str(tmp_path / "copy"))
    assert "76 records, read back and the same" in restored.stdout
    assert everything(new) == before
    assert {topic.name: found for topic, found in kept(new, *TOPICS).items()} == ends
    for topic in (PROBE_RESULTS, JOURNAL):  # the broker stamps again what comes from now on
        assert topic_settings(new, topic)["message.timestamp.type"] == "LogAppendTime"


def test_the_next_copy_reads_only_what_came_since_and_any_cut_can_be_restored(
    topics: KafkaSettings, other: Callable[[], KafkaSettings], garant: Garant, tmp_path: Path
) -> None:
    copy = str(tmp_path / "copy")
    states = []
    for count in (10, 4, 4, 30):
        put(topics, TICKET_EVENTS, count)
        assert f"{count} new records" in garant("backup", "write", copy).stdout
        states.append(everything(topics))
        assert len(cuts(tmp_path / "copy")) == len(states)
    newest = read_cut(tmp_path / "copy")
    (part,) = [part for part in newest.parts if part.name == "ticket.events/0"]
    assert [(file.first, file.end) for file in part.files] == [(0, 48)]  # many short files are one
    assert "one of 4" in garant("backup", "check", copy).stdout
    other()
    assert not garant("backup", "restore", copy, "--cut", cuts(tmp_path / "copy")[1]).error
    assert everything(KafkaSettings()) == states[1]


def test_only_so_many_cuts_are_kept_and_what_they_need(
    topics: KafkaSettings, other: Callable[[], KafkaSettings], garant: Garant, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    said = []
    for count, keep in ((100, "2"), (3, "2"), (200, "2"), (0, "1")):
        put(topics, TICKET_EVENTS, count)
        said.append(garant("backup", "write", str(copy), "--keep", keep).stdout.splitlines()[-1])
    before = everything(topics)
    assert said[2:] == [
        "0 files that no cut needs any more are deleted, 2 cuts kept",  # the second needs all but the newest
        "2 files that no cut needs any more are deleted, 1 cuts kept",
    ]
    assert "is whole" in garant("backup", "check", str(copy)).stdout
    other()
    assert not garant("backup", "restore", str(copy)).error
    assert everything(KafkaSettings()) == before


def one_line(run: Ran) -> str:
    assert run.error
    assert "\n" not in run.error
    return run.error


def test_nothing_is_put_onto_topics_that_have_had_records(
    topics: KafkaSettings, garant: Garant, tmp_path: Path
) -> None:
    put(topics, TICKET_EVENTS, 2)
    assert not garant("backup", "write", str(tmp_path / "copy")).error
    before = everything(topics)
    assert "Nothing was written" in one_line(garant("backup", "restore", str(tmp_path / "copy")))
    assert everything(topics) == before


def test_another_log_is_not_copied_behind_the_first(
    topics: KafkaSettings, other: Callable[[], KafkaSettings], garant: Garant, tmp_path: Path
) -> None:
    """A broker restored to an older state goes its own way: spliced, the copy would be nobody's history."""
    put(topics, TICKET_EVENTS, 5)
    assert not garant("backup", "write", str(tmp_path / "copy")).error
    names = cuts(tmp_path / "copy")
    new = other()
    ensure_topics(new)
    for count in (2, 10):
        put(new, TICKET_EVENTS, count, value=b'{"type":"Another"}')
        assert "is not the log that the folder holds" in one_line(
            garant("backup", "write", str(tmp_path / "copy"))
        )
    assert cuts(tmp_path / "copy") == names


def test_a_damaged_copy_is_found_and_not_restored(
    topics: KafkaSettings, other: Callable[[], KafkaSettings], garant: Garant, tmp_path: Path
) -> None:
    put(topics, TICKET_EVENTS, 5)
    assert not garant("backup", "write", str(tmp_path / "copy")).error
    (file,) = (tmp_path / "copy" / "records" / "ticket.events").rglob("*.gz")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(bytes(data))
    assert str(file) in one_line(garant("backup", "check", str(tmp_path / "copy")))
    other()
    assert str(file) in one_line(garant("backup", "restore", str(tmp_path / "copy")))


def test_other_numbers_of_partitions_are_refused(
    topics: KafkaSettings,
    other: Callable[[], KafkaSettings],
    garant: Garant,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put(topics, TICKET_EVENTS, 1)
    assert not garant("backup", "write", str(tmp_path / "copy")).error
    other()
    monkeypatch.setenv("GARANT_KAFKA_ACCOUNT_PARTITIONS", "4")
    assert "GARANT_KAFKA_ACCOUNT_PARTITIONS" in one_line(garant("backup", "restore", str(tmp_path / "copy")))
    assert not any(kept(KafkaSettings(), TICKET_EVENTS).values())


def test_history_with_a_beginning_that_is_gone_is_not_copied_as_if_whole(
    topics: KafkaSettings, garant: Garant, tmp_path: Path
) -> None:
    put(topics, JOURNAL, 5)
    asyncio.run(forget(topics, JOURNAL, 0, 2))
    assert "kept for ever are gone" in one_line(garant("backup", "write", str(tmp_path / "copy")))
    assert cuts(tmp_path / "copy") == []


def test_a_million_offsets_are_passed_over(
    topics: KafkaSettings, other: Callable[[], KafkaSettings], tmp_path: Path
) -> None:
    """What is passed over takes no room: of more offsets than a batch has, none is left."""
    new = other()
    ensure_topics(new)

    async def fill() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=new.bootstrap, enable_idempotence=True, acks="all")
        await producer.start()
        place = TopicPartition(new.topic(PROBE_RESULTS), 3)
        await restoring.fill_before(new, producer, place, 1_000_003, lambda _: None)
        await producer.stop()

    asyncio.run(fill())
    assert kept(new, PROBE_RESULTS)[PROBE_RESULTS][3] == (1_000_003, 1_000_003)
