"""Instants, lengths, months and fractions as a person reads them."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction

from shared.calendar import zone
from shared.time import HOUR, MINUTE, SECOND


def local_time(ms: int, zone_name: str) -> str:
    """The instant in local time, e.g. "Sat 10 Oct 2026 02:00:00 CEST"; thousandths only where not zero."""
    local = datetime.fromtimestamp(ms // SECOND, tz=zone(zone_name))
    rest = f".{ms % SECOND:03d}" if ms % SECOND else ""
    return f"{local:%a %d %b %Y %H:%M:%S}{rest} {local:%Z}"


def length(ms: int) -> str:
    """A length of time, e.g. "30 h", "1 h 25 min", "3 s"; whole hours are never made into days."""
    hours, rest = divmod(ms, HOUR)
    minutes, rest = divmod(rest, MINUTE)
    seconds, thousandths = divmod(rest, SECOND)
    parts = [f"{hours} h"] if hours else []
    parts += [f"{minutes} min"] if minutes else []
    parts += [f"{seconds}.{thousandths:03d} s"] if thousandths else [f"{seconds} s"] if seconds else []
    return " ".join(parts) or "0 s"


def month(day: date) -> str:
    """A calendar month, e.g. "October 2026"."""
    return f"{day:%B %Y}"


def about(exact: Fraction) -> str:
    """A fraction with four places, for reading only: "3.2877"; what is exact stays the fraction."""
    return str((Decimal(exact.numerator) / Decimal(exact.denominator)).quantize(Decimal("0.0001")))
