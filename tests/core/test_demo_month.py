"""The demonstration month: whatever month it is, it misses what it shall miss, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pytest

from services.cli.audit.replay import replay_lines
from services.cli.demo.history import (
    ACCOUNT,
    CHECKS,
    LOCATIONS,
    SUBSCRIPTION,
    TARGET,
    last_closed_month,
    long_cut,
    month_end,
    results,
    subscription_start,
)
from shared.codec import decode_outcome, encode
from shared.facts import ClockAdvanced, Fact, ProbeResult, SubscriptionStarted
from shared.money import Amount
from shared.outcomes import CreditGranted, MonthClosed, Outcome
from shared.time import HOUR, MINUTE, Instant, format_instant, parse_instant


def line(recorded_at: int, fact: Fact) -> bytes:
    return encode({"recorded_at": Instant(recorded_at), "fact": fact})


def history(month: date) -> Iterator[bytes]:
    """The month as `garant demo month` says it: all results, then the subscription, at one late moment."""
    now = month_end(month) + 20 * 24 * HOUR
    for fact in results(month):
        yield line(now, fact)
    subscription = SubscriptionStarted(
        ACCOUNT,
        SUBSCRIPTION,
        "cloud",
        (TARGET,),
        Amount(29_000),
        "CHF",
        "month",
        subscription_start(month),
        "fr",
    )
    yield line(now, subscription)
    yield line(now, ClockAdvanced())


@pytest.fixture(scope="module", params=[date(2026, 2, 1), date(2026, 3, 1), date(2026, 10, 1)], ids=str)
def month(request: pytest.FixtureRequest) -> date:
    """A short month, and both that have a change of the clocks."""
    found: date = request.param
    return found


@pytest.fixture(scope="module")
def outcomes(month: date) -> list[Outcome]:
    return [decode_outcome(found) for found in replay_lines(history(month))]


def test_the_month_closes_once_with_its_final_figures(month: date, outcomes: list[Outcome]) -> None:
    (closed,) = [one for one in outcomes if isinstance(one, MonthClosed) and one.month == f"{month:%Y-%m}"]
    assert (closed.revision, closed.met) == (1, False)
    assert closed.down_ms == 37 * HOUR + 15 * MINUTE
    assert closed.unmeasured_ms == 5 * HOUR + 30 * MINUTE


def test_it_earns_a_credit_for_the_long_cut_and_one_for_the_rest_of_the_month(
    month: date, outcomes: list[Outcome]
) -> None:
    credits = [one for one in outcomes if isinstance(one, CreditGranted)]
    began = format_instant(long_cut(month).starts_at)
    assert [one.credit for one in credits] == [
        f"{SUBSCRIPTION}/outage/{began}",
        f"{SUBSCRIPTION}/uptime/{month:%Y-%m}",
    ]
    assert [len(one.calculation["days"]) for one in credits] == [2, 1]
    assert {one.revision for one in credits} == {1}


def test_said_again_it_is_the_same_bytes(month: date) -> None:
    assert [encode(fact) for fact in results(month)] == [encode(fact) for fact in results(month)]


def test_every_location_reports_every_check_with_a_plausible_round_trip() -> None:
    found = [fact for fact in results(date(2026, 10, 1)) if isinstance(fact, ProbeResult)]
    voters = {(fact.check, fact.location) for fact in found}
    assert len(voters) == len(CHECKS) * len(LOCATIONS)
    assert len(found) % len(voters) == 0
    for fact in found:
        assert (fact.rtt_us is None) == (fact.outcome == "down") == (fact.error is not None)
        assert fact.rtt_us is None or 500 < fact.rtt_us < 200_000


@pytest.mark.parametrize(
    ("now", "month"),
    [
        ("2026-11-23T12:00:00.000Z", date(2026, 10, 1)),
        ("2026-11-01T04:59:59.999Z", date(2026, 9, 1)),
        ("2026-11-01T05:00:00.000Z", date(2026, 10, 1)),
        ("2027-01-15T12:00:00.000Z", date(2026, 12, 1)),
    ],
)
def test_it_is_the_last_month_that_has_closed(now: str, month: date) -> None:
    """Six hours after its end (local time), by the terms."""
    assert last_closed_month(parse_instant(now)) == month
