"""What the status page tells of the past and the present: conditions, changes, cuts, maintenance, silence."""

from __future__ import annotations

from typing import Any

import pytest

from services.status.history.causes import cause
from services.status.history.standing import Unusable
from services.status.site import Cause, Condition, Phase
from shared import facts
from shared.cloudevents import Origin
from shared.codec import encode
from shared.facts import Because, TargetStateChanged
from shared.time import HOUR, MINUTE, Instant
from shared.topics import TERMS_EVENTS, UPTIME_CHANGES
from tests.core.status_told import Page, story
from tests.core.telling import When, instant, observed, published, state, terms_with

UP, DOWN, UNMEASURED, SILENT = Condition.UP, Condition.DOWN, Condition.UNMEASURED, Condition.SILENT


def down(at: When, *errors: str | None, target: str = "app", confirmed: When | None = None) -> Any:
    """A state for which each of `errors` is a vote."""
    because = tuple(Because("tcp:443", f"inner-{number}", error) for number, error in enumerate(errors))
    return TargetStateChanged(target, instant(at), "down", instant(confirmed or at), because)


def corrected(start: When, end: When, state: Any, at: When = "2026-11-23 09:00", target: str = "app") -> Any:
    return facts.DowntimeCorrected(
        target, instant(start), instant(end), state, "a reason", "staff-7", instant(at)
    )


def announced(name: str, start: When, end: When, at: When = "2026-11-01 00:00", target: str = "app") -> Any:
    return facts.MaintenanceAnnounced(target, name, instant(start), instant(end), instant(at))


def called_off(name: str, at: When, target: str = "app") -> Any:
    return facts.MaintenanceCancelled(target, name, instant(at))


def shop(*told: Any, now: When = "2026-11-20 00:00") -> Page:
    """A page of the component "shop" with the target "app"."""
    return Page({"shop": ("app",)}, now).tell(*told)


def two(*told: Any) -> Page:
    """A component of the targets "app" and "db"."""
    return Page({"shop": ("app", "db")}, "2026-11-20 00:00").tell(*told)


def test_what_nothing_was_ever_said_of_is_silent_since_ever() -> None:
    component = shop().component("2026-11-20 12:00")
    assert (component.condition, component.since, component.as_of) == (SILENT, None, None)
    assert (component.days, component.months, component.cuts) == ((), (), ())
    site = shop().at("2026-11-20 12:00")
    assert (site.silent, site.news_at) == (True, None)


def test_each_change_of_a_target_is_an_entry_with_when_it_was_certain_and_why() -> None:
    page = shop(
        state("2026-11-20 00:00", "up"),
        down("2026-11-20 10:00", "timeout", "refused", "timeout", confirmed="2026-11-20 10:02"),
        state("2026-11-20 10:30", "up"),
        observed("2026-11-20 11:00"),
    )
    site = page.at("2026-11-20 11:00")
    assert story(site.components["shop"], site) == [
        (instant("2026-11-20 00:00"), SILENT, UP),
        (instant("2026-11-20 10:00"), UP, DOWN),
        (instant("2026-11-20 10:30"), DOWN, UP),
    ]
    (entry,) = [one for found in site.changes.values() for one in found if one.condition is DOWN]
    assert entry.confirmed_at == instant("2026-11-20 10:02")
    assert entry.causes == (Cause.REFUSED, Cause.TIMEOUT)
    assert not entry.corrected
    assert len(entry.id) == 20


