"""Contract 4: whole rappen, exact fractions in between, rounded once, half up; never a float."""

from __future__ import annotations

import ast
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.money import Amount, format_amount, parse_amount, round_half_up

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("text", "rappen"),
    [("33.27", 3327), ("0.01", 1), ("-0.05", -5), ("1200", 120_000), ("1200.5", 120_050), ("0.00", 0)],
)
def test_an_amount_is_hundredths(text: str, rappen: int) -> None:
    found = parse_amount(text)
    assert (found, type(found)) == (rappen, Amount)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "1.005",
            "1,00",
            "1'200.00",
            "CHF 1.00",
            "+1.00",
            ".50",
            "1.",
            "1e2",
            "NaN",
            "١.00",
            " 1.00",
            "1.00\n",
        ),
        "1" * 16,
    ],
)
def test_anything_else_is_no_amount(text: str) -> None:
    with pytest.raises(ValueError, match="is not an amount of money"):
        parse_amount(text)


@given(st.integers(-(10**17) + 1, 10**17 - 1))
def test_amounts_are_written_with_two_places_and_read_back(rappen: int) -> None:
    text = format_amount(rappen)
    assert parse_amount(text) == rappen
    assert Decimal(text) * 100 == rappen
    assert len(text.partition(".")[2]) == 2


@pytest.mark.parametrize(
    ("exact", "rounded"),
    [
        (Fraction(0), 0),
        (Fraction(1, 2), 1),
        (Fraction(499_999_999, 1_000_000_000), 0),
        (Fraction(3, 2), 2),
        (Fraction(5, 2), 3),
        (Fraction(2, 3), 1),
        (Fraction(-1, 2), -1),
        (Fraction(-1, 3), 0),
        (Fraction(120_000 * 2, 365), 658),
    ],
)
def test_half_a_rappen_is_rounded_up(exact: Fraction, rounded: int) -> None:
    """Away from zero: no side gains by the sign."""
    found = round_half_up(exact)
    assert (found, type(found)) == (rounded, Amount)


@given(st.fractions(-(10**9), 10**9, max_denominator=1000))
def test_rounding_agrees_with_decimal_arithmetic(exact: Fraction) -> None:
    doubled = exact * 2
    if doubled.denominator == 1:  # a half or a whole: decimal writes both exactly
        expected = Decimal(doubled.numerator) / 2
        assert round_half_up(exact) == expected.quantize(Decimal(1), ROUND_HALF_UP)
    assert abs(round_half_up(exact) - exact) <= Fraction(1, 2)
    assert round_half_up(-exact) == -round_half_up(exact)


MONEY_PATH = [
    *("shared/money.py", "shared/terms.py", "shared/calendar.py"),
    *(f"services/sla/{name}.py" for name in ("subscriptions", "credits", "outages", "uptime", "conclusions")),
    *("services/sla/promises.py", "services/billing/invoice.py", "services/billing/ledger.py"),
]


@pytest.mark.parametrize("path", MONEY_PATH)
def test_no_float_is_on_the_way_of_money(path: str) -> None:
    """Neither written, nor made: float(), round(), math, or a division of anything but a fraction."""
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        assert not (isinstance(node, ast.Constant) and isinstance(node.value, float)), ast.dump(node)
        if isinstance(node, ast.Name):
            assert node.id not in ("float", "round", "math"), f"{path}:{node.lineno}"
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            assert ast.unparse(node) in FRACTIONS, f"{path}:{node.lineno} divides: {ast.unparse(node)}"


FRACTIONS = {"exact / 100", "fee / 100", "fee * percent / 100"}
"""The divisions there are, each of a Fraction."""
