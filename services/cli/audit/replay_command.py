"""`garant replay`: runs a history through the folds and prints every outcome, one JSON object a line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from services.cli.audit.replay import BadLine, replay_lines


def replay(
    file: Annotated[str | None, typer.Argument(help="JSON Lines; - for standard input.")] = None,
    kafka: Annotated[bool, typer.Option("--kafka", help="Replay the live journal instead.")] = False,
) -> None:
    """Replay a history and print every outcome: from a file, or from the live journal."""
    if kafka == (file is not None):
        raise typer.BadParameter("give either a file (- for standard input) or --kafka")
    out = sys.stdout.buffer
    try:
        if file is None:
            _from_kafka()
        elif file == "-":
            for outcome in replay_lines(sys.stdin.buffer):
                out.write(outcome + b"\n")
        else:
            with Path(file).open("rb") as lines:
                for outcome in replay_lines(lines):
                    out.write(outcome + b"\n")
        out.flush()
    except (BadLine, OSError) as error:
        out.flush()
        if isinstance(error, BrokenPipeError):
            raise SystemExit(1) from None
        print(f"error: {file}: {error}", file=sys.stderr)  # noqa: T201
        raise typer.Exit(2) from None


def _from_kafka() -> None:
    from services.cli.audit.journal import replay_journal  # a file is replayed without a broker client
    from services.cli.up.here import kafka_here
    from shared.kafka import wait_for_broker

    settings = kafka_here()
    wait_for_broker(settings)
    for _, spoken in replay_journal(settings):
        for each in spoken:
            sys.stdout.buffer.write(each.data + b"\n")
