"""Production, beside a platform team's own Kafka, PostgreSQL and mail, with the values the page shows."""

from __future__ import annotations

import datetime
import re
import time
from collections.abc import Iterator
from random import Random

import pytest

from tests.cluster.beside import APP, EVERY_CUT, Beside, written
from tests.cluster.breaking import NO_CAPS, Run
from tests.cluster.images import Images
from tests.cluster.injuries import WAYS_TO_GO, Injury, More
from tests.cluster.installed import FETCH, SERVICES, SUMMARY, Installation, state_in
from tests.cluster.kafka_node import NODES
from tests.cluster.table import Found
from tests.cluster.witnessed import let_in, namespace_peer

AGENTS = 3
CALLED = {"billing": [28083], "status": [28087]}


@pytest.fixture(scope="module")
def beside(images: Images) -> Iterator[Beside]:
    made = Beside(images, "garant-test-production")
    made.start()
    yield made
    made.kube.remove(wait=False)


@pytest.fixture(scope="module")
def production(
    beside: Beside, images: Images, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    made = Installation("production", images)
    made.witness = beside.witness
    values = written(beside.values(), tmp_path_factory.mktemp("production"))
    made.install("--values", str(values), *images.version(""), *NO_CAPS, first=beside.first())
    peer = namespace_peer(beside.kube.namespace)
    made.kube.apply(*(let_in("beside", peer, name, ports) for name, ports in CALLED.items()))
    yield made
    made.kube.remove(wait=False)


@pytest.fixture(scope="module")
def run(production: Installation, found: Found) -> Run:
    return Run(production, found)


def test_two_of_every_service_get_ready(production: Installation, found: Found) -> None:
    found.figures["production: helm install to ready, s"] = production.seconds
    counts = {name: len(production.kube.pods(name)) for name in SERVICES}
    assert counts == dict.fromkeys(SERVICES, 2) | {"probe": AGENTS}
    assert not production.kube.waiting_for()
    assert "Succeeded" in production.helm("test", "garant")


def test_everything_is_kept_three_times(production: Installation, beside: Beside) -> None:
    partitions, few, _ = beside.copies()
    assert partitions > 50
    assert few == 0


def test_a_cut_is_on_the_page_and_deducted_from_the_next_invoice(
    production: Installation, beside: Beside
) -> None:
    beside.python(EVERY_CUT)
    starts_on = datetime.datetime.now(datetime.UTC).date().replace(day=1).isoformat()
    start = ("--account", "A-1", "--price", "290.00", "--starts-on", starts_on, "--term", "month")
    beside.garant("billing", "start", "S-1", *start, "--target", APP, "--language", "en")

    def shown() -> str:
        url = f"http://garant-status.{production.kube.namespace}.svc.cluster.local:28087{SUMMARY}"
        return state_in(beside.python(FETCH, url))

    def deducted() -> bool:
        invoice = beside.garant("billing", "next", "S-1")
        return "deduction" in invoice and re.search(r"S-1/outage/\d{4}-", invoice) is not None

    production.until(lambda: shown() == "operational", "the page says that the application is up")
    beside.break_app()
    production.until(lambda: shown() == "major_outage", "the page says that it is down")
    beside.mend_app()
    production.until(lambda: shown() == "operational", "the page says that it is up again")
    production.until(deducted, "its credit is deducted from the next invoice")


def test_a_broker_of_three_may_go_at_any_time(production: Installation, beside: Beside, run: Run) -> None:
    """Once in order, once killed."""
    before = {pod.uid for pod in production.kube.pods()}

    def lose_brokers(_: Installation, rng: Random, more: More) -> int:
        for node, how in zip(rng.sample(range(NODES), len(WAYS_TO_GO)), WAYS_TO_GO, strict=True):
            time.sleep(rng.uniform(1, 4))
            beside.kube("delete", "pod", f"kafka-{node}", "--wait=false", *how)
            more()
            beside.kube.wait(lambda: not beside.kube.waiting_for("beside"), "the broker is back")
            production.until(lambda: beside.copies()[2] == 0, "all copies are in step")
        return len(WAYS_TO_GO)

    run.survives(Injury("broker", "a broker of three lost", lose_brokers))
    assert {pod.uid for pod in production.kube.pods()} == before
    restarted = [pod.name for pod in production.kube.pods() if pod.restarts]
    run.found.figures["restarted when brokers were lost"] = restarted


def test_passwords_are_changed_and_nothing_is_lost(
    production: Installation, beside: Beside, run: Run
) -> None:
    """As docs/operations/secrets.md tells it."""
    sets = production.kube.json("get", "statefulsets", "--selector=app.kubernetes.io/component=sla")
    rules = sets["items"][0]["metadata"]["name"]
    workloads = {"billing": "deployment/garant-billing", "sla": f"statefulset/{rules}"}

    def rotate(_: Installation, rng: Random, more: More) -> int:
        for service, workload in workloads.items():
            beside.change_password(service)
            production.kube.apply(beside.secret(service))
            production.kube("rollout", "restart", workload)
            more()
            production.kube.wait_ready()
        return len(workloads)

    run.survives(Injury("passwords", "passwords changed", rotate))


def test_a_clean_replay_agrees_with_topics_and_books(production: Installation, beside: Beside) -> None:
    done = beside.kube.exec("witness", "garant", "reconcile", within_s=600, check=False)
    assert done.status == 0, done.out + done.err
