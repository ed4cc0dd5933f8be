"""The AsyncAPI document says what the code does, and the file in docs/ says what the document does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from faststream.specification.asyncapi.v3_0_0.schema import ApplicationSchema

from services.cli.asyncapi.command import DOCUMENT, OutOfDate, check_file
from services.cli.asyncapi.document import as_yaml, document
from services.cli.asyncapi.operations import operations, subscribed, usual_settings
from services.sla.app.service import SlaSettings, build
from shared.topics import TOPICS


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return document(operations())


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def resolved(found: dict[str, Any], reference: str) -> Any:
    place: Any = found
    for part in reference.removeprefix("#/").split("/"):
        place = place[part]
    return place


def test_the_file_in_docs_is_up_to_date(found: dict[str, Any]) -> None:
    check_file(DOCUMENT, as_yaml(found))


def test_a_file_that_is_not_is_an_error_that_says_what_to_run(found: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "asyncapi.yaml"
    with pytest.raises(OutOfDate, match="garant asyncapi --write"):
        check_file(path, as_yaml(found))
    path.write_text(as_yaml(found).replace("probe.results", "probe.result"))
    with pytest.raises(OutOfDate, match=r"asyncapi\.yaml"):
        check_file(path, as_yaml(found))


def test_made_again_it_is_the_same_whatever_the_environment_says(
    found: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GARANT_KAFKA_PREFIX", "mine-")
    monkeypatch.setenv("GARANT_KAFKA_BOOTSTRAP", "10.1.2.3:9092")
    monkeypatch.setenv("GARANT_KAFKA_ACCOUNT_PARTITIONS", "50")
    assert as_yaml(document(operations())) == as_yaml(found)


def test_it_has_the_shape_of_asyncapi_3_and_every_reference_leads_somewhere(found: dict[str, Any]) -> None:
    ApplicationSchema.model_validate({**found, "servers": None})  # it would insist on a path of the broker's
    assert yaml.safe_load(as_yaml(found)) == found
    for reference in set(references(found)):
        assert resolved(found, reference), reference
    assert "discriminator" not in as_yaml(found), "AsyncAPI's is the name of a property, not OpenAPI's object"


def test_every_topic_is_a_channel_with_its_key_and_its_types(found: dict[str, Any]) -> None:
    assert list(found["channels"]) == [topic.name for topic in TOPICS]
    for topic in TOPICS:
        channel = found["channels"][topic.name]
        assert [*channel["messages"]] == [record.__name__ for record in topic.records] or not topic.records
        assert channel["description"].startswith(topic.what)
        partitions = channel["bindings"]["kafka"]["partitions"]
        assert partitions == usual_settings().partitions(topic)


def test_every_type_has_its_fields_in_the_order_of_the_wire(found: dict[str, Any]) -> None:
    for topic in TOPICS:
        for record in topic.records:
            fields = [*found["components"]["schemas"][record.__name__]["properties"]]
            tag = ["type"] if record.__struct_config__.tag else []
            assert fields == [*tag, *(field.encode_name for field in msgspec.structs.fields(record))]


def test_money_and_instants_are_strings(found: dict[str, Any]) -> None:
    schemas = found["components"]["schemas"]
    assert schemas["CreditGranted"]["properties"]["total"]["pattern"] == r"^-?\d+\.\d{2}$"
    assert schemas["ProbeResult"]["properties"]["slot"]["format"] == "date-time"
    assert schemas["SubscriptionStarted"]["properties"]["starts_on"] == {"type": "string", "format": "date"}
    facts = {one["$ref"].rpartition("/")[2] for one in schemas["JournalEntry"]["properties"]["fact"]["oneOf"]}
    assert {"ClockAdvanced", "DowntimeCorrected", "WorkLogged", "TermsPublished"} <= facts
    assert not facts & {"ProbeResult", "TargetDeclared", "CreditGranted"}


def test_every_subscriber_of_a_running_service_is_an_operation_with_its_group(found: dict[str, Any]) -> None:
    settings = usual_settings()
    broker: Any = build(SlaSettings(), settings).broker
    expected = {("sla", topic.name, group) for topic, _, group in subscribed(broker, settings)}
    assert {name for _, name, _ in expected} == {"probe.results", "sla.journal"}
    received = {
        (
            one["tags"][0]["name"],
            one["channel"]["$ref"].rpartition("/")[2],
            one["bindings"]["kafka"]["groupId"]["enum"][0],
        )
        for one in found["operations"].values()
        if one["action"] == "receive" and "bindings" in one
    }
    others = {
        "billing": {"sla.credits", "sla.quota"},
        "support": {"sla.deadlines", "sla.quota", "subscription.events"},
        "notify": {
            *("sla.deadlines", "sla.quota", "sla.notices"),
            *("subscription.events", "terms.events", "ticket.events"),
        },
    }
    assert received == expected | {
        (service, topic, f"garant-{service}") for service, topics in others.items() for topic in topics
    }


def test_no_two_operations_have_one_name(found: dict[str, Any]) -> None:
    assert len(found["operations"]) == len(operations())


def test_a_topic_that_is_sent_is_received_by_somebody_or_made_for_people(found: dict[str, Any]) -> None:
    by_action: dict[str, set[str]] = {"send": set(), "receive": set()}
    for one in found["operations"].values():
        by_action[one["action"]].add(one["channel"]["$ref"].rpartition("/")[2])
    for_people = {"sla.months", "sla.rejected", "dead.letters"}
    assert by_action["send"] - by_action["receive"] == for_people
