"""What the billing service counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge

REGISTRY = CollectorRegistry()

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


def tell_held(amounts: Mapping[str, int], count: int) -> None:
    """Sets what is held now: `count` credits, in each currency `amounts` (hundredths)."""
    HELD.set(count)
    HELD_AMOUNT.clear()
    for currency, amount in amounts.items():
        HELD_AMOUNT.labels(currency).set(amount)
