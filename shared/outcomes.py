"""Every outcome: what the SLA service concludes, and where in the journal it follows from."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

from msgspec import Raw, Struct

from shared.facts import Fact
from shared.money import Amount
from shared.time import Instant


class Source(Struct, frozen=True, gc=False):
    """The record a journal entry was taken from."""

    topic: str
    partition: int
    offset: int


class JournalEntry(Struct, frozen=True, gc=False):
    """One line of history: when it was recorded, where it came from, and the fact as it was said."""

    recorded_at: Instant
    source: Source | None
    fact: Raw


class KnownEntry(Struct, frozen=True):
    """A journal entry whose fact is of a known type, in order: nearly every one, read in one go."""

    recorded_at: Instant
    source: Source | None
    fact: Fact


class ReplayLine(Struct, frozen=True):
    """A line of a replay file: a journal entry whose source may be left out."""

    recorded_at: Instant
    fact: Raw
    source: Source | None = None


class Stamp(Struct, frozen=True, gc=False):
    """The entry that caused an outcome, the outcome's place among that entry's, and the running digest
    (SHA-256, hexadecimal) of every journal entry up to that one and every outcome before this one."""

    partition: int
    offset: int
    index: int
    digest: str


class MonthClosed(Struct, frozen=True, tag=True, tag_field="type"):
    account: str
    subscription: str
    month: str
    revision: int
    window_ms: int
    excluded_ms: int
    unmeasured_ms: int
    down_ms: int
    uptime_percent: str | None
    met: bool | None
    terms: str
    journal: Stamp


class CreditGranted(Struct, frozen=True, tag=True, tag_field="type"):
    """The first revision of a credit."""

    account: str
    subscription: str
    credit: str
    revision: int
    cause: Literal["uptime", "outage"]
    period: str
    amount: Amount
    total: Amount
    currency: str
    terms: str
    calculation: dict[str, Any]
    journal: Stamp


class CreditAdjusted(CreditGranted, frozen=True, tag=True, tag_field="type"):
    """A later revision: `amount` is the difference (it can be negative), `total` what is wanted now."""


class ResponseDue(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    account: str
    subscription: str
    ticket: str
    revision: int
    severity: str
    due_at: Instant
    at_risk_at: Instant
    terms: str
    journal: Stamp


class ResponseAtRisk(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    account: str
    subscription: str
    ticket: str
    due_at: Instant
    journal: Stamp


class ResponseMet(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    account: str
    subscription: str
    ticket: str
    due_at: Instant
    at: Instant
    journal: Stamp


class ResponseMissed(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    account: str
    subscription: str
    ticket: str
    due_at: Instant
    journal: Stamp


class ResponseLate(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    account: str
    subscription: str
    ticket: str
    due_at: Instant
    at: Instant
    late_by_ms: int
    journal: Stamp


class RequestUncovered(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    account: str
    ticket: str
    journal: Stamp


class QuotaOpened(Struct, frozen=True, tag=True, tag_field="type"):
    account: str
    subscription: str
    year_starts_on: date
    quota_minutes: int
    used_minutes: int
    terms: str
    journal: Stamp


class QuotaChanged(QuotaOpened, frozen=True, tag=True, tag_field="type"):
    pass


class QuotaUsed(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    account: str
    subscription: str
    year_starts_on: date
    ticket: str
    used_minutes: int
    quota_minutes: int
    journal: Stamp


class QuotaWarned(Struct, frozen=True, tag=True, tag_field="type"):
    account: str
    subscription: str
    year_starts_on: date
    percent: int
    used_minutes: int
    quota_minutes: int
    journal: Stamp


class QuotaRestored(QuotaWarned, frozen=True, tag=True, tag_field="type"):
    pass


class TermsNoticeDue(Struct, frozen=True, tag=True, tag_field="type"):
    account: str
    version: str
    effective_on: date
    journal: Stamp


class FactRejected(Struct, frozen=True, tag=True, tag_field="type"):
    """A fact that made no sense where it stands in the journal; it changed nothing."""

    reason: str
    source: Source | None
    journal: Stamp


Credit = CreditGranted | CreditAdjusted
Outcome = (
    MonthClosed
    | CreditGranted
    | CreditAdjusted
    | ResponseDue
    | ResponseAtRisk
    | ResponseMet
    | ResponseMissed
    | ResponseLate
    | RequestUncovered
    | QuotaOpened
    | QuotaChanged
    | QuotaUsed
    | QuotaWarned
    | QuotaRestored
    | TermsNoticeDue
    | FactRejected
)
