"""Who may do what on the log: one identity for each service, with the least rights that work.

From this table come the ACLs (`garant topics --acls`), what a service checks at its start, and the page on
security. A test compares it with what the services' own brokers subscribe to and what they say.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from shared.settings import KafkaSettings
from shared.topics import (
    CREDITS,
    DEAD_LETTERS,
    DEADLINES,
    JOURNAL,
    MONTHS,
    NOTICES,
    PROBE_RESULTS,
    PROMISES_STATE,
    QUOTA,
    REJECTED,
    SUBSCRIPTION_EVENTS,
    TERMS_EVENTS,
    TICKET_EVENTS,
    TOPICS,
    UPTIME_CHANGES,
    UPTIME_STATE,
    Topic,
)

Operation = Literal["Read", "Write", "Create", "Describe", "DescribeConfigs"]


class Access(Struct, frozen=True):
    """What one identity does on the log; `groups` are named as `KafkaSettings.group` takes them. To read or
    to write a topic or a group brings the right to describe it; an idempotent producer needs no more than to
    write (Kafka 3.0 and later)."""

    service: str
    what: str
    reads: tuple[Topic, ...] = ()
    writes: tuple[Topic, ...] = ()
    groups: tuple[str, ...] = ()
    creates: tuple[Topic, ...] = ()

    @property
    def topics(self) -> tuple[Topic, ...]:
        """Every topic it has to do with, in the registry's order."""
        mine = {topic.name for topic in (*self.reads, *self.writes, *self.creates)}
        return tuple(topic for topic in TOPICS if topic.name in mine)


class Grant(Struct, frozen=True, order=True):
    """One right of one user: to do `operation` on exactly the topic or group `name`."""

    user: str
    resource: Literal["topic", "group"]
    name: str
    operation: Operation


ACCESSES = (
    Access("probe", "an agent", writes=(PROBE_RESULTS,)),
    Access(
        "sla",
        "both folds and the journal",
        reads=(
            *(PROBE_RESULTS, UPTIME_CHANGES, SUBSCRIPTION_EVENTS, TICKET_EVENTS, TERMS_EVENTS),
            *(JOURNAL, UPTIME_STATE, PROMISES_STATE),
        ),
        writes=(
            *(UPTIME_CHANGES, JOURNAL, MONTHS, CREDITS, DEADLINES, QUOTA, NOTICES, REJECTED),
            *(DEAD_LETTERS, UPTIME_STATE, PROMISES_STATE),
        ),
        groups=("uptime", "promises"),
    ),
    Access(
        "billing",
        "ledger and invoices",
        reads=(CREDITS, QUOTA),
        writes=(SUBSCRIPTION_EVENTS, DEAD_LETTERS),
        groups=("billing",),
    ),
    Access(
        "support",
        "requests and work",
        reads=(SUBSCRIPTION_EVENTS, DEADLINES, QUOTA),
        writes=(TICKET_EVENTS, DEAD_LETTERS),
        groups=("support",),
    ),
    Access(
        "notify",
        "letters",
        reads=(SUBSCRIPTION_EVENTS, TICKET_EVENTS, TERMS_EVENTS, DEADLINES, QUOTA, NOTICES),
        writes=(DEAD_LETTERS,),
        groups=("notify",),
    ),
    Access("status", "the public status page", reads=(UPTIME_CHANGES, TERMS_EVENTS)),
    Access(
        "operator",
        "a person who runs `garant publish`: maintenance, corrections, terms",
        writes=(UPTIME_CHANGES, TERMS_EVENTS),
    ),
    Access(
        "auditor",
        "a person who runs `garant explain`, `garant replay` and `garant reconcile`; reads, never writes",
        reads=tuple(topic for topic in TOPICS if not topic.compacted),
    ),
    Access("admin", "who runs `garant topics`: creates topics, reads and writes none", creates=TOPICS),
)
"""Every identity; the folds' states are for the service that wrote them only."""

ACCESS = {access.service: access for access in ACCESSES}


def user(settings: KafkaSettings, service: str) -> str:
    """The name of a service's identity on this broker; its principal is `User:` and this."""
    return settings.group(service)


def grants(settings: KafkaSettings, service: str) -> tuple[Grant, ...]:
    """Every right of the identity of `service`, under the settings' prefix."""
    return tuple(sorted(_grants(settings, ACCESS[service])))


def _grants(settings: KafkaSettings, access: Access) -> Iterator[Grant]:
    name = user(settings, access.service)
    wanted: tuple[tuple[Operation, tuple[Topic, ...]], ...] = (
        ("Read", access.reads),
        ("Write", access.writes),
        ("Create", access.creates),
        ("Describe", access.creates),
        ("DescribeConfigs", access.creates),
    )
    for operation, topics in wanted:
        for topic in topics:
            yield Grant(name, "topic", settings.topic(topic), operation)
    for group in access.groups:
        yield Grant(name, "group", settings.group(group), "Read")