def test_a_change_is_shown_the_moment_it_is_said_with_a_cut_that_lasts() -> None:
    """How long it lasts is known at the next full hour; that it does, at once."""
    page = shop(state("2026-11-20 00:00", "up"), observed("2026-11-20 10:00"))
    page.at("2026-11-20 10:29")
    page.tell(down("2026-11-20 10:30", "refused"))
    component = page.component("2026-11-20 10:31")
    assert (component.condition, component.since) == (DOWN, instant("2026-11-20 10:30"))
    (cut,) = component.cuts
    assert (cut.starts_at, cut.ends_at, cut.down_ms) == (instant("2026-11-20 10:30"), None, 0)
    assert cut.causes == (Cause.REFUSED,)
    page.tell(observed("2026-11-20 11:00"))
    (later,) = page.component("2026-11-20 11:00").cuts
    assert (later.id, later.ends_at, later.down_ms) == (cut.id, None, 30 * MINUTE)
    page.tell(state("2026-11-20 11:15", "up"))
    (over,) = page.component("2026-11-20 11:16").cuts
    assert (over.id, over.ends_at, over.down_ms) == (cut.id, instant("2026-11-20 11:15"), 45 * MINUTE)


def test_a_silence_with_down_time_on_both_sides_is_no_entry_and_one_cut() -> None:
    page = shop(
        state("2026-11-20 00:00", "up"),
        down("2026-11-20 10:00", "timeout"),
        state("2026-11-20 11:00", "unmeasured"),
        down("2026-11-20 12:00", "dns: no such name"),
        observed("2026-11-20 13:00"),
    )
    site = page.at("2026-11-20 13:00")
    assert [now for _, _, now in story(site.components["shop"], site)] == [UP, DOWN]
    (cut,) = site.components["shop"].cuts
    assert (cut.down_ms, cut.causes) == (3 * HOUR, (Cause.TIMEOUT, Cause.NAME))


def test_unmeasured_time_is_neither_up_nor_down() -> None:
    page = shop(
        state("2026-11-20 00:00", "up"),
        state("2026-11-20 10:00", "unmeasured"),
        observed("2026-11-20 11:00"),
    )
    component = page.component("2026-11-20 11:00")
    assert (component.condition, component.since) == (UNMEASURED, instant("2026-11-20 10:00"))
    assert component.days[-1].figure.unmeasured_ms == HOUR
    assert component.cuts == ()


def test_a_component_is_down_when_one_of_its_targets_is() -> None:
    page = two(
        *(state("2026-11-20 00:00", "up"), state("2026-11-20 00:00", "up", "db")),
        *(down("2026-11-20 10:00", "refused"), down("2026-11-20 10:10", "timeout", target="db")),
        *(state("2026-11-20 10:20", "up"), state("2026-11-20 10:30", "up", "db")),
        *(observed("2026-11-20 11:00"), observed("2026-11-20 11:00", "db")),
    )
    component = page.component("2026-11-20 11:00")
    (cut,) = component.cuts
    assert (cut.down_ms, cut.causes) == (30 * MINUTE, (Cause.REFUSED, Cause.TIMEOUT))
    assert [now for *_, now in story(component, page.at("2026-11-20 11:00"))] == [UP, DOWN, UP]


def test_a_target_that_is_heard_of_an_hour_later_leaves_no_trace() -> None:
    """Its state is taken to last; figures wait for it."""
    page = two(
        *(state("2026-11-20 00:00", "up"), state("2026-11-20 00:00", "up", "db")),
        *(observed("2026-11-20 11:00"), observed("2026-11-20 10:00", "db")),
    )
    site = page.at("2026-11-20 11:10")
    component = site.components["shop"]
    assert story(component, site) == [(instant("2026-11-20 00:00"), SILENT, UP)]
    assert (component.condition, component.as_of) == (UP, instant("2026-11-20 11:00"))
    assert component.days[-1].figure.window_ms == 10 * HOUR


def test_a_target_that_is_heard_of_no_more_makes_the_component_unmeasured() -> None:
    page = two(
        *(state("2026-11-20 00:00", "up"), state("2026-11-20 00:00", "up", "db")),
        *(observed("2026-11-20 11:00"), observed("2026-11-20 10:00", "db")),
    )
    page.at("2026-11-20 11:10")
    page.tell(observed("2026-11-20 12:00"))
    site = page.at("2026-11-20 12:00")
    component = site.components["shop"]
    assert (component.condition, component.since) == (UNMEASURED, instant("2026-11-20 10:00"))
    assert story(component, site)[-1] == (instant("2026-11-20 10:00"), UP, UNMEASURED)
    assert component.days[-1].figure.unmeasured_ms == 2 * HOUR


