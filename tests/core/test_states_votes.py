"""Quorum, and how long a slot waits for a vote: dead, spooled, repeated, out of order, redeclared."""

from __future__ import annotations

import pytest

from services.sla.pages import page
from services.sla.states import MAX_UNDECIDED, observe
from shared.time import HOUR, MINUTE, SECOND
from tests.core.probing import T0, WORDS, Fold, declared, result, timeline

TWO = ("zrh", "gva")
THREE = ("zrh", "gva", "fra")
FOUR = ("zrh", "gva", "fra", "lon")


@pytest.mark.parametrize(
    ("votes", "state"),
    [
        ("uuu", "up"),
        ("duu", "up"),
        ("ddu", "down"),
        ("ddd", "down"),
        ("d??", "down"),
        ("u??", "up"),
        ("???", "unmeasured"),
    ],
)
def test_more_locations_say_so(votes: str, state: str) -> None:
    fold = Fold(declared(locations=THREE, confirm_down=1, confirm_up=1))
    fold.vote(0, "uuu")
    fold.vote(1, "ddd")
    fold.vote(2, votes)
    assert timeline(fold.said)[-1][1] == state


def test_a_tie_is_up_at_first() -> None:
    fold = Fold(declared(locations=TWO, confirm_up=1))
    assert fold.vote(0, "du") == [(0, "up")]


def test_a_tie_neither_opens_nor_ends_an_outage() -> None:
    fold = Fold(declared(locations=FOUR, confirm_down=1, confirm_up=1))
    assert fold.vote(0, "uuuu") == [(0, "up")]
    assert fold.vote(1, "dduu") == []
    assert fold.vote(2, "dddu") == [(2, "down")]
    assert fold.vote(3, "dduu") == []
    assert fold.vote(4, "du??") == []
    assert fold.vote(5, "duuu") == [(5, "up")]
    assert fold.vote(6, "uudd") == []


def test_a_tie_after_an_unmeasured_slot_keeps_the_last_verdict_there_was() -> None:
    fold = Fold(declared(locations=TWO, confirm_down=1, confirm_up=1))
    fold.vote(0, "dd")
    assert fold.vote(1, "??") == [(1, "unmeasured")]
    assert fold.vote(2, "ud") == [(2, "down")]


def test_any_required_check_down_makes_the_target_down_even_beside_an_unmeasured_one() -> None:
    checks = ("icmp", "tcp:443", "tcp:5432")
    fold = Fold(declared(checks, THREE, confirm_down=1, confirm_up=1))
    for minute, rows in enumerate((("uuu", "uuu", "uuu"), ("uuu", "udd", "???"), ("uuu", "???", "uud"))):
        for check, row in zip(checks, rows, strict=True):
            fold.vote(minute, row, check=check)
    assert fold.changes() == [(0, "up"), (1, "down"), (2, "unmeasured")]


def test_a_slot_that_is_up_everywhere_is_the_last_verdict_too() -> None:
    fold = Fold(declared(locations=TWO, confirm_down=1, confirm_up=1))
    fold.vote(0, "dd")
    assert fold.vote(1, "uu") == [(1, "up")]
    assert fold.vote(2, "du") == []


def test_checks_keep_their_verdicts_apart() -> None:
    fold = Fold(declared(("icmp", "tcp:443"), TWO, confirm_down=1, confirm_up=1))
    for minute, rows in enumerate((("uu", "dd"), ("du", "uu"), ("uu", "du"))):
        for check, row in zip(("icmp", "tcp:443"), rows, strict=True):
            fold.vote(minute, row, check=check)
    assert fold.changes() == [(0, "down"), (1, "up")]


def test_results_that_are_nobodys_vote_change_nothing() -> None:
    fold = Fold(declared(("icmp",), TWO, optional=("tcp:22",)))
    fold.vote(0, "uu")
    before = page(fold.states.values())
    position = fold.states["app"].position
    for fact in (
        result(T0 + MINUTE, "down", check="tcp:22"),
        result(T0 + MINUTE, "down", check="tcp:1"),
        result(T0 + MINUTE, "down", location="lon"),
        result(T0 + 2 * HOUR, "down"),
        result(T0 + MINUTE, "down", target="other"),
    ):
        assert fold.record(fact, T0 + HOUR) == []
    fold.states["app"].position = position
    assert page(fold.states.values()) == before


