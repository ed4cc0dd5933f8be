"""What a reader's browser says it takes: compression and languages (RFC 9110, 12.5)."""

from __future__ import annotations

from functools import lru_cache

from services.status.site import LANGUAGES, Language


@lru_cache(maxsize=256)
def takes_gzip(accepted: bytes) -> bool:
    """Whether Accept-Encoding allows gzip."""
    by_name = {}
    for one in accepted.decode("latin-1").lower().split(","):
        name, _, rest = one.partition(";")
        by_name[name.strip()] = _weight(rest)
    return by_name.get("gzip", by_name.get("x-gzip", by_name.get("*", 0.0))) > 0


@lru_cache(maxsize=256)
def language_wanted(accepted: str) -> Language | None:
    """The first choice of Accept-Language among ours; None where it names none of them."""
    best: Language | None = None
    highest = 0.0
    for one in accepted.lower().split(","):
        name, _, rest = one.partition(";")
        main = name.strip().partition("-")[0]
        found = next((language for language in LANGUAGES if language == main), None)
        if found is not None and (weight := _weight(rest)) > highest:
            best, highest = found, weight
    return best


def _weight(parameters: str) -> float:
    for one in parameters.split(";"):
        name, _, value = one.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
