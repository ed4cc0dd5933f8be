"""`garant backup`: the log as files, written while everything runs and restored onto an empty broker."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from services.cli.backup.aligning import Service
from services.cli.backup.aligning import align as bring_together
from services.cli.backup.archive import cuts, onward, prune, read_cut, read_file, records_of
from services.cli.backup.copying import NotCopied
from services.cli.backup.copying import write as write_copy
from services.cli.backup.restoring import restore as put_back
from services.cli.up.here import kafka_here
from shared.errors import NeedsAPerson
from shared.kafka import wait_for_broker

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Copy the log to a folder, and restore it. Databases are dumped by PostgreSQL's own tools, before.",
)

Folder = Annotated[Path, typer.Argument(help="The folder of the backup; one installation each.")]
CutName = Annotated[str | None, typer.Option("--cut", help="A cut's name; without it the newest.")]


class Damaged(NeedsAPerson):
    """A copy is not what was written."""


@app.command()
def write(
    folder: Folder,
    states: Annotated[bool, typer.Option(help="Copy what the folds have saved, too.")] = True,
    keep: Annotated[
        int | None, typer.Option(min=1, help="Keep so many cuts, and delete what no other cut needs.")
    ] = None,
) -> None:
    """Copy what came to the log since the last time; services may run. Dump the databases before."""
    settings = kafka_here()
    wait_for_broker(settings)
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        now_ms = time.time_ns() // 1_000_000
        cut, count = write_copy(settings, folder, version("garant"), now_ms, _say, with_states=states)
        gone = 0 if keep is None else prune(folder, keep)
    typer.echo(f"{cut.name}: {count} new records, {sum(p.end - p.first for p in cut.parts)} in all")
    typer.echo(f"Databases that go with it are from before {cut.began_at}.")
    if keep is not None:
        typer.echo(f"{gone} files that no cut needs any more are deleted, {len(cuts(folder))} cuts kept")


@app.command()
def check(folder: Folder, cut: CutName = None) -> None:
    """Read every file of a cut, and compare checksums and running digests."""
    found = read_cut(folder, cut)
    for part in found.parts:
        digest = part.files[0].before if part.files else part.digest
        for line, _ in records_of(folder, part):
            digest = onward(digest, line)
        if digest != part.digest:
            raise Damaged(
                f"{part.name} of {found.name} has another digest than was written: take another copy."
            )
    for state in found.states:
        for path, checksum in state.pieces:
            read_file(folder, path, checksum)
    typer.echo(f"{found.name} is whole, one of {len(cuts(folder))}:")
    for part in found.parts:
        typer.echo(f"  {part.name} {part.first}..{part.end} {part.digest[:16]}")


@app.command()
def restore(folder: Folder, cut: CutName = None) -> None:
    """Put a cut onto empty topics, which are made. Start no service before it says that all is restored."""
    found = read_cut(folder, cut)
    settings = kafka_here()
    wait_for_broker(settings)
    count = put_back(settings, folder, found, _say)
    typer.echo(f"{found.name} is restored: {count} records, read back and the same")
    typer.echo(f"Restore the databases from before {found.began_at}, and run for each: garant backup align")


@app.command()
def align(service: Annotated[Service, typer.Argument(help="billing, support or notify")]) -> None:
    """After a database or the log was restored, before the service starts: bring the two together."""
    settings = kafka_here()
    wait_for_broker(settings)
    typer.echo(bring_together(settings, service))


def _say(text: str) -> None:
    typer.echo(text, err=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except OSError as error:
        if not isinstance(error, BlockingIOError):
            raise
        raise NotCopied(f"Another garant backup write works on {folder}: wait for it.") from None
    finally:
        os.close(lock)
