"""The demo application: something to watch. While it runs it answers over HTTP and TCP."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import Route

from services.cli.local.ports import HOST

GREETING = b"the demo application is up\n"
PAGE = "<!doctype html><title>Demo</title><h1>The demo application is up</h1>"


async def serve_demo(http_port: int, tcp_port: int) -> None:
    """Answers on both ports of loopback until SIGINT or SIGTERM; then both really close."""
    web = Starlette(routes=[Route("/", _page), Route("/health", _health)])
    server = uvicorn.Server(uvicorn.Config(web, host=HOST, port=http_port, log_level="warning"))
    async with await asyncio.start_server(_greet, HOST, tcp_port):
        await server.serve()


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
