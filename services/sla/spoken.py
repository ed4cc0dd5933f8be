"""Outcomes on their way out: first without a place in the journal, then stamped, with their bytes."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

from msgspec import Struct

from shared import outcomes
from shared.outcomes import Stamp

Unstamped = Callable[[Stamp], outcomes.Outcome]
"""An outcome that lacks only its place in the journal."""

NOTHING_SAID = sha256(b"").digest()
"""The running digest before the first entry."""


class Spoken(Struct, frozen=True):
    """An outcome and its bytes."""

    outcome: outcomes.Outcome
    data: bytes


def chained(digest: bytes, data: bytes) -> bytes:
    """The running digest after `data`."""
    return sha256(digest + data).digest()
