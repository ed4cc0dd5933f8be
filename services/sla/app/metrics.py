"""What the SLA service counts."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

RESULTS = Counter("garant_sla_probe_results_total", "Records of probe.results taken")
CHANGES = Counter("garant_sla_uptime_facts_total", "Facts said by the uptime fold", ["type"])
ENTRIES = Counter("garant_sla_journal_entries_total", "Entries written to the journal", ["topic"])
REPEATS = Counter("garant_sla_journal_repeats_total", "Records dropped because the journal has them")
FOLDED = Counter("garant_sla_journal_folded_total", "Journal entries folded")
OUTCOMES = Counter("garant_sla_outcomes_total", "Outcomes published", ["type"])
POSITION = Gauge("garant_sla_journal_position", "Offset of the last journal entry folded", ["partition"])
TAKEN_AFTER = Histogram(
    "garant_sla_journal_delay_seconds",
    "From a record's append to its outcomes acknowledged",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 60, 3600),
)
