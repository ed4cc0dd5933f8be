"""The demo application: something to watch, that can be broken. Its HTTP and TCP ports really close."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Annotated, NoReturn

import typer
import uvicorn
from rich.console import Console
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import Route

from services.cli.ports import HOST, accepts
from services.cli.run_state import read_run
from shared.settings import HomeSettings

NAME = "demo"
CHANGE_S = 30.0
GREETING = b"the demo application is up\n"
PAGE = "<!doctype html><title>Demo</title><h1>The demo application is up</h1>"

app = typer.Typer(no_args_is_help=True, help="The demo application: break it, mend it.")


@app.command(hidden=True)
def serve(
    http_port: Annotated[int, typer.Option(help="Port of its HTTP service.")],
    tcp_port: Annotated[int, typer.Option(help="Port of its TCP service.")],
) -> None:
    """Run the demo application in the foreground (`garant up` does)."""
    asyncio.run(_serve(http_port, tcp_port))


@app.command(name="break")
def break_() -> None:
    """Stop the demo application: connections to it are refused until `garant demo mend`."""
    _change("broken", held=True)


@app.command()
def mend() -> None:
    """Start the demo application again."""
    _change("mended", held=False)


def _change(word: str, *, held: bool) -> None:
    home = HomeSettings().home.absolute()
    mark = home / "held" / NAME
    run = read_run(home)
    if run is None:
        _give_up(f"Garant does not run on {home}. Start it with `make up`.")
    if held:
        mark.touch()
    else:
        mark.unlink(missing_ok=True)
    ports = next((one.ports for one in run.components if one.name == NAME), ())
    deadline = time.monotonic() + CHANGE_S
    while any(accepts(port) == held for port in ports):
        if time.monotonic() >= deadline:
            _give_up(
                f"Nothing changed within {CHANGE_S:g} s; see `garant status` and the logs in {home}/logs."
            )
        time.sleep(0.1)
    listed = " and ".join(str(port) for port in ports)
    Console().print(f"{word}: ports {listed} of {HOST} {'refuse connections' if held else 'answer'}")


def _give_up(why: str) -> NoReturn:
    Console(stderr=True).print(why)
    raise typer.Exit(1)


async def _serve(http_port: int, tcp_port: int) -> None:
    web = Starlette(routes=[Route("/", _page), Route("/ready", _ready)])
    server = uvicorn.Server(uvicorn.Config(web, host=HOST, port=http_port, log_level="warning"))
    async with await asyncio.start_server(_greet, HOST, tcp_port):
        await server.serve()


async def _page(_: Request) -> HTMLResponse:
    return HTMLResponse(PAGE)


async def _ready(_: Request) -> PlainTextResponse:
    return PlainTextResponse("ready\n")


async def _greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        writer.write(GREETING)
        await writer.drain()
        writer.close()
        await writer.wait_closed()
