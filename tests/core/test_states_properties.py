"""What holds for every history of a target, and an independent reading of the contract that agrees."""

from __future__ import annotations

from typing import Literal

from hypothesis import given, settings
from hypothesis import strategies as st

from services.sla.pages import page, states_of
from services.sla.states import observe
from shared.facts import ProbeFact, ProbeResult, TargetDeclared, TargetObserved, TargetStateChanged
from shared.time import HOUR, MINUTE, SECOND
from tests.core.probing import T0, WORDS, Fold, Outcome, declared, result, timeline

CHECKS = ("icmp", "tcp:443")
LOCATIONS = ("zrh", "gva", "fra")
Record = tuple[ProbeFact, int]

outcomes: st.SearchStrategy[Outcome] = st.sampled_from(["up", "down", "down", "unknown"])


@st.composite
def declarations(draw: st.DrawFn) -> TargetDeclared:
    return declared(
        draw(st.lists(st.sampled_from(CHECKS), min_size=1, max_size=2)),
        draw(st.lists(st.sampled_from(LOCATIONS), min_size=1, max_size=3)),
        interval_s=draw(st.sampled_from([30, 60, 600, 5 * 3600])),
        confirm_down=draw(st.integers(1, 4)),
        confirm_up=draw(st.integers(1, 4)),
    )


@st.composite
def histories(draw: st.DrawFn) -> list[Record]:
    """Anything a partition may hold: silences, spools, reordering, strangers, new declarations."""
    records: list[Record] = [(draw(declarations()), T0)]
    now = T0 + 5 * SECOND
    for _ in range(draw(st.integers(0, 40))):
        now += draw(st.sampled_from([0, 0, 1, 5 * SECOND, MINUTE, 4 * MINUTE, 20 * MINUTE, 7 * HOUR]))
        if draw(st.integers(0, 15)) == 0:
            records.append((draw(declarations()), now))
        back = draw(st.sampled_from([0, 0, 0, 1, 2, 3, 10, 100, -20]))
        slot = now // MINUTE * MINUTE - back * MINUTE
        check = draw(st.sampled_from([*CHECKS, "tcp:1"]))
        location = draw(st.sampled_from([*LOCATIONS, "lon"]))
        error = draw(st.sampled_from([None, "timeout", "refused"]))
        records.append((result(slot, draw(outcomes), location, check, error), now))
    return records


def fold_all(records: list[Record]) -> Fold:
    fold = Fold()
    for fact, recorded_at in records:
        fold.record(fact, recorded_at)
    return fold


@given(histories(), st.data())
def test_any_prefix_saved_and_restored_then_the_rest_is_the_whole(
    records: list[Record], data: st.DataObject
) -> None:
    whole = fold_all(records)
    cut = data.draw(st.integers(0, len(records)))
    first = fold_all(records[:cut])
    saved = page(first.states.values())
    first.states = {state.standing.target: state for state in states_of(saved)}
    assert page(first.states.values()) == saved
    for fact, recorded_at in records[cut:]:
        first.record(fact, recorded_at)
    assert first.said == whole.said
    assert first.states == whole.states


@given(histories(), st.data())
def test_records_read_again_are_skipped(records: list[Record], data: st.DataObject) -> None:
    fold = fold_all(records)
    before = page(fold.states.values())
    again = data.draw(st.integers(0, len(records)))
    for position, (fact, recorded_at) in enumerate(records[again:], start=again):
        assert observe(fold.states, fact, recorded_at, position) == ()
    assert page(fold.states.values()) == before


@st.composite
def spools(draw: st.DrawFn, most: int = 25) -> tuple[TargetDeclared, dict[str, list[ProbeResult]]]:
    """What each location reports, in its order; some results are lost, the last slot is reported by all."""
    declaration = declared(
        CHECKS, LOCATIONS, confirm_down=draw(st.integers(1, 3)), confirm_up=draw(st.integers(1, 3))
    )
    slots = draw(st.integers(1, most))
    reports: dict[str, list[ProbeResult]] = {}
    for location in LOCATIONS:
        reports[location] = [
            result(T0 + number * MINUTE, draw(outcomes), location, check)
            for number in range(slots)
            for check in CHECKS
            if number == slots - 1 or draw(st.integers(0, 5))
        ]
    return declaration, reports


@st.composite
def arrivals(draw: st.DrawFn, reports: dict[str, list[ProbeResult]]) -> list[ProbeResult]:
    order = draw(st.permutations([name for name, spool in reports.items() for _ in spool]))
    waiting = {name: iter(spool) for name, spool in reports.items()}
    return [next(waiting[name]) for name in order]


@given(spools(), st.data())
def test_any_interleaving_of_the_locations_says_the_same(
    given_spools: tuple[TargetDeclared, dict[str, list[ProbeResult]]], data: st.DataObject
) -> None:
    declaration, reports = given_spools
    said = []
    for _ in range(2):
        fold = Fold(declaration)
        for number, fact in enumerate(data.draw(arrivals(reports))):
            fold.record(fact, T0 + HOUR + number * 10)
        assert fold.states["app"].undecided is None
        said.append(fold.said)
    assert said[0] == said[1]


