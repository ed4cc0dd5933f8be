"""A service as a process: its HTTP API and its other parts side by side, until one of them ends or it is
asked to stop."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

import structlog
import uvicorn
from fastapi import FastAPI
from faststream.kafka import KafkaBroker

from shared.access import ACCESS
from shared.database import Keeping, failing
from shared.health import Server
from shared.kafka import into, service_broker, wait_for_broker
from shared.rights import WITHDRAWN, NotAllowed, told, watch
from shared.settings import KafkaSettings
from shared.topic_admin import ensure_topics

log = structlog.get_logger()

_STOP_S = 15

Part = Coroutine[Any, Any, None]
"""What runs beside the others for as long as the service does."""


class KafkaConnection:
    """A service's own broker: it may be away, at the start too. `made` is set once it answers."""

    def __init__(self, kafka: KafkaSettings, service: str) -> None:
        logging.getLogger("aiokafka").setLevel(
            logging.CRITICAL
        )  # it tells each failed attempt; we say it once
        self.kafka = kafka
        self._access = ACCESS[service]
        self.broker: KafkaBroker = service_broker(kafka, service)
        self.made = asyncio.Event()
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Gets the exception that ended taking records."""

    async def hold(self, check: Callable[[], Awaitable[None]] | None = None) -> None:
        """Starts taking records once the broker answers (and `check` has nothing against it), and ends with
        the exception that ends taking."""
        await asyncio.to_thread(wait_for_broker, self.kafka)
        await asyncio.to_thread(ensure_topics, self.kafka, self._access)
        if check is not None:
            await check()
        await self.broker.start()
        self.made.set()
        watching = asyncio.create_task(self._watch())
        try:
            await self.failed
        except WITHDRAWN as error:
            raise told(self.kafka, error) from error
        finally:
            watching.cancel()

    async def _watch(self) -> None:
        try:
            await watch(self.kafka, self._access)
        except NotAllowed as error:
            into(self.failed)(error)

    def wrong(self, subscriber: Any) -> list[str]:
        """Why it takes no records; nothing where it has partitions."""
        if self.made.is_set() and subscriber.consumer and subscriber.consumer.assignment():
            return []
        return ["no partitions yet: Kafka is away or another instance has all"]


async def run(
    keeping: Keeping,
    api: FastAPI,
    address: tuple[str, int],
    parts: Mapping[str, Part],
    connection: KafkaConnection | None,
    passing: Mapping[str, Part] | None = None,
) -> None:
    """Serves `api` at `address` beside the `parts` until SIGTERM or SIGINT, or until one of them ends: then
    its exception ends the whole. One of `passing` may end without an exception. `connection` None: the
    service has no broker of its own, its parts see to theirs.

    Raises DatabaseUnusable, and whatever a part raised.
    """
    loop, asked = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    host, port = address
    server = Server(
        uvicorn.Config(api, host=host, port=port, log_config=None, access_log=False, lifespan="off")
    )
    tasks = {"http": asyncio.create_task(server.serve())}
    tasks |= {name: asyncio.create_task(part) for name, part in parts.items()}
    brief = {name: asyncio.create_task(_once(part)) for name, part in (passing or {}).items()}
    stop = asyncio.create_task(asked.wait())
    log.info(f"{keeping.name}.started", port=port)
    try:
        await asyncio.wait({*tasks.values(), *brief.values(), stop}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        every = tasks | brief
        ended = {name: task for name, task in every.items() if task.done()}
        server.should_exit = True
        for name, task in (*every.items(), ("", stop)):
            if name != "http":
                task.cancel()
        await asyncio.wait({*every.values(), stop}, timeout=_STOP_S)
        if connection is not None:
            await connection.broker.stop()
    for name, task in ended.items():
        _tell(keeping, name, task.exception())
    log.info(f"{keeping.name}.stopped")


async def _once(part: Part) -> None:
    """Runs `part`; once it has done what it is for, stays."""
    await part
    await asyncio.Event().wait()


def _tell(keeping: Keeping, part: str, error: BaseException | None) -> None:
    log.error(f"{keeping.name}.stopped", part=part, error=str(error), kind=type(error).__name__)
    if error is not None:
        with failing(keeping):
            raise error
