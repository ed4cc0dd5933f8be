"""Both folds' states as they are saved, and as earlier versions saved them (tests/core/saved)."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from services.sla import history_v2, states_v1
from services.sla.history import History
from services.sla.pages import page, states_of
from services.sla.states import TargetState, observe
from services.sla.timeline import Timeline
from services.sla.timelines import MOST_PACKED, Timelines
from shared.codec import encode_state, state_decoder
from tests.core.old_states import records, story
from tests.core.probing import Fold
from tests.core.telling import closed, observed

SAVED = Path(__file__).parent / "saved"


def of_version_1() -> list[bytes]:
    """The states of `records()`, and last their position, as version 1 of the form had them."""
    return [bytes.fromhex(line) for line in (SAVED / "uptime-state-1.hex").read_text().splitlines()]


def folded() -> Fold:
    fold = Fold()
    for fact, recorded_at in records():
        fold.record(fact, recorded_at)
    return fold


def test_states_of_version_1_are_read_as_they_would_be_folded_now() -> None:
    *states, position = of_version_1()
    fold = folded()
    read = {state.standing.target: state for state in map(states_v1.state_of, states)}
    assert read == fold.states
    assert states_v1.position_of(position) == fold.position
    assert read["waiting"].undecided is not None
    assert read["doubt"].standing.run is not None
    assert read["doubt"].standing.run.pauses


def test_a_page_is_read_as_it_was_written_and_states_share_what_is_equal() -> None:
    states = list(folded().states.values())
    read = states_of(page(states))
    assert read == states
    steady, silent, *_ = read
    assert steady.electorate is silent.electorate
    assert steady.standing.interval is steady.electorate.interval


def test_pages_of_other_states_are_other_bytes_and_torn_ones_are_not_read() -> None:
    states = list(folded().states.values())
    data = page(states)
    assert page(states) == data
    assert page(states[1:]) != data
    for torn in (b"", data[:-1], data[1:], b"torn"):
        with pytest.raises(msgspec.DecodeError):
            states_of(torn)


@pytest.mark.parametrize(
    ("read", "data"),
    [
        (states_v1.state_of, {"version": 2, "state": None}),
        (states_v1.position_of, {"version": 2, "offset": 1}),
        (history_v2.manifest_in, {"version": 1, "slot": "a", "pieces": 1, "sha256": "", "position": 1}),
    ],
)
def test_a_state_of_a_version_nobody_knows_is_not_read(read: object, data: object) -> None:
    with pytest.raises((ValueError, msgspec.DecodeError)):
        read(msgspec.msgpack.encode(data))  # type: ignore[operator]


def test_a_snapshot_of_version_2_is_read_as_the_history_is_told_now_and_goes_on_alike() -> None:
    history, origins = history_v2.snapshot_in(bytes.fromhex((SAVED / "snapshot-2.hex").read_text()))
    told = story()
    assert history == told.fold.history
    assert origins == {"uptime.changes/0": (7, 1)}
    again = type(told)(history)
    again.now, again.entries = told.now, list(told.entries)
    for one in (told, again):
        one.tell(observed("2027-01-01 00:00"))
        closed(one, "2027-01-02 00:00")
    assert again.bytes_said == told.bytes_said[-len(again.bytes_said) :]
    assert len(again.bytes_said) > 1


def test_a_history_saved_in_the_form_of_now_is_read_as_it_was() -> None:
    history = story().fold.history
    assert state_decoder(History).decode(encode_state(history)) == history


def long_line(statements: int) -> Timeline:
    return Timeline(list(range(statements)), ["up", "down"] * (statements // 2), statements)


def test_what_was_got_of_a_short_timeline_changes_nothing_until_it_is_kept() -> None:
    lines = Timelines()
    lines.keep("app", long_line(2))
    got = lines["app"]
    got.ats.append(9)
    assert lines["app"] == long_line(2)
    lines.keep("app", got)
    assert lines["app"].ats[-1] == 9
    assert isinstance(lines.kept[1][0], bytes)


def test_a_long_timeline_is_kept_as_it_is() -> None:
    lines = Timelines()
    line = long_line(MOST_PACKED + 2)
    lines.keep("app", line)
    assert lines["app"] is line
    assert Timelines(msgspec.msgpack.decode(encode_state(lines))) == lines


def test_partitions_share_the_names_of_targets() -> None:
    first, second = (Timelines(msgspec.msgpack.decode(encode_state((["a-target"], [b"\x90"])))) for _ in "ab")
    [one], [other] = first, second
    assert one is other


def test_a_target_that_was_restored_skips_what_it_has_folded() -> None:
    fold = folded()
    read = {state.standing.target: state for state in states_of(page(fold.states.values()))}
    before = page(read.values())
    for position, (fact, recorded_at) in enumerate(records()):
        assert observe(read, fact, recorded_at, position) == ()
    assert page(read.values()) == before
    assert all(isinstance(state, TargetState) for state in read.values())
