"""Cases of crashes: at each failpoint alone, and at random pairs; a few run at a time, each test waits for
its own. Only the chosen ones are run: the id of one test repeats that test."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import pytest

SEED: Final = int(os.environ.get("GARANT_FAULTS_SEED", "20261124"))
LONG: Final = bool(os.environ.get("GARANT_FAULTS_LONG"))
Points = tuple[str, ...]
"""Failpoints at which the process dies, one after the other; `NAME:N` is the N-th passage."""
T = TypeVar("T")


def pairs(points: Sequence[str], few: int, many: int) -> list[Points]:
    """So many random pairs, other ones for another GARANT_FAULTS_SEED; `many` with GARANT_FAULTS_LONG=1."""
    chance = random.Random(f"{SEED} {points[0]}")
    every = [(first, second) for first in points for second in points]
    return chance.sample(every, min(len(every), many if LONG else few))


def named(points: Points) -> str:
    """How a case is called in its test's id."""
    return "+".join(points)


def chosen(request: pytest.FixtureRequest, name: str = "points") -> list[Points]:
    """The cases of this module whose tests are to be run."""
    found: dict[Points, None] = {}
    for item in request.session.items:
        params: Any = getattr(getattr(item, "callspec", None), "params", {})
        if item.path == request.path and name in params:
            found[params[name]] = None
    return list(found)


@contextmanager
def running(
    cases: Sequence[Points], lanes: int, run: Callable[[Points], T]
) -> Iterator[dict[Points, Future[T]]]:
    """`run` of each case, in this order, `lanes` at a time."""
    pool = ThreadPoolExecutor(lanes, thread_name_prefix="case")
    try:
        yield {points: pool.submit(run, points) for points in cases}
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def repeated_by(request: pytest.FixtureRequest) -> Iterator[None]:
    """What fails within says by which command it is repeated."""
    try:
        yield
    except (AssertionError, TimeoutError) as error:
        settings = f"GARANT_FAULTS_SEED={SEED} " + "GARANT_FAULTS_LONG=1 " * LONG
        command = f"{settings}.venv/bin/pytest '{request.node.nodeid}'"
        raise AssertionError(f"{error}\n\nrepeat it with: {command}") from error
