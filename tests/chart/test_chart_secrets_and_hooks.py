"""No secret stands where it can be read, and what runs before an install needs nothing that comes with it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.chart.rendering import EVERY_VALUES, Object, component, named, of_kind, pods, render

SECRET = re.compile(r"(PASSWORD|TOKEN|DATABASE_URL|SECRET|HEADERS)$")
BEFORE = {"pre-install", "pre-upgrade", "pre-rollback"}
ON_POSTGRES = ("billing", "support", "notify", "status")
DATABASE_CA = ("verify-full", "/etc/garant/database-ca/ca.crt")


def events(one: Object) -> set[str]:
    """When Helm runs it; nothing for what it installs."""
    told = one["metadata"].get("annotations", {}).get("helm.sh/hook", "")
    return set(told.split(",")) - {""}


def sources(spec: Object) -> Iterator[tuple[str, str, bool]]:
    """What a pod's volumes and variables are taken from: kind, name, whether it may be missing."""
    for volume in spec["volumes"]:
        if "configMap" in volume:
            yield "ConfigMap", volume["configMap"]["name"], False
        if "secret" in volume:
            yield "Secret", volume["secret"]["secretName"], False
        for source in volume.get("projected", {}).get("sources", ()):
            yield "Secret", source["secret"]["name"], source["secret"].get("optional", False)
    for container in spec["containers"]:
        for one in container["env"]:
            if "secretKeyRef" in one.get("valueFrom", {}):
                yield "Secret", one["valueFrom"]["secretKeyRef"]["name"], False


@pytest.mark.parametrize("values", EVERY_VALUES)
def test_no_secret_stands_in_a_pod(values: str) -> None:
    for name, pod in pods(render(values)):
        for container in pod["spec"]["containers"]:
            for one in container["env"]:
                if SECRET.search(one["name"]):
                    assert "value" not in one, f"{name} {one['name']}"


@pytest.mark.parametrize("values", ["production", "everything"])
def test_a_production_makes_no_secret_itself(values: str) -> None:
    assert of_kind(render(values), "Secret") == []


def test_a_trial_s_secrets_are_made_up_and_are_what_its_pods_ask_for() -> None:
    objects = render("trial")
    made = {one["metadata"]["name"]: one["stringData"] for one in of_kind(objects, "Secret")}
    tokens = [data["token"] for data in made.values() if "token" in data]
    assert len(set(tokens)) == len(tokens) == 4
    assert min(map(len, tokens)) >= 40
    postgres = made["garant-trial"]["postgres-password"]
    assert made["garant-billing"]["database-url"] == (
        f"postgresql://billing:{postgres}@garant-trial-postgres:5432/billing"
    )
    for name, pod in pods(objects):
        for container in pod["spec"]["containers"]:
            for one in container["env"]:
                if "secretKeyRef" in one.get("valueFrom", {}):
                    asked = one["valueFrom"]["secretKeyRef"]
                    assert asked["key"] in made[asked["name"]], f"{name} {one['name']}"


@pytest.mark.parametrize("values", ["production", "everything"])
def test_a_service_logs_in_as_itself_and_sees_its_own_secret_only(values: str) -> None:
    prefix, protocol = ("", "SASL_SSL") if values == "production" else ("eu-", "SSL")
    for name, pod in pods(render(values)):
        if component(pod) not in ("sla", "billing", "support", "notify", "status", "probe"):
            continue
        (container,) = pod["spec"]["containers"]
        env = {one["name"]: one.get("value") for one in container["env"]}
        assert env["GARANT_KAFKA_SECURITY_PROTOCOL"] == protocol, name
        if protocol == "SASL_SSL":
            assert env["GARANT_KAFKA_USERNAME"] == f"{prefix}garant-{component(pod)}"
            assert env["GARANT_KAFKA_PASSWORD_FILE"] == "/etc/garant/kafka/kafka-password"  # noqa: S105
        else:
            assert env["GARANT_KAFKA_CERT_FILE"] == "/etc/garant/kafka-cert/tls.crt"
        mounted = {
            source for kind, source, _ in sources({**pod["spec"], "containers": []}) if kind == "Secret"
        }
        own = component(pod)
        authorities = {"garant-cluster-ca-cert"} if values == "everything" else set()
        if authorities and own in ON_POSTGRES:
            authorities.add("postgres-ca")
            assert (env["PGSSLMODE"], env["PGSSLROOTCERT"]) == DATABASE_CA, name
        assert mounted <= {own, f"garant-kafka-{own}", f"garant-{own}-kafka"} | authorities, name
        assert authorities <= mounted, name


def test_the_common_name_of_a_certificate_is_the_user() -> None:
    certificates = of_kind(render("everything"), "Certificate")
    names = {one["metadata"]["name"]: one["spec"].get("commonName") for one in certificates}
    assert names["garant-billing-kafka"] == "eu-garant-billing"
    assert "garant-admin-kafka" not in names, "topics are made before cert-manager has made anything"


@pytest.mark.parametrize("values", EVERY_VALUES)
def test_what_runs_before_needs_nothing_that_comes_after(values: str) -> None:
    objects = render(values)
    installed = {(one["kind"], one["metadata"]["name"]) for one in objects if not events(one)}
    for one in objects:
        if one["kind"] == "Job" and events(one) & BEFORE:
            spec = one["spec"]["template"]["spec"]
            assert spec["serviceAccountName"] == "default"
            if "pre-install" in events(one) and component(one) == "preflight":
                needed = {(kind, name) for kind, name, optional in sources(spec) if not optional}
                assert needed & installed == set()


def test_a_preflight_comes_first_and_leaves_nothing() -> None:
    objects = render("production", "--set", "kafka.topics.apply=true,secrets.admin=admin")
    preflight, topics = (named(objects, "Job", f"garant-{name}") for name in ("preflight", "topics"))
    assert events(preflight) == BEFORE
    assert events(topics) == {"pre-install", "pre-upgrade"}
    weights = [int(one["metadata"]["annotations"]["helm.sh/hook-weight"]) for one in (preflight, topics)]
    assert weights == sorted(weights)
    assert weights[0] != weights[1]
    for one in (preflight, topics, named(objects, "ConfigMap", "garant-preflight")):
        policy = one["metadata"]["annotations"]["helm.sh/hook-delete-policy"].split(",")
        assert {"before-hook-creation", "hook-succeeded", "hook-failed"} <= set(policy)
    args = preflight["spec"]["template"]["spec"]["containers"][0]["args"]
    assert {"--several", "--topics-follow"} <= set(args)


def test_before_the_first_install_of_a_trial_there_is_nothing_to_look_at() -> None:
    assert events(named(render("trial"), "Job", "garant-preflight")) == {"pre-upgrade", "pre-rollback"}
    assert events(named(render("everything"), "Job", "garant-preflight")) == {"pre-upgrade", "pre-rollback"}


@pytest.mark.parametrize("values", EVERY_VALUES)
def test_a_preflight_is_told_what_the_services_are(values: str) -> None:
    objects = render(values)
    test = named(objects, "Pod", "garant-test")
    assert events(test) == {"test"}
    told = {one["name"]: one.get("value") for one in test["spec"]["containers"][0]["env"]}
    for _, pod in pods(objects):
        if component(pod) in ("sla", "billing", "support", "notify", "status", "probe"):
            for one in pod["spec"]["containers"][0]["env"]:
                own = ("USERNAME", "PASSWORD_FILE", "CERT_FILE", "KEY_FILE")
                if one["name"].startswith("GARANT_KAFKA_") and not one["name"].endswith(own):
                    assert told[one["name"]] == one["value"]
