"""Spans of time in words."""

from __future__ import annotations

from shared.time import DAY, HOUR, MINUTE


def minutes_in_words(minutes: int) -> str:
    """ "1 h 05 min", "45 min"; below zero with a minus."""
    sign, minutes = ("−" if minutes < 0 else ""), abs(minutes)
    hours, rest = divmod(minutes, 60)
    if not hours:
        return f"{sign}{rest} min"
    return f"{sign}{hours} h {rest:02d} min" if rest else f"{sign}{hours} h"


def since_or_until(ms: int, now: int) -> str:
    """ "in 2 h 10 min", "2 days ago"; by the clock on the wall, not open time."""
    span = abs(ms - now)
    if span >= 2 * DAY:
        words = f"{span // DAY} days"
    elif span < MINUTE:
        words = "less than a minute"
    else:
        words = minutes_in_words(span // MINUTE if span < 10 * HOUR else span // HOUR * 60)
    return f"{words} ago" if ms < now else f"in {words}"
