"""Contract 2, a target's timeline: statements, what was observed, the bridge, corrections."""

from __future__ import annotations

import pytest

from services.sla.timeline import Seen, Timeline, corrected, observed, state_changed, stretches
from shared.facts import State
from tests.core import telling
from tests.core.telling import (
    HOUR,
    Telling,
    closed,
    credits,
    months,
    november,
    published,
    started,
    state,
    terms_with,
)

SIX_HOURS = 6 * HOUR


def line(*statements: tuple[int, State], through: int | None = None) -> Timeline:
    """A timeline of (hour, state); observed to the hour `through`."""
    found = Timeline()
    for hour, now in statements:
        state_changed(found, hour * HOUR, now)
    if through is not None:
        observed(found, through * HOUR)
    return found


def seen(timeline: Timeline, end: int = 24, bridge: int = 6) -> list[tuple[float, float, str]]:
    """Its stretches from hour 0 to hour `end`."""
    found = stretches(timeline, 0, end * HOUR, lambda _: bridge * HOUR)
    return [(start / HOUR, until / HOUR, state.name.lower()) for start, until, state in found]


def corrects(timeline: Timeline, start: int, end: int, now: str, at: int) -> int:
    fact = telling.corrected(start * HOUR, end * HOUR, now, at=at * HOUR)
    return corrected(timeline, fact)


def test_a_state_holds_from_its_instant_to_the_next_one() -> None:
    assert seen(line((0, "up"), (2, "down"), (5, "up"), through=24)) == [
        (0, 2, "up"),
        (2, 5, "down"),
        (5, 24, "up"),
    ]


def test_statements_count_in_the_order_of_their_instants_not_in_that_of_their_telling() -> None:
    assert seen(line((5, "up"), (0, "up"), (2, "down"), through=24)) == [
        (0, 2, "up"),
        (2, 5, "down"),
        (5, 24, "up"),
    ]


def test_of_two_statements_for_one_instant_the_later_said_counts() -> None:
    assert seen(line((0, "down"), (0, "up"), through=24)) == [(0, 24, "up")]


def test_nothing_is_known_before_the_first_statement() -> None:
    assert seen(line((3, "down"), through=24)) == [(0, 3, "silent"), (3, 24, "down")]


def test_a_target_of_which_nothing_was_ever_said_is_unmeasured() -> None:
    assert seen(Timeline()) == [(0, 24, "silent")]
    assert seen(line(through=10)) == [(0, 24, "silent")]


def test_nothing_is_known_after_what_was_observed() -> None:
    assert seen(line((0, "up"), through=10)) == [(0, 10, "up"), (10, 24, "silent")]


def test_silence_after_down_time_waits_for_news() -> None:
    assert seen(line((0, "down"), through=10)) == [(0, 10, "down"), (10, 24, "waiting")]


def test_a_state_is_observed_at_least_until_the_latest_instant_said() -> None:
    """Observed to hour 1 only; the state said for hour 4 shows that the target was watched until then."""
    assert seen(line((0, "down"), (4, "up"), through=1)) == [(0, 4, "down"), (4, 24, "silent")]


def test_what_was_observed_never_shrinks() -> None:
    timeline = line((0, "up"), through=10)
    assert observed(timeline, 5 * HOUR) > 1 << 59
    assert seen(timeline) == [(0, 10, "up"), (10, 24, "silent")]


@pytest.mark.parametrize(("hours", "bridged"), [(1, True), (6, True), (7, False)])
def test_a_silence_with_down_time_on_both_sides_is_bridged_up_to_six_hours(hours: int, bridged: bool) -> None:
    timeline = line((0, "down"), (2, "unmeasured"), (2 + hours, "down"), through=24)
    assert (seen(timeline) == [(0, 24, "down")]) is bridged


def test_the_bridge_is_exact_to_the_millisecond() -> None:
    timeline = line((0, "down"), (2, "unmeasured"))
    state_changed(timeline, 8 * HOUR + 1, "down")
    observed(timeline, 24 * HOUR)
    assert [state for _, _, state in stretches(timeline, 0, 24 * HOUR, lambda _: SIX_HOURS)] == [
        Seen.DOWN,
        Seen.UNMEASURED,
        Seen.DOWN,
    ]


@pytest.mark.parametrize(
    "timeline",
    [
        line((0, "up"), (2, "unmeasured"), (4, "down"), through=24),
        line((0, "down"), (2, "unmeasured"), (4, "up"), through=24),
        line((0, "up"), (2, "unmeasured"), (4, "up"), through=24),
        line((2, "unmeasured"), (4, "down"), through=24),
        line((0, "down"), (2, "unmeasured"), through=4),
    ],
    ids=["up before", "up after", "up both", "nothing before", "nothing after"],
)
def test_a_silence_without_down_time_on_both_sides_stays_unmeasured(timeline: Timeline) -> None:
    assert (2, 4, "unmeasured") in seen(timeline)


def test_silence_said_in_two_parts_is_bridged_as_one() -> None:
    said: list[tuple[int, State]] = [(0, "down"), (1, "unmeasured"), (4, "unmeasured")]
    assert seen(line(*said, (7, "down"), through=24)) == [(0, 24, "down")]
    assert seen(line(*said, (8, "down"), through=24)) == [
        (0, 1, "down"),
        (1, 8, "unmeasured"),
        (8, 24, "down"),
    ]


