"""The figures of the status page are those the promises are kept by, whatever order history came in."""

from __future__ import annotations

from datetime import date
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.status.history.standing import State
from services.status.site import Figure, Site
from shared import facts
from shared.codec import encode, encode_state, state_decoder
from shared.outcomes import MonthClosed
from shared.time import DAY, HOUR, MINUTE, Instant, format_instant
from shared.topics import TOPIC_OF
from tests.core import histories
from tests.core.status_told import Page
from tests.core.telling import Telling, instant, observed, published, started, state, terms_with

FEW = settings(max_examples=150, deadline=None)
TARGETS = {"one": ("app",), "two": ("app", "db")}
FACTS: Any = st.one_of(
    *(histories.STATE_CHANGES, histories.STATE_CHANGES, histories.OBSERVATIONS, histories.CORRECTIONS),
    *(histories.ANNOUNCEMENTS, histories.CALLED_OFF),
)
END = instant("2027-02-20 00:00")


@st.composite
def told(draw: st.DrawFn) -> list[tuple[int, facts.Fact]]:
    """(recorded at, fact) of two targets that are known since the first instant of October 2026."""
    first = histories.FIRST
    lines: list[tuple[int, facts.Fact]] = [(first, state(first, "up", target)) for target in ("app", "db")]
    if draw(st.booleans()):
        terms = terms_with(excluded=True)
        if draw(st.booleans()):
            terms = msgspec.structs.replace(
                terms, uptime=msgspec.structs.replace(terms.uptime, bridge_hours=draw(st.integers(0, 48)))
            )
        lines.insert(0, (first, published(terms, "t", "2026-01-01")))
    now = int(first)
    for fact in draw(st.lists(FACTS, max_size=14)):
        now = min(now + draw(st.sampled_from([0, HOUR, DAY, 20 * DAY])), int(END) - DAY)
        lines.append((now, fact))
        if draw(st.integers(0, 3)) == 0:
            target = draw(histories.TARGET)
            lines.append((now, facts.TargetObserved(target, Instant(min(now, int(histories.LAST))))))
    return lines


def promised(lines: list[tuple[int, facts.Fact]], targets: tuple[str, ...]) -> dict[str, MonthClosed]:
    """What the promises say last of each month, of a subscription to these targets."""
    story = Telling()
    for recorded_at, fact in lines:
        story.at(recorded_at).tell(fact)
        if not story.fold.history.subscriptions:
            story.tell(started(targets=targets, starts_on="2026-10-01"))
    story.passes(END)
    return {one.month: one for one in story.said if isinstance(one, MonthClosed)}


@FEW
@given(told())
def test_every_month_has_the_figures_of_month_closed(lines: list[tuple[int, facts.Fact]]) -> None:
    page = Page(TARGETS, lines[0][0])
    for recorded_at, fact in lines:
        page.tell(fact, at=recorded_at)
    site = page.at(END)
    for component, targets in TARGETS.items():
        closed = promised(lines, targets)
        shown = {str(one.month)[:7]: one for one in site.components[component].months if one.over}
        assert shown.keys() == closed.keys() == {"2026-10", "2026-11", "2026-12", "2027-01"}
        for name, said in closed.items():
            figure = shown[name].figure
            assert (figure.window_ms, figure.excluded_ms, figure.unmeasured_ms, figure.down_ms) == (
                *(said.window_ms, said.excluded_ms, said.unmeasured_ms, said.down_ms),
            )
            assert (figure.uptime_percent, shown[name].met) == (said.uptime_percent, said.met)


@FEW
@given(told(), st.integers(0, 100))
def test_a_month_is_the_sum_of_its_days(lines: list[tuple[int, facts.Fact]], days: int) -> None:
    """Also of those that are not over."""
    page = Page(TARGETS, lines[0][0])
    for recorded_at, fact in lines:
        page.tell(fact, at=recorded_at)
    now = instant("2026-11-10 00:30") + days * DAY
    for component in page.at(now).components.values():
        first = component.days[0].day
        for month in component.months:
            found = [one.figure for one in component.days if one.day.replace(day=1) == month.month]
            if month.month >= first:
                assert month.figure == total(found)


