"""Credits booked, deducted, carried over, taken back and owed: every money case, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pytest
from msgspec.structs import replace
from sqlalchemy import Engine

from services.billing.booking import book, entries_of, unfit
from services.billing.declaring import (
    Contradiction,
    Unknown,
    declare,
    facts_of,
    subscription_of,
)
from services.billing.issuing import Rules, issue_due, next_term, open_credits, preview, settle, void
from services.billing.ledger import balances
from services.billing.statements import (
    Invoice,
    invoice_of,
    invoiced_after_end,
    invoices_of,
    owed_now,
    quarantined,
    resolve,
)
from services.billing.subscription import Nonsense
from shared.database import reading, writing
from shared.facts import SubscriptionCancelled, SubscriptionChanged
from shared.money import Amount, format_amount, parse_amount
from shared.outcomes import Credit
from tests.core.billing_books import KINDS, SetClock, credit, empty_books, started

RULES = Rules()
CLOCK = SetClock("2026-01-15T12:00:00.000Z")


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    with empty_books(request.param, tmp_path) as found:
        yield found


def take(engine: Engine, record: Credit) -> str:
    return book(engine, record, "sla.credits/0/7/0", CLOCK)


def issue(engine: Engine, through: str, rules: Rules = RULES) -> list[Invoice]:
    numbers = issue_due(engine, date.fromisoformat(through), rules, CLOCK)
    with reading(engine) as connection:
        return [invoice_of(connection, number) for number in numbers]


def told(invoice: Invoice) -> list[tuple[str, str]]:
    """An invoice's lines, short: what, or the credit, and how much."""
    return [(line.credit or line.kind, format_amount(line.amount)) for line in invoice.lines]


def open_of(engine: Engine, subscription: str = "S-1") -> dict[str, str]:
    with reading(engine) as connection:
        found = balances(entries_of(connection, subscription))
    return {one.credit: format_amount(one.open) for one in found}


def owed_of(engine: Engine) -> list[tuple[str, str, str]]:
    with reading(engine) as connection:
        return [(due.credit, format_amount(due.amount), due.reason) for due in owed_now(connection)]


def cancel(engine: Engine, on: str, subscription: str = "S-1") -> None:
    declare(engine, SubscriptionCancelled("A-1", subscription, date.fromisoformat(on)), CLOCK)


def reprice(engine: Engine, on: str, price: str) -> None:
    declare(
        engine,
        SubscriptionChanged("A-1", "S-1", date.fromisoformat(on), price=parse_amount(price)),
        CLOCK,
    )


# The next invoice


def test_a_credit_is_deducted_from_the_next_invoice_with_its_id(engine: Engine) -> None:
    declare(engine, started(), CLOCK)
    (first,) = issue(engine, "2025-01-01")
    assert take(engine, credit("33.27")) == "booked"
    (second,) = issue(engine, "2026-01-01")
    assert (told(first), first.total) == ([("fee", "1200.00")], 120_000)
    assert told(second) == [("fee", "1200.00"), ("S-1/uptime/2025-11", "-33.27")]
    assert (second.term_start, second.term_end) == (date(2026, 1, 1), date(2027, 1, 1))
    assert (second.total, second.carried_over) == (116_673, 0)
    assert open_of(engine) == {"S-1/uptime/2025-11": "0.00"}


def test_a_credit_larger_than_the_invoice_is_carried_to_the_ones_after(engine: Engine) -> None:
    declare(engine, started(term="month", price="100.00"), CLOCK)
    take(engine, credit("250.00"))
    found = issue(engine, "2025-04-01")
    assert [format_amount(one.total) for one in found] == ["0.00", "0.00", "50.00", "100.00"]
    assert [format_amount(one.carried_over) for one in found] == ["150.00", "50.00", "0.00", "0.00"]


