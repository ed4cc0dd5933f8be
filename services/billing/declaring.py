"""Declaring subscriptions: each fact, its place in the outbox and the check that it makes sense, in one
transaction. What is refused here would be rejected by the SLA service too."""

from __future__ import annotations

from sqlalchemy import Connection, Engine, insert, select

from services.billing.database import lock_subscription
from services.billing.subscription import Nonsense, Subscription, evolve, fold
from services.billing.tables import outbox, subscription_facts, subscriptions
from shared.codec import decode_fact, encode
from shared.database import Clock, next_number, writing
from shared.facts import SubscriptionCancelled, SubscriptionChanged, SubscriptionFact, SubscriptionStarted


class Contradiction(Nonsense):
    """The same id or idempotency key was used before to say something else."""


class Unknown(LookupError):
    """No such subscription, invoice or record."""


def declare(
    engine: Engine, fact: SubscriptionFact, clock: Clock, idempotency_key: str | None = None
) -> tuple[Subscription, bool]:
    """The subscription after `fact`, and whether the fact was new.

    Said again (same key, a second start word for word, or word for word what was said last) it changes
    nothing. Raises Contradiction where the key or the id was used for something else, Unknown where the
    subscription was never started, Nonsense where the fact makes no sense.
    """
    with writing(engine) as connection:
        lock_subscription(connection, fact.subscription)
        said = facts_of(connection, fact.subscription)
        if _said_before(connection, fact, said, idempotency_key):
            return fold(said), False
        if not said and not isinstance(fact, SubscriptionStarted):
            raise Unknown(f"no subscription {fact.subscription}; start it first")
        after = evolve(fold(said) if said else None, fact)
        if not said:
            connection.execute(
                insert(subscriptions).values(subscription=fact.subscription, account=fact.account)
            )
        sequence = next_number(connection, "subscription.facts")
        connection.execute(
            insert(subscription_facts).values(
                sequence=sequence,
                subscription=fact.subscription,
                said_at=clock(),
                idempotency_key=idempotency_key,
                fact=encode(fact).decode(),
            )
        )
        connection.execute(insert(outbox).values(sequence=sequence))
        return after, True


def _said_before(
    connection: Connection, fact: SubscriptionFact, said: list[SubscriptionFact], key: str | None
) -> bool:
    if key is not None:
        found = connection.execute(
            select(subscription_facts.c.fact).where(
                subscription_facts.c.subscription == fact.subscription,
                subscription_facts.c.idempotency_key == key,
            )
        ).scalar_one_or_none()
        if found is not None:
            if found != encode(fact).decode():
                raise Contradiction(f"idempotency key {key!r} was used for something else; choose a new one")
            return True
    if isinstance(fact, SubscriptionStarted) and said:
        if said[0] != fact:
            raise Contradiction(
                f"{fact.subscription} has started already with other words; change it, or start another id"
            )
        return True
    return bool(said) and said[-1] == fact


def facts_of(connection: Connection, subscription: str) -> list[SubscriptionFact]:
    """Everything said about `subscription`, in order; empty where it was never started."""
    rows = connection.execute(
        select(subscription_facts.c.fact)
        .where(subscription_facts.c.subscription == subscription)
        .order_by(subscription_facts.c.sequence)
    )
    return [_read(text) for text in rows.scalars()]


def _read(text: str) -> SubscriptionFact:
    fact = decode_fact(text.encode())
    if not isinstance(fact, SubscriptionStarted | SubscriptionChanged | SubscriptionCancelled):
        raise TypeError(f"{type(fact).__name__} in subscription_facts")
    return fact


def subscription_of(connection: Connection, subscription: str) -> Subscription:
    """The subscription as it stands. Raises Unknown."""
    said = facts_of(connection, subscription)
    if not said:
        raise Unknown(f"no subscription {subscription}; see `garant billing list`")
    return fold(said)


def every_subscription(connection: Connection) -> list[str]:
    """The ids of all subscriptions, in order."""
    return list(
        connection.execute(
            select(subscriptions.c.subscription).order_by(subscriptions.c.subscription)
        ).scalars()
    )
