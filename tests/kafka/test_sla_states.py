"""The saved states of the SLA service on a real broker: whole or not at all, whatever befalls the topic."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import AsyncIterator, Callable
from hashlib import sha256

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import PolicyViolationError
from faststream.kafka import KafkaBroker

from services.sla import history_v2
from services.sla.app import snapshots, uptime_states, volumes
from services.sla.app.snapshots import Snapshot
from services.sla.app.uptime_states import Share, restored
from services.sla.app.volumes import MANIFEST_KEY, Manifest, Piece, Place
from services.sla.history import History
from services.sla.pages import STATE_VERSION
from shared.codec import encode_state
from shared.kafka import read_topic, service_broker
from shared.settings import KafkaSettings
from shared.topics import PROMISES_STATE, UPTIME_STATE
from tests.core.old_states import records, story
from tests.core.probing import Fold
from tests.core.test_saved_states import SAVED, of_version_1
from tests.waiting import WITHIN_S

PARTITION = 1
NOW = 1_793_614_380_000


@pytest.fixture
async def broker(topics: KafkaSettings) -> AsyncIterator[KafkaBroker]:
    started = service_broker(topics, "sla")
    await started.start()
    yield started
    await started.stop()


@pytest.fixture
def place(topics: KafkaSettings, broker: KafkaBroker) -> Place:
    return Place(broker, topics.topic(UPTIME_STATE), PARTITION, "UptimeState", "/test")


def folded(upto: int | None = None) -> Share:
    fold = Fold()
    for fact, recorded_at in records()[:upto]:
        fold.record(fact, recorded_at)
    return Share(fold.states, fold.position)


async def save(place: Place, share: Share) -> None:
    await (await uptime_states.save(place, share, NOW)).conclude(place, NOW)


async def append(place: Place, key: bytes, value: bytes | None) -> None:
    """Puts a record behind all others, as a mishap or somebody else would."""
    producer = place.broker.config.producer._producer.producer  # type: ignore[attr-defined]
    await producer.send_and_wait(place.topic, value, key=key, partition=place.partition)


def last_manifest(settings: KafkaSettings) -> bytes:
    found = [one.value for one in read_topic(settings, UPTIME_STATE, PARTITION) if one.key == MANIFEST_KEY]
    assert found[-1] is not None
    return found[-1]


async def test_states_saved_and_saved_again_are_read_with_the_position_they_reach(
    topics: KafkaSettings, place: Place
) -> None:
    share = folded(100)
    await save(place, share)
    assert (await restored(topics, PARTITION)).states == share.states
    later = folded()
    share.states, share.position = later.states, later.position
    await save(place, share)
    found = await restored(topics, PARTITION)
    assert (found.states, found.position, found.saved) == (share.states, share.position, share.position)
    assert found.volume == share.volume


async def test_what_changed_is_added_until_that_is_as_much_as_there_is_then_all_is_written_anew(
    topics: KafkaSettings, place: Place
) -> None:
    share = folded()
    await save(place, share)
    assert share.volume is not None
    first, held = share.volume, []
    for _ in range(12):
        share.position += 1
        share.states["doubt"].position = share.position
        await save(place, share)
        held.append(len(share.volume.pieces))
    assert share.volume.slot in volumes.SLOTS
    assert first.slot == "a"
    assert held == [2, 3, 4, 5, 1] * 2 + [2, 3]
    assert (await restored(topics, PARTITION)).states == share.states


async def test_pieces_that_no_manifest_counts_are_not_read(topics: KafkaSettings, place: Place) -> None:
    """As after a kill between the pieces and the manifest."""
    share = folded(100)
    await save(place, share)
    before = (await restored(topics, PARTITION)).states
    later = folded()
    share.states, share.position = later.states, later.position
    await uptime_states.save(place, share, NOW)
    found = await restored(topics, PARTITION)
    assert (found.states, found.position) == (before, 99)
    found.states, found.position = later.states, later.position
    await save(place, found)
    assert (await restored(topics, PARTITION)).states == later.states


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]


DAMAGE: dict[str, Callable[[bytes], bytes | None]] = {
    "truncated": lambda data: data[:-1],
    "its checksum flipped": lambda data: flipped(data, 3),
    "its position flipped, readable still": lambda data: flipped(data, 32 + 5),
    "emptied": lambda _: b"",
    "deleted": lambda _: None,
}


@pytest.mark.parametrize("damage", DAMAGE)
async def test_a_damaged_manifest_has_everything_folded_from_the_beginning(
    topics: KafkaSettings, place: Place, damage: str
) -> None:
    await save(place, folded())
    await append(place, MANIFEST_KEY, DAMAGE[damage](last_manifest(topics)))
    assert await restored(topics, PARTITION) == Share()
    share = folded()
    await save(place, share)
    assert (await restored(topics, PARTITION)).states == share.states


async def test_a_flipped_piece_that_is_still_a_page_is_noticed(topics: KafkaSettings, place: Place) -> None:
    share = folded()
    data = uptime_states._pages(list(share.states.values()))[0]
    position = data.index(b"doubt")
    [written] = await volumes.write(place, "a", (), [flipped(data, position)], NOW)
    pieces = (Piece(written.offset, sha256(data).digest()),)
    await volumes.conclude(place, Manifest(STATE_VERSION, "a", share.position, pieces), NOW)
    assert await restored(topics, PARTITION) == Share()


async def test_pieces_that_are_gone_are_missed(topics: KafkaSettings, place: Place) -> None:
    share = folded()
    await save(place, share)
    share.position += 1
    share.states["doubt"].position = share.position
    await save(place, share)
    admin = AIOKafkaAdminClient(bootstrap_servers=topics.bootstrap)
    await admin.start()
    # Of a topic that is compacted only, compaction alone takes records away; it cannot be told which.
    await admin.alter_configs(
        [ConfigResource(ConfigResourceType.TOPIC, place.topic, {"cleanup.policy": "compact,delete"})]
    )
    deadline = time.monotonic() + WITHIN_S
    while True:
        try:
            await admin.delete_records({TopicPartition(place.topic, PARTITION): RecordsToDelete(1)})
            break
        except PolicyViolationError:  # the broker takes a moment to know what it was told
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)
    await admin.close()
    assert await restored(topics, PARTITION) == Share()


async def test_damage_to_copies_of_pieces_that_come_later_harms_nothing(
    topics: KafkaSettings, place: Place
) -> None:
    """A manifest says where its pieces are: another record under the same key is not taken for one."""
    share = folded()
    await save(place, share)
    await append(place, b"a/0", b"torn")
    assert (await restored(topics, PARTITION)).states == share.states


async def test_a_state_of_version_1_is_gone_on_from_and_saved_in_the_form_of_now(
    topics: KafkaSettings, place: Place
) -> None:
    *states, position = of_version_1()
    expected = folded()
    for name, data in zip(expected.states, states, strict=True):
        await append(place, b"=" + name.encode(), data)
    await append(place, uptime_states.V1_POSITION_KEY, position)
    share = await restored(topics, PARTITION)
    assert (share.states, share.position) == (expected.states, expected.position)
    share.position += 1
    await save(place, share)
    found = await restored(topics, PARTITION)
    assert (found.states, found.position) == (expected.states, expected.position + 1)


async def test_snapshots_take_turns_and_the_last_whole_one_is_read(
    topics: KafkaSettings, broker: KafkaBroker
) -> None:
    history, slot = story().fold.history, "a"
    for position in range(3):
        history.position = position
        await snapshots.save(broker, topics, PARTITION, Snapshot(history, {"x/0": (position, 0)}), slot)
        snapshot, slot = await snapshots.restored(topics, PARTITION)
        assert (snapshot.history, snapshot.origins) == (history, {"x/0": (position, 0)})
    assert slot == "b"


async def test_a_snapshot_of_version_2_is_gone_on_from(topics: KafkaSettings, broker: KafkaBroker) -> None:
    place = Place(broker, topics.topic(PROMISES_STATE), PARTITION, "Snapshot", "/test")
    data = zlib.compress(bytes.fromhex((SAVED / "snapshot-2.hex").read_text()))
    for number, piece in enumerate((data[:500], data[500:])):
        await append(place, f"b/{number}".encode(), piece)
    manifest = history_v2.Manifest(2, "b", 2, sha256(data).hexdigest(), 7)
    await append(place, MANIFEST_KEY, encode_state(manifest))
    snapshot, slot = await snapshots.restored(topics, PARTITION)
    assert snapshot.history == story().fold.history
    assert slot == "a"
    await append(place, b"b/1", b"torn")
    assert (await snapshots.restored(topics, PARTITION))[0] == Snapshot(History(partition=PARTITION))
