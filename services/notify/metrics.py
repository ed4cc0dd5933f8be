"""What notify counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from shared.process_metrics import tell_process

REGISTRY = CollectorRegistry()
tell_process(REGISTRY, "notify")

RECORDS = Counter(
    "garant_notify_records",
    "Records read, by what became of them: taken, repeat, unused, dead.",
    ["result"],
    registry=REGISTRY,
)
LAG = Gauge(
    "garant_notify_lag_records",
    "Records this instance has still to read, of the partitions it has.",
    ["topic"],
    registry=REGISTRY,
)
OCCASIONS = Counter(
    "garant_notify_occasions",
    "Occasions written about or dropped by this process: written, overtaken.",
    ["result"],
    registry=REGISTRY,
)
LETTERS = Gauge("garant_notify_letters", "Letters by state.", ["state"], registry=REGISTRY)
OLDEST_WAITING = Gauge(
    "garant_notify_oldest_waiting_seconds",
    "Since when the oldest letter waits that the relay does not have yet; 0 where none does.",
    registry=REGISTRY,
)
UNWRITTEN = Gauge(
    "garant_notify_unwritten",
    "Occasions whose letters are not written yet: open, or without anybody to write to (no address).",
    ["state"],
    registry=REGISTRY,
)
SUPPORT_AWAY = Gauge(
    "garant_notify_support_away", "1 while support does not say who is written to.", registry=REGISTRY
)
MAIL = Counter(
    "garant_notify_mail",
    "Mails in our own mailbox by what they are: copy, bounce, other.",
    ["kind"],
    registry=REGISTRY,
)
MAILBOX_UP = Gauge("garant_notify_mailbox_up", "1 while our own mailbox is watched.", registry=REGISTRY)

for _result in ("taken", "repeat", "unused", "dead"):
    RECORDS.labels(_result)
for _result in ("written", "overtaken"):
    OCCASIONS.labels(_result)
for _kind in ("copy", "bounce", "other"):
    MAIL.labels(_kind)
