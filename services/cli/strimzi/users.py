"""Each identity of the access table as a KafkaUser: its password, its least rights, its quotas."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from services.cli.acls import by_resource
from services.cli.strimzi.resource import resource
from shared.access import ACCESSES, Access, grants, user
from shared.settings import KafkaSettings

_MIB = 1024 * 1024


class Quota(Struct, frozen=True):
    """Of all clients of one user together, at each broker: MiB a second in and out, and percent of one of the
    broker's threads. Beyond it they are slowed down, and nothing is lost."""

    produce_mib: int
    consume_mib: int
    percent: int


QUOTAS = {
    "probe": Quota(8, 1, 100),
    "sla": Quota(64, 128, 300),  # a restart reads states, a lost state reads the topics from their beginning
    "billing": Quota(8, 32, 100),
    "support": Quota(8, 32, 100),
    "notify": Quota(8, 32, 100),
    "status": Quota(1, 32, 100),  # reads every change at its first start
    "operator": Quota(8, 1, 50),
    "auditor": Quota(1, 64, 100),
    "admin": Quota(1, 1, 50),
}
"""Far above what a service needs (a thousand results a second are 0.4 MiB): they keep one that runs wild, or
whose password was stolen, from taking the broker away from the others."""
_TOPICS_A_SECOND = 10.0
"""Of topics' partitions made, by who may make any."""


def users(settings: KafkaSettings, cluster: str) -> list[dict[str, Any]]:
    """One for each identity; the operator makes its password. Raises UnusableName."""
    return [_user(settings, cluster, access) for access in ACCESSES]


def _user(settings: KafkaSettings, cluster: str, access: Access) -> dict[str, Any]:
    quota = QUOTAS[access.service]
    quotas: dict[str, Any] = {
        "producerByteRate": quota.produce_mib * _MIB,
        "consumerByteRate": quota.consume_mib * _MIB,
        "requestPercentage": quota.percent,
    }
    if access.creates:
        quotas["controllerMutationRate"] = _TOPICS_A_SECOND
    return resource(
        "KafkaUser",
        user(settings, access.service),
        cluster,
        {
            "authentication": {"type": "scram-sha-512"},
            "authorization": {"type": "simple", "acls": _acls(settings, access)},
            "quotas": quotas,
        },
        {"garant.ch/what": access.what},
    )


def _acls(settings: KafkaSettings, access: Access) -> list[dict[str, Any]]:
    return [
        {
            "type": "allow",
            "resource": {"type": grant.resource, "name": grant.name, "patternType": "literal"},
            "operations": operations,
            "host": "*",
        }
        for grant, operations in by_resource(list(grants(settings, access.service)))
    ]