def test_a_target_that_requires_no_check_requires_them_all() -> None:
    fold = Fold(declared((), ("zrh",), optional=("icmp", "tcp:443"), confirm_down=1))
    fold.vote(0, "u", check="icmp")
    assert fold.vote(0, "d", check="tcp:443") == [(0, "down")]


def test_a_target_without_checks_or_locations_is_never_judged() -> None:
    for nothing in (declared((), ("zrh",)), declared(("icmp",), ())):
        fold = Fold(nothing)
        fold.slots("dddd")
        assert fold.said == []


def test_a_check_or_location_listed_twice_has_one_vote() -> None:
    fold = Fold(declared(("icmp", "icmp"), ("zrh", "gva", "zrh"), confirm_down=1))
    assert fold.vote(0, "du") == []
    assert fold.vote(1, "dd") == [(1, "down")]


def test_a_slot_is_decided_at_the_last_report_of_those_expected() -> None:
    fold = Fold(declared(locations=THREE, confirm_up=1))
    assert fold.vote(0, "uu.") == []
    assert fold.vote(0, "..u", at=1) == [(0, "up")]


def test_a_voter_that_has_reported_a_later_slot_is_waited_for_no_longer() -> None:
    fold = Fold(declared(locations=TWO, confirm_up=1))
    fold.vote(0, "u.")
    assert fold.vote(1, ".u") == [(0, "up")]


def test_slots_are_decided_in_the_order_of_slots() -> None:
    fold = Fold(declared(locations=TWO, confirm_down=1, confirm_up=1))
    for minute, letter in enumerate("udu"):
        assert fold.vote(minute, letter + ".", at=2) == []
    assert fold.vote(0, ".u", at=2) == [(0, "up")]
    assert fold.vote(1, ".d", at=2) == [(1, "down")]
    assert fold.vote(2, ".u", at=2) == [(2, "up")]


def test_the_first_report_of_a_voter_counts() -> None:
    fold = Fold(declared(locations=TWO, confirm_down=1, confirm_up=1))
    fold.vote(0, "u.")
    fold.vote(0, "d.")
    assert fold.vote(0, ".u") == [(0, "up")]


def test_a_report_out_of_order_counts_while_its_slot_is_undecided() -> None:
    fold = Fold(declared(locations=THREE, confirm_down=1, confirm_up=1))
    fold.vote(0, "uuu")
    fold.vote(2, "u..")
    fold.vote(1, "d..", at=2)
    fold.vote(1, "d..", at=2)
    fold.vote(1, ".d.", at=2)
    assert fold.vote(1, "..u", at=2) == [(1, "down")]


def test_a_slot_between_those_undecided_takes_its_place_in_the_order() -> None:
    fold = Fold(declared(locations=TWO, confirm_down=1, confirm_up=1))
    fold.vote(0, "u.")
    fold.vote(2, "u.", at=2)
    fold.vote(1, "d.", at=2)
    assert fold.vote(2, ".u", at=2) == [(0, "up"), (1, "down"), (2, "up")]


def test_a_report_of_a_decided_slot_is_too_late() -> None:
    fold = Fold(declared(locations=("zrh",), confirm_down=1, confirm_up=1))
    fold.slots("uuu")
    state = fold.states["app"]
    assert fold.vote(1, "d", at=3) == []
    assert state.undecided is None
    assert fold.slots("u", start=3) == []


def test_a_slot_more_than_ten_minutes_ahead_of_its_record_is_not_believed() -> None:
    for ahead, state in ((10 * MINUTE, "up"), (10 * MINUTE + 1, None)):
        fold = Fold(declared(confirm_up=1))
        fold.record(result(T0 + ahead, "up"), T0)
        assert fold.states["app"].standing.confirmed == state


