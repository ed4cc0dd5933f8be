"""Runs, confirmation, unmeasured time: given these slots, the target's state is said to be that."""

from __future__ import annotations

import pytest

from shared.codec import encode
from shared.facts import TargetObserved, TargetStateChanged
from shared.time import HOUR, MINUTE, Instant, parse_instant
from tests.core.probing import T0, WORDS, Fold, declared, result, timeline, why


def test_nothing_is_said_before_the_first_confirmed_state() -> None:
    fold = Fold(declared())
    assert fold.slots("u?d") == []
    assert fold.said == []


def test_the_first_state_is_dated_at_the_first_slot_of_its_run() -> None:
    fold = Fold(declared())
    assert fold.slots("u") == []
    assert fold.slots("u", start=1) == [(0, "up")]
    assert fold.said == [
        TargetStateChanged("app", Instant(T0), "up", Instant(T0 + MINUTE), ()),
    ]


def test_an_outage_is_dated_at_the_first_failing_slot_and_ends_at_the_first_good_one() -> None:
    fold = Fold(declared(confirm_down=3, confirm_up=2))
    fold.slots("uu")
    assert fold.slots("dd", start=2) == []
    assert fold.slots("d", start=4) == [(2, "down")]
    assert fold.last_change.confirmed_at == T0 + 4 * MINUTE
    assert fold.slots("u", start=5) == []
    assert fold.slots("u", start=6) == [(5, "up")]


def test_flapping_is_confirmed_neither_way() -> None:
    fold = Fold(declared())
    fold.slots("uu")
    assert fold.slots("dududududu", start=2) == []


def test_a_retried_success_leaves_no_down_time() -> None:
    fold = Fold(declared())
    fold.slots("uuduu")
    assert fold.changes() == [(0, "up")]


def test_only_changes_are_said() -> None:
    fold = Fold(declared())
    assert fold.slots("uuuuuuuu") == [(0, "up")]
    assert fold.slots("dddddddd", start=8) == [(8, "down")]


def test_one_slot_confirms_when_one_is_asked_for() -> None:
    fold = Fold(declared(confirm_down=1, confirm_up=1))
    assert fold.slots("udu") == [(0, "up"), (1, "down"), (2, "up")]


def test_one_unmeasured_slot_makes_the_target_unmeasured_until_the_next_measured_one() -> None:
    fold = Fold(declared())
    fold.slots("uu")
    assert fold.slots("?", start=2) == [(2, "unmeasured")]
    assert fold.slots("?", start=3) == []
    assert fold.slots("u", start=4) == [(4, "up")]
    assert fold.last_change.because == ()


def test_unmeasured_slots_name_the_voters_that_had_no_network() -> None:
    fold = Fold(declared(["icmp", "tcp:443"], ["zrh"], confirm_up=1))
    for minute in (0, 1):
        fold.record(result(T0 + minute * MINUTE, "up", check="icmp"), T0 + minute * MINUTE)
        fold.record(
            result(T0 + minute * MINUTE, WORDS["u?"[minute]], check="tcp:443", error="no route"),
            T0 + minute * MINUTE,
        )
    assert fold.last_change.state == "unmeasured"
    assert fold.last_change.because == why(("tcp:443", "zrh", "no route"))


def test_after_unmeasured_time_the_other_state_can_be_confirmed_from_the_first_measured_slot() -> None:
    fold = Fold(declared())
    fold.slots("uu??")
    assert fold.slots("dd", start=4) == [(4, "up"), (4, "down")]
    assert timeline(fold.said) == [(0, "up"), (2, "unmeasured"), (4, "down")]


def test_a_slot_that_confirms_at_once_is_not_first_said_to_be_what_it_was() -> None:
    fold = Fold(declared(confirm_down=1))
    fold.slots("uu?")
    assert fold.slots("d", start=3) == [(3, "down")]


