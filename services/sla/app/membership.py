"""Who shares the work of a group: instances that fold by the same rules, each under a name of its own.

The rules' version is in the name of the protocol by which members agree on who gets which partition. Kafka
refuses a member that has no protocol in common with the others, so two versions never own partitions of one
topic side by side (docs/adr/0013). An instance with a name keeps its partitions while it is restarted: who
joins under the name takes the place of the one before, which the group then no longer knows.
"""

from __future__ import annotations

import asyncio
from typing import Any

import structlog
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import InconsistentGroupProtocolError
from faststream.kafka import KafkaBroker
from kafka import KafkaAdminClient

from services.sla import rules
from services.sla.app import metrics
from shared.errors import NeedsAPerson
from shared.security import blocking_arguments
from shared.settings import KafkaSettings

log = structlog.get_logger()

RETRY_S = 1.0
_UUID_LENGTH = 36


class NameTaken(NeedsAPerson):
    """Another instance joined under this one's name."""


def as_member(instance: str) -> dict[str, Any]:
    """What a subscriber of the group is made with; `instance` is its name, or empty for one that has none."""
    by_rules = type("ByRules", (RangePartitionAssignor,), {"name": f"range-rules-{rules.RULES_VERSION}"})
    return {"partition_assignment_strategy": (by_rules,), "group_instance_id": instance or None}


class PatientBroker(KafkaBroker):
    """Waits at its start until no instance of other rules is a member of its groups any more."""

    async def start(self) -> None:
        waiting = False
        while True:
            try:
                await super().start()
                metrics.WAITING_FOR_OLD.set(0)
                return
            except InconsistentGroupProtocolError:
                await self.stop()
                if not waiting:
                    waiting = True
                    metrics.WAITING_FOR_OLD.set(1)
                    log.warning(
                        "rules.waiting",
                        rules=rules.RULES_VERSION,
                        what="instances that fold by other rules own the partitions; taking over when the "
                        "last of them is stopped",
                    )
                await asyncio.sleep(RETRY_S)


async def check_name(settings: KafkaSettings, group: str, instance: str, consumer: Any) -> None:
    """Raises NameTaken where the group has given this member's place to another of the same name."""
    if not instance or consumer._coordinator.member_id:  # aiokafka forgets it when the group does not know it
        return
    # The broker makes a member's id of its name and a UUID.
    length = len(instance) + 1 + _UUID_LENGTH
    for member in await asyncio.to_thread(_members, settings, group):
        if member.startswith(f"{instance}-") and len(member) == length:
            raise NameTaken(
                f"Another instance joined {group} under the name {instance}, so this one stops and leaves it "
                "the partitions. Give each instance a GARANT_SLA_INSTANCE of its own."
            )


def _members(settings: KafkaSettings, group: str) -> list[str]:
    admin = KafkaAdminClient(**blocking_arguments(settings))
    try:
        return [
            member.member_id for each in admin.describe_consumer_groups([group]) for member in each.members
        ]
    finally:
        admin.close()
