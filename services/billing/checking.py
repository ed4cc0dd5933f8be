"""Asking the caps while a credit is booked, in its transaction: what has passed today, what is held.

For each revision a row says what the caps said and what had passed with it, so a booking reads two rows
however many were booked that day; and anyone can see later why a credit was held.
"""

from __future__ import annotations

from datetime import date

from sqlalchemy import Connection, and_, bindparam, func, insert, select

from services.billing.caps import Caps, Passed, Verdict, judge
from services.billing.database import lock_day
from services.billing.tables import cap_checks, ledger_entries, releases
from shared.money import Amount
from shared.outcomes import Credit

_released_through = (
    select(func.coalesce(func.max(releases.c.through_entry), 0))
    .where(
        releases.c.subscription == ledger_entries.c.subscription,
        releases.c.credit == ledger_entries.c.credit,
    )
    .correlate(ledger_entries)
    .scalar_subquery()
)
IS_HELD = and_(cap_checks.c.held.is_not(None), ledger_entries.c.sequence > _released_through)
"""Of a ledger entry joined with its check: whether it waits for a person's release."""
CHECKED = cap_checks.c.entry == ledger_entries.c.sequence


_entry, _check = ledger_entries.c, cap_checks.c
_today = (_check.day == bindparam("day")) & (_check.currency == bindparam("currency"))
_held = (
    select(func.coalesce(func.sum(_entry.amount), 0))
    .join_from(ledger_entries, cap_checks, CHECKED)
    .where(
        _entry.subscription == bindparam("subscription"),
        _entry.credit == bindparam("credit"),
        IS_HELD,
    )
    .scalar_subquery()
)
_passed_account = (
    select(_check.passed_account)
    .where(_today, _check.account == bindparam("account"))
    .order_by(_check.entry.desc())
    .limit(1)
    .scalar_subquery()
)
_passed_day = select(_check.passed_day).where(_today).order_by(_check.entry.desc()).limit(1).scalar_subquery()
_question = select(_held, func.coalesce(_passed_account, 0), func.coalesce(_passed_day, 0))


def ask(connection: Connection, credit: Credit, day: date, caps: Caps) -> Verdict:
    """What the caps say of `credit`, booked on the local date `day`; until the transaction ends no other
    credit is booked."""
    lock_day(connection)
    names = ("subscription", "credit", "account", "currency")
    known = {name: getattr(credit, name) for name in names}
    held, account, every = connection.execute(_question, {**known, "day": day}).one()
    return judge(credit.amount, Amount(held), Passed(Amount(account), Amount(every)), caps)


def keep(connection: Connection, entry: int, credit: Credit, day: date, verdict: Verdict) -> None:
    """Writes down what the caps said of the ledger entry `entry`."""
    connection.execute(
        insert(cap_checks).values(
            entry=entry,
            day=day,
            currency=credit.currency,
            account=credit.account,
            held=verdict.because,
            cap=verdict.cap,
            passed_account=verdict.passed.account,
            passed_day=verdict.passed.day,
        )
    )
