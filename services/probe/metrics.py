"""What an agent counts, for Prometheus. Labels are target, check and location ids, never addresses."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

from shared.process_metrics import tell_process

START_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0)


class Metrics:
    """One agent's metrics in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        tell_process(self.registry, "probe")
        self.agent = Info("garant_probe", "Which location this agent stands at.", registry=self.registry)
        self.results = Counter(
            "garant_probe_results",
            "Results by outcome, as published.",
            ["outcome"],
            registry=self.registry,
        )
        self.start_delay = Histogram(
            "garant_probe_start_delay_seconds",
            "How far from its slot a check started, mostly after it.",
            buckets=START_BUCKETS,
            registry=self.registry,
        )
        self.stall = Histogram(
            "garant_probe_loop_stall_seconds",
            "How long the event loop came late to a timer it looks at 20 times a second.",
            buckets=START_BUCKETS,
            registry=self.registry,
        )
        self.missed = Counter(
            "garant_probe_slots_missed",
            "Checks not started in their slot: too late, or the run before had not ended.",
            ["reason"],
            registry=self.registry,
        )
        self.wall_drift = Gauge(
            "garant_probe_wall_clock_drift_seconds",
            "Wall clock minus the clock slots are stamped by; negative after it was stepped back.",
            registry=self.registry,
        )
        self.certificate_ends = Gauge(
            "garant_probe_certificate_ends_timestamp_seconds",
            "When the certificate that was seen last ends.",
            ["target", "check"],
            registry=self.registry,
        )
        self.network_gone = Gauge(
            "garant_probe_network_gone",
            "1 while most references do not answer, so that failures are unknown.",
            registry=self.registry,
        )
        self.running = Gauge("garant_probe_checks_running", "Checks in flight now.", registry=self.registry)
        self.spooled = Gauge(
            "garant_probe_spool_records", "Results waiting on disk or in memory.", registry=self.registry
        )
        self.dropped = Counter(
            "garant_probe_dropped_records",
            "Results given up because a bound was reached.",
            registry=self.registry,
        )
        self.torn = Counter(
            "garant_probe_spool_torn_records",
            "Damaged spool records left out.",
            registry=self.registry,
        )
        self.kafka_away = Gauge(
            "garant_probe_kafka_away", "1 while Kafka does not answer.", registry=self.registry
        )
