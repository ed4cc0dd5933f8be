"""CloudEvents 1.0, Kafka's binary mode: the headers every record carries.

The id is derived from what the record says or follows from, never random: whoever says the same thing
twice says it under the same id. `origin` tells readers where a record follows from, so that they keep
the highest they have taken and drop the rest.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import NamedTuple

from shared.time import format_instant

ORIGIN = "origin"
"""Header name: the place a record follows from, `Origin` as text."""
DEAD_LETTER_REASON = "reason"
"""Header name on dead.letters: why the record could not be used."""


class Origin(NamedTuple):
    """A place in a stream: one result may cause several facts, so each has a step there."""

    stream: str
    partition: int
    offset: int
    step: int = 0

    @property
    def place(self) -> str:
        """The part of the stream whose order counts: "STREAM/PARTITION"."""
        return f"{self.stream}/{self.partition}"

    @property
    def reached(self) -> tuple[int, int]:
        """How far in that place: readers keep the highest they have taken."""
        return self.offset, self.step

    def __str__(self) -> str:
        return f"{self.stream}/{self.partition}/{self.offset}/{self.step}"


def parse_origin(text: str) -> Origin:
    """The origin written in a header. Raises ValueError."""
    stream, partition, offset, step = text.rsplit("/", 3)
    return Origin(stream, int(partition), int(offset), int(step))


def origin_of(found: Iterable[tuple[str, bytes]]) -> Origin | None:
    """The origin among a record's headers as the client gives them, None where it has none. Raises
    ValueError for one that cannot be read."""
    for name, value in found:
        if name == ORIGIN:
            return parse_origin(value.decode())
    return None


def headers(
    data: bytes, *, type_name: str, source: str, time_ms: int, origin: Origin | None = None
) -> dict[str, str]:
    """The headers of a record whose value is `data`, said by `source` ("/garant/billing") at `time_ms`."""
    found = {
        "ce_specversion": "1.0",
        "ce_id": str(origin) if origin is not None else sha256(data).hexdigest()[:32],
        "ce_source": source,
        "ce_type": f"garant.{type_name}",
        "ce_time": format_instant(time_ms),
        "content-type": "application/json",
    }
    if origin is not None:
        found[ORIGIN] = str(origin)
    return found
