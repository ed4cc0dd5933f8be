"""Instants: UTC, integers of milliseconds inside, RFC 3339 with `Z` on the wire (contract 1)."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
"""24 hours in ms. A local date may be shorter or longer: see `shared.calendar`."""

FIRST_YEAR, LAST_YEAR = 1900, 2999
"""What is said to happen outside of these years is a slip of the keyboard, beyond what calendars can do."""

_EPOCH_ORDINAL = datetime(1970, 1, 1, tzinfo=UTC).toordinal()


class Instant(int):
    """Milliseconds since 1970-01-01T00:00:00Z. Written "2026-11-01T00:00:00.000Z"."""

    __slots__ = ()


_SECONDS = {f"{number:02d}.": number * SECOND for number in range(60)}
_MILLISECONDS = {f"{number:03d}Z": number for number in range(SECOND)}
_minutes: dict[str, int] = {}
"""Minutes that were read, and their first instants: instants come close together."""
_MOST_MINUTES = 65_536


@lru_cache(maxsize=65_536)
def parse_instant(text: str) -> Instant:
    """The instant `text` names, to the millisecond.

    Raises ValueError for anything but `YYYY-MM-DDTHH:MM:SS[.mmm]Z`: an instant in another form
    would come back out as other bytes; and for one of an implausible year.
    """
    try:
        return Instant(_minutes[text[:17]] + _SECONDS[text[17:20]] + _MILLISECONDS[text[20:]])
    except KeyError:
        found = _parsed(text)
        if len(_minutes) >= _MOST_MINUTES:
            _minutes.clear()
        _minutes[text[:17]] = found - found % MINUTE
        return found


def _parsed(text: str) -> Instant:
    if len(text) == 20 and text.endswith("Z"):
        text = text[:19] + ".000Z"
    if len(text) != 24 or text[4::3][:6] != "--T::." or text[23] != "Z" or not text.isascii():
        raise ValueError(f"{text!r} is not an instant; write it as 2026-11-01T00:00:00.000Z (UTC)")
    try:
        moment = datetime.fromisoformat(text[:23])
    except ValueError as error:
        raise ValueError(f"{text!r} is not an instant: {error}") from None
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise ValueError(f"{text!r} lies outside the years {FIRST_YEAR} to {LAST_YEAR}; correct the year")
    days = moment.toordinal() - _EPOCH_ORDINAL
    seconds = (moment.hour * 60 + moment.minute) * 60 + moment.second
    return Instant(days * DAY + seconds * SECOND + moment.microsecond // 1_000)


_SECOND_TEXTS = tuple(_SECONDS)
_MILLISECOND_TEXTS = tuple(_MILLISECONDS)


@lru_cache(maxsize=65_536)
def format_instant(ms: int) -> str:
    """The one way `ms` is written: RFC 3339, UTC, three decimals, `Z`."""
    minute, rest = divmod(ms, MINUTE)
    second, rest = divmod(rest, SECOND)
    return _minute_text(minute) + _SECOND_TEXTS[second] + _MILLISECOND_TEXTS[rest]


@lru_cache(maxsize=65_536)
def _minute_text(number: int) -> str:
    """Up to the colon before the seconds, of the minute `number` since the epoch."""
    days, minutes = divmod(number, DAY // MINUTE)
    day = datetime.fromordinal(_EPOCH_ORDINAL + days)
    hour, minute = divmod(minutes, 60)
    return f"{day.year:04d}-{day.month:02d}-{day.day:02d}T{hour:02d}:{minute:02d}:"


def seconds_since(then: int | None, now: int) -> float:
    """How long ago (s) `then` was at `now`, both in ms; 0 where it is not past, or never was."""
    return 0.0 if then is None else max(0, now - then) / 1_000
