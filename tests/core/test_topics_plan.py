"""What would bring a broker's topics to the registry, and what is left to a person."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import settings as tried
from hypothesis import strategies as st

from services.cli.topics.planning import Difference, plan
from shared.settings import KafkaSettings
from shared.topic_admin import Found, Layout, topic_config
from shared.topics import JOURNAL, PROBE_RESULTS, PROMISES_STATE, TOPICS

BROKERS = 3


@pytest.fixture(autouse=True)
def _plain(clean_environment: pytest.MonkeyPatch) -> None:
    """Settings as they are when nothing is set."""


def settings() -> KafkaSettings:
    return KafkaSettings(replication=3, bootstrap="kafka:9092")


def layout(**found: Found) -> Layout:
    """Everything as it should be, except for what is named (with `_` for the dot)."""
    usual = {topic.name: Found(settings().partitions(topic), 3) for topic in TOPICS}
    return Layout(BROKERS, usual | {name.replace("_", "."): one for name, one in found.items()})


def configs(**changed: dict[str, str]) -> dict[str, dict[str, str]]:
    usual = {topic.name: topic_config(topic, 3) for topic in TOPICS}
    for name, some in changed.items():
        usual[name.replace("_", ".")] |= some
    return usual


def test_what_is_as_the_registry_has_it_needs_nothing() -> None:
    found = plan(settings(), layout(), configs())
    assert (found.make, found.change, found.left, found.refusals) == ((), (), (), ())


def test_what_is_missing_is_made_and_what_differs_is_set() -> None:
    have = layout()
    del have.topics[JOURNAL.name]
    found = plan(settings(), have, configs(sla_credits={"message.timestamp.type": "LogAppendTime"}))
    assert found.make == (JOURNAL,)
    assert found.change == (
        Difference("sla.credits", "message.timestamp.type", "LogAppendTime", "CreateTime"),
    )
    assert found.refusals == ()


@pytest.mark.parametrize(
    ("have", "now", "told"),
    [
        (layout(sla_credits=Found(4, 3)), {}, "Topic sla.credits has 4 partitions, the settings ask for 3"),
        (layout(sla_credits=Found(2, 3)), {}, "Topic sla.credits has 2 partitions, the settings ask for 3"),
        (layout(sla_credits=Found(3, 2)), {}, "Topic sla.credits has 2 replicas, the settings ask for 3"),
        (layout(), {"probe_results": {"retention.ms": "-1"}}, "Topic probe.results has retention.ms -1"),
        (
            layout(),
            {"sla_promises_state": {"cleanup.policy": "delete"}},
            "Topic sla.promises.state has cleanup.policy delete, the registry compact",
        ),
    ],
)
def test_what_only_a_person_may_decide_is_one_line_with_what_to_do(
    have: Layout, now: dict[str, dict[str, str]], told: str
) -> None:
    (line,) = plan(settings(), have, configs(**now)).refusals
    assert line.startswith(told)
    assert "\n" not in line
    assert any(word in line for word in ("Set GARANT_KAFKA_", "or set GARANT_KAFKA_", "kafka-configs.sh"))


def test_every_mistake_is_told_not_only_the_first() -> None:
    have = layout(sla_credits=Found(4, 3), sla_journal=Found(4, 2))
    assert len(plan(settings(), have, configs(probe_results={"retention.ms": "-1"})).refusals) == 4


def test_too_few_brokers_matter_only_where_something_is_to_be_made() -> None:
    have = Layout(2, layout().topics)
    assert plan(settings(), have, configs()).refusals == ()
    del have.topics[JOURNAL.name]
    (line,) = plan(settings(), have, configs()).refusals
    assert "has 2 brokers. Start more brokers, or set GARANT_KAFKA_REPLICATION to 2" in line


def test_more_than_enough_is_left_and_told() -> None:
    more = {"max.message.bytes": "99999999", "min.insync.replicas": "3"}
    found = plan(settings(), layout(), configs(sla_journal=more))
    assert found.change == ()
    assert [(one.setting, one.now) for one in found.left] == [
        ("max.message.bytes", "99999999"),
        ("min.insync.replicas", "3"),
    ]
    less = {"max.message.bytes": "1000", "min.insync.replicas": "1"}
    assert len(plan(settings(), layout(), configs(sla_journal=less)).change) == 2


def test_a_history_topic_that_was_compacted_is_kept_whole_from_now_on() -> None:
    found = plan(settings(), layout(), configs(sla_journal={"cleanup.policy": "compact"}))
    assert [(one.now, one.wanted) for one in found.change] == [("compact", "delete")]


def kept(value: str) -> float:
    return math.inf if int(value) < 0 else int(value)


LIMITS = st.integers(min_value=-1, max_value=10**12).map(str)


@tried(deadline=None)
@given(
    topic=st.sampled_from([JOURNAL, PROBE_RESULTS, PROMISES_STATE]),
    ms=LIMITS,
    size=LIMITS,
    policy=st.sampled_from(["delete", "compact", "compact,delete", "delete,compact"]),
)
def test_whatever_is_found_nothing_is_ever_kept_shorter(topic, ms, size, policy) -> None:  # type: ignore[no-untyped-def]
    now = configs()
    now[topic.name] |= {"retention.ms": ms, "retention.bytes": size, "cleanup.policy": policy}
    found = plan(settings(), layout(), now)
    for one in found.change:
        if one.setting.startswith("retention."):
            assert kept(one.wanted) > kept(one.now)
        if one.setting == "cleanup.policy" and "compact" in one.wanted:
            assert "compact" in one.now
    differ = {name for name, value in topic_config(topic, 3).items() if now[topic.name][name] != value}
    assert len(found.change) + len(found.refusals) == len(differ), "each difference is set or told"
