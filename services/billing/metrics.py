"""What the billing service counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

REGISTRY = CollectorRegistry()

CREDITS = Counter(
    "garant_billing_credit_records",
    "Records of sla.credits taken, by what became of them: booked, repeat, quarantined, dead.",
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
QUARANTINED = Gauge(
    "garant_billing_quarantined", "Records in quarantine that wait for a person.", registry=REGISTRY
)
NEEDS_PERSON = Gauge(
    "garant_billing_needs_person",
    "Credits no coming invoice settles, and invoices of terms that no longer begin.",
    registry=REGISTRY,
)

for _result in ("booked", "repeat", "quarantined", "dead"):
    CREDITS.labels(_result)
for _result in ("noted", "repeat", "dead"):
    WARNINGS.labels(_result)
