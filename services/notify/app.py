"""The notify service as a process: HTTP API, taking, writing, sending and its own mailbox, until one ends.

Kafka, the relay, the mailbox and the support service may each be away, at the start too: letters wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from services.notify import metrics
from services.notify.api import build_api
from services.notify.bulletin_routes import add_bulletins
from services.notify.consumer import FACTS, OUTCOMES, subscribe
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
    failing,
    migrate,
    open_engine,
    own_file,
    reading,
    wall_clock,
    writing,
)
from shared.health import Pulse, check_port
from shared.lag import tell_lag
from shared.mail.mailbox import State
from shared.mail.outbox import deliver
from shared.running import KafkaConnection, Part, run
from shared.settings import DatabaseSettings, KafkaSettings
from shared.time import SECOND
from shared.tokens import caller_token, service_token

_COUNT_EVERY_S = 2.0


async def serve(
    settings: NotifySettings, kafka: KafkaSettings, home: Path, clock: Clock = wall_clock
) -> None:
    """Runs until SIGTERM or SIGINT, or until a part fails: then its exception ends the whole process.

    Raises DatabaseUnusable, PortTaken, BrokerUnreachable, TopicMismatch, HistoryGone.
    """
    check_port(settings.host, settings.port, "GARANT_NOTIFY_PORT")
    engine = open_engine(settings.engine_url(home), LETTERS)
    with own_file(engine, LETTERS):
        await asyncio.to_thread(migrate, engine, LETTERS, DatabaseSettings().wait_s)
        await _run(settings, kafka, engine, home, clock)
    engine.dispose()


async def _run(
    settings: NotifySettings, kafka: KafkaSettings, engine: Engine, home: Path, clock: Clock
) -> None:
    pulse, kept = Pulse("taking"), KafkaConnection(kafka, "notify")
    wake, written, own_mail = asyncio.Event(), asyncio.Event(), State()
    with failing(LETTERS):
        rules = await asyncio.to_thread(_rules, engine, settings, clock)
    subscriber = subscribe(kept.broker, kafka, engine, rules, clock, pulse.busy, wake, kept.failed)

    def ready() -> list[str]:
        wrong = kept.wrong(subscriber)
        if not settings.smtp_host:
            wrong.append("no relay takes letters: set GARANT_NOTIFY_SMTP_HOST")
        return wrong

    def beating(part: str) -> Callable[[], None]:
        return lambda: pulse.beat(part)

    def support_token() -> str:
        return caller_token(SUPPORT_TOKEN, settings.support_token, home)

    parts: dict[str, Part] = {
        "taking": kept.hold(lambda: asyncio.to_thread(check_same_broker, engine, kafka)),
        "writing": keep_writing(engine, settings, support_token, clock, wake, written, beating("writing")),
        "counting": _count(kafka, engine, subscriber, clock, own_mail, beating("counting")),
    }
    if (relay := settings.relay()) is not None:
        parts["sending"] = deliver(
            engine, letters, relay, settings.sending(), clock, beating("sending"), written
        )
    if (mailbox := settings.mailbox()) is not None:
        parts["own mail"] = watch_own(
            engine, mailbox, settings.address, settings.id_domain(), clock, own_mail, beating("stand-by")
        )
    token = service_token(TOKEN, settings.token, home)
    api = build_api(engine, token, clock, pulse.stuck, ready)
    add_bulletins(api, engine, token, settings, clock, written)
    await run(LETTERS, api, (settings.host, settings.port), parts, kept)


def _rules(engine: Engine, settings: NotifySettings, clock: Clock) -> Rules:
    with writing(engine) as connection:
        return Rules(began_at(connection, clock), int(settings.gather_s * SECOND))


async def _count(
    kafka: KafkaSettings,
    engine: Engine,
    subscriber: Any,
    clock: Clock,
    own_mail: State,
    progress: Callable[[], None],
) -> None:
    """Shows what stands in the database as metrics."""
    while True:
        by_state, unwritten, oldest_s = await asyncio.to_thread(_standing, engine, clock)
        for state, number in by_state.items():
            metrics.LETTERS.labels(state).set(number)
        for name, number in unwritten.items():
            metrics.UNWRITTEN.labels(name).set(number)
        metrics.OLDEST_WAITING.set(oldest_s)
        metrics.MAILBOX_UP.set(own_mail.connected)
        await tell_lag(metrics.LAG, subscriber, kafka, (*OUTCOMES, *FACTS))
        progress()
        await asyncio.sleep(_COUNT_EVERY_S)


def _standing(engine: Engine, clock: Clock) -> Any:
    with reading(engine) as connection:
        return standing(connection, clock())