def total(found: list[Figure]) -> Figure:
    return Figure(*(sum(part) for part in zip(*(msgspec.structs.astuple(one) for one in found), strict=True)))


def same(site: Site, other: Site) -> None:
    for name, component in other.components.items():
        assert site.components[name] == component
    assert site == other


@FEW
@given(told(), st.integers(0, 15))
def test_a_page_made_after_each_fact_is_the_page_made_of_all_at_once(
    lines: list[tuple[int, facts.Fact]], stop: int
) -> None:
    """And what has not changed is the same object; what was saved and read goes on alike."""
    told_one_by_one(lines, stop)


@settings(max_examples=50, deadline=None)
@given(told(), st.integers(0, 15))
def test_months_that_are_shown_no_more_take_nothing_of_the_others_along(
    lines: list[tuple[int, facts.Fact]], stop: int
) -> None:
    """As if four months were shown, so that months go while the story is told."""
    with pytest.MonkeyPatch.context() as patching:
        patching.setattr("services.status.history.lines.MONTHS", 4)
        told_one_by_one(lines, stop)


def told_one_by_one(lines: list[tuple[int, facts.Fact]], stop: int) -> None:
    page = Page(TARGETS, lines[0][0])
    last: Site | None = None
    for number, (recorded_at, fact) in enumerate(lines):
        if number == stop:
            saved = state_decoder(State).decode(encode_state(page.standing.state))
            page, last = Page(TARGETS, recorded_at, saved), None
        page.tell(fact, at=recorded_at)
        site = page.at(recorded_at)
        fresh = Page(TARGETS, recorded_at)
        for earlier, known in lines[: number + 1]:
            fresh.tell(known, at=earlier)
        same(site, fresh.at(recorded_at))
        changed = page.changed
        assert changed is not None
        if last is not None:
            for name, component in site.components.items():
                assert (component is last.components[name]) == (name not in changed.components)
                assert (component == last.components[name]) == (name not in changed.components)
            months = {m for m in {*site.changes, *last.changes} if site.changes.get(m) != last.changes.get(m)}
            assert months == changed.months
            assert changed.maintenance == (site.maintenance != last.maintenance)
        last = site


@FEW
@given(told())
def test_records_that_come_again_change_nothing(lines: list[tuple[int, facts.Fact]]) -> None:
    page, twice = Page(TARGETS, lines[0][0]), Page(TARGETS, lines[0][0])
    for recorded_at, fact in lines:
        page.tell(fact, at=recorded_at)
        twice.tell(fact, at=recorded_at)
        topic = TOPIC_OF[type(fact)]
        last = twice.standing.positions[f"{topic.name}/0"] - 1
        assert not twice.standing.take(topic, 0, last, encode(fact), (), recorded_at)
    same(twice.at(END), page.at(END))


def test_a_bridge_across_midnight_counts_on_both_days() -> None:
    page = Page({"shop": ("app",)}, "2026-11-20 00:00")
    page.tell(
        state("2026-11-20 00:00", "up"),
        state("2026-11-20 22:00", "down"),
        state("2026-11-20 23:00", "unmeasured"),
        state("2026-11-21 02:00", "down"),
        state("2026-11-21 03:00", "up"),
        observed("2026-11-22 00:00"),
    )
    days = {str(one.day): one.figure.down_ms / HOUR for one in page.component("2026-11-22 00:10").days}
    assert days == {"2026-11-20": 2, "2026-11-21": 3, "2026-11-22": 0}


def test_the_days_on_which_clocks_change_have_25_and_23_hours() -> None:
    page = Page({"shop": ("app",)}, "2026-10-24 00:00")
    page.tell(state("2026-10-24 00:00", "up"), observed("2026-10-26 00:00"))
    days = {str(one.day): one.figure.window_ms / HOUR for one in page.component("2026-10-26 00:10").days}
    assert days["2026-10-25"] == 25
    page.tell(observed("2027-03-29 00:00"))
    days = {str(one.day): one.figure.window_ms / HOUR for one in page.component("2027-03-29 00:10").days}
    assert days["2027-03-28"] == 23
    assert list(days)[-1] == "2027-03-29"
    assert len(days) == 90


