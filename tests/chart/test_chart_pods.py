"""Every pod keeps within the Pod Security standard "restricted", says what it needs, and can be watched."""

from __future__ import annotations

import re

import pytest

from tests.chart.rendering import EVERY_VALUES, Object, component, of_kind, pods, render

WATCHED = {"sla", "billing", "support", "notify", "status", "probe", "trial-mail"}
"""What answers /live and /ready."""
UNWATCHED = {"trial-demo", "trial-demo-start", "preflight", "topics"}
"""What ends by itself, or must stay broken when it is broken."""
VOLUMES = {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret"}
SAFE_SYSCTLS = {"net.ipv4.ping_group_range"}


def breaches(pod: Object) -> list[str]:
    """What the admission of "restricted" would refuse, and what we ask for beyond it."""
    spec, found = pod["spec"], []
    security = spec.get("securityContext", {})
    if any(spec.get(name) for name in ("hostNetwork", "hostPID", "hostIPC")):
        found.append("the machine's namespaces")
    if security.get("runAsNonRoot") is not True or security.get("runAsUser") != 10001:
        found.append("root")
    if security.get("seccompProfile") != {"type": "RuntimeDefault"}:
        found.append("seccomp")
    if not {one["name"] for one in security.get("sysctls", ())} <= SAFE_SYSCTLS:
        found.append("sysctls")
    if spec.get("automountServiceAccountToken") is not False:
        found.append("a token of the cluster")
    for volume in spec.get("volumes", ()):
        if not set(volume) - {"name"} <= VOLUMES:
            found.append(f"volume {volume['name']}")
    for container in (*spec["containers"], *spec.get("initContainers", ())):
        own = container.get("securityContext", {})
        if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
            found.append("privileges")
        if own.get("capabilities") != {"drop": ["ALL"]}:
            found.append("capabilities")
        if own.get("readOnlyRootFilesystem") is not True:
            found.append("a root file system that can be written")
        if any("hostPort" in port for port in container.get("ports", ())):
            found.append("ports of the machine")
    return found


@pytest.mark.parametrize("values", EVERY_VALUES)
def test_every_pod_is_restricted(values: str) -> None:
    assert {name: found for name, pod in pods(render(values)) if (found := breaches(pod))} == {}


def test_the_check_finds_a_breach() -> None:
    assert breaches({"spec": {"containers": [{"name": "a"}], "hostNetwork": True}}) == [
        "the machine's namespaces",
        "root",
        "seccomp",
        "a token of the cluster",
        "privileges",
        "capabilities",
        "a root file system that can be written",
    ]


@pytest.mark.parametrize("values", EVERY_VALUES)
def test_every_container_asks_for_what_it_needs_and_says_why_it_ended(values: str) -> None:
    for name, pod in pods(render(values)):
        for container in pod["spec"]["containers"]:
            resources = container["resources"]
            assert set(resources["requests"]) == {"cpu", "memory"}, name
            assert "memory" in resources["limits"], name
            assert container["terminationMessagePolicy"] == "FallbackToLogsOnError", name


@pytest.mark.parametrize("values", EVERY_VALUES)
def test_no_image_is_the_latest_of_anything(values: str) -> None:
    images = {c["image"] for _, pod in pods(render(values)) for c in pod["spec"]["containers"]}
    expected = r".+@sha256:[0-9a-f]{64}" if values == "everything" else r"localhost/garant(-trial)?:\d.*"
    assert [image for image in images if not re.fullmatch(expected, image)] == []


@pytest.mark.parametrize("values", EVERY_VALUES)
def test_every_service_has_its_three_probes(values: str) -> None:
    for name, pod in pods(render(values)):
        (container,) = pod["spec"]["containers"]
        probes = {kind: container.get(f"{kind}Probe") for kind in ("startup", "liveness", "readiness")}
        if component(pod) in UNWATCHED:
            assert not any(probes.values()), name
        elif component(pod) in WATCHED:
            paths = {kind: probe["httpGet"]["path"] for kind, probe in probes.items()}
            assert paths == {"startup": "/live", "liveness": "/live", "readiness": "/ready"}, name
        else:
            assert {probe["tcpSocket"]["port"] for probe in probes.values()} <= {"kafka", "postgres"}, name


@pytest.mark.parametrize("values", EVERY_VALUES)
def test_a_service_may_take_longer_to_stop_than_its_own_patience(values: str) -> None:
    for name, pod in pods(render(values)):
        (container,) = pod["spec"]["containers"]
        drain = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        own = 21 if component(pod) in {"billing", "support", "notify", "status"} else 15
        assert pod["spec"]["terminationGracePeriodSeconds"] > drain + own, name


@pytest.mark.parametrize("values", EVERY_VALUES)
def test_a_start_may_take_as_long_as_the_services_wait(values: str) -> None:
    for name, pod in pods(render(values)):
        (container,) = pod["spec"]["containers"]
        if component(pod) not in WATCHED:
            continue
        env = {one["name"]: one.get("value") for one in container["env"]}
        patience = max(float(env.get(f"GARANT_{what}_WAIT_S") or 0) for what in ("KAFKA", "DATABASE"))
        startup = container["startupProbe"]
        assert startup["periodSeconds"] * startup["failureThreshold"] > patience, name


@pytest.mark.parametrize("values", EVERY_VALUES)
def test_every_mount_has_its_volume_and_every_volume_its_mount(values: str) -> None:
    for name, pod in pods(render(values)):
        claims = {
            claim["metadata"]["name"]
            for one in of_kind(render(values), "StatefulSet")
            if name.endswith(one["metadata"]["name"])
            for claim in one["spec"].get("volumeClaimTemplates", ())
        }
        (container,) = pod["spec"]["containers"]
        mounts = [one["name"] for one in container["volumeMounts"]]
        paths = [one["mountPath"] for one in container["volumeMounts"]]
        assert sorted(mounts) == sorted({one["name"] for one in pod["spec"]["volumes"]} | claims), name
        assert len(set(paths)) == len(paths), name
        assert {"/tmp", "/var/lib/garant"} <= set(paths), name  # noqa: S108


def test_an_agent_may_ping_without_a_capability_and_runs_in_its_zone() -> None:
    agents = {
        pod["metadata"]["labels"]["garant.ch/location"]: pod["spec"]
        for _, pod in pods(render("everything"))
        if component(pod) == "probe"
    }
    zones = {one: spec["nodeSelector"]["topology.kubernetes.io/zone"] for one, spec in agents.items()}
    assert zones == {"zurich": "ch-zh-1", "geneva": "ch-ge-1", "lugano": "ch-ti-1"}
    for spec in agents.values():
        assert spec["securityContext"]["sysctls"] == [
            {"name": "net.ipv4.ping_group_range", "value": "0 2147483647"}
        ]
    assert "Geneve.Cointrin.2" in agents["geneva"]["containers"][0]["args"]
    assert agents["lugano"]["tolerations"] == [{"key": "edge", "operator": "Exists"}]
