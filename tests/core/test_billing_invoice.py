"""The pure core of billing: terms, prices, balances, drafts (contract 4)."""

from __future__ import annotations

import ast
from datetime import date
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from services.billing import caps, invoice, ledger, subscription
from services.billing.invoice import Draft, Line, draft
from services.billing.ledger import Balance, Entry, balances, owed
from services.billing.subscription import Nonsense, evolve, fold
from shared.facts import SubscriptionCancelled, SubscriptionChanged
from shared.money import Amount, parse_amount
from shared.time import Instant
from tests.core.billing_books import started

TERM = (date(2026, 1, 1), date(2027, 1, 1))


def changed(on: str, price: str | None = None, **what: object) -> SubscriptionChanged:
    new = UNSET if price is None else parse_amount(price)
    return SubscriptionChanged("A-1", "S-1", date.fromisoformat(on), price=new, **what)  # type: ignore[arg-type]


def cancelled(on: str) -> SubscriptionCancelled:
    return SubscriptionCancelled("A-1", "S-1", date.fromisoformat(on))


def first_terms(starts_on: str, term: str, count: int) -> list[str]:
    known = fold([started(starts_on=starts_on, term=term)])
    return [start.isoformat() for start, _ in islice(known.terms(), count)]


def test_a_core_module_imports_only_the_standard_library_msgspec_and_the_shared_core() -> None:
    allowed = {"__future__", "collections", "datetime", "typing", "msgspec", "shared", "services"}
    core = {f"services.billing.{name}" for name in ("caps", "invoice", "ledger", "subscription")}
    for module in (caps, invoice, ledger, subscription):
        for node in ast.walk(ast.parse(Path(module.__file__).read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                assert name.split(".")[0] in allowed, f"{module.__name__} imports {name}"
                if name.startswith("services."):
                    assert name in core


def test_a_yearly_term_from_29_february_starts_on_the_28th_and_finds_the_29th_again() -> None:
    assert first_terms("2024-02-29", "year", 5) == [
        "2024-02-29",
        "2025-02-28",
        "2026-02-28",
        "2027-02-28",
        "2028-02-29",
    ]


def test_a_term_that_starts_on_29_february_has_365_days() -> None:
    start, end = next(fold([started(starts_on="2024-02-29")]).terms())
    assert (end - start).days == 365


def test_a_term_with_a_leap_day_inside_has_366_days() -> None:
    start, end = next(fold([started(starts_on="2011-06-17")]).terms())
    assert (end, (end - start).days) == (date(2012, 6, 17), 366)


def test_a_monthly_term_from_the_31st_starts_on_each_months_last_day() -> None:
    assert first_terms("2025-10-31", "month", 6) == [
        "2025-10-31",
        "2025-11-30",
        "2025-12-31",
        "2026-01-31",
        "2026-02-28",
        "2026-03-31",
    ]


def test_terms_begin_only_inside_the_service_window() -> None:
    known = fold([started(term="month"), cancelled("2025-03-01")])
    assert [start.month for start, _ in known.terms()] == [1, 2]
    assert list(fold([started(), cancelled("2025-01-01")]).terms()) == []


def test_of_two_prices_for_one_date_the_later_said_counts() -> None:
    known = fold([started(), changed("2026-01-01", "900.00"), changed("2026-01-01", "800.00")])
    assert known.price_on(date(2025, 12, 31)) == 120_000
    assert known.price_on(date(2026, 1, 1)) == 80_000


def test_a_price_said_later_for_an_earlier_date_ends_where_the_next_one_begins() -> None:
    known = fold([started(), changed("2026-06-01", "900.00"), changed("2026-03-01", "1000.00")])
    assert [known.price_on(date(2026, month, 1)) for month in (2, 3, 5, 6)] == [
        120_000,
        100_000,
        100_000,
        90_000,
    ]


def test_a_change_that_names_no_price_leaves_it() -> None:
    known = fold([started(), changed("2026-01-01", targets=("T-2",), deployment="on-premises")])
    assert known.price_on(date(2026, 1, 1)) == 120_000
    assert known.targets_on(date(2025, 12, 31)) == ("T-1",)
    assert known.targets_on(date(2026, 1, 1)) == ("T-2",)
    assert known.deployment_on(date(2026, 1, 1)) == "on-premises"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ([started(), started()], "has started already"),
        ([changed("2026-01-01", "1.00")], "never started"),
        ([], "no subscription"),
        ([started(price="-1.00")], "negative"),
        ([started(), changed("2026-01-01", "-1.00")], "negative"),
        ([started(), changed("2026-01-01")], "nothing changes"),
        ([started(), changed("2024-12-31", "1.00")], "before the start"),
        ([started(), cancelled("2024-12-31")], "before it starts"),
        ([started(account="A-2"), cancelled("2026-12-31")], "does not belong"),
    ],
)
def test_what_the_sla_service_would_reject_is_refused_here(said: list[object], why: str) -> None:
    with pytest.raises(Nonsense, match=why):
        fold(said)  # type: ignore[arg-type]


