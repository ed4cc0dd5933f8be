"""`garant demo`: break the demo application and mend it; publish a month of history.

Broken, the application's ports refuse connections.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated, NoReturn

import httpx
import typer
from rich.console import Console

from services.cli.demo.application import serve_demo
from services.cli.demo.installation import APPLICATION, Installation, installation
from services.cli.local.ports import HOST, accepts
from shared.settings import HomeSettings
from shared.time import format_instant

TARGET = "demo-app"
CHANGE_S = 30.0

app = typer.Typer(
    no_args_is_help=True, help="Break and mend the demo application; publish a month; write to support."
)


@app.command(hidden=True)
def serve(
    http_port: Annotated[int, typer.Option(help="Port of its HTTP service.")],
    tcp_port: Annotated[int, typer.Option(help="Port of its TCP service.")],
    host: Annotated[str, typer.Option(help="Address of both.")] = HOST,
) -> None:
    """Run the demo application in the foreground (`garant up` does)."""
    asyncio.run(serve_demo(host, http_port, tcp_port, _mark(HomeSettings().home.absolute())))


@app.command(hidden=True)
def start(
    wait_s: Annotated[float, typer.Option(help="Seconds to wait for the services.", min=0)] = 300.0,
) -> None:
    """Declare the demonstration's subscription, terms and customer where they are not (`garant up` does)."""
    from services.cli.demo.start import wait_and_start

    where = installation(HomeSettings().home.absolute())
    said = wait_and_start(where, wait_s, lambda: time.time_ns() // 1_000_000)
    Console().print(said, soft_wrap=True)


@app.command(hidden=True)
def wait(
    host: Annotated[str, typer.Option(help="Where the demo application runs.")] = HOST,
    http_port: Annotated[int, typer.Option(help="Port of its HTTP service.")] = 28080,
    tcp_port: Annotated[int, typer.Option(help="Port of its TCP service.")] = 28081,
    wait_s: Annotated[float, typer.Option(help="Seconds to wait at most.", min=0)] = 300.0,
) -> None:
    """Return once the demo application answers; what then is seen of it, counts."""
    deadline = time.monotonic() + wait_s
    while not all(accepts(port, host) for port in (http_port, tcp_port)):
        if time.monotonic() >= deadline:
            _give_up(f"The demo application does not answer at {host}:{http_port} and {tcp_port}.")
        time.sleep(0.5)


@app.command(name="break")
def break_() -> None:
    """Stop the demo application: connections to it are refused until `garant demo mend`."""
    _change("broken", held=True)


@app.command()
def mend() -> None:
    """Start the demo application again."""
    _change("mended", held=False)


@app.command()
def month() -> None:
    """Publish last month of a shop that was down for long, and show the credits and the next invoice."""
    from services.cli.demo.month import month as publish_month  # break and mend need no broker client

    publish_month(
        HomeSettings().home.absolute(), Console(highlight=False), lambda: time.time_ns() // 1_000_000
    )


@app.command()
def write(
    subject: str,
    text: Annotated[str, typer.Option(help="What the mail says.")] = "Could you have a look, please?\n\nAnna",
) -> None:
    """Send a mail to support as the demonstration's customer, and show what comes back."""
    from services.cli.demo.letters import write as send

    send(HomeSettings().home.absolute(), Console(highlight=False), subject, text)


@app.command()
def inbox(
    address: Annotated[
        str, typer.Argument(help="The customer's, or staff@garant.example.")
    ] = "anna@demo.example",
) -> None:
    """Show every mail in a mailbox of the local mail server."""
    from services.cli.demo.letters import inbox as show

    show(HomeSettings().home.absolute(), Console(highlight=False), address)


def _change(word: str, *, held: bool) -> None:
    home, began = HomeSettings().home.absolute(), format_instant(time.time_ns() // 1_000_000)
    where = installation(home)
    mark, ports = _mark(home), where.application
    if held:
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    else:
        mark.unlink(missing_ok=True)
    deadline = time.monotonic() + CHANGE_S
    if not any(accepts(port) == held for port in ports):
        began = ""  # it was so before: whatever was seen, holds
    while any(accepts(port) == held for port in ports):
        if time.monotonic() >= deadline:
            _give_up(f"Nothing changed within {CHANGE_S:g} s; see {where.see}.")
        time.sleep(0.1)
    listed = " and ".join(str(port) for port in ports)
    Console().print(f"{word}: ports {listed} of {HOST} {'refuse connections' if held else 'answer'}")
    _watch(where, "down" if held else "up", began)


def _mark(home: Path) -> Path:
    """The file that holds the application broken while it is there."""
    return home / "held" / APPLICATION


def _watch(where: Installation, state: str, began: str) -> None:
    """Waits until the SLA service sees a change that came after `began`, and says since when: the first slot,
    not the confirming one."""
    deadline = time.monotonic() + CHANGE_S
    while where.sla_url and time.monotonic() < deadline:
        with suppress(httpx.HTTPError, ValueError):
            answer = httpx.get(f"{where.sla_url}/targets", timeout=2, trust_env=False)
            for target in answer.json():
                if (target["target"], target["state"]) == (TARGET, state) and target["since"] >= began:
                    word = "failing" if state == "down" else "good"
                    Console().print(f"{TARGET} is {state} since {target['since']}, its first {word} slot")
                    if where.page:
                        Console().print(f"The public status page says so: {where.page}/", soft_wrap=True)
                    return
        time.sleep(0.2)
    Console().print(f"{TARGET} is not seen {state} yet; see {where.see}")


def _give_up(why: str) -> NoReturn:
    Console(stderr=True).print(why)
    raise typer.Exit(1)
