"""The support service as a process: HTTP API, mail in, letters out, facts to the log and outcomes from it,
until one of them ends.

Kafka, the mailbox and the relay may each be away: what depends on them waits, the rest goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Engine

from services.support import metrics
from services.support.api import build_api
from services.support.consumer import TAKEN, caught_up, subscribe
from services.support.counting import count
from services.support.database import DESK
from services.support.mail_in import mailbox_wrong, watch_mailbox
from services.support.relay import mark_sent, waiting
from services.support.settings import TOKEN, SupportSettings
from services.support.smtp_in import listen
from services.support.tables import letters, positions
from shared.database import Clock, migrate, open_engine, own_file, reading, wall_clock
from shared.health import Pulse, check_port
from shared.lag import tell_lag
from shared.mail.mailbox import State
from shared.mail.outbox import deliver
from shared.outbox import relay
from shared.places import read
from shared.running import KafkaConnection, Part, run
from shared.settings import DatabaseSettings, KafkaSettings
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
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)  # it tells who writes to whom
    check_port(settings.host, settings.port, "GARANT_SUPPORT_PORT")
    for port, name in ((settings.smtp_in_port, "SMTP_IN_PORT"), (settings.lmtp_in_port, "LMTP_IN_PORT")):
        if port:
            check_port(settings.mail_in_host, port, f"GARANT_SUPPORT_{name}")
    engine = open_engine(settings.engine_url(home), DESK)
    with own_file(engine, DESK):
        await asyncio.to_thread(migrate, engine, DESK, DatabaseSettings().wait_s)
        await _run(settings, kafka, engine, service_token(TOKEN, settings.token, home), clock)
    engine.dispose()


async def _run(
    settings: SupportSettings, kafka: KafkaSettings, engine: Engine, token: str, clock: Clock
) -> None:
    pulse, kept = Pulse("taking outcomes"), KafkaConnection(kafka, "support")
    go, mailbox = asyncio.Event(), State()
    subscriber = subscribe(kept.broker, kafka, engine, settings, clock, pulse.busy, kept.failed)

    def ready() -> list[str]:
        return kept.wrong(subscriber) + mailbox_wrong(settings, mailbox, watched=go.is_set())

    parts: dict[str, Part] = {
        "taking outcomes": kept.hold(),
        "relay": relay(
            kept, engine, waiting, mark_sent, clock, settings.relay_every_s, _beat(pulse, "relay")
        ),
        "counting": _count(kafka, engine, subscriber, mailbox, clock, pulse),
    }
    if settings.imap_host:
        parts["mailbox"] = watch_mailbox(engine, settings, clock, mailbox, go, _beat(pulse, "mailbox"))
    if (relay_out := settings.relay()) is not None:
        parts["letters"] = deliver(
            engine, letters, relay_out, settings.sending(), clock, _beat(pulse, "letters")
        )
    passing = {"catching up": _catch_up(engine, kept, subscriber, go)}
    api = build_api(engine, settings, token, clock, pulse.stuck, ready)
    for wrong in mailbox_wrong(settings, mailbox, watched=False):
        log.warning("support.wrong", what=wrong)
    listening = await listen(engine, settings, clock, go)
    try:
        await run(DESK, api, (settings.host, settings.port), parts, kept, passing)
    finally:
        for one in listening:
            one.close()


def _beat(pulse: Pulse, part: str) -> Callable[[], None]:
    return lambda: pulse.beat(part)


async def _catch_up(engine: Engine, kept: KafkaConnection, subscriber: Any, go: asyncio.Event) -> None:
    """Lets mail be taken in once all subscriptions are known: a request says under which one it is asked, and
    says it for ever. Mail that waits in its mailbox loses nothing, its clock runs from its receipt. While
    Kafka is away a desk that has known subscriptions does not wait for long."""
    waiting_since = asyncio.get_running_loop().time()
    while not kept.made.is_set():
        await asyncio.sleep(0.1)
        known = await asyncio.to_thread(_knows_some, engine)
        if known and asyncio.get_running_loop().time() - waiting_since > _PATIENCE_S:
            log.warning("support.mail.without_kafka")
            go.set()
            return
    await caught_up(subscriber.consumer, kept.kafka, engine)
    go.set()


def _knows_some(engine: Engine) -> bool:
    with reading(engine) as connection:
        return bool(read(connection, positions))


async def _count(
    kafka: KafkaSettings,
    engine: Engine,
    subscriber: Any,
    mailbox: State,
    clock: Clock,
    pulse: Pulse,
) -> None:
    while True:
        await asyncio.to_thread(count, engine, clock())
        metrics.MAILBOX.set(mailbox.connected)
        await tell_lag(metrics.LAG, subscriber, kafka, TAKEN)
        pulse.beat("counting")
        await asyncio.sleep(_COUNT_EVERY_S)
