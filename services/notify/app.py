"""The notify service as a process: HTTP API, taking, writing, sending and its own mailbox, until one ends.

Kafka, the relay, the mailbox and the support service may each be away, at the start too: letters wait.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import structlog
import uvicorn
from faststream.kafka import KafkaBroker
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from services.notify import metrics
from services.notify.api import build_api
from services.notify.consumer import subscribe
from services.notify.database import LETTERS, began_at
from services.notify.listings import standing
from services.notify.office import keep_writing
from services.notify.own_mail import watch_own
from services.notify.same_broker import check_same_broker
from services.notify.settings import SUPPORT_TOKEN, TOKEN, NotifySettings
from services.notify.tables import letters
from services.notify.taking import Rules
from shared.database import (
    Clock,
    DatabaseUnusable,
    migrate,
    open_engine,
    own_file,
    reading,
    wall_clock,
    writing,
)
from shared.health import Pulse, Server, check_port
from shared.kafka import ensure_topics, service_broker, wait_for_broker
from shared.mail.mailbox import State
from shared.mail.outbox import deliver
from shared.settings import KafkaSettings
from shared.time import SECOND
from shared.tokens import caller_token, service_token

log = structlog.get_logger()

_COUNT_EVERY_S = 2.0


async def serve(
    settings: NotifySettings, kafka: KafkaSettings, home: Path, clock: Clock = wall_clock
) -> None:
    """Runs until SIGTERM or SIGINT, or until a part fails: then its exception ends the whole process.

    Raises DatabaseUnusable, PortTaken, BrokerUnreachable, TopicMismatch, HistoryGone.
    """
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it tells each failed attempt; we say it once
    check_port(settings.host, settings.port, "GARANT_NOTIFY_PORT")
    engine = open_engine(settings.engine_url(home), LETTERS)
    with own_file(engine, LETTERS):
        await asyncio.to_thread(migrate, engine, LETTERS)
        await _run(settings, kafka, engine, home, clock)
    engine.dispose()


async def _run(
    settings: NotifySettings, kafka: KafkaSettings, engine: Engine, home: Path, clock: Clock
) -> None:
    loop = asyncio.get_running_loop()
    pulse, broker, connected = Pulse("taking"), service_broker(kafka, "notify"), asyncio.Event()
    failed: asyncio.Future[None] = loop.create_future()
    wake, written, own_mail = asyncio.Event(), asyncio.Event(), State()
    rules = await asyncio.to_thread(_rules, engine, settings, clock)
    subscriber = subscribe(broker, kafka, engine, rules, clock, pulse.busy, wake, failed)

    def ready() -> list[str]:
        assigned = connected.is_set() and subscriber.consumer and subscriber.consumer.assignment()
        wrong = [] if assigned else ["no partitions yet: Kafka is away or another instance has all"]
        if not settings.smtp_host:
            wrong.append("no relay takes letters: set GARANT_NOTIFY_SMTP_HOST")
        return wrong

    def beating(part: str) -> Callable[[], None]:
        return lambda: pulse.beat(part)

    token = service_token(TOKEN, settings.token, home)
    api = build_api(engine, token, clock, pulse.stuck, ready)
    config = uvicorn.Config(
        api, host=settings.host, port=settings.port, log_config=None, access_log=False, lifespan="off"
    )
    server, stop = Server(config), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    def support_token() -> str:
        return caller_token(SUPPORT_TOKEN, settings.support_token, home)

    work: dict[str, Coroutine[Any, Any, None]] = {
        "taking": _connect(engine, broker, kafka, connected, failed),
        "writing": keep_writing(engine, settings, support_token, clock, wake, written, beating("writing")),
        "counting": _count(engine, clock, own_mail, beating("counting")),
    }
    if (relay := settings.relay()) is not None:
        work["sending"] = deliver(
            engine, letters, relay, settings.sending(), clock, beating("sending"), written
        )
    if (mailbox := settings.mailbox()) is not None:
        work["own mail"] = watch_own(
            engine, mailbox, settings.address, settings.id_domain(), clock, own_mail, beating("stand-by")
        )
    log.info("notify.started", port=settings.port, database=engine.url.render_as_string(hide_password=True))
    await _until_one_ends(server, work, stop, broker)


def _rules(engine: Engine, settings: NotifySettings, clock: Clock) -> Rules:
    with writing(engine) as connection:
        return Rules(began_at(connection, clock), int(settings.gather_s * SECOND))


async def _until_one_ends(
    server: Server, work: dict[str, Coroutine[Any, Any, None]], stop: asyncio.Event, broker: KafkaBroker
) -> None:
    parts = {"http": asyncio.create_task(server.serve())}
    parts |= {name: asyncio.create_task(each) for name, each in work.items()}
    asked = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({*parts.values(), asked}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ended = [part for part, task in parts.items() if task.done()]
        server.should_exit = True
        for task in (asked, *(parts[name] for name in work)):
            task.cancel()
        await asyncio.wait({*parts.values(), asked}, timeout=15)
        await broker.stop()
    for part in ended:
        error = parts[part].exception()
        log.error("notify.stopped", part=part, error=str(error), kind=type(error).__name__)
        if isinstance(error, OperationalError):
            raise DatabaseUnusable(
                f"The notify database failed ({error.orig}). Nothing is lost: see that it runs and has "
                "room, then start notify again; it goes on where it was."
            ) from error
        if error is not None:
            raise error
    log.info("notify.stopped")


async def _connect(
    engine: Engine,
    broker: KafkaBroker,
    kafka: KafkaSettings,
    connected: asyncio.Event,
    failed: asyncio.Future[None],
) -> None:
    """Starts taking once the broker answers, and ends with the exception that ends taking."""
    await asyncio.to_thread(wait_for_broker, kafka)
    await asyncio.to_thread(ensure_topics, kafka)
    await asyncio.to_thread(check_same_broker, engine, kafka)
    await broker.start()
    connected.set()
    await failed


async def _count(engine: Engine, clock: Clock, own_mail: State, progress: Callable[[], None]) -> None:
    """Shows what stands in the database as metrics."""
    while True:
        by_state, unwritten, oldest_s = await asyncio.to_thread(_standing, engine, clock)
        for state, number in by_state.items():
            metrics.LETTERS.labels(state).set(number)
        for name, number in unwritten.items():
            metrics.UNWRITTEN.labels(name).set(number)
        metrics.OLDEST_WAITING.set(oldest_s)
        metrics.MAILBOX_UP.set(own_mail.connected)
        progress()
        await asyncio.sleep(_COUNT_EVERY_S)


def _standing(engine: Engine, clock: Clock) -> Any:
    with reading(engine) as connection:
        return standing(connection, clock())
