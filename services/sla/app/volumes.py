"""State on a compacted topic: pieces, and a manifest that makes them count.

A volume is a full state in pieces, and what has changed since in further ones. The manifest, written last,
says where each piece is and its checksum, and has a checksum of its own; it is the last of its key. So a
state is found from the end of the topic without reading all of it, whatever has been compacted, and what is
torn, flipped, missing or half of another instance's is never taken for one: Unusable. Volumes take turns
between two slots, whose keys compaction frees.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from hashlib import sha256
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord
from faststream.kafka import KafkaBroker
from msgspec import Struct

from shared.cloudevents import headers
from shared.kafka import send
from shared.security import aiokafka_arguments
from shared.settings import KafkaSettings

MANIFEST_KEY = b"manifest"
PIECE_BYTES = 512 * 1024
SLOTS = ("a", "b")
_DIGEST_BYTES = sha256().digest_size


class Unusable(Exception):
    """A state that cannot be gone on from; the message says why."""


class Piece(Struct, frozen=True, array_like=True):
    """Where a piece is and what it must add up to."""

    offset: int
    sha256: bytes


class Manifest(Struct, frozen=True, array_like=True):
    """A state of `version`, at `position`, and the pieces that make it, in order."""

    version: int
    slot: str
    position: int
    pieces: tuple[Piece, ...]


class Place(Struct, frozen=True):
    """Where one partition's state is kept, and what its records say of themselves."""

    broker: KafkaBroker
    topic: str
    partition: int
    type_name: str
    source: str

    async def keep(self, key: bytes, data: bytes, time_ms: int) -> asyncio.Future[Any]:
        """Hands a record to the producer."""
        named = headers(data, type_name=self.type_name, source=self.source, time_ms=time_ms)
        return await send(self.broker, self.topic, data, key=key, headers=named, partition=self.partition)


def other_slot(slot: str) -> str:
    """The slot the next volume goes to."""
    return SLOTS[1 - SLOTS.index(slot)]


async def write(
    place: Place, slot: str, before: tuple[Piece, ...], data: Sequence[bytes], time_ms: int
) -> tuple[Piece, ...]:
    """Writes `data` as the pieces after `before` in `slot`; returns all of them, acknowledged."""
    numbered = enumerate(data, len(before))
    acks = [await place.keep(f"{slot}/{number}".encode(), piece, time_ms) for number, piece in numbered]
    written = await asyncio.gather(*acks)
    if any(each.offset < 0 for each in written):
        raise RuntimeError(
            f"the broker does not say where pieces of {place.topic} are"
        )  # a state nobody finds
    return before + tuple(
        Piece(each.offset, sha256(piece).digest()) for each, piece in zip(written, data, strict=True)
    )


async def conclude(place: Place, manifest: Manifest, time_ms: int) -> None:
    """Makes the manifest's pieces count; returns once that is acknowledged."""
    data = _encoder.encode(manifest)
    await (await place.keep(MANIFEST_KEY, sha256(data).digest() + data, time_ms))


_encoder = msgspec.msgpack.Encoder()
_manifest = msgspec.msgpack.Decoder(Manifest)


def manifest_in(value: bytes) -> Manifest:
    """The manifest in a record. Raises Unusable."""
    data = value[_DIGEST_BYTES:]
    if sha256(data).digest() != value[:_DIGEST_BYTES]:
        raise Unusable("the checksum of its manifest does not match")
    try:
        return _manifest.decode(data)
    except msgspec.DecodeError as error:
        raise Unusable(str(error)) from None


class Reader:
    """Reads one partition of a state topic as it is now."""

    def __init__(self, consumer: AIOKafkaConsumer, place: TopicPartition, first: int, end: int) -> None:
        self._consumer, self._place = consumer, place
        self.first, self.end = first, end

    async def between(self, start: int, end: int) -> AsyncIterator[ConsumerRecord[bytes, bytes]]:
        """The records from offset `start` up to, without, `end`."""
        self._consumer.seek(self._place, start)
        while await self._consumer.position(self._place) < end:
            found = await self._consumer.getmany(self._place, timeout_ms=1_000)
            for record in found.get(self._place, ()):
                if record.offset >= end:
                    return
                yield record

    async def manifest(self) -> bytes | None:
        """The last manifest's bytes, None where there never was one; looked for from the end, for it is close
        to it. Raises Unusable where it was deleted."""
        end, span = self.end, 1
        while end > self.first:
            start = max(self.first, end - span)
            found = [record.value async for record in self.between(start, end) if record.key == MANIFEST_KEY]
            if found and found[-1] is None:
                raise Unusable("its manifest was deleted")
            if found:
                return bytes(found[-1])
            end, span = start, span * 8
        return None

    async def pieces(self, manifest: Manifest) -> list[bytes]:
        """The pieces of `manifest`. Raises Unusable where one is gone or is not what it was."""
        if not manifest.pieces:
            return []
        wanted = {piece.offset: piece.sha256 for piece in manifest.pieces}
        found: dict[int, bytes] = {}
        async for record in self.between(max(min(wanted), self.first), min(max(wanted) + 1, self.end)):
            if record.offset in wanted and record.value is not None:
                found[record.offset] = record.value
        for number, piece in enumerate(manifest.pieces):
            if piece.offset not in found:
                raise Unusable(f"piece {number} is gone")
            if sha256(found[piece.offset]).digest() != piece.sha256:
                raise Unusable(f"the checksum of piece {number} does not match")
        return [found[piece.offset] for piece in manifest.pieces]


@contextlib.asynccontextmanager
async def reading(settings: KafkaSettings, topic: str, partition: int) -> AsyncIterator[Reader]:
    """A reader of the partition from its first record to its end, as these are when it begins."""
    place = TopicPartition(topic, partition)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.bootstrap,
        **aiokafka_arguments(settings),
        enable_auto_commit=False,
        auto_offset_reset="earliest",  # 1 MB at a time, or a piece that is larger
    )
    consumer.assign([place])
    await consumer.start()
    try:
        first, end = await asyncio.gather(consumer.beginning_offsets([place]), consumer.end_offsets([place]))
        yield Reader(consumer, place, first[place], end[place])
    finally:
        await consumer.stop()