def test_a_location_dead_for_weeks_is_waited_for_once() -> None:
    fold = Fold(declared(locations=THREE, confirm_down=1, confirm_up=1))
    for minute in range(3):
        fold.vote(minute, "uuu")
    # fra was last heard at minute 2: its patience of three intervals ends after minute 5.
    assert fold.vote(3, "dd.") == []
    assert fold.vote(4, "uu.") == []
    assert fold.vote(5, "dd.") == []
    assert fold.vote(6, "u..") == [(3, "down"), (4, "up"), (5, "down")]
    assert fold.vote(6, ".u.") == [(6, "up")]
    for minute in range(7, 300):
        assert fold.vote(minute, "u..") == []
        assert fold.vote(minute, ".d.") == []
        assert fold.states["app"].standing.decided == T0 + minute * MINUTE


def test_the_patience_is_at_least_a_minute() -> None:
    fold = Fold(declared(locations=TWO, interval_s=5, confirm_up=1))
    for second in range(0, 61, 5):
        fold.record(result(T0 + second * SECOND, "up"), T0 + second * SECOND)
    assert fold.changes() == []
    fold.record(result(T0 + 65 * SECOND, "up"), T0 + 65 * SECOND)
    assert fold.changes() == [(0, "up")]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_after_hours_without_a_broker_every_spool_counts(order: tuple[int, int, int]) -> None:
    """Whole spools, one after another: each slot is judged with all three votes."""
    fold = Fold(declared(locations=THREE))
    for minute in range(3):
        fold.vote(minute, "uuu")
    spool = {minute: "udd" if 100 <= minute < 160 else "duu" for minute in range(3, 300)}
    for place, location in enumerate(order):
        for minute, votes in spool.items():
            row = "".join(vote if number == location else "." for number, vote in enumerate(votes))
            fold.vote(minute, row, at=300 + place)
    assert timeline(fold.said) == [(0, "up"), (100, "down"), (160, "up")]
    assert fold.states["app"].undecided is None


def test_a_slot_half_reported_before_the_silence_waits_like_the_others() -> None:
    fold = Fold(declared(locations=TWO, confirm_down=1, confirm_up=1))
    fold.vote(0, "uu")
    fold.vote(1, "d.")
    assert fold.vote(2, "d.", at=300) == []
    assert fold.vote(1, ".u", at=301) == []
    assert fold.states["app"].standing.decided == T0 + MINUTE


def test_the_longer_everybody_was_silent_the_longer_nobody_is_given_up() -> None:
    """After four hours' silence zrh delivers at once and goes on; fra takes fourteen minutes to come back."""
    fold = Fold(declared(locations=THREE))
    for minute in range(3):
        fold.vote(minute, "uuu")
    for minute in range(3, 240):
        fold.vote(minute, "uu.", at=240)
    for minute in range(240, 254):
        fold.vote(minute, "uu.")
    assert fold.changes() == [(0, "up")]
    assert fold.states["app"].standing.decided == T0 + 2 * MINUTE
    fold.vote(254, "uu.")
    for minute in range(3, 255):
        fold.vote(minute, "..d", at=254)
    assert fold.states["app"].standing.decided == T0 + 254 * MINUTE
    assert fold.changes() == [(0, "up")]


def test_a_location_that_does_not_come_back_after_the_silence_is_given_up_after_a_while() -> None:
    fold = Fold(declared(locations=TWO))
    for minute in range(3):
        fold.vote(minute, "uu")
    for minute in range(240, 256):
        fold.vote(minute, "d.")
    assert fold.states["app"].standing.decided == T0 + 2 * MINUTE
    fold.vote(256, "d.")
    assert fold.states["app"].standing.decided == T0 + 256 * MINUTE
    assert fold.changes()[-1] == (240, "down")


def test_a_location_that_catches_up_does_not_hold_up_todays_slots() -> None:
    """fra comes back with ten hours of old slots, one a minute: today's slots wait a quarter of an hour."""
    fold = Fold(declared(locations=THREE, confirm_down=1, confirm_up=1))
    for minute in range(3):
        fold.vote(minute, "uuu")
    for minute in range(3, 600):
        fold.vote(minute, "uu.")
    assert fold.states["app"].standing.decided == T0 + 599 * MINUTE
    for behind in range(60):
        fold.vote(3 + behind, "..d", at=600 + behind)
        fold.vote(600 + behind, "uu.")
        lag = T0 + (600 + behind) * MINUTE - fold.states["app"].standing.decided
        assert min(behind, 15) * MINUTE <= lag <= 16 * MINUTE
    assert fold.changes() == [(0, "up")]


