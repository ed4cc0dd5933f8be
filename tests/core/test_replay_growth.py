"""What a fact costs does not grow with the history before it: counted in lines executed, not in time."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from services.sla import promises
from services.sla.history import History
from services.sla.promises import Promises
from services.sla.states import TargetState, observe
from shared import facts
from shared.codec import encode
from shared.facts import Fact, ProbeFact
from shared.time import DAY, HOUR, MINUTE, Instant
from tests.core.probing import declared, result
from tests.core.telling import announced, corrected, instant, observed, published, started, state, terms_with

CORE = str(Path(promises.__file__).parent)
START = instant("2026-01-01 00:00")
MONTH = 30
SHORT, LONG = 4, 40
"""Months of history before the one that is counted."""


def lines_of(work: Callable[[], object]) -> int:
    """How many lines of the core `work` executes."""
    count = 0

    def line(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        del frame, argument
        count += event == "line"
        return line

    def call(frame: FrameType, event: str, argument: Any) -> Any:
        del event, argument
        return line if frame.f_code.co_filename.startswith(CORE) else None

    before = sys.gettrace()
    sys.settrace(call)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def day(number: int) -> Iterator[tuple[int, Fact]]:
    """A cut every other day, a correction a week, maintenance every fortnight, a request every day."""
    at = START + number * DAY
    if number % 7 == 3:
        yield at, corrected(at - 2 * DAY, at - 2 * DAY + HOUR, "down", at)
    if number % 14 == 5:
        yield at + 1, announced(at + 3 * DAY, at + 3 * DAY + HOUR, at, f"M-{number}")
    if number % 2:
        yield at + HOUR, state(at + HOUR, "down")
        yield at + 2 * HOUR, state(at + 2 * HOUR, "up")
    opened = at + 9 * HOUR
    yield opened, facts.RequestOpened("A-1", "S-1", f"T-{number}", "serious", "account", Instant(opened))
    yield opened + HOUR, facts.FirstResponseSent("A-1", f"T-{number}", Instant(opened + HOUR))
    yield opened + HOUR, facts.WorkLogged("A-1", f"T-{number}", "1", 3, Instant(opened + HOUR))
    yield at + 23 * HOUR, observed(at + 23 * HOUR)


def promises_after(months: int) -> int:
    """Lines for the facts of a month of promises that have been kept for `months` before."""
    fold, offset = Promises(History()), 0

    def tell(at: int, fact: Fact) -> None:
        nonlocal offset
        fold.apply(offset, promises.entry(at, encode(fact)))
        offset += 1

    tell(START, published(terms_with(excluded=True)))
    tell(START, started(starts_on="2026-01-01"))
    tell(START, state(START, "up"))
    for number in range(months * MONTH):
        for at, fact in day(number):
            tell(at, fact)
    last = [one for number in range(months * MONTH, (months + 1) * MONTH) for one in day(number)]

    def rest() -> None:
        for at, fact in last:
            tell(at, fact)

    return lines_of(rest)


def uptime_after(months: int) -> int:
    """Lines for a day's results of a target that has been watched for `months` before, a slot an hour."""
    states: dict[str, TargetState] = {}
    observe(states, declared(("icmp",), ("zrh", "gva"), interval_s=3_600), START, 0)

    def results(first: int, end: int) -> Iterator[tuple[ProbeFact, int]]:
        for slot in range(START + first * DAY, START + end * DAY, HOUR):
            down = slot // HOUR % 50 < 3
            for place in ("zrh", "gva"):
                yield result(slot, "down" if down else "up", place), slot + MINUTE

    for position, (fact, at) in enumerate(results(0, months * MONTH), 1):
        observe(states, fact, at, position)
    last = list(enumerate(results(months * MONTH, months * MONTH + 10), 1_000_000))
    return lines_of(lambda: [observe(states, fact, at, position) for position, (fact, at) in last])


def test_a_month_s_promises_cost_the_same_however_long_the_history_before_it() -> None:
    """Ten times the history: what little more there is are the closed months that are passed over twice."""
    short, long = promises_after(SHORT), promises_after(LONG)
    assert short > 1_000
    assert long < 1.1 * short


def test_a_target_s_results_cost_the_same_however_long_it_has_been_watched() -> None:
    short, long = uptime_after(SHORT), uptime_after(LONG)
    assert short > 1_000
    assert long < 1.1 * short
