"""Snapshots of the promises fold on a compacted topic: whole or not at all.

A snapshot is cut into pieces, written to one of two slots in turn, and counts only once its manifest is
acknowledged. A torn, flipped or foreign one is not used: the journal is folded from its beginning instead.
"""

from __future__ import annotations

import asyncio
import zlib
from hashlib import sha256
from typing import Any

import msgspec
import structlog
from faststream.kafka import KafkaBroker
from msgspec import Struct

from services.sla.history import STATE_VERSION, History
from shared.cloudevents import headers
from shared.codec import encode_state, state_decoder
from shared.failpoints import reach
from shared.kafka import read_topic, send
from shared.settings import KafkaSettings
from shared.topics import PROMISES_STATE

log = structlog.get_logger()

SOURCE = "/garant/sla/promises"
MANIFEST_KEY = b"manifest"
PIECE_BYTES = 512 * 1024
SLOTS = ("a", "b")


class Snapshot(Struct):
    """The fold's history, and by stream the highest origin the journal holds: (offset, step)."""

    history: History
    origins: dict[str, tuple[int, int]] = {}


class Manifest(Struct, frozen=True):
    """Which pieces make the snapshot, and what they must add up to."""

    version: int
    slot: str
    pieces: int
    sha256: str
    position: int


_manifest = state_decoder(Manifest)
_snapshot = state_decoder(Snapshot)


async def save(
    broker: KafkaBroker, settings: KafkaSettings, partition: int, snapshot: Snapshot, slot: str
) -> None:
    """Writes `snapshot` to `slot`; returns once its manifest is acknowledged."""
    data = zlib.compress(encode_state(snapshot), 1)
    pieces = [data[at : at + PIECE_BYTES] for at in range(0, len(data), PIECE_BYTES)]
    topic = settings.topic(PROMISES_STATE)

    async def keep(key: bytes, value: bytes) -> asyncio.Future[Any]:
        named = headers(value, type_name="Snapshot", source=SOURCE, time_ms=snapshot.history.recorded_at)
        return await send(broker, topic, value, key=key, headers=named, partition=partition)

    await asyncio.gather(
        *[await keep(f"{slot}/{number}".encode(), piece) for number, piece in enumerate(pieces)]
    )
    reach("sla.promises.pieces-saved")
    manifest = Manifest(STATE_VERSION, slot, len(pieces), sha256(data).hexdigest(), snapshot.history.position)
    await (await keep(MANIFEST_KEY, encode_state(manifest)))


def restored(settings: KafkaSettings, partition: int) -> tuple[Snapshot, str]:
    """The last whole snapshot of `partition`, or an empty one; and the slot the next one goes to."""
    kept = {
        record.key: record.value
        for record in read_topic(settings, PROMISES_STATE, partition)
        if record.key is not None and record.value is not None
    }
    empty = Snapshot(History(partition=partition))
    if MANIFEST_KEY not in kept:
        return empty, SLOTS[0]
    try:
        manifest = _manifest.decode(kept[MANIFEST_KEY])
        following = SLOTS[1 - SLOTS.index(manifest.slot)]
        if manifest.version != STATE_VERSION:
            raise ValueError(f"snapshot of version {manifest.version}, this is {STATE_VERSION}")
        data = b"".join(kept[f"{manifest.slot}/{number}".encode()] for number in range(manifest.pieces))
        if sha256(data).hexdigest() != manifest.sha256:
            raise ValueError("its checksum does not match")
        return _snapshot.decode(zlib.decompress(data)), following
    except (msgspec.DecodeError, ValueError, KeyError, zlib.error) as error:
        log.warning(
            "snapshot.unusable",
            partition=partition,
            reason=str(error),
            what="folding the journal from its start",
        )
        return empty, SLOTS[0]
