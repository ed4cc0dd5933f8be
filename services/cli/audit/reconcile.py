"""`garant reconcile`: whether topics and books are what the journal leads to, difference by difference."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from kafka.errors import KafkaError
from msgspec import Struct, structs
from pydantic import ValidationError
from rich.console import Console
from sqlalchemy.exc import SQLAlchemyError

from services.billing.database import BOOKS
from services.billing.settings import BillingSettings
from services.cli.audit.page import on_page
from services.cli.audit.reconcile_kinds import KINDS, Compared
from services.cli.audit.reconcile_page import show
from services.cli.audit.reconcile_sheet import Progress
from services.cli.audit.reconciliation import Reconciled, reconcile
from services.cli.main import mistakes
from services.cli.up.here import kafka_here
from services.sla.promises import JournalBroken
from shared.codec import encode
from shared.database import open_read_only
from shared.errors import NeedsAPerson
from shared.kafka import wait_for_broker
from shared.settings import HomeSettings

Known = Annotated[
    Path | None,
    typer.Option(help="A file of differences a person has dealt with, an id a line; they are not counted."),
]


class Summary(Struct, frozen=True, tag=True, tag_field="type"):
    """The last line for machines: `differences` by kind; `known` were not counted."""

    agrees: bool
    differences: dict[str, int]
    known: int
    compared: tuple[Compared, ...]
    unprobed: tuple[int, ...]


class NotReconciled(NeedsAPerson):
    """Something could not be read; nothing is said about differences."""


def command(
    settle: Annotated[float, typer.Option(min=0, help="Seconds to wait for what lags behind.")] = 30.0,
    probes: Annotated[bool, typer.Option(help="Fold the probe results, too.")] = True,
    known: Known = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="A JSON object a difference, and a summary.")
    ] = False,
) -> None:
    """Replay the journal and compare it with its sources, every outcome topic and billing's books.

    Only reads. Exit status 0: everything agrees. 1: there are differences. 2: something could not be read.
    """
    try:
        ignored = _known(known)
        found = _reconciled(settle, probes)
    except (NeedsAPerson, ValidationError) as error:
        told = mistakes(error) if isinstance(error, ValidationError) else str(error)
        print(f"error: {told}", file=sys.stderr)  # noqa: T201
        raise typer.Exit(2) from None
    counted = [one for one in found.differences if one.id not in ignored]
    left_out = [one for one in found.differences if one.id in ignored]
    found = structs.replace(found, differences=tuple(counted))
    if as_json:
        for line in (*counted, _summary(found, len(left_out))):
            sys.stdout.buffer.write(encode(line) + b"\n")
        sys.stdout.buffer.flush()
    else:
        on_page(lambda console: show(console, found, left_out))
    if counted:
        raise typer.Exit(1)


def _reconciled(settle_s: float, probes: bool) -> Reconciled:
    settings = kafka_here()
    engine = open_read_only(BillingSettings().engine_url(HomeSettings().home), BOOKS)
    try:
        wait_for_broker(settings)
        with _progress() as say:
            return reconcile(settings, engine, settle_s, say, probes=probes)
    except (JournalBroken, KafkaError) as error:
        raise NotReconciled(f"The log cannot be read: {error}") from error
    except SQLAlchemyError as error:
        raise NotReconciled(f"Billing's books cannot be read: {getattr(error, 'orig', error)}") from error
    except (sqlite3.Error, OSError) as error:
        raise NotReconciled(
            f"The worksheet cannot be written: {error}. It needs room in the directory that TMPDIR names."
        ) from error
    finally:
        engine.dispose()


def _known(file: Path | None) -> set[str]:
    """The ids in `file`; what stands behind a blank is a note."""
    if file is None:
        return set()
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise NotReconciled(f"{file} cannot be read: {error}") from error
    return {line.split("#")[0].strip() for line in lines} - {""}


def _summary(found: Reconciled, known: int) -> Summary:
    counts = {kind: sum(one.kind == kind for one in found.differences) for kind in KINDS}
    by_kind = {kind: number for kind, number in counts.items() if number}
    return Summary(not found.differences, by_kind, known, found.compared, found.unprobed)


@contextmanager
def _progress() -> Iterator[Progress]:
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status("reading") as status:
        yield status.update
