"""Death at each failpoint of the SLA service, billing and the outbox, and at random pairs of them.

The agent's, the intake's and the letters' are in test_probe_crashes.py, test_support_crashes.py and
test_notify_crashes.py.
"""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console

from tests.faults.__main__ import command, run
from tests.faults.injuries import Injury
from tests.faults.points import points, reach_all, reach_pairs

SEED, PAIRS = 7, 4


def test_death_at_any_failpoint_or_two_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    """One instance of each service: whatever is reached, it reaches it."""
    injuries = [
        Injury("failpoints", "death at each failpoint", reach_all, 0, 0),
        Injury("failpoint-pairs", "death at one failpoint, then at another", reach_pairs(PAIRS), 0, 0),
    ]
    console = Console(file=sys.__stderr__)
    lines = run(tmp_path, SEED, injuries, True, 0, console, ("sla-1", "billing-1"))
    for line in lines:
        assert not line.errors, f"repeat it with: {command(line)}\n" + "\n".join(line.errors)
    assert [line.times for line in lines] == [len(points()), 2 * PAIRS]
