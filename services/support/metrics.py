"""What the support service counts, for Prometheus. Never whose."""

from __future__ import annotations

from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge

from services.support.acknowledgements import Result
from services.support.intake import State
from shared.mail.letters import Standing
from shared.process_metrics import tell_process
from shared.topics import DEADLINES, QUOTA, SUBSCRIPTION_EVENTS

RESPONSES = ("waiting", "at-risk", "missed", "met", "late")
QUOTA_USED = ("left", "warned", "used-up")

REGISTRY = CollectorRegistry()
tell_process(REGISTRY, "support")

MAILS = Counter(
    "garant_support_mails",
    "Mails taken in by this process, by what became of them.",
    ["state"],
    registry=REGISTRY,
)
QUARANTINED = Gauge(
    "garant_support_quarantined", "Mails in quarantine that wait for a person.", registry=REGISTRY
)
MAILBOX = Gauge("garant_support_mailbox_connected", "1 while the mailbox is watched.", registry=REGISTRY)
RECORDS = Counter(
    "garant_support_records",
    "Records taken from the log, by what became of them: taken, repeat, skipped (buried), dead.",
    ["topic", "result"],
    registry=REGISTRY,
)
ACKNOWLEDGEMENTS = Counter(
    "garant_support_acknowledgements",
    "Letters that answer a request by themselves: written, unwanted, too-many, nobody.",
    ["result"],
    registry=REGISTRY,
)
LETTERS = Gauge("garant_support_letters", "Letters in the outbox, by state.", ["state"], registry=REGISTRY)
PUBLISHED = Counter(
    "garant_support_facts_published", "Facts of requests the broker acknowledged.", registry=REGISTRY
)
UNSENT = Gauge("garant_support_outbox_unsent", "Facts of requests not yet acknowledged.", registry=REGISTRY)
OUTBOX_OLDEST = Gauge(
    "garant_support_outbox_oldest_seconds",
    "Since when the oldest of those facts waits; 0 where none does.",
    registry=REGISTRY,
)
LAG = Gauge(
    "garant_support_lag_records",
    "Records this instance has still to read, of the partitions it has.",
    ["topic"],
    registry=REGISTRY,
)
OLDEST_WAITING = Gauge(
    "garant_support_oldest_waiting_seconds",
    "Since when the oldest letter waits that the relay does not have yet; 0 where none does.",
    registry=REGISTRY,
)
QUARANTINE_OLDEST = Gauge(
    "garant_support_quarantine_oldest_seconds",
    "Since when the oldest mail is in quarantine; 0 where none is.",
    registry=REGISTRY,
)
REQUESTS = Gauge(
    "garant_support_requests",
    "Open requests by their first response: waiting, at-risk, missed (none yet), met, late (given).",
    ["response"],
    registry=REGISTRY,
)
NEXT_DEADLINE = Gauge(
    "garant_support_next_deadline_timestamp_seconds",
    "When the next first response is due that is neither given nor missed; NaN where none is.",
    registry=REGISTRY,
)
QUOTAS = Gauge(
    "garant_support_quotas",
    "Subscriptions that have not ended, by how much of this year's quota is used: left, warned, used-up.",
    ["used"],
    registry=REGISTRY,
)
OPEN = Gauge("garant_support_requests_open", "Requests that are open.", registry=REGISTRY)

NEXT_DEADLINE.set(float("nan"))
for _state in get_args(State):
    MAILS.labels(_state)
for _result in get_args(Result):
    ACKNOWLEDGEMENTS.labels(_result)
for _standing in get_args(Standing):
    LETTERS.labels(_standing)
for _topic in (SUBSCRIPTION_EVENTS, DEADLINES, QUOTA):
    for _became in ("taken", "repeat", "skipped", "dead"):
        RECORDS.labels(_topic.name, _became)
