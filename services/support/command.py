"""`garant support`: run the desk; its contacts, its quarantine and its letters."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer
from rich.console import Console

from services.support.calling import ask
from services.support.settings import SupportSettings
from shared.calling import part, plain, table
from shared.settings import HomeSettings, KafkaSettings
from shared.tracing.process import begin

app = typer.Typer(
    no_args_is_help=False,
    help="Run the support desk; contacts, quarantine, letters.",
    pretty_exceptions_show_locals=False,
)
contact = typer.Typer(help="Who writes to us.", no_args_is_help=True)
quarantine = typer.Typer(help="Mails nobody vouches for.", invoke_without_command=True)
letters = typer.Typer(help="What goes out.", invoke_without_command=True)
app.add_typer(contact, name="contact")
app.add_typer(quarantine, name="quarantine")
app.add_typer(letters, name="letters")

Port = Annotated[int | None, typer.Option(help="HTTP port.", min=1, max=65_535)]
Account = Annotated[str | None, typer.Option()]
Message = Annotated[int, typer.Argument(min=1)]


@app.callback(invoke_without_command=True)
def support(context: typer.Context, port: Port = None) -> None:
    """Run the support desk until it is stopped, or give a command."""
    if context.invoked_subcommand is None:
        run(port)


@app.command(name="serve")
def run(port: Port = None) -> None:
    """Run the support desk until it is stopped."""
    from services.support.app import serve  # here, so that other commands start without a broker's client

    settings = SupportSettings() if port is None else SupportSettings(port=port)
    begin("support")
    asyncio.run(serve(settings, KafkaSettings(), HomeSettings().home))


@contact.command()
def put(
    contact: str,
    account: Annotated[str, typer.Option()],
    address: Annotated[
        list[str] | None, typer.Option(help="Writes from here; give each. The first is written to.")
    ] = None,
    name: Annotated[str, typer.Option()] = "",
    language: Annotated[str, typer.Option(help="fr, de, it or en.")] = "fr",
    letters: Annotated[bool, typer.Option(help="Whether warnings and notices go there.")] = True,
    subscription: Annotated[
        str | None, typer.Option(help="The one this person writes about, of several.")
    ] = None,
) -> None:
    """Add a contact, or make it what you say."""
    body = {
        "account": account,
        "addresses": address or [],
        "name": name,
        "language": language,
        "letters": letters,
        "subscription": subscription,
    }
    _contacts([ask("PUT", f"/contacts/{part(contact)}", body)])


@contact.command(name="list")
def list_(account: Account = None) -> None:
    """List every contact, or an account's."""
    _contacts(ask("GET", "/contacts", query={"account": account}))


@quarantine.callback()
def waiting(context: typer.Context) -> None:
    """List the mails that wait for a person, the oldest first."""
    if context.invoked_subcommand is None:
        _messages(ask("GET", "/quarantine"))


@quarantine.command(name="list")
def list_quarantine() -> None:
    """List the mails that wait for a person, the oldest first."""
    _messages(ask("GET", "/quarantine"))


@quarantine.command()
def release(
    message: Message,
    contact: Annotated[str | None, typer.Option(help="Who wrote it.")] = None,
    account: Annotated[str | None, typer.Option(help="Whose it is.")] = None,
    subscription: Annotated[str | None, typer.Option()] = None,
    severity: Annotated[str | None, typer.Option(help="down, serious, moderate or limited.")] = None,
    ticket: Annotated[str | None, typer.Option(help="Joins this request instead of opening one.")] = None,
) -> None:
    """Vouch for a mail: it opens or joins a request as of when it was received."""
    body = {
        "contact": contact,
        "account": account,
        "subscription": subscription,
        "severity": severity,
        "ticket": ticket,
    }
    found = ask("POST", f"/quarantine/{message}/release", body)
    Console().print(f"released: message {message} belongs to {found['ticket'] or 'no request'}")


@quarantine.command()
def discard(message: Message, reason: Annotated[str, typer.Option(help="Why; no names.")]) -> None:
    """Set a mail aside for good. It is kept."""
    ask("POST", f"/quarantine/{message}/discard", {"reason": reason})
    Console().print(f"discarded: message {message}")


@letters.callback()
def listed(
    context: typer.Context, state: Annotated[str | None, typer.Option(help="refused, doubtful, ...")] = None
) -> None:
    """List letters, the newest first."""
    if context.invoked_subcommand is None:
        columns = ("id", "state", "recipient", "attempts", "created_at", "sent_at", "reason")
        table(columns, ask("GET", "/letters", query={"state": state}))


@letters.command()
def resend(letter: str) -> None:
    """Send a doubtful, refused or bounced letter (again)."""
    found = ask("POST", f"/letters/{_letter(letter)}/resend")
    Console().print(f"{found['id']} is {found['state']}", soft_wrap=True)


@letters.command()
def accepted(letter: str) -> None:
    """Note that the relay had a doubtful letter: it is not sent again."""
    found = ask("POST", f"/letters/{_letter(letter)}/accepted")
    Console().print(f"{found['id']} is {found['state']}", soft_wrap=True)


@app.command()
def erase(message: Message) -> None:
    """Erase what one mail says and who wrote it."""
    found = ask("DELETE", f"/messages/{message}")
    Console().print(f"erased: message {message}")
    if found["left_on_disk"]:
        Console().print(
            "its old bytes are still in the database's file: run this again when less is going on"
        )


def _letter(letter: str) -> str:
    return "/".join(part(one) for one in letter.split("/"))


def _contacts(rows: list[dict[str, Any]]) -> None:
    columns = ("contact", "account", "name", "language", "addresses", "letters", "subscription")
    table(columns, ({**row, "letters": "yes" if row["letters"] else "no"} for row in rows))


def _messages(rows: list[dict[str, Any]]) -> None:
    columns = ("message", "received_at", "sender", "subject", "reason")
    table(columns, ({**row, "subject": plain(row["subject"])[:60]} for row in rows))
