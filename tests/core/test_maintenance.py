"""Contract 3, maintenance: excluded time of a target, where the terms of the month exclude it."""

from __future__ import annotations

import pytest

from shared.facts import Fact
from shared.outcomes import MonthClosed
from tests.core.telling import (
    HOUR,
    Telling,
    announced,
    called_off,
    changed,
    closed,
    credits,
    instant,
    months,
    november,
    observed,
    published,
    started,
    state,
    terms_with,
)

STARTS, ENDS = "2026-11-10 00:00", "2026-11-10 08:00"
WHOLE = 8 * HOUR


def month_with(*facts: Fact, excluded: bool = True, notice_hours: int = 48) -> MonthClosed:
    """November under terms that exclude maintenance, down during all of it."""
    story = november((STARTS, ENDS), terms=terms_with(excluded=excluded, notice_hours=notice_hours))
    story.tell(*facts)
    (month,) = months(closed(story))
    return month


def test_announced_maintenance_is_excluded_where_the_terms_exclude_it() -> None:
    month = month_with(announced(STARTS, ENDS))
    assert (month.excluded_ms, month.down_ms, month.met) == (WHOLE, 0, True)


def test_maintenance_is_down_time_where_the_terms_do_not_exclude_it() -> None:
    """The default: the page promises no such thing as excluded maintenance."""
    month = month_with(announced(STARTS, ENDS), excluded=False)
    assert (month.excluded_ms, month.down_ms, month.met) == (0, WHOLE, False)


@pytest.mark.parametrize(("early_ms", "excluded"), [(0, WHOLE), (1, WHOLE), (-1, 0)])
def test_it_must_be_announced_48_hours_before_its_start(early_ms: int, excluded: int) -> None:
    said = instant("2026-11-08 00:00") - early_ms
    assert month_with(announced(STARTS, ENDS, said)).excluded_ms == excluded


def test_cancelled_before_its_start_it_excludes_nothing() -> None:
    month = month_with(announced(STARTS, ENDS), called_off("2026-11-09 23:00"))
    assert (month.excluded_ms, month.down_ms) == (0, WHOLE)


def test_cancelled_later_it_ends_then() -> None:
    assert month_with(announced(STARTS, ENDS), called_off("2026-11-10 03:00")).excluded_ms == 3 * HOUR
    assert month_with(announced(STARTS, ENDS), called_off("2026-11-10 09:00")).excluded_ms == WHOLE


def test_of_two_cancellations_the_earlier_counts() -> None:
    told = (announced(STARTS, ENDS), called_off("2026-11-10 05:00"), called_off("2026-11-10 02:00"))
    assert month_with(*told).excluded_ms == 2 * HOUR
    assert month_with(told[0], told[2], told[1]).excluded_ms == 2 * HOUR


def test_announced_again_under_the_same_id_the_new_announcement_counts() -> None:
    month = month_with(announced(STARTS, ENDS), announced("2026-11-10 02:00", "2026-11-10 05:00"))
    assert (month.excluded_ms, month.down_ms) == (3 * HOUR, 5 * HOUR)


def test_a_cancellation_is_of_the_announcement_said_before_it() -> None:
    month = month_with(announced(STARTS, ENDS), called_off("2026-11-02 00:00"), announced(STARTS, ENDS))
    assert month.excluded_ms == WHOLE


def test_overlapping_maintenance_is_excluded_once() -> None:
    month = month_with(
        announced(STARTS, "2026-11-10 05:00"),
        announced("2026-11-10 03:00", "2026-11-10 06:00", name="M-2"),
        announced("2026-11-10 06:00", "2026-11-10 07:00", name="M-3"),
        announced("2026-11-10 01:00", "2026-11-10 02:00", name="M-4"),
    )
    assert (month.excluded_ms, month.down_ms) == (7 * HOUR, HOUR)


def test_excluded_time_counts_whether_the_target_was_down_or_up_or_unmeasured() -> None:
    story = Telling().at("2026-11-01 00:00")
    story.tell(published(terms_with(excluded=True)), started(), state("2026-11-01 00:00", "up"))
    story.tell(announced(STARTS, ENDS))
    story.tell(state("2026-11-10 02:00", "down"), state("2026-11-10 04:00", "unmeasured"))
    story.tell(state("2026-11-10 10:00", "up"))
    story.at("2026-12-01 00:00").tell(observed("2026-12-01 00:00"))
    (month,) = months(closed(story))
    assert (month.excluded_ms, month.down_ms, month.unmeasured_ms) == (WHOLE, 0, 2 * HOUR)


def test_an_empty_maintenance_is_no_nonsense_and_excludes_nothing() -> None:
    assert month_with(announced(STARTS, STARTS)).excluded_ms == 0


def test_maintenance_over_the_months_end_is_judged_by_each_months_terms() -> None:
    """December's terms exclude it, November's do not."""
    story = Telling().at("2026-10-01 00:00")
    story.tell(published(terms_with(), "november", "2026-01-01"))
    story.tell(published(terms_with(excluded=True), "december", "2026-12-01"), started())
    story.tell(announced("2026-11-30 20:00", "2026-12-01 02:00"))
    story.watch("2026-11-01 00:00", "2026-12-02 00:00", ("2026-11-30 20:00", "2026-12-01 03:00"))
    story.passes("2027-01-01 06:00")
    november_, december = months(story.said)
    assert (november_.excluded_ms, november_.down_ms) == (0, 4 * HOUR)
    assert (december.excluded_ms, december.down_ms) == (2 * HOUR, HOUR)


def test_maintenance_announced_after_the_close_restates_the_month() -> None:
    """Announced in time, but recorded late."""
    story = november((STARTS, ENDS), terms=terms_with(excluded=True))
    assert credits(closed(story)) == [("uptime/2026-11", "3.29", "3.29")]
    said = story.tell(announced(STARTS, ENDS, "2026-11-01 00:00"))
    assert (months(said)[0].revision, months(said)[0].excluded_ms) == (2, WHOLE)
    assert credits(said) == [("uptime/2026-11", "-3.29", "0.00")]
    said = story.tell(called_off("2026-11-09 00:00"))
    assert credits(said) == [("uptime/2026-11", "3.29", "3.29")]


def test_maintenance_is_that_of_its_target() -> None:
    """The other target of the subscription is down in it: down. Up: excluded."""
    story = Telling().at("2026-11-01 00:00")
    story.tell(published(terms_with(excluded=True)), started(targets=("app", "db")))
    story.tell(announced(STARTS, ENDS, target="db"))
    for target, cut in (("app", ("2026-11-10 02:00", "2026-11-10 05:00")), ("db", (STARTS, ENDS))):
        story.tell(state("2026-11-01 00:00", "up", target))
        story.tell(state(cut[0], "down", target), state(cut[1], "up", target))
        story.tell(observed("2026-12-01 00:00", target))
    (month,) = months(closed(story))
    assert (month.down_ms, month.excluded_ms, month.unmeasured_ms) == (3 * HOUR, 5 * HOUR, 0)


def test_maintenance_of_a_target_the_subscription_no_longer_has_excludes_nothing() -> None:
    story = november((STARTS, ENDS), terms=terms_with(excluded=True))
    story.tell(changed("2026-11-05", targets=("db",)), announced(STARTS, ENDS))
    (month,) = months(closed(story))
    assert (month.excluded_ms, month.down_ms) == (0, 0)
