"""`garant demo month`: last month of a demonstration shop, through the same Kafka as everything else, until
its credits stand on the next invoice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from services.billing.settings import BillingSettings
from services.cli.audit.journal import replay_journal
from services.cli.audit.page import on_page
from services.cli.demo.history import (
    ACCOUNT,
    SUBSCRIPTION,
    TARGET,
    last_closed_month,
    month_end,
    results,
    subscription_start,
)
from services.cli.demo.installation import installation
from services.cli.demo.running import DemoStuck, Running, billing_of
from services.cli.demo.tables import show
from services.cli.publish import publish_facts
from shared.calendar import add_months, local_date
from shared.codec import Undecodable, decode_entry, decode_fact, type_of
from shared.facts import TargetObserved
from shared.kafka import read_topic
from shared.money import format_amount
from shared.outcomes import CreditGranted, MonthClosed
from shared.settings import HomeSettings, KafkaSettings
from shared.topics import JOURNAL

PATIENCE_S = 120.0
"""How long each step may take before something is wrong."""
SOURCE = "/garant/demo"

Say = Callable[[str], None]


def month(home: Path, console: Console, clock: Callable[[], int]) -> None:
    """Publishes the month unless it is there, waits for its credits, and shows what came of it.

    Raises NotRunning, DemoStuck.
    """
    where = installation(home)
    settings, billing = where.kafka, billing_of(where)
    known = billing.ask("GET", f"/subscriptions/{SUBSCRIPTION}")
    if known is None:
        shown = last_closed_month(clock())
        with _steps(console) as step:
            _publish(settings, shown, step("publishing the month's probe results"))
            _wait_for_journal(settings, month_end(shown), step("the SLA service folds them"))
            _declare(billing, shown, clock(), step("declaring the subscription in billing"))
            _wait_for_credits(settings, billing, shown, step("credits: month closed, granted, booked"))
    else:
        shown = add_months(date.fromisoformat(known["starts_on"]), 1)
        console.print(f"The month is already there: subscription {SUBSCRIPTION} of account {ACCOUNT}.")
        with _steps(console) as step:
            _wait_for_credits(settings, billing, shown, step("credits: month closed, granted, booked"))
    on_page(lambda page: show(page, settings, billing.ask, shown))


Step = Callable[[str], Callable[[float], None]]
"""Begins a step of that name; the returned function tells how much of it is done (0 to 1)."""


@contextmanager
def _steps(console: Console) -> Iterator[Step]:
    """Shows progress on a terminal; elsewhere one line for each step."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:

        def step(name: str) -> Callable[[float], None]:
            if not console.is_terminal:
                console.print(f"{name} ...")
            task = progress.add_task(name, total=1.0)
            return lambda done: progress.update(task, completed=done)

        yield step


def _publish(settings: KafkaSettings, shown: date, tell: Callable[[float], None]) -> None:
    facts = list(results(shown))
    asyncio.run(publish_facts(settings, facts, SOURCE, lambda count: tell(count / len(facts))))


def _wait_for_journal(settings: KafkaSettings, end: int, tell: Callable[[float], None]) -> None:
    """Returns once every journal partition holds that the target was watched to `end` (ms): a subscription
    that starts after it finds its month complete."""
    read = dict.fromkeys(range(settings.partitions(JOURNAL)), 0)
    waiting, deadline = set(read), time.monotonic() + PATIENCE_S
    while waiting:
        for partition in sorted(waiting):
            for record in read_topic(settings, JOURNAL, partition, read[partition]):
                read[partition] = record.offset + 1
                if _watched_to(record.value or b"") >= end:
                    waiting.discard(partition)
        tell(1 - len(waiting) / len(read))
        if waiting:
            _patience(deadline, "The SLA service did not fold the month")
    tell(1.0)


def _watched_to(entry: bytes) -> int:
    try:
        fact = decode_entry(entry).fact
        if type_of(fact) != TargetObserved.__name__:
            return -1
        found = decode_fact(fact)
    except Undecodable:
        return -1
    return found.through if isinstance(found, TargetObserved) and found.target == TARGET else -1


def _declare(billing: Running, shown: date, now_ms: int, tell: Callable[[float], None]) -> None:
    """Starts the subscription and has the terms that have begun invoiced, as a vendor would have done by now:
    the credits are for the invoice after them."""
    starts_on = subscription_start(shown)
    body = {
        "account": ACCOUNT,
        "subscription": SUBSCRIPTION,
        "deployment": "cloud",
        "targets": [TARGET],
        "price": "290.00",
        "currency": "CHF",
        "term": "month",
        "starts_on": starts_on.isoformat(),
        "language": "fr",
    }
    billing.ask("POST", "/subscriptions", body)
    billing.ask("POST", "/invoices", {"through": local_date(now_ms, BillingSettings().zone).isoformat()})
    tell(1.0)


def _wait_for_credits(
    settings: KafkaSettings, billing: Running, shown: date, tell: Callable[[float], None]
) -> None:
    """Returns once billing has booked what the live journal, replayed, comes to."""
    deadline = time.monotonic() + PATIENCE_S
    while (owed := _owed(settings, shown)) is None:
        _patience(deadline, "The month did not close")
    while True:
        rows = billing.ask("GET", f"/subscriptions/{SUBSCRIPTION}/credits") or []
        granted = {row["credit"]: row["granted"] for row in rows}
        missing = [credit for credit, total in owed.items() if granted.get(credit) != total]
        tell(1 - len(missing) / max(len(owed), 1))
        if not missing:
            return
        _patience(deadline, f"Billing did not book {', '.join(missing)}")


def _owed(settings: KafkaSettings, shown: date) -> dict[str, str] | None:
    """The total of each of the subscription's credits by a replay of the journal; None before the month
    has closed. By which terms it is judged is not for the demonstration to know."""
    closed, owed = False, dict[str, str]()
    for _, each in replay_journal(settings):
        for spoken in each:
            match spoken.outcome:
                case MonthClosed(subscription=subscription, month=name) if subscription == SUBSCRIPTION:
                    closed = closed or name == f"{shown:%Y-%m}"
                case CreditGranted(subscription=subscription) as credit if subscription == SUBSCRIPTION:
                    owed[credit.credit] = format_amount(credit.total)
    return owed if closed else None


def _patience(deadline: float, what: str) -> None:
    if time.monotonic() >= deadline:
        raise DemoStuck(
            f"{what} within {PATIENCE_S:g} s. See `garant status` and the logs in "
            f"{HomeSettings().home.absolute() / 'logs'}, then run this again: it carries on."
        )
    time.sleep(0.25)
