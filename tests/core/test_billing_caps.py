"""Caps: what is beyond one is booked, shown, on no invoice until a person releases it. On both databases."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from services.billing import app, database, metrics
from services.billing.booking import book, entries_of
from services.billing.caps import DEFAULT_CAPS, Caps, Passed, judge, parse_cap
from services.billing.database import BOOKS, lock_day
from services.billing.declaring import Contradiction, Unknown, declare, subscription_of
from services.billing.holding import HeldCredit, Release, held_now, release
from services.billing.issuing import Rules, issue_due, next_term, preview, settle, void
from services.billing.ledger import balances
from services.billing.page import invoice_page
from services.billing.settings import BillingSettings
from services.billing.statements import Invoice, invoice_of, invoices_of, owed_now, quarantined
from services.billing.subscription import Nonsense
from shared.database import open_engine, reading, writing
from shared.facts import SubscriptionCancelled
from shared.money import Amount, format_amount, parse_amount
from shared.outcomes import Credit
from tests.core import billing_books
from tests.core.billing_books import KINDS, SetClock, empty_books, started

RULES = Rules()
CAPS = Caps(account_day=Amount(10_000), day=Amount(25_000))
"""100.00 for an account and day, 250.00 for a day."""
ONE = "S-1/uptime/2025-11"

_places: dict[tuple[str, str, int], int] = {}


def credit(amount: str, **what: Any) -> Credit:
    """A record of sla.credits; each revision of each credit has a place of its own in the journal."""
    named = (what.get("subscription", "S-1"), what.get("period", "2025-11"), what.get("revision", 1))
    return billing_books.credit(amount, at=(0, _places.setdefault(named, len(_places)), 0), **what)


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    with empty_books(request.param, tmp_path) as found:
        yield found


@pytest.fixture
def clock() -> SetClock:
    return SetClock("2026-01-15T12:00:00.000Z")


class Books:
    """The books of a test, with its clock and its caps."""

    def __init__(self, engine: Engine, clock: SetClock) -> None:
        self.engine, self.clock = engine, clock

    def take(self, record: Credit, caps: Caps = CAPS) -> str:
        return book(self.engine, record, "sla.credits/0/7/0", self.clock, caps)

    def issue(self, through: str) -> list[Invoice]:
        numbers = issue_due(self.engine, date.fromisoformat(through), RULES, self.clock)
        with reading(self.engine) as connection:
            return [invoice_of(connection, number) for number in numbers]

    def held(self) -> list[HeldCredit]:
        with reading(self.engine) as connection:
            return held_now(connection)

    def held_amounts(self) -> dict[str, str]:
        return {one.credit: format_amount(one.amount) for one in self.held()}

    def owed(self) -> list[tuple[str, str, str]]:
        with reading(self.engine) as connection:
            return [(due.credit, format_amount(due.amount), due.reason) for due in owed_now(connection)]

    def release(self, name: str = ONE, key: str = "R-1", amount: str | None = None) -> bool:
        seen = None if amount is None else parse_amount(amount)
        said = Release(name, key, "anna", "looked at it", seen)
        return release(self.engine, name.split("/")[0], said, self.clock)


@pytest.fixture
def books(engine: Engine, clock: SetClock) -> Books:
    declare(engine, started(term="month", price="1000.00"), clock)
    return Books(engine, clock)


def told(invoice: Invoice) -> list[tuple[str, str]]:
    return [(line.credit or line.kind, format_amount(line.amount)) for line in invoice.lines]


# What is held


def test_exactly_the_cap_passes_and_one_rappen_more_is_held(books: Books) -> None:
    assert books.take(credit("99.99", period="2025-10")) == "booked"
    assert books.take(credit("0.01", period="2025-11")) == "booked"
    assert books.held() == []
    assert books.take(credit("0.01", period="2025-12")) == "held"
    assert books.held_amounts() == {"S-1/uptime/2025-12": "0.01"}


def test_a_credit_beyond_the_cap_is_booked_and_held_whole(books: Books) -> None:
    assert books.take(credit("100.01")) == "held"
    with reading(books.engine) as connection:
        (entry,) = entries_of(connection, "S-1")
        (balance,) = balances([entry])
    assert (entry.amount, entry.held, balance.granted, balance.agrees) == (10_001, True, 10_001, True)
    (found,) = books.issue("2025-01-01")
    assert told(found) == [("fee", "1000.00")]
    assert (format_amount(found.held), format_amount(found.carried_over)) == ("100.01", "0.00")


def test_what_is_held_takes_no_room_from_what_is_honest_after_it(books: Books) -> None:
    assert books.take(credit("5000.00", period="2025-10")) == "held"
    assert books.take(credit("100.00", period="2025-11")) == "booked"
    assert books.take(credit("0.01", period="2025-12")) == "held"


def test_the_next_local_day_has_a_cap_of_its_own(books: Books) -> None:
    books.clock.now = SetClock("2026-01-15T22:59:59.999Z").now
    assert books.take(credit("100.00", period="2025-10")) == "booked"
    assert books.take(credit("1.00", period="2025-11")) == "held"
    books.clock.now = SetClock("2026-01-15T23:00:00.000Z").now  # midnight in Zurich
    assert books.take(credit("100.00", period="2025-12")) == "booked"
    assert books.take(credit("1.00", period="2025-09")) == "held"
    assert [one.day for one in books.held()] == [date(2026, 1, 15), date(2026, 1, 16)]


def test_what_is_granted_and_taken_back_on_one_day_makes_room_again(books: Books) -> None:
    books.take(credit("80.00", period="2025-10"))
    assert books.take(credit("-80.00", total="0.00", revision=2, period="2025-10")) == "booked"
    assert books.take(credit("100.00", period="2025-11")) == "booked"
    assert books.held() == []


def test_a_difference_below_zero_is_never_held(books: Books) -> None:
    nothing = Caps(Amount(0), Amount(0))
    books.take(credit("80.00"))
    assert books.take(credit("-30.00", total="50.00", revision=2), nothing) == "booked"
    assert books.held() == []
    (found,) = books.issue("2025-01-01")
    assert told(found)[1:] == [(ONE, "-50.00")]


def test_accounts_have_caps_of_their_own_and_the_day_one_over_all(books: Books) -> None:
    found = [
        books.take(credit(amount, subscription=f"S-{place}", account=f"A-{place}"))
        for place, amount in enumerate(("100.00", "100.00", "50.00", "0.01"))
    ]
    assert found == ["booked", "booked", "booked", "held"]
    (one,) = books.held()
    assert (one.because, one.cap, one.passed, one.account) == ("day", 25_000, 25_000, "A-3")


def test_what_one_account_lost_makes_no_room_for_another(books: Books) -> None:
    loose = Caps(None, None)
    books.take(credit("200.00", subscription="S-1", account="A-1"), loose)
    books.clock.now = SetClock("2026-01-16T12:00:00.000Z").now
    assert (
        books.take(credit("-200.00", total="0.00", revision=2, subscription="S-1", account="A-1")) == "booked"
    )
    only_day = Caps(None, Amount(5_000))
    assert books.take(credit("50.00", subscription="S-2", account="A-2"), only_day) == "booked"
    assert books.take(credit("0.01", subscription="S-3", account="A-3"), only_day) == "held"


def test_each_currency_has_a_cap_of_its_own(books: Books) -> None:
    assert books.take(credit("100.00")) == "booked"
    assert books.take(credit("100.00", subscription="S-2", currency="EUR")) == "booked"
    assert books.take(credit("0.01", subscription="S-3", currency="EUR")) == "held"


def test_without_caps_nothing_is_held_and_a_cap_of_zero_holds_everything(books: Books) -> None:
    assert books.take(credit("9999999.00", period="2025-10"), Caps(None, None)) == "booked"
    books.clock.now = SetClock("2026-01-16T12:00:00.000Z").now
    assert books.take(credit("0.01", period="2025-11"), Caps(Amount(0), None)) == "held"
    assert books.take(credit("0.01", period="2025-12"), Caps(None, Amount(0))) == "held"


def test_a_record_that_comes_again_is_held_once(books: Books) -> None:
    record = credit("500.00")
    assert [books.take(record) for _ in range(3)] == ["held", "repeat", "repeat"]
    books.release()
    assert books.take(record) == "repeat"
    assert books.held() == []
    (found,) = books.issue("2025-01-01")
    assert told(found) == [("fee", "1000.00"), (ONE, "-500.00")]


def test_a_record_that_contradicts_the_books_is_quarantined_and_counts_for_no_cap(books: Books) -> None:
    books.take(credit("60.00"))
    assert books.take(credit("90.00")) == "quarantined"
    assert books.take(credit("40.00", period="2025-12")) == "booked"
    assert books.held() == []
    books.take(credit("0.01", period="2025-10"))
    assert books.take(credit("900.00", period="2025-10")) == "quarantined"
    with reading(books.engine) as connection:
        assert [format_amount(one.amount) for one in quarantined(connection)] == ["90.00", "900.00"]
    assert books.held_amounts() == {"S-1/uptime/2025-10": "0.01"}


# Later revisions


def test_a_credit_is_held_as_a_whole_while_one_of_its_revisions_is(books: Books) -> None:
    books.take(credit("60.00"))
    assert books.take(credit("90.00", total="150.00", revision=2)) == "held"
    assert books.held_amounts() == {ONE: "150.00"}
    assert told(books.issue("2025-01-01")[0]) == [("fee", "1000.00")]


def test_what_was_deducted_before_stays_deducted(books: Books) -> None:
    books.take(credit("60.00"))
    books.issue("2025-01-01")
    books.take(credit("500.00", total="560.00", revision=2))
    assert books.held_amounts() == {ONE: "500.00"}
    assert told(books.issue("2025-02-01")[0]) == [("fee", "1000.00")]
    books.release()
    assert told(books.issue("2025-03-01")[0]) == [("fee", "1000.00"), (ONE, "-500.00")]


def test_a_later_revision_of_a_held_credit_waits_with_it(books: Books) -> None:
    books.take(credit("500.00"))
    books.clock.now = SetClock("2026-01-16T12:00:00.000Z").now
    assert books.take(credit("1.00", total="501.00", revision=2)) == "held"
    assert books.take(credit("-101.00", total="400.00", revision=3)) == "booked"
    assert books.held_amounts() == {ONE: "400.00"}
    assert books.take(credit("100.00", period="2025-12")) == "booked"  # nothing of it counted, up or down
    books.release()
    assert told(books.issue("2025-01-01")[0])[1:] == [(ONE, "-400.00"), ("S-1/uptime/2025-12", "-100.00")]


def test_a_held_credit_that_is_corrected_to_what_had_passed_is_free_by_itself(books: Books) -> None:
    books.take(credit("60.00"))
    books.take(credit("5000.00", total="5060.00", revision=2))
    books.take(credit("-5000.00", total="60.00", revision=3))
    assert (books.held(), books.owed()) == ([], [])
    assert told(books.issue("2025-01-01")[0])[1:] == [(ONE, "-60.00")]
    with pytest.raises(Nonsense, match="is not held"):
        books.release()


def test_what_was_taken_back_of_a_held_credit_makes_no_room_for_another(books: Books) -> None:
    books.take(credit("5000.00"))
    books.take(credit("-5000.00", total="0.00", revision=2))
    assert books.take(credit("100.01", period="2025-12")) == "held"


def test_a_credit_held_again_after_it_was_corrected_names_the_later_hold(books: Books) -> None:
    books.take(credit("5000.00"))
    books.take(credit("-5000.00", total="0.00", revision=2))
    books.clock.now = SetClock("2026-01-20T12:00:00.000Z").now
    books.take(credit("300.00", total="300.00", revision=3))
    (one,) = books.held()
    assert (one.amount, one.day, one.held_at) == (30_000, date(2026, 1, 20), books.clock.now)


def test_a_held_credit_below_what_was_deducted_is_taken_back_all_the_same(books: Books) -> None:
    books.take(credit("60.00"))
    books.issue("2025-01-01")
    books.take(credit("500.00", total="560.00", revision=2))
    books.take(credit("-530.00", total="30.00", revision=3))
    books.clock.now = SetClock("2026-01-16T12:00:00.000Z").now
    books.take(credit("40.00", period="2025-12"))
    assert books.held() == []
    assert told(books.issue("2025-02-01")[0]) == [
        ("fee", "1000.00"),
        (ONE, "30.00"),
        ("S-1/uptime/2025-12", "-40.00"),
    ]


# Releasing


def test_a_released_credit_is_on_the_next_invoice(books: Books) -> None:
    books.take(credit("500.00"))
    assert books.release() is True
    assert (books.held(), books.owed()) == ([], [])
    (found,) = books.issue("2025-01-01")
    assert told(found) == [("fee", "1000.00"), (ONE, "-500.00")]
    assert found.held == 0


def test_released_twice_under_one_key_is_once_and_another_key_finds_nothing_held(books: Books) -> None:
    books.take(credit("500.00"))
    books.take(credit("600.00", period="2025-12"))
    assert [books.release(), books.release(), books.release(amount="500.00")] == [True, False, False]
    with pytest.raises(Nonsense, match="garant billing held"):
        books.release(key="R-2")
    with pytest.raises(Contradiction, match="R-1"):
        books.release("S-1/uptime/2025-12")
    with pytest.raises(Contradiction, match="R-1"):
        books.release(amount="1.00")
    assert books.held_amounts() == {"S-1/uptime/2025-12": "600.00"}


def test_a_release_says_who_and_why_for_ever(books: Books) -> None:
    books.take(credit("500.00"))
    books.release()
    with reading(books.engine) as connection:
        (row,) = connection.execute(text("SELECT author, reason, amount, released_at FROM releases")).all()
    assert tuple(row) == ("anna", "looked at it", 50_000, books.clock.now)


def test_a_release_of_another_amount_than_the_person_saw_is_refused(books: Books) -> None:
    books.take(credit("500.00"))
    books.take(credit("4500.00", total="5000.00", revision=2))
    with pytest.raises(Nonsense, match=r"5000\.00 .* is held now"):
        books.release(amount="500.00")
    assert books.held_amounts() == {ONE: "5000.00"}
    assert books.release(amount="5000.00") is True


def test_what_is_not_there_or_not_held_cannot_be_released(books: Books) -> None:
    with pytest.raises(Unknown, match="garant billing held"):
        books.release()
    books.take(credit("100.00"))
    with pytest.raises(Nonsense, match="is not held"):
        books.release()


def test_a_revision_after_the_release_meets_the_caps_by_itself(books: Books) -> None:
    books.take(credit("500.00"))
    books.release()
    assert books.take(credit("100.00", total="600.00", revision=2)) == "booked"
    assert books.take(credit("0.01", total="600.01", revision=3)) == "held"
    assert books.held_amounts() == {ONE: "600.01"}
    assert books.release(key="R-2") is True
    assert told(books.issue("2025-01-01")[0])[1:] == [(ONE, "-600.01")]


def test_a_credit_refused_by_a_settlement_is_no_longer_held(books: Books) -> None:
    books.take(credit("500.00"))
    settle(books.engine, "S-1", ONE, Amount(50_000), "NO-1", "refused: test data", books.clock)
    assert (books.held(), books.owed()) == ([], [])
    assert told(books.issue("2025-01-01")[0]) == [("fee", "1000.00")]


def test_a_voided_invoice_leaves_a_released_credit_released(books: Books) -> None:
    books.take(credit("500.00"))
    books.release()
    (found,) = books.issue("2025-01-01")
    void(books.engine, found.number, "wrong address", RULES, books.clock)
    assert books.held() == []
    assert told(books.issue("2025-02-01")[0]) == [("fee", "1000.00"), (ONE, "-500.00")]


def test_a_replaced_invoice_deducts_what_was_released_meanwhile(books: Books) -> None:
    books.take(credit("500.00"))
    (found,) = books.issue("2025-01-01")
    books.release()
    number = void(books.engine, found.number, "credit released", RULES, books.clock, replace=True)
    assert number is not None
    with reading(books.engine) as connection:
        again, before = invoice_of(connection, number), invoice_of(connection, found.number)
    assert told(again) == [("fee", "1000.00"), (ONE, "-500.00")]
    assert (again.held, before.held) == (0, 50_000)


# What is seen


def test_a_held_credit_is_seen_first_among_what_needs_a_person(books: Books) -> None:
    books.take(credit("10.00", subscription="S-0"))
    books.take(credit("500.00"))
    assert books.owed() == [
        (ONE, "500.00", "beyond-cap"),
        ("S-0/uptime/2025-11", "10.00", "unknown-subscription"),
    ]


def test_a_held_credit_of_a_subscription_that_ended_or_is_unknown_stays_held(books: Books) -> None:
    declare(books.engine, SubscriptionCancelled("A-1", "S-1", date(2025, 1, 15)), books.clock)
    books.issue("2025-01-01")
    books.take(credit("500.00"))
    books.take(credit("500.00", subscription="S-9"))
    assert [reason for *_, reason in books.owed()] == ["beyond-cap"] * 2
    books.release()
    books.release("S-9/uptime/2025-11")
    assert sorted(reason for *_, reason in books.owed()) == ["subscription-ended", "unknown-subscription"]


def test_the_preview_and_the_customers_page_say_what_is_held(books: Books) -> None:
    books.take(credit("500.00"))
    with reading(books.engine) as connection:
        known = subscription_of(connection, "S-1")
        term = next_term(connection, known)
        assert term is not None
        seen = preview(connection, known, term, RULES)
    (found,) = books.issue("2025-01-01")
    assert (seen.held, seen.total) == (found.held, found.total) == (50_000, 100_000)
    assert "Avoir en cours de vérification, pas encore déduit: CHF 500.00" in invoice_page(found)
    books.release()
    (second,) = books.issue("2025-02-01")
    assert "vérification" not in invoice_page(second)


def test_what_is_held_raises_the_alarm_in_the_metrics(books: Books) -> None:
    books.take(credit("500.00"))
    books.take(credit("70.00", subscription="S-2", currency="EUR"), Caps(Amount(0), None))
    app._issue_once(BillingSettings(), books.engine, books.clock)
    shown = generate_latest(metrics.REGISTRY).decode()
    assert "garant_billing_held 2.0" in shown
    assert 'garant_billing_held_hundredths{currency="CHF"} 50000.0' in shown
    assert 'garant_billing_held_hundredths{currency="EUR"} 7000.0' in shown
    assert "garant_billing_needs_person 2.0" in shown
    books.release()
    books.release("S-2/uptime/2025-11")
    app._issue_once(BillingSettings(), books.engine, books.clock)
    shown = generate_latest(metrics.REGISTRY).decode()
    assert "garant_billing_held 0.0" in shown
    assert "garant_billing_held_hundredths{" not in shown


# At once


def test_two_instances_that_book_at_once_do_not_both_pass_under_the_cap(books: Books) -> None:
    url = books.engine.url.render_as_string(hide_password=False)
    other = Books(open_engine(url, BOOKS), books.clock)
    records = [credit("30.00", subscription=f"S-{place}") for place in range(20)]

    def take(place: int) -> str:
        return (books, other)[place % 2].take(records[place])

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(take, range(20)))
    other.engine.dispose()
    assert sorted(results) == ["booked"] * 3 + ["held"] * 17
    assert sum(one.amount for one in books.held()) == 17 * 3_000


def test_booking_releasing_issuing_and_settling_at_once_neither_wait_for_ever_nor_lose_anything(
    books: Books,
) -> None:
    names = [f"S-{place}" for place in range(2, 6)]
    for name in names:
        declare(books.engine, started(name, term="month", price="20.00", starts_on="2025-01-01"), books.clock)
    records = [
        credit("40.00", subscription=name, period=f"P-{number}") for number in range(6) for name in names
    ]

    def let_go(record: Credit) -> None:
        try:
            books.release(record.credit, key=f"R-{record.period}")
        except (Nonsense, Unknown):
            return

    with ThreadPoolExecutor(8) as pool:
        issuing = [pool.submit(issue_due, books.engine, date(2025, 12, 1), RULES, books.clock)]
        results = list(pool.map(books.take, records * 2))
        list(pool.map(let_go, records))
        issuing.append(pool.submit(issue_due, books.engine, date(2026, 1, 1), RULES, books.clock))
        for found in issuing:
            found.result()
    assert sorted(results) == ["booked"] * 2 + ["held"] * 22 + ["repeat"] * 24
    assert books.held() == []
    with reading(books.engine) as connection:
        invoices = invoices_of(connection)
        left = [one for name in names for one in balances(entries_of(connection, name))]
    deducted = -sum(line.amount for one in invoices for line in one.lines if line.credit)
    assert deducted + sum(one.open for one in left) == 24 * 4_000
    assert all(one.total >= 0 for one in invoices)


def test_an_instance_that_stands_still_while_it_books_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: SetClock
) -> None:
    monkeypatch.setattr(database, "_STANDS_STILL_MS", 3_000)
    results = []

    def stand_still(engine: Engine) -> None:
        with writing(engine) as still:
            lock_day(still)
            results.append(book(engine, credit("1.00"), "sla.credits/0/0/0", clock, CAPS))
            still.execute(text("SELECT 1"))

    with empty_books("postgresql", tmp_path) as engine:
        began = time.monotonic()
        with pytest.raises(DBAPIError):
            stand_still(engine)
        assert results == ["booked"]
        assert 2 < time.monotonic() - began < 60


# What is set


@pytest.mark.parametrize(
    ("said", "cap"), [("10000.00", 1_000_000), ("5", 500), ("0", 0), ("0.00", 0), ("none", None)]
)
def test_a_cap_is_an_amount_or_none(said: str, cap: int | None) -> None:
    assert parse_cap(said) == cap
    assert BillingSettings(cap_per_day=said, cap_per_account_day="1.00").caps == Caps(
        Amount(100), None if cap is None else Amount(cap)
    )


@pytest.mark.parametrize("said", ["", "-1.00", "1.005", "ten", "None", "1'000"])
def test_what_is_no_cap_is_refused_with_what_to_write(said: str) -> None:
    with pytest.raises(ValueError, match=r'"10000\.00"'):
        BillingSettings(cap_per_account_day=said)


def test_the_caps_nobody_set_are_the_ones_of_the_settings() -> None:
    assert BillingSettings().caps == DEFAULT_CAPS


def test_a_whole_month_down_of_an_account_that_pays_120_000_a_year_passes_the_default_caps() -> None:
    a_month = Amount(12_000_000 * 30 // 365)
    assert judge(a_month, Amount(0), Passed(), DEFAULT_CAPS).because is None
