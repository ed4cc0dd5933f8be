"""Issuing invoices at each term's start, voiding them, settling by hand: the ledger moves with the invoice.

An invoice, its lines, its number and the ledger entries of its deductions are one transaction under the
subscription's lock: a credit that arrives meanwhile is on this invoice or on the next, never on both.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from msgspec import Struct
from sqlalchemy import Connection, Engine, func, insert, select

from services.billing.booking import entries_of
from services.billing.database import lock_subscription
from services.billing.declaring import Contradiction, Unknown, every_subscription, subscription_of
from services.billing.invoice import Draft, draft
from services.billing.ledger import Balance, balances, held_of, usable
from services.billing.subscription import Nonsense, Subscription
from services.billing.tables import invoice_lines, invoices, ledger_entries, voids
from shared.calendar import local_date
from shared.database import Clock, next_number, reading, writing
from shared.money import Amount, format_amount


class Rules(Struct, frozen=True):
    """How this vendor invoices: the zone its dates are local in, and whether totals go to 0.05."""

    zone: str = "Europe/Zurich"
    round_to_5: bool = False


def issue_due(engine: Engine, through: date, rules: Rules, clock: Clock) -> list[str]:
    """Issues every invoice whose term has begun by the local date `through`, and returns their numbers.

    For each subscription oldest first, without gaps, each term once.
    """
    with reading(engine) as connection:
        due = [
            subscription
            for subscription in every_subscription(connection)
            if (term := next_term(connection, subscription_of(connection, subscription)))
            and term[0] <= through
        ]
    issued: list[str] = []
    for subscription in due:
        while number := _issue_next(engine, subscription, through, rules, clock):
            issued.append(number)
    return issued


def _issue_next(engine: Engine, subscription: str, through: date, rules: Rules, clock: Clock) -> str | None:
    with writing(engine) as connection:
        lock_subscription(connection, subscription)
        known = subscription_of(connection, subscription)
        term = next_term(connection, known)
        if term is None or term[0] > through:
            return None
        return _issue(connection, known, term, 1, rules, clock)


def next_term(connection: Connection, known: Subscription) -> tuple[date, date] | None:
    """The oldest term never invoiced; None where the subscription ends before another begins."""
    taken = connection.execute(
        select(func.max(invoices.c.term_start)).where(invoices.c.subscription == known.started.subscription)
    ).scalar_one()
    return next((term for term in known.terms() if taken is None or term[0] > taken), None)


def preview(connection: Connection, known: Subscription, term: tuple[date, date], rules: Rules) -> Draft:
    """The invoice of `term` as it would be issued now.

    The fee is the price in force on the term's first date: a change inside a term counts from the next one
    on, and a term that was begun is invoiced whole.
    """
    started = known.started
    found = balances(entries_of(connection, started.subscription))
    return draft(
        started.subscription,
        term,
        known.price_on(term[0]),
        started.currency,
        _open(found, known),
        round_to_5=rules.round_to_5,
        held=held_of(found, started.account, started.currency),
    )


def open_credits(connection: Connection, known: Subscription) -> Sequence[Balance]:
    """The credits an invoice of this subscription may deduct or take back, in the order they were booked."""
    return _open(balances(entries_of(connection, known.started.subscription)), known)


def _open(found: Sequence[Balance], known: Subscription) -> Sequence[Balance]:
    started = known.started
    return [one for one in found if one.open and usable(one, started.account, started.currency)]


def _issue(
    connection: Connection,
    known: Subscription,
    term: tuple[date, date],
    issue: int,
    rules: Rules,
    clock: Clock,
) -> str:
    found = preview(connection, known, term, rules)
    started, now = known.started, clock()
    today = local_date(now, rules.zone)
    number = f"{today.year}-{next_number(connection, f'invoices/{today.year}'):06d}"
    connection.execute(
        insert(invoices).values(
            number=number,
            subscription=started.subscription,
            account=started.account,
            term_start=term[0],
            term_end=term[1],
            issue=issue,
            issued_on=today,
            issued_at=now,
            language=started.language,
            currency=started.currency,
            total=found.total,
            carried_over=found.carried_over,
            held=found.held,
        )
    )
    for place, line in enumerate(found.lines, start=1):
        connection.execute(
            insert(invoice_lines).values(
                number=number,
                line=place,
                kind=line.kind,
                amount=line.amount,
                credit=line.credit,
                cause=line.cause,
                period=line.period,
            )
        )
        if line.credit is not None:
            connection.execute(
                insert(ledger_entries).values(
                    kind="deduction",
                    account=started.account,
                    subscription=started.subscription,
                    credit=line.credit,
                    amount=line.amount,
                    currency=started.currency,
                    invoice=number,
                    invoice_line=place,
                    booked_at=now,
                )
            )
    return number


def void(
    engine: Engine, number: str, reason: str, rules: Rules, clock: Clock, *, replace: bool = False
) -> str | None:
    """Voids an invoice: every credit it used is again what it was, by entries that undo its own.

    With `replace` the term is invoiced again at once, with what is open then; the new number is returned.
    Voiding again changes nothing. Raises Unknown, and Contradiction where `replace` comes too late.
    """
    with writing(engine) as connection:
        subscription = connection.execute(
            select(invoices.c.subscription).where(invoices.c.number == number)
        ).scalar_one_or_none()
        if subscription is None:
            raise Unknown(f"no invoice {number}; see `garant billing invoices`")
        lock_subscription(connection, subscription)
        invoice = connection.execute(select(invoices).where(invoices.c.number == number)).one()
        again = connection.execute(
            select(invoices.c.number).where(
                invoices.c.subscription == subscription,
                invoices.c.term_start == invoice.term_start,
                invoices.c.issue == invoice.issue + 1,
            )
        ).scalar_one_or_none()
        if connection.execute(select(voids).where(voids.c.number == number)).one_or_none() is not None:
            if replace and again is None:
                raise Contradiction(f"{number} was voided without a replacement; invoice that term by hand")
            return again if replace else None
        now = clock()
        connection.execute(insert(voids).values(number=number, voided_at=now, reason=reason))
        for entry in entries_of(connection, subscription):
            if entry.kind == "deduction" and entry.invoice == number:
                connection.execute(
                    insert(ledger_entries).values(
                        kind="reversal",
                        account=entry.account,
                        subscription=entry.subscription,
                        credit=entry.credit,
                        amount=-entry.amount,
                        currency=entry.currency,
                        invoice=number,
                        invoice_line=entry.invoice_line,
                        reverses=entry.sequence,
                        booked_at=now,
                    )
                )
        if not replace:
            return None
        known = subscription_of(connection, subscription)
        term = (invoice.term_start, invoice.term_end)
        return _issue(connection, known, term, invoice.issue + 1, rules, clock)


def settle(
    engine: Engine, subscription: str, credit: str, amount: Amount, key: str, reason: str, clock: Clock
) -> bool:
    """A person's decision on a credit: `amount` above zero was paid out, below zero is waived.

    Returns False where `key` settled the same before. Raises Unknown for no such credit, Contradiction where
    the key was used for something else, Nonsense where more would be settled than is open.
    """
    with writing(engine) as connection:
        lock_subscription(connection, subscription)
        entries = entries_of(connection, subscription)
        c = ledger_entries.c
        earlier = connection.execute(
            select(c.credit, c.amount).where(c.subscription == subscription, c.settlement_key == key)
        ).one_or_none()
        if earlier is not None:
            if (earlier.credit, earlier.amount) != (credit, -amount):
                raise Contradiction(f"settlement {key!r} was used for something else; choose a new id")
            return False
        balance = next((found for found in balances(entries) if found.credit == credit), None)
        if balance is None:
            raise Unknown(f"no credit {credit} of {subscription}; see `garant billing credits`")
        if amount == 0 or amount * balance.open < 0 or abs(amount) > abs(balance.open):
            raise Nonsense(
                f"{format_amount(balance.open)} is open on {credit}; settle at most that, with its sign"
            )
        connection.execute(
            insert(ledger_entries).values(
                kind="settlement",
                account=balance.account,
                subscription=subscription,
                credit=credit,
                amount=-amount,
                currency=balance.currency,
                settlement_key=key,
                note=reason,
                booked_at=clock(),
            )
        )
        return True
