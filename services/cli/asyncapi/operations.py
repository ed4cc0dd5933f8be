"""Which part of the system reads and writes which topic, for the AsyncAPI document.

What is read through a consumer group is taken from the brokers the services themselves build, so that the
document cannot name another topic or group than the running code. FastStream knows no publishers here
(records are sent with their own headers), so what is written is derived from the types each part can say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, Literal, get_args

from faststream.kafka import KafkaBroker
from msgspec import Struct
from sqlalchemy import create_engine

from services.billing.consumer import subscribe as subscribe_billing
from services.notify.consumer import subscribe as subscribe_notify
from services.notify.taking import Rules
from services.sla import runs
from services.sla.app import intake, snapshots, uptime_worker
from services.sla.app.service import SlaSettings, build
from services.status.history import reading as status_reading
from services.support.consumer import subscribe as subscribe_support
from services.support.settings import SupportSettings
from shared import outcomes
from shared.database import wall_clock
from shared.facts import (
    DowntimeCorrected,
    MaintenanceAnnounced,
    MaintenanceCancelled,
    ProbeFact,
    SubscriptionFact,
    TermsPublished,
    TicketFact,
)
from shared.kafka import service_broker
from shared.settings import KafkaSettings
from shared.time import Instant
from shared.topics import (
    DEAD_LETTERS,
    JOURNAL,
    PROMISES_STATE,
    TOPIC_OF,
    TOPICS,
    UPTIME_STATE,
    Topic,
)


class Operation(Struct, frozen=True):
    """`part` of `service` sends the records of types `records` to `topic`, or receives them (all of the
    topic's where `records` is empty). `group` is its consumer group; `source` the `ce_source` of what it
    sends."""

    service: str
    action: Literal["send", "receive"]
    topic: Topic
    part: str
    group: str | None = None
    source: str | None = None
    records: tuple[type[Any], ...] = ()


def operations() -> list[Operation]:
    """Every operation, service after service."""
    return [*_probe(), *_sla(), *_billing(), *_support(), *_notify(), *_status(), *_operators()]


def usual_settings() -> KafkaSettings:
    """The settings nothing was said about, whatever this process's environment says."""
    usual = {name: field.default for name, field in KafkaSettings.model_fields.items()}
    return KafkaSettings.model_construct(**usual)


def subscribed(broker: KafkaBroker, settings: KafkaSettings) -> list[tuple[Topic, str, str]]:
    """Each topic `broker` subscribes to, by FastStream's own specification: with the title of the subscriber
    and its consumer group. In the registry's order: FastStream keeps subscribers in no order."""
    by_name = {settings.topic(topic): topic for topic in TOPICS}
    found = []
    for subscriber in broker.subscribers:
        described: Any = subscriber.specification
        group = getattr(subscriber, "group_id", None) or ""
        for name in described.topics:
            found.append((by_name[name], described.config.title_ or "", group))
    return sorted(found, key=lambda one: TOPICS.index(one[0]))


def _said(
    service: str, part: str, source: str, records: tuple[type[Any], ...], *, also: tuple[Topic, ...] = ()
) -> Iterator[Operation]:
    """A send for each topic the types `records` belong to, and for the topics in `also`, whole."""
    for topic in TOPICS:
        types = tuple(record for record in records if TOPIC_OF[record] is topic)
        if types or topic in also:
            yield Operation(service, "send", topic, part, source=source, records=types)


def _probe() -> Iterator[Operation]:
    yield from _said("probe", "agent", "/garant/probe/LOCATION", get_args(ProbeFact))


def _sla() -> Iterator[Operation]:
    settings = usual_settings()
    broker = build(SlaSettings(), settings).broker
    assert isinstance(broker, KafkaBroker)  # noqa: S101 - the service has no other kind
    for topic, title, group in subscribed(broker, settings):
        yield Operation("sla", "receive", topic, title, group)
    yield Operation("sla", "receive", UPTIME_STATE, "uptime fold")
    yield Operation("sla", "receive", PROMISES_STATE, "promises fold")
    for topic in (*intake.OF_THE_ACCOUNT, *intake.OF_ALL_ACCOUNTS):
        yield Operation("sla", "receive", topic, "journal intake")
    yield from _said("sla", "uptime fold", uptime_worker.SOURCE, get_args(runs.Said), also=(UPTIME_STATE,))
    yield from _said("sla", "journal intake", intake.SOURCE, (), also=(JOURNAL,))
    yield from _said(
        "sla", "promises fold", snapshots.SOURCE, get_args(outcomes.Outcome), also=(PROMISES_STATE,)
    )
    yield Operation("sla", "send", DEAD_LETTERS, "all parts", source="/garant/sla")


def _billing() -> Iterator[Operation]:
    settings = usual_settings()
    for topic, _, group in subscribed(asyncio.run(_billing_broker(settings)), settings):
        yield Operation("billing", "receive", topic, "booking", group)
    yield from _said("billing", "outbox relay", "/garant/billing", get_args(SubscriptionFact))
    yield Operation("billing", "send", DEAD_LETTERS, "booking", source="/garant/billing")


async def _billing_broker(settings: KafkaSettings) -> KafkaBroker:
    broker, failed = service_broker(settings, "billing"), asyncio.get_running_loop().create_future()
    subscribe_billing(broker, settings, create_engine("sqlite://"), wall_clock, lambda _: None, failed)
    return broker


def _support() -> Iterator[Operation]:
    settings = usual_settings()
    for topic, _, group in subscribed(asyncio.run(_support_broker(settings)), settings):
        yield Operation("support", "receive", topic, "outcomes", group)
    yield from _said("support", "outbox relay", "/garant/support", get_args(TicketFact))
    yield Operation("support", "send", DEAD_LETTERS, "outcomes", source="/garant/support")


async def _support_broker(settings: KafkaSettings) -> KafkaBroker:
    broker, failed = service_broker(settings, "support"), asyncio.get_running_loop().create_future()
    engine, usual = create_engine("sqlite://"), SupportSettings.model_construct()
    subscribe_support(broker, settings, engine, usual, wall_clock, lambda _: None, failed)
    return broker


def _notify() -> Iterator[Operation]:
    settings = usual_settings()
    for topic, _, group in subscribed(asyncio.run(_notify_broker(settings)), settings):
        yield Operation("notify", "receive", topic, "letters", group)
    yield Operation("notify", "send", DEAD_LETTERS, "letters", source="/garant/notify")


async def _notify_broker(settings: KafkaSettings) -> KafkaBroker:
    broker, failed = service_broker(settings, "notify"), asyncio.get_running_loop().create_future()
    engine, rules, wake = create_engine("sqlite://"), Rules(Instant(0), 0), asyncio.Event()
    subscribe_notify(broker, settings, engine, rules, wall_clock, lambda _: None, wake, failed)
    return broker


def _status() -> Iterator[Operation]:
    for topic in sorted(status_reading.TOPICS, key=TOPICS.index):
        yield Operation("status", "receive", topic, "page")


def _operators() -> Iterator[Operation]:
    records = (DowntimeCorrected, MaintenanceAnnounced, MaintenanceCancelled, TermsPublished)
    yield from _said("operators", "garant publish", "/garant/publish", records)
