"""`garant status hook`: webhooks, through the staff API of the status service."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from services.status.calling import ask
from shared.calling import part, plain, table

app = typer.Typer(
    no_args_is_help=True,
    help="Post entries of the status page to other systems.",
    pretty_exceptions_show_locals=False,
)

Hook = Annotated[str, typer.Argument(metavar="HOOK")]


@app.command()
def add(
    url: str,
    component: Annotated[
        list[str] | None, typer.Option("--component", help="Public id; repeat it. By default all.")
    ] = None,
    key: Annotated[str | None, typer.Option("--key", help="Idempotency key: the same adds only one.")] = None,
) -> None:
    """Add a webhook and show its secret, which is not shown again."""
    found = ask("POST", "/hooks", {"url": url, "components": component or None}, key)
    console = _console()
    console.print(f"hook: {found['hook']}")
    console.print(f"secret: {found['secret']}")
    console.print("Verify signatures with the secret (Standard Webhooks). Keep it: it is not shown again.")
    console.print(f"Try it: garant status hook test {found['hook']}")


@app.command(name="list")
def list_() -> None:
    """List webhooks, the oldest first."""
    columns = ("hook", "url", "components", "waiting", "given_up", "stopped")
    table(columns, [{**one, "components": one["components"] or "all"} for one in ask("GET", "/hooks")])


@app.command()
def show(hook: Hook) -> None:
    """Show a webhook and what was posted to it."""
    found = ask("GET", f"/hooks/{part(hook)}")
    console = _console()
    for name in ("hook", "url", "created_at", "stopped"):
        console.print(f"{name.replace('_', ' ')}: {plain(found[name])}")
    console.print(f"components: {plain(found['components'] or 'all')}\n")
    table(("call", "entry", "state", "attempts", "next_attempt_at", "reason"), found["calls"])


@app.command()
def test(hook: Hook) -> None:
    """Post a test to a webhook; one that was stopped is started again."""
    call = ask("POST", f"/hooks/{part(hook)}/test")["call"]
    _console().print(f"{call} is on its way: garant status hook show {hook}")


@app.command()
def remove(hook: Hook) -> None:
    """End a webhook, with what was still to be posted."""
    ask("DELETE", f"/hooks/{part(hook)}")
    _console().print(f"{hook}: removed")


def _console() -> Console:
    return Console(soft_wrap=True, markup=False, highlight=False)
