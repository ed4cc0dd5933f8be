"""The demo application: something to watch. It answers over HTTP and TCP, unless it is held broken."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import Route

from shared.health import Server

GREETING = b"the demo application is up\n"
PAGE = "<!doctype html><title>Demo</title><h1>The demo application is up</h1>"


_LOOK_S = 0.2


async def serve_demo(host: str, http_port: int, tcp_port: int, held: Path) -> None:
    """Answers on both ports of `host` until SIGINT or SIGTERM; then, and while the file `held` is there, both
    are really closed."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    while not stop.is_set():
        if _is_held(held):
            await _look_again(stop)
            continue
        web = Starlette(routes=[Route("/", _page), Route("/health", _health)])
        server = Server(uvicorn.Config(web, host=host, port=http_port, log_level="warning"))
        async with await asyncio.start_server(_greet, host, tcp_port):
            serving = asyncio.create_task(server.serve())
            while not (stop.is_set() or serving.done() or _is_held(held)):
                await _look_again(stop)
            server.should_exit = True
            await serving


def _is_held(mark: Path) -> bool:
    return mark.exists()


async def _look_again(stop: asyncio.Event) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), _LOOK_S)


async def _page(_: Request) -> HTMLResponse:
    return HTMLResponse(PAGE)


async def _health(_: Request) -> PlainTextResponse:
    return PlainTextResponse("up\n")


async def _greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        writer.write(GREETING)
        await writer.drain()
        writer.close()
        await writer.wait_closed()
