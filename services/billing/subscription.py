"""A subscription as its facts tell it: the price in force on a date, its terms, its end (contract 4).

Pure: facts in, figures out; no clock, no database.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date

from msgspec import Struct
from msgspec.structs import replace

from shared.calendar import term_start
from shared.facts import (
    Deployment,
    SubscriptionChanged,
    SubscriptionFact,
    SubscriptionStarted,
)
from shared.money import Amount


class Nonsense(ValueError):
    """A fact that cannot follow what was said before it; the message says what to do."""


class Subscription(Struct, frozen=True):
    """Everything said about one subscription. `changes` are in the order they were said."""

    started: SubscriptionStarted
    changes: tuple[SubscriptionChanged, ...] = ()
    ends_on: date | None = None

    @property
    def term_months(self) -> int:
        return 12 if self.started.term == "year" else 1

    def price_on(self, day: date) -> Amount:
        """The price of a term (hundredths) in force on `day`; of two for one date the later said counts."""
        price = self.started.price
        for change in self._in_force(day):
            price = change.price if isinstance(change.price, Amount) else price
        return price

    def deployment_on(self, day: date) -> Deployment:
        """Where it runs on `day`."""
        deployment = self.started.deployment
        for change in self._in_force(day):
            deployment = change.deployment or deployment
        return deployment

    def targets_on(self, day: date) -> tuple[str, ...]:
        """The targets it is promised on `day`."""
        targets = self.started.targets
        for change in self._in_force(day):
            targets = change.targets if isinstance(change.targets, tuple) else targets
        return targets

    def _in_force(self, day: date) -> list[SubscriptionChanged]:
        """The changes in effect on `day` by effective date; of one date in the order they were said."""
        found = [change for change in self.changes if change.effective_on <= day]
        return sorted(found, key=lambda change: change.effective_on)

    def runs_on(self, day: date) -> bool:
        """Whether `day` lies in the service window: from `starts_on` to `ends_on`, exclusive."""
        return self.started.starts_on <= day and (self.ends_on is None or day < self.ends_on)

    def terms(self) -> Iterator[tuple[date, date]]:
        """First date and first date after, of each term that begins in the service window, oldest first.

        Always counted from the original `starts_on` (29 February becomes the 28th, the 31st the month's
        last day). Endless where the subscription has no end.
        """
        index = 0
        start = self.started.starts_on
        while self.runs_on(start):
            index += 1
            end = term_start(self.started.starts_on, self.term_months, index)
            yield start, end
            start = end


def evolve(subscription: Subscription | None, fact: SubscriptionFact) -> Subscription:
    """The subscription after `fact`. Raises Nonsense where the SLA service would reject it, and where a
    person most likely meant something else."""
    match fact:
        case SubscriptionStarted():
            if subscription is not None:
                raise Nonsense(f"{fact.subscription} has started already; change it, or start another id")
            if fact.price < 0:
                raise Nonsense("a price cannot be negative")
            return Subscription(fact)
        case _ if subscription is None:
            raise Nonsense(f"{fact.subscription} was never started; start it first")
        case _ if fact.account != subscription.started.account:
            raise Nonsense(f"{fact.subscription} does not belong to {fact.account}")
        case SubscriptionChanged():
            if not any(
                isinstance(value, Amount | str | tuple)
                for value in (fact.price, fact.deployment, fact.targets)
            ):
                raise Nonsense("nothing changes: give a price, a deployment or targets")
            if isinstance(fact.price, Amount) and fact.price < 0:
                raise Nonsense("a price cannot be negative")
            if fact.effective_on < subscription.started.starts_on:
                raise Nonsense(
                    f"a change cannot take effect before the start on {subscription.started.starts_on}"
                )
            return replace(subscription, changes=(*subscription.changes, fact))
        case _:
            if fact.ends_on < subscription.started.starts_on:
                raise Nonsense(
                    f"a subscription cannot end before it starts, on {subscription.started.starts_on}; "
                    "give that date to have it never run"
                )
            return replace(subscription, ends_on=fact.ends_on)


def fold(facts: Iterable[SubscriptionFact]) -> Subscription:
    """The subscription that `facts`, in the order they were said, tell of. Raises Nonsense."""
    subscription: Subscription | None = None
    for fact in facts:
        subscription = evolve(subscription, fact)
    if subscription is None:
        raise Nonsense("no facts, no subscription")
    return subscription
