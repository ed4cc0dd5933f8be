"""Values that cannot be meant are refused before anything is installed; a line says what to change."""

from __future__ import annotations

import re

import pytest

from tests.chart.rendering import EVERY_VALUES, refusal

TRIAL, PRODUCTION, EVERYTHING = EVERY_VALUES

MISTAKES = [
    # What the schema says.
    (TRIAL, ["mode=staging"], "/mode.*'trial', 'production'"),
    (TRIAL, ["modus=trial"], "modus"),
    (TRIAL, ["sla.replica=2"], "/sla.*'replica'"),
    (TRIAL, ["sla.replicas=two"], "/sla/replicas.*integer"),
    (TRIAL, ["sla.replicas=0"], "/sla/replicas.*1"),
    (TRIAL, ["image.tag=latest"], "/image/tag"),
    (TRIAL, ["image.digest=sha256:abc"], "/image/digest"),
    (TRIAL, ["kafka.replication=12"], "/kafka/replication.*9"),
    (TRIAL, ["logLevel=loud"], "/logLevel.*'debug', 'info', 'warning', 'error'"),
    (TRIAL, ["fullnameOverride=a-name-that-is-much-longer-than-it-may-be"], "/fullnameOverride.*32"),
    (TRIAL, ["sla.settings.GARANT_SLA_SNAPSHOTS_EVERY_S=5"], "/sla/settings.*GARANT_SLA_SNAPSHOTS_EVERY_S"),
    (TRIAL, ["billing.settings.GARANT_BILLING_PORT=1"], "/billing/settings.*GARANT_BILLING_PORT"),
    (TRIAL, ["billing.resources.limits.memory=lots"], "/billing/resources/limits/memory"),
    (TRIAL, ["billing.resources.limits=null"], "/billing/resources"),
    (TRIAL, ["otlp.endpoint=collector:4318"], "/otlp/endpoint"),
    (PRODUCTION, ["kafka.bootstrap=kafka.example"], "/kafka/bootstrap"),
    (PRODUCTION, ["kafka.security.protocol=TLS"], "/kafka/security/protocol.*'SASL_SSL', 'SSL'"),
    (PRODUCTION, ["status.publicUrl=status.example.ch"], "/status/publicUrl"),
    (PRODUCTION, ["support.mail.address=support"], "/support/mail/address"),
    # What it cannot say.
    (PRODUCTION, ["kafka.bootstrap="], "kafka.bootstrap is empty: set it to your Kafka's addresses"),
    (PRODUCTION, ["kafka.replication=1"], "kafka.replication is 1: .* set it to 3"),
    (PRODUCTION, ["secrets.billing="], "secrets.billing is empty: .* kafka-password, database-url, token"),
    (PRODUCTION, ["secrets.sla="], "secrets.sla is empty: name the Secret with kafka-password"),
    (PRODUCTION, ["kafka.topics.apply=true"], "secrets.admin is empty: .* name a Secret you made"),
    (EVERYTHING, ["kafka.security.certSecrets.admin="], "certSecrets.admin is empty: .* tls.crt and tls.key"),
    (PRODUCTION, ["probe.config=null"], "probe.config is empty"),
    (PRODUCTION, ["probe.agents=null"], "probe.agents is empty"),
    (PRODUCTION, ["status.config=null"], "status.config is empty"),
    (PRODUCTION, ["status.publicUrl="], "status.publicUrl is empty: .* https://status.example.ch"),
    (PRODUCTION, ["notify.mail.address="], "notify.mail.address is empty"),
    (PRODUCTION, ["support.mail.imap.host=imap.example.ch"], "GARANT_SUPPORT_AUTHSERV_ID: set it"),
    (PRODUCTION, ["probe.agents[0].location=bern"], r"location bern, which probe.config does not: .*zurich"),
    (PRODUCTION, ["probe.agents[1].location=zurich"], "probe.agents has zurich twice"),
    (PRODUCTION, ["probe.config.locations[1]=bern"], "location bern, for which probe.agents has no agent"),
    (PRODUCTION, ["probe.agents[0].location=A_2", "probe.config.locations[0]=A_2"], "A_2, which cannot be"),
    (PRODUCTION, ["billing.replicas=4"], "billing.replicas is 4, more than the 3 of kafka.accountPartitions"),
    (TRIAL, ["kafka.replication=3"], "kafka.replication is 3, but a trial has one broker"),
    (TRIAL, ["kafka.bootstrap=kafka:9092"], "kafka.bootstrap is set, but a trial has its own"),
    (TRIAL, ["secrets.billing=books"], "secrets.billing is set, but a trial makes its own"),
    (TRIAL, ["kafka.topics.apply=true"], "kafka.topics.apply is true, but in a trial"),
    (TRIAL, ["httpRoute.enabled=true"], "httpRoute.parentRefs is empty: name the Gateway"),
    (EVERYTHING, ["httpRoute.status.hostnames=null"], "^httpRoute.status.hostnames is empty: name"),
    (EVERYTHING, ["networkPolicy.gateway.peers=null"], "networkPolicy.gateway.peers is empty"),
    (EVERYTHING, ["networkPolicy.monitoring.peers=null"], "networkPolicy.monitoring.peers is empty"),
    (EVERYTHING, ["externalSecrets.storeRef.name="], "externalSecrets.storeRef.name is empty"),
    (EVERYTHING, ["externalSecrets.keys.notify="], "externalSecrets.keys.notify is empty"),
    (EVERYTHING, ["certManager.issuerRef.name="], "certManager.issuerRef.name is empty"),
    (EVERYTHING, ["kafka.security.protocol=SASL_SSL"], "certManager.kafka is true, but .* SASL_SSL"),
    (TRIAL, [r"commonLabels.garant\.ch/trial=no"], "commonLabels has garant.ch/trial, which the chart sets"),
    (TRIAL, ["sla.extraEnv[0].name=GARANT_SLA_INSTANCE"], "sla.extraEnv has GARANT_SLA_INSTANCE"),
]  # fmt: skip


@pytest.mark.parametrize(("values", "mistake", "line"), MISTAKES, ids=[one[1][0] for one in MISTAKES])
def test_a_mistake_is_refused_with_one_line(values: str, mistake: list[str], line: str) -> None:
    said = refusal(values, *(part for one in mistake for part in ("--set", one)))
    lines = [one for one in said.splitlines() if re.search(line, one)]
    assert len(lines) == 1, said or "it was taken"


def test_all_mistakes_are_told_at_once() -> None:
    said = refusal("trial", "--set", "mode=production")
    assert len([one for one in said.splitlines() if " is empty: " in one]) >= 10


def test_an_older_cluster_is_refused() -> None:
    assert "1.32" in refusal("trial", "--kube-version", "1.31.9")
