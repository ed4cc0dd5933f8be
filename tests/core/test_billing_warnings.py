"""Billing hears of quotas that run low: each warning once, in the order of the journal, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from sqlalchemy import Engine

from services.billing.warnings import note, warning_in, warnings_of
from shared.codec import Undecodable, encode
from shared.database import reading
from shared.outcomes import QuotaUsed, Stamp
from tests.core.billing_books import KINDS, SetClock, credit, empty_books, quota_warning

CLOCK = SetClock()


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    with empty_books(request.param, tmp_path) as found:
        yield found


def test_a_warning_is_noted_once_and_restored_and_crossed_again_are_entries_of_their_own(
    engine: Engine,
) -> None:
    records = [quota_warning(at=1), quota_warning(at=2, restored=True), quota_warning(at=3)]
    assert [note(engine, record, CLOCK) for record in records] == ["noted"] * 3
    assert [note(engine, record, CLOCK) for record in records] == ["repeat"] * 3
    note(engine, quota_warning(at=4, subscription="S-2"), CLOCK)
    with reading(engine) as connection:
        found = warnings_of(connection, "S-1")
    assert [(one.kind, one.percent, one.used_minutes) for one in found] == [
        ("warned", 75, 45),
        ("restored", 75, 45),
        ("warned", 75, 45),
    ]


def test_only_warnings_and_their_ends_are_kept_of_what_is_said_of_quotas() -> None:
    used = QuotaUsed("A-1", "S-1", quota_warning().year_starts_on, "T-1", 45, 60, Stamp(0, 1, 0, ""))
    assert warning_in(encode(used)) is None
    assert warning_in(encode(quota_warning())) == quota_warning()
    assert warning_in(encode(quota_warning(restored=True))) == quota_warning(restored=True)


@pytest.mark.parametrize(
    "data",
    [
        b"no json",
        encode(credit("1.00")),
        encode(replace(quota_warning(), subscription="")),
        encode(replace(quota_warning(), account="A\0")),
        encode(replace(quota_warning(), used_minutes=2**31)),
        encode(replace(quota_warning(), journal=Stamp(0, -1, 0, ""))),
    ],
)
def test_what_no_table_can_hold_is_undecodable(data: bytes) -> None:
    with pytest.raises(Undecodable):
        warning_in(data)
