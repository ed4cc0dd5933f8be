"""The uptime fold's states on sla.uptime.state: pages of targets, all of them and then those that changed.

What is saved every two seconds is the targets that changed, many in a page. Once the pages since the full
state hold as many targets as that has, or are many, a full state is written anew: what is read at a restart
stays within twice of what there is, and what is written within twice of what changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import structlog
from msgspec import Struct

from services.sla import pages, states_v1
from services.sla.app import volumes
from services.sla.app.volumes import Manifest, Piece, Place, Reader, Unusable
from services.sla.pages import STATE_VERSION
from services.sla.states import TargetState
from shared.settings import KafkaSettings
from shared.topics import UPTIME_STATE

log = structlog.get_logger()

PAGE_TARGETS = 1_000
MOST_PIECES = 100
V1_POSITION_KEY = b"@position"
"""Version 1 kept a record for each target under "=" and its id, and their position under this."""


class Volume(Struct, frozen=True):
    """What is saved: the pieces, and how many targets those behind the full state hold."""

    slot: str
    pieces: tuple[Piece, ...]
    changes: int = 0


class Share(Struct):
    """One partition of probe.results in this instance's hands; `position` is the last offset folded. The
    states to save are those whose own position is beyond `saved`."""

    states: dict[str, TargetState] = {}
    position: int = -1
    saved: int = -1
    volume: Volume | None = None
    """None where nothing is saved that could be added to."""


class Saving(Struct, frozen=True):
    """A share whose states are saved up to `position`, and nothing says so yet."""

    share: Share
    position: int
    volume: Volume

    async def conclude(self, place: Place, time_ms: int) -> None:
        """Makes what was saved count."""
        manifest = Manifest(STATE_VERSION, self.volume.slot, self.position, self.volume.pieces)
        await volumes.conclude(place, manifest, time_ms)
        self.share.saved, self.share.volume = self.position, self.volume


async def save(place: Place, share: Share, time_ms: int) -> Saving:
    """Writes the states that changed, or all of them; they count once that is concluded."""
    changed = [state for state in share.states.values() if state.position > share.saved]
    volume = share.volume
    if volume is None or _is_full(volume, len(changed), len(share.states)):
        slot = volumes.SLOTS[0] if volume is None else volumes.other_slot(volume.slot)
        volume, changed = Volume(slot, (), -len(share.states)), list(share.states.values())
    position = share.position
    pieces = await volumes.write(place, volume.slot, volume.pieces, _pages(changed), time_ms)
    return Saving(share, position, Volume(volume.slot, pieces, volume.changes + len(changed)))


def _is_full(volume: Volume, changed: int, targets: int) -> bool:
    return volume.changes + changed > targets or len(volume.pieces) >= MOST_PIECES + targets // PAGE_TARGETS


def _pages(states: Sequence[TargetState]) -> list[bytes]:
    return [pages.page(states[first : first + PAGE_TARGETS]) for first in range(0, len(states), PAGE_TARGETS)]


async def restored(settings: KafkaSettings, partition: int) -> Share:
    """The share of `partition` as it was saved last; an empty one where there is none or it is unusable: then
    the topic is folded from its beginning."""
    async with volumes.reading(settings, settings.topic(UPTIME_STATE), partition) as reader:
        try:
            value = await reader.manifest()
            return await (_restored_v1(reader) if value is None else _restored(reader, value))
        except (Unusable, msgspec.DecodeError, ValueError) as error:
            log.warning(
                "uptime.state.unusable",
                partition=partition,
                reason=str(error),
                what="folding from the start",
            )
            return Share()


async def _restored(reader: Reader, value: bytes) -> Share:
    manifest = volumes.manifest_in(value)
    if manifest.version != STATE_VERSION:
        raise Unusable(f"state of version {manifest.version}, this is {STATE_VERSION}")
    states: dict[str, TargetState] = {}
    held = 0
    for data in await reader.pieces(manifest):
        for state in pages.states_of(data):
            states[state.standing.target] = state
            held += 1
    volume = Volume(manifest.slot, manifest.pieces, held - len(states))
    return Share(states, manifest.position, manifest.position, volume)


async def _restored_v1(reader: Reader) -> Share:
    latest: dict[bytes, Any] = {}
    async for record in reader.between(reader.first, reader.end):
        if record.key is not None:
            latest[record.key] = record.value
    if (data := latest.pop(V1_POSITION_KEY, None)) is None:
        return Share()
    share = Share(position=states_v1.position_of(data))
    for value in latest.values():
        if value is not None:
            state = states_v1.state_of(value)
            share.states[state.standing.target] = state
    share.saved = share.position
    return share
