"""What the tests on a cluster found, as tables for a person and as JSON for the docs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from msgspec import Struct, to_builtins
from rich.console import Console
from rich.table import Table


class Line(Struct):
    """What became of one fault; `pauses` is the longest silence (s) of each fold while something waited."""

    fault: str
    times: int
    in_flight: int
    credits: int
    warnings: int
    lost: int
    doubled: int
    wrong: int
    seconds: float
    pauses: dict[str, float] = {}
    errors: list[str] = []


class Found(Struct):
    """Everything a run found: measured figures by name, faults, connections tried."""

    figures: dict[str, Any] = {}
    faults: list[Line] = []

    def show(self, console: Console) -> None:
        if self.figures:
            figures = Table(box=None, header_style="bold")
            figures.add_column("measured")
            figures.add_column("", overflow="fold")
            for name, value in self.figures.items():
                figures.add_row(name, value if isinstance(value, str) else json.dumps(value))
            console.print(figures)
        if self.faults:
            console.print(faults(self.faults))

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(to_builtins(self), indent=1) + "\n")


def faults(lines: list[Line]) -> Table:
    """A row for each fault, and their sum."""
    names = ("times", "in flight", "credits", "warnings", "lost", "doubled", "wrong", "s")
    folds = ("uptime", "journal", "promises", "whole")
    shown = Table(box=None, header_style="bold", pad_edge=False)
    shown.add_column("fault")
    for name in (*names, *(f"paused: {fold}" for fold in folds)):
        shown.add_column(name, justify="right")
    for line in lines:
        paused = [f"{line.pauses[fold]:.1f}" if fold in line.pauses else "" for fold in folds]
        shown.add_row(line.fault, *(f"{cell:g}" for cell in _cells(line)), *paused)
    sums = [f"{sum(column):g}" for column in zip(*(_cells(line) for line in lines), strict=True)]
    shown.add_row("[b]all[/]", *sums)
    return shown


def _cells(line: Line) -> tuple[float, ...]:
    told = (line.times, line.in_flight, line.credits, line.warnings)
    return (*told, line.lost, line.doubled, line.wrong, line.seconds)
