"""The support service as a process: HTTP API, mail in, letters out, facts to the log and outcomes from it,
until one of them ends.

Kafka, the mailbox and the relay may each be away: what depends on them waits, the rest goes on.
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

from services.support import positions
from services.support.api import build_api
from services.support.consumer import caught_up, subscribe
from services.support.counting import count
from services.support.database import DESK
from services.support.mail_in import mailbox_wrong, watch_mailbox
from services.support.relay import mark_sent, waiting
from services.support.sending import relay_of, sending_of
from services.support.settings import TOKEN, SupportSettings
from services.support.smtp_in import listen
from services.support.tables import letters
from shared.database import Clock, DatabaseUnusable, migrate, open_engine, own_file, reading, wall_clock
from shared.health import Pulse, Server, check_port
from shared.kafka import ensure_topics, service_broker, wait_for_broker
from shared.mail.mailbox import State
from shared.mail.outbox import deliver
from shared.outbox import publishing, relay
from shared.settings import KafkaSettings
from shared.tokens import service_token

log = structlog.get_logger()

_PATIENCE_S = 30.0
_COUNT_EVERY_S = 5.0


async def serve(
    settings: SupportSettings, kafka: KafkaSettings, home: Path, clock: Clock = wall_clock
) -> None:
    """Runs until SIGTERM or SIGINT, or until a part fails: then its exception ends the whole process.

    Raises DatabaseUnusable, PortTaken, BrokerUnreachable, TopicMismatch, HistoryGone.
    """
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it tells each failed attempt; we say it once
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)  # it tells who writes to whom
    check_port(settings.host, settings.port, "GARANT_SUPPORT_PORT")
    for port, name in ((settings.smtp_in_port, "SMTP_IN_PORT"), (settings.lmtp_in_port, "LMTP_IN_PORT")):
        if port:
            check_port(settings.mail_in_host, port, f"GARANT_SUPPORT_{name}")
    engine = open_engine(settings.engine_url(home), DESK)
    with own_file(engine, DESK):
        await asyncio.to_thread(migrate, engine, DESK)
        await _run(settings, kafka, engine, service_token(TOKEN, settings.token, home), clock)
    engine.dispose()


async def _run(
    settings: SupportSettings, kafka: KafkaSettings, engine: Engine, token: str, clock: Clock
) -> None:
    loop = asyncio.get_running_loop()
    pulse, broker = Pulse("taking outcomes"), service_broker(kafka, "support")
    connected, go, stop = asyncio.Event(), asyncio.Event(), asyncio.Event()
    failed: asyncio.Future[None] = loop.create_future()
    subscriber = subscribe(broker, kafka, engine, settings, clock, pulse.busy, failed)
    mailbox = State()

    def ready() -> list[str]:
        assigned = connected.is_set() and subscriber.consumer and subscriber.consumer.assignment()
        away = [] if assigned else ["no partitions of sla.deadlines yet: Kafka is away or another has all"]
        return away + mailbox_wrong(settings, mailbox, watched=go.is_set())

    api = build_api(engine, settings, token, clock, pulse.stuck, ready)
    config = uvicorn.Config(
        api, host=settings.host, port=settings.port, log_config=None, access_log=False, lifespan="off"
    )
    server = Server(config)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    work: dict[str, Coroutine[Any, Any, None]] = {
        "taking outcomes": _connect(broker, kafka, connected, failed),
        "relay": _relay(settings, kafka, engine, broker, connected, clock, pulse),
        "counting": _count(engine, pulse),
        "catching up": _catch_up(engine, kafka, subscriber, connected, go),
    }
    if settings.imap_host:
        work["mailbox"] = watch_mailbox(engine, settings, clock, mailbox, go, _beat(pulse, "mailbox"))
    if settings.smtp_host:
        work["letters"] = deliver(
            engine, letters, relay_of(settings), sending_of(settings), clock, _beat(pulse, "letters")
        )
    parts = {"http": asyncio.create_task(server.serve())}
    parts |= {name: asyncio.create_task(part) for name, part in work.items()}
    asked = asyncio.create_task(stop.wait())
    log.info("support.started", port=settings.port, database=engine.url.render_as_string(hide_password=True))
    for wrong in mailbox_wrong(settings, mailbox, watched=False):
        log.warning("support.wrong", what=wrong)
    listening = await listen(engine, settings, clock, go)
    try:
        lasting = {task for name, task in parts.items() if name != "catching up"}
        await asyncio.wait({*lasting, asked}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ended = [part for part, task in parts.items() if task.done()]
        server.should_exit = True
        for one in listening:
            one.close()
        for task in (asked, *(task for name, task in parts.items() if name != "http")):
            task.cancel()
        await asyncio.wait({*parts.values(), asked}, timeout=12)
        await broker.stop()
    for part in ended:
        _tell(part, parts[part].exception())
    log.info("support.stopped")


def _tell(part: str, error: BaseException | None) -> None:
    if part == "catching up" and error is None:
        return
    log.error("support.stopped", part=part, error=str(error), kind=type(error).__name__)
    if isinstance(error, OperationalError):
        raise DatabaseUnusable(
            f"The support database failed ({error.orig}). Nothing is lost: see that it runs and has room, "
            "then start support again; it goes on where it was."
        ) from error
    if error is not None:
        raise error


def _beat(pulse: Pulse, part: str) -> Callable[[], None]:
    return lambda: pulse.beat(part)


async def _connect(
    broker: KafkaBroker, kafka: KafkaSettings, connected: asyncio.Event, failed: asyncio.Future[None]
) -> None:
    """Starts taking outcomes once the broker answers, and ends with the exception that ends it."""
    await asyncio.to_thread(wait_for_broker, kafka)
    await asyncio.to_thread(ensure_topics, kafka)
    await broker.start()
    connected.set()
    await failed


async def _catch_up(
    engine: Engine, kafka: KafkaSettings, subscriber: Any, connected: asyncio.Event, go: asyncio.Event
) -> None:
    """Lets mail be taken in once all subscriptions are known: a request says under which one it is asked, and
    says it for ever. Mail that waits in its mailbox loses nothing, its clock runs from its receipt. While
    Kafka is away a desk that has known subscriptions does not wait for long."""
    waiting_since = asyncio.get_running_loop().time()
    while not connected.is_set():
        await asyncio.sleep(0.1)
        known = await asyncio.to_thread(_knows_some, engine)
        if known and asyncio.get_running_loop().time() - waiting_since > _PATIENCE_S:
            log.warning("support.mail.without_kafka")
            go.set()
            return
    await caught_up(subscriber.consumer, kafka, engine)
    go.set()


def _knows_some(engine: Engine) -> bool:
    with reading(engine) as connection:
        return bool(positions.read(connection))


async def _relay(
    settings: SupportSettings,
    kafka: KafkaSettings,
    engine: Engine,
    broker: KafkaBroker,
    connected: asyncio.Event,
    clock: Clock,
    pulse: Pulse,
) -> None:
    await connected.wait()
    beat = _beat(pulse, "relay")
    await relay(
        engine,
        waiting,
        lambda connection, sequence: mark_sent(connection, sequence, clock),
        publishing(broker, kafka, beat),
        settings.relay_every_s,
        beat,
    )


async def _count(engine: Engine, pulse: Pulse) -> None:
    while True:
        await asyncio.to_thread(count, engine)
        pulse.beat("counting")
        await asyncio.sleep(_COUNT_EVERY_S)
