"""Snapshots of the promises fold: a volume of its own each time, whole or not at all.

A torn, flipped or foreign one is not used: the journal is folded from its beginning instead.
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

from services.sla import history_v2, subscriptions
from services.sla.app import volumes
from services.sla.app.volumes import PIECE_BYTES, SLOTS, Manifest, Place, Reader, Unusable, other_slot
from services.sla.history import STATE_VERSION, History
from shared.codec import encode_state, state_decoder
from shared.failpoints import reach
from shared.settings import KafkaSettings
from shared.topics import PROMISES_STATE

log = structlog.get_logger()

SOURCE = "/garant/sla/promises"


class Snapshot(Struct):
    """The fold's history, and by stream the highest origin the journal holds: (offset, step)."""

    history: History
    origins: dict[str, tuple[int, int]] = {}


_snapshot = state_decoder(Snapshot)


async def save(
    broker: KafkaBroker, settings: KafkaSettings, partition: int, snapshot: Snapshot, slot: str
) -> None:
    """Writes `snapshot` to `slot`; returns once its manifest is acknowledged."""
    plain, history = encode_state(snapshot), snapshot.history
    data = await asyncio.to_thread(zlib.compress, plain, 1)
    place = Place(broker, settings.topic(PROMISES_STATE), partition, "Snapshot", SOURCE)
    cut = [data[at : at + PIECE_BYTES] for at in range(0, len(data), PIECE_BYTES)]
    pieces = await volumes.write(place, slot, (), cut, history.recorded_at)
    reach("sla.promises.pieces-saved")
    await volumes.conclude(
        place, Manifest(STATE_VERSION, slot, history.position, pieces), history.recorded_at
    )


async def restored(settings: KafkaSettings, partition: int) -> tuple[Snapshot, str]:
    """The last whole snapshot of `partition`, or an empty one; and the slot the next one goes to."""
    async with volumes.reading(settings, settings.topic(PROMISES_STATE), partition) as reader:
        try:
            value = await reader.manifest()
            if value is None:
                return Snapshot(History(partition=partition)), SLOTS[0]
            return await _restored(reader, value)
        except (Unusable, msgspec.DecodeError, ValueError, KeyError, zlib.error) as error:
            log.warning(
                "snapshot.unusable",
                partition=partition,
                reason=str(error),
                what="folding the journal from its start",
            )
            return Snapshot(History(partition=partition)), SLOTS[0]


async def _restored(reader: Reader, value: bytes) -> tuple[Snapshot, str]:
    try:
        manifest = volumes.manifest_in(value)
    except Unusable as reason:
        try:
            before = history_v2.manifest_in(value)
        except (msgspec.DecodeError, ValueError):
            raise reason from None
        return await _restored_v2(reader, before)
    if manifest.version != STATE_VERSION:
        raise Unusable(f"snapshot of version {manifest.version}, this is {STATE_VERSION}")
    pieces = await reader.pieces(manifest)
    snapshot = _snapshot.decode(zlib.decompress(b"".join(pieces)))
    snapshot.history.subscriptions = subscriptions.share(snapshot.history.subscriptions)
    return snapshot, other_slot(manifest.slot)


async def _restored_v2(reader: Reader, manifest: history_v2.Manifest) -> tuple[Snapshot, str]:
    latest: dict[bytes | None, Any] = {}
    async for record in reader.between(reader.first, reader.end):
        latest[record.key] = record.value
    data = b"".join(latest[f"{manifest.slot}/{number}".encode()] or b"" for number in range(manifest.pieces))
    if sha256(data).hexdigest() != manifest.sha256:
        raise Unusable("the checksum of its pieces does not match")
    snapshot = Snapshot(*history_v2.snapshot_in(zlib.decompress(data)))
    return snapshot, other_slot(manifest.slot)
