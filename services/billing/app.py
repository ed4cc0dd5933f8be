"""The billing service as a process: HTTP API, booking, outbox relay and issuing, until one of them ends.

Kafka may be away, at the start too: subscriptions are declared into the outbox, invoices are issued.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Engine

from services.billing import metrics
from services.billing.api import build_api
from services.billing.consumer import TAKEN, subscribe
from services.billing.counting import count_books, count_outbox
from services.billing.database import BOOKS
from services.billing.issuing import issue_due
from services.billing.relay import mark_sent, waiting
from services.billing.settings import TOKEN, BillingSettings
from shared.calendar import local_date
from shared.database import Clock, migrate, open_engine, own_file, reading, wall_clock
from shared.health import Pulse, check_port
from shared.lag import tell_lag
from shared.outbox import relay
from shared.running import KafkaConnection, run
from shared.settings import DatabaseSettings, KafkaSettings
from shared.tokens import service_token

log = structlog.get_logger()

_COUNT_EVERY_S = 5.0


async def serve(
    settings: BillingSettings, kafka: KafkaSettings, home: Path, clock: Clock = wall_clock
) -> None:
    """Runs until SIGTERM or SIGINT, or until a part fails: then its exception ends the whole process.

    Raises DatabaseUnusable, PortTaken, BrokerUnreachable, TopicMismatch.
    """
    check_port(settings.host, settings.port, "GARANT_BILLING_PORT")
    engine = open_engine(settings.engine_url(home), BOOKS)
    with own_file(engine, BOOKS):
        await asyncio.to_thread(migrate, engine, BOOKS, DatabaseSettings().wait_s)
        await _run(settings, kafka, engine, service_token(TOKEN, settings.token, home), clock)
    engine.dispose()


async def _run(
    settings: BillingSettings, kafka: KafkaSettings, engine: Engine, token: str, clock: Clock
) -> None:
    pulse, kept = Pulse("booking"), KafkaConnection(kafka, "billing")
    subscriber = subscribe(kept.broker, kafka, engine, clock, pulse.busy, kept.failed, settings.caps)
    api = build_api(engine, settings.rules, token, clock, pulse.stuck, lambda: kept.wrong(subscriber))
    parts = {
        "booking": kept.hold(),
        "relay": relay(
            kept, engine, waiting, mark_sent, clock, settings.relay_every_s, lambda: pulse.beat("relay")
        ),
        "issuing": _issue(settings, engine, clock, pulse),
        "counting": _count(kafka, engine, subscriber, clock, pulse),
    }
    await run(BOOKS, api, (settings.host, settings.port), parts, kept)


async def _issue(settings: BillingSettings, engine: Engine, clock: Clock, pulse: Pulse) -> None:
    while True:
        issued = await asyncio.to_thread(_issue_once, settings, engine, clock)
        for number in issued:
            log.info("billing.invoice.issued", invoice=number)
        pulse.beat("issuing")
        await asyncio.sleep(settings.issue_every_s)


def _issue_once(settings: BillingSettings, engine: Engine, clock: Clock) -> list[str]:
    issued = issue_due(engine, local_date(clock(), settings.zone), settings.rules, clock)
    metrics.INVOICES.inc(len(issued))
    with reading(engine) as connection:
        count_books(connection, clock())
    return issued


async def _count(kafka: KafkaSettings, engine: Engine, subscriber: Any, clock: Clock, pulse: Pulse) -> None:
    while True:
        await asyncio.to_thread(_count_once, engine, clock)
        await tell_lag(metrics.LAG, subscriber, kafka, TAKEN)
        pulse.beat("counting")
        await asyncio.sleep(_COUNT_EVERY_S)


def _count_once(engine: Engine, clock: Clock) -> None:
    with reading(engine) as connection:
        count_outbox(connection, clock())