def test_after_ninety_minutes_without_news_nothing_is_said_of_now() -> None:
    page = shop(state("2026-11-20 00:00", "up"), observed("2026-11-20 10:00"))
    site = page.at("2026-11-20 11:30")
    assert (site.silent, site.components["shop"].condition) == (False, UP)
    site = page.at(instant("2026-11-20 11:30") + 1)
    assert (site.silent, site.news_at) == (True, instant("2026-11-20 10:00"))
    component = site.components["shop"]
    assert (component.condition, component.since) == (SILENT, instant("2026-11-20 10:00"))
    assert page.changed is not None
    assert (page.changed.components, page.changed.silence) == ({"shop"}, True)
    page.tell(observed("2026-11-20 12:00"))
    site = page.at("2026-11-20 12:00")
    assert (site.silent, site.components["shop"].condition) == (False, UP)
    assert site.components["shop"].since == instant("2026-11-20 00:00")


def test_a_correction_rewrites_history_and_says_so() -> None:
    page = shop(
        state("2026-11-20 00:00", "up"),
        down("2026-11-21 10:00", "timeout"),
        state("2026-11-21 12:00", "up"),
        observed("2026-11-22 00:00"),
    )
    before = page.at("2026-11-22 00:10")
    page.tell(corrected("2026-11-21 11:00", "2026-11-21 12:00", "up"))
    site = page.at("2026-11-22 00:11")
    (cut,) = site.components["shop"].cuts
    assert (cut.down_ms, cut.corrected, cut.id) == (HOUR, True, before.components["shop"].cuts[0].id)
    entries = [one for found in site.changes.values() for one in found]
    assert [(one.at, one.condition, one.corrected) for one in entries] == [
        (instant("2026-11-21 11:00"), UP, True),
        (instant("2026-11-21 10:00"), DOWN, False),
        (instant("2026-11-20 00:00"), UP, False),
    ]
    assert entries[0].confirmed_at == instant("2026-11-23 09:00")
    page.tell(corrected("2026-11-21 10:00", "2026-11-21 12:00", "up"))
    site = page.at("2026-11-22 00:12")
    assert site.components["shop"].cuts == ()
    assert [one.condition for found in site.changes.values() for one in found] == [UP]


def test_maintenance_is_announced_running_and_done() -> None:
    page = shop(state("2026-11-20 00:00", "up"), announced("M-1", "2026-11-21 10:00", "2026-11-21 12:00"))
    seen = []
    for now in ("2026-11-21 09:59", "2026-11-21 10:00", "2026-11-21 11:59", "2026-11-21 12:00"):
        site = page.at(now)
        (one,) = site.maintenance
        seen.append((one.phase, site.components["shop"].maintenance_now))
    assert seen == [
        (Phase.ANNOUNCED, False),
        (Phase.RUNNING, True),
        (Phase.RUNNING, True),
        (Phase.DONE, False),
    ]
    assert (one.components, one.excluded) == (("shop",), False)
    assert "M-1" not in one.id


def test_maintenance_that_is_called_off_is_cancelled_and_one_cut_short_is_done_then() -> None:
    page = shop(
        announced("M-1", "2026-11-21 10:00", "2026-11-21 12:00"),
        announced("M-2", "2026-11-22 10:00", "2026-11-22 12:00"),
        called_off("M-1", "2026-11-21 09:00"),
        called_off("M-2", "2026-11-22 11:00"),
    )
    second, first = page.at("2026-11-22 11:30").maintenance
    assert (first.phase, first.ends_at) == (Phase.CANCELLED, instant("2026-11-21 12:00"))
    assert (second.phase, second.ends_at) == (Phase.DONE, instant("2026-11-22 11:00"))


