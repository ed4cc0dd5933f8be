"""Warnings that a support quota runs out: billing is told as well as the customer (contract 6)."""

from __future__ import annotations

from datetime import date
from typing import Literal

from msgspec import Struct
from sqlalchemy import Connection, Engine, select
from sqlalchemy.dialects import postgresql, sqlite

from services.billing.tables import quota_warnings
from shared.codec import Undecodable, decode_outcome
from shared.database import Clock, writing
from shared.outcomes import QuotaChanged, QuotaOpened, QuotaRestored, QuotaUsed, QuotaWarned
from shared.time import Instant

Noted = Literal["noted", "repeat"]


class QuotaWarning(Struct, frozen=True):
    """A threshold (percent of the quota) crossed, or fallen below again. `taken_at` is when billing heard."""

    account: str
    subscription: str
    year_starts_on: date
    kind: Literal["warned", "restored"]
    percent: int
    used_minutes: int
    quota_minutes: int
    taken_at: Instant


def warning_in(data: bytes) -> QuotaWarned | None:
    """The warning (or its end) in a record of sla.quota; None is another of its records. Raises Undecodable,
    also for one that no table can hold."""
    record = decode_outcome(data)
    if isinstance(record, QuotaOpened | QuotaChanged | QuotaUsed):
        return None
    if not isinstance(record, QuotaWarned):
        raise Undecodable(f"{type(record).__name__} is no record of quotas")
    for name in ("account", "subscription"):
        value = getattr(record, name)
        if not 0 < len(value) <= 200 or "\0" in value:
            raise Undecodable(f"{name} is empty, too long or not text")
    numbers = (record.percent, record.used_minutes, record.quota_minutes)
    place = (record.journal.partition, record.journal.index)
    if not all(0 <= number < 2**31 for number in (*numbers, *place)):
        raise Undecodable("a number is out of range")
    if not 0 <= record.journal.offset < 2**63:
        raise Undecodable("journal.offset is out of range")
    return record


def note(engine: Engine, warning: QuotaWarned, clock: Clock) -> Noted:
    """Notes a warning once: its place in the journal is unique."""
    with writing(engine) as connection:
        insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        statement = insert(quota_warnings).values(
            journal_partition=warning.journal.partition,
            journal_offset=warning.journal.offset,
            journal_index=warning.journal.index,
            account=warning.account,
            subscription=warning.subscription,
            year_starts_on=warning.year_starts_on,
            kind="restored" if isinstance(warning, QuotaRestored) else "warned",
            percent=warning.percent,
            used_minutes=warning.used_minutes,
            quota_minutes=warning.quota_minutes,
            taken_at=clock(),
        )
        new = statement.on_conflict_do_nothing().returning(quota_warnings.c.percent)
        return "repeat" if connection.execute(new).one_or_none() is None else "noted"


def warnings_of(connection: Connection, subscription: str) -> list[QuotaWarning]:
    """The warnings about a subscription's quota, in the order of the journal."""
    c = quota_warnings.c
    rows = connection.execute(
        select(*(c[name] for name in QuotaWarning.__struct_fields__))
        .where(c.subscription == subscription)
        .order_by(c.journal_partition, c.journal_offset, c.journal_index)
    )
    return [QuotaWarning(**{**row._mapping, "taken_at": Instant(row.taken_at)}) for row in rows]
