"""`garant desk`: the work list in the terminal, and what staff do to a request."""

from __future__ import annotations

import sys
import time
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from services.support.calling import ask
from services.support.desk_table import shown
from shared.calling import Refused, part, plain, table

app = typer.Typer(
    no_args_is_help=False,
    help="The work list; answer, classify, log work.",
    pretty_exceptions_show_locals=False,
)

Ticket = Annotated[str, typer.Argument(metavar="TICKET")]
When = Annotated[
    str | None, typer.Option("--at", metavar="INSTANT", help="When it happened (UTC); by default now.")
]
Key = Annotated[str | None, typer.Option("--key", help="Idempotency key: the same one says it only once.")]

_EVERY_S = 2.0


@app.callback(invoke_without_command=True)
def desk(
    context: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="Print the list once and end.")] = False,
) -> None:
    """Show the work list, renewed every 2 seconds until Ctrl-C; or give a command."""
    if context.invoked_subcommand is not None:
        return
    console = Console()
    first = shown(ask("GET", "/worklist"))
    if once:
        console.print(first)
        return
    try:
        with Live(first, console=console, screen=console.is_terminal, auto_refresh=False) as live:
            while True:
                time.sleep(_EVERY_S)
                live.update(_now(), refresh=True)
    except KeyboardInterrupt:
        return


@app.command()
def show(ticket: Ticket) -> None:
    """Show a request: how it stands, its mails, letters, work and facts."""
    _show(ask("GET", f"/tickets/{part(ticket)}"))


@app.command(name="list")
def list_(
    status: Annotated[str | None, typer.Option(help="open, closed or withdrawn.")] = None,
    account: Annotated[str | None, typer.Option()] = None,
) -> None:
    """List requests, the newest first."""
    columns = ("ticket", "account", "severity", "kind", "status", "standing", "due_at", "subject")
    table(columns, ask("GET", "/tickets", query={"status": status, "account": account}))


@app.command(name="open")
def open_(
    account: Annotated[str, typer.Option()],
    severity: Annotated[str, typer.Option(help="down, serious, moderate or limited.")],
    subscription: Annotated[str | None, typer.Option()] = None,
    kind: Annotated[str | None, typer.Option(help="account, bug, global or unclassified.")] = None,
    contact: Annotated[str | None, typer.Option(help="Who asks.")] = None,
    subject: Annotated[str | None, typer.Option()] = None,
    received_at: Annotated[str | None, typer.Option(metavar="INSTANT", help="By default now.")] = None,
    ticket: Annotated[str | None, typer.Option(help="An id of your own.")] = None,
    key: Key = None,
) -> None:
    """Open a request that did not come by mail."""
    body = {
        "account": account,
        "subscription": subscription,
        "severity": severity,
        "kind": kind,
        "contact": contact,
        "subject": subject,
        "received_at": received_at,
        "ticket": ticket,
    }
    _said(ask("POST", "/tickets", body, key=key))


@app.command()
def respond(
    ticket: Ticket,
    text: Annotated[
        str | None, typer.Option(help="Mailed to who asked; - reads it from standard input.")
    ] = None,
    at: When = None,
    key: Key = None,
) -> None:
    """Answer: with a text by mail, without one only state that somebody did."""
    said = sys.stdin.read() if text == "-" else text
    _act(ticket, "response", {"text": said, "at": at}, key)


@app.command()
def classify(
    ticket: Ticket,
    kind: Annotated[str, typer.Argument(help="account, bug, global or unclassified.")],
    at: When = None,
    key: Key = None,
) -> None:
    """Say what kind of request it is."""
    _act(ticket, "kind", {"kind": kind, "at": at}, key)


@app.command()
def severity(
    ticket: Ticket,
    severity: Annotated[str, typer.Argument(help="down, serious, moderate or limited.")],
    at: When = None,
    key: Key = None,
) -> None:
    """Change how bad it is."""
    _act(ticket, "severity", {"severity": severity, "at": at}, key)