def test_a_bridge_reaches_over_the_edges_of_what_is_asked_for() -> None:
    timeline = line((0, "down"), (2, "unmeasured"), (4, "unmeasured"), (7, "down"), (9, "up"), through=24)
    whole = seen(timeline, 10)
    for start in range(9):
        for end in range(start + 1, 10):
            part = stretches(timeline, start * HOUR, end * HOUR, lambda _: SIX_HOURS)
            assert {state for _, _, state in part} == {Seen.DOWN}, (start, end)
    assert whole == [(0, 9, "down"), (9, 10, "up")]


def test_a_state_not_yet_observed_is_no_side_of_a_bridge() -> None:
    timeline = line((0, "down"), (2, "unmeasured"), (4, "down"))
    assert seen(timeline, 5) == [(0, 2, "down"), (2, 4, "unmeasured"), (4, 5, "waiting")]
    assert observed(timeline, 5 * HOUR) == 2 * HOUR
    assert seen(timeline, 5) == [(0, 5, "down")]


def test_corrections_overrule() -> None:
    timeline = line((0, "up"), (2, "down"), (9, "up"), through=24)
    corrects(timeline, 1, 3, "up", at=30)
    corrects(timeline, 5, 6, "unmeasured", at=31)
    corrects(timeline, 20, 21, "down", at=32)
    assert seen(timeline) == [
        (0, 3, "up"),
        (3, 5, "down"),
        (5, 6, "unmeasured"),
        (6, 9, "down"),
        (9, 20, "up"),
        (20, 21, "down"),
        (21, 24, "up"),
    ]


def test_a_correction_says_what_nobody_observed() -> None:
    timeline = Timeline()
    corrects(timeline, 3, 5, "down", at=30)
    assert seen(timeline, 6) == [(0, 3, "silent"), (3, 5, "down"), (5, 6, "silent")]


def test_of_overlapping_corrections_the_one_with_the_later_at_counts() -> None:
    """Whatever the order in which they were told: a correction of a correction."""
    for order in ((30, 31), (31, 30)):
        timeline = line((0, "up"), through=24)
        for at in order:
            corrects(timeline, 2, 8 if at == 30 else 5, "down" if at == 30 else "up", at=at)
        assert seen(timeline, 9) == [(0, 5, "up"), (5, 8, "down"), (8, 9, "up")]


def test_of_two_corrections_of_one_at_the_later_said_counts() -> None:
    timeline = line((0, "up"), through=24)
    corrects(timeline, 2, 8, "down", at=30)
    corrects(timeline, 3, 4, "unmeasured", at=30)
    assert seen(timeline, 5) == [(0, 2, "up"), (2, 3, "down"), (3, 4, "unmeasured"), (4, 5, "down")]


def test_the_bridge_comes_before_corrections() -> None:
    """What a correction makes down is no side of a bridge; what it makes unmeasured is not bridged."""
    timeline = line((0, "up"), (2, "unmeasured"), (4, "down"), through=24)
    corrects(timeline, 0, 2, "down", at=30)
    assert (2, 4, "unmeasured") in seen(timeline)
    bridged = line((0, "down"), (2, "unmeasured"), (4, "down"), through=24)
    corrects(bridged, 1, 3, "unmeasured", at=30)
    assert seen(bridged, 5) == [(0, 1, "down"), (1, 3, "unmeasured"), (3, 5, "down")]


def test_an_empty_correction_changes_nothing() -> None:
    story = november()
    assert story.tell(telling.corrected("2026-11-10 10:00", "2026-11-10 10:00", "down")) == []
    assert months(closed(story))[0].down_ms == 0


@pytest.mark.parametrize(
    ("silent_from", "down_hours"), [("2026-11-09 23:00", 24 + 4), ("2026-11-10 00:00", 24 + 2)]
)
def test_the_bridge_is_that_of_the_terms_on_the_first_date_of_the_silence(
    silent_from: str, down_hours: int
) -> None:
    """Three silent hours that begin under a bridge of six are bridged, two under a bridge of one are not."""
    story = Telling().at("2026-10-01 00:00")
    story.tell(published(terms_with(), "long", "2026-01-01"))
    story.tell(published(terms_with(bridge_hours=1), "short", "2026-11-10"))
    story.tell(started())
    story.at("2026-11-09 00:00").tell(state("2026-11-09 00:00", "down"))
    story.at("2026-11-10 09:00").tell(
        state(silent_from, "unmeasured"), state("2026-11-10 02:00", "down"), state("2026-11-10 04:00", "up")
    )
    (month,) = months(closed(story))
    assert month.down_ms == down_hours * HOUR


def test_a_bridge_makes_two_short_cuts_one_long_one() -> None:
    """20 hours, five silent ones, 20 hours: one cut of 45 hours, which earns two daily rates."""
    story = Telling().at("2026-11-01 00:00")
    story.tell(started(), state("2026-11-01 00:00", "up"))
    story.at("2026-11-10 00:00").tell(state("2026-11-10 00:00", "down"))
    story.at("2026-11-10 20:00").tell(state("2026-11-10 20:00", "unmeasured"))
    story.at("2026-11-11 01:00").tell(state("2026-11-11 01:00", "down"))
    said = story.at("2026-11-11 21:00").tell(state("2026-11-11 21:00", "up"))
    assert credits(said) == [("outage/2026-11-10 00:00", "6.58", "6.58")]


def test_news_that_comes_late_gives_the_credit_when_it_comes() -> None:
    """Results spooled for two days: the states are dated when they were, and conclude when they are told."""
    story = Telling().at("2026-11-01 00:00")
    story.tell(started(), state("2026-11-01 00:00", "up"))
    story.at("2026-11-14 00:00")
    assert story.tell(state("2026-11-10 00:00", "down")) == []
    assert credits(story.tell(state("2026-11-12 00:00", "up"))) == [
        ("outage/2026-11-10 00:00", "6.58", "6.58")
    ]
