"""The timelines of every target in one journal partition, kept small.

A service holds each target's timeline once for every journal partition, and nearly all say little: up since
then, watched until now. Such a one is kept as the bytes it is saved as, and read when it is asked for.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from services.sla.timeline import Timeline

MOST_PACKED: Final = 8
"""A timeline of more statements is kept as it is: reading a long one for each fact would cost too much."""


class Timelines(Mapping[str, Timeline]):
    """By target. What is got is changed for good by `keep` only."""

    def __init__(self, kept: tuple[Iterable[str], Iterable[Any]] = ((), ())) -> None:
        """Takes what was `kept` before. Raises ValueError where it is nothing of the kind."""
        names, lines = kept
        self._lines: dict[str, bytes | Timeline] = {
            sys.intern(name): line if isinstance(line, bytes) else msgspec.convert(line, Timeline)
            for name, line in zip(names, lines, strict=True)
        }

    @property
    def kept(self) -> tuple[list[str], list[bytes | Timeline]]:
        """The form they are saved in: names apart from timelines, so that what is only read to be looked up
        does not lie between what stays in memory."""
        return list(self._lines), list(self._lines.values())

    def keep(self, target: str, line: Timeline) -> None:
        """The target's timeline is `line` from now on."""
        name = target if target in self._lines else sys.intern(target)
        plain = len(line.ats) <= MOST_PACKED and not line.corrections and not line.maintenance
        self._lines[name] = _encoder.encode(line) if plain else line

    def __getitem__(self, target: str) -> Timeline:
        found = self._lines[target]
        return found if isinstance(found, Timeline) else _timeline.decode(found)

    def __iter__(self) -> Iterator[str]:
        return iter(self._lines)

    def __len__(self) -> int:
        return len(self._lines)


_encoder = msgspec.msgpack.Encoder()
_timeline = msgspec.msgpack.Decoder(Timeline)