def test_today_counts_up_to_what_was_observed_not_to_the_clock() -> None:
    page = Page({"shop": ("app",)}, "2026-11-20 00:00")
    page.tell(state("2026-11-20 00:00", "up"), observed("2026-11-20 10:00"))
    (today,) = page.component("2026-11-20 10:59").days
    assert (today.figure, today.over) == (Figure(10 * HOUR), False)
    month = page.component("2026-11-20 10:59").months[0]
    assert (month.figure, month.over, month.met) == (Figure(10 * HOUR), False, True)


def test_a_day_nobody_reports_any_more_is_over_once_the_page_is_silent() -> None:
    """What was not observed of it is unmeasured, as in MonthClosed."""
    page = Page({"shop": ("app",)}, "2026-11-20 00:00")
    page.tell(state("2026-11-20 00:00", "up"), observed("2026-11-20 22:00"))
    yesterday, today = page.component("2026-11-21 01:29").days
    assert (yesterday.over, yesterday.figure, today.figure) == (False, Figure(22 * HOUR), Figure(0))
    yesterday, today = page.component("2026-11-21 01:30").days
    assert (yesterday.over, yesterday.figure) == (True, Figure(24 * HOUR, 0, 2 * HOUR))
    assert (today.over, today.figure) == (False, Figure(0))


def test_yesterday_is_over_as_soon_as_it_was_observed_to_its_end() -> None:
    page = Page({"shop": ("app",)}, "2026-11-20 00:00")
    page.tell(state("2026-11-20 00:00", "up"), observed("2026-11-21 00:00"))
    assert [one.over for one in page.component("2026-11-21 00:01").days] == [True, False]


def test_a_component_has_no_days_before_it_was_first_watched() -> None:
    page = Page({"shop": ("app",)}, "2026-11-20 00:00")
    assert page.component("2026-11-20 12:00").days == ()
    page.tell(state("2026-11-20 12:00", "up"), observed("2026-11-20 13:00"))
    (today,) = page.component("2026-11-20 13:00").days
    assert today.figure == Figure(13 * HOUR, 0, 12 * HOUR)
    assert [str(one.month) for one in page.component("2026-11-20 13:00").months] == ["2026-11-01"]


def test_a_corrected_past_is_shown_as_corrected() -> None:
    page = Page({"shop": ("app",)}, "2026-11-20 00:00")
    page.tell(state("2026-11-20 00:00", "up"), observed("2026-11-23 00:00"))
    page.tell(
        facts.DowntimeCorrected(
            *("app", instant("2026-11-21 10:00"), instant("2026-11-21 11:00"), "down", "storm", "staff-7"),
            instant("2026-11-23 09:00"),
        )
    )
    component = page.component("2026-11-23 00:10")
    assert [(str(one.day), one.corrected, one.figure.down_ms) for one in component.days] == [
        ("2026-11-20", False, 0),
        ("2026-11-21", True, HOUR),
        ("2026-11-22", False, 0),
        ("2026-11-23", False, 0),
    ]
    assert component.months[0].corrected
    (cut,) = component.cuts
    assert (cut.corrected, cut.down_ms) == (True, HOUR)


def test_maintenance_counts_only_by_terms_that_exclude_it() -> None:
    announced = facts.MaintenanceAnnounced(
        *("app", "M-1", instant("2026-11-21 10:00"), instant("2026-11-21 12:00")),
        instant("2026-11-10 00:00"),
    )
    history = (
        *(state("2026-11-20 00:00", "up"), state("2026-11-21 11:00", "down")),
        *(state("2026-11-21 11:30", "up"), observed("2026-11-22 00:00"), announced),
    )
    page = Page({"shop": ("app",)}, "2026-11-20 00:00").tell(*history)
    counted = page.component("2026-11-22 00:10").days[1].figure
    assert counted == Figure(24 * HOUR, 0, 0, 30 * MINUTE)
    page.tell(published(terms_with(excluded=True), "t", "2026-01-01"), at="2026-11-22 00:10")
    component = page.component("2026-11-22 00:11")
    assert component.days[1].figure == Figure(24 * HOUR, 2 * HOUR)
    assert component.cuts == ()


