"""Health over HTTP, the same for every service: /live = its loop advances, /ready = it does its work.

The framework's own ping only asks the broker; these ask the service.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Iterator

import msgspec
import uvicorn
from faststream.asgi import AsgiResponse, get
from faststream.asgi.types import ASGIApp, Receive, Scope, Send
from prometheus_client import make_asgi_app

from shared.errors import NeedsAPerson

STUCK_AFTER_S = 30.0
"""A loop that has not advanced for so long is not alive."""


class PortTaken(NeedsAPerson):
    """Another process listens on the port."""


def routes(
    live: Callable[[], bool], ready: Callable[[], bool], tell: Callable[[], Awaitable[None]]
) -> list[tuple[str, ASGIApp]]:
    """GET /live and /ready (200 or 503, {"ok": ...}) and /metrics (Prometheus), for which `tell` first sets
    the gauges that are read from the service's state."""
    plain: ASGIApp = make_asgi_app()

    async def told(scope: Scope, receive: Receive, send: Send) -> None:
        await tell()
        await plain(scope, receive, send)

    return [("/live", json_route(live)), ("/ready", json_route(ready)), ("/metrics", told)]


def json_route(answer: Callable[[], object]) -> ASGIApp:
    """A GET handler that answers with JSON; a plain False is a 503."""

    @get
    async def route() -> AsgiResponse:
        value = answer()
        body = {"ok": value} if isinstance(value, bool) else value
        return AsgiResponse(
            msgspec.json.encode(body),
            status_code=503 if value is False else 200,
            headers={"content-type": "application/json"},
        )

    return route


class Server(uvicorn.Server):
    """Serves until `should_exit`. Signals are its owner's, who ends things in order: the library would raise
    them again afterwards, and to be asked to stop is no failure."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None of them."""
        yield


async def serve(app: ASGIApp, host: str, port: int) -> None:
    """Serves `app`, its start and its end included, until SIGINT or SIGTERM; a second one does not wait."""
    server = Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            log_level="warning",
            access_log=False,
            lifespan="on",
            timeout_graceful_shutdown=5,
        )
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, server.handle_exit, number, None)
    await server.serve()


def check_port(host: str, port: int, setting: str) -> None:
    """Raises PortTaken, with what to do, where `port` cannot be listened on."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                raise PortTaken(
                    f"Port {port} on {host} cannot be used ({error.strerror}). Stop what listens there, or "
                    f"choose another with {setting}."
                ) from None
            raise


PULSE_STUCK_AFTER_S = 120.0
"""A loop that has not advanced for so long is not alive; longer than any wait for a lock or the broker."""


class Pulse:
    """When each loop last advanced, and since when the `consumer` has been at one batch (monotonic, s)."""

    def __init__(self, consumer: str) -> None:
        self._consumer = consumer
        self._beats: dict[str, float] = {}
        self._busy_since: float | None = None

    def beat(self, loop: str) -> None:
        self._beats[loop] = time.monotonic()

    def busy(self, now: bool) -> None:
        self._busy_since = time.monotonic() if now else None

    def stuck(self) -> list[str]:
        """What has not advanced."""
        oldest = time.monotonic() - PULSE_STUCK_AFTER_S
        found = [loop for loop, at in self._beats.items() if at < oldest]
        if self._busy_since is not None and self._busy_since < oldest:
            found.append(self._consumer)
        return found
