"""10,000 random calendars and arrivals: the product's open time agrees with a minute-by-minute model."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from tests.oracle.open_time import AT_ONCE, differences

CALENDARS = 10_000


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as found:
        yield found


@pytest.mark.parametrize("first", range(0, CALENDARS, 2 * AT_ONCE))
def test_open_time_agrees_minute_by_minute(pool: ProcessPoolExecutor, first: int) -> None:
    """Any zone, several intervals a day, holidays with and without hours, summer time both ways."""
    assert list(pool.map(differences, (first, first + AT_ONCE))) == [[], []]