def test_a_month_is_judged_by_the_promise_of_its_first_day() -> None:
    page = Page({"shop": ("app",)}, "2026-11-01 00:00")
    page.tell(state("2026-11-01 00:00", "up"), state("2026-11-20 00:00", "down"))
    page.tell(state("2026-11-20 03:36", "up"), observed("2026-12-01 00:00"))
    november = page.component("2026-12-01 00:10").months[1]
    assert (november.target_percent, november.met, november.figure.uptime_percent) == ("99.5", True, "99.500")
    page.tell(state("2026-11-20 03:36:00.001", "up"), state("2026-11-20 03:36", "down"))
    november = page.component("2026-12-01 00:11").months[1]
    assert (november.met, november.figure.uptime_percent) == (False, "99.499")


def test_thirteen_months_are_shown_and_no_more_is_kept_than_they_need() -> None:
    page = Page({"shop": ("app",)}, "2026-01-01 00:00")
    for month in range(1, 13):
        page.tell(state(f"2026-{month:02d}-10 00:00", "down"), state(f"2026-{month:02d}-10 01:00", "up"))
    page.tell(state("2027-06-10 00:00", "down"), state("2027-06-10 01:00", "up"))
    page.tell(observed("2027-06-20 00:00"))
    component = page.component("2027-06-20 00:10")
    assert [one.month for one in component.months] == [
        *(date(2027, month, 1) for month in range(6, 0, -1)),
        *(date(2026, month, 1) for month in range(12, 5, -1)),
    ]
    assert [str(month) for month in page.at("2027-06-20 00:10").changes][-1] == "2026-06-01"
    assert len(component.cuts) == 8
    page.at("2027-07-01 00:10")
    kept = [str(format_instant(at))[:7] for at in page.standing.state.targets["app"].line.ats]
    later = [f"2026-{month:02d}" for month in range(6, 13) for _ in ("down", "up")]
    assert kept == ["2026-05", *later, "2027-06", "2027-06"]


def held(page: Page) -> dict[str, int]:
    """How much is kept of a page of one component."""
    (line,) = page.standing._lines
    return {
        "statements": len(line.watched[0].line.ats),
        "reasons": len(line.watched[0].causes),
        "spans": len(line.spans),
        "conditions": len(line.runs),
        "changes": len(line.changes),
        "cuts": len(line.cuts),
        "days": len(line.days),
        "months": len(line.months),
        "changes shown": sum(len(found) for found in page.standing._changes.values()),
    }


@pytest.mark.parametrize("made", ["each month", "at the end"])
def test_what_is_kept_is_bounded_by_fourteen_months_however_much_is_told(made: str) -> None:
    """Thirty years of a change every four hours, read while they happen or all at once."""
    first, end = instant("2000-01-01 00:00"), instant("2030-01-01 00:00")
    page = Page({"shop": ("app",)}, first if made == "each month" else end)
    most = dict.fromkeys(held(page), 0)
    for number, at in enumerate(range(first, end, 4 * HOUR)):
        page.tell(state(at, ("up", "down")[number % 2]))
        if made == "each month" and number % 180 == 0:
            page.at(at)
            most = {name: max(most[name], count) for name, count in held(page).items()}
    page.at(end)
    months = 14 * 31 * 6
    for name, count in (most | held(page)).items():
        assert count <= months + 200, name
    assert held(page)["changes shown"] > 12 * 30 * 6
    assert len(page.standing.state.origins) == 0


def test_what_is_forgotten_changes_nothing_that_is_shown() -> None:
    """Read month by month and forgotten, or read today from the beginning: the same page."""
    facts_told = [
        fact
        for number, at in enumerate(range(instant("2024-01-01 00:00"), instant("2026-11-20 00:00"), 7 * HOUR))
        for fact in (state(at, ("up", "down", "unmeasured", "down")[number % 4]),)
    ]
    slowly, at_once = (
        Page({"shop": ("app",)}, "2024-01-01 00:00"),
        Page({"shop": ("app",)}, "2026-11-20 00:00"),
    )
    for number, fact in enumerate(facts_told):
        slowly.tell(fact)
        at_once.tell(fact)
        if number % 50 == 0:
            slowly.at(fact.at)
    same(slowly.at("2026-11-20 00:00"), at_once.at("2026-11-20 00:00"))
