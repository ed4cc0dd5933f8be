"""Each topic of the registry as a KafkaTopic."""

from __future__ import annotations

from typing import Any

from services.cli.strimzi.resource import resource
from shared.settings import KafkaSettings
from shared.topic_admin import topic_config
from shared.topics import TOPICS, Topic


def topics(settings: KafkaSettings, cluster: str) -> list[dict[str, Any]]:
    """Laid out just as `garant topics apply` does. Raises UnusableName."""
    return [_topic(settings, cluster, topic) for topic in TOPICS]


def _topic(settings: KafkaSettings, cluster: str, topic: Topic) -> dict[str, Any]:
    return resource(
        "KafkaTopic",
        settings.group(topic.name.replace(".", "-")),  # as the users: PREFIXgarant-...
        cluster,
        {
            "topicName": settings.topic(topic),
            "partitions": settings.partitions(topic),
            "replicas": settings.replication,
            "config": topic_config(topic, settings.replication),
        },
        {"garant.ch/what": topic.what, "garant.ch/key": topic.key or "none"},
    )
