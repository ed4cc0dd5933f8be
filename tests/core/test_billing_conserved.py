"""Whatever is booked, held, released, invoiced and voided, in any order: no money comes or goes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select

from services.billing.booking import book, entries_of
from services.billing.caps import Caps
from services.billing.declaring import declare, subscription_of
from services.billing.holding import Release, held_now, release
from services.billing.issuing import Rules, issue_due, open_credits, void
from services.billing.ledger import balances
from services.billing.statements import invoices_of
from services.billing.tables import cap_checks, ledger_entries
from shared.database import reading
from shared.facts import SubscriptionCancelled
from shared.money import Amount, format_amount
from shared.time import DAY
from tests.core.billing_books import SetClock, credit, empty_books, started

CAPS = Caps(account_day=Amount(1_000), day=Amount(1_500))
TOTALS = st.sampled_from([0, 1, 400, 600, 999, 1_000, 1_001, 2_500])
"""What a credit comes to, around a cap of 1,000."""
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("grant"), st.integers(0, 2), st.integers(0, 2), TOTALS),
        st.tuples(st.just("issue"), st.integers(0, 2)),
        st.tuples(st.just("void"), st.integers(0, 5), st.booleans()),
        st.tuples(st.just("release"), st.integers(0, 3)),
        st.tuples(st.just("sleep"), st.sampled_from([DAY // 3, DAY])),
    ),
    min_size=5,
    max_size=25,
)
_numbers = count(1)


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with empty_books("sqlite", tmp_path_factory.mktemp("books")) as found:
        yield found


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with empty_books("postgresql", tmp_path_factory.mktemp("books")) as found:
        yield found


class World:
    """Three subscriptions, two of them of one account, in days nobody else of the test lives in."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.number = engine, next(_numbers)
        self.clock = SetClock("2026-01-15T12:00:00.000Z")
        self.clock.now = type(self.clock.now)(self.clock.now + self.number * 40 * DAY)
        self.names = [f"S-{self.number}-{place}" for place in range(3)]
        self.accounts = [f"A-{self.number}-{place // 2}" for place in range(3)]
        self.through = [date(2025, 1, 1)] * 3
        self.revisions: dict[tuple[int, int], list[int]] = defaultdict(list)
        self.offset = count()
        for name, account in zip(self.names, self.accounts, strict=True):
            declare(engine, started(name, account=account, term="month", price="7.00"), self.clock)

    def grant(self, place: int, period: int, total: int) -> None:
        earlier = self.revisions[place, period]
        amount = total - (earlier[-1] if earlier else 0)
        if amount == 0:
            return
        earlier.append(total)
        record = credit(
            format_amount(amount),
            total=format_amount(total),
            revision=len(earlier),
            period=f"P-{period}",
            subscription=self.names[place],
            account=self.accounts[place],
            at=(self.number, next(self.offset), 0),
        )
        before = self.held(place)
        result = book(self.engine, record, "sla.credits/0/0/0", self.clock, CAPS)
        assert result in ("booked", "held")
        assert book(self.engine, record, "sla.credits/0/0/0", self.clock, CAPS) == "repeat"
        if amount < 0:
            assert result == "booked"
            assert set(self.held(place)) <= set(before)

    def issue(self, place: int) -> None:
        before = self.held(place)
        day = self.through[place]
        self.through[place] = (day.replace(day=28) + timedelta(days=5)).replace(day=1)
        numbers = issue_due(self.engine, day, Rules(), self.clock)
        with reading(self.engine) as connection:
            found = [one for one in invoices_of(connection, self.names[place]) if one.number in numbers]
        for invoice in found:
            assert invoice.held == sum(before.values())
            assert not {line.credit for line in invoice.lines if line.amount < 0} & set(before)

    def void(self, place: int, replace: bool) -> None:
        with reading(self.engine) as connection:
            found = [one for name in self.names for one in invoices_of(connection, name)]
        standing = [one for one in found if one.voided_at is None]
        if standing:
            chosen = standing[place % len(standing)].number
            void(self.engine, chosen, "wrong", Rules(), self.clock, replace=replace)

    def release(self, place: int) -> None:
        waiting = [one for name in range(3) for one in self.held(name)]
        if waiting:
            name = waiting[place % len(waiting)]
            said = Release(name, f"R-{next(self.offset)}", "anna", "looked at it")
            assert release(self.engine, name.split("/")[0], said, self.clock) is True

    def sleep(self, ms: int) -> None:
        self.clock.now = type(self.clock.now)(self.clock.now + ms)

    def held(self, place: int) -> dict[str, Amount]:
        with reading(self.engine) as connection:
            found = held_now(connection)
        return {one.credit: one.amount for one in found if one.subscription == self.names[place]}

    def leave(self) -> None:
        """Ends what would be invoiced and shown with the next example's."""
        for place in range(3):
            for _ in self.held(place):
                self.release(0)
        for name, account in zip(self.names, self.accounts, strict=True):
            declare(self.engine, SubscriptionCancelled(account, name, date(2025, 1, 1)), self.clock)

    def check(self) -> None:
        for place, name in enumerate(self.names):
            with reading(self.engine) as connection:
                found = balances(entries_of(connection, name))
                usable = sum(one.open for one in open_credits(connection, subscription_of(connection, name)))
                invoices = invoices_of(connection, name)
            granted = sum(said[-1] for (of, _), said in self.revisions.items() if of == place and said)
            standing = [one for one in invoices if one.voided_at is None]
            deducted = -sum(line.amount for one in standing for line in one.lines if line.credit)
            held = sum(self.held(place).values())
            assert granted == sum(one.granted for one in found) == deducted + usable + held
            assert all(0 <= one.total <= 700 for one in invoices)
            assert all(one.agrees for one in found)


def check_caps(engine: Engine, accounts: set[str]) -> None:
    """Counted anew from the ledger: what passed kept to both caps, and what was held would not have."""
    passed: dict[Any, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    with reading(engine) as connection:
        rows = connection.execute(
            select(cap_checks, ledger_entries.c.amount).join(ledger_entries).order_by(cap_checks.c.entry)
        ).all()
    for row in rows:
        if row.account not in accounts or row.held == "held-credit":
            continue
        today = passed[row.day]
        after = today | {row.account: today[row.account] + row.amount}
        fits = after[row.account] <= 1_000 and sum(max(0, net) for net in after.values()) <= 1_500
        if row.held is None:
            assert fits or row.amount < 0
            today[row.account] += row.amount
        else:
            assert row.amount > 0
            assert not fits


def goes_well(engine: Engine, steps: list[tuple[Any, ...]]) -> None:
    world = World(engine)
    for name, *what in steps:
        getattr(world, name)(*what)
    world.check()
    check_caps(engine, set(world.accounts))
    world.leave()


GENTLY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@settings(GENTLY, max_examples=30)
@given(steps=STEPS)
def test_deducted_and_open_and_held_are_what_was_granted_on_sqlite(
    sqlite: Engine, steps: list[tuple[Any, ...]]
) -> None:
    goes_well(sqlite, steps)


@settings(GENTLY, max_examples=10)
@given(steps=STEPS)
def test_deducted_and_open_and_held_are_what_was_granted_on_postgresql(
    postgresql: Engine, steps: list[tuple[Any, ...]]
) -> None:
    goes_well(postgresql, steps)
