"""A process of the product whose wall clock another process can step, while it runs.

`python -m tests.faults.shifted OFFSET_FILE -- garant ARGS...` runs `garant ARGS...` in this process with
`time.time` and `time.time_ns` shifted by the seconds that OFFSET_FILE says (a number, may be negative; no
file or nothing in it: 0). The file is looked at again while the process runs: a step takes effect within
50 ms. The monotonic clock goes on as ever, as it does when the clock of a machine is stepped. Instead of
`garant` another module may be named (`... -- tests.mail.taking_process ARGS...`).

`step(path, seconds)` is for the test that steps.
"""

from __future__ import annotations

import runpy
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

LOOK_EVERY_S: Final = 0.05


def offset_of(path: Path) -> Callable[[], float]:
    """The seconds that `path` says, asked again at most every LOOK_EVERY_S of monotonic time."""
    held, seen, looked = 0.0, 0, float("-inf")

    def offset() -> float:
        nonlocal held, seen, looked
        now = time.monotonic()
        if now - looked >= LOOK_EVERY_S:
            looked = now
            try:
                changed = path.stat().st_mtime_ns
                if changed != seen:
                    held, seen = float(path.read_text().strip() or 0), changed
            except FileNotFoundError:
                held, seen = 0.0, 0
        return held

    return offset


def shift(path: Path) -> None:
    """From now on `time.time` and `time.time_ns` of this process are off by what `path` says."""
    time_s, time_ns, offset = time.time, time.time_ns, offset_of(path)
    time.time = lambda: time_s() + offset()
    time.time_ns = lambda: time_ns() + round(offset() * 1_000_000_000)


def step(path: Path, seconds: float) -> None:
    """Sets the clocks of the processes that look at `path` off by `seconds`, at once and not by halves."""
    written = path.with_suffix(".new")
    written.write_text(str(seconds))
    written.replace(path)


def main() -> None:
    """Runs what the command line names; see the module."""
    path, dashes, program, *arguments = sys.argv[1:]
    if dashes != "--":
        raise SystemExit("python -m tests.faults.shifted OFFSET_FILE -- garant ARGS...")
    shift(Path(path))
    sys.argv = [program, *arguments]
    if program == "garant":
        from services.cli.main import run  # only now: what it imports must find the shifted clock

        run()
    else:
        runpy.run_module(program, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
