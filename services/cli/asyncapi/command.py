"""`garant asyncapi`: the AsyncAPI document of every topic, printed, written down or checked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from services.cli.asyncapi.document import as_yaml, document
from services.cli.asyncapi.operations import operations
from shared.errors import NeedsAPerson

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "reference" / "asyncapi.yaml"


class OutOfDate(NeedsAPerson):
    """The document in docs/ is not what the code says."""


def asyncapi(
    check: Annotated[bool, typer.Option("--check", help="Fail unless the file in docs/ is right.")] = False,
    write: Annotated[bool, typer.Option("--write", help="Write the file in docs/.")] = False,
) -> None:
    """Print the AsyncAPI 3.0 document of every topic: who sends what, and who receives it."""
    text = as_yaml(document(operations()))
    if check:
        check_file(DOCUMENT, text)
        typer.echo(f"{DOCUMENT.name} is up to date")
    elif write:
        DOCUMENT.write_text(text)
        typer.echo(f"written: {DOCUMENT}")
    else:
        typer.echo(text, nl=False)


def check_file(path: Path, text: str) -> None:
    """Raises OutOfDate unless `path` holds `text`."""
    if not path.exists() or path.read_text() != text:
        raise OutOfDate(
            f"{path} is not what the topics and the services say now. Run `garant asyncapi --write`, look at "
            "the difference (it is the wire contract), and commit it."
        )
