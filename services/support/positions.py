"""Places on the log that support keeps with what it took there: the same transaction moves both."""

from __future__ import annotations

from shared.outcomes import Stamp

_INDEXES = 1 << 20


def stream_of(topic: str, stamp: Stamp) -> str:
    """What a topic says of a journal partition, in the order of the journal."""
    return f"{topic}/journal/{stamp.partition}"


def reached(stamp: Stamp) -> int:
    """How far in `stream_of`, as one number: outcomes said again after a crash are not above it."""
    return stamp.offset * _INDEXES + stamp.index
