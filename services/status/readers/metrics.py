"""What the status service counts of its readers, mails and webhooks."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

from services.status.metrics import REGISTRY

ENTRIES = Counter("garant_status_entries", "Entries told of, by kind.", ["kind"], registry=REGISTRY)
REQUESTS = Counter("garant_status_requests", "Forms sent, by kind.", ["kind"], registry=REGISTRY)
SUBSCRIBERS = Gauge("garant_status_subscribers", "Readers who confirmed.", registry=REGISTRY)
MAILS_WAITING = Gauge("garant_status_mails_waiting", "What notify is still to be told.", registry=REGISTRY)
MAILS = Counter(
    "garant_status_mails",
    "What notify was told, by what became of it: taken, refused, bouncing.",
    ["result"],
    registry=REGISTRY,
)
NOTIFY_AWAY = Gauge("garant_status_notify_away", "1 while notify takes nothing.", registry=REGISTRY)
CALLS = Counter(
    "garant_status_calls",
    "Webhook calls, by what became of them: delivered, failed (to be tried again), given up.",
    ["result"],
    registry=REGISTRY,
)

for _kind in ("change", "incident", "maintenance", "corrected"):
    ENTRIES.labels(_kind)
for _kind in ("subscribe", "confirm", "unsubscribe"):
    REQUESTS.labels(_kind)
for _result in ("taken", "refused", "bouncing"):
    MAILS.labels(_result)
for _result in ("delivered", "failed", "given up"):
    CALLS.labels(_result)
