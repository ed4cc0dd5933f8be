"""The sum, line by line: exact fractions of the currency unit, rounded once at the end (contract 4)."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from msgspec import Struct

from services.cli.audit.words import length
from shared.money import Amount, round_half_up
from shared.outcomes import Credit


class Step(Struct, frozen=True):
    """One line of the sum; `exact` is its value as a fraction of the currency unit, e.g. "240/73"."""

    what: str
    how: str
    exact: str


def steps(credit: Credit) -> tuple[Step, ...]:
    """The lines whose exact values add up to the credit's, from its own calculation."""
    worked = credit.calculation
    match worked["rule"]:
        case "started-day":
            return tuple(
                _step(f"24 hours no. {number},", _when(credit, day), _rate(day), credit.currency, day)
                for number, day in enumerate(worked["days"], 1)
            )
        case "exact":
            return tuple(
                _step(
                    f"down {length(day['down_ms'])}",
                    f"on {day['date']}, a day of {length(day['of_ms'])}",
                    _rate(day) * Fraction(day["down_ms"], day["of_ms"]),
                    credit.currency,
                    day,
                    f" x {day['down_ms']} / {day['of_ms']} ms",
                )
                for day in worked["days"]
            )
        case "tiers":
            fee, percent = Fraction(worked["fee"]), Fraction(worked["percent_of_fee"])
            what = f"{worked['percent_of_fee']} % of the month's fee"
            how = f"uptime {worked['uptime_without_longer_cuts_percent']} %, fee {credit.currency} {fee}"
            return (Step(what, how, str(fee * percent / 100)),)
        case _:
            return (Step("nothing is owed any more", "what was granted is taken back", "0"),)


def _when(credit: Credit, day: dict[str, Any]) -> str:
    """A cut's 24 hours earn the rate of the date on which they begin, a month's that of its first date."""
    return f"begun on {day['date']}" if credit.cause == "outage" else f"at the rate of {day['date']}"


def _rate(day: dict[str, Any]) -> Fraction:
    return Fraction(day["price"]) / int(day["term_days"])


def _step(what: str, when: str, exact: Fraction, currency: str, day: dict[str, Any], part: str = "") -> Step:
    return Step(f"{what} {when}", f"{currency} {day['price']} / {day['term_days']} days{part}", str(exact))


def total_of(lines: tuple[Step, ...]) -> Amount:
    """The lines added up and rounded once: what the credit's total has to be."""
    return round_half_up(sum((Fraction(line.exact) for line in lines), Fraction(0)) * 100)
