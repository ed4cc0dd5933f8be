"""Names, labels and selectors: what finds what, also under a long release name."""

from __future__ import annotations

import pytest

from tests.chart.rendering import EVERY_VALUES, Object, component, named, of_kind, pods, render

LONG = "the-longest-name-of-a-release-that-helm-lets-through"
LABELS = {f"app.kubernetes.io/{name}" for name in ("name", "instance", "version", "component", "managed-by")}
WORKLOADS = ("Deployment", "StatefulSet")


def strings(value: object) -> list[str]:
    """Every text in it."""
    if isinstance(value, dict):
        return [found for one in value.values() for found in strings(one)]
    if isinstance(value, list):
        return [found for one in value for found in strings(one)]
    return [value] if isinstance(value, str) else []


def matches(selector: Object, labels: dict[str, str]) -> bool:
    return all(labels.get(name) == value for name, value in selector.items())


@pytest.mark.parametrize("release", ["garant", LONG])
@pytest.mark.parametrize("values", EVERY_VALUES)
def test_every_name_fits(values: str, release: str) -> None:
    objects = render(values, release=release)
    assert [one for one in objects if len(one["metadata"]["name"]) > 63] == []
    # A StatefulSet's pods have a label of its name and a hash of 10; a Job's pods one of its name.
    long = [one for one in of_kind(objects, "StatefulSet") if len(one["metadata"]["name"]) > 52]
    assert [one["metadata"]["name"] for one in long] == []
    labels = [text for one in objects for text in one["metadata"].get("labels", {}).values()]
    assert [text for text in labels if len(text) > 63] == []


@pytest.mark.parametrize("values", EVERY_VALUES)
def test_no_two_objects_of_a_kind_have_one_name(values: str) -> None:
    names = [(one["kind"], one["metadata"]["name"]) for one in render(values)]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("values", EVERY_VALUES)
def test_everything_is_labelled(values: str) -> None:
    for one in render(values):
        missing = LABELS - set(one["metadata"]["labels"])
        # The policy of every pod is of no component.
        allowed = {"app.kubernetes.io/component", "app.kubernetes.io/version"}
        default = one["metadata"]["name"] == "garant-default"
        assert missing <= (allowed if default else set()), one["metadata"]["name"]
    for name, pod in pods(render(values)):
        labels = set(pod["metadata"]["labels"])
        # Another version of the chart alone restarts nothing, one of the services not a trial's Kafka.
        of_a_server = pod["metadata"]["labels"]["app.kubernetes.io/component"].startswith("trial-")
        assert labels >= LABELS - ({"app.kubernetes.io/version"} if of_a_server else set()), name
        assert "helm.sh/chart" not in labels or name.startswith("Pod "), (
            name
        )  # a hook's pod is its own object
        assert of_a_server == ("app.kubernetes.io/version" not in labels), name


@pytest.mark.parametrize("values", EVERY_VALUES)
def test_every_workload_has_its_own_pods_and_no_others(values: str) -> None:
    objects = render(values)
    made = {name: pod["metadata"]["labels"] for name, pod in pods(objects)}
    for one in of_kind(objects, *WORKLOADS):
        selector = one["spec"]["selector"]["matchLabels"]
        name = f"{one['kind']} {one['metadata']['name']}"
        assert [found for found, labels in made.items() if matches(selector, labels)] == [name]


@pytest.mark.parametrize("values", EVERY_VALUES)
def test_services_budgets_and_spread_find_the_pods_of_their_component(values: str) -> None:
    objects = render(values)
    made = [pod["metadata"]["labels"] for _, pod in pods(objects)]
    for one in of_kind(objects, "Service", "PodDisruptionBudget"):
        selector = one["spec"]["selector"]
        found = [labels for labels in made if matches(selector.get("matchLabels", selector), labels)]
        assert {labels["app.kubernetes.io/component"] for labels in found} == {component(one)}
    for name, pod in pods(objects):
        for spread in pod["spec"].get("topologySpreadConstraints", ()):
            assert matches(spread["labelSelector"]["matchLabels"], pod["metadata"]["labels"]), name


@pytest.mark.parametrize("values", EVERY_VALUES)
def test_a_service_sends_to_ports_its_pods_have(values: str) -> None:
    objects = render(values)
    ports: dict[str, dict[str, int]] = {}
    for _, pod in pods(objects):
        (container,) = pod["spec"]["containers"]
        ports.setdefault(component(pod), {}).update(
            {one["name"]: one["containerPort"] for one in container.get("ports", ())}
        )
    for one in of_kind(objects, "Service"):
        sent = {port["targetPort"]: port["port"] for port in one["spec"]["ports"]}
        assert sent.items() <= ports[component(one)].items(), one["metadata"]["name"]


def test_other_rules_are_another_statefulset_that_services_find_too() -> None:
    objects = render("everything")
    (folding,) = (one for one in of_kind(objects, "StatefulSet") if component(one) == "sla")
    assert folding["metadata"]["name"] == "garant-sla-r1"
    assert folding["spec"]["selector"]["matchLabels"]["garant.ch/rules"] == "1"
    assert "garant.ch/rules" not in named(objects, "Service", "garant-sla")["spec"]["selector"]
    budget = named(objects, "PodDisruptionBudget", "garant-sla")
    assert "garant.ch/rules" not in budget["spec"]["selector"]["matchLabels"]
    (container,) = folding["spec"]["template"]["spec"]["containers"]
    instance = next(one for one in container["env"] if one["name"] == "GARANT_SLA_INSTANCE")
    assert instance["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}


def test_only_what_has_another_is_protected_from_disruption() -> None:
    assert of_kind(render("production"), "PodDisruptionBudget") == []
    budgets = of_kind(render("everything"), "PodDisruptionBudget")
    assert {component(one) for one in budgets} == {"sla", "billing", "support", "notify", "status", "probe"}
    assert {one["spec"]["maxUnavailable"] for one in budgets} == {1}


def test_as_many_as_there_are_partitions_are_replaced_without_one_more() -> None:
    objects = render("everything")
    more = {"maxSurge": 1, "maxUnavailable": 0}
    assert named(objects, "Deployment", "garant-billing")["spec"]["strategy"]["rollingUpdate"] == more
    as_many = named(objects, "Deployment", "garant-notify")["spec"]
    assert as_many["replicas"] == 6
    assert as_many["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}


def test_what_belongs_to_a_trial_says_so() -> None:
    trial = render("trial")
    of_trial = [one for one in trial if "-trial" in one["metadata"]["name"]]
    assert {component(one) for one in of_trial} >= {
        "trial-kafka",
        "trial-postgres",
        "trial-mail",
        "trial-demo",
    }
    assert {one["metadata"]["labels"].get("garant.ch/trial") for one in of_trial} == {"true"}
    for values in ("production", "everything"):
        assert not [text for one in render(values) for text in strings(one) if "trial" in text], values
