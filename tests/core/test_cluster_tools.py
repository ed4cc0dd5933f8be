"""What the tests on a cluster read and make, tried without one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.sla.rules import RULES_VERSION
from tests.cluster import injuries
from tests.cluster.answers import memory_of, pods_of, unready
from tests.cluster.connections import PORTS, Way, allowed_ways, differences
from tests.cluster.images import Images, images_before, named
from tests.cluster.installed import CHART
from tests.cluster.kube import Failed
from tests.cluster.other_charts import Before, before, with_other_rules
from tests.cluster.table import Found, Line
from tests.cluster.witnessed import copied, pod

ARROWS: list[dict[str, Any]] = yaml.safe_load((CHART / "arrows.yaml").read_text())["arrows"]


def a_pod(name: str = "p", ready: str = "True", phase: str = "Running", **metadata: str) -> dict[str, Any]:
    return {
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/component": "sla"}, **metadata},
        "status": {"phase": phase, "podIP": "10.0.0.1", "conditions": [{"type": "Ready", "status": ready}]},
    }


def a_set(**status: Any) -> dict[str, Any]:
    whole = {"observedGeneration": 2, "updatedReplicas": 2, "readyReplicas": 2, "replicas": 2}
    return {
        "kind": "StatefulSet",
        "metadata": {"name": "s", "generation": 2},
        "spec": {"replicas": 2},
        "status": {**whole, "currentRevision": "a", "updateRevision": "a", **status},
    }


def test_a_pod_that_is_being_removed_or_has_ended_is_over() -> None:
    items = [a_pod("a"), a_pod("b", deletionTimestamp="2026-11-01T00:00:00Z"), a_pod("c", phase="Failed")]
    assert [one.over for one in pods_of({"items": items})] == [False, True, True]


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (a_pod(), []),
        (a_pod(ready="False"), ["pod p: not ready"]),
        (a_pod(phase="Succeeded", ready="False"), []),
        (a_pod(deletionTimestamp="2026-11-01T00:00:00Z"), ["pod p: leaving"]),
        (a_set(), []),
        (a_set(observedGeneration=1), ["statefulset s: not yet looked at"]),
        (a_set(updatedReplicas=1), ["statefulset s: updatedReplicas 1 of 2"]),
        (a_set(readyReplicas=0), ["statefulset s: readyReplicas 0 of 2"]),
        (a_set(replicas=3), ["statefulset s: replicas 3 of 2"]),
        (a_set(updateRevision="b"), ["statefulset s: of two revisions"]),
    ],
)
def test_what_is_not_ready_is_named_with_the_reason(one: dict[str, Any], said: list[str]) -> None:
    assert unready([one]) == said


def test_memory_is_the_working_set_of_a_namespace_s_pods() -> None:
    containers = [{"memory": {"workingSetBytes": 5}}, {"memory": {"workingSetBytes": 7}}]
    pods = [
        {"podRef": {"name": "a", "namespace": "ours"}, "containers": containers},
        {"podRef": {"name": "b", "namespace": "theirs"}, "containers": containers},
    ]
    assert memory_of({"pods": pods}, "ours") == {"a": 12}


def test_every_arrow_within_a_trial_leads_to_a_port_that_is_tried() -> None:
    ways = allowed_ways(ARROWS)
    assert Way("billing", "trial-postgres", 5432) in ways
    assert Way("sla", "trial-kafka", 9092) in ways
    assert Way("notify", "trial-mail", 28025) in ways
    assert not [way for way in ways if way.to not in PORTS or way.port not in PORTS[way.to]]
    assert not [way for way in ways if way.to == "trial-postgres" and way.origin in ("sla", "probe")]


def test_a_way_that_is_open_and_no_arrow_and_an_arrow_that_is_not_open_are_named() -> None:
    allowed = {Way("a", "b", 1), Way("a", "c", 1), Way("x", "b", 1)}
    found = {Way("a", "b", 1): "open", Way("a", "c", 1): "TimeoutError", Way("c", "b", 1): "open"}
    assert differences(found, allowed) == [
        "a -> c:1 is an arrow, and: TimeoutError",
        "c -> b:1 is no arrow, and open",
        "x -> b:1 was not tried",
    ]


def test_images_are_named_by_registry_and_tag() -> None:
    told = named({"CLUSTER_IMAGES": "registry.example:5000/x:0.1.0"})
    assert told == Images("registry.example:5000/x", "0.1.0")
    assert "image.tag=0.1.0-next" in told.version("-next")
    assert "trial.image.tag=0.1.0" in told.version("-next")
    assert told.tests == "registry.example:5000/x/garant-tests:0.1.0"
    assert named({}) is None
    with pytest.raises(Failed, match="name a registry and a tag"):
        named({"CLUSTER_IMAGES": "garant"})


def test_an_upgrade_from_a_released_chart_needs_its_images(monkeypatch: pytest.MonkeyPatch) -> None:
    this = Images("localhost", "test")
    released = Before(CHART, "v0.1.0", released=True)
    monkeypatch.delenv("CLUSTER_PREVIOUS_IMAGES", raising=False)
    with pytest.raises(Failed, match=r"name the images of v0\.1\.0"):
        images_before(this, released)
    monkeypatch.setenv("CLUSTER_PREVIOUS_IMAGES", "localhost:0.1.0")
    assert "image.tag=0.1.0" in images_before(this, released)
    assert "image.tag=test" in images_before(this, released._replace(released=False))


def test_a_chart_of_other_rules_differs_in_that_number_alone() -> None:
    made = with_other_rules(CHART)
    assert yaml.safe_load((made / "rules.yaml").read_text()) == {"rulesVersion": RULES_VERSION + 1}
    assert (made / "values.yaml").read_bytes() == (CHART / "values.yaml").read_bytes()


def test_the_chart_before_is_a_released_one_or_says_that_it_is_not() -> None:
    found = before(CHART)
    assert (found.chart / "Chart.yaml").exists()
    assert found.released == bool(re.fullmatch(r"v[\d.]+", found.what))


def test_the_witness_is_told_what_billing_is_told() -> None:
    env = [{"name": "A", "value": "1"}, {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s"}}}]
    workload = {
        "metadata": {"name": "w"},
        "spec": {"template": {"spec": {"containers": [{"env": env}]}}},
    }
    assert copied(workload, ("B",)) == env[1:]
    with pytest.raises(AssertionError, match="w is not told C"):
        copied(workload, ("A", "C"))


def test_pods_of_the_tests_are_of_the_restricted_standard() -> None:
    spec = pod("x", "image", ["-c", "pass"])["spec"]
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["containers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert not spec["containers"][0]["securityContext"]["allowPrivilegeEscalation"]


def test_every_fault_has_a_name_of_its_own_that_can_be_an_id() -> None:
    names = [one.name for one in injuries.INJURIES]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch("[a-z]+", name) for name in names)
    assert [one.name for one in injuries.INJURIES if one.results >= 1_000] == ["rollout"]


def test_what_was_found_is_written_for_the_docs(tmp_path: Path) -> None:
    line = Line("kills", 3, 100, 5, 2, 0, 0, 0, 12.5, {"uptime": 4.2})
    Found({"ready, s": 50}, [line]).write(tmp_path / "found.json")
    told = json.loads((tmp_path / "found.json").read_text())
    assert told["faults"][0]["pauses"] == {"uptime": 4.2}
    assert told["figures"] == {"ready, s": 50}
