"""Credits beyond a cap: which are held, and a person's release (ADR 0012)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from msgspec import Struct
from sqlalchemy import Connection, Engine, insert, select

from services.billing.booking import entries_of
from services.billing.caps import Because
from services.billing.checking import CHECKED, IS_HELD
from services.billing.database import lock_subscription
from services.billing.declaring import Contradiction, Unknown
from services.billing.ledger import balances
from services.billing.subscription import Nonsense
from services.billing.tables import cap_checks, ledger_entries, releases
from shared.database import Clock, writing
from shared.money import Amount, format_amount
from shared.time import Instant


class HeldCredit(Struct, frozen=True):
    """A credit that waits for a person: `amount` is all of it that is open. `because` and `cap` say what
    held it on the date `day`, when `passed` had passed by itself under that cap."""

    account: str
    subscription: str
    credit: str
    amount: Amount
    currency: str
    because: Because
    cap: Amount
    passed: Amount
    day: date
    held_at: Instant


class Release(Struct, frozen=True):
    """A person's word that a credit may be used: who (`author`) and why, under an id of the caller's."""

    credit: str
    key: str
    author: str
    reason: str
    amount: Amount | None = None
    """What the person saw held; None: whatever is held now."""


def held_now(connection: Connection) -> list[HeldCredit]:
    """The credits that no invoice deducts until a person releases them, the longest held first."""
    c = ledger_entries.c
    rows = connection.execute(
        select(c.subscription, c.credit, c.booked_at, cap_checks)
        .join_from(ledger_entries, cap_checks, CHECKED)
        .where(IS_HELD, cap_checks.c.cap.is_not(None))
        .order_by(c.sequence)
    ).all()
    open_ones = {
        (one.subscription, one.credit): one.open
        for subscription in dict.fromkeys(row.subscription for row in rows)
        for one in balances(entries_of(connection, subscription))
        if one.held
    }
    found: dict[tuple[str, str], HeldCredit] = {}
    for row in rows:
        key = (row.subscription, row.credit)
        if key in open_ones:
            found.pop(key, None)  # an earlier hold of it was taken back since: this one counts
            found[key] = HeldCredit(
                account=row.account,
                subscription=row.subscription,
                credit=row.credit,
                amount=open_ones[key],
                currency=row.currency,
                because=row.held,
                cap=Amount(row.cap),
                passed=Amount(row.passed_account if row.held == "account-day" else row.passed_day),
                day=row.day,
                held_at=Instant(row.booked_at),
            )
    return list(found.values())


def held_amounts(found: Sequence[HeldCredit]) -> dict[str, Amount]:
    """What is held in each currency."""
    sums: dict[str, Amount] = {}
    for one in found:
        sums[one.currency] = Amount(sums.get(one.currency, 0) + one.amount)
    return sums


def release(engine: Engine, subscription: str, said: Release, clock: Clock) -> bool:
    """Lets invoices use a held credit: all its revisions booked by now, as if no cap had held them.

    What was released does not count as passed: other credits have their caps to themselves. A revision that
    comes later meets the caps by itself. Returns False where the key released the same before. Raises
    Unknown for no such credit, Contradiction where the key was used for something else, Nonsense where
    nothing is held, or another amount than the person saw.
    """
    with writing(engine) as connection:
        lock_subscription(connection, subscription)
        c = releases.c
        earlier = connection.execute(
            select(c.credit, c.amount).where(c.subscription == subscription, c.release_key == said.key)
        ).one_or_none()
        if earlier is not None:
            if earlier.credit != said.credit or said.amount not in (None, earlier.amount):
                raise Contradiction(f"release {said.key!r} was used for something else; choose a new id")
            return False
        entries = entries_of(connection, subscription)
        balance = next((one for one in balances(entries) if one.credit == said.credit), None)
        if balance is None:
            raise Unknown(f"no credit {said.credit} of {subscription}; see `garant billing held`")
        if not balance.held:
            raise Nonsense(f"{said.credit} is not held; see `garant billing held`")
        if said.amount not in (None, balance.open):
            raise Nonsense(
                f"{format_amount(balance.open)} of {said.credit} is held now; look at it again "
                "(`garant billing held`), then release that amount"
            )
        through = max(one.sequence for one in entries if one.held and one.credit == said.credit)
        connection.execute(
            insert(releases).values(
                subscription=subscription,
                credit=said.credit,
                through_entry=through,
                amount=balance.open,
                release_key=said.key,
                author=said.author,
                reason=said.reason,
                released_at=clock(),
            )
        )
        return True
