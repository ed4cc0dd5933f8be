"""A Kafka for the topics: three controllers, and brokers apart from them, spread over the zones."""

from __future__ import annotations

from typing import Any

from services.cli.strimzi.resource import resource
from shared.settings import KafkaSettings

KAFKA, METADATA = "4.3.1", "4.3-IV0"
"""What everything is tested with (deploy/kafka/jars.lock)."""
_ZONE, _HOST = "topology.kubernetes.io/zone", "kubernetes.io/hostname"


def cluster(settings: KafkaSettings, name: str) -> dict[str, Any]:
    """The Kafka resource."""
    spec = {
        "kafka": {
            "version": KAFKA,
            "metadataVersion": METADATA,
            "listeners": [_listener()],
            "authorization": {"type": "simple"},
            "rack": {"topologyKey": _ZONE},
            "config": broker_config(settings),
            "metricsConfig": {"type": "strimziMetricsReporter"},
            "template": {"podDisruptionBudget": {"maxUnavailable": 1}},
        },
        "entityOperator": {
            "topicOperator": {"resources": _resources("256Mi", "100m")},
            "userOperator": {"resources": _resources("256Mi", "100m")},
        },
        "kafkaExporter": {
            "topicRegex": ".*",
            "groupRegex": f"{settings.group('')}.*",
            "resources": _resources("128Mi", "50m"),
        },
    }
    return resource("Kafka", name, name, spec)


def broker_config(settings: KafkaSettings) -> dict[str, Any]:
    """What history needs of every broker; the same as deploy/kafka/broker.properties, with copies."""
    copies, at_least = min(3, settings.replication), (min(3, settings.replication) + 1) // 2
    return {
        "default.replication.factor": settings.replication,
        "min.insync.replicas": (settings.replication + 1) // 2,
        "offsets.topic.replication.factor": copies,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": at_least,
        "share.coordinator.state.topic.replication.factor": copies,
        "share.coordinator.state.topic.min.isr": at_least,
        # Never a copy that lacks what was acknowledged, and no topic by a slip: a KafkaTopic that is deleted
        # would take its history with it.
        "unclean.leader.election.enable": False,
        "auto.create.topics.enable": False,
        "delete.topic.enable": False,
        "log.retention.ms": -1,
        "log.retention.bytes": -1,
        "offsets.retention.minutes": 525_600,
        "message.max.bytes": 16_777_216,
        "replica.fetch.max.bytes": 16_777_216,
    }


def pools(settings: KafkaSettings, name: str) -> list[dict[str, Any]]:
    """The nodes: as many brokers as there are copies, three at least, so that one may be away."""
    return [
        _pool(name, "controller", 3, "10Gi", "1Gi", "250m", "512m"),
        _pool(name, "broker", max(3, settings.replication), "100Gi", "4Gi", "1", "2g"),
    ]


def _pool(
    cluster_name: str, role: str, replicas: int, disk: str, memory: str, cpu: str, heap: str
) -> dict[str, Any]:
    spread = [_spread(cluster_name, role, key) for key in (_ZONE, _HOST)]
    spec = {
        "replicas": replicas,
        "roles": [role],
        "storage": {
            "type": "jbod",
            "volumes": [
                {
                    "id": 0,
                    "type": "persistent-claim",
                    "size": disk,
                    "deleteClaim": False,
                    "kraftMetadata": "shared",
                }
            ],
        },
        "resources": _resources(memory, cpu),
        "jvmOptions": {"-Xms": heap, "-Xmx": heap},
        "template": {"pod": {"topologySpreadConstraints": spread}},
    }
    return resource("KafkaNodePool", role, cluster_name, spec)


def _spread(cluster_name: str, role: str, key: str) -> dict[str, Any]:
    return {
        "maxSkew": 1,
        "topologyKey": key,
        "whenUnsatisfiable": "ScheduleAnyway" if key == _ZONE else "DoNotSchedule",
        "labelSelector": {"matchLabels": {"strimzi.io/cluster": cluster_name, "strimzi.io/pool-name": role}},
    }


def _listener() -> dict[str, Any]:
    """TLS and a password, and reached by our own pods only."""
    return {
        "name": "tls",
        "port": 9093,
        "type": "internal",
        "tls": True,
        "authentication": {"type": "scram-sha-512"},
        "networkPolicyPeers": [
            {
                "namespaceSelector": {},
                "podSelector": {"matchLabels": {"app.kubernetes.io/name": "garant"}},
            }
        ],
    }


def _resources(memory: str, cpu: str) -> dict[str, Any]:
    return {"requests": {"memory": memory, "cpu": cpu}, "limits": {"memory": memory}}
