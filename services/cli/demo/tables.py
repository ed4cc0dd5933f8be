"""What came of the demonstration month: the month, its credits, the next invoice."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from services.cli.audit.words import length, month
from services.cli.demo.history import SUBSCRIPTION
from shared.codec import decode_outcome
from shared.kafka import read_topic
from shared.money import format_amount
from shared.outcomes import Credit, CreditGranted, MonthClosed, Outcome
from shared.settings import KafkaSettings
from shared.topics import CREDITS, MONTHS, Topic

Ask = Callable[[str, str], Any]


def show(console: Console, settings: KafkaSettings, ask: Ask, shown: date) -> None:
    """Prints the tables of month `shown` as the log and billing have them now, and what to run next."""
    months = [
        one
        for one in _outcomes(settings, MONTHS)
        if isinstance(one, MonthClosed) and (one.subscription, one.month) == (SUBSCRIPTION, f"{shown:%Y-%m}")
    ]
    if months:
        console.print(_month_table(shown, max(months, key=lambda one: one.revision)))
    latest: dict[str, Credit] = {}
    for one in _outcomes(settings, CREDITS):
        if isinstance(one, CreditGranted) and one.subscription == SUBSCRIPTION:
            latest[one.credit] = max(one, latest.get(one.credit, one), key=lambda found: found.revision)
    console.print(_credit_table(latest, ask("GET", f"/subscriptions/{SUBSCRIPTION}/credits")))
    for invoice in ask("GET", f"/subscriptions/{SUBSCRIPTION}/invoices"):
        if any(line["credit"] for line in invoice["lines"]) and not invoice["voided_at"]:
            console.print(_invoice_table(f"Invoice {invoice['number']}, issued", invoice))
    draft = ask("GET", f"/subscriptions/{SUBSCRIPTION}/next-invoice")
    if draft is not None:
        console.print(_invoice_table("The next invoice (draft)", draft))
    console.print("Why? Down to the probe results, proved by a replay:")
    for credit in latest:
        console.print(Text(f"  garant explain {credit}", "bold"), soft_wrap=True)


def _outcomes(settings: KafkaSettings, topic: Topic) -> list[Outcome]:
    return [decode_outcome(record.value or b"") for record in read_topic(settings, topic)]


def _table(title: str, *columns: str) -> Table:
    """A column whose name begins with ">" holds figures."""
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    for name in columns:
        table.add_column(name.lstrip(">"), justify="right" if name.startswith(">") else "left")
    return table


def _month_table(shown: date, closed: MonthClosed) -> Table:
    table = _table(f"{month(shown)}, {closed.subscription}", "", "")
    table.show_header = False
    verdict = {True: "kept", False: "missed", None: "no figure"}[closed.met]
    measured_ms = closed.window_ms - closed.excluded_ms - closed.unmeasured_ms
    table.add_row("in service", length(closed.window_ms))
    table.add_row("unmeasured (no agent reported)", length(closed.unmeasured_ms))
    table.add_row("measured", length(measured_ms))
    table.add_row("down", Text(length(closed.down_ms), "red"))
    table.add_row(f"uptime, by terms {closed.terms}", f"{closed.uptime_percent or '-'} %: promise {verdict}")
    return table


def _credit_table(latest: dict[str, Credit], rows: list[dict[str, Any]]) -> Table:
    currency = rows[0]["currency"] if rows else ""
    table = _table("Credits, as billing booked them", "credit and why", f">{currency} granted", ">still open")
    for row in rows:
        why = _why(latest[row["credit"]]) if row["credit"] in latest else ""
        table.add_row(f"{row['credit']}\n  {why}", row["granted"], row["open"])
    return table


def _why(credit: Credit) -> str:
    worked = credit.calculation
    if worked["rule"] == "none":
        return "taken back: nothing is owed any more"
    if "days" not in worked:
        return f"by rule {worked['rule']}: exactly {worked['exact']}"
    days = worked["days"]
    rate = f"{days[0]['price']} / {days[0]['term_days']} days" if days else "-"
    counted = worked["counted_ms"] if credit.cause == "uptime" else worked["down_ms"]
    what = (
        f"uptime {worked['uptime_percent']} %, and {length(counted)} down outside of longer cuts"
        if credit.cause == "uptime"
        else f"a cut of {length(counted)}"
    )
    return f"{what}: {len(days)} x {rate} = {format_amount(credit.total)}"


def _invoice_table(title: str, document: dict[str, Any]) -> Table:
    table = _table(
        f"{title}: {document['term_start']} to {document['term_end']} (exclusive)",
        "",
        f">{document['currency']}",
    )
    for line in document["lines"]:
        name = f"{line['kind']} {line['credit']}" if line["credit"] else line["kind"]
        table.add_row(name, line["amount"])
    table.add_section()
    table.add_row("to pay", Text(document["total"], "bold"))
    if document["carried_over"] not in ("0.00", None):
        table.add_row("credit left for the invoice after it", document["carried_over"])
    return table
