"""What the ledger's entries say about each credit: granted, used, open, and whether it can be trusted.

Pure. Nothing is ever edited: an entry is undone by another entry, and a balance is always the sum.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from shared.money import Amount
from shared.time import Instant

Kind = Literal["credit", "deduction", "reversal", "settlement"]
"""credit: a revision the SLA service concluded (its difference). deduction: taken off an invoice, or, where
positive, taken back by it. reversal: undoes a deduction of a voided invoice. settlement: a person paid
it out or waived it."""


class Entry(Struct, frozen=True):
    """One ledger entry. `amount` (hundredths) adds to what the customer is still to get for `credit`."""

    sequence: int
    kind: Kind
    account: str
    subscription: str
    credit: str
    amount: Amount
    currency: str
    booked_at: Instant
    cause: str | None = None
    period: str | None = None
    revision: int | None = None
    total: Amount | None = None
    invoice: str | None = None
    invoice_line: int | None = None
    reverses: int | None = None
    note: str | None = None
    held: bool = False
    """Beyond a cap, or of a credit that is: no person has released it yet."""


class Balance(Struct, frozen=True):
    """One credit by its entries. `open` above zero waits for an invoice, below zero is to be taken back."""

    account: str
    subscription: str
    credit: str
    cause: str
    period: str
    currency: str
    granted: Amount
    used: Amount
    """Deducted less taken back, over all invoices that stand."""
    settled: Amount
    """Paid out (positive) or waived (negative) by a person."""
    revisions: tuple[int, ...]
    last_total: Amount
    beyond: Amount = Amount(0)
    """What its held revisions add up to; at zero or below, nothing of it is beyond a cap any more."""

    @property
    def open(self) -> Amount:
        return Amount(self.granted - self.used - self.settled)

    @property
    def agrees(self) -> bool:
        """Whether revisions 1 to n are all booked and add up to what the SLA service last said.

        Until they do the credit is incomplete: it is neither deducted nor taken back, and a person is told.
        """
        return self.revisions == tuple(range(1, len(self.revisions) + 1)) and self.granted == self.last_total

    @property
    def held(self) -> bool:
        """Whether no invoice may deduct it until a person releases it: a credit is held as a whole.

        One below zero is not: to take back is never held.
        """
        return self.beyond > 0 and self.open > 0


def balances(entries: Iterable[Entry]) -> list[Balance]:
    """The balance of each credit, in the order the credits were first booked."""
    found: dict[tuple[str, str], Balance] = {}
    for entry in entries:
        key = (entry.subscription, entry.credit)
        old = found.get(key)
        if entry.kind == "credit":
            found[key] = _granted(old, entry)
        elif old is None:
            raise ValueError(f"ledger entry {entry.sequence} uses {entry.credit}, which was never booked")
        elif entry.kind == "settlement":
            found[key] = replace(old, settled=Amount(old.settled - entry.amount))
        else:
            found[key] = replace(old, used=Amount(old.used - entry.amount))
    return list(found.values())


def _granted(old: Balance | None, entry: Entry) -> Balance:
    if entry.revision is None or entry.total is None:
        raise ValueError(f"ledger entry {entry.sequence} books a credit without revision and total")
    if old is None:
        return Balance(
            entry.account,
            entry.subscription,
            entry.credit,
            entry.cause or "",
            entry.period or "",
            entry.currency,
            granted=entry.amount,
            used=Amount(0),
            settled=Amount(0),
            revisions=(entry.revision,),
            last_total=entry.total,
            beyond=Amount(entry.amount if entry.held else 0),
        )
    newest = entry.revision > max(old.revisions)
    return replace(
        old,
        granted=Amount(old.granted + entry.amount),
        revisions=tuple(sorted((*old.revisions, entry.revision))),
        last_total=entry.total if newest else old.last_total,
        beyond=Amount(old.beyond + (entry.amount if entry.held else 0)),
    )


def usable(balance: Balance, account: str, currency: str) -> bool:
    """Whether an invoice of `account` in `currency` may deduct this credit or take it back."""
    fits = balance.account == account and balance.currency == currency
    return balance.agrees and not balance.held and fits


def held_of(found: Iterable[Balance], account: str, currency: str) -> Amount:
    """What an invoice of `account` in `currency` could deduct if it were not held."""
    mine = (one for one in found if (one.account, one.currency) == (account, currency))
    return Amount(sum(one.open for one in mine if one.held))


Reason = Literal[
    "beyond-cap",
    "subscription-ended",
    "cannot-be-taken-back",
    "unknown-subscription",
    "incomplete",
    "other-account-or-currency",
]


class Due(Struct, frozen=True):
    """What is left of a subscription's credits once it has ended, or what a person must decide."""

    account: str
    subscription: str
    credit: str
    amount: Amount
    currency: str
    reason: Reason


def owed(found: Iterable[Balance], *, account: str | None, currency: str | None, ended: bool) -> list[Due]:
    """The open credits of one subscription that no coming invoice settles by itself.

    `account` None: nobody has declared the subscription. `ended`: no term of it is still to be
    invoiced. A credit below zero is shown only as far as the subscription's other open credits do not
    cover it.
    """
    shown: list[Due] = []
    usable_ones: list[Balance] = []
    for balance in found:
        if balance.open == 0 and balance.agrees:
            continue
        if balance.held:
            shown.append(_due(balance, "beyond-cap", balance.open))
        elif account is None:
            shown.append(_due(balance, "unknown-subscription", balance.open))
        elif not balance.agrees:
            shown.append(_due(balance, "incomplete", balance.open))
        elif currency is None or not usable(balance, account, currency):
            shown.append(_due(balance, "other-account-or-currency", balance.open))
        else:
            usable_ones.append(balance)
    net = sum(balance.open for balance in usable_ones)
    if net < 0:
        below = [balance for balance in usable_ones if balance.open < 0]
        return shown + _spread(below, net, "cannot-be-taken-back")
    if net > 0 and ended:
        above = [balance for balance in usable_ones if balance.open > 0]
        return shown + _spread(above, net, "subscription-ended")
    return shown


def _due(balance: Balance, reason: Reason, amount: int) -> Due:
    return Due(
        balance.account, balance.subscription, balance.credit, Amount(amount), balance.currency, reason
    )


def _spread(found: list[Balance], net: int, reason: Reason) -> list[Due]:
    """`net` told credit by credit, the latest booked first: the earlier ones cover the other side."""
    sign = 1 if net > 0 else -1
    left = abs(net)
    shown: list[Due] = []
    for balance in reversed(found):
        part = min(abs(balance.open), left)
        if part:
            shown.append(_due(balance, reason, sign * part))
            left -= part
    return list(reversed(shown))
