"""The queue on disk: order, crashes, torn lines, bounds, full disks."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.probe.spool import Spool


def spool(home: Path, **options: int | float) -> Spool:
    chosen: dict[str, int | float] = {"max_bytes": 1 << 20, "max_age_s": 1e9, "file_bytes": 200, **options}
    return Spool(home, **chosen)  # type: ignore[arg-type]


def records(first: int, last: int) -> list[bytes]:
    return [f'{{"n":{number}}}'.encode() for number in range(first, last)]


def taken(queue: Spool, count: int = 1_000) -> list[bytes]:
    found: list[bytes] = []
    while len(found) < count and (head := queue.peek(min(7, count - len(found)))):
        found += head
        queue.advance(queue.gone + len(head))
    return found


def test_records_come_out_in_order_over_many_files(tmp_path: Path) -> None:
    queue = spool(tmp_path)
    queue.append(records(0, 60))
    assert len(list(tmp_path.glob("*.spool"))) > 3
    assert len(queue) == 60
    assert taken(queue, 31) == records(0, 31)
    queue.append(records(60, 65))
    assert taken(queue) == records(31, 65)
    assert len(queue) == 0
    assert list(tmp_path.glob("*.spool")) == []


def test_a_killed_agent_finds_what_was_put_and_not_taken(tmp_path: Path) -> None:
    queue = spool(tmp_path)
    queue.append(records(0, 40))
    taken(queue, 15)
    again = spool(tmp_path)  # the first one was never closed
    assert len(again) == 25
    again.append(records(40, 45))
    assert taken(again) == records(15, 45)


def test_a_lost_position_repeats_records_and_loses_none(tmp_path: Path) -> None:
    queue = spool(tmp_path)
    queue.append(records(0, 5))
    taken(queue, 3)
    (tmp_path / "position").write_text("nonsense")
    assert taken(spool(tmp_path)) == records(0, 5)


def test_a_torn_last_line_is_left_out_and_the_rest_kept(tmp_path: Path) -> None:
    queue = spool(tmp_path)
    queue.append(records(0, 5))
    queue.close()
    [file] = tmp_path.glob("*.spool")
    os.truncate(file, file.stat().st_size - 4)
    again = spool(tmp_path)
    again.append(records(5, 8))
    assert taken(again) == records(0, 4) + records(5, 8)
    assert again.torn == 1


def test_a_flipped_byte_costs_one_record(tmp_path: Path) -> None:
    queue = spool(tmp_path)
    queue.append(records(0, 6))
    queue.close()
    [file] = tmp_path.glob("*.spool")
    data = bytearray(file.read_bytes())
    data[data.index(b'"n":2') + 4] ^= 1
    file.write_bytes(data)
    again = spool(tmp_path)
    assert taken(again) == records(0, 2) + records(3, 6)
    assert (again.torn, len(again)) == (1, 0)


def test_beyond_the_size_the_oldest_go_first_and_are_counted(tmp_path: Path) -> None:
    queue = spool(tmp_path, max_bytes=1_000)
    queue.append(records(0, 200))
    left = taken(queue)
    assert left == records(200 - len(left), 200)
    assert queue.dropped == 200 - len(left) == queue.gone - len(left)


def test_beyond_the_age_the_oldest_go_first(tmp_path: Path) -> None:
    queue = spool(tmp_path, max_age_s=3_600)
    queue.append(records(0, 60))
    oldest = min(tmp_path.glob("*.spool"))
    os.utime(oldest, (0, 0))
    left = taken(queue)
    assert 0 < queue.dropped < 60
    assert left == records(queue.dropped, 60)


def test_what_was_dropped_while_it_was_on_its_way_is_not_taken_twice(tmp_path: Path) -> None:
    queue = spool(tmp_path, max_bytes=1_000)
    queue.append(records(0, 10))
    first, head = queue.gone, queue.peek(10)
    queue.append(records(10, 200))
    queue.advance(first + len(head))
    left = taken(queue)
    assert left == records(200 - len(left), 200)


def test_a_full_disk_is_said_and_records_wait_in_memory_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = spool(tmp_path, max_memory_records=50)
    queue.append(records(0, 10))
    real = os.write

    def full(fd: int, data: bytes) -> int:
        real(fd, data[:5])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    queue.append(records(10, 20))
    assert queue.disk_error == "No space left on device"
    assert taken(queue, 5) == records(0, 5)
    monkeypatch.setattr(os, "write", real)
    queue.append(records(20, 22))
    assert queue.disk_error is None
    assert taken(queue) == records(5, 22)
    assert queue.torn == 0


def test_memory_is_bounded_too(tmp_path: Path) -> None:
    home = tmp_path / "file"
    home.write_text("no folder can be made here")
    queue = spool(home / "spool", max_memory_records=50)
    queue.append(records(0, 60))
    assert queue.disk_error is not None
    assert queue.dropped == 10
    assert taken(queue) == records(10, 60)


def test_files_of_one_agent_are_for_its_user_only(tmp_path: Path) -> None:
    queue = spool(tmp_path)
    queue.append(records(0, 1))
    assert [file.stat().st_mode & 0o077 for file in tmp_path.glob("*.spool")] == [0]


@given(
    steps=st.lists(st.tuples(st.sampled_from(["put", "take", "restart"]), st.integers(0, 12)), max_size=40)
)
def test_any_mix_of_puts_takes_and_restarts_keeps_the_queue(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    home = tmp_path_factory.mktemp("spool")
    queue, said, heard = spool(home), 0, []
    for what, count in steps:
        if what == "put":
            queue.append(records(said, said + count))
            said += count
        elif what == "take":
            heard += taken(queue, count)
        else:
            queue = spool(home)
        assert len(queue) == said - len(heard)
    assert heard + taken(queue) == records(0, said)
