"""`garant billing`: run the service, or ask a running one. Everything goes through its HTTP API, so that the
command line and other programs do the same things under the same checks."""

from __future__ import annotations

import asyncio
from datetime import date
from getpass import getuser
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console

from services.billing.app import serve
from services.billing.settings import TOKEN, BillingSettings
from shared.calling import Service, part, table
from shared.settings import HomeSettings, KafkaSettings
from shared.tracing.process import begin

app = typer.Typer(
    no_args_is_help=False,
    help="Run billing; declare subscriptions, see credits and invoices.",
    pretty_exceptions_show_locals=False,
)

Day = Annotated[str, typer.Argument(metavar="YYYY-MM-DD")]
Key = Annotated[str | None, typer.Option("--key", help="Idempotency key: the same one says it only once.")]
Port = Annotated[int | None, typer.Option(help="HTTP port.", min=1, max=65_535)]


def _me() -> str:
    try:
        return getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return "unknown"


@app.callback(invoke_without_command=True)
def billing(context: typer.Context, port: Port = None) -> None:
    """Run the billing service until it is stopped, or give a command."""
    if context.invoked_subcommand is None:
        run(port)


@app.command(name="serve")
def run(port: Port = None) -> None:
    """Run the billing service until it is stopped."""
    settings = BillingSettings() if port is None else BillingSettings(port=port)
    begin("billing")
    asyncio.run(serve(settings, KafkaSettings(), HomeSettings().home))


@app.command()
def start(
    subscription: str,
    account: Annotated[str, typer.Option()],
    price: Annotated[str, typer.Option(help='Of one term, e.g. "1200.00".')],
    starts_on: Annotated[str, typer.Option(metavar="YYYY-MM-DD")],
    target: Annotated[list[str], typer.Option(help="A target it is promised; give it for each.")],
    deployment: Annotated[str, typer.Option(help="cloud or on-premises.")] = "cloud",
    currency: Annotated[str, typer.Option()] = "CHF",
    term: Annotated[str, typer.Option(help="year or month.")] = "year",
    language: Annotated[str, typer.Option(help="fr, de, it or en.")] = "fr",
) -> None:
    """Start a subscription."""
    body = {
        "account": account,
        "subscription": subscription,
        "deployment": deployment,
        "targets": target,
        "price": price,
        "currency": currency,
        "term": term,
        "starts_on": starts_on,
        "language": language,
    }
    _show_subscriptions([_ask("POST", "/subscriptions", body)])


@app.command()
def change(
    subscription: str,
    effective_on: Day,
    price: Annotated[str | None, typer.Option(help='Of one term, e.g. "1200.00".')] = None,
    deployment: Annotated[str | None, typer.Option(help="cloud or on-premises.")] = None,
    target: Annotated[list[str] | None, typer.Option(help="All its targets from then on.")] = None,
    key: Key = None,
) -> None:
    """Change price, deployment or targets from a date on."""
    said = {"price": price, "deployment": deployment, "targets": target or None}
    body = {"effective_on": effective_on} | {name: value for name, value in said.items() if value is not None}
    _show_subscriptions([_ask("POST", f"/subscriptions/{subscription}/changes", body, key=key)])


@app.command()
def cancel(subscription: str, ends_on: Day, key: Key = None) -> None:
    """End a subscription at 00:00 of a date."""
    body = {"ends_on": ends_on}
    _show_subscriptions([_ask("POST", f"/subscriptions/{subscription}/cancellation", body, key=key)])


@app.command(name="list")
def list_() -> None:
    """List every subscription as it stands today."""
    _show_subscriptions(_ask("GET", "/subscriptions"))


@app.command()
def credits(subscription: str) -> None:
    """Show a subscription's credits: granted, used by invoices, open."""
    rows = _ask("GET", f"/subscriptions/{subscription}/credits")
    columns = ("credit", "granted", "used", "settled", "open", "currency", "held")
    table(columns, ({**row, "held": _why_not(row)} for row in rows))


@app.command()
def ledger(subscription: str) -> None:
    """Show every ledger entry of a subscription."""
    rows = _ask("GET", f"/subscriptions/{subscription}/ledger")
    table(("sequence", "kind", "credit", "revision", "amount", "currency", "invoice", "booked_at"), rows)


@app.command()
def warnings(subscription: str) -> None:
    """Show when a subscription's support quota ran low, and was restored."""
    rows = _ask("GET", f"/subscriptions/{subscription}/quota-warnings")
    table(("year_starts_on", "kind", "percent", "used_minutes", "quota_minutes", "taken_at"), rows)


@app.command()
def invoices(subscription: Annotated[str | None, typer.Argument()] = None) -> None:
    """List invoices, of one subscription or all."""
    rows = _ask("GET", f"/subscriptions/{subscription}/invoices" if subscription else "/invoices")
    _show_invoices(rows)


@app.command()
def invoice(
    number: str,
    html: Annotated[Path | None, typer.Option(help="Write it as a page to print.")] = None,
) -> None:
    """Show one invoice, line by line."""
    if html is not None:
        html.write_text(_call("GET", f"/invoices/{number}/page").text)
        Console().print(f"written: {html}")
        return
    _show_document(_ask("GET", f"/invoices/{number}"))


@app.command(name="next")
def next_(subscription: str) -> None:
    """Show the next invoice as it would be issued now."""
    found = _ask("GET", f"/subscriptions/{subscription}/next-invoice")
    if found is None:
        Console().print(f"{subscription} ends before another term begins: no next invoice")
        return
    _show_document(found)


