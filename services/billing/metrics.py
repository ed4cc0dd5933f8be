"""What the billing service counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from shared.process_metrics import tell_process

REGISTRY = CollectorRegistry()
tell_process(REGISTRY, "billing")

CREDITS = Counter(
    "garant_billing_credit_records",
    "Records of sla.credits taken, by what became of them: booked, held (booked too), repeat, quarantined,"
    " dead.",
    ["result"],
    registry=REGISTRY,
)
WARNINGS = Counter(
    "garant_billing_warning_records",
    "Warnings about quotas, and their ends, taken from sla.quota: noted, repeat, dead.",
    ["result"],
    registry=REGISTRY,
)
INVOICES = Counter("garant_billing_invoices_issued", "Invoices issued by this process.", registry=REGISTRY)
PUBLISHED = Counter(
    "garant_billing_facts_published", "Facts of subscriptions the broker acknowledged.", registry=REGISTRY
)
UNSENT = Gauge(
    "garant_billing_outbox_unsent", "Facts of subscriptions not yet acknowledged.", registry=REGISTRY
)
OUTBOX_OLDEST = Gauge(
    "garant_billing_outbox_oldest_seconds",
    "Since when the oldest of those facts waits; 0 where none does.",
    registry=REGISTRY,
)
LAG = Gauge(
    "garant_billing_lag_records",
    "Records this instance has still to read, of the partitions it has.",
    ["topic"],
    registry=REGISTRY,
)
GRANTED = Gauge(
    "garant_billing_credits", "Credits in the ledger by currency.", ["currency"], registry=REGISTRY
)
GRANTED_AMOUNT = Gauge(
    "garant_billing_credits_hundredths",
    "What all credits in the ledger come to after their revisions, in hundredths of each currency.",
    ["currency"],
    registry=REGISTRY,
)
QUARANTINE_OLDEST = Gauge(
    "garant_billing_quarantine_oldest_seconds",
    "Since when the oldest record is in quarantine; 0 where none is.",
    registry=REGISTRY,
)
HELD_OLDEST = Gauge(
    "garant_billing_held_oldest_seconds",
    "Since when the credit held longest waits; 0 where none does.",
    registry=REGISTRY,
)
QUARANTINED = Gauge(
    "garant_billing_quarantined", "Records in quarantine that wait for a person.", registry=REGISTRY
)
NEEDS_PERSON = Gauge(
    "garant_billing_needs_person",
    "Credits no coming invoice settles, and invoices of terms that no longer begin.",
    registry=REGISTRY,
)
HELD = Gauge(
    "garant_billing_held", "Credits beyond a cap that wait for a person's release.", registry=REGISTRY
)
HELD_AMOUNT = Gauge(
    "garant_billing_held_hundredths",
    "What those credits come to, in hundredths of each currency.",
    ["currency"],
    registry=REGISTRY,
)

for _result in ("booked", "held", "repeat", "quarantined", "dead"):
    CREDITS.labels(_result)
for _result in ("noted", "repeat", "dead"):
    WARNINGS.labels(_result)
