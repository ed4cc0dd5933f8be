"""What each test of faults tells of itself: a line of JSON in the file that GARANT_FAULTS_REPORT names."""

from __future__ import annotations

import fcntl
import json
import os


def note(fault: str, *, times: int, in_flight: int, seed: int = 0, lost: int = 0, doubled: int = 0) -> None:
    """Adds that `fault` was injected so many `times` with so much `in_flight`; nothing unless it is asked."""
    if not (path := os.environ.get("GARANT_FAULTS_REPORT")):
        return
    told = {
        "fault": fault,
        "times": times,
        "in_flight": in_flight,
        "lost": lost,
        "doubled": doubled,
        "seed": seed,
    }
    with open(path, "a") as report:  # noqa: PTH123
        fcntl.flock(report, fcntl.LOCK_EX)
        report.write(json.dumps(told) + "\n")