def test_past_terms_of_a_subscription_declared_late_are_invoiced_oldest_first_without_gaps(
    engine: Engine,
) -> None:
    declare(engine, started(term="month", starts_on="2025-10-31"), CLOCK)
    found = issue(engine, "2026-01-15")
    assert [one.term_start.isoformat() for one in found] == ["2025-10-31", "2025-11-30", "2025-12-31"]
    assert [one.number for one in found] == ["2026-000001", "2026-000002", "2026-000003"]
    assert issue(engine, "2026-01-15") == []


def test_a_term_is_invoiced_when_its_local_date_has_come_not_before(engine: Engine) -> None:
    declare(engine, started(starts_on="2026-02-01"), CLOCK)
    assert issue(engine, "2026-01-31") == []
    assert len(issue(engine, "2026-02-01")) == 1


def test_a_price_change_inside_a_term_counts_from_the_next_one_on(engine: Engine) -> None:
    declare(engine, started(), CLOCK)
    reprice(engine, "2025-06-01", "900.00")
    assert [format_amount(one.total) for one in issue(engine, "2026-01-01")] == ["1200.00", "900.00"]


def test_a_cancelled_subscription_is_invoiced_for_no_term_from_its_end_on(engine: Engine) -> None:
    declare(engine, started(term="month"), CLOCK)
    cancel(engine, "2025-02-15")
    assert [one.term_start.month for one in issue(engine, "2026-01-01")] == [1, 2]


def test_the_preview_is_the_invoice_that_is_issued(engine: Engine) -> None:
    declare(engine, started(), CLOCK)
    take(engine, credit("33.27"))
    with reading(engine) as connection:
        known = subscription_of(connection, "S-1")
        term = next_term(connection, known)
        assert term is not None
        seen = preview(connection, known, term, RULES)
    (issued,) = issue(engine, "2025-01-01")
    assert (seen.lines, seen.total, seen.term_start) == (issued.lines, issued.total, issued.term_start)


def test_an_invoice_is_rounded_to_five_rappen_by_a_line_where_the_vendor_wants_it(engine: Engine) -> None:
    declare(engine, started(), CLOCK)
    take(engine, credit("33.27"))
    (found,) = issue(engine, "2025-01-01", Rules(round_to_5=True))
    assert told(found)[-1] == ("rounding", "0.02")
    assert found.total == sum(line.amount for line in found.lines) == 116_675


def test_numbers_begin_anew_each_year_and_follow_each_other(engine: Engine) -> None:
    clock = SetClock("2025-12-31T22:59:59.999Z")
    declare(engine, started(term="month", starts_on="2025-12-01"), CLOCK)
    declare(engine, started("S-2", term="month", starts_on="2026-01-01"), CLOCK)
    assert issue_due(engine, date(2025, 12, 31), RULES, clock) == ["2025-000001"]
    clock.now = type(clock.now)(clock.now + 1)  # 2026 in Zurich, 2025 still in UTC
    assert issue_due(engine, date(2026, 1, 1), RULES, clock) == ["2026-000001", "2026-000002"]


# Booking


