"""Each mistake stops the installation with a line that says what to change; nothing is half-installed."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.installed import CHART, Installation
from tests.cluster.kube import Helm, Kube
from tests.cluster.witnessed import let_in, namespace_peer, pod

PRODUCTION = ("--values", str(Path(__file__).parent / "production.yaml"))
SERVICES = ("billing", "support", "notify", "status")
STORES = {"trial-kafka": 9092, "trial-postgres": 5432}
WORKLOADS = "deployments,statefulsets,services,networkpolicies,configmaps,poddisruptionbudgets"
NEWER = """
import sys, psycopg
with psycopg.connect(sys.argv[1], autocommit=True) as connection:
    connection.execute("CREATE DATABASE newer")
with psycopg.connect(sys.argv[1].rpartition("/")[0] + "/newer") as connection:
    connection.execute("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
    connection.execute("INSERT INTO alembic_version VALUES ('9999')")
    connection.execute("GRANT SELECT ON alembic_version TO PUBLIC")
"""
BY_VALUES = [
    (["--set", "sla.replica=2"], r"replica.*not allowed"),
    (["--set", "sla.replicas=many"], r"sla.replicas|sla/replicas"),
    (["--set", "mode=prod"], r"mode.*trial.*production"),
    (["--set", "kafka.bootstrap=k:9092"], r"kafka.bootstrap is set, but a trial has its own Kafka: set mode"),
    (["--set", "mode=production"], r"kafka.bootstrap is empty: set it to your Kafka's addresses"),
    (["--set", "billing.replicas=4"], r"billing.replicas is 4, more than the 3 of kafka.accountPartitions"),
]


@pytest.fixture(scope="module")
def helm(trial: Installation) -> Iterator[Helm]:
    """helm in an empty namespace, from which the stores of the trial are reached under their own names."""
    kube = Kube("garant-test-mistakes")
    kube.remove()
    kube.make()
    for name in STORES:
        host = f"garant-{name}.{trial.kube.namespace}.svc.cluster.local"
        kube.apply(
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": f"garant-{name}"},
                "spec": {"type": "ExternalName", "externalName": host},
            }
        )
    peer = namespace_peer(kube.namespace)
    trial.kube.apply(*(let_in("mistakes", peer, name, [port]) for name, port in STORES.items()))
    yield Helm(kube, "mistake")
    trial.kube("delete", "networkpolicy", *(f"mistakes-to-{name}" for name in STORES))
    kube.remove(wait=False)


@pytest.fixture
def refused(helm: Helm) -> Iterator[Helm]:
    """Removes what a refused installation left of Helm's own, and the Secrets of the test."""
    yield helm
    helm.said("uninstall", helm.release, "--ignore-not-found", check=False)
    helm.kube("delete", "secrets", "--selector=garant.ch/test=mistakes")


@pytest.mark.parametrize(("values", "line"), BY_VALUES, ids=lambda it: it[-1] if isinstance(it, list) else "")
def test_wrong_values_are_refused_before_anything_is_sent(
    refused: Helm, trial: Installation, values: list[str], line: str
) -> None:
    _refuses(refused, trial, line, *values)


def test_secrets_that_are_not_there_are_named(refused: Helm, trial: Installation) -> None:
    _refuses(refused, trial, r"Secret billing .* is not in namespace garant-test-mistakes: make", *PRODUCTION)


def test_a_secret_without_a_key_is_named_with_the_key(refused: Helm, trial: Installation) -> None:
    _make_secrets(refused.kube, trial, notify=None)
    _refuses(refused, trial, r"Secret notify .* has no database-url: add it", *PRODUCTION)


def test_a_kafka_with_too_few_brokers_for_the_replicas(refused: Helm, trial: Installation) -> None:
    _make_secrets(refused.kube, trial)
    line = r"error: kafka: GARANT_KAFKA_REPLICATION is 3, .* has 1 broker"
    _refuses(refused, trial, line, *PRODUCTION, "--set", "kafka.prefix=other-")


def test_more_copies_of_topics_that_exist_than_there_are_brokers(refused: Helm, trial: Installation) -> None:
    _make_secrets(refused.kube, trial)
    line = r"error: kafka: GARANT_KAFKA_REPLICATION is 3, .* has 1 broker"
    said = _refuses(refused, trial, line, *PRODUCTION)
    assert said.count("error: kafka:") == 1


def test_topics_with_other_partition_counts(refused: Helm, trial: Installation) -> None:
    _make_secrets(refused.kube, trial)
    more = ("--set", "kafka.accountPartitions=5")
    _refuses(
        refused, trial, r"Topic sla.journal has 3 partitions, the settings ask for 5", *PRODUCTION, *more
    )


def test_a_kafka_that_is_not_there(refused: Helm, trial: Installation) -> None:
    _make_secrets(refused.kube, trial)
    more = ("--set", "kafka.bootstrap=nowhere:9092")
    _refuses(refused, trial, r"error: kafka: .*nowhere:9092", *PRODUCTION, *more)


def test_a_database_of_a_newer_schema(refused: Helm, trial: Installation) -> None:
    url = _url(trial, "billing")
    admin = re.sub(r"//billing:(.*)/billing$", r"//garant_trial:\1/postgres", url)
    trial.kube.python("deployment/garant-billing", NEWER, admin)
    _make_secrets(refused.kube, trial, billing=url.rpartition("/")[0] + "/newer")
    _refuses(refused, trial, r"error: billing: .* has schema 9999, which this version does not", *PRODUCTION)


def test_a_password_that_the_database_does_not_take(refused: Helm, trial: Installation) -> None:
    url = re.sub(r":[^:@]*@", ":wrong@", _url(trial, "billing"))
    _make_secrets(refused.kube, trial, billing=url)
    said = _refuses(refused, trial, r"error: billing: .*password authentication failed", *PRODUCTION)
    assert ":wrong@" not in said


def test_an_upgrade_that_cannot_work_changes_nothing(trial: Installation) -> None:
    before = {pod.uid for pod in trial.kube.pods()}
    done = trial.helm.upgrade(trial.chart, "--set", "kafka.accountPartitions=5", check=False)
    assert done.status != 0
    assert _line(done.out + done.err, r"Topic sla.journal has 3 partitions, the settings ask for 5")
    assert {pod.uid for pod in trial.kube.pods()} == before
    assert trial.kube.waiting_for() == []
    trial.helm.rollback()


def test_pods_of_less_than_the_restricted_standard_are_not_even_made(helm: Helm, trial: Installation) -> None:
    """That the namespaces of these tests do hold the chart to it."""
    loose = pod("loose", trial.images.tests, ["-c", "pass"])
    loose["spec"]["containers"][0]["securityContext"].pop("capabilities")
    with pytest.raises(AssertionError, match="violates PodSecurity"):
        helm.kube.apply(loose)


def _refuses(helm: Helm, trial: Installation, line: str, *more: str) -> str:
    """That an installation ends with a line like `line`, and leaves nothing; returns what was said."""
    done = helm.install(CHART, *trial.images.values(), *more, check=False)
    said = done.out + done.err
    assert done.status != 0, said
    assert _line(said, line), f"no line like {line} in:\n{said}"
    left = helm.kube.json("get", WORKLOADS, "--selector=app.kubernetes.io/instance=mistake")["items"]
    assert [f"{one['kind']} {one['metadata']['name']}" for one in left] == []
    return said


def _line(said: str, pattern: str) -> list[str]:
    """The lines that say it: each in itself says what to change."""
    return [line for line in said.splitlines() if re.search(pattern, line)]


def _url(trial: Installation, service: str) -> str:
    data = trial.kube.json("get", "secret", f"garant-{service}")["data"]
    return base64.b64decode(data["database-url"]).decode()


def _make_secrets(kube: Kube, trial: Installation, **urls: str | None) -> None:
    """A Secret for each service, with the trial's databases, or `urls`; None leaves the URL out."""
    labels = {"garant.ch/test": "mistakes"}
    for service in SERVICES:
        url = urls.get(service, _url(trial, service))
        data = {"token": f"token-of-{service}"} | ({} if url is None else {"database-url": url})
        metadata = {"name": service, "labels": labels}
        kube.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data})
