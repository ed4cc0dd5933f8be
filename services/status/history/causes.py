"""Why a target is down, in words that give no inner name away."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from services.status.site import Cause
from shared.facts import Because

CAUSES: tuple[Cause, ...] = tuple(Cause)

_EXACT = {
    "refused": Cause.REFUSED,
    "timeout": Cause.TIMEOUT,
    "reset": Cause.UNREACHABLE,
    "host unreachable": Cause.UNREACHABLE,
    "network unreachable": Cause.UNREACHABLE,
    "network down": Cause.UNREACHABLE,
    "host down": Cause.UNREACHABLE,
    "not http": Cause.ANSWER,
    "closed without an answer": Cause.ANSWER,
}
_BEGINNING = {"dns: ": Cause.NAME, "tls: ": Cause.SECURITY, "status ": Cause.ANSWER}


def cause(error: str | None) -> Cause:
    """What an agent's `error` means to the public."""
    if error is None:
        return Cause.OTHER
    if (found := _EXACT.get(error)) is not None:
        return found
    return next((cause for start, cause in _BEGINNING.items() if error.startswith(start)), Cause.OTHER)


def causes_bits(because: Iterable[Because]) -> int:
    """The causes of all votes behind a state, as bits in the order of `CAUSES`."""
    bits = 0
    for vote in because:
        bits |= 1 << CAUSES.index(cause(vote.error))
    return bits


@lru_cache(maxsize=256)
def causes_in(bits: int) -> tuple[Cause, ...]:
    """The causes behind `bits`; "other" only where nothing says more."""
    found = tuple(one for number, one in enumerate(CAUSES) if bits >> number & 1)
    return tuple(one for one in found if one is not Cause.OTHER) or found
