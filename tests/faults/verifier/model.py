"""The slow model, run on some entries of a journal partition."""

from __future__ import annotations

from typing import Any

from tests.faults.verifier.journal import Entry
from tests.faults.verifier.outcomes import Outcome
from tests.oracle.clock import show
from tests.oracle.model import Oracle, _far


class _Watched(Oracle):
    """The model, noting whether the last entry concluded what was due before its own fact."""

    due_before = False

    def _conclude(self, until: int, now_over: int | None) -> list[Outcome]:
        told = super()._conclude(until, now_over)
        self.due_before = self.due_before or (bool(told) and now_over is None)
        return told


def concluded(
    entries: dict[int, Entry], own: set[int], times: set[int]
) -> tuple[list[tuple[int, Outcome]], list[int]]:
    """(what the model says, with offsets; own entries before which something had fallen due)."""
    offsets = sorted(own | times)
    lines = [line_of_entry(entries[offset], offset in own) for offset in offsets]
    oracle, said, late = _Watched(_far(lines)), [], []
    for offset, line in zip(offsets, lines, strict=True):
        oracle.due_before = False
        said += [(offset, outcome) for outcome in oracle.entry(line)]
        if oracle.due_before and offset in own:
            late.append(offset)
    return said, late


def line_of_entry(entry: Entry, own: bool) -> dict[str, Any]:
    fact = entry.fact if own else {"type": "ClockAdvanced"}
    source = dict(zip(("topic", "partition", "offset"), entry.source, strict=True)) if entry.source else None
    return {"recorded_at": show(entry.now), "source": source, "fact": fact}