def test_a_record_that_comes_again_after_any_time_changes_nothing(engine: Engine) -> None:
    declare(engine, started(), CLOCK)
    record = credit("33.27")
    take(engine, record)
    issue(engine, "2026-01-01")
    assert [take(engine, record) for _ in range(3)] == ["repeat"] * 3
    assert open_of(engine) == {"S-1/uptime/2025-11": "0.00"}
    with reading(engine) as connection:
        assert quarantined(connection) == []


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(credit("99.99"), id="same id, other amount"),
        pytest.param(credit("33.27", at=(1, 5, 0)), id="new record, same revision"),
        pytest.param(credit("33.27", revision=0, period="2025-12"), id="revisions count from 1"),
        pytest.param(credit("33.27", currency="EUR"), id="other currency"),
        pytest.param(credit("33.27", account="A-2"), id="other account"),
        pytest.param(
            replace(credit("33.27", period="2025-12"), credit="S-1/uptime/x"), id="id names another"
        ),
        pytest.param(
            replace(credit("33.27", period="2025-12"), total=Amount(1)), id="first is not its total"
        ),
        pytest.param(
            replace(credit("1.00", period="2025-12"), journal=credit("33.27").journal), id="same record"
        ),
        pytest.param(
            credit("1.00", total="34.27", revision=2, currency="EUR"), id="later revision, other currency"
        ),
    ],
)
def test_a_record_that_contradicts_the_books_is_quarantined_never_booked_never_dropped(
    engine: Engine, other: Credit
) -> None:
    take(engine, credit("33.27"))
    assert take(engine, other) == "quarantined"
    assert take(engine, other) == "quarantined"
    assert open_of(engine) == {"S-1/uptime/2025-11": "33.27"}
    with reading(engine) as connection:
        (found,) = quarantined(connection)
    assert (found.times_seen, found.amount, found.origin) == (2, other.amount, "sla.credits/0/7/0")
    with writing(engine) as connection:
        resolve(connection, found.id, "told the operators", CLOCK)
    with reading(engine) as connection:
        assert quarantined(connection) == []
    with pytest.raises(Unknown), writing(engine) as connection:
        resolve(connection, found.id, "again", CLOCK)


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (replace(credit("1.00"), currency="FRANC"), "currency"),
        (replace(credit("1.00"), account=""), "account"),
        (replace(credit("1.00"), period="x" * 201), "period"),
        (replace(credit("1.00"), subscription="S\0"), "subscription"),
        (replace(credit("1.00"), revision=2**31), "revision"),
        (credit("1.00", at=(0, 2**63, 0)), "journal.offset"),
        (credit("1.00", at=(-1, 0, 0)), "journal.partition"),
    ],
)
def test_a_record_no_ledger_can_hold_is_known_before_the_database_is_asked(record: Credit, why: str) -> None:
    assert why in (unfit(record) or "")
    assert unfit(credit("1.00")) is None


def test_a_credit_of_an_unknown_subscription_is_booked_shown_and_deducted_once_it_is_known(
    engine: Engine,
) -> None:
    assert take(engine, credit("33.27")) == "booked"
    assert owed_of(engine) == [("S-1/uptime/2025-11", "33.27", "unknown-subscription")]
    declare(engine, started(starts_on="2026-01-01"), CLOCK)
    (found,) = issue(engine, "2026-01-01")
    assert format_amount(found.total) == "1166.73"
    assert owed_of(engine) == []


def test_a_revision_that_overtook_another_is_booked_and_waits_until_the_other_comes(engine: Engine) -> None:
    declare(engine, started(term="month", price="100.00"), CLOCK)
    take(engine, credit("10.00"))
    take(engine, credit("3.00", revision=3, total="9.00"))
    (first,) = issue(engine, "2025-01-01")
    assert told(first) == [("fee", "100.00")]
    assert owed_of(engine) == [("S-1/uptime/2025-11", "13.00", "incomplete")]
    take(engine, credit("-4.00", revision=2, total="6.00"))
    assert owed_of(engine) == []
    (second,) = issue(engine, "2025-02-01")
    assert told(second) == [("fee", "100.00"), ("S-1/uptime/2025-11", "-9.00")]


def test_a_credit_in_another_currency_is_shown_and_never_deducted(engine: Engine) -> None:
    declare(engine, started(currency="EUR"), CLOCK)
    take(engine, credit("33.27"))
    (found,) = issue(engine, "2025-01-01")
    assert told(found) == [("fee", "1200.00")]
    assert owed_of(engine) == [("S-1/uptime/2025-11", "33.27", "other-account-or-currency")]


# Corrections


def test_a_credit_lowered_while_it_is_open_is_deducted_as_lowered(engine: Engine) -> None:
    declare(engine, started(), CLOCK)
    take(engine, credit("33.27"))
    take(engine, credit("-13.27", revision=2, total="20.00"))
    (found,) = issue(engine, "2025-01-01")
    assert told(found) == [("fee", "1200.00"), ("S-1/uptime/2025-11", "-20.00")]


