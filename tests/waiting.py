"""Waiting for what happens by itself. How long that takes is the machine's affair: a test fails where it does
not happen at all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

WITHIN_S = 150.0
"""Long enough for the slowest machine at its busiest."""


def eventually(check: Callable[[], Any], within_s: float = WITHIN_S) -> Any:
    """What `check` returns, once that is true."""
    deadline = time.monotonic() + within_s
    while not (found := check()):
        assert time.monotonic() < deadline, f"did not happen within {within_s:g} s"
        time.sleep(0.1)
    return found


async def until(check: Callable[[], Any], within_s: float = WITHIN_S) -> Any:
    """The same beside what runs on the loop."""
    deadline = time.monotonic() + within_s
    while not (found := check()):
        assert time.monotonic() < deadline, f"did not happen within {within_s:g} s"
        await asyncio.sleep(0.05)
    return found
