"""What the status service counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from shared.process_metrics import tell_process

REGISTRY = CollectorRegistry()
tell_process(REGISTRY, "status")

PAGES = Counter("garant_status_files", "Files written anew.", registry=REGISTRY)
WRITING_SECONDS = Histogram(
    "garant_status_writing_seconds",
    "From the first news to its pages being there, for each time they were written.",
    buckets=(0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10),
    registry=REGISTRY,
)
WRITTEN_AT = Gauge(
    "garant_status_written_timestamp_seconds", "As of when the pages are true.", registry=REGISTRY
)
SILENT = Gauge(
    "garant_status_silent", "1 while the page says that no news has come for too long.", registry=REGISTRY
)
FAILED = Counter(
    "garant_status_writing_failures",
    "Times the pages could not be written, to be tried again.",
    registry=REGISTRY,
)
DATABASE_AWAY = Gauge(
    "garant_status_database_away", "1 while the database does not answer.", registry=REGISTRY
)
