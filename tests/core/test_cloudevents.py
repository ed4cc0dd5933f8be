"""CloudEvents headers: derived from what a record says or follows from, never random."""

from __future__ import annotations

import pytest

from shared.cloudevents import ORIGIN, Origin, headers, origin_of, parse_origin


def of(data: bytes = b"{}", origin: Origin | None = None, time_ms: int = 0) -> dict[str, str]:
    return headers(
        data, type_name="TargetObserved", source="/garant/sla/uptime", time_ms=time_ms, origin=origin
    )


def test_a_record_that_follows_from_another_is_named_by_its_origin() -> None:
    assert of(origin=Origin("probe.results", 3, 41, 1), time_ms=1_793_491_200_000) == {
        "ce_specversion": "1.0",
        "ce_id": "probe.results/3/41/1",
        "ce_source": "/garant/sla/uptime",
        "ce_type": "garant.TargetObserved",
        "ce_time": "2026-11-01T00:00:00.000Z",
        "content-type": "application/json",
        "origin": "probe.results/3/41/1",
    }


def test_a_record_without_origin_is_named_by_what_it_says() -> None:
    assert of(b"a")["ce_id"] == of(b"a", time_ms=5)["ce_id"] != of(b"b")["ce_id"]
    assert ORIGIN not in of()
    assert len(of()["ce_id"]) == 32


@pytest.mark.parametrize("origin", [Origin("probe.results", 0, 0), Origin("agent/zrh/spool", 7, 10**12, 3)])
def test_an_origin_is_read_back_from_its_header(origin: Origin) -> None:
    assert parse_origin(str(origin)) == origin


@pytest.mark.parametrize("text", ["", "a/b", "topic/1/2", "topic/1/2/x"])
def test_a_broken_origin_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_origin(text)


def test_origins_of_one_place_ascend_by_offset_and_step() -> None:
    assert Origin("t", 0, 1, 1) < Origin("t", 0, 2, 0) < Origin("t", 0, 2, 1)


def test_the_origin_is_found_among_a_records_headers_and_says_its_place_and_how_far_it_reached() -> None:
    origin = Origin("probe.results", 3, 1_234, 1)
    assert origin_of([("ce_id", b"x"), (ORIGIN, str(origin).encode())]) == origin
    assert (origin.place, origin.reached) == ("probe.results/3", (1_234, 1))
    assert origin_of([("ce_id", b"x")]) is None


@pytest.mark.parametrize("value", [b"not/ours", b"a/b/c/d", b"\xff", b""])
def test_a_foreign_origin_header_is_an_error_the_reader_can_catch(value: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        origin_of([(ORIGIN, value)])
