"""Contract 1: instants are UTC, whole milliseconds, written in one way."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.time import DAY, HOUR, MINUTE, SECOND, Instant, format_instant, parse_instant


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1970-01-01T00:00:00.000Z", 0),
        ("1970-01-01T00:00:00.001Z", 1),
        ("1969-12-31T23:59:59.999Z", -1),
        ("2026-11-01T00:00:00.000Z", 1_793_491_200_000),
        ("2028-02-29T23:59:59.999Z", 1_835_481_599_999),
        ("1900-01-01T00:00:00.000Z", -2_208_988_800_000),
        ("2999-12-31T23:59:59.999Z", 32_503_679_999_999),
    ],
)
def test_an_instant_is_milliseconds_since_1970(text: str, ms: int) -> None:
    found = parse_instant(text)
    assert (found, type(found)) == (ms, Instant)
    assert format_instant(ms) == text


def test_an_instant_without_milliseconds_is_read_and_written_with_them() -> None:
    assert format_instant(parse_instant("2026-11-01T08:30:00Z")) == "2026-11-01T08:30:00.000Z"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-01",
        "2026-11-01T00:00:00.000",
        "2026-11-01T00:00:00.000+01:00",
        "2026-11-01 00:00:00.000Z",
        "2026-11-01T00:00:00,000Z",
        "2026-11-01T00:00:00.000z",
        "2026-11-01T00:00:00.00Z",
        "2026-11-01T00:00:00.000000Z",
        "2026-11-31T00:00:00.000Z",
        "2026-02-29T00:00:00.000Z",
        "2026-11-01T24:00:01.000Z",
        "2026-11-01T00:00:60.000Z",
        "２026-11-01T00:00:00.000Z",
        "1793491200000",
        "2026-W44-7T00:00:00.000Z",
        "tomorrow",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an instant"):
        parse_instant(text)


@pytest.mark.parametrize(
    "text", ["1899-12-31T23:59:59.999Z", "3000-01-01T00:00:00.000Z", "0001-01-01T00:00:00Z"]
)
def test_an_implausible_year_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="outside the years 1900 to 2999; correct the year"):
        parse_instant(text)


@given(st.integers(-2_208_988_800_000, 32_503_679_999_999))
def test_reading_and_writing_agree_with_the_standard_library(ms: int) -> None:
    text = format_instant(ms)
    assert parse_instant(text) == ms
    expected = datetime.fromtimestamp(ms // 1000, tz=UTC)
    assert text == f"{expected:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"


def test_units_are_milliseconds() -> None:
    assert (SECOND, MINUTE, HOUR, DAY) == (1_000, 60_000, 3_600_000, 86_400_000)
