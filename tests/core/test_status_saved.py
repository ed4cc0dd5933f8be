"""What was read is kept in a file; one that cannot be used costs time and nothing else."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from services.status.history.saved import encoded, open_standing
from services.status.history.standing import State
from shared.whole_files import put
from tests.core.status_told import SILENT_AFTER, Page, public
from tests.core.telling import instant, observed, published, state, terms_with

NOW = "2026-11-20 10:10"


def page() -> Page:
    found = Page({"shop": ("app",)}, NOW)
    found.tell(published(terms_with(excluded=True), "t", "2026-01-01"), at="2026-11-01 00:00")
    return found.tell(state("2026-11-20 00:00", "up"), observed("2026-11-20 10:00"))


def reopened(path: Path, targets: tuple[str, ...] = ("app",)) -> Page:
    found = Page({"shop": targets}, NOW)
    found.standing = open_standing(public({"shop": targets}), path, instant(NOW), SILENT_AFTER)
    return found


def test_a_page_goes_on_from_its_file(tmp_path: Path) -> None:
    before = page()
    put(tmp_path / "status.state", encoded(before.standing.state))
    after = reopened(tmp_path / "status.state")
    assert after.standing.positions == {"terms.events/0": 1, "uptime.changes/0": 2}
    assert after.at(NOW) == before.at(NOW)
    for each in (before, after):
        each.tell(state("2026-11-20 10:05", "down"))
    assert after.at(NOW) == before.at(NOW)
    assert [one.name for one in tmp_path.iterdir()] == ["status.state"]


def test_a_target_that_is_not_public_any_more_is_forgotten(tmp_path: Path) -> None:
    both = Page({"shop": ("app", "db")}, NOW).tell(state("2026-11-20 00:00", "up", "db"))
    put(tmp_path / "status.state", encoded(both.standing.state))
    assert list(reopened(tmp_path / "status.state").standing.state.targets) == ["app"]


def test_a_target_that_is_new_needs_the_whole_log(tmp_path: Path) -> None:
    put(tmp_path / "status.state", encoded(page().standing.state))
    assert reopened(tmp_path / "status.state", ("app", "db")).standing.positions == {}


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:0],
        lambda data: data[:-1],
        lambda data: data[:60] + bytes([data[60] ^ 1]) + data[61:],
        lambda data: data[::-1],
        lambda _: encoded(msgspec.structs.replace(State(), version=99)),
    ],
    ids=["empty", "torn", "flipped", "foreign", "newer"],
)
def test_a_file_that_cannot_be_used_is_as_none(damage: object, tmp_path: Path) -> None:
    path = tmp_path / "status.state"
    path.write_bytes(damage(encoded(page().standing.state)))  # type: ignore[operator]
    assert reopened(path).standing.positions == {}


def test_without_a_file_the_log_is_read_from_its_beginning(tmp_path: Path) -> None:
    assert reopened(tmp_path / "none").standing.positions == {}
