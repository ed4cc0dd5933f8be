"""`helm install` with nothing else: everything gets ready, and needs little."""

from __future__ import annotations

from tests.cluster.installed import COMPONENTS, SERVICES, Installation
from tests.cluster.table import Found

MB = 1_000_000
AT_REST = 120 * MB
AGENTS = 3


def test_everything_of_a_trial_gets_ready(trial: Installation, found: Found) -> None:
    found.figures["helm install to ready, s"] = trial.seconds
    found.figures["restarts meanwhile"] = {
        pod.name: pod.restarts for pod in trial.kube.pods() if pod.restarts
    }
    assert not trial.kube.waiting_for()
    assert {pod.component for pod in trial.kube.pods()} == set(COMPONENTS)
    assert len(trial.kube.pods("probe")) == AGENTS


def test_a_trial_says_that_it_is_one_and_what_to_try(trial: Installation) -> None:
    assert "trial" in trial.notes.lower()
    assert "garant demo break" in trial.notes


def test_what_a_trial_brings_along_is_marked(trial: Installation) -> None:
    for pod in trial.kube.pods(selector="garant.ch/trial=true"):
        assert pod.component.startswith("trial-")
        assert "-trial-" in pod.name


def test_helm_s_own_test_passes(trial: Installation) -> None:
    assert "Succeeded" in trial.helm("test", "garant")


def test_every_service_at_rest_needs_less_than_120_mb(trial: Installation, found: Found) -> None:
    measured = trial.kube.memory()
    of_pods = {pod.name: measured[pod.name] for pod in trial.kube.pods()}
    found.figures["memory at rest, MB"] = {name: round(used / MB) for name, used in of_pods.items()}
    services = {pod.name for name in SERVICES for pod in trial.kube.pods(name)}
    assert {name: used for name, used in of_pods.items() if name in services and used >= AT_REST} == {}
