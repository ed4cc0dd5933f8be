"""The billing service as a process: HTTP API, booking, outbox relay and issuing, until one of them ends.

Kafka may be away, at the start too: subscriptions are declared into the outbox, invoices are issued.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog
import uvicorn
from aiokafka.errors import KafkaError
from faststream.kafka import KafkaBroker
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from services.billing import metrics
from services.billing.api import build_api
from services.billing.consumer import subscribe
from services.billing.database import Clock, DatabaseUnusable, migrate, open_engine, reading, wall_clock
from services.billing.issuing import issue_due
from services.billing.relay import Letter, relay
from services.billing.settings import BillingSettings, service_token
from services.billing.statements import invoiced_after_end, owed_now, quarantined
from shared.calendar import local_date
from shared.health import Server, check_port
from shared.kafka import ensure_topics, send, service_broker, wait_for_broker
from shared.settings import KafkaSettings

log = structlog.get_logger()

STUCK_AFTER_S = 120.0
"""A loop that has not advanced for so long is not alive; longer than any wait for a lock or the broker."""


class Pulse:
    """When each loop last advanced, and since when the consumer has been at one batch (monotonic, s)."""

    def __init__(self) -> None:
        self._beats: dict[str, float] = {}
        self._busy_since: float | None = None

    def beat(self, loop: str) -> None:
        self._beats[loop] = time.monotonic()

    def busy(self, now: bool) -> None:
        self._busy_since = time.monotonic() if now else None

    def stuck(self) -> list[str]:
        """What has not advanced."""
        oldest = time.monotonic() - STUCK_AFTER_S
        found = [loop for loop, at in self._beats.items() if at < oldest]
        if self._busy_since is not None and self._busy_since < oldest:
            found.append("booking")
        return found


async def serve(
    settings: BillingSettings, kafka: KafkaSettings, home: Path, clock: Clock = wall_clock
) -> None:
    """Runs until SIGTERM or SIGINT, or until a part fails: then its exception ends the whole process.

    Raises DatabaseUnusable, PortTaken, BrokerUnreachable, TopicMismatch.
    """
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it tells each failed attempt; we say it once
    check_port(settings.host, settings.port, "GARANT_BILLING_PORT")
    engine = open_engine(settings.engine_url(home))
    with _own_file(engine):
        await asyncio.to_thread(migrate, engine)
        await _run(settings, kafka, engine, service_token(settings, home), clock)
    engine.dispose()


async def _run(
    settings: BillingSettings, kafka: KafkaSettings, engine: Engine, token: str, clock: Clock
) -> None:
    loop = asyncio.get_running_loop()
    pulse, broker, connected = Pulse(), service_broker(kafka, "billing"), asyncio.Event()
    failed: asyncio.Future[None] = loop.create_future()
    subscriber = subscribe(broker, kafka, engine, clock, pulse.busy, failed)

    def ready() -> list[str]:
        assigned = connected.is_set() and subscriber.consumer and subscriber.consumer.assignment()
        return (
            []
            if assigned
            else ["no partitions of sla.credits yet: Kafka is away or another instance has all"]
        )

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

    async def publish(letter: Letter) -> None:
        while True:
            pulse.beat("relay")
            try:
                done = await send(
                    broker,
                    kafka.topic(letter.topic),
                    letter.value,
                    key=letter.key,
                    headers=letter.headers,
                )
                await done
                return
            except KafkaError as error:
                log.warning("billing.relay.waiting", sequence=letter.sequence, error=str(error))
                await asyncio.sleep(1)

    await relay(engine, publish, clock, settings.relay_every_s, lambda: pulse.beat("relay"))


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


@contextmanager
def _own_file(engine: Engine) -> Iterator[None]:
    """A SQLite file belongs to one process; the kernel drops the lock with the process, however it ends."""
    if engine.dialect.name != "sqlite" or engine.url.database is None:
        yield
        return
    lock: Any = os.open(f"{engine.url.database}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise DatabaseUnusable(
            f"Another billing service works on {engine.url.database}. Stop it, or give this one its own "
            "GARANT_HOME; several instances share books on PostgreSQL (GARANT_BILLING_DATABASE_URL)."
        ) from None
    try:
        yield
    finally:
        os.close(lock)
