"""What the SLA service counts, for Prometheus. docs/reference/metrics.md tells all of it."""

from __future__ import annotations

from typing import get_args

from prometheus_client import REGISTRY, Counter, Gauge, Histogram

from services.sla.rules import RULES_VERSION
from shared.facts import State
from shared.outcomes import MonthClosed, Outcome
from shared.process_metrics import tell_process
from shared.topics import (
    PROBE_RESULTS,
    SUBSCRIPTION_EVENTS,
    TERMS_EVENTS,
    TICKET_EVENTS,
    UPTIME_CHANGES,
)

tell_process(REGISTRY, "sla", rules=str(RULES_VERSION))

RESULTS = Counter("garant_sla_probe_results_total", "Records of probe.results taken")
CHANGES = Counter("garant_sla_uptime_facts_total", "Facts said by the uptime fold", ["type"])
ENTRIES = Counter("garant_sla_journal_entries_total", "Entries written to the journal", ["topic"])
REPEATS = Counter("garant_sla_journal_repeats_total", "Records dropped because the journal has them")
FOLDED = Counter("garant_sla_journal_folded_total", "Journal entries folded")
OUTCOMES = Counter("garant_sla_outcomes_total", "Outcomes published", ["type"])
MONTHS = Counter(
    "garant_sla_months_closed_total",
    "Months closed, corrected ones again, by whether the promise was kept: true, false, unmeasured",
    ["met"],
)
DEAD_LETTERS = Counter(
    "garant_sla_dead_letters_total", "Records that cannot be read, put on dead.letters", ["topic"]
)
POSITION = Gauge("garant_sla_journal_position", "Offset of the last journal entry folded", ["partition"])
DIGEST = Gauge(
    "garant_sla_journal_digest",
    "The first 48 bits of the running digest at garant_sla_journal_position, as a number",
    ["partition"],
)
TAKEN_AFTER = Histogram(
    "garant_sla_journal_delay_seconds",
    "From a record's append to its outcomes acknowledged",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 60, 3600),
)

_PLACE = ["fold", "partition"]
FOLD_POSITION = Gauge("garant_sla_fold_position", "Offset of the last record folded; -1 before any", _PLACE)
FOLD_LAG = Gauge("garant_sla_fold_lag_records", "Records on the topic that are not folded yet", _PLACE)
FOLD_AGE = Gauge(
    "garant_sla_fold_age_seconds",
    "While there is lag, since when the newest record folded is on the topic; else 0",
    _PLACE,
)
FOLD_PARTITIONS = Gauge("garant_sla_fold_partitions", "Partitions this instance has restored", ["fold"])
FOLD_EXPECTED = Gauge(
    "garant_sla_fold_partitions_expected", "Partitions that all instances together have to fold", ["fold"]
)
FOLD_STALLED = Gauge("garant_sla_fold_stalled_seconds", "Since the fold's loop last went round", ["fold"])
RESTORED_IN = Gauge(
    "garant_sla_fold_restore_seconds", "What it took to restore the partitions assigned last", ["fold"]
)
INTAKES = Gauge("garant_sla_intakes", "Journal partitions whose facts this instance takes in")
INTAKE_LAG = Gauge(
    "garant_sla_intake_lag_records",
    "Facts on a topic that are not in the journal partition yet",
    ["partition", "topic"],
)
NEXT_DUE = Gauge(
    "garant_sla_next_due_timestamp_seconds",
    "When time alone next concludes something: a month, a credit, a deadline, a quota's year",
    ["partition"],
)
TARGETS = Gauge("garant_sla_targets", "Targets this instance folds, by their state now", ["state"])
UNDECIDED = Gauge("garant_sla_undecided_slots", "Slots that wait for votes")
OLDEST_UNDECIDED = Gauge(
    "garant_sla_oldest_undecided_slot_seconds", "How long ago the oldest undecided slot was; 0 without one"
)
SILENT = Gauge(
    "garant_sla_silent_targets",
    "Targets for which the location's agents have not reported for so long that nobody waits for them",
    ["location"],
)
WAITING_FOR_OLD = Gauge(
    "garant_sla_waiting_for_old_rules", "1 while instances of other rules own the partitions"
)

for _topic in (PROBE_RESULTS, UPTIME_CHANGES, TERMS_EVENTS, SUBSCRIPTION_EVENTS, TICKET_EVENTS):
    DEAD_LETTERS.labels(_topic.name)  # the first one is an increase, too
for _fold in ("uptime", "promises"):
    FOLD_PARTITIONS.labels(_fold)
for _state in get_args(State):
    TARGETS.labels(_state)
for _met in ("true", "false", "unmeasured"):
    MONTHS.labels(_met)


def count_outcome(outcome: Outcome) -> None:
    """Counts an outcome that is about to be published."""
    OUTCOMES.labels(type(outcome).__name__).inc()
    if isinstance(outcome, MonthClosed):
        MONTHS.labels("unmeasured" if outcome.met is None else str(outcome.met).lower()).inc()
