"""How a credit is worked out: started days or exact, a fraction until it is rounded once (contract 4)."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from msgspec import Struct

from services.sla.availability import View
from services.sla.subscriptions import daily_rate, term_days
from shared import calendar
from shared.money import Amount, format_amount, round_half_up
from shared.time import DAY

Piece = tuple[int, int]
"""Down time from one instant to another (ms)."""


class Worked(Struct, frozen=True):
    """A credit as history wants it now: its total, the terms used, and how it was worked out."""

    total: Amount
    terms: str
    calculation: dict[str, Any]


def length(pieces: Iterable[Piece]) -> int:
    """The down time in `pieces` (ms)."""
    return sum(end - start for start, end in pieces)


def within(pieces: Iterable[Piece], start: int, end: int) -> list[Piece]:
    """The part of `pieces` inside [start, end)."""
    return [(max(a, start), min(b, end)) for a, b in pieces if a < end and b > start]


def started_days(down_ms: int) -> int:
    """How many 24 hours have begun in `down_ms`."""
    return -(-down_ms // DAY)


def by_started_day(view: View, pieces: list[Piece]) -> tuple[Fraction, list[dict[str, Any]]]:
    """Each started 24 hours at the daily rate of the local date on which they begin, with their first
    millisecond of down time. Returns hundredths of the currency unit, exact, and the lines."""
    exact, lines, passed, due = Fraction(0), [], 0, 0
    for start, end in pieces:
        while due < passed + end - start:
            day = calendar.local_date(start + due - passed, view.zone)
            exact += daily_rate(view.subscription, day)
            lines.append(rate_line(view, day))
            due += DAY
        passed += end - start
    return exact, lines


def by_millisecond(view: View, pieces: list[Piece]) -> tuple[Fraction, list[dict[str, Any]]]:
    """Each millisecond of down time at its local date's rate / that date's milliseconds."""
    down: dict[Any, int] = {}
    for start, end in pieces:
        while start < end:
            day = calendar.local_date(start, view.zone)
            until = min(end, calendar.next_day_start(day, view.zone))
            down[day] = down.get(day, 0) + until - start
            start = until
    exact, lines = Fraction(0), []
    for day, ms in down.items():
        of_ms = calendar.next_day_start(day, view.zone) - calendar.day_start(day, view.zone)
        exact += daily_rate(view.subscription, day) * Fraction(ms, of_ms)
        lines.append({**rate_line(view, day), "down_ms": ms, "of_ms": of_ms})
    return exact, lines


def rate_line(view: View, day: Any) -> dict[str, Any]:
    """The daily rate of `day`, as a person would check it: the price and the days of its term."""
    price = view.subscription.prices.on(day)
    return {"date": day, "price": format_amount(price), "term_days": term_days(view.subscription, day)}


def worked(exact: Fraction, terms: str, calculation: dict[str, Any]) -> Worked:
    """Rounds `exact` (hundredths), once, half up; the fraction stays in the calculation in whole units."""
    return Worked(round_half_up(exact), terms, {**calculation, "exact": str(exact / 100)})
