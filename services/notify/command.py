"""`garant notify`: run the service, or ask a running one about its letters, through its HTTP API."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer
from rich.console import Console

from services.notify.app import serve
from services.notify.settings import TOKEN, NotifySettings
from shared.calling import Service, part, table
from shared.settings import HomeSettings, KafkaSettings
from shared.tracing.process import begin

app = typer.Typer(
    no_args_is_help=False,
    help="Run notify; see letters and decide on those in doubt.",
    pretty_exceptions_show_locals=False,
)

Port = Annotated[int | None, typer.Option(help="HTTP port.", min=1, max=65_535)]


@app.callback(invoke_without_command=True)
def notify(context: typer.Context, port: Port = None) -> None:
    """Run the notify service until it is stopped, or give a command."""
    if context.invoked_subcommand is None:
        run(port)


@app.command(name="serve")
def run(port: Port = None) -> None:
    """Run the notify service until it is stopped."""
    settings = NotifySettings() if port is None else NotifySettings(port=port)
    begin("notify")
    asyncio.run(serve(settings, KafkaSettings(), HomeSettings().home))


@app.command()
def letters(
    state: Annotated[
        str | None,
        typer.Option(help="waiting, sending, accepted, refused, bounced, doubtful or forgotten."),
    ] = None,
    account: Annotated[str | None, typer.Option()] = None,
) -> None:
    """List letters, the newest first, and what waits to be written."""
    asked = {"state": state, "account": account}
    rows = _ask("GET", "/letters", {name: value for name, value in asked.items() if value is not None})
    table(("letter", "account", "contact", "state", "created_at", "sent_at", "reason"), rows)
    waiting = _ask("GET", "/waiting") if state in (None, "waiting") else []
    if account is not None:
        waiting = [row for row in waiting if row["account"] == account]
    if waiting:
        Console().print("Not written yet:")
        table(("occasion", "account", "state", "recorded_at", "reason"), waiting)


@app.command()
def show(letter: str) -> None:
    """Show one letter, with its text."""
    found = _ask("GET", f"/letters/{part(letter)}")
    console = Console(soft_wrap=True, markup=False, highlight=False)
    for name in ("letter", "account", "contact", "recipient", "state", "attempts", "sent_at", "reason"):
        console.print(f"{name.replace('_', ' ')}: {'' if found[name] is None else found[name]}")
    console.print(f"subject: {found['subject'] or '(erased)'}\n")
    console.print(found["text"] or "(erased)")


@app.command()
def resend(letter: str) -> None:
    """Send a doubtful, refused or bounced letter (again)."""
    found = _ask("POST", f"/letters/{part(letter)}/resend")
    Console(soft_wrap=True).print(f"{found['letter']}: {found['state']}")


@app.command()
def accepted(letter: str) -> None:
    """Note that the relay had a doubtful letter: it is not sent again."""
    found = _ask("POST", f"/letters/{part(letter)}/accepted")
    Console(soft_wrap=True).print(f"{found['letter']}: {found['state']}")


def _ask(method: str, path: str, query: dict[str, str] | None = None) -> Any:
    settings = NotifySettings()
    return Service(TOKEN, settings.token, settings.service_url()).call(method, path, query=query).json()