def test_maintenance_of_several_components_is_told_once() -> None:
    page = Page({"shop": ("app",), "desk": ("app", "db"), "mail": ("mx",)}, "2026-11-20 00:00")
    page.tell(
        announced("M-1", "2026-11-21 10:00", "2026-11-21 12:00"),
        announced("M-1", "2026-11-21 10:00", "2026-11-21 13:00", target="db"),
        announced("M-9", "2026-11-21 10:00", "2026-11-21 12:00", target="nobody-may-know"),
    )
    (one,) = page.at("2026-11-20 00:00").maintenance
    assert (one.components, one.ends_at) == (("shop", "desk"), instant("2026-11-21 13:00"))


def test_maintenance_is_excluded_only_by_terms_and_when_told_early_enough() -> None:
    page = shop(
        announced("M-1", "2026-11-21 10:00", "2026-11-21 12:00", at="2026-11-19 10:00"),
        announced("M-2", "2026-11-22 10:00", "2026-11-22 12:00", at="2026-11-20 10:01"),
    )
    page.tell(published(terms_with(excluded=True), "t", "2026-01-01"), at="2026-11-20 00:00")
    second, first = page.at("2026-11-20 12:00").maintenance
    assert (first.excluded, second.excluded) == (True, False)


def test_what_the_promises_reject_changes_nothing() -> None:
    page = shop(state("2026-11-20 00:00", "up"), observed("2026-11-20 10:00"))
    before = page.at("2026-11-20 10:10")
    page.tell(
        corrected("2026-11-20 09:00", "2026-11-20 08:00", "down"),
        announced("M-1", "2026-11-21 12:00", "2026-11-21 10:00"),
        called_off("M-7", "2026-11-21 12:00"),
    )
    late = published(terms_with(), "late", "2026-11-01")
    page.tell(published(terms_with(), "t", "2026-01-01"), late, at="2026-11-20 10:10")
    assert [one.version for one in page.standing.state.book.versions] == ["t"]
    assert page.at("2026-11-20 10:10") == before


def test_a_repeat_by_its_origin_is_dropped() -> None:
    page = shop(state("2026-11-20 00:00", "up"))

    def take(offset: int, fact: Any, step: int) -> bool:
        headers = [("origin", str(Origin("probe.results", 0, 7, step)).encode())]
        return page.standing.take(UPTIME_CHANGES, 0, offset, encode(fact), headers, 0)

    assert take(1, state("2026-11-20 01:00", "down"), 0)
    assert take(2, state("2026-11-20 02:00", "up"), 1)
    assert not take(3, state("2026-11-20 01:00", "up"), 0)
    assert not take(4, state("2026-11-20 03:00", "down"), 1)
    assert page.component("2026-11-20 02:30").condition is UP
    assert page.standing.positions == {"uptime.changes/0": 5}


@pytest.mark.parametrize(
    ("data", "headers"),
    [
        (b"", []),
        (b"\xff\xfe", []),
        (b"[" * 100_000, []),
        (b'{"type":"TargetObserved"}', []),
        (b'{"type":"Nonsense","target":"app"}', []),
        (encode(state("2026-11-20 01:00", "down")), [("origin", b"\xff")]),
        (encode(state("2026-11-20 01:00", "down")), [("origin", b"no place")]),
        (encode(published(terms_with(), "t", "2026-01-01")), []),
    ],
)
def test_a_record_that_cannot_be_used_is_passed_over(data: bytes, headers: Any) -> None:
    page = shop(state("2026-11-20 00:00", "up"))
    before = page.at("2026-11-20 00:10")
    with pytest.raises(Unusable):
        page.standing.take(UPTIME_CHANGES, 0, 1, data, headers, 0)
    assert page.at("2026-11-20 00:10") == before
    assert page.standing.positions == {"uptime.changes/0": 2}
    page.tell(state("2026-11-20 00:05", "down"))
    assert page.component("2026-11-20 00:10").condition is DOWN


