"""Contract 3: a subscription is down if any of its targets is, else excluded, else unmeasured, else up."""

from __future__ import annotations

from itertools import pairwise

import pytest

from services.sla.availability import Status, View, availability
from shared.facts import State
from tests.core.telling import (
    HOUR,
    Telling,
    after,
    changed,
    closed,
    corrected,
    credits,
    instant,
    months,
    november,
    observed,
    started,
    state,
)


def two(app: State | None, db: State | None) -> str:
    """What a subscription to two targets in these states is, None: of which nothing was said."""
    story = Telling().at("2026-11-01 00:00")
    story.tell(started(targets=("app", "db")))
    for target, now in (("app", app), ("db", db)):
        if now is not None:
            story.tell(state("2026-11-01 00:00", now, target), observed("2026-12-01 00:00", target))
    (month,) = months(closed(story))
    found = {"down": month.down_ms, "unmeasured": month.unmeasured_ms}
    return next((name for name, ms in found.items() if ms), "up")


@pytest.mark.parametrize(
    ("app", "db", "expected"),
    [
        ("up", "up", "up"),
        ("up", "down", "down"),
        ("down", "up", "down"),
        ("down", "down", "down"),
        ("down", "unmeasured", "down"),
        ("up", "unmeasured", "unmeasured"),
        ("unmeasured", "unmeasured", "unmeasured"),
        ("up", None, "unmeasured"),
        ("down", None, "down"),
        (None, None, "unmeasured"),
    ],
)
def test_any_target_down_is_down_any_unmeasured_is_unmeasured(
    app: State | None, db: State | None, expected: str
) -> None:
    assert two(app, db) == expected


def test_overlapping_cuts_of_several_targets_are_one() -> None:
    """Fourteen hours of each, four of them together: one cut of 24 hours, and one millisecond more."""
    for more, earned in ((0, []), (1, [("outage/2026-11-10 00:00", "6.58", "6.58")])):
        story = Telling().at("2026-11-01 00:00")
        story.tell(started(targets=("app", "db")), state("2026-11-01 00:00", "up", "db"))
        story.tell(observed("2026-12-01 00:00", "db"))
        story.watch("2026-11-01 00:00", "2026-12-01 00:00", after("2026-11-10 00:00", 14 * HOUR))
        start, end = after("2026-11-10 10:00", 14 * HOUR + more)
        said = story.tell(state(end, "up", "db"), state(start, "down", "db"))
        assert credits(said) == earned
        (month,) = months(closed(story))
        assert (month.down_ms, month.unmeasured_ms) == (24 * HOUR + more, 0)


def test_a_target_named_twice_counts_once() -> None:
    story = Telling().at("2026-11-01 00:00")
    story.tell(started(targets=("app", "app")))
    story.watch("2026-11-01 00:00", "2026-12-01 00:00", after("2026-11-10 10:00", HOUR))
    assert months(closed(story))[0].down_ms == HOUR


def test_a_shared_target_concludes_for_every_subscription_by_account_then_subscription() -> None:
    story = Telling().at("2026-11-01 00:00")
    for subscription, account in (("S-2", "A-2"), ("S-9", "A-1"), ("S-3", "A-2"), ("S-1", "A-3")):
        story.tell(started(subscription, account))
    said = story.watch("2026-11-01 00:00", "2026-12-01 00:00", ("2026-11-10 00:00", "2026-11-12 00:00"))
    said += closed(story)
    order = [("A-1", "S-9"), ("A-2", "S-2"), ("A-2", "S-3"), ("A-3", "S-1")]
    assert [(one.account, one.subscription) for one in said] == order * 2  # type: ignore[union-attr]


def test_subscriptions_with_windows_of_their_own_see_their_own_part_of_a_shared_target() -> None:
    story = Telling().at("2026-11-01 00:00")
    story.tell(started("S-1"), started("S-2", starts_on="2026-11-11"), started("S-3", targets=("app", "db")))
    story.watch("2026-11-01 00:00", "2026-12-01 00:00", ("2026-11-10 00:00", "2026-11-12 00:00"))
    story.tell(corrected("2026-11-10 00:00", "2026-11-12 12:00", "down"))
    assert [(month.window_ms // HOUR, month.down_ms // HOUR) for month in months(closed(story))] == [
        (720, 60),
        (480, 36),
        (720, 60),
    ]


def test_targets_change_on_their_date() -> None:
    """A cut of each target over midnight of 15 November, when one replaces the other."""
    story = Telling().at("2026-11-01 00:00")
    story.tell(started(), changed("2026-11-15", targets=("db",)))
    for target, start, end in (("app", 22, 3), ("db", 20, 1)):
        story.tell(state("2026-11-01 00:00", "up", target), observed("2026-12-01 00:00", target))
        story.tell(state(f"2026-11-15 0{end}:00", "up", target))
        story.tell(state(f"2026-11-14 {start}:00", "down", target))
    assert months(closed(story))[0].down_ms == 3 * HOUR


def test_of_two_changes_of_targets_for_one_date_the_later_said_counts() -> None:
    story = november(after("2026-11-20 10:00", HOUR))
    story.tell(changed("2026-11-15", targets=("db",)), changed("2026-11-15", targets=("app",)))
    (month,) = months(closed(story))
    assert (month.down_ms, month.unmeasured_ms) == (HOUR, 0)


def test_a_target_dropped_and_taken_again_is_watched_in_between() -> None:
    story = november(after("2026-11-20 10:00", 2 * HOUR))
    story.tell(changed("2026-11-10", targets=()), changed("2026-11-12", targets=("db", "app")))
    story.tell(changed("2026-11-14", targets=("app",)))
    (month,) = months(closed(story))
    assert (month.window_ms, month.unmeasured_ms, month.down_ms) == (
        28 * 24 * HOUR,
        2 * 24 * HOUR,
        2 * HOUR,
    )


def test_availability_covers_the_service_window_without_holes() -> None:
    story = november(("2026-11-10 00:00", "2026-11-12 00:00"))
    history = story.fold.history
    view = View(history.subscriptions["S-1"], history.targets, history.book)
    start, end = instant("2026-10-20 00:00"), instant("2026-12-20 00:00")
    spans = availability(view, start, end)
    assert spans[0][0] == instant("2026-11-01 00:00")
    assert spans[-1][1] == end
    assert all(before[1] == following[0] for before, following in pairwise(spans))
    assert [status for _, _, status in spans] == [Status.UP, Status.DOWN, Status.UP, Status.SILENT]
    assert availability(view, start, instant("2026-11-01 00:00")) == []
