"""The topics on a broker: as the registry wants them laid out, as the broker has them, and making those that
are missing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic
from kafka.errors import (
    ClusterAuthorizationFailedError,
    InvalidReplicationFactorError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)
from msgspec import Struct

from shared.access import Access
from shared.errors import NeedsAPerson
from shared.metadata import TopicsAsked
from shared.rights import HOW, check_rights, connect
from shared.security import blocking_arguments, identity
from shared.settings import KafkaSettings
from shared.topics import MAX_RECORD_BYTES, TOPICS, Topic

_KNOWN_S = 10.0


class TopicMismatch(NeedsAPerson):
    """A topic exists with another number of partitions than the registry asks for."""


class TopicsMissing(NeedsAPerson):
    """Topics are missing, and we have no right to create them."""


class TooFewBrokers(NeedsAPerson):
    """Topics are to have more copies than there are brokers."""


class Found(Struct, frozen=True):
    """A topic as the broker has it; `replication` is the number of copies of its least copied partition."""

    partitions: int
    replication: int


class Layout(Struct, frozen=True):
    """What a broker says of itself: how many `brokers` there are, and the topics asked for that exist and
    that we may know of, by their names there."""

    brokers: int
    topics: dict[str, Found]


def topic_config(topic: Topic, replication: int = 1) -> dict[str, str]:
    """The broker's settings for a topic of the registry. From three copies on, a record is only acknowledged
    once a majority of them has it: with the broker's own default of one it could be lost with one disk."""
    found = {
        "cleanup.policy": "compact" if topic.compacted else "delete",
        "retention.ms": "-1" if topic.kept_ms is None else str(topic.kept_ms),
        "retention.bytes": "-1",
        "message.timestamp.type": "LogAppendTime" if topic.append_time else "CreateTime",
        "max.message.bytes": str(MAX_RECORD_BYTES),
        "min.cleanable.dirty.ratio": "0.2",
    }
    if replication >= 3:
        found["min.insync.replicas"] = str((replication + 1) // 2)
    return found


def new_topic(settings: KafkaSettings, topic: Topic) -> Any:
    """The request to make `topic` as the registry and the settings want it."""
    return NewTopic(
        settings.topic(topic),
        settings.partitions(topic),
        settings.replication,
        topic_configs=topic_config(topic, settings.replication),
    )


def ensure_topics(settings: KafkaSettings, access: Access | None = None) -> list[str]:
    """Creates the registry's topics that are missing and returns their names. With security on and `access`
    given, only those it names concern us, and we have the rights to do what it says.

    Raises TopicMismatch where one exists with another number of partitions: keys would land elsewhere;
    TopicsMissing where we may not create them; TooFewBrokers for the copies asked for, and then none is made;
    Refused where we lack a right.
    """
    wanted: Sequence[Topic] = TOPICS
    if access is not None and settings.secured:
        asyncio.run(check_rights(settings, access))
        wanted = access.topics
    admin = KafkaAdminClient(**blocking_arguments(settings))
    try:
        existing = set(admin.list_topics())
        missing = [topic for topic in wanted if settings.topic(topic) not in existing]
        try:
            if missing:
                admin.create_topics([new_topic(settings, topic) for topic in missing])
        except TopicAlreadyExistsError:
            existing |= {settings.topic(topic) for topic in missing}  # another instance was faster
        except (TopicAuthorizationFailedError, ClusterAuthorizationFailedError) as error:
            raise may_not_create(settings, missing) from error
        except InvalidReplicationFactorError as error:
            raise too_few_brokers(settings, len(admin.describe_cluster()["brokers"])) from error
        _check_partitions(admin, settings, existing)
        return [settings.topic(topic) for topic in missing]
    finally:
        admin.close()


async def look(settings: KafkaSettings, topics: Sequence[Topic] = TOPICS) -> Layout:
    """What the broker has; changes nothing. Raises Refused, or one of `rights.UNREACHABLE`."""
    connection = await connect(settings)
    try:
        answer = await connection.send(TopicsAsked([settings.topic(topic) for topic in topics]))
    finally:
        connection.close()
    found = {
        name: Found(len(parts), min(len(replicas) for _, _, _, _, replicas, _, _ in parts))
        for error, name, _, parts, _ in answer.topics
        if error == 0
    }
    return Layout(len(answer.brokers), found)


def misfits(settings: KafkaSettings, layout: Layout, topics: Sequence[Topic] = TOPICS) -> list[str]:
    """What only a person can mend before topics are as the settings ask, each in a line: other numbers of
    partitions, too few copies, too few brokers."""
    wanting = [
        topic
        for topic in topics
        if (found := layout.topics.get(settings.topic(topic))) is None
        or found.replication < settings.replication
    ]
    too_few = bool(wanting) and settings.replication > layout.brokers
    lines = [str(too_few_brokers(settings, layout.brokers))] if too_few else []
    for topic in topics:
        found = layout.topics.get(settings.topic(topic))
        if found is None:
            continue
        if found.partitions != settings.partitions(topic):
            lines.append(_other_partitions(settings, topic, found.partitions))
        if found.replication < settings.replication and not too_few:  # more copies than that cannot be had
            lines.append(
                f"Topic {settings.topic(topic)} has {found.replication} replicas, the settings ask for "
                f"{settings.replication}. Add replicas with kafka-reassign-partitions.sh, or set "
                f"GARANT_KAFKA_REPLICATION to {found.replication} to live with that few."
            )
    return lines


def too_few_brokers(settings: KafkaSettings, brokers: int) -> TooFewBrokers:
    """That `brokers` are too few, and what to do."""
    return TooFewBrokers(
        f"GARANT_KAFKA_REPLICATION is {settings.replication}, but the Kafka at {settings.bootstrap} has "
        f"{brokers} {'broker' if brokers == 1 else 'brokers'}. Start more brokers, or set "
        f"GARANT_KAFKA_REPLICATION to {brokers} at most. No topic was made."
    )


def may_not_create(settings: KafkaSettings, missing: Sequence[Topic]) -> TopicsMissing:
    """That the `missing` topics are for somebody else to make, and how."""
    return TopicsMissing(
        f"Topics are missing, and {identity(settings)} may not create them: "
        f"{', '.join(settings.topic(topic) for topic in missing)}. Run `garant topics` as an "
        f"administrator first; {HOW}."
    )


def _check_partitions(admin: Any, settings: KafkaSettings, existing: set[str]) -> None:
    wanted = {settings.topic(topic): topic for topic in TOPICS}
    names = [name for name in wanted if name in existing]
    for described in admin.describe_topics(names) if names else []:
        topic, count = wanted[described["topic"]], len(described["partitions"])
        if count != settings.partitions(topic):
            raise TopicMismatch(_other_partitions(settings, topic, count))


def _other_partitions(settings: KafkaSettings, topic: Topic, count: int) -> str:
    return (
        f"Topic {settings.topic(topic)} has {count} partitions, the settings ask for "
        f"{settings.partitions(topic)}. Set GARANT_KAFKA_TARGET_PARTITIONS / "
        "GARANT_KAFKA_ACCOUNT_PARTITIONS to what exists: changing the number would move keys to other "
        "partitions and split their history."
    )


def topic_settings(settings: KafkaSettings, topic: Topic) -> dict[str, str]:
    """What the broker says the topic's settings are."""
    return settings_of_topics(settings, [settings.topic(topic)])[settings.topic(topic)]


def settings_of_topics(settings: KafkaSettings, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """What the broker says the settings of topics are, by their names there. A topic that was just made is
    waited for: not every broker knows it at once. Raises the error of the client library where one cannot be
    told."""
    if not names:
        return {}
    admin = KafkaAdminClient(**blocking_arguments(settings))
    deadline = time.monotonic() + _KNOWN_S
    try:
        while True:
            try:
                return _described(admin, names)
            except UnknownTopicOrPartitionError:
                if time.monotonic() >= deadline:
                    raise
            time.sleep(0.1)
    finally:
        admin.close()


def _described(admin: Any, names: Sequence[str]) -> dict[str, dict[str, str]]:
    found = {}
    for answer in admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names]):
        for code, message, _, name, entries in answer.resources:
            if code:
                raise for_code(code)(f"{name}: {message}")
            found[name] = {entry[0]: entry[1] for entry in entries}
    return found
