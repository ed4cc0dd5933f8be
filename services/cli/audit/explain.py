"""`garant explain`: why a credit was granted, down to the probe results, proved by a replay."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from msgspec import structs

from services.cli.audit.credit_history import replayed, revisions_of
from services.cli.audit.evidence import Evidence, evidence
from services.cli.audit.explained_page import show
from services.cli.audit.explanation import Explanation, explained
from services.cli.audit.page import on_page
from services.cli.up.here import kafka_here
from shared.codec import encode
from shared.kafka import wait_for_broker


def explain(
    credit: Annotated[str, typer.Argument(help='Its id, e.g. "S-1/outage/2026-10-10T00:00:00.000Z".')],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")] = False,
) -> None:
    """Say why a credit was granted. Exit status 1 where a replay of the journal gives another one."""
    settings = kafka_here()
    wait_for_broker(settings)
    revisions = revisions_of(settings, credit)
    found = explained(revisions, replayed(settings, revisions))
    seen = evidence(settings, found.claims)
    if as_json:
        sys.stdout.buffer.write(encode(document(found, seen)) + b"\n")
    else:
        on_page(lambda console: show(console, found, seen))
    if not found.proof.agrees:
        raise typer.Exit(1)


def document(found: Explanation, seen: list[Evidence]) -> dict[str, Any]:
    """The explanation with its evidence, ready for JSON."""
    fields: dict[str, Any] = {name: getattr(found, name) for name in found.__struct_fields__}
    figures = None if found.figures is None else structs.asdict(found.figures)
    return {**fields, "figures": figures, "evidence": seen}