def test_the_state_returns_to_down_with_the_votes_that_say_so() -> None:
    fold = Fold(declared())
    fold.slots("dd?")
    fold.record(result(T0 + 3 * MINUTE, "down", error="refused"), T0 + 3 * MINUTE)
    assert fold.changes() == [(0, "down"), (2, "unmeasured"), (3, "down")]
    assert fold.last_change.because == why(("icmp", "zrh", "refused"))


def test_a_state_restored_by_a_slot_that_speaks_against_it_names_no_votes() -> None:
    fold = Fold(declared())
    fold.slots("uu?d")
    assert fold.changes()[-1] == (3, "up")
    assert fold.last_change.because == ()


def test_unmeasured_slots_neither_count_nor_break_a_run() -> None:
    fold = Fold(declared())
    fold.slots("uu")
    assert fold.slots("d?", start=2) == [(3, "unmeasured")]
    assert fold.slots("d", start=4) == [(2, "down"), (4, "down")]
    assert timeline(fold.said) == [(0, "up"), (2, "down"), (3, "unmeasured"), (4, "down")]


def test_every_state_restored_inside_a_run_is_overruled_when_it_is_confirmed() -> None:
    fold = Fold(declared(confirm_down=4))
    fold.slots("uud?d??dd")
    assert fold.changes() == [
        (0, "up"),
        (3, "unmeasured"),
        (4, "up"),
        (5, "unmeasured"),
        (7, "up"),
        (2, "down"),
        (4, "down"),
        (7, "down"),
    ]
    assert timeline(fold.said) == [
        (0, "up"),
        (2, "down"),
        (3, "unmeasured"),
        (4, "down"),
        (5, "unmeasured"),
        (7, "down"),
    ]


def test_a_run_that_was_broken_overrules_nothing() -> None:
    fold = Fold(declared(confirm_down=3))
    fold.slots("uud?dudd")
    assert timeline(fold.said) == [(0, "up"), (3, "unmeasured"), (4, "up")]


