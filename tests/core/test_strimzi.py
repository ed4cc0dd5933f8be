"""The resources of Strimzi say what the code says, and are ones that Strimzi takes."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from services.cli.acls import every_grant
from services.cli.local.config import common_lines
from services.cli.strimzi.files import Documents, OutOfDate, as_text, check_folder, documents, write_folder
from services.cli.strimzi.resource import UnusableName
from services.cli.strimzi.users import QUOTAS
from services.cli.topics.command import STRIMZI, app
from shared.access import ACCESSES, Grant
from shared.settings import KafkaSettings
from shared.topic_admin import topic_config
from shared.topics import MAX_RECORD_BYTES, TOPICS

SCHEMAS = Path(__file__).resolve().parents[1] / "schemas" / "strimzi"
KINDS = ("Kafka", "KafkaNodePool", "KafkaTopic", "KafkaUser")
FORBIDDEN = (
    *("listeners", "advertised.", "broker.", "listener.", "host.name", "port", "sasl.", "ssl.", "security."),
    *("password.", "log.dir", "authorizer.", "super.user", "node.id", "process.roles", "controller."),
    *("metadata.log.dir", "inter.broker.listener.name", "prometheus.metrics.reporter."),
)
"""Broker settings that Strimzi keeps to itself (KafkaClusterSpec.FORBIDDEN_PREFIXES): it drops them."""


@pytest.fixture(autouse=True)
def _plain(clean_environment: pytest.MonkeyPatch) -> None:
    """Settings as they are when nothing is set."""


def written(**settings: Any) -> Documents:
    return documents(KafkaSettings(**{"replication": 3, **settings}), "garant")


def resources(found: Documents, kind: str) -> list[dict[str, Any]]:
    return [one for each in found.values() for one in each if one["kind"] == kind]


@cache
def validator(kind: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads((SCHEMAS / f"{kind}.json").read_text()))


def wrong(resource: dict[str, Any]) -> list[str]:
    return [error.message for error in validator(resource["kind"]).iter_errors(resource)]


def test_the_files_in_deploy_are_what_the_code_says() -> None:
    check_folder(STRIMZI, written())


@pytest.mark.parametrize("meddle", ["topics.yaml", "users.yaml", "kafka.yaml", "node-pools.yaml"])
def test_a_file_that_differs_is_an_error_that_says_what_to_run(meddle: str, tmp_path: Path) -> None:
    write_folder(tmp_path, written())
    check_folder(tmp_path, written())
    text = (tmp_path / meddle).read_text()
    (tmp_path / meddle).write_text(text.replace("garant", "gerant", 1))
    with pytest.raises(OutOfDate, match=rf"\({meddle}\).*garant topics strimzi"):
        check_folder(tmp_path, written())


def test_a_file_too_few_or_too_many_is_an_error(tmp_path: Path) -> None:
    write_folder(tmp_path, written())
    (tmp_path / "topics.yaml").unlink()
    (tmp_path / "old.yaml").write_text("")
    with pytest.raises(OutOfDate, match=r"\(topics\.yaml, old\.yaml\)"):
        check_folder(tmp_path, written())


def test_another_number_of_partitions_is_another_file() -> None:
    with pytest.raises(OutOfDate, match=r"\(topics\.yaml\)"):
        check_folder(STRIMZI, written(account_partitions=4))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "settings",
    [{}, {"prefix": "acme-"}, {"replication": 1, "target_partitions": 1}, {"replication": 5}],
    ids=str,
)
def test_strimzi_takes_every_resource(kind: str, settings: dict[str, Any]) -> None:
    found = resources(written(**settings), kind)
    assert found
    for one in found:
        assert wrong(one) == []


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a resource where a field could be put."""
    if isinstance(value, dict):
        yield path
        for name, inner in value.items():
            yield from paths(inner, (*path, name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from paths(inner, (*path, number))


def test_a_field_that_strimzi_does_not_know_would_be_found_wherever_it_stands() -> None:
    open_to_all = {
        "metadata",
        "config",
        "matchLabels",
        "namespaceSelector",
        "requests",
        "limits",
        "jvmOptions",
    }
    tried = 0
    for kind in KINDS:
        one = resources(written(), kind)[0]
        for path in paths(one["spec"], ("spec",)):
            if open_to_all & {*path}:
                continue
            meddled = copy.deepcopy(one)
            place = meddled
            for step in path:
                place = place[step]
            place["replication"] = 3
            assert wrong(meddled), (kind, path)
            tried += 1
    assert tried > 25


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("KafkaTopic", ("spec", "partitions"), "6"),
        ("KafkaTopic", ("spec", "replicas"), 0),
        ("KafkaUser", ("spec", "authentication", "type"), "scram-sha-256"),
        ("KafkaUser", ("spec", "authorization", "acls", 0, "operations"), ["Reed"]),
        ("KafkaNodePool", ("spec", "roles"), ["leader"]),
        ("Kafka", ("spec", "kafka", "listeners", 0, "type"), "intern"),
        ("Kafka", ("apiVersion",), "kafka.strimzi.io/v1beta2"),
    ],
    ids=str,
)
def test_a_wrong_value_would_be_found(kind: str, path: tuple[Any, ...], value: Any) -> None:
    meddled = copy.deepcopy(resources(written(), kind)[0])
    place: Any = meddled
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert wrong(meddled)