def test_a_long_interval_gives_a_slot_three_of_them_before_it_is_too_old() -> None:
    """Every half hour: gva is heard at minute 10 and then slow, fra is gone, zrh moves the time."""
    fold = Fold(declared(locations=THREE, interval_s=1800, confirm_down=1, confirm_up=1))
    fold.vote(0, "u.u")
    fold.vote(0, ".u.", at=10)
    fold.vote(30, "d..")
    fold.vote(60, "u..")
    fold.vote(90, "u..", at=91)  # fra, last heard at minute 0, is given up here; gva is not
    assert fold.states["app"].standing.decided == T0
    assert fold.vote(30, ".u.", at=92) == []
    assert fold.states["app"].standing.decided == T0 + 30 * MINUTE


def test_a_voter_is_not_given_up_by_its_own_report() -> None:
    fold = Fold(declared(locations=TWO, confirm_down=1, confirm_up=1))
    fold.vote(0, "uu")
    for minute in (1, 2, 3):
        fold.vote(minute, "d.")
    assert fold.vote(1, ".u", at=4) == []
    assert fold.states["app"].standing.decided == T0 + MINUTE


def test_once_it_has_caught_up_its_votes_count_again() -> None:
    fold = Fold(declared(locations=THREE, confirm_down=1, confirm_up=1))
    for minute in range(3):
        fold.vote(minute, "uuu")
    for minute in range(3, 60):
        fold.vote(minute, "uu.")
    for minute in range(3, 60):
        assert fold.vote(minute, "..d", at=60) == []
    assert fold.vote(60, "du.") == []
    assert fold.vote(60, "..d") == [(60, "down")]


def test_a_voter_that_returns_while_a_slot_waits_is_waited_for() -> None:
    fold = Fold(declared(locations=THREE, confirm_down=1, confirm_up=1))
    for minute in range(3):
        fold.vote(minute, "uuu")
    for minute in range(3, 10):
        fold.vote(minute, "uu.")
    fold.vote(10, "d..")
    fold.vote(9, "..u", at=10)
    assert fold.vote(10, ".d.") == []
    assert fold.vote(10, "..d") == [(10, "down")]


