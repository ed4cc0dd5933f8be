"""Every arrow of the architecture is open, and nothing else, tried from inside the pods."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.cluster.connections import (
    LISTEN,
    PORTS,
    TRY,
    Way,
    allowed_ways,
    asked,
    differences,
    places,
)
from tests.cluster.installed import CHART, Installation
from tests.cluster.kube import Kube
from tests.cluster.table import Found
from tests.cluster.witnessed import pod

JOBS = ("preflight", "topics", "trial-demo-start")
"""Components that run for a moment only: a pod with their labels stands for them."""
RELEASE = {"app.kubernetes.io/name": "garant", "app.kubernetes.io/instance": "garant"}
SLEEP = ["-c", "import time; time.sleep(3600)"]


@pytest.fixture(scope="module")
def arrows() -> list[dict[str, Any]]:
    return list(yaml.safe_load((CHART / "arrows.yaml").read_text())["arrows"])


@pytest.fixture(scope="module")
def origins(trial: Installation) -> Iterator[dict[str, str]]:
    """A pod to try from for each component, and a stranger in the same namespace."""
    made = [
        pod(f"as-{name}", trial.images.tests, SLEEP, labels={**RELEASE, "app.kubernetes.io/component": name})
        for name in JOBS
    ]
    made.append(pod("stranger", trial.images.tests, SLEEP, labels={"garant.ch/test": "stranger"}))
    trial.kube.apply(*made)
    names = [one["metadata"]["name"] for one in made]
    trial.kube("wait", "--for=condition=Ready", "--timeout=120s", *(f"pod/{name}" for name in names))
    found = {name: trial.kube.pods(name)[0].name for name in PORTS}
    yield found | {name: f"as-{name}" for name in JOBS} | {"stranger": "stranger"}
    trial.kube("delete", "pods", "--grace-period=0", "--force", *names)


@pytest.fixture(scope="module")
def elsewhere(trial: Installation) -> Iterator[tuple[Kube, str]]:
    """Another namespace with a pod that listens on 8080: (it, the pod's address)."""
    kube = Kube("garant-test-elsewhere")
    kube.remove()
    kube.make()
    kube.apply(pod("outside", trial.images.tests, ["-c", LISTEN], labels={"garant.ch/test": "outside"}))
    kube("wait", "--for=condition=Ready", "--timeout=120s", "pod/outside")
    yield kube, kube.json("get", "pod", "outside")["status"]["podIP"]
    kube.remove(wait=False)


def test_every_arrow_is_open_and_no_other_way(
    trial: Installation, origins: dict[str, str], arrows: list[dict[str, Any]], found: Found
) -> None:
    addresses = {name: trial.kube.pods(name)[0].ip for name in PORTS}
    tried: dict[Way, str] = {}
    for origin, name in origins.items():
        wanted = [place for place in places(addresses) if place[0] != origin]
        answers = json.loads(trial.kube.python(name, TRY, asked(wanted)))
        for (to, port, _), how in zip(wanted, answers, strict=True):
            tried[Way(origin, to, port)] = how
    allowed = allowed_ways(arrows)
    found.figures["ways tried: open, closed"] = [
        sum(how == "open" for how in tried.values()),
        sum(how != "open" for how in tried.values()),
    ]
    assert differences(tried, allowed) == []


def test_nobody_in_another_namespace_reaches_anything(
    trial: Installation, elsewhere: tuple[Kube, str]
) -> None:
    kube, own = elsewhere
    wanted = places({name: trial.kube.pods(name)[0].ip for name in PORTS})
    answers = json.loads(kube.python("outside", TRY, asked([*wanted, ("itself", 8080, own)])))
    assert answers.pop() == "open", "the test itself can connect"
    reached = [f"{to}:{port}" for (to, port, _), how in zip(wanted, answers, strict=True) if how == "open"]
    assert reached == []


def test_only_agents_reach_what_is_outside(
    trial: Installation, origins: dict[str, str], elsewhere: tuple[Kube, str]
) -> None:
    """They have to probe anything; the status page's webhooks go to public addresses only."""
    _, address = elsewhere
    for origin, name in origins.items():
        how = json.loads(trial.kube.python(name, TRY, asked([("outside", 8080, address)])))[0]
        wanted = origin in ("probe", "stranger")
        assert (how == "open") == wanted, f"{origin} to a pod outside: {how}"


def test_names_are_looked_up_from_every_pod(trial: Installation, origins: dict[str, str]) -> None:
    source = "import socket; print(socket.gethostbyname('garant-trial-kafka'))"
    for origin, name in origins.items():
        assert trial.kube.python(name, source).count(".") == 3, origin
