"""The registry of topics: every record has its place, accounts stay together, history is kept for ever."""

from __future__ import annotations

from typing import get_args

import pytest

from shared import facts, outcomes, topics
from shared.settings import KafkaSettings
from shared.time import DAY
from shared.topics import TOPIC_OF, TOPICS, Spread, Topic, key_of
from tests.core.telling import observed, published, started, terms_with

ACCOUNTS = ["subscription.events", "ticket.events", "sla.months", "sla.credits", "sla.deadlines", "sla.quota"]


@pytest.fixture(autouse=True)
def _plain(clean_environment: pytest.MonkeyPatch) -> None:
    """Settings as they are when nothing is set."""


def test_every_fact_and_outcome_has_one_topic() -> None:
    records = [*get_args(facts.Fact), *get_args(outcomes.Outcome)]
    assert {record.__name__ for record in records} - {one.__name__ for one in TOPIC_OF} == {"ClockAdvanced"}
    assert len([record for topic in TOPICS for record in topic.records]) == len(TOPIC_OF)


def test_names_are_those_of_the_wire_contract() -> None:
    assert {topic.name for topic in TOPICS} == {
        *("probe.results", "uptime.changes", "subscription.events", "ticket.events", "terms.events"),
        *("sla.journal", "sla.months", "sla.credits", "sla.deadlines", "sla.quota", "sla.notices"),
        *("sla.rejected", "dead.letters", "sla.uptime.state", "sla.promises.state"),
    }
    assert len({topic.name for topic in TOPICS}) == len(TOPICS)


def test_facts_of_accounts_have_the_same_number_of_partitions_as_the_journal() -> None:
    settings = KafkaSettings(account_partitions=5, target_partitions=7)
    journal = settings.partitions(topics.JOURNAL)
    assert {settings.partitions(topic) for topic in TOPICS if topic.name in ACCOUNTS} == {journal} == {5}
    assert settings.partitions(topics.PROBE_RESULTS) == settings.partitions(topics.UPTIME_STATE) == 7
    assert settings.partitions(topics.TERMS_EVENTS) == 1


def test_only_results_are_ever_deleted_and_only_states_compacted() -> None:
    assert {topic.name: topic.kept_ms for topic in TOPICS if topic.kept_ms} == {"probe.results": 400 * DAY}
    assert {topic.name for topic in TOPICS if topic.compacted} == {"sla.uptime.state", "sla.promises.state"}
    assert {topic.name for topic in TOPICS if topic.append_time} == {"probe.results", "sla.journal"}


@pytest.mark.parametrize(
    ("record", "topic", "key"),
    [
        (observed(0), topics.UPTIME_CHANGES, b"app"),
        (started(), topics.SUBSCRIPTION_EVENTS, b"A-1"),
        (published(terms_with(), "v"), topics.TERMS_EVENTS, b"v"),
        (outcomes.FactRejected("", None, outcomes.Stamp(0, 0, 0, "")), topics.REJECTED, None),
    ],
)
def test_the_key_of_a_record(record: object, topic: Topic, key: bytes | None) -> None:
    assert TOPIC_OF[type(record)] is topic
    assert key_of(record) == key


def test_a_record_of_no_topic_has_no_key() -> None:
    with pytest.raises(KeyError):
        key_of(facts.ClockAdvanced())


def test_every_key_is_a_field_of_its_records() -> None:
    for topic in TOPICS:
        for record in topic.records:
            assert topic.key is None or topic.key in record.__struct_fields__, (topic.name, record)


def test_a_prefix_stands_before_every_topic_and_group() -> None:
    settings = KafkaSettings(prefix="test-")
    assert settings.topic(topics.JOURNAL) == "test-sla.journal"
    assert settings.group("sla") == "test-garant-sla"
    assert KafkaSettings().topic(topics.JOURNAL) == "sla.journal"
    assert {topic.spread for topic in TOPICS} == set(Spread)
