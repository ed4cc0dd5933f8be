"""Which subscriptions there are and when: what billing says, as far as the desk needs it."""

from __future__ import annotations

from sqlalchemy import Connection, update
from sqlalchemy.dialects import postgresql, sqlite

from services.support.tables import subscriptions
from shared.facts import SubscriptionCancelled, SubscriptionChanged, SubscriptionFact, SubscriptionStarted


def note_subscription(connection: Connection, fact: SubscriptionFact) -> None:
    """Notes what the fact changes; said again it changes nothing. Of two ends the later said counts."""
    match fact:
        case SubscriptionStarted():
            dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
            connection.execute(
                dialect.insert(subscriptions)
                .values(
                    subscription=fact.subscription,
                    account=fact.account,
                    language=fact.language[:10],
                    starts_on=fact.starts_on,
                )
                .on_conflict_do_nothing(index_elements=["subscription"])
            )
        case SubscriptionCancelled():
            connection.execute(
                update(subscriptions)
                .where(
                    subscriptions.c.subscription == fact.subscription,
                    subscriptions.c.account == fact.account,
                )
                .values(ends_on=fact.ends_on)
            )
        case SubscriptionChanged():
            pass  # neither whose it is nor when it runs