@app.command()
def log(
    ticket: Ticket,
    minutes: Annotated[int, typer.Argument(min=0)],
    entry: Annotated[str | None, typer.Option(help="An id of your own; by default the next number.")] = None,
    at: When = None,
    key: Key = None,
) -> None:
    """Log minutes of work."""
    body = {"minutes": minutes, "entry": entry, "at": at}
    found = ask("POST", f"/tickets/{part(ticket)}/work", body, key=key)
    Console().print(f"logged: {minutes} min on {found['ticket']} as entry {found['entry']}", soft_wrap=True)
    if found["kind"] == "unclassified":
        Console().print(f"it counts for nothing until somebody says: garant desk classify {found['ticket']}")


@app.command()
def correct(
    ticket: Ticket,
    entry: str,
    minutes: Annotated[int, typer.Argument(min=0)],
    at: Annotated[
        str | None, typer.Option("--at", metavar="INSTANT", help="By default its date stays.")
    ] = None,
    key: Key = None,
) -> None:
    """Correct an entry of work."""
    _act(ticket, "work/corrections", {"entry": entry, "minutes": minutes, "at": at}, key)


@app.command()
def close(ticket: Ticket, at: When = None, key: Key = None) -> None:
    """Close a request. That is no response."""
    _act(ticket, "close", {"at": at}, key)


@app.command()
def reopen(ticket: Ticket, at: When = None, key: Key = None) -> None:
    """Open a closed request again."""
    _act(ticket, "reopen", {"at": at}, key)


@app.command()
def withdraw(ticket: Ticket, at: When = None, key: Key = None) -> None:
    """End the wait: the customer takes it back, or it was none."""
    _act(ticket, "withdraw", {"at": at}, key)


@app.command()
def split(
    message: Annotated[int, typer.Argument(min=1)],
    severity: Annotated[str | None, typer.Option(help="down, serious, moderate or limited.")] = None,
) -> None:
    """Make a mail in a request's thread a request of its own."""
    _said(ask("POST", f"/messages/{message}/split", {"severity": severity}))


@app.command()
def assign(
    ticket: Ticket,
    account: str,
    subscription: Annotated[str | None, typer.Option()] = None,
    contact: Annotated[str | None, typer.Option()] = None,
) -> None:
    """Say whose request it is: it is opened anew for that account, as received when it was."""
    body = {"account": account, "subscription": subscription, "contact": contact}
    _said(ask("POST", f"/tickets/{part(ticket)}/assign", body))


def _now() -> Any:
    try:
        return shown(ask("GET", "/worklist"))
    except Refused as error:
        return Text(f"{error}\nTrying again every {_EVERY_S:.0f} seconds; Ctrl-C ends.")


def _act(ticket: str, action: str, body: dict[str, Any], key: str | None) -> None:
    _said(ask("POST", f"/tickets/{part(ticket)}/{action}", body, key=key))


def _said(found: dict[str, Any]) -> None:
    due = f", first response due {found['due_at']}" if found["due_at"] else ""
    Console().print(
        f"{found['ticket']} of {found['account']}: {found['severity']}, {found['kind']}, "
        f"{found['standing']}{due}",
        soft_wrap=True,
        markup=False,
    )


def _show(found: dict[str, Any]) -> None:
    _said(found)
    console = Console(soft_wrap=True, markup=False, highlight=False)
    if found["subject"]:
        console.print(plain(found["subject"]))
    for one in found["messages"]:
        sender = plain(one["sender"] or "erased")
        console.print(f"\nmessage {one['message']}, {one['received_at']}, {one['state']}, from {sender}")
        console.print("\n".join(f"  {plain(line)}" for line in (one["text"] or "").splitlines()))
    for one in found["letters"]:
        console.print(
            f"\n{one['purpose']}, {one['created_at']}, {one['state']}, to {plain(one['recipient'])}"
        )
        console.print("\n".join(f"  {plain(line)}" for line in (one["text"] or "").splitlines()))
    if found["letters"]:
        console.print("\nletters")
        table(("id", "state", "recipient", "sent_at", "reason"), found["letters"])
    if found["work"]:
        console.print("\nwork")
        table(("entry", "minutes", "at"), found["work"])
    console.print("\nsaid")
    rows = ({**one, "fact": one["fact"]["type"], "at": _at(one["fact"])} for one in found["facts"])
    table(("fact", "at", "said_at", "published_at"), rows)


def _at(fact: dict[str, Any]) -> str:
    return str(fact.get("at") or fact.get("received_at") or "")
