"""`python -m tests.faults`: the faults, one after another, and a table of what they did; `make faults`.

Exit status 1 when anything is lost, doubled or wrong: the command that repeats it is printed.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from msgspec import json
from rich.console import Console
from rich.table import Table

from tests.faults.injuries import INJURIES, Injury
from tests.faults.installation import Broken
from tests.faults.run import Line, Run, Say, home_of
from tests.faults.small_disk import NotMounted, small_disk
from tests.faults.world import BILLING, SLA, World

DISK_MB = 3_000
PROGRAM = ".venv/bin/python -m tests.faults"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the stories and of every random choice")
    parser.add_argument("--only", default="", help="faults by name, comma between them; by default all")
    parser.add_argument("--short", action="store_true", help="the few stories that `make test` tells")
    parser.add_argument(
        "--stories", type=int, default=0, help="stories for each fault, instead of its own number"
    )
    parser.add_argument("--report", type=Path, help="append a JSON line for each fault to this file")
    parser.add_argument("--keep", type=Path, help="keep logs and data in this folder")
    asked = parser.parse_args()
    console = Console()
    injuries = chosen(asked.only, asked.short)
    folder = asked.keep or Path(tempfile.mkdtemp(prefix="garant-faults-"))
    lines = run(folder, asked.seed, injuries, asked.short, asked.stories, console)
    if asked.report:
        with asked.report.open("ab") as report:
            report.writelines(json.encode(line) + b"\n" for line in lines)
    console.print(table(lines))
    failed = [line for line in lines if line.lost or line.doubled or line.wrong]
    for line in failed:
        console.print(f"[red]{line.fault}[/]:", *line.errors, sep="\n  ", soft_wrap=True, markup=False)
        console.print(f"repeat it with: {command(line)}", soft_wrap=True, markup=False)
    if not failed and not asked.keep:
        shutil.rmtree(folder, ignore_errors=True)
    elif failed:
        console.print(f"logs and data: {folder}", soft_wrap=True)
    return 1 if failed else 0


def chosen(only: str, short: bool) -> list[Injury]:
    """The faults named in `only`, or all of the form. Exits with status 2 for a name there is not."""
    names = [name for name in only.split(",") if name]
    if unknown := set(names) - {injury.name for injury in INJURIES}:
        sys.exit(f"no such fault: {', '.join(unknown)}; there are {', '.join(one.name for one in INJURIES)}")
    if names:
        return [injury for injury in INJURIES if injury.name in names]
    return [injury for injury in INJURIES if (injury.short if short else injury.long) is not None]


def run(
    folder: Path,
    seed: int,
    injuries: Sequence[Injury],
    short: bool,
    stories: int,
    console: Console,
    names: tuple[str, ...] = (*SLA, *BILLING),
) -> list[Line]:
    """Opens a world of the instances `names`, breaks it, closes it; progress goes to `console`."""
    home, began = home_of(folder, seed), time.monotonic()

    def say(text: str) -> None:
        console.print(
            f"{time.monotonic() - began:7.1f} s  {text}", soft_wrap=True, markup=False, highlight=False
        )

    with contextlib.ExitStack() as kept:
        disk = None
        if "disk-full" in [injury.name for injury in injuries]:
            disk = kept.enter_context(small_disk(home / "disk", DISK_MB))
            if isinstance(disk, NotMounted):
                say(f"disk-full is NOT tried: no small disk can be mounted ({disk.why}); it takes root")
                injuries, disk = [one for one in injuries if one.name != "disk-full"], None
        return _run(World(home, names, disk), seed, injuries, short, stories, say, folder)


def _run(
    world: World,
    seed: int,
    injuries: Sequence[Injury],
    short: bool,
    stories: int,
    say: Say,
    folder: Path,
) -> list[Line]:
    try:
        say(f"starting a broker, PostgreSQL, {', '.join(world.names)}")
        world.open()
        return Run(world, seed, say).all(
            injuries, lambda one: stories or (one.short if short else one.long) or 0
        )
    except Broken:
        names = ",".join(injury.name for injury in injuries)
        say(f"repeat it with: {PROGRAM} --seed {seed} --only {names} --stories {stories}; logs: {folder}")
        raise
    finally:
        world.close()


def command(line: Line) -> str:
    """What repeats a fault, with the same stories and choices."""
    return f"{PROGRAM} --seed {line.seed} --only {line.fault} --stories {line.stories}"


def table(lines: Sequence[Line]) -> Table:
    """What was tried and what it did."""
    found = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("fault", "times", "in flight", "credits", "warnings", "lost", "doubled", "wrong", "s"):
        found.add_column(name, justify="left" if name == "fault" else "right")
    for line in lines:
        found.add_row(line.fault, *(str(cell) for cell in cells(line)))
    found.add_row(
        "[b]all[/]", *(f"{sum(column):g}" for column in zip(*(cells(line) for line in lines), strict=True))
    )
    return found


def cells(line: Line) -> tuple[float, ...]:
    return (
        *(line.times, line.in_flight, line.credits, line.warnings),
        *(line.lost, line.doubled, line.wrong, line.seconds),
    )


if __name__ == "__main__":
    sys.exit(main())
