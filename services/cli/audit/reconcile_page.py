"""What a reconciliation found, as text for a person."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from services.cli.audit.reconcile_kinds import KINDS, Difference
from services.cli.audit.reconciliation import Reconciled

_MOST_SHOWN = 20
"""Of one kind; all of them are in the JSON."""


def show(console: Console, found: Reconciled, known: Sequence[Difference]) -> None:
    """Prints what was compared, the differences by kind with what to do next, and those `known`."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("compared")
    for name in ("records", "repeats", "left"):
        table.add_column(name, justify="right")
    for one in found.compared:
        counts = (
            f"{one.records:,}",
            f"{one.repeats:,}" if one.repeats else "",
            f"{one.left:,}" if one.left else "",
        )
        table.add_row(one.what, *counts)
    console.print(table)
    if found.unprobed:
        parts = ", ".join(str(part) for part in found.unprobed)
        console.print(
            f"Not compared: states from probe.results of partitions {parts}; their beginning has expired."
        )
    by_kind = sorted(found.differences, key=lambda one: list(KINDS).index(one.kind))
    for kind, those in groupby(by_kind, key=lambda one: one.kind):
        _kind(console, kind, list(those))
    if known:
        console.print(f"\n{len(known)} known differences are not counted.")
    console.print()
    if found.differences:
        console.print(Text(f"{len(found.differences)} differences.", style="bold red"))
    else:
        console.print(Text("Everything agrees.", style="bold green"))


def _kind(console: Console, kind: str, those: Sequence[Difference]) -> None:
    means, what_next = KINDS[kind]
    console.print()
    console.print(Text(f"{kind}: {len(those)}", style="bold red"))
    for text in (means, what_next):
        console.print(Padding(Text(text), (0, 0, 0, 2)))
    for one in those[:_MOST_SHOWN]:
        console.print(Padding(Text(one.id, style="bold"), (0, 0, 0, 2)))
        for text in (one.about, one.detail):
            if text:
                console.print(Padding(Text(text), (0, 0, 0, 6)))
    if (more := len(those) - _MOST_SHOWN) > 0:
        console.print(Padding(Text(f"and {more} more (all of them: --json)"), (0, 0, 0, 2)))