def test_a_correction_after_the_deduction_never_raises_an_invoice_and_needs_a_person(engine: Engine) -> None:
    declare(engine, started(), CLOCK)
    take(engine, credit("33.27"))
    issue(engine, "2025-01-01")
    take(engine, credit("-33.27", revision=2, total="0.00"))
    (found,) = issue(engine, "2026-01-01")
    assert told(found) == [("fee", "1200.00")]
    assert owed_of(engine) == [("S-1/uptime/2025-11", "-33.27", "cannot-be-taken-back")]


def test_a_correction_of_a_correction_leaves_the_last_total(engine: Engine) -> None:
    declare(engine, started(), CLOCK)
    take(engine, credit("33.27"))
    issue(engine, "2025-01-01")
    take(engine, credit("-33.27", revision=2, total="0.00"))
    take(engine, credit("40.00", revision=3, total="40.00"))
    assert owed_of(engine) == []
    (found,) = issue(engine, "2026-01-01")
    assert told(found) == [("fee", "1200.00"), ("S-1/uptime/2025-11", "-6.73")]


def test_a_cut_moved_by_a_correction_is_paid_once(engine: Engine) -> None:
    old, new = "2025-11-20T10:00:00.000Z", "2025-11-20T09:00:00.000Z"
    declare(engine, started(), CLOCK)
    take(engine, credit("33.27", cause="outage", period=old))
    issue(engine, "2025-01-01")
    take(engine, credit("-33.27", cause="outage", period=old, revision=2, total="0.00"))
    take(engine, credit("36.56", cause="outage", period=new))
    (found,) = issue(engine, "2026-01-01")
    assert told(found) == [
        ("fee", "1200.00"),
        (f"S-1/outage/{old}", "33.27"),
        (f"S-1/outage/{new}", "-36.56"),
    ]
    assert format_amount(found.total) == "1196.71"
    assert owed_of(engine) == []


# Voiding


def test_a_voided_invoice_gives_its_credits_back_to_where_they_were(engine: Engine) -> None:
    declare(engine, started(term="month", price="100.00"), CLOCK)
    take(engine, credit("30.00", period="2025-10"))
    take(engine, credit("90.00", period="2025-11"))
    (first,) = issue(engine, "2025-01-01")
    take(engine, credit("5.00", period="2025-12"))
    assert void(engine, first.number, "wrong address", RULES, CLOCK) is None
    assert open_of(engine) == {
        "S-1/uptime/2025-10": "30.00",
        "S-1/uptime/2025-11": "90.00",
        "S-1/uptime/2025-12": "5.00",
    }
    (second,) = issue(engine, "2025-02-01")
    assert told(second) == [
        ("fee", "100.00"),
        ("S-1/uptime/2025-10", "-30.00"),
        ("S-1/uptime/2025-11", "-70.00"),
    ]
    with reading(engine) as connection:
        voided = invoice_of(connection, first.number)
    assert (voided.void_reason, voided.voided_at, voided.total) == ("wrong address", CLOCK.now, first.total)


def test_voiding_twice_gives_back_once(engine: Engine) -> None:
    declare(engine, started(), CLOCK)
    take(engine, credit("30.00"))
    (found,) = issue(engine, "2025-01-01")
    for _ in range(2):
        void(engine, found.number, "twice", RULES, CLOCK)
    assert open_of(engine) == {"S-1/uptime/2025-11": "30.00"}


def test_a_replaced_invoice_is_issued_anew_with_what_is_open_then(engine: Engine) -> None:
    declare(engine, started(), CLOCK)
    take(engine, credit("30.00"))
    (first,) = issue(engine, "2025-01-01")
    take(engine, credit("5.00", period="2025-12"))
    number = void(engine, first.number, "wrong price", RULES, CLOCK, replace=True)
    assert number == "2026-000002"
    assert void(engine, first.number, "wrong price", RULES, CLOCK, replace=True) == number
    with reading(engine) as connection:
        again = invoice_of(connection, number)
    assert format_amount(again.total) == "1165.00"
    assert again.term_start == first.term_start
    assert issue(engine, "2025-01-01") == []


