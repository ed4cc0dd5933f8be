"""The timelines of every target in one journal partition, kept small.

A service holds each target's timeline once for every journal partition, and nearly all say little: up since
then, watched until now. Such a one is kept as the bytes it is saved as, and read when it is asked for.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from services.sla.timeline import Timeline

MOST_PACKED: Final = 8
"""A timeline of more statements is kept as it is: reading a long one for each fact would cost too much."""

Kept = dict[str, bytes | Timeline]
"""How timelines are kept, in memory and saved."""


class Timelines(Mapping[str, Timeline]):
    """By target. What is got is changed for good by `keep` only."""

    def __init__(self, kept: Mapping[str, object] | None = None) -> None:
        """Takes what was `kept` before. Raises msgspec.ValidationError where it is nothing of the kind."""
        self.kept: Kept = {
            sys.intern(name): line if isinstance(line, bytes) else msgspec.convert(line, Timeline)
            for name, line in (kept or {}).items()
        }

    def keep(self, target: str, line: Timeline) -> None:
        """The target's timeline is `line` from now on."""
        name = target if target in self.kept else sys.intern(target)
        plain = len(line.ats) <= MOST_PACKED and not line.corrections and not line.maintenance
        self.kept[name] = _encoder.encode(line) if plain else line

    def __getitem__(self, target: str) -> Timeline:
        found = self.kept[target]
        return found if isinstance(found, Timeline) else _timeline.decode(found)

    def __iter__(self) -> Iterator[str]:
        return iter(self.kept)

    def __len__(self) -> int:
        return len(self.kept)


_encoder = msgspec.msgpack.Encoder()
_timeline = msgspec.msgpack.Decoder(Timeline)