def test_of_two_cancellations_the_later_said_counts() -> None:
    known = fold([started(), cancelled("2026-06-01"), cancelled("2026-12-01")])
    assert known.ends_on == date(2026, 12, 1)
    assert evolve(known, cancelled("2026-03-01")).ends_on == date(2026, 3, 1)


def entry(sequence: int, kind: str, amount: int, credit: str = "S-1/uptime/2025-11", **more: object) -> Entry:
    return Entry(
        sequence=sequence,
        kind=kind,  # type: ignore[arg-type]
        account="A-1",
        subscription="S-1",
        credit=credit,
        amount=Amount(amount),
        currency="CHF",
        booked_at=Instant(0),
        **more,  # type: ignore[arg-type]
    )


def granted(sequence: int, amount: int, revision: int = 1, total: int | None = None, **more: object) -> Entry:
    wanted = Amount(amount if total is None else total)
    return entry(
        sequence,
        "credit",
        amount,
        revision=revision,
        total=wanted,
        cause="uptime",
        period="2025-11",
        **more,
    )


def balance(open_: int, credit: str = "S-1/uptime/2025-11") -> Balance:
    (found,) = balances([granted(1, open_, credit=credit)])
    return found


def made(fee: int, *opens: int, round_to_5: bool = False) -> Draft:
    credits = [balance(value, f"C-{place}") for place, value in enumerate(opens, start=1)]
    return draft("S-1", TERM, Amount(fee), "CHF", credits, round_to_5=round_to_5)


def test_a_balance_is_the_sum_of_its_entries() -> None:
    (found,) = balances(
        [
            granted(1, 100),
            entry(2, "deduction", -60, invoice="2026-000001"),
            entry(3, "reversal", 60, invoice="2026-000001", reverses=2),
            entry(4, "deduction", -70, invoice="2026-000002"),
            granted(5, -10, revision=2, total=90),
            entry(6, "settlement", -5, note="paid out"),
        ]
    )
    assert (found.granted, found.used, found.settled, found.open) == (90, 70, 5, 15)
    assert found.agrees


def test_a_revision_missing_before_another_holds_the_credit_until_it_comes() -> None:
    (early,) = balances([granted(1, 100), granted(2, 50, revision=3, total=50)])
    assert not early.agrees
    (whole,) = balances(
        [granted(1, 100), granted(2, 50, revision=3, total=50), granted(3, -100, revision=2, total=0)]
    )
    assert whole.agrees
    assert whole.open == 50


def test_revisions_that_do_not_add_up_to_the_total_hold_the_credit() -> None:
    (found,) = balances([granted(1, 100), granted(2, -50, revision=2, total=60)])
    assert not found.agrees


@pytest.mark.parametrize(
    "broken", [entry(1, "deduction", -1), entry(1, "credit", 1)], ids=["never booked", "no revision"]
)
def test_a_ledger_that_cannot_be_is_no_ledger(broken: Entry) -> None:
    with pytest.raises(ValueError, match="ledger entry 1"):
        balances([broken])


def test_open_credits_are_deducted_first_booked_first_and_the_rest_is_carried_over() -> None:
    found = made(10_000, 4_000, 9_000, 100)
    assert [(line.kind, line.amount, line.credit) for line in found.lines] == [
        ("fee", 10_000, None),
        ("deduction", -4_000, "C-1"),
        ("deduction", -6_000, "C-2"),
    ]
    assert (found.total, found.carried_over) == (0, 3_100)


def test_a_credit_lowered_after_it_was_deducted_is_taken_back_out_of_other_open_credits() -> None:
    found = made(10_000, -3_327, 3_327)
    assert [(line.kind, line.amount) for line in found.lines] == [
        ("fee", 10_000),
        ("taken-back", 3_327),
        ("deduction", -3_327),
    ]
    assert (found.total, found.carried_over) == (10_000, 0)