@given(spools(), st.data())
def test_repeated_records_change_nothing(
    given_spools: tuple[TargetDeclared, dict[str, list[ProbeResult]]], data: st.DataObject
) -> None:
    """A repeat at any later place and time: the timeline, the waiting and the time of the target stay."""
    declaration, reports = given_spools
    once = data.draw(arrivals(reports))
    now = T0 + HOUR
    plain, repeated = Fold(declaration), Fold(declaration)
    for number, fact in enumerate(once):
        now += data.draw(st.sampled_from([0, SECOND, 2 * MINUTE, HOUR]))
        plain.record(fact, now)
        repeated.record(fact, now)
        for _ in range(data.draw(st.integers(0, 2))):
            now += data.draw(st.sampled_from([0, SECOND, 10 * MINUTE]))
            assert repeated.record(once[data.draw(st.integers(0, number))], now) == []
    assert repeated.said == plain.said
    for state in (*plain.states.values(), *repeated.states.values()):
        state.position = 0
    assert repeated.states == plain.states


Slots = list[tuple[int, str]]


@st.composite
def judged_slots(draw: st.DrawFn) -> Slots:
    """Minutes in order with a verdict letter each; long silences and long unmeasured stretches included."""
    minute, slots = 0, []
    for letter in draw(st.text("uuddd?", min_size=1, max_size=30)):
        slots.append((minute, letter))
        minute += draw(st.sampled_from([1, 1, 1, 1, 2, 3, 5, 359, 360, 361]))
    return slots


def read_contract(slots: Slots, confirm: dict[str, int], until: int) -> list[str | None]:
    """The state in every minute, straight from the contract, by looking at the whole history at once."""
    measured = [(minute, letter) for minute, letter in slots if letter != "?"]
    present = {minute for minute, _ in slots}

    def pause(before: int, after: int) -> int:
        missing = [m for m in range(before + 1, after) if m not in present or (m, "?") in slots]
        return after - missing[0] if missing else 0

    runs: list[tuple[int, str]] = []  # (dated, state) of each confirmed run
    start = length = 0
    for number, (minute, letter) in enumerate(measured):
        previous = measured[number - 1] if number else (minute, "")
        if letter != previous[1] or pause(previous[0], minute) > 360:
            start, length = minute, 0
        length += 1
        if length >= confirm[letter] and (not runs or runs[-1][1] != letter):
            runs.append((start, letter))

    blind: set[int] = set()
    ends = [minute for minute, _ in measured]
    for number, (minute, letter) in enumerate(slots):
        before = slots[number - 1][0] if number else minute
        first = minute if letter == "?" else None
        if minute - before > 2:
            first = before + 1
        if first is not None:
            end = next((m for m in ends if m >= minute), until)
            blind |= set(range(first, end))

    words = {"u": "up", "d": "down"}
    states: list[str | None] = []
    for minute in range(until):
        dated = [letter for since, letter in runs if since <= minute]
        states.append(None if not dated else "unmeasured" if minute in blind else words[dated[-1]])
    return states


@settings(max_examples=400)
@given(judged_slots(), st.integers(1, 4), st.integers(1, 4))
def test_the_timeline_is_what_a_plain_reading_of_the_contract_gives(
    slots: Slots, confirm_down: int, confirm_up: int
) -> None:
    fold = Fold(declared(confirm_down=confirm_down, confirm_up=confirm_up))
    for minute, letter in slots:
        fold.record(result(T0 + minute * MINUTE, WORDS[letter]), T0 + minute * MINUTE)
    until = slots[-1][0] + 1
    steps = dict(timeline(fold.said))
    state: str | None = None
    states = [state := steps.get(minute, state) for minute in range(until)]
    assert states == read_contract(slots, {"d": confirm_down, "u": confirm_up}, until)


@given(judged_slots())
def test_hours_are_said_in_order_once_each_and_never_beyond_the_slots(slots: Slots) -> None:
    fold = Fold(declared())
    for minute, letter in slots:
        said = fold.record(result(T0 + minute * MINUTE, WORDS[letter]), T0 + minute * MINUTE)
        hours = [fact.through for fact in said if isinstance(fact, TargetObserved)]
        assert all(T0 + minute * MINUTE - HOUR < hour <= T0 + minute * MINUTE for hour in hours)
        assert all(hour % HOUR == 0 for hour in hours)
    assert fold.hours() == sorted(set(fold.hours()))


Votes = dict[str, list[Outcome]]


@given(
    st.lists(
        st.fixed_dictionaries({check: st.lists(outcomes, min_size=4, max_size=4) for check in CHECKS}),
        max_size=20,
    )
)
def test_each_slot_is_judged_as_its_votes_are_counted(history: list[Votes]) -> None:
    """With one slot to confirm, the timeline shows each verdict."""
    locations = (*LOCATIONS, "lon")
    fold = Fold(declared(CHECKS, locations, confirm_down=1, confirm_up=1))
    last: dict[str, Literal["up", "down"]] = dict.fromkeys(CHECKS, "up")
    state: str | None = None
    for number, slot in enumerate(history):
        verdicts = []
        for check, votes in slot.items():
            ups, downs = votes.count("up"), votes.count("down")
            if ups != downs:
                last[check] = "up" if ups > downs else "down"
            verdicts.append(last[check] if ups + downs else "unmeasured")
            for location, vote in zip(locations, votes, strict=True):
                fold.record(result(T0 + number * MINUTE, vote, location, check), T0 + number * MINUTE)
        verdict = next((word for word in ("down", "unmeasured") if word in verdicts), "up")
        if verdict != "unmeasured" or state is not None:
            state = verdict
        changes = [fact for fact in fold.said if isinstance(fact, TargetStateChanged)]
        assert (changes[-1].state if changes else None) == state
