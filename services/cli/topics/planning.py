"""What stands between the topics on a broker and the registry: what to make, what to change, what to leave,
and what only a person may decide. Pure: nothing is asked and nothing done here."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from shared.settings import KafkaSettings
from shared.topic_admin import Layout, misfits, topic_config
from shared.topics import TOPICS, Topic

_KEEPS_HISTORY = ("retention.ms", "retention.bytes")
_ONLY_RAISED = ("max.message.bytes", "min.insync.replicas")
"""Higher is as good: somebody wanted it so, and lowering could refuse records that are taken now."""


class Difference(Struct, frozen=True):
    """A setting of a topic, by its name on the broker: as it is `now`, and as the registry has it."""

    topic: str
    setting: str
    now: str
    wanted: str


class Plan(Struct, frozen=True):
    """What would bring a broker to the registry; with `refusals` nothing of it may be done. What is `left` is
    another than the registry's, and as good."""

    make: tuple[Topic, ...]
    change: tuple[Difference, ...]
    left: tuple[Difference, ...]
    refusals: tuple[str, ...]


def plan(settings: KafkaSettings, layout: Layout, now: Mapping[str, Mapping[str, str]]) -> Plan:
    """The plan for a broker of this `layout`, whose topics have the settings `now`, by their names there."""
    make = tuple(topic for topic in TOPICS if settings.topic(topic) not in layout.topics)
    refusals = misfits(settings, layout)
    change, left = [], []
    for topic in TOPICS:
        name = settings.topic(topic)
        if name not in layout.topics:
            continue
        for setting, wanted in topic_config(topic, settings.replication).items():
            one = Difference(name, setting, now[name].get(setting, ""), wanted)
            if _same(one):
                continue
            if _forgets(one):
                refusals.append(_refusal(settings, one))
            elif setting in _ONLY_RAISED and _number(one.now) > _number(wanted):
                left.append(one)
            else:
                change.append(one)
    return Plan(make, tuple(change), tuple(left), tuple(refusals))


def _same(one: Difference) -> bool:
    if one.setting == "min.cleanable.dirty.ratio":
        return one.now != "" and float(one.now) == float(one.wanted)
    return one.now == one.wanted


def _forgets(one: Difference) -> bool:
    """Whether records would be deleted sooner than now. By the policy "delete" only what retention says is
    deleted, and that is compared by itself."""
    if one.setting in _KEEPS_HISTORY:
        return _kept(one.wanted) < _kept(one.now)
    return one.setting == "cleanup.policy" and "compact" in one.wanted and "compact" not in one.now


def _refusal(settings: KafkaSettings, one: Difference) -> str:
    return (
        f"Topic {one.topic} has {one.setting} {one.now}, the registry {one.wanted}: records would be deleted "
        "sooner than now. If that is meant: kafka-configs.sh --bootstrap-server "
        f"{settings.bootstrap} --command-config admin.properties --alter --entity-type topics "
        f"--entity-name {one.topic} --add-config {one.setting}={one.wanted}"
    )


def _kept(value: str) -> float:
    """Of a limit how much it keeps; none keeps everything."""
    number = _number(value)
    return float("inf") if number < 0 else number


def _number(value: str) -> int:
    return int(value or "-1")
