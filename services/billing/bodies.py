"""What callers of the HTTP API send, checked field by field."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from msgspec import UNSET
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from services.billing.holding import Release
from shared.facts import SubscriptionCancelled, SubscriptionChanged, SubscriptionStarted
from shared.money import Amount, parse_amount

Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,99}$")]
"""An account, subscription or target: letters, digits and `._:@-`. It stands in credit ids and URLs."""
Money = Annotated[str, StringConstraints(pattern=r"^\d{1,12}(\.\d{1,2})?$")]
SignedMoney = Annotated[str, StringConstraints(pattern=r"^-?\d{1,12}(\.\d{1,2})?$")]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=1_000)]


Day = Annotated[date, Field(ge=date(1970, 1, 1), le=date(2199, 12, 31))]
"""A local date; the bounds catch a slip of the keys, which would be invoiced for centuries."""


class Body(BaseModel):
    """A request's body: strict, and a field it does not know is an error, not a silence."""

    model_config = ConfigDict(extra="forbid")


class Start(Body):
    """A subscription as sold. `price` is of one term, e.g. "1200.00"; `starts_on` a local date."""

    account: Id
    subscription: Id
    deployment: Literal["cloud", "on-premises"]
    targets: list[Id]
    price: Money
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")] = "CHF"
    term: Literal["year", "month"]
    starts_on: Day
    language: Literal["fr", "de", "it", "en"]

    @field_validator("targets")
    @classmethod
    def _once(cls, targets: list[str]) -> list[str]:
        return _distinct(targets)

    def fact(self) -> SubscriptionStarted:
        return SubscriptionStarted(
            account=self.account,
            subscription=self.subscription,
            deployment=self.deployment,
            targets=tuple(self.targets),
            price=parse_amount(self.price),
            currency=self.currency,
            term=self.term,
            starts_on=self.starts_on,
            language=self.language,
        )


class Change(Body):
    """What changes on the local date `effective_on`: at least one of the three."""

    effective_on: Day
    price: Money | None = None
    deployment: Literal["cloud", "on-premises"] | None = None
    targets: list[Id] | None = None

    @field_validator("targets")
    @classmethod
    def _once(cls, targets: list[str] | None) -> list[str] | None:
        return None if targets is None else _distinct(targets)

    @model_validator(mode="after")
    def _something(self) -> Change:
        if self.price is None and self.deployment is None and self.targets is None:
            raise ValueError("nothing changes: give a price, a deployment or targets")
        return self

    def fact(self, account: str, subscription: str) -> SubscriptionChanged:
        return SubscriptionChanged(
            account=account,
            subscription=subscription,
            effective_on=self.effective_on,
            price=UNSET if self.price is None else parse_amount(self.price),
            deployment=UNSET if self.deployment is None else self.deployment,
            targets=UNSET if self.targets is None else tuple(self.targets),
        )


class Cancellation(Body):
    """The subscription ends at 00:00 of the local date `ends_on`, exclusive."""

    ends_on: Day

    def fact(self, account: str, subscription: str) -> SubscriptionCancelled:
        return SubscriptionCancelled(account, subscription, self.ends_on)


class Void(Body):
    """Why the invoice does not stand; `replace` invoices its term again at once."""

    reason: Reason
    replace: bool = False


class Issue(Body):
    """Issues every invoice whose term begins by the local date `through`, at most two years ahead."""

    through: Day


class Settlement(Body):
    """A person's decision on a credit: `amount` above zero was paid out, below zero is waived.

    `settlement` is an id of the caller's: the same one again settles nothing twice.
    """

    settlement: Id
    credit: str
    amount: SignedMoney
    reason: Reason

    def hundredths(self) -> Amount:
        return parse_amount(self.amount)


class Releasing(Body):
    """A person's word that a credit beyond a cap may be used: signed by `author`, with why.

    `release` is an id of the caller's: the same one again releases nothing twice. `amount`, where given, is
    what the person saw held; if another amount is held by now, nothing is released.
    """

    release: Id
    credit: str
    author: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
    reason: Reason
    amount: Money | None = None

    def said(self) -> Release:
        amount = None if self.amount is None else parse_amount(self.amount)
        return Release(self.credit, self.release, self.author, self.reason, amount)


class Resolution(Body):
    """What a person decided on a record in quarantine."""

    resolution: Reason


def _distinct(targets: list[str]) -> list[str]:
    if len(set(targets)) != len(targets):
        raise ValueError("a target is named twice")
    return targets
