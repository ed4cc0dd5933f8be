"""From the chart before to this one and back, while facts are told: nothing lost, nothing twice."""

from __future__ import annotations

from tests.cluster.installed import CHART, Installation
from tests.cluster.other_charts import Before
from tests.cluster.table import Found

LOAD = {"results": 100, "facts": 10, "targets": 40}


def test_an_upgrade_from_the_chart_before_keeps_everything(
    second: Installation, previous: Before, found: Found
) -> None:
    found.figures["upgraded from"] = previous.what
    _told_while(second, "up", lambda: second.helm.upgrade(CHART, *second.images.version("-next")))
    second.chart = CHART


def test_a_rollback_keeps_everything(second: Installation) -> None:
    _told_while(second, "back", second.helm.rollback)


def _told_while(trial: Installation, fault: str, change: object) -> None:
    assert callable(change)
    secrets = _secrets(trial)
    trial.witness.ask("prepare", fault=fault, stories=3, seed=1)
    trial.witness.ask("begin", fault=fault, **LOAD)
    change()
    trial.kube.wait_ready()
    trial.witness.ask("end")
    said = trial.witness.ask("verify")
    assert said["errors"] == []
    assert said["counts"]["credits"] > 0
    assert _secrets(trial) == secrets, "a trial keeps its passwords"


def _secrets(trial: Installation) -> dict[str, object]:
    items = trial.kube.json("get", "secrets", "--selector=app.kubernetes.io/instance=garant")["items"]
    return {one["metadata"]["name"]: one["data"] for one in items}
