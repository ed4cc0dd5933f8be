"""Slots: aligned, stamped once, never repeated, whatever the wall clock does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.probe.schedule import Schedule, SlotClock, late_ms


class Clocks:
    """A wall clock and a monotonic one that the test moves."""

    def __init__(self) -> None:
        self.wall, self.mono = 1_000_000.0, 50.0

    def pass_s(self, seconds: float, wall: float | None = None) -> None:
        self.mono += seconds
        self.wall += seconds if wall is None else wall

    def clock(self) -> SlotClock:
        return SlotClock(lambda: self.wall, lambda: self.mono)


def test_slots_are_multiples_of_the_interval_at_every_location() -> None:
    schedule = Schedule({10_000, 3_000}, now_ms=1_000_001)
    seen = []
    for now in range(1_000_001, 1_060_502, 500):
        seen += schedule.due(now)
    assert seen
    assert all(due.slot_ms % due.interval_ms == 0 and due.in_time and not due.missed for due in seen)
    assert [due.slot_ms for due in seen if due.interval_ms == 10_000] == list(
        range(1_010_000, 1_060_001, 10_000)
    )


def test_a_late_slot_is_skipped_not_piled_up() -> None:
    schedule = Schedule({10_000}, now_ms=1_000_001)
    [due] = schedule.due(1_034_000)
    assert (due.slot_ms, due.missed, due.in_time) == (1_030_000, 2, False)
    [due] = schedule.due(1_040_000)
    assert (due.slot_ms, due.missed, due.in_time) == (1_040_000, 0, True)


def test_a_slot_may_begin_a_quarter_of_its_interval_late_at_most_a_second() -> None:
    assert (late_ms(1_000), late_ms(2_000), late_ms(60_000)) == (250, 500, 1_000)


def test_other_intervals_never_bring_a_begun_slot_back() -> None:
    schedule = Schedule({10_000}, now_ms=1_009_000)
    assert [due.slot_ms for due in schedule.due(1_010_000.5)] == [1_010_000]
    schedule.restart({10_000, 5_000}, now_ms=1_010_000.2)
    assert {due.slot_ms for due in schedule.due(1_015_000)} == {1_015_000}
    schedule.restart(set(), now_ms=1_016_000)
    assert schedule.next_slot_ms is None
    assert schedule.due(1_099_000) == []


def test_a_wall_clock_stepped_back_repeats_no_slot_and_is_caught_up_with() -> None:
    clocks = Clocks()
    clock = clocks.clock()
    clocks.pass_s(10)
    before = clock.now_ms()
    clocks.pass_s(0, wall=-30)
    assert round(clock.reanchor()) == -30_000
    assert clock.now_ms() == before
    for _ in range(400):
        clocks.pass_s(1)
        assert clock.now_ms() > before
        before = clock.now_ms()
        clock.reanchor()
    assert abs(clock.now_ms() - clocks.wall * 1_000) < 200


def test_a_wall_clock_ahead_is_followed_at_once() -> None:
    clocks = Clocks()
    clock = clocks.clock()
    clocks.pass_s(1, wall=3_601)
    assert round(clock.reanchor()) == 3_600_000
    assert clock.now_ms() == clocks.wall * 1_000


def test_waiting_for_a_slot_takes_longer_while_the_clock_is_slowed() -> None:
    clocks = Clocks()
    clock = clocks.clock()
    clocks.pass_s(0, wall=-30)
    clock.reanchor()
    slot = clock.now_ms() + 900
    clocks.pass_s(clock.until(slot))
    assert abs(clock.now_ms() - slot) < 0.001


steps = st.lists(st.tuples(st.floats(0, 30), st.floats(-100, 100)), max_size=60)


@given(steps=steps, intervals=st.sets(st.sampled_from([1_000, 2_000, 7_000, 60_000]), min_size=1))
def test_no_clock_makes_a_slot_come_twice_or_out_of_order(
    steps: list[tuple[float, float]], intervals: set[int]
) -> None:
    clocks = Clocks()
    clock = clocks.clock()
    schedule = Schedule(intervals, clock.now_ms())
    seen: dict[int, list[int]] = {interval: [] for interval in intervals}
    for passed, stepped in steps:
        clocks.pass_s(passed, wall=passed + stepped)
        clock.reanchor()
        for due in schedule.due(clock.now_ms()):
            seen[due.interval_ms].append(due.slot_ms)
    for interval, slots in seen.items():
        assert slots == sorted(set(slots))
        assert all(slot % interval == 0 for slot in slots)
