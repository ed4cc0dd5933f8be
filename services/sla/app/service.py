"""The SLA service as a process: both folds, the journal, health and what is up now."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

from faststream.asgi import AsgiFastStream
from faststream.specification import AsyncAPI
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.sla.app.membership import PatientBroker
from services.sla.app.ownership import die
from services.sla.app.promises_worker import PromisesWorker
from services.sla.app.uptime_worker import UptimeWorker
from services.sla.app.watched import Watched
from services.sla.runs import NEVER
from shared import health
from shared.access import ACCESS
from shared.kafka import service_broker, wait_for_broker
from shared.rights import NotAllowed, watch
from shared.settings import KafkaSettings
from shared.time import format_instant
from shared.topic_admin import ensure_topics

_IDLE_EVERY_S = 0.05


class SlaSettings(BaseSettings):
    """Environment variables `GARANT_SLA_...`."""

    model_config = SettingsConfigDict(env_prefix="GARANT_SLA_", extra="ignore")

    host: str = "127.0.0.1"
    port: int = 28082
    state_save_every_s: float = 2.0
    snapshot_every_s: float = 10.0
    instance: str = Field(default="", max_length=200, pattern="^[A-Za-z0-9._-]*$")
    """The name under which a restarted instance gets its partitions back at once; no two have the same."""


def build(settings: SlaSettings, kafka: KafkaSettings) -> AsgiFastStream:
    """The service, not yet started."""
    broker = service_broker(kafka, "sla", PatientBroker)
    uptime = UptimeWorker(broker, kafka, settings.state_save_every_s, settings.instance)
    promises = PromisesWorker(
        broker, kafka, save_every_s=settings.snapshot_every_s, instance=settings.instance
    )

    def live() -> bool:
        oldest = min(uptime.ownership.beat, promises.ownership.beat)
        return time.monotonic() - oldest < health.STUCK_AFTER_S

    def ready() -> bool:
        return uptime.ownership.assigned and promises.ready

    async def idle() -> None:
        while True:
            await promises.idle()
            await uptime.idle()
            await asyncio.sleep(_IDLE_EVERY_S)

    async def keep_rights() -> None:
        try:
            await watch(kafka, ACCESS["sla"])
        except NotAllowed as error:
            die("rights", error)

    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        beside: list[asyncio.Task[None]] = []

        async def begin() -> None:
            beside.extend(asyncio.create_task(part) for part in (idle(), keep_rights()))

        async def end() -> None:
            for task in beside:
                task.cancel()
            await promises.close()
            await uptime.close()

        app.on_startup(begin)  # before the broker is: it is alive while it waits for its partitions
        app.on_shutdown(end)
        yield

    app = AsgiFastStream(
        broker,
        lifespan=lifespan,
        logger=None,
        specification=AsyncAPI(title="Garant SLA service", version="1"),
        asgi_routes=[
            *health.routes(live, ready, Watched(uptime, promises, kafka).tell),
            ("/targets", health.json_route(lambda: states_now(uptime))),
        ],
    )
    return app


def states_now(uptime: UptimeWorker) -> list[dict[str, Any]]:
    """The targets this instance folds: their state, since when, and the last slot decided."""
    standings = [state.standing for share in uptime.shares.values() for state in share.states.values()]
    return [
        {
            "target": standing.target,
            "state": standing.stated,
            "since": _shown(standing.stated_since),
            "decided": _shown(standing.decided),
        }
        for standing in sorted(standings, key=lambda standing: standing.target)
    ]


def _shown(instant: int) -> str | None:
    return None if instant == NEVER else format_instant(instant)


async def serve(settings: SlaSettings, kafka: KafkaSettings) -> None:
    """Runs until told to stop. Raises PortTaken, BrokerUnreachable, Refused, TopicsMissing, TopicMismatch."""
    health.check_port(settings.host, settings.port, "GARANT_SLA_PORT")
    await asyncio.to_thread(wait_for_broker, kafka)
    await asyncio.to_thread(ensure_topics, kafka, ACCESS["sla"])
    app = build(settings, kafka)
    await health.serve(app, settings.host, settings.port)
