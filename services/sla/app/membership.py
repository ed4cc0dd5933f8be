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
    """Its subscribers join their groups at once, and each waits until no instance of other rules is a member
    of its group any more. One that waits disturbs none that has joined."""

    _waits = False

    async def start(self) -> None:
        """As KafkaBroker does, which starts one after another."""
        await self.connect()
        await asyncio.gather(*(self._join(subscriber) for subscriber in self.subscribers))
        metrics.WAITING_FOR_OLD.set(0)
        for publisher in self.publishers:
            await publisher.start()
        self.running = True

    async def _join(self, subscriber: Any) -> None:
        while True:
            try:
                await subscriber.start()
                return
            except InconsistentGroupProtocolError:
                await subscriber.stop()
                self._say_waiting()
                await asyncio.sleep(RETRY_S)

    def _say_waiting(self) -> None:
        if self._waits:
            return
        self._waits = True
        metrics.WAITING_FOR_OLD.set(1)
        log.warning(
            "rules.waiting",
            rules=rules.RULES_VERSION,
            what="instances that fold by other rules own the partitions; taking over when the last of them "
            "is stopped",
        )


def member_id(consumer: Any) -> str:
    """The id by which the group knows this one; aiokafka forgets it when the group does not know it."""
    return str(consumer._coordinator.member_id)


async def check_name(settings: KafkaSettings, group: str, instance: str, consumer: Any, member: str) -> None:
    """Raises NameTaken where the group has given this one's place to another of the same name; `member` is
    the id that the group knew this one by."""
    if not instance or member_id(consumer):
        return
    # The broker makes a member's id of its name and a UUID, another one for each that joins.
    length = len(instance) + 1 + _UUID_LENGTH
    for other in await asyncio.to_thread(_members, settings, group):
        if other.startswith(f"{instance}-") and len(other) == length and other != member:
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
