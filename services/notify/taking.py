"""One record becomes what notify knows: current figures, and occasions to write about.

Each record counts once: by its place on its topic, and outcomes also by the journal entry they follow from:
what the SLA service says again after a crash, or folding the journal anew, changes nothing here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from msgspec import Struct
from sqlalchemy import Connection, or_, update
from sqlalchemy.dialects import postgresql, sqlite

from services.notify import deadlines
from services.notify.occasions import Crossed, Occasion, Published, crossed_too, named, note, settled
from services.notify.tables import positions, quotas, subscriptions, terms
from shared import facts, outcomes
from shared.codec import encode
from shared.database import lock_id
from shared.time import Instant
from shared.tracing.context import Cause

Result = Literal["taken", "repeat"]

QuotaFigures = outcomes.QuotaOpened | outcomes.QuotaUsed | outcomes.QuotaWarned
Taken = (
    QuotaFigures
    | deadlines.Said
    | outcomes.TermsNoticeDue
    | facts.TermsPublished
    | facts.SubscriptionStarted
    | facts.SubscriptionCancelled
    | None
)
"""What notify takes from its topics; None is a record it has no use for."""


class Found(Struct, frozen=True):
    """A record and its place. `recorded_at` (ms): when what it follows from was recorded."""

    topic: str
    partition: int
    offset: int
    recorded_at: Instant
    record: Taken
    appended_at: int = 0
    cause: Cause | None = None
    """The trace it stands in."""


class Rules(Struct, frozen=True):
    """`began` (ms): what was recorded before is history; `gather_ms`: how long further crossings of the same
    entry are waited for."""

    began: Instant
    gather_ms: int


def take(connection: Connection, found: Sequence[Found], rules: Rules, now: Instant) -> list[Result]:
    """Takes records, in the caller's transaction. One batch at a time, whatever instance it comes to: two
    topics may tell of the same request."""
    lock_id(connection, "notify.taking")
    return [_take(connection, one, rules, now) for one in found]


def _take(connection: Connection, found: Found, rules: Rules, now: Instant) -> Result:
    place = f"{found.topic}/{found.partition}"
    if not _further(connection, place, found.offset, 0):
        return "repeat"
    record = found.record
    journal: outcomes.Stamp | None = getattr(record, "journal", None)
    if journal is not None:
        follows = f"{place} after journal/{journal.partition}"
        if not _further(connection, follows, journal.offset, journal.index):
            return "repeat"
    history = found.recorded_at < rules.began
    match record:
        case outcomes.QuotaOpened() | outcomes.QuotaUsed() | outcomes.QuotaWarned():
            _figures(connection, record, found.recorded_at)
            settled(connection, record.account, record.journal.offset, now)
            if type(record) is outcomes.QuotaWarned:
                next_at = now + rules.gather_ms
                _warned(connection, record, found.recorded_at, next_at, now, history=history)
        case outcomes.TermsNoticeDue():
            _notice(connection, record, found.recorded_at, now, history=history)
        case facts.TermsPublished():
            _upsert(
                connection,
                terms,
                {"version": record.version, "effective_on": record.effective_on},
                {"document": encode(record.terms).decode()},
            )
        case facts.SubscriptionStarted():
            _started(connection, record)
        case facts.SubscriptionCancelled():
            connection.execute(
                update(subscriptions)
                .where(
                    subscriptions.c.subscription == record.subscription,
                    subscriptions.c.account == record.account,
                )
                .values(ends_on=record.ends_on)
            )
        case None:
            pass
        case _:
            deadlines.take(connection, record, found.recorded_at, now, history=history)
    return "taken"


def _further(connection: Connection, place: str, offset: int, step: int) -> bool:
    """Moves the position of `place` if (offset, step) is beyond it; False: it was taken before."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    c = positions.c
    beyond = or_(c.offset < offset, (c.offset == offset) & (c.step < step))
    statement = insert(positions).values(place=place, offset=offset, step=step)
    moved = statement.on_conflict_do_update(
        index_elements=["place"], set_={"offset": offset, "step": step}, where=beyond
    )
    return connection.execute(moved.returning(c.place)).one_or_none() is not None


def _figures(connection: Connection, record: QuotaFigures, recorded_at: Instant) -> None:
    _upsert(
        connection,
        quotas,
        {"subscription": record.subscription, "year_starts_on": record.year_starts_on},
        {
            "account": record.account,
            "quota_minutes": record.quota_minutes,
            "used_minutes": record.used_minutes,
            "as_of": recorded_at,
        },
    )


def _warned(
    connection: Connection,
    record: outcomes.QuotaWarned,
    recorded_at: Instant,
    next_at: int,
    now: Instant,
    *,
    history: bool,
) -> None:
    """One letter for all thresholds one entry crosses; a straggler whose letter is written adds none."""
    year, journal = record.year_starts_on, record.journal
    occasion = Occasion(
        named("quota", record.subscription, year, journal.partition, journal.offset),
        "quota",
        record.account,
        record.subscription,
        None,
        Crossed(year, (record.percent,)),
        journal.offset,
        recorded_at,
        next_at,
    )
    if not note(connection, occasion, now, history=history):
        crossed_too(connection, occasion.id, record.percent)


def _notice(
    connection: Connection,
    record: outcomes.TermsNoticeDue,
    recorded_at: Instant,
    now: Instant,
    *,
    history: bool,
) -> None:
    occasion = Occasion(
        named("terms", record.version, record.account),
        "terms",
        record.account,
        None,
        None,
        Published(record.version, record.effective_on),
        record.journal.offset,
        recorded_at,
        now,
    )
    note(connection, occasion, now, history=history)


def _started(connection: Connection, fact: facts.SubscriptionStarted) -> None:
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(subscriptions).values(
        subscription=fact.subscription,
        account=fact.account,
        language=fact.language[:35],
        starts_on=fact.starts_on,
    )
    connection.execute(statement.on_conflict_do_nothing(index_elements=["subscription"]))


def _upsert(connection: Connection, table: Any, key: dict[str, Any], values: dict[str, Any]) -> None:
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(table).values(**key, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=values))
