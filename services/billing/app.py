"""The billing service as a process: HTTP API, booking, outbox relay and issuing, until one of them ends.

Kafka may be away, at the start too: subscriptions are declared into the outbox, invoices are issued.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from pathlib import Path

import structlog
import uvicorn
from faststream.kafka import KafkaBroker
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from services.billing import metrics
from services.billing.api import build_api
from services.billing.consumer import subscribe
from services.billing.database import BOOKS
from services.billing.issuing import issue_due
from services.billing.relay import mark_sent, waiting
from services.billing.settings import TOKEN, BillingSettings
from services.billing.statements import invoiced_after_end, owed_now, quarantined
from shared.calendar import local_date
from shared.database import Clock, DatabaseUnusable, migrate, open_engine, own_file, reading, wall_clock
from shared.health import Pulse, Server, check_port
from shared.kafka import ensure_topics, service_broker, wait_for_broker
from shared.outbox import publishing, relay
from shared.settings import KafkaSettings
from shared.tokens import service_token

log = structlog.get_logger()


async def serve(
    settings: BillingSettings, kafka: KafkaSettings, home: Path, clock: Clock = wall_clock
) -> None:
    """Runs until SIGTERM or SIGINT, or until a part fails: then its exception ends the whole process.

    Raises DatabaseUnusable, PortTaken, BrokerUnreachable, TopicMismatch.
    """
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it tells each failed attempt; we say it once
    check_port(settings.host, settings.port, "GARANT_BILLING_PORT")
    engine = open_engine(settings.engine_url(home), BOOKS)
    with own_file(engine, BOOKS):
        await asyncio.to_thread(migrate, engine, BOOKS)
        await _run(settings, kafka, engine, service_token(TOKEN, settings.token, home), clock)
    engine.dispose()


async def _run(
    settings: BillingSettings, kafka: KafkaSettings, engine: Engine, token: str, clock: Clock
) -> None:
    loop = asyncio.get_running_loop()
    pulse, broker, connected = Pulse("booking"), service_broker(kafka, "billing"), asyncio.Event()
    failed: asyncio.Future[None] = loop.create_future()
    subscriber = subscribe(broker, kafka, engine, clock, pulse.busy, failed)

    def ready() -> list[str]:
        assigned = connected.is_set() and subscriber.consumer and subscriber.consumer.assignment()
        return [] if assigned else ["no partitions yet: Kafka is away or another instance has all"]

    api = build_api(engine, settings.rules, token, clock, pulse.stuck, ready)
    config = uvicorn.Config(
        api, host=settings.host, port=settings.port, log_config=None, access_log=False, lifespan="off"
    )
    server, stop = Server(config), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    parts = {
        "http": asyncio.create_task(server.serve()),
        "booking": asyncio.create_task(_connect(broker, kafka, connected, failed)),
        "relay": asyncio.create_task(_relay(settings, kafka, engine, broker, connected, clock, pulse)),
        "issuing": asyncio.create_task(_issue(settings, engine, clock, pulse)),
    }
    asked = asyncio.create_task(stop.wait())
    log.info("billing.started", port=settings.port, database=engine.url.render_as_string(hide_password=True))
    try:
        await asyncio.wait({*parts.values(), asked}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ended = [part for part, task in parts.items() if task.done()]
        server.should_exit = True
        for task in (asked, parts["booking"], parts["relay"], parts["issuing"]):
            task.cancel()
        await asyncio.wait({*parts.values(), asked}, timeout=10)
        await broker.stop()
    for part in ended:
        error = parts[part].exception()
        log.error("billing.stopped", part=part, error=str(error), kind=type(error).__name__)
        if isinstance(error, OperationalError):
            raise DatabaseUnusable(
                f"The billing database failed ({error.orig}). Nothing is lost: see that it runs and has "
                "room, then start billing again; it goes on where it was."
            ) from error
        if error is not None:
            raise error
    log.info("billing.stopped")


async def _connect(
    broker: KafkaBroker, kafka: KafkaSettings, connected: asyncio.Event, failed: asyncio.Future[None]
) -> None:
    """Starts booking once the broker answers, and ends with the exception that ends booking."""
    await asyncio.to_thread(wait_for_broker, kafka)
    await asyncio.to_thread(ensure_topics, kafka)
    await broker.start()
    connected.set()
    await failed


async def _relay(
    settings: BillingSettings,
    kafka: KafkaSettings,
    engine: Engine,
    broker: KafkaBroker,
    connected: asyncio.Event,
    clock: Clock,
    pulse: Pulse,
) -> None:
    await connected.wait()

    def beat() -> None:
        pulse.beat("relay")

    await relay(
        engine,
        waiting,
        lambda connection, sequence: mark_sent(connection, sequence, clock),
        publishing(broker, kafka, beat),
        settings.relay_every_s,
        beat,
    )


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
        metrics.QUARANTINED.set(len(quarantined(connection)))
        metrics.NEEDS_PERSON.set(len(owed_now(connection)) + len(invoiced_after_end(connection)))
    return issued
