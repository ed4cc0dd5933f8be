"""The short form of the faults, with a fixed seed; `make faults` is the long one (docs/guarantees.md)."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console

from tests.faults.__main__ import chosen, command, run

SEED = 5


def test_nothing_is_lost_and_nothing_doubled_whatever_breaks(tmp_path: Path) -> None:
    """Instances, broker and database killed, a network cut, clocks stepped, state damaged."""
    lines = run(tmp_path, SEED, chosen("", short=True), True, 0, Console(file=sys.__stderr__))
    for line in lines:
        assert not line.errors, f"repeat it with: {command(line)}\n" + "\n".join(line.errors)
    assert all(line.times or line.fault == "nothing" for line in lines)
    assert sum(line.credits + line.warnings for line in lines) > 300
