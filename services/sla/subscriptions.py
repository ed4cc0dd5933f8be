"""A subscription as facts have told it: its window, its price and targets by date (contract 4)."""

from __future__ import annotations

import sys
from bisect import bisect_right
from datetime import date
from fractions import Fraction
from typing import Generic, TypeVar

from msgspec import Struct

from shared import calendar
from shared.facts import Deployment, SubscriptionChanged, SubscriptionStarted
from shared.money import Amount

T = TypeVar("T")

TERM_MONTHS = {"year": 12, "month": 1}


class ByDate(Struct, Generic[T], gc=False):
    """A value that changes on dates; of two changes for one date the later said counts."""

    days: list[date]
    values: list[T]

    def change(self, day: date, value: T) -> None:
        place = bisect_right(self.days, day)
        if place and self.days[place - 1] == day:
            self.values[place - 1] = value
        else:
            self.days.insert(place, day)
            self.values.insert(place, value)

    def on(self, day: date) -> T:
        """The value in force on `day`; before the first change, the first value."""
        return self.values[max(bisect_right(self.days, day) - 1, 0)]


class Figures(Struct, frozen=True, array_like=True, gc=False):
    """A closed month as it was said: ms, and by the terms of which version."""

    window_ms: int
    excluded_ms: int
    unmeasured_ms: int
    down_ms: int
    uptime_percent: str | None
    met: bool | None
    terms: str


class Closed(Struct, gc=False):
    """A closed month and how often it has been said."""

    revision: int
    figures: Figures


class Granted(Struct, gc=False):
    """What was granted under a credit's name so far."""

    revision: int
    total: Amount


class Year(Struct, gc=False):
    """An opened subscription year's quota as it was said, in minutes, and by the terms of which version.

    `counted` are the minutes of each ticket in it, `warned` the percents whose warning stands.
    """

    quota_minutes: int
    terms: str
    used_minutes: int = 0
    counted: dict[str, int] = {}
    warned: list[int] = []


class Subscription(Struct, gc=False):
    """`months` are keyed by their first date, `outages` by the cut's start (ms), `uptimes` by the month, each
    in the order of its keys; `years` by their first date.

    `due` is the next instant (ms) at which time alone concludes something about uptime, `quota_due` about the
    quota; `looked_at` the last one at which it was looked. `worked` are the tickets with work on them.
    """

    account: str
    subscription: str
    currency: str
    term_months: int
    starts_on: date
    prices: ByDate[Amount]
    targets: ByDate[tuple[str, ...]]
    deployments: ByDate[Deployment]
    ends_on: date | None = None
    months: dict[date, Closed] = {}
    uptimes: dict[date, Granted] = {}
    outages: dict[int, Granted] = {}
    looked_at: int = 0
    due: int | None = None
    years: dict[date, Year] = {}
    worked: dict[str, None] = {}
    quota_due: int | None = None


def started(fact: SubscriptionStarted) -> Subscription:
    """The subscription `fact` starts."""
    return Subscription(
        account=fact.account,
        subscription=fact.subscription,
        currency=fact.currency,
        term_months=TERM_MONTHS[fact.term],
        starts_on=fact.starts_on,
        prices=ByDate([fact.starts_on], [fact.price]),
        targets=ByDate([fact.starts_on], [_names(fact.targets)]),
        deployments=ByDate([fact.starts_on], [fact.deployment]),
    )


def changed(subscription: Subscription, fact: SubscriptionChanged) -> None:
    """Takes the price, targets and deployment that `fact` puts in force on its date."""
    if isinstance(fact.price, Amount):
        subscription.prices.change(fact.effective_on, fact.price)
    if isinstance(fact.targets, tuple):
        subscription.targets.change(fact.effective_on, _names(fact.targets))
    if isinstance(fact.deployment, str):
        subscription.deployments.change(fact.effective_on, fact.deployment)


def _names(targets: tuple[str, ...]) -> tuple[str, ...]:
    """Each once, as the same object wherever it is named."""
    return tuple(sys.intern(target) for target in dict.fromkeys(targets))


def share(found: dict[str, Subscription]) -> dict[str, Subscription]:
    """The same subscriptions, what was read apart being one object again where it is one value."""
    for subscription in found.values():
        targets = subscription.targets
        targets.values = [_names(names) for names in targets.values]
    return {subscription.subscription: subscription for subscription in found.values()}


def term_days(subscription: Subscription, day: date) -> int:
    """How many days the term that contains `day` has."""
    first, end = calendar.term_of(day, subscription.starts_on, subscription.term_months)
    return (end - first).days


def daily_rate(subscription: Subscription, day: date) -> Fraction:
    """The price in force on `day` / the days of its term, in hundredths of the currency unit, exact."""
    return Fraction(subscription.prices.on(day), term_days(subscription, day))


def all_targets(subscription: Subscription) -> set[str]:
    """Every target it ever has."""
    return {target for found in subscription.targets.values for target in found}


def active(subscription: Subscription, day: date) -> bool:
    """Whether `day` lies in the service window."""
    ended = subscription.ends_on is not None and day >= subscription.ends_on
    return subscription.starts_on <= day and not ended