def test_unmeasured_time_inside_the_first_run_is_said_on_confirmation() -> None:
    fold = Fold(declared(confirm_up=3))
    fold.record(result(T0, "up"), T0)
    fold.record(result(T0 + MINUTE, "unknown", error="no network"), T0 + MINUTE)
    assert fold.slots("u", start=2) == []
    assert fold.slots("u", start=6) == [(0, "up"), (1, "unmeasured"), (2, "up"), (3, "unmeasured"), (6, "up")]
    by_minute = {(fact.at - T0) // MINUTE: fact for fact in fold.said if isinstance(fact, TargetStateChanged)}
    assert by_minute[1].because == why(("icmp", "zrh", "no network"))
    assert by_minute[3].because == ()
    assert by_minute[1].confirmed_at == T0 + 6 * MINUTE


def test_unmeasured_time_before_the_first_run_is_not_said() -> None:
    fold = Fold(declared())
    assert fold.slots("u??dd") == [(3, "down")]


@pytest.mark.parametrize(("minute", "said"), [(3, []), (4, [(2, "unmeasured"), (4, "up")])])
def test_absent_slots_are_unmeasured_when_more_than_two_intervals_lie_between(
    minute: int, said: list[tuple[int, str]]
) -> None:
    fold = Fold(declared())
    fold.slots("uu")
    assert fold.slots("u", start=minute) == said


def test_absent_slots_are_unmeasured_from_the_first_and_known_at_the_slot_after() -> None:
    fold = Fold(declared())
    fold.slots("uu")
    fold.slots("u", start=30)
    unmeasured, restored = [fact for fact in fold.said if isinstance(fact, TargetStateChanged)][-2:]
    assert unmeasured == TargetStateChanged(
        "app", Instant(T0 + 2 * MINUTE), "unmeasured", Instant(T0 + 30 * MINUTE), ()
    )
    assert restored == TargetStateChanged(
        "app", Instant(T0 + 30 * MINUTE), "up", Instant(T0 + 30 * MINUTE), ()
    )


def test_a_gap_between_down_slots_is_unmeasured_inside_the_outage() -> None:
    fold = Fold(declared())
    fold.slots("uud")
    assert fold.slots("d", start=10) == [(3, "unmeasured"), (2, "down"), (10, "down")]
    assert timeline(fold.said) == [(0, "up"), (2, "down"), (3, "unmeasured"), (10, "down")]


@pytest.mark.parametrize(
    ("slots", "since"),
    [
        ([(2, "?"), (9, "u")], 2),  # unmeasured, then absent
        ([(9, "?"), (10, "u")], 2),  # absent, then unmeasured
        ([(3, "?"), (4, "u")], 3),  # one absent slot is not unmeasured by itself
        ([(2, "?"), (9, "?"), (20, "?"), (30, "u")], 2),
    ],
)
def test_unmeasured_and_absent_slots_make_one_stretch(slots: list[tuple[int, str]], since: int) -> None:
    fold = Fold(declared())
    fold.slots("uu")
    for minute, letter in slots:
        fold.slots(letter, start=minute)
    assert fold.changes()[1:] == [(since, "unmeasured"), (slots[-1][0], "up")]


@pytest.mark.parametrize(
    ("pause", "down"),
    [(6 * 60, True), (6 * 60 + 1, False)],
)
@pytest.mark.parametrize("filled", [True, False])
def test_a_run_starts_anew_after_more_than_six_hours_unmeasured_or_absent(
    pause: int, down: bool, filled: bool
) -> None:
    fold = Fold(declared())
    fold.slots("uud")
    if filled:
        fold.slots("?" * pause, start=3)
    after = 3 + pause
    assert ((2, "down") in fold.slots("d", start=after)) is down
    fold.slots("d", start=after + 1)
    assert timeline(fold.said)[-1] == (after, "down")
    assert ((2, "down") in timeline(fold.said)) is down


@pytest.mark.parametrize(("minute", "down"), [(3 + 6 * 60, True), (3 + 6 * 60 + 1, False)])
def test_the_six_hours_run_from_a_single_absent_slot_too(minute: int, down: bool) -> None:
    """One absent slot (3) is not unmeasured, but it is the first of the stretch that a run has to bridge."""
    fold = Fold(declared())
    fold.slots("uud")
    assert fold.slots("?", start=4) == [(4, "unmeasured")]
    assert ((2, "down") in fold.slots("d", start=minute)) is down


def test_with_an_interval_longer_than_six_hours_one_absent_slot_starts_a_run_anew() -> None:
    fold = Fold(declared(interval_s=8 * 3600))
    fold.slots("uud", step=480)
    assert fold.slots("d", start=4 * 480) == []
    assert fold.slots("d", start=5 * 480) == [(4 * 480, "down")]


def test_silence_longer_than_six_hours_leaves_the_confirmed_state() -> None:
    fold = Fold(declared())
    fold.slots("dd")
    assert fold.slots("u", start=600) == [(2, "unmeasured"), (600, "down")]
    assert fold.slots("u", start=601) == [(600, "up")]


def test_because_names_the_distinct_down_votes_of_the_run_in_order() -> None:
    fold = Fold(declared(["icmp", "tcp:443"], ["zrh", "gva"], confirm_down=2))
    votes = [
        (0, "tcp:443", "zrh", "d", "timeout"),
        (0, "tcp:443", "gva", "d", "refused"),
        (0, "icmp", "zrh", "u", None),
        (0, "icmp", "gva", "?", "no network"),
        (1, "tcp:443", "zrh", "d", "refused"),
        (1, "tcp:443", "gva", "d", "refused"),
        (1, "icmp", "zrh", "d", None),
        (1, "icmp", "gva", "u", None),
    ]
    for minute, check, location, outcome, error in votes:
        fold.record(
            result(T0 + minute * MINUTE, WORDS[outcome], location, check, error),
            T0 + minute * MINUTE,
        )
    assert fold.last_change.because == why(
        ("icmp", "zrh", None),
        ("tcp:443", "gva", "refused"),
        ("tcp:443", "zrh", "refused"),
        ("tcp:443", "zrh", "timeout"),
    )


def test_a_vote_without_an_error_is_named_before_the_same_vote_with_an_empty_one() -> None:
    fold = Fold(declared())
    fold.record(result(T0, "down", error=""), T0)
    fold.record(result(T0 + MINUTE, "down", error=None), T0 + MINUTE)
    assert fold.last_change.because == why(("icmp", "zrh", None), ("icmp", "zrh", ""))


def test_because_is_bounded_whatever_the_errors_are() -> None:
    fold = Fold(declared(locations=[f"l{number:02d}" for number in range(60)], confirm_down=3))
    for minute in range(3):
        for number in range(60):
            fact = result(T0 + minute * MINUTE, "down", f"l{number:02d}", error=f"error {minute}")
            fold.record(fact, T0 + minute * MINUTE)
    reasons = fold.last_change.because
    assert len(reasons) == 50
    assert reasons[:4] == why(
        ("icmp", "l00", "error 0"),
        ("icmp", "l00", "error 1"),
        ("icmp", "l00", "error 2"),
        ("icmp", "l01", "error 0"),
    )


def test_unmeasured_is_bounded_in_the_votes_it_names() -> None:
    fold = Fold(declared(locations=[f"l{number:02d}" for number in range(60)], confirm_up=1))
    for minute, letter in enumerate("u?"):
        for number in range(60):
            fold.record(result(T0 + minute * MINUTE, WORDS[letter], f"l{number:02d}"), T0 + minute * MINUTE)
    assert fold.last_change.state == "unmeasured"
    assert len(fold.last_change.because) == 50


def test_each_full_hour_that_slots_reach_or_pass_is_said_once() -> None:
    fold = Fold(declared())
    fold.slots("u" * 59)  # 10:01 to 10:59
    assert fold.hours() == []
    fold.slots("u", start=59)  # 11:00
    assert fold.hours() == [parse_instant("2026-11-02T11:00:00.000Z")]
    fold.slots("u" * 59, start=60)
    assert len(fold.hours()) == 1
    fold.slots("u", start=120)  # 12:01, 12:00 itself is absent
    assert fold.hours()[1:] == [parse_instant("2026-11-02T12:00:00.000Z")]


def test_after_a_gap_only_the_latest_hour_is_said_and_after_the_changes_of_its_slot() -> None:
    fold = Fold(declared())
    fold.slots("uu")
    said = fold.record(result(T0 + 5 * HOUR, "up"), T0 + 5 * HOUR)
    assert [type(fact).__name__ for fact in said] == [
        "TargetStateChanged",
        "TargetStateChanged",
        "TargetObserved",
    ]
    assert said[-1] == TargetObserved("app", parse_instant("2026-11-02T15:00:00.000Z"))


@pytest.mark.parametrize(("minute", "hours"), [(-1, 1), (0, 0)])
def test_the_first_slot_says_an_hour_only_when_it_lies_on_it(minute: int, hours: int) -> None:
    fold = Fold(declared())
    fold.slots("u", start=minute)
    assert len(fold.hours()) == hours


def test_hours_are_said_of_unmeasured_slots_and_before_the_first_state() -> None:
    fold = Fold(declared())
    fold.slots("?" * 60)
    assert fold.said == [TargetObserved("app", parse_instant("2026-11-02T11:00:00.000Z"))]


def test_what_is_said_goes_on_the_log_with_its_instants_written_out() -> None:
    fold = Fold(declared())
    fold.slots("uu")
    assert encode(fold.said[0]) == (
        b'{"type":"TargetStateChanged","target":"app","at":"2026-11-02T10:01:00.000Z","state":"up",'
        b'"confirmed_at":"2026-11-02T10:02:00.000Z","because":[]}'
    )