def test_a_credit_taken_back_on_a_voided_invoice_is_below_zero_again(engine: Engine) -> None:
    declare(engine, started(), CLOCK)
    take(engine, credit("33.27"))
    issue(engine, "2025-01-01")
    take(engine, credit("-33.27", revision=2, total="0.00"))
    take(engine, credit("50.00", period="2025-12"))
    (second,) = issue(engine, "2026-01-01")
    assert set(open_of(engine).values()) == {"0.00"}
    void(engine, second.number, "wrong", RULES, CLOCK)
    assert open_of(engine) == {"S-1/uptime/2025-11": "-33.27", "S-1/uptime/2025-12": "50.00"}


def test_voiding_what_is_not_there_or_replacing_too_late_is_refused(engine: Engine) -> None:
    with pytest.raises(Unknown, match="garant billing invoices"):
        void(engine, "2026-000009", "none", RULES, CLOCK)
    declare(engine, started(), CLOCK)
    (found,) = issue(engine, "2025-01-01")
    void(engine, found.number, "wrong", RULES, CLOCK)
    with pytest.raises(Contradiction, match="without a replacement"):
        void(engine, found.number, "wrong", RULES, CLOCK, replace=True)


# The end


def test_credit_left_when_a_subscription_ends_is_owed_and_a_payment_settles_it(engine: Engine) -> None:
    declare(engine, started(), CLOCK)
    issue(engine, "2025-01-01")
    cancel(engine, "2026-01-01")
    take(engine, credit("33.27"))
    assert owed_of(engine) == [("S-1/uptime/2025-11", "33.27", "subscription-ended")]
    for _ in range(2):
        settle(engine, "S-1", "S-1/uptime/2025-11", Amount(3_327), "PAY-1", "bank transfer", CLOCK)
    assert owed_of(engine) == []


def test_what_cannot_be_taken_back_can_be_waived(engine: Engine) -> None:
    declare(engine, started(), CLOCK)
    take(engine, credit("33.27"))
    issue(engine, "2025-01-01")
    take(engine, credit("-33.27", revision=2, total="0.00"))
    settle(engine, "S-1", "S-1/uptime/2025-11", Amount(-3_327), "WAIVE-1", "goodwill", CLOCK)
    assert owed_of(engine) == []
    take(engine, credit("10.00", period="2025-12"))
    (found,) = issue(engine, "2026-01-01")
    assert told(found)[1:] == [("S-1/uptime/2025-12", "-10.00")]


@pytest.mark.parametrize("amount", ["0.00", "33.28", "-1.00"])
def test_more_than_is_open_cannot_be_settled(engine: Engine, amount: str) -> None:
    take(engine, credit("33.27"))
    with pytest.raises(Nonsense, match=r"33\.27 is open"):
        settle(engine, "S-1", "S-1/uptime/2025-11", parse_amount(amount), "PAY-1", "too much", CLOCK)


def test_a_settlement_id_cannot_be_used_for_something_else(engine: Engine) -> None:
    take(engine, credit("33.27"))
    settle(engine, "S-1", "S-1/uptime/2025-11", Amount(100), "PAY-1", "part", CLOCK)
    with pytest.raises(Contradiction, match="PAY-1"):
        settle(engine, "S-1", "S-1/uptime/2025-11", Amount(200), "PAY-1", "part", CLOCK)
    with pytest.raises(Unknown):
        settle(engine, "S-1", "S-1/uptime/1999-01", Amount(200), "PAY-2", "part", CLOCK)


def test_an_invoice_of_a_term_that_no_longer_begins_needs_a_person(engine: Engine) -> None:
    declare(engine, started(), CLOCK)
    cancel(engine, "2027-01-01")
    first, second = issue(engine, "2026-01-01")
    cancel(engine, "2025-12-31")
    with reading(engine) as connection:
        assert [one.number for one in invoiced_after_end(connection)] == [second.number]
    void(engine, second.number, "cancelled before its term", RULES, CLOCK)
    with reading(engine) as connection:
        assert invoiced_after_end(connection) == []
        assert [one.number for one in invoices_of(connection)] == [first.number, second.number]


# Declaring