@app.command()
def issue(
    through: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="By default today.")] = None,
) -> None:
    """Issue every invoice whose term begins on or before a date, also one to come."""
    day = through or date.today().isoformat()  # noqa: DTZ011 - the person's today
    issued = _ask("POST", "/invoices", {"through": day})["issued"]
    Console().print(f"issued: {', '.join(issued)}" if issued else "nothing to issue")


@app.command()
def void(
    number: str,
    reason: Annotated[str, typer.Option(help="Why it does not stand.")],
    replace: Annotated[bool, typer.Option("--replace", help="Invoice its term again at once.")] = False,
) -> None:
    """Void an invoice: the credits it used are open again."""
    found = _ask("POST", f"/invoices/{number}/void", {"reason": reason, "replace": replace})
    again = found["replaced_by"]
    Console().print(f"voided: {number}" + (f", replaced by {again}" if again else ""))


@app.command()
def settle(
    subscription: str,
    credit: str,
    amount: Annotated[str, typer.Argument(help="Paid out; below zero (after `--`): waived.")],
    settlement: Annotated[str, typer.Option("--id", help="Your reference: the same settles only once.")],
    reason: Annotated[str, typer.Option()],
) -> None:
    """Note that a credit was paid out, or that what cannot be taken back is waived."""
    body = {"settlement": settlement, "credit": credit, "amount": amount, "reason": reason}
    _ask("POST", f"/subscriptions/{subscription}/settlements", body)
    Console().print(f"settled: {amount} of {credit}", soft_wrap=True)


@app.command()
def held() -> None:
    """Show the credits beyond a cap, which no invoice deducts until a person releases them."""
    columns = ("account", "credit", "amount", "currency", "because", "cap", "passed", "day", "held_at")
    table(columns, _ask("GET", "/held"))


@app.command()
def release(
    credit: str,
    id: Annotated[str, typer.Option("--id", help="Your reference: the same releases only once.")],
    reason: Annotated[str, typer.Option(help="Why it is right.")],
    author: Annotated[str, typer.Option("--by", help="Who says so.", default_factory=_me)],
    amount: Annotated[str | None, typer.Option(help="What you saw held; if it is another, refuse.")] = None,
) -> None:
    """Let the next invoice use a credit that a cap holds."""
    subscription = credit.rsplit("/", 2)[0]
    body = {"release": id, "credit": credit, "author": author, "reason": reason}
    body |= {} if amount is None else {"amount": amount}
    rows = _ask("POST", f"/subscriptions/{part(subscription)}/releases", body)
    left = next(row["open"] for row in rows if row["credit"] == credit)
    Console().print(f"released: {credit} (open: {left})", soft_wrap=True)


@app.command()
def owed() -> None:
    """Show what no coming invoice settles by itself, and so needs a person; what is held comes first."""
    found = _ask("GET", "/owed")
    table(("account", "subscription", "credit", "amount", "currency", "reason"), found["credits"])
    if found["invoices_after_end"]:
        Console().print("Invoices of terms that no longer begin (void them):")
        _show_invoices(found["invoices_after_end"])


@app.command()
def quarantine(
    resolve: Annotated[int | None, typer.Option(metavar="ID", help="Note a decision on this record.")] = None,
    resolution: Annotated[str | None, typer.Option(help="What was decided.")] = None,
) -> None:
    """Show the records that contradict the books and wait for a decision."""
    if resolve is not None:
        _call("POST", f"/quarantine/{resolve}/resolution", {"resolution": resolution or ""})
        Console().print(f"resolved: {resolve}")
        return
    columns = ("id", "credit", "revision", "amount", "reason", "origin", "times_seen", "first_seen_at")
    table(columns, _ask("GET", "/quarantine"))


def _ask(method: str, path: str, body: dict[str, Any] | None = None, *, key: str | None = None) -> Any:
    return _call(method, path, body, key=key).json()


def _call(
    method: str, path: str, body: dict[str, Any] | None = None, *, key: str | None = None
) -> httpx.Response:
    settings = BillingSettings()
    return Service(TOKEN, settings.token, settings.service_url()).call(method, path, body, key=key)


def _why_not(credit: dict[str, Any]) -> str:
    if credit["held"]:
        return "beyond a cap"
    return "incomplete" if credit["incomplete"] else ""


def _show_subscriptions(rows: list[dict[str, Any]]) -> None:
    columns = ("subscription", "account", "price", "currency", "term", "starts_on", "ends_on", "targets")
    table(columns, ({**row, "targets": ", ".join(row["targets"])} for row in rows))


def _show_invoices(rows: list[dict[str, Any]]) -> None:
    columns = ("number", "subscription", "term_start", "total", "currency", "carried_over", "state")
    table(columns, ({**row, "state": "void" if row["voided_at"] else "issued"} for row in rows))


def _show_document(found: dict[str, Any]) -> None:
    console = Console(soft_wrap=True)
    number = found.get("number")
    console.print(f"Invoice {number} of {found['issued_on']}" if number else "Next invoice (draft)")
    if found.get("voided_at"):
        console.print(f"[red]void since {found['voided_at']}[/]: {found['void_reason']}")
    console.print(f"{found['subscription']}, term {found['term_start']} to {found['term_end']} (exclusive)")
    table(("kind", "credit", "amount"), found["lines"])
    console.print(f"total {found['currency']} {found['total']}; carried over {found['carried_over']}")
    if found["held"] != "0.00":
        console.print(f"held, not deducted: {found['held']} (garant billing held)")
