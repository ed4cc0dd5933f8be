"""`garant status`: what runs here, whether each is ready, and the states of the targets; and, as commands
below it, the public status page."""

from __future__ import annotations

import time
from typing import Any

import httpx
import typer
from rich.console import Console
from rich.table import Table

from services.cli.up.run_state import Component, Run, read_run
from services.status.command import serve, web
from services.status.readers.hook_command import app as hook
from shared.settings import HomeSettings

app = typer.Typer(
    no_args_is_help=False,
    help="What is up here; run the public status page (serve, web) and its webhooks (hook).",
    pretty_exceptions_show_locals=False,
)
app.command()(serve)
app.command()(web)
app.add_typer(hook, name="hook")

COLOURS = {"up": "green", "ready": "green", "down": "red", "ended": "red"}


@app.callback(invoke_without_command=True)
def what_is_up(context: typer.Context) -> None:
    """Show what `garant up` runs here and what it sees; or give a command about the public status page."""
    if context.invoked_subcommand is None:
        status()


def status() -> None:
    """Show what `garant up` runs here and what it sees. Exit status 1 when something is not ready."""
    console, home = Console(), HomeSettings().home.absolute()
    run = read_run(home)
    if run is None:
        console.print(f"Garant does not run on {home}. Start it with `make up`.", soft_wrap=True)
        raise typer.Exit(1)
    states = {one.name: state_of(one) for one in run.components}
    console.print(f"Kafka at {run.bootstrap}; supervisor pid {run.pid}; logs in {home / 'logs'}")
    console.print(status_table(run, states))
    sla = next((one for one in run.components if one.name == "sla"), None)
    if sla is not None and sla.ready_url:
        console.print(_targets_of(sla.ready_url))
    if any(state not in ("ready", "held") for state in states.values()):
        raise typer.Exit(1)


def state_of(one: Component) -> str:
    """Asked now: ready, not ready (its process runs but does not say so), or what the supervisor knows."""
    if one.pid is None or not one.ready_url:
        return one.state
    try:
        answer = httpx.get(one.ready_url, timeout=2, trust_env=False)
    except httpx.HTTPError:
        return "no answer"
    return "ready" if answer.status_code == httpx.codes.OK else "not ready"


def status_table(run: Run, states: dict[str, str] | None = None) -> Table:
    """Each component with its process, state, since when, and the ports it listens on."""
    table = Table("component", "pid", "state", "since", "ports", box=None, header_style="bold")
    for one in run.components:
        state = (states or {}).get(one.name, one.state)
        table.add_row(
            one.name,
            str(one.pid or "-"),
            _coloured(state),
            _ago(one.since_ms),
            ", ".join(str(port) for port in one.ports) or "-",
        )
    return table


def _targets_of(ready_url: str) -> Table | str:
    try:
        answer = httpx.get(httpx.URL(ready_url).join("/targets"), timeout=5, trust_env=False)
        answer.raise_for_status()
        targets: list[dict[str, Any]] = answer.json()
    except (httpx.HTTPError, ValueError) as problem:
        return f"targets: the SLA service does not tell ({problem or type(problem).__name__})"
    table = Table("target", "state", "since", "seen until", box=None, header_style="bold")
    for target in targets:
        table.add_row(
            str(target["target"]),
            _coloured(str(target.get("state"))),
            *(str(target.get(field) or "-") for field in ("since", "decided")),
        )
    return table


def _coloured(state: str) -> str:
    colour = COLOURS.get(state, "yellow")
    return f"[{colour}]{state}[/]"


def _ago(since_ms: int) -> str:
    seconds = max(0, time.time_ns() // 1_000_000 - since_ms) // 1_000
    if seconds < 120:
        return f"{seconds} s ago"
    minutes = seconds // 60
    return f"{minutes} min ago" if minutes < 120 else f"{minutes // 60} h ago"