@pytest.mark.parametrize(("pace", "all_count"), [(25, True), (15, False)])
def test_a_slow_spool_counts_within_a_quarter_of_an_hour(pace: int, all_count: bool) -> None:
    """gva delivers five hours of slots in 12 or in 20 minutes; zrh delivered hers at once. A tie is up."""
    fold = Fold(declared(locations=TWO, confirm_down=1, confirm_up=1))
    fold.vote(0, "uu")
    for minute in range(1, 301):
        fold.vote(minute, "d.", at=301)
    for minute in range(1, 301):
        fold.vote(minute, ".u", at=301 + minute // pace)
    assert fold.states["app"].standing.decided == T0 + 300 * MINUTE
    assert (fold.changes() == [(0, "up")]) is all_count


def test_one_location_works_at_any_interval() -> None:
    for interval_s in (1, 60, 3600, 86_400):
        fold = Fold(declared(("icmp", "tcp:443"), ("zrh",), interval_s=interval_s))
        for number, letter in enumerate("uuddduu"):
            slot = T0 + number * interval_s * SECOND
            fold.record(result(slot, WORDS[letter]), slot + 500)
            fold.record(result(slot, "up", check="tcp:443"), slot + 700)
        states = [fact.state for fact in fold.said if hasattr(fact, "state")]
        assert states == ["up", "down", "up"]


def test_no_more_than_ten_thousand_slots_are_kept_undecided() -> None:
    fold = Fold(declared(locations=TWO, interval_s=1, confirm_up=1))
    for number in range(MAX_UNDECIDED):
        assert fold.record(result(T0 + number * SECOND, "up"), T0 + 4 * HOUR) == []
    said = fold.record(result(T0 + MAX_UNDECIDED * SECOND, "up"), T0 + 4 * HOUR)
    assert [fact.state for fact in said if hasattr(fact, "state")] == ["up"]
    assert fold.states["app"].standing.decided == T0
    assert len(fold.states["app"].undecided or ()) == MAX_UNDECIDED


def test_a_repeated_record_does_not_keep_a_dead_location_alive_nor_move_time() -> None:
    fold = Fold(declared(locations=TWO))
    fold.vote(0, "uu")
    fold.vote(1, "u.")
    for minute in range(2, 60):
        fold.vote(0, ".u", at=minute)
        fold.vote(1, "u.", at=minute)
    assert fold.states["app"].wake == T0 + 1_000 + 3 * MINUTE
    fold.vote(1, ".d", at=60)  # the target was silent for an hour: still welcome
    assert fold.states["app"].standing.decided == T0 + MINUTE


def test_a_record_at_or_below_the_position_is_skipped() -> None:
    fold = Fold(declared(confirm_up=1))
    fold.slots("u")
    state = fold.states["app"]
    for position in (0, 1):
        assert observe(fold.states, result(T0 + MINUTE, "down"), T0 + MINUTE, position) == ()
        assert state.standing.decided == T0
    assert state.position == 1
    observe(fold.states, result(T0 + MINUTE, "down"), T0 + MINUTE, 2)
    assert state.standing.decided == T0 + MINUTE
    assert state.position == 2


def test_targets_are_independent() -> None:
    fold = Fold(declared(target="a"), declared(target="b"))
    for minute in range(2):
        fold.record(result(T0 + minute * MINUTE, "up", target="a"), T0 + minute * MINUTE)
        fold.record(result(T0 + minute * MINUTE, "down", target="b"), T0 + minute * MINUTE)
    assert [(fact.target, fact.state) for fact in fold.said if hasattr(fact, "state")] == [
        ("a", "up"),
        ("b", "down"),
    ]


def test_the_same_declaration_again_changes_nothing() -> None:
    fold = Fold(declared(locations=TWO, confirm_up=1))
    fold.vote(0, "u.")
    wake = fold.states["app"].wake
    assert fold.record(declared(locations=TWO, confirm_up=1, at=T0 + HOUR), T0 + HOUR) == []
    assert fold.states["app"].wake == wake
    assert fold.vote(0, ".u", at=61) == [(0, "up")]


def test_without_its_dead_location_a_target_is_decided_at_once() -> None:
    fold = Fold(declared(locations=THREE, confirm_down=1, confirm_up=1))
    fold.vote(0, "dd.")
    said = fold.record(declared(locations=TWO, confirm_down=1, confirm_up=1), T0 + 2 * MINUTE)
    assert [fact.state for fact in said if hasattr(fact, "state")] == ["down"]


def test_undecided_slots_are_judged_by_the_new_declaration_with_the_votes_they_have() -> None:
    """icmp is no longer required, fra takes the place of lon; what zrh and gva said stays theirs."""
    old = declared(("icmp", "tcp:443"), ("lon", "zrh", "gva"), confirm_down=1)
    fold = Fold(old)
    for location, icmp, tcp in (("zrh", "d", "d"), ("lon", "d", "u"), ("gva", "d", None)):
        fold.record(result(T0, WORDS[icmp], location, "icmp", "no ping"), T0)
        if tcp:
            fold.record(result(T0, WORDS[tcp], location, "tcp:443", f"tcp from {location}"), T0)
    fold.record(declared(("tcp:443",), THREE, confirm_down=1), T0 + SECOND)
    assert fold.record(result(T0, "up", "lon", "tcp:443"), T0 + 2 * SECOND) == []
    fold.record(result(T0, "up", "gva", "tcp:443"), T0 + 2 * SECOND)
    fold.record(result(T0, "down", "fra", "tcp:443", "refused"), T0 + 2 * SECOND)
    assert fold.changes() == [(0, "down")]
    assert [(why.location, why.error) for why in fold.last_change.because] == [
        ("fra", "refused"),
        ("zrh", "tcp from zrh"),
    ]


def test_a_new_location_is_given_time_to_start() -> None:
    fold = Fold(declared(locations=("zrh",)))
    fold.slots("uuu")
    fold.record(declared(locations=TWO), T0 + 3 * MINUTE)
    for minute in (3, 4, 5):
        fold.vote(minute, "u.")
    assert fold.states["app"].standing.decided == T0 + 2 * MINUTE
    fold.vote(6, "u.")
    assert fold.states["app"].standing.decided == T0 + 6 * MINUTE


def test_an_undecided_slot_waits_for_a_new_location_in_the_place_of_a_dead_one() -> None:
    fold = Fold(declared(locations=THREE))
    for minute in range(5):
        fold.vote(minute, "u.u")
    fold.vote(5, "u..")
    assert fold.record(declared(locations=("zrh", "lon")), T0 + 5 * MINUTE + 2 * SECOND) == []
    assert fold.states["app"].standing.decided == T0 + 4 * MINUTE
    fold.record(result(T0 + 5 * MINUTE, "up", "lon"), T0 + 5 * MINUTE + 3 * SECOND)
    assert fold.states["app"].standing.decided == T0 + 5 * MINUTE


def test_a_check_keeps_its_last_verdict_through_a_new_declaration() -> None:
    fold = Fold(declared(("icmp", "tcp:443"), TWO, confirm_down=1, confirm_up=1))
    fold.vote(0, "uu", check="icmp")
    fold.vote(0, "dd", check="tcp:443")
    fold.record(declared(("tcp:443", "tcp:22"), TWO, confirm_down=1, confirm_up=1), T0 + 30 * SECOND)
    fold.vote(1, "ud", check="tcp:443")
    fold.vote(1, "ud", check="tcp:22")
    assert fold.changes() == [(0, "down")]
    fold.record(declared(("tcp:22",), TWO, confirm_down=1, confirm_up=1), T0 + 90 * SECOND)
    assert fold.vote(2, "ud", check="tcp:22") == [(2, "up")]


def test_the_confirmed_state_and_the_run_go_on_through_a_new_declaration() -> None:
    fold = Fold(declared(confirm_down=5))
    fold.slots("uudd")
    assert fold.record(declared(confirm_down=3), T0 + 3 * MINUTE + SECOND) == []
    assert fold.slots("d", start=4) == [(2, "down")]


def test_a_slot_that_only_voters_now_gone_reported_is_absent() -> None:
    fold = Fold(declared(locations=TWO, confirm_up=1))
    fold.vote(0, "uu")
    fold.vote(1, "d.")
    fold.record(declared(locations=("gva",), confirm_up=1), T0 + 2 * MINUTE)
    assert fold.vote(2, ".u") == []  # one absent slot: not unmeasured
    assert fold.states["app"].undecided is None


@pytest.mark.parametrize(("old_s", "new_s"), [(3600, 60), (60, 3600)])
def test_no_slot_is_missed_by_a_change_of_the_interval(old_s: int, new_s: int) -> None:
    fold = Fold(declared(interval_s=old_s))
    for number in range(3):
        slot = T0 + number * old_s * SECOND
        fold.record(result(slot, "up"), slot)
    start = T0 + 2 * old_s * SECOND
    fold.record(declared(interval_s=new_s), start + SECOND)
    for number in (1, 2, 3):
        slot = start + 1800 * SECOND + number * new_s * SECOND
        fold.record(result(slot, "up"), slot)
    assert fold.changes() == [(0, "up")]
    fold.record(result(slot + 3 * new_s * SECOND, "up"), slot + 3 * new_s * SECOND)
    assert [state for _, state in fold.changes()] == ["up", "unmeasured", "up"]


def test_a_shorter_interval_is_the_measure_from_the_second_slot_on() -> None:
    fold = Fold(declared(interval_s=120))
    fold.slots("uu", step=2)
    fold.record(declared(interval_s=60), T0 + 2 * MINUTE + SECOND)
    fold.slots("u", start=3)
    assert fold.slots("u", start=6) == [(4, "unmeasured"), (6, "up")]
