"""Money: whole hundredths of a currency unit, exact fractions in between, never floats (contract 4)."""

from __future__ import annotations

import re
from fractions import Fraction

_AMOUNT = re.compile(r"(-?)(\d{1,15})(?:\.(\d{1,2}))?\Z", re.ASCII)


class Amount(int):
    """Hundredths of the currency unit (CHF: rappen). Written as a decimal string with two places, "33.27"."""

    __slots__ = ()


def parse_amount(text: str) -> Amount:
    """The amount `text` names. Raises ValueError where it has more than two places or is no number."""
    found = _AMOUNT.match(text)
    if found is None:
        raise ValueError(f'{text!r} is not an amount of money; write it with two places, like "33.27"')
    sign, whole, hundredths = found.groups()
    value = int(whole) * 100 + int((hundredths or "0").ljust(2, "0"))
    return Amount(-value if sign else value)


def format_amount(hundredths: int) -> str:
    """The one way an amount is written: two places, a leading minus below zero."""
    whole, rest = divmod(abs(hundredths), 100)
    return f"{'-' if hundredths < 0 else ''}{whole}.{rest:02d}"


def round_half_up(exact: Fraction) -> Amount:
    """`exact` hundredths, rounded once, half up (away from zero: no side gains by the sign)."""
    doubled = abs(exact) * 2 + 1
    whole = doubled.numerator // (2 * doubled.denominator)
    return Amount(-whole if exact < 0 else whole)