def test_each_topic_is_laid_out_as_garant_itself_would_make_it() -> None:
    settings = KafkaSettings(prefix="acme-", target_partitions=8, account_partitions=5, replication=3)
    found = {one["spec"]["topicName"]: one for one in resources(documents(settings, "k"), "KafkaTopic")}
    assert list(found) == [settings.topic(topic) for topic in TOPICS]
    for topic in TOPICS:
        spec = found[settings.topic(topic)]["spec"]
        assert (spec["partitions"], spec["replicas"]) == (settings.partitions(topic), 3)
        assert spec["config"] == topic_config(topic, 3)
        assert spec["config"]["min.insync.replicas"] == "2"


def test_each_user_has_exactly_the_grants_of_the_table() -> None:
    settings = KafkaSettings(prefix="acme-", replication=3)
    said = [
        Grant(one["metadata"]["name"], acl["resource"]["type"], acl["resource"]["name"], operation)
        for one in resources(documents(settings, "k"), "KafkaUser")
        for acl in one["spec"]["authorization"]["acls"]
        for operation in acl["operations"]
    ]
    assert sorted(said) == sorted(every_grant(settings))
    for one in resources(documents(settings, "k"), "KafkaUser"):
        for acl in one["spec"]["authorization"]["acls"]:
            assert (acl["type"], acl["host"], acl["resource"]["patternType"]) == ("allow", "*", "literal")


def test_every_user_has_a_quota_and_only_who_makes_topics_a_rate_for_it() -> None:
    assert set(QUOTAS) == {access.service for access in ACCESSES}
    for access, one in zip(ACCESSES, resources(written(), "KafkaUser"), strict=True):
        quotas = one["spec"]["quotas"]
        assert quotas["producerByteRate"] >= 1024 * 1024
        assert quotas["consumerByteRate"] >= 1024 * 1024
        assert ("controllerMutationRate" in quotas) == bool(access.creates)


def test_the_brokers_keep_history_as_the_tested_broker_does() -> None:
    (kafka,) = resources(written(), "Kafka")
    config = {name: str(value).lower() for name, value in kafka["spec"]["kafka"]["config"].items()}
    tested = common_lines()
    for name in (
        *("auto.create.topics.enable", "log.retention.ms", "log.retention.bytes"),
        *("offsets.retention.minutes", "message.max.bytes", "replica.fetch.max.bytes"),
    ):
        assert config[name] == tested[name], name
    assert int(config["message.max.bytes"]) >= MAX_RECORD_BYTES
    assert config["delete.topic.enable"] == "false"
    assert not [name for name in config if name.startswith(FORBIDDEN)]


def test_the_version_of_kafka_is_the_tested_one() -> None:
    (kafka,) = resources(written(), "Kafka")
    version = kafka["spec"]["kafka"]["version"]
    assert f"org.apache.kafka:kafka_2.13:{version} " in (STRIMZI.parent / "jars.lock").read_text()


def test_one_broker_may_be_away_and_writing_goes_on() -> None:
    for copies in (3, 5):
        (kafka,) = resources(written(replication=copies), "Kafka")
        brokers = next(
            one
            for one in resources(written(replication=copies), "KafkaNodePool")
            if "broker" in one["spec"]["roles"]
        )
        assert brokers["spec"]["replicas"] >= copies
        for topic in resources(written(replication=copies), "KafkaTopic"):
            assert int(topic["spec"]["config"]["min.insync.replicas"]) < copies
        assert kafka["spec"]["kafka"]["config"]["min.insync.replicas"] < copies
        assert kafka["spec"]["kafka"]["template"]["podDisruptionBudget"]["maxUnavailable"] == 1


def test_names_are_unique_and_belong_to_the_named_cluster() -> None:
    found = documents(KafkaSettings(prefix="acme-", replication=3), "ours")
    every = [one for kind in KINDS for one in resources(found, kind)]
    names = [(one["kind"], one["metadata"]["name"]) for one in every]
    assert len(set(names)) == len(names)
    for one in every:
        if one["kind"] != "Kafka":
            assert one["metadata"]["labels"]["strimzi.io/cluster"] == "ours"
    assert ("Kafka", "ours") in names


@pytest.mark.parametrize("prefix", ["Acme-", "acme_", "-"])
def test_a_prefix_that_kubernetes_does_not_take_is_refused_in_one_line(prefix: str) -> None:
    with pytest.raises(UnusableName, match="GARANT_KAFKA_PREFIX") as refused:
        documents(KafkaSettings(prefix=prefix, replication=3), "garant")
    assert "\n" not in str(refused.value)


def test_the_command_writes_and_checks_by_the_settings(
    tmp_path: Path, clean_environment: pytest.MonkeyPatch
) -> None:
    run = CliRunner().invoke
    assert run(app, ["strimzi", "--check"]).exit_code == 0
    clean_environment.setenv("GARANT_KAFKA_ACCOUNT_PARTITIONS", "12")
    assert run(app, ["strimzi", "--folder", str(tmp_path), "--cluster", "ours"]).exit_code == 0
    assert run(app, ["strimzi", "--folder", str(tmp_path), "--cluster", "ours", "--check"]).exit_code == 0
    found = list(yaml.safe_load_all((tmp_path / "topics.yaml").read_text()))
    assert {one["spec"]["partitions"] for one in found} == {6, 12, 1}
    assert {one["spec"]["replicas"] for one in found} == {3}
    refused = run(app, ["strimzi", "--check"])
    assert isinstance(refused.exception, OutOfDate)


def test_an_overlay_has_every_file_with_a_resource() -> None:
    found = written()
    (base,) = found.pop("kustomization.yaml")
    assert base["resources"] == list(found)
    assert {one["kind"] for each in found.values() for one in each} == {*KINDS}


def test_the_text_is_what_was_meant() -> None:
    for found in written().values():
        assert list(yaml.safe_load_all(as_text(found))) == found