def test_the_same_start_again_changes_nothing_and_another_contradicts(engine: Engine) -> None:
    assert declare(engine, started(), CLOCK)[1] is True
    assert declare(engine, started(), CLOCK)[1] is False
    with pytest.raises(Contradiction, match="other words"):
        declare(engine, started(price="1.00"), CLOCK)
    with reading(engine) as connection:
        assert facts_of(connection, "S-1") == [started()]


def test_an_idempotency_key_says_one_thing_once(engine: Engine) -> None:
    declare(engine, started(), CLOCK)
    first = SubscriptionChanged("A-1", "S-1", date(2026, 2, 1), price=Amount(100))
    other = SubscriptionChanged("A-1", "S-1", date(2026, 2, 1), price=Amount(200))
    assert declare(engine, first, CLOCK, "K-1")[1] is True
    assert declare(engine, other, CLOCK, "K-2")[1] is True
    assert declare(engine, first, CLOCK, "K-1")[1] is False
    with pytest.raises(Contradiction, match="K-1"):
        declare(engine, other, CLOCK, "K-1")
    assert declare(engine, first, CLOCK, "K-3")[1] is True


def test_an_unknown_subscription_cannot_be_changed(engine: Engine) -> None:
    with pytest.raises(Unknown, match="start it first"):
        cancel(engine, "2026-01-01")


def test_a_refused_fact_leaves_nothing_behind(engine: Engine) -> None:
    declare(engine, started(), CLOCK)
    with pytest.raises(Nonsense):
        cancel(engine, "2024-01-01")
    with reading(engine) as connection:
        assert facts_of(connection, "S-1") == [started()]


# At once


def test_credits_that_arrive_while_invoices_are_issued_are_deducted_exactly_once(engine: Engine) -> None:
    """Eight threads book 60 credits, each twice, while two others issue the same 24 invoices."""
    declare(engine, started(term="month", price="20.00", starts_on="2024-01-01"), CLOCK)
    records = [credit("7.00", period=f"P-{number:03d}", at=(0, number, 0)) for number in range(60)]

    def issue_all(_: int) -> list[str]:
        return issue_due(engine, date(2025, 12, 1), RULES, CLOCK)

    with ThreadPoolExecutor(10) as pool:
        issuing = [pool.submit(issue_all, place) for place in range(2)]
        results = list(pool.map(lambda record: take(engine, record), records * 2))
        numbers = [number for found in issuing for number in found.result()]
    assert sorted(results) == ["booked"] * 60 + ["repeat"] * 60
    assert sorted(numbers) == [f"2026-{place:06d}" for place in range(1, 25)]
    with reading(engine) as connection:
        found = invoices_of(connection)
        left = open_credits(connection, subscription_of(connection, "S-1"))
    assert [one.term_start for one in found] == sorted({one.term_start for one in found})
    deducted = -sum(line.amount for one in found for line in one.lines if line.credit)
    assert deducted + sum(one.open for one in left) == 60 * 700
    assert all(one.total >= 0 for one in found)
    assert all(one.open >= 0 for one in left)


def test_a_void_and_an_issue_at_once_use_each_credit_once(engine: Engine) -> None:
    declare(engine, started(term="month", price="20.00", starts_on="2025-01-01"), CLOCK)
    take(engine, credit("100.00"))
    issued = issue(engine, "2025-03-01")

    def undo(number: str) -> None:
        void(engine, number, "wrong", RULES, CLOCK)

    with ThreadPoolExecutor(8) as pool:
        undone = [pool.submit(undo, one.number) for one in issued for _ in range(2)]
        later = [pool.submit(issue_due, engine, date(2025, 6, 1), RULES, CLOCK) for _ in range(2)]
        for future in [*undone, *later]:
            future.result()
    with reading(engine) as connection:
        standing = [one for one in invoices_of(connection) if one.voided_at is None]
    used = -sum(line.amount for one in standing for line in one.lines if line.credit)
    assert len(standing) == 3
    assert open_of(engine) == {"S-1/uptime/2025-11": format_amount(10_000 - used)}