def test_what_cannot_be_taken_back_never_raises_an_invoice() -> None:
    assert made(10_000, -3_327).lines == (Line("fee", Amount(10_000)),)
    assert made(10_000, -3_327, 1_000).total == 10_000


def test_rounding_to_five_rappen_is_a_line_of_its_own() -> None:
    found = made(10_000, 3_327, round_to_5=True)
    assert (found.lines[-1], found.total) == (Line("rounding", Amount(2)), 6_675)
    assert [line.kind for line in made(10_000, 3_325, round_to_5=True).lines] == ["fee", "deduction"]
    assert made(10_000, 3_328, round_to_5=True).total == 6_670


@given(
    fee=st.integers(0, 10**6),
    opens=st.lists(st.integers(-(10**6), 10**6).filter(bool), max_size=6),
    round_to_5=st.booleans(),
)
def test_whatever_is_open_an_invoice_is_the_sum_of_its_lines_and_lies_between_nothing_and_the_fee(
    fee: int, opens: list[int], round_to_5: bool
) -> None:
    found = made(fee, *opens, round_to_5=round_to_5)
    assert found.total == sum(line.amount for line in found.lines)
    assert 0 <= found.total <= fee + 2
    used = -sum(line.amount for line in found.lines if line.credit)
    above = sum(value for value in opens if value > 0)
    net = max(0, sum(opens))
    assert used == min(fee, net)
    assert found.carried_over == net - used
    for value, credit in zip(opens, (f"C-{n}" for n in range(1, 9)), strict=False):
        taken = sum(line.amount for line in found.lines if line.credit == credit)
        assert (0 <= -taken <= value) if value > 0 else (0 <= taken <= -value)
    assert sum(line.amount for line in found.lines if line.kind == "taken-back") <= above


def shown(*opens: int, ended: bool = False) -> list[tuple[str, int, str]]:
    found = [balance(value, f"C-{place}") for place, value in enumerate(opens, start=1)]
    return [
        (due.credit, due.amount, due.reason)
        for due in owed(found, account="A-1", currency="CHF", ended=ended)
    ]


def test_open_credit_of_a_running_subscription_waits_and_is_not_owed() -> None:
    assert shown(100) == []


def test_credit_left_at_the_end_is_owed_less_what_was_to_be_taken_back() -> None:
    assert shown(100, 50, ended=True) == [
        ("C-1", 100, "subscription-ended"),
        ("C-2", 50, "subscription-ended"),
    ]
    assert shown(100, 50, -100, ended=True) == [("C-2", 50, "subscription-ended")]
    assert shown(100, 50, -30, ended=True) == [
        ("C-1", 70, "subscription-ended"),
        ("C-2", 50, "subscription-ended"),
    ]


def test_what_other_credits_do_not_cover_needs_a_person() -> None:
    assert shown(-100, 30) == [("C-1", -70, "cannot-be-taken-back")]
    assert shown(-100, 100) == []
    assert shown(-100, -20, 100) == [("C-2", -20, "cannot-be-taken-back")]
    assert shown(-100, -20, 90) == [
        ("C-1", -10, "cannot-be-taken-back"),
        ("C-2", -20, "cannot-be-taken-back"),
    ]


@given(opens=st.lists(st.integers(-1_000, 1_000).filter(bool), max_size=6))
def test_what_is_shown_at_the_end_adds_up_to_what_is_open(opens: list[int]) -> None:
    assert sum(amount for _, amount, _ in shown(*opens, ended=True)) == sum(opens)
    assert sum(amount for _, amount, _ in shown(*opens)) == min(0, sum(opens))


def test_credits_nobody_can_invoice_need_a_person() -> None:
    one = balance(100)
    assert [due.reason for due in owed([one], account=None, currency=None, ended=False)] == [
        "unknown-subscription"
    ]
    for account, currency in (("A-2", "CHF"), ("A-1", "EUR")):
        (due,) = owed([one], account=account, currency=currency, ended=False)
        assert due.reason == "other-account-or-currency"
    gap = balances([granted(1, 100), granted(2, 1, revision=3, total=1)])
    assert [due.reason for due in owed(gap, account="A-1", currency="CHF", ended=False)] == ["incomplete"]
