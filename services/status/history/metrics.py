"""What reading the log counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

from services.status.metrics import REGISTRY

RECORDS = Counter(
    "garant_status_records",
    "Records read, by what became of them: shown, unused (not public, or known already), unusable.",
    ["result"],
    registry=REGISTRY,
)
KAFKA_AWAY = Gauge("garant_status_kafka_away", "1 while Kafka does not answer.", registry=REGISTRY)
SAVED = Counter("garant_status_saves", "Times what was read was saved.", registry=REGISTRY)

for _result in ("shown", "unused", "unusable"):
    RECORDS.labels(_result)
