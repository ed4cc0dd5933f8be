"""The promises fold's snapshot as version 0.1 saved it: each timeline field by field, under its names."""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct

from services.sla import terms
from services.sla.deadlines import Request
from services.sla.history import History
from services.sla.subscriptions import Subscription
from services.sla.timeline import Correction, Maintenance, Timeline
from services.sla.timelines import Timelines
from shared.codec import state_decoder
from shared.facts import State

STATE_VERSION: Final = 2


class Manifest(Struct):
    """Which pieces make the snapshot, and what they must add up to."""

    version: int
    slot: str
    pieces: int
    sha256: str
    position: int


class _Correction(Struct, array_like=True):
    at: int
    starts_at: int
    ends_at: int
    state: State


class _Timeline(Struct):
    ats: list[int]
    states: list[State]
    through: int
    corrections: list[_Correction]
    maintenance: dict[str, Maintenance]


class _History(Struct):
    version: int
    partition: int
    position: int
    recorded_at: int
    digest: bytes
    sources: dict[str, int]
    book: terms.Book
    noticed: dict[str, set[str]]
    targets: dict[str, _Timeline]
    subscriptions: dict[str, Subscription]
    requests: dict[str, Request]


class _Snapshot(Struct):
    history: _History
    origins: dict[str, tuple[int, int]]


_manifest = state_decoder(Manifest)
_snapshot = state_decoder(_Snapshot)


def manifest_in(data: bytes) -> Manifest:
    """Raises msgspec.DecodeError, and ValueError for another version."""
    found = _manifest.decode(data)
    if found.version != STATE_VERSION:
        raise ValueError(f"snapshot of version {found.version}, this reads {STATE_VERSION}")
    return found


def snapshot_in(data: bytes) -> tuple[History, dict[str, tuple[int, int]]]:
    """The history, and the origins the journal held. Raises like `manifest_in`."""
    found = _snapshot.decode(data)
    old = found.history
    if old.version != STATE_VERSION:
        raise ValueError(f"history of version {old.version}, this reads {STATE_VERSION}")
    kept: dict[str, Any] = {name: getattr(old, name) for name in old.__struct_fields__}
    del kept["version"]
    kept["targets"] = Timelines()
    for name, line in old.targets.items():
        kept["targets"].keep(name, _timeline(line))
    for subscription in old.subscriptions.values():
        subscription.months = dict(sorted(subscription.months.items()))
        subscription.uptimes = dict(sorted(subscription.uptimes.items()))
        subscription.outages = dict(sorted(subscription.outages.items()))
    return History(**kept), found.origins


def _timeline(old: _Timeline) -> Timeline:
    """Its corrections were in the order that counts, its maintenance in that in which it was announced."""
    corrections = [
        Correction(one.at, one.starts_at, one.ends_at, one.state, number)
        for number, one in enumerate(old.corrections)
    ]
    return Timeline(
        old.ats,
        old.states,
        old.through,
        sorted(corrections, key=lambda one: one.ends_at),
        dict(sorted(old.maintenance.items(), key=lambda one: one[1].ends_at)),
        min((one.starts_at for one in corrections), default=None),
    )
