"""The product's replay and the slow model conclude the same from thousands of histories.

A history is its seed: `history(seed)` makes the same lines on every machine, so these are kept by number.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from tests.oracle.compare import probed, supported, told

HISTORIES, SUPPORTED, PROBED, AT_ONCE = 2_000, 2_000, 100, 100


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as found:
        yield found


def disagreements(
    pool: ProcessPoolExecutor, compare: Callable[[int], str | None], first: int
) -> dict[int, str]:
    seeds = range(first, first + AT_ONCE)
    found = zip(seeds, pool.map(compare, seeds, chunksize=10), strict=True)
    return {seed: text for seed, text in found if text}


@pytest.mark.parametrize("first", range(0, HISTORIES, AT_ONCE))
def test_replay_agrees_with_the_slow_model(pool: ProcessPoolExecutor, first: int) -> None:
    """Every outcome, its amounts and its place in the journal."""
    assert disagreements(pool, told, first) == {}


@pytest.mark.parametrize("first", range(0, SUPPORTED, AT_ONCE))
def test_support_agrees_with_the_slow_model(pool: ProcessPoolExecutor, first: int) -> None:
    """Deadlines and quota: every outcome and its place in the journal."""
    assert disagreements(pool, supported, first) == {}


@pytest.mark.parametrize("first", range(0, PROBED, AT_ONCE))
def test_probe_results_agree_with_the_slow_model(pool: ProcessPoolExecutor, first: int) -> None:
    """What is concluded from slots with ties, `unknown`, silences and two checks."""
    assert disagreements(pool, probed, first) == {}
