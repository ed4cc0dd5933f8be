"""What the folds have saved of their states: copied by their own manifests, and put back on empty topics.

Without them the folds read their input from its beginning. The journal is kept for ever, so the promises fold
only takes longer; `probe.results` ends after 400 days, and behind that the uptime fold needs its states.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import msgspec

from services.cli.backup.archive import Cut, SavedState, read_file
from services.sla.app import volumes
from services.sla.app.volumes import SLOTS, Manifest, Place, Unusable
from shared.kafka import service_broker
from shared.settings import KafkaSettings
from shared.topics import PROMISES_STATE, UPTIME_STATE
from shared.whole_files import put

STATES = {UPTIME_STATE.name: UPTIME_STATE, PROMISES_STATE.name: PROMISES_STATE}
SOURCE = "/garant/backup"


async def copied(
    settings: KafkaSettings, folder: Path, now_ms: int, say: Callable[[str], None]
) -> tuple[SavedState, ...]:
    """Copies the newest whole state of every partition; an unusable one is left out, and that is said."""
    found = []
    for topic in STATES.values():
        for partition in range(settings.partitions(topic)):
            name = f"{settings.topic(topic)}/{partition}"
            async with volumes.reading(settings, settings.topic(topic), partition) as reader:
                try:
                    value = await reader.manifest()
                    if value is None:
                        continue
                    manifest = volumes.manifest_in(value)
                    pieces = await reader.pieces(manifest)
                except (Unusable, msgspec.DecodeError, ValueError) as error:
                    say(f"{name}: no state copied ({error})")
                    continue
            paths = []
            for number, data in enumerate(pieces):
                path = f"states/{now_ms}/{topic.name}-{partition}-{number}.bin"
                put(folder / path, data)
                paths.append((path, sha256(data).hexdigest()))
            found.append(SavedState(topic.name, partition, manifest.version, manifest.position, tuple(paths)))
    return tuple(found)


async def put_back(settings: KafkaSettings, folder: Path, cut: Cut) -> None:
    """Writes the cut's states to the topics of states, which are empty."""
    broker = service_broker(settings, "backup")
    await broker.start()
    try:
        for state in cut.states:
            place = Place(broker, settings.topic(STATES[state.topic]), state.partition, "SavedState", SOURCE)
            data = [read_file(folder, path, checksum) for path, checksum in state.pieces]
            now_ms = time.time_ns() // 1_000_000
            pieces = await volumes.write(place, SLOTS[0], (), data, now_ms)
            await volumes.conclude(place, Manifest(state.version, SLOTS[0], state.position, pieces), now_ms)
    finally:
        await broker.stop()
