"""`garant topics apply` on a real broker: it makes and brings right what it may, and where something is for a
person it changes nothing at all."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from kafka import KafkaAdminClient
from kafka.admin import NewTopic

from services.cli.acls import apply as apply_acls
from services.cli.topics.altering import alter
from services.cli.topics.applying import CannotApply, carry_out, prepare
from shared.access import ACCESS
from shared.rights import Refused, check_rights
from shared.security import blocking_arguments
from shared.settings import KafkaSettings
from shared.topic_admin import (
    Layout,
    TooFewBrokers,
    ensure_topics,
    look,
    settings_of_topics,
    topic_config,
)
from shared.topics import CREDITS, JOURNAL, MONTHS, PROBE_RESULTS, TOPICS, Topic
from tests.kafka.conftest import GARANT
from tests.kafka.secure_kafka import SecureKafka, secure_kafka
from tests.waiting import eventually

PASSWORD = "swordfish"  # noqa: S105


@pytest.fixture
def empty(kafka_settings: KafkaSettings) -> Iterator[KafkaSettings]:
    """An installation without topics; what the test makes is deleted after it."""
    yield kafka_settings
    admin = KafkaAdminClient(**blocking_arguments(kafka_settings))
    admin.delete_topics([name for name in admin.list_topics() if name.startswith(kafka_settings.prefix)])
    admin.close()


def make(settings: KafkaSettings, topic: Topic, partitions: int | None = None, **config: str) -> None:
    """Makes one topic by hand, as somebody did before; `_` stands for the dot of a setting."""
    admin = KafkaAdminClient(**blocking_arguments(settings))
    own = {name.replace("_", "."): value for name, value in config.items()}
    number = partitions or settings.partitions(topic)
    admin.create_topics([NewTopic(settings.topic(topic), number, 1, topic_configs=topic_config(topic) | own)])
    admin.close()
    eventually(lambda: settings.topic(topic) in seen(settings).topics)


def seen(settings: KafkaSettings) -> Layout:
    return asyncio.run(look(settings))


def now(settings: KafkaSettings, topic: Topic) -> dict[str, str]:
    name = settings.topic(topic)
    return settings_of_topics(settings, [name])[name]


def garant(env: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [GARANT, *arguments], env={**os.environ, **env}, capture_output=True, text=True, timeout=240
    )


def test_on_an_empty_broker_it_makes_what_the_services_would_and_then_nothing(empty: KafkaSettings) -> None:
    told = garant({}, "topics", "apply")
    assert told.returncode == 0, told.stderr
    assert told.stdout.count("made: ") == len(TOPICS)
    assert ensure_topics(empty) == []
    for topic in TOPICS:
        assert now(empty, topic).items() >= topic_config(topic).items()
    again = garant({}, "topics", "apply")
    assert again.stdout.startswith(f"0 topics made, 0 settings set, {len(TOPICS)} topics in all"), again
    found = prepare(empty)
    assert (found.make, found.change, found.left) == ((), (), ())


def test_a_dry_run_says_all_of_it_and_does_nothing(empty: KafkaSettings) -> None:
    make(empty, JOURNAL, retention_ms="1000000000")
    told = garant({}, "topics", "apply", "--dry-run")
    assert told.returncode == 0, told.stderr
    assert told.stdout.count("would be made: ") == len(TOPICS) - 1
    assert f"would be set: {empty.topic(JOURNAL)} retention.ms 1000000000 -> -1" in told.stdout
    assert set(seen(empty).topics) == {empty.topic(JOURNAL)}
    assert now(empty, JOURNAL)["retention.ms"] == "1000000000"


def test_it_changes_what_differs_and_nothing_else(empty: KafkaSettings) -> None:
    make(empty, JOURNAL, retention_ms="1000000000", segment_bytes="1048576", max_message_bytes="99999999")
    make(empty, MONTHS, message_timestamp_type="LogAppendTime", cleanup_policy="compact")
    carry_out(empty, prepare(empty))
    journal = eventually(lambda: (got := now(empty, JOURNAL))["retention.ms"] == "-1" and got)
    assert (journal["segment.bytes"], journal["max.message.bytes"]) == ("1048576", "99999999")
    months = now(empty, MONTHS)
    assert (months["message.timestamp.type"], months["cleanup.policy"]) == ("CreateTime", "delete")
    assert [(one.setting, one.now) for one in prepare(empty).left] == [("max.message.bytes", "99999999")]


def test_where_something_is_for_a_person_every_line_is_told_and_nothing_changes(empty: KafkaSettings) -> None:
    make(empty, CREDITS, partitions=7)
    make(empty, PROBE_RESULTS, retention_ms="-1")
    make(empty, JOURNAL, retention_ms="1000000000")
    told = garant({}, "topics", "apply")
    assert told.returncode == 1
    assert told.stdout == ""
    lines = told.stderr.splitlines()
    assert len(lines) == 3, told.stderr
    assert f"Topic {empty.topic(CREDITS)} has 7 partitions, the settings ask for 3. Set GARANT" in lines[0]
    assert f"Topic {empty.topic(PROBE_RESULTS)} has retention.ms -1, the registry 34560000000" in lines[1]
    assert f"--entity-name {empty.topic(PROBE_RESULTS)} --add-config retention.ms=34560000000" in lines[1]
    assert lines[2] == "Nothing was changed."
    assert set(seen(empty).topics) == {empty.topic(topic) for topic in (CREDITS, PROBE_RESULTS, JOURNAL)}
    assert seen(empty).topics[empty.topic(CREDITS)].partitions == 7
    assert now(empty, JOURNAL)["retention.ms"] == "1000000000"
    assert now(empty, PROBE_RESULTS)["retention.ms"] == "-1"


@pytest.mark.parametrize("command", [("topics",), ("topics", "apply"), ("sla",)], ids=" ".join)
def test_too_few_brokers_are_one_line_before_anything_is_made(
    empty: KafkaSettings, command: tuple[str, ...]
) -> None:
    told = garant({"GARANT_KAFKA_REPLICATION": "3"}, *command)
    assert told.returncode == 1
    (line,) = [line for line in told.stderr.splitlines() if line.startswith("error: ")]
    assert "GARANT_KAFKA_REPLICATION is 3" in line
    assert f"the Kafka at {empty.bootstrap} has 1 broker. Start more brokers" in line
    assert "Traceback" not in told.stderr
    assert seen(empty).topics == {}


def test_a_service_that_finds_too_few_brokers_needs_a_person(empty: KafkaSettings) -> None:
    with pytest.raises(TooFewBrokers, match=r"at most\. No topic was made"):
        ensure_topics(empty.model_copy(update={"replication": 2}), ACCESS["billing"])
    assert seen(empty).topics == {}


def test_more_copies_of_what_exists_than_there_are_brokers_are_one_line(topics: KafkaSettings) -> None:
    with pytest.raises(CannotApply) as refused:
        prepare(topics.model_copy(update={"replication": 3}))
    few, nothing = str(refused.value).splitlines()
    assert "has 1 broker. Start more brokers" in few
    assert nothing == "Nothing was changed."


def test_the_broker_says_what_it_would_not_take_without_taking_the_rest(topics: KafkaSettings) -> None:
    name, other = topics.topic(JOURNAL), topics.topic(CREDITS)
    wanted = {name: {"retention.ms": "soon", "segment.bytes": "2000000"}, other: {"segment.bytes": "2000000"}}
    (wrong,) = asyncio.run(alter(topics, wanted, only_check=True))
    assert wrong.topic == name
    assert "retention.ms" in str(wrong.error)
    assert now(topics, CREDITS)["segment.bytes"] != "2000000"
    assert asyncio.run(alter(topics, {other: {"segment.bytes": "2000000"}}, only_check=False)) == []
    eventually(lambda: now(topics, CREDITS)["segment.bytes"] == "2000000")
    assert now(topics, JOURNAL)["segment.bytes"] != "2000000"


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    with secure_kafka(tmp_path_factory.mktemp("secure")) as found:
        yield found


def let_in(secure: SecureKafka, prefix: str, *services: str) -> None:
    """Rights for all identities, a password for some."""
    apply_acls(secure.super_user(prefix))
    for service in services:
        secure.let_in(service, prefix, PASSWORD)


def plain(secure: SecureKafka, prefix: str) -> dict[str, str]:
    """The environment of a super user."""
    found = {"BOOTSTRAP": secure.plain, "PREFIX": prefix, "TARGET_PARTITIONS": "2", "ACCOUNT_PARTITIONS": "1"}
    return {f"GARANT_KAFKA_{name}": value for name, value in found.items()}


def test_an_admin_makes_topics_and_compares_them_and_a_super_user_changes_settings(
    secure: SecureKafka,
) -> None:
    let_in(secure, "own-", "admin")
    admin, above = secure.environment("admin", "own-"), secure.super_user("own-")
    made = eventually(lambda: (got := garant(admin, "topics", "apply")).returncode == 0 and got)
    assert f"{len(TOPICS)} topics made, 0 settings set" in made.stdout
    assert "0 topics made, 0 settings set" in garant(admin, "topics", "apply").stdout
    changed: dict[str, dict[str, str]] = {above.topic(JOURNAL): {"retention.ms": "1000000000"}}
    assert asyncio.run(alter(above, changed, only_check=False)) == []
    eventually(lambda: now(above, JOURNAL)["retention.ms"] == "1000000000")
    refused = garant(admin, "topics", "apply")
    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()
    assert "does not allow user own-garant-admin to change settings of topics" in line
    assert "own-sla.journal retention.ms 1000000000 -> -1" in line
    assert "as a super user" in line
    told = garant(plain(secure, "own-"), "topics", "apply")
    assert told.returncode == 0, told.stderr
    eventually(lambda: now(above, JOURNAL)["retention.ms"] == "-1")


@pytest.mark.parametrize("service", ["billing", "auditor"])
def test_who_may_not_make_topics_is_told_who_may(secure: SecureKafka, service: str) -> None:
    prefix = f"no-{service}-"
    let_in(secure, prefix, service)
    eventually(lambda: rights_are_known(secure, prefix, service))
    refused = garant(secure.environment(service, prefix), "topics", "apply")
    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()
    assert f"user {prefix}garant-{service} may not create them" in line
    assert seen(secure.super_user(prefix)).topics == {}


def rights_are_known(secure: SecureKafka, prefix: str, service: str) -> bool:
    try:
        asyncio.run(check_rights(secure.settings(service, prefix), ACCESS[service]))
    except Refused:
        return False
    return True


def test_rights_are_given_after_the_topics_and_only_told_in_a_dry_run(secure: SecureKafka) -> None:
    env = plain(secure, "both-")
    dry = garant(env, "topics", "apply", "--apply-acls", "--dry-run")
    assert "rights would be given" in dry.stdout, dry
    assert not dry.stdout.count(" 0 rights")
    assert seen(secure.super_user("both-")).topics == {}
    told = garant(env, "topics", "apply", "--apply-acls")
    assert told.returncode == 0, told.stderr
    given: Any = eventually(lambda: apply_acls(secure.super_user("both-"), only_look=True).new == ())
    assert given


def test_a_broker_without_rights_is_found_out_before_a_topic_is_made(empty: KafkaSettings) -> None:
    told = garant({}, "topics", "apply", "--apply-acls")
    assert told.returncode == 1
    (line,) = told.stderr.splitlines()
    assert "keeps no ACLs" in line
    assert seen(empty).topics == {}