def test_facts_dated_anywhere_break_nothing() -> None:
    """A slip of the keyboard is shown as it was said, and the next fact goes on."""
    page = shop(state("1900-01-02 00:00", "up"), state("2999-12-30 00:00", "down"))
    page.tell(corrected("1900-01-02 00:00", "2999-12-30 00:00", "up"))
    page.tell(announced("M-1", "1900-01-02 00:00", "2999-12-30 00:00"))
    page.tell(observed("2026-11-20 10:00"))
    assert page.component("2026-11-20 10:10").condition in (UP, DOWN)
    assert len(page.component("2026-11-20 10:10").days) == 90


def test_nothing_of_a_target_that_is_not_public_is_kept() -> None:
    page = shop(state("2026-11-20 00:00", "up"), down("2026-11-20 00:00", "timeout", target="inner-db"))
    assert list(page.standing.state.targets) == ["app"]
    shown = repr(page.at("2026-11-20 00:10"))
    assert "app" not in shown
    assert "inner" not in shown


def test_a_change_of_one_component_leaves_the_others_as_they_are() -> None:
    page = Page({f"c{number}": (f"t{number}",) for number in range(5)}, "2026-11-20 00:00")
    for number in range(5):
        page.tell(state("2026-11-18 00:00", "up", f"t{number}"), observed("2026-11-20 10:00", f"t{number}"))
    before = page.at("2026-11-20 10:10")
    page.tell(down("2026-11-20 10:05", "refused", target="t3"))
    after = page.at("2026-11-20 10:10")
    assert page.changed is not None
    assert page.changed.components == {"c3"}
    assert [name for name in before.components if after.components[name] is not before.components[name]] == [
        "c3"
    ]
    old, new = before.components["c3"], after.components["c3"]
    assert [one is other for one, other in zip(old.days, new.days, strict=True)] == [True, True, False]
    assert not page.standing.site(page.now)[1]


def test_a_page_made_ready_a_few_components_at_a_time_is_the_same_page() -> None:
    targets = {f"c{number}": (f"t{number}",) for number in range(5)}
    told = [down("2026-11-20 10:05", "refused", target=f"t{number}") for number in range(5)]
    slowly, at_once = (
        Page(targets, "2026-11-20 00:00").tell(*told),
        Page(targets, "2026-11-20 00:00").tell(*told),
    )
    now = instant("2026-11-20 10:10")
    ready = [slowly.standing.prepare(now, 2) for _ in range(4)]
    assert ready == [False, False, True, True]
    assert slowly.at(now) == at_once.at(now)
    assert slowly.changed == at_once.changed
    assert slowly.changed is not None
    assert slowly.changed.components == targets.keys()


def test_a_cut_of_no_length_yet_does_not_stay_beside_the_one_that_takes_its_place() -> None:
    """People correct times that nobody has observed yet."""
    told = [
        *(state("2026-11-20 00:00", "up"), state("2026-11-20 00:00", "down", "db")),
        corrected("2026-11-21 00:00", "2026-11-21 01:00", "up", target="db"),
        corrected("2026-11-22 00:00", "2026-11-22 01:00", "down"),
    ]
    page, at_once = two(), two(*told)
    for fact in told:
        page.tell(fact)
        page.at("2026-11-20 00:10")
    component = page.component("2026-11-20 00:10")
    assert component == at_once.component("2026-11-20 00:10")
    assert [one.ends_at for one in component.cuts].count(None) <= 1


def test_terms_in_another_zone_move_every_day() -> None:
    page = shop(state("2026-11-20 00:00", "up"), observed("2026-11-21 12:00"))
    assert [str(one.day) for one in page.component("2026-11-21 12:10").days] == ["2026-11-20", "2026-11-21"]
    tokyo = terms_with()
    page.tell(
        published(
            type(tokyo)("Asia/Tokyo", tokyo.uptime, tokyo.outage, tokyo.support, tokyo.quota),
            "t",
            "2026-01-01",
        ),
        at="2026-11-21 12:10",
    )
    site = page.at("2026-11-21 12:10")
    assert site.zone == "Asia/Tokyo"
    hours = {str(one.day): one.figure.window_ms / HOUR for one in site.components["shop"].days}
    assert hours == {"2026-11-20": 24, "2026-11-21": 20}


