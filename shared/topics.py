"""The one registry of topics: their names, what keys and carries them, how many partitions, how long kept.

No topic name stands anywhere else. Facts of accounts have the same number of partitions as the journal,
so that one journal partition holds all of an account's history; probe.results, its changes and the fold's
state share theirs, so that one target stays in one place.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

from msgspec import Struct

from shared import facts, outcomes
from shared.time import DAY

MAX_RECORD_BYTES = 8 * 1024 * 1024
"""Of a record on any topic."""


class Spread(Enum):
    """What a topic's records are spread over, which decides its number of partitions."""

    TARGETS = "targets"
    ACCOUNTS = "accounts"
    ONE = "one"


class Topic(Struct, frozen=True):
    """`kept_ms` None is for ever; `compacted` keeps the last record of each key instead; `append_time`
    makes the broker stamp records when it appends them, so that no client's clock decides."""

    name: str
    what: str
    key: str | None
    spread: Spread
    records: tuple[type[Any], ...] = ()
    kept_ms: int | None = None
    compacted: bool = False
    append_time: bool = False


PROBE_RESULTS = Topic(
    "probe.results",
    "What the agents saw: one order per target.",
    "target",
    Spread.TARGETS,
    (facts.TargetDeclared, facts.ProbeResult),
    kept_ms=400 * DAY,
    append_time=True,
)
UPTIME_CHANGES = Topic(
    "uptime.changes",
    "States of targets, how far they were observed, maintenance and corrections.",
    "target",
    Spread.TARGETS,
    (
        facts.TargetStateChanged,
        facts.TargetObserved,
        facts.DowntimeCorrected,
        facts.MaintenanceAnnounced,
        facts.MaintenanceCancelled,
    ),
)
SUBSCRIPTION_EVENTS = Topic(
    "subscription.events",
    "Subscriptions started, changed and cancelled.",
    "account",
    Spread.ACCOUNTS,
    (facts.SubscriptionStarted, facts.SubscriptionChanged, facts.SubscriptionCancelled),
)
TICKET_EVENTS = Topic(
    "ticket.events",
    "Support requests and the work on them.",
    "account",
    Spread.ACCOUNTS,
    (
        facts.RequestOpened,
        facts.SeverityChanged,
        facts.RequestClassified,
        facts.FirstResponseSent,
        facts.WorkLogged,
        facts.WorkCorrected,
        facts.RequestClosed,
        facts.RequestReopened,
        facts.RequestWithdrawn,
    ),
)
TERMS_EVENTS = Topic(
    "terms.events", "Terms of service, whole documents.", "version", Spread.ONE, (facts.TermsPublished,)
)
JOURNAL = Topic(
    "sla.journal",
    "History: the one ordered list of facts every conclusion follows from.",
    None,
    Spread.ACCOUNTS,
    (outcomes.JournalEntry,),
    append_time=True,
)
MONTHS = Topic("sla.months", "Monthly uptime.", "account", Spread.ACCOUNTS, (outcomes.MonthClosed,))
CREDITS = Topic(
    "sla.credits",
    "Credits granted and adjusted.",
    "account",
    Spread.ACCOUNTS,
    (outcomes.CreditGranted, outcomes.CreditAdjusted),
)
DEADLINES = Topic(
    "sla.deadlines",
    "First responses: due, at risk, met, missed, late.",
    "account",
    Spread.ACCOUNTS,
    (
        outcomes.ResponseDue,
        outcomes.ResponseAtRisk,
        outcomes.ResponseMet,
        outcomes.ResponseMissed,
        outcomes.ResponseLate,
        outcomes.RequestUncovered,
    ),
)
QUOTA = Topic(
    "sla.quota",
    "Support quota: opened, used, warned.",
    "account",
    Spread.ACCOUNTS,
    (
        outcomes.QuotaOpened,
        outcomes.QuotaChanged,
        outcomes.QuotaUsed,
        outcomes.QuotaWarned,
        outcomes.QuotaRestored,
    ),
)
NOTICES = Topic(
    "sla.notices",
    "Terms changes customers must be told of.",
    "account",
    Spread.ACCOUNTS,
    (outcomes.TermsNoticeDue,),
)
REJECTED = Topic(
    "sla.rejected", "Facts that made no sense, with the reason.", None, Spread.ONE, (outcomes.FactRejected,)
)
DEAD_LETTERS = Topic(
    "dead.letters", "Records that could not be read, as they were, with their origin.", None, Spread.ONE
)
UPTIME_STATE = Topic(
    "sla.uptime.state",
    "The uptime fold's states, many targets in a piece.",
    "slot and piece",
    Spread.TARGETS,
    compacted=True,
)
PROMISES_STATE = Topic(
    "sla.promises.state",
    "Snapshots of the promises fold, in pieces.",
    "slot and piece",
    Spread.ACCOUNTS,
    compacted=True,
)

TOPICS: tuple[Topic, ...] = (
    PROBE_RESULTS,
    UPTIME_CHANGES,
    SUBSCRIPTION_EVENTS,
    TICKET_EVENTS,
    TERMS_EVENTS,
    JOURNAL,
    MONTHS,
    CREDITS,
    DEADLINES,
    QUOTA,
    NOTICES,
    REJECTED,
    DEAD_LETTERS,
    UPTIME_STATE,
    PROMISES_STATE,
)

TOPIC_OF: dict[type[Any], Topic] = {record: topic for topic in TOPICS for record in topic.records}
"""Where a fact or an outcome belongs."""


def key_of(record: Any) -> bytes | None:
    """The record's key on its topic, by the registry. Raises KeyError for what belongs to no topic."""
    key = TOPIC_OF[type(record)].key
    return None if key is None else str(getattr(record, key)).encode()
