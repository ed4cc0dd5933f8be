"""Drafting an invoice: the term's fee, open credits deducted, never below zero (contract 4, "Next invoice").

Pure. The total is the sum of the lines, each a whole number of hundredths.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Literal

from msgspec import Struct

from services.billing.ledger import Balance
from shared.money import Amount

LineKind = Literal["fee", "deduction", "taken-back", "rounding"]


class Line(Struct, frozen=True):
    """One line; `amount` in hundredths, with its sign. A line of a credit names it."""

    kind: LineKind
    amount: Amount
    credit: str | None = None
    cause: str | None = None
    period: str | None = None


class Draft(Struct, frozen=True):
    """What an invoice for the term from `term_start` to `term_end` (exclusive) says if issued now."""

    subscription: str
    term_start: date
    term_end: date
    currency: str
    lines: tuple[Line, ...]
    total: Amount
    carried_over: Amount
    """Open credit left for the invoice after this one."""
    held: Amount = Amount(0)
    """Open credit beyond a cap: on no invoice until a person releases it."""


def draft(
    subscription: str,
    term: tuple[date, date],
    fee: Amount,
    currency: str,
    credits: Sequence[Balance],
    *,
    round_to_5: bool = False,
    held: Amount = Amount(0),  # noqa: B008 - a number
) -> Draft:
    """The invoice of a term whose fee is `fee`, with the open `credits` in the order they were booked.

    A credit that was lowered after it was deducted is taken back, but only out of other open credits: the
    customer never pays more than the fee. What remains of the credits, in their order, is deducted
    until nothing is left to pay; the rest is carried over. `round_to_5` brings what is left to pay to the
    nearest 0.05 by a line of its own. `held` is told and not deducted.
    """
    above = [balance for balance in credits if balance.open > 0]
    below = [balance for balance in credits if balance.open < 0]
    available = sum(balance.open for balance in above)
    back = min(available, -sum(balance.open for balance in below))
    lines = [Line("fee", fee)]
    lines += _share(below, back, "taken-back", 1)
    deducted = min(available, fee + back)
    lines += _share(above, deducted, "deduction", -1)
    total: int = sum(line.amount for line in lines)
    if round_to_5 and (rounding := (total + 2) // 5 * 5 - total):
        lines.append(Line("rounding", Amount(rounding)))
        total += rounding
    carried_over = Amount(available - deducted)
    return Draft(subscription, term[0], term[1], currency, tuple(lines), Amount(total), carried_over, held)


def _share(credits: list[Balance], most: int, kind: LineKind, sign: int) -> list[Line]:
    """A line for each credit until `most` is used up, first booked first."""
    lines = []
    for balance in credits:
        part = min(abs(balance.open), most)
        if part:
            lines.append(Line(kind, Amount(sign * part), balance.credit, balance.cause, balance.period))
            most -= part
    return lines