def test_a_state_of_before_the_first_is_taken_in() -> None:
    """Results that were spooled for days arrive late: history begins earlier."""
    page = shop(state("2026-11-20 00:00", "up"), observed("2026-11-20 10:00"))
    page.at("2026-11-20 10:10")
    page.tell(down("2026-11-18 00:00", "timeout"))
    component = page.component("2026-11-20 10:10")
    assert [str(one.day) for one in component.days] == ["2026-11-18", "2026-11-19", "2026-11-20"]
    (cut,) = component.cuts
    assert cut.down_ms == 48 * HOUR


def test_terms_are_taken_from_their_own_topic_only() -> None:
    page = shop()
    with pytest.raises(Unusable, match="does not belong"):
        page.standing.take(TERMS_EVENTS, 0, 0, encode(state("2026-11-20 00:00", "up")), (), 0)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        *[("refused", Cause.REFUSED), ("timeout", Cause.TIMEOUT), ("reset", Cause.UNREACHABLE)],
        *[("host unreachable", Cause.UNREACHABLE), ("network down", Cause.UNREACHABLE)],
        *[("dns: no such name", Cause.NAME), ("dns: no answer", Cause.NAME)],
        *[("tls: certificate expired", Cause.SECURITY), ("tls: handshake failed", Cause.SECURITY)],
        *[
            ("status 503", Cause.ANSWER),
            ("not http", Cause.ANSWER),
            ("closed without an answer", Cause.ANSWER),
        ],
        *[("error EBADMSG", Cause.OTHER), ("failed", Cause.OTHER), (None, Cause.OTHER)],
        ("db7.inner.example said no", Cause.OTHER),
    ],
)
def test_an_agents_error_is_told_in_words_that_give_no_inner_name_away(
    error: str | None, said: Cause
) -> None:
    assert cause(error) is said


def test_other_is_said_only_where_nothing_says_more() -> None:
    page = shop(state("2026-11-20 00:00", "up"), down("2026-11-20 10:00", None, "timeout"))
    assert page.component("2026-11-20 10:01").cuts[0].causes == (Cause.TIMEOUT,)
    page = shop(state("2026-11-20 00:00", "up"), down("2026-11-20 10:00", None))
    assert page.component("2026-11-20 10:01").cuts[0].causes == (Cause.OTHER,)


def test_a_cut_goes_on_through_excluded_time_and_does_not_count_it() -> None:
    page = shop(
        state("2026-11-20 00:00", "up"),
        announced("M-1", "2026-11-21 10:00", "2026-11-21 12:00"),
        down("2026-11-21 09:00", "timeout"),
        state("2026-11-21 13:00", "up"),
        observed("2026-11-22 00:00"),
    )
    page.tell(published(terms_with(excluded=True), "t", "2026-01-01"), at="2026-11-22 00:10")
    (cut,) = page.component("2026-11-22 00:10").cuts
    assert (cut.starts_at, cut.ends_at) == (instant("2026-11-21 09:00"), instant("2026-11-21 13:00"))
    assert cut.down_ms == 2 * HOUR


def test_down_in_excluded_maintenance_is_shown_and_is_no_cut() -> None:
    page = shop(
        state("2026-11-20 00:00", "up"),
        announced("M-1", "2026-11-21 10:00", "2026-11-21 12:00"),
    )
    page.tell(published(terms_with(excluded=True), "t", "2026-01-01"), at="2026-11-20 00:10")
    page.tell(observed("2026-11-21 10:00"), down("2026-11-21 10:30", "refused"))
    component = page.component("2026-11-21 10:31")
    assert (component.condition, component.maintenance_now, component.cuts) == (DOWN, True, ())
    assert isinstance(component.since, int)
    assert Instant(component.since) == instant("2026-11-21 10:30")
