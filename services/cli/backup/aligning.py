"""Brings a service's database and the log together after one of them was restored, before the service starts.

A published fact says its number in the outbox, as its origin. A database of before knows less, and would give
such a number to something else, which readers drop as a repeat: a fact lost without a word. So billing gets
its facts back under their numbers. Support's counters go on behind the highest number used: what it knew of
requests, a log without personal data does not have. A log of before lacks facts: they are published again.
What a database has taken and the log does not have is refused: other conclusions could come to stand there,
and the database would never take them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from msgspec import Struct
from sqlalchemy import Connection, Engine, MetaData, Table, insert, select, update
from sqlalchemy.exc import IntegrityError

from services.billing import tables as billing
from services.billing.database import BOOKS
from services.billing.relay import OUTBOX as BILLING_OUTBOX
from services.billing.settings import BillingSettings
from services.notify import tables as notify
from services.notify.database import LETTERS
from services.notify.settings import NotifySettings
from services.support import tables as support
from services.support.database import DESK
from services.support.relay import OUTBOX as SUPPORT_OUTBOX
from services.support.settings import SupportSettings
from shared.cloudevents import ORIGIN, parse_origin
from shared.codec import Undecodable, decode_fact
from shared.database import RELAYING, Keeping, failing, migrate, open_engine, own_file, try_lock, writing
from shared.errors import NeedsAPerson
from shared.facts import (
    Fact,
    RequestOpened,
    SubscriptionCancelled,
    SubscriptionChanged,
    SubscriptionStarted,
)
from shared.kafka import kept, read_topic
from shared.settings import HomeSettings, KafkaSettings
from shared.time import parse_instant
from shared.topics import SUBSCRIPTION_EVENTS, TICKET_EVENTS, TOPICS, Topic

Service = Literal["billing", "support", "notify"]
_TICKET = re.compile(r"T-(\d+)")


class NotAligned(NeedsAPerson):
    """Database and log do not go together; nothing was changed."""


class Published(Struct, frozen=True):
    """A fact as it is on the log: its number in the outbox, when it was said and appended (ms)."""

    sequence: int
    said_at: int
    appended_at: int
    value: bytes
    fact: Fact


def align(kafka: KafkaSettings, service: Service) -> str:
    """Brings the database of a stopped service and the log together; says in a line what was done.

    Raises NotAligned while the service runs and where they do not go together, DatabaseUnusable, HistoryGone,
    Refused.
    """
    home = HomeSettings().home
    if service == "notify":
        with _opened(kafka, NotifySettings().engine_url(home), LETTERS, notify.metadata):
            return "notify: the log has all that this database has taken"
    if service == "billing":
        with _opened(kafka, BillingSettings().engine_url(home), BOOKS, billing.metadata) as engine:
            published = list(_published(kafka, SUBSCRIPTION_EVENTS, BILLING_OUTBOX))
            with writing(engine) as connection:
                taken = _take_back(connection, published)
                again = _publish_again(connection, billing.outbox, published)
        return f"billing: {taken} facts taken back from the log, {again} to be published again"
    with _opened(kafka, SupportSettings().engine_url(home), DESK, support.metadata) as engine:
        published = list(_published(kafka, TICKET_EVENTS, SUPPORT_OUTBOX))
        with writing(engine) as connection:
            again = _publish_again(connection, support.outbox, published)
            used = [one.sequence for one in published]
            unknown = _raise(connection, support.counters, "ticket.facts", used)
            _raise(connection, support.counters, "tickets", _ticket_numbers(published))
    return f"support: {unknown} facts on the log are not known here, {again} to be published again"


@contextmanager
def _opened(kafka: KafkaSettings, url: str, keeping: Keeping, metadata: MetaData) -> Iterator[Engine]:
    engine = open_engine(url, keeping)
    try:
        migrate(engine, keeping)
        with failing(keeping), own_file(engine, keeping), engine.connect() as connection:
            if not try_lock(connection, RELAYING):
                raise NotAligned(f"The {keeping.name} service runs on this database: stop all its instances.")
            _check_taken(kafka, connection, metadata.tables["positions"], keeping.name)
            connection.commit()
            yield engine
    finally:
        engine.dispose()


def _check_taken(kafka: KafkaSettings, connection: Connection, positions: Table, name: str) -> None:
    """Raises NotAligned where the database has taken a record that the log does not have."""
    rows = connection.execute(select(positions.c.place, positions.c.offset))
    taken = {row.place: row.offset for row in rows}
    for topic, partitions in kept(kafka, *TOPICS).items():
        for partition, (_, end) in partitions.items():
            offset = taken.get(f"{topic.name}/{partition}", -1)
            if offset >= end:
                raise NotAligned(
                    f"This {name} database has taken {topic.name}/{partition} up to offset {offset}, the log "
                    f"ends at {end}: it is newer than the log. Restore the one from before the log's cut."
                )


def _published(kafka: KafkaSettings, topic: Topic, outbox: str) -> Iterator[Published]:
    for record in read_topic(kafka, topic):
        try:
            origin = parse_origin(record.headers.get(ORIGIN, ""))
            fact = decode_fact(record.value or b"")
        except (ValueError, Undecodable):
            continue  # none of an outbox
        if origin.stream == outbox:
            said_at = parse_instant(record.headers["ce_time"])
            yield Published(origin.offset, said_at, record.timestamp_ms, record.value or b"", fact)


def _take_back(connection: Connection, published: Sequence[Published]) -> int:
    facts = billing.subscription_facts.c
    known = {row.sequence: row.fact for row in connection.execute(select(facts.sequence, facts.fact))}
    subscriptions = set(connection.execute(select(billing.subscriptions.c.subscription)).scalars())
    missing = dict[int, Published]()
    for one in published:
        if one.sequence not in known:
            missing.setdefault(one.sequence, one)
        elif known[one.sequence] != one.value.decode():
            raise NotAligned(
                f"Number {one.sequence} is one fact on the log and another in this billing database, which "
                "was used after it was restored: restore it again, and run this before billing starts."
            )
    try:
        for sequence, one in sorted(missing.items()):
            _put_down(connection, one, subscriptions)
            _raise(connection, billing.counters, "subscription.facts", [sequence])
    except IntegrityError as error:
        raise NotAligned(f"Fact {sequence} does not fit this billing database: {error.orig}") from error
    return len(missing)


def _put_down(connection: Connection, one: Published, subscriptions: set[str]) -> None:
    fact = one.fact
    if not isinstance(fact, SubscriptionStarted | SubscriptionChanged | SubscriptionCancelled):
        raise NotAligned(f"Fact {one.sequence} of billing's outbox is a {type(fact).__name__}: who wrote it?")
    if fact.subscription not in subscriptions:
        values = {"subscription": fact.subscription, "account": fact.account}
        connection.execute(insert(billing.subscriptions).values(values))
        subscriptions.add(fact.subscription)
    connection.execute(
        insert(billing.subscription_facts).values(
            sequence=one.sequence,
            subscription=fact.subscription,
            said_at=one.said_at,
            idempotency_key=None,
            fact=one.value.decode(),
        )
    )
    connection.execute(insert(billing.outbox).values(sequence=one.sequence, sent_at=one.appended_at))


def _publish_again(connection: Connection, outbox: Table, published: Sequence[Published]) -> int:
    """Lets the relay publish what the log does not have; how many facts."""
    highest = max((one.sequence for one in published), default=0)
    lost = outbox.c.sent_at.is_not(None), outbox.c.sequence > highest
    return connection.execute(update(outbox).where(*lost).values(sent_at=None)).rowcount


def _ticket_numbers(published: Sequence[Published]) -> list[int]:
    opened = [_TICKET.fullmatch(one.fact.ticket) for one in published if isinstance(one.fact, RequestOpened)]
    return [int(match[1]) for match in opened if match]


def _raise(connection: Connection, counters: Table, name: str, used: Sequence[int]) -> int:
    """Sees to it that the counter's next number is above all that are used; by how much it was raised."""
    before = connection.execute(select(counters.c.last).where(counters.c.name == name)).scalar_one_or_none()
    highest = max(used, default=0)
    if highest <= (before or 0):
        return 0
    if before is None:
        connection.execute(insert(counters).values(name=name, last=highest))
    else:
        connection.execute(update(counters).where(counters.c.name == name).values(last=highest))
    return highest - (before or 0)
