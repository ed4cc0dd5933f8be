"""What waits on disk while Kafka is away: an ordered queue of records in plain files.

Each line is the CRC-32 of a record in hex, a blank, and the record, so a torn last line is recognised and
dropped. Every append is handed to the system at once: killing the agent loses nothing. Files are forced to
the disk at most once a second: a power cut can lose the last second. When the bounds are reached the oldest
file goes first, whole, up and down alike: old slots may be decided already, the newest still count.

A disk that is full or fails is said; records then wait in memory, bounded too, until it works again.
"""

from __future__ import annotations

import errno
import os
import time
import zlib
from collections import deque
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import structlog

from shared.failpoints import reach

log = structlog.get_logger()

_POSITION = "position"


class Spool:
    """The queue in the folder `home`: `append` at the end, `peek` and `advance` at the head.

    One task uses it at a time; only `sync` may run in another thread meanwhile.
    """

    def __init__(
        self,
        home: Path,
        *,
        max_bytes: int,
        max_age_s: float,
        file_bytes: int = 4 * 1024 * 1024,
        max_memory_records: int = 100_000,
    ) -> None:
        self.dropped = 0
        """Records given up because a bound was reached."""
        self.torn = 0
        """Records found damaged and left out."""
        self.gone = 0
        """Records that have left at the head so far, taken or dropped: the number of the next one."""
        self.disk_error: str | None = None
        """Why the disk cannot be written now, or None."""
        self._home = home
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._file_bytes = min(file_bytes, max(1, max_bytes // 4))
        self._max_memory = max_memory_records
        self._memory: deque[bytes] = deque()
        self._files: deque[Path] = deque()
        self._sizes: dict[Path, int] = {}
        self._counts: dict[Path, int] = {}
        self._head: deque[tuple[bytes, int]] = deque()
        self._loaded: Path | None = None
        self._offset = 0
        self._tail: int | None = None
        self._synced = 0.0
        self._dirty = False
        self._open()

    def __len__(self) -> int:
        """How many records wait."""
        return sum(self._counts.values()) + len(self._memory)

    @property
    def bytes_on_disk(self) -> int:
        """Size of the files in bytes."""
        return sum(self._sizes.values())

    def append(self, records: Sequence[bytes]) -> None:
        """Puts `records` at the end. Never raises for a disk that fails: see `disk_error` and `dropped`."""
        self._memory.extend(records)
        try:
            self._write_out()
        except OSError as error:
            self._failed(error)
        lost = 0
        while len(self._memory) > self._max_memory:
            self._memory.popleft()
            lost += 1
        if lost:
            self.gone += 0 if self._files else lost
            self._drop(lost, "memory")

    def peek(self, count: int) -> list[bytes]:
        """The next records, at most `count`, without taking them; the first has the number `gone`."""
        self._forget_old()
        self._load()
        if self._files:
            return [record for record, _ in islice(self._head, count)]
        return list(islice(self._memory, count))

    def advance(self, to: int) -> None:
        """Takes the records below the number `to`; some of them may have been dropped meanwhile."""
        while self.gone < to and len(self) > 0:
            self._load()
            if self._head and self._loaded is not None:
                self._offset = self._head.popleft()[1]
                self._counts[self._loaded] -= 1
            elif self._memory and not self._files:
                self._memory.popleft()
            else:
                return
            self.gone += 1
            if not self._head and self._loaded is not None:
                self._finish_head()
        reach("probe.spool.taken")
        self._note_position()
        reach("probe.spool.noted")

    def sync(self, now: float | None = None) -> None:
        """Forces what was written to the disk, at most once a second."""
        now = time.monotonic() if now is None else now
        if self._dirty and self._tail is not None and now - self._synced >= 1.0:
            self._synced, self._dirty = now, False
            try:
                os.fdatasync(self._tail)
            except OSError as error:
                self._failed(error)

    def close(self) -> None:
        """Forces everything to the disk and closes the files."""
        self._synced = float("-inf")
        self.sync()
        self._close_tail()

    def _open(self) -> None:
        try:
            self._home.mkdir(parents=True, exist_ok=True)
            self._files = deque(sorted(self._home.glob("*.spool")))
            for path in self._files:
                self._sizes[path] = path.stat().st_size
                self._counts[path] = path.read_bytes().count(b"\n")
            self._read_position()
        except OSError as error:
            self._failed(error)
        self._bound()

    def _read_position(self) -> None:
        try:
            name, _, offset = (self._home / _POSITION).read_text("ascii").strip().partition(" ")
            at = int(offset)
        except (FileNotFoundError, ValueError):
            return  # from the start of the oldest file: a few records again, which harms nobody
        if self._files and self._files[0].name == name:
            self._offset = at
            self._counts[self._files[0]] -= self._files[0].read_bytes()[:at].count(b"\n")

    def _note_position(self) -> None:
        if self._loaded is None:
            return
        try:
            (self._home / _POSITION).write_text(f"{self._loaded.name} {self._offset}\n", "ascii")
        except OSError:
            return  # only means that some records are said again after a crash

    def _write_out(self) -> None:
        while self._memory:
            if self._tail is None or self._sizes[self._files[-1]] >= self._file_bytes:
                self._new_file()
            path = self._files[-1]
            lines: list[bytes] = []
            size = self._sizes[path]
            for record in self._memory:
                if size >= self._file_bytes:
                    break
                lines.append(b"%08x %b\n" % (zlib.crc32(record), record))
                size += len(lines[-1])
            self._write(path, b"".join(lines))
            reach("probe.spool.appended")
            for _ in lines:
                record = self._memory.popleft()
                if self._loaded == path:
                    self._follow_head(record)
            self._counts[path] += len(lines)
        if self.disk_error is not None:
            self.disk_error = None
            log.warning("spool.disk_works_again", waiting=len(self))
        self._bound()

    def _follow_head(self, record: bytes) -> None:
        """The head's own file grew: what `peek` reads grows too."""
        last = self._head[-1][1] if self._head else self._offset
        self._head.append((record, last + 10 + len(record)))

    def _write(self, path: Path, data: bytes) -> None:
        tail, before, written = self._tail, self._sizes[path], 0
        if tail is None:
            raise OSError(errno.EBADF, "no file to write to")
        try:
            while written < len(data):
                written += os.write(tail, data[written:])
        except OSError:
            os.ftruncate(tail, before)  # half a line would hide what follows it
            raise
        self._sizes[path] = before + len(data)
        self._dirty = True

    def _new_file(self) -> None:
        self._synced = float("-inf")
        self.sync()
        self._close_tail()
        self._home.mkdir(parents=True, exist_ok=True)
        number = int(self._files[-1].stem) + 1 if self._files else time.time_ns() // 1_000_000
        path = self._home / f"{number:020d}.spool"
        self._tail = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        reach("probe.spool.file-made")
        self._files.append(path)
        self._sizes[path] = self._counts[path] = 0

    def _close_tail(self) -> None:
        if self._tail is not None:
            os.close(self._tail)
            self._tail = None

    def _load(self) -> None:
        while not self._head and self._files:
            path = self._files[0]
            if self._loaded == path:
                self._finish_head()
                continue
            try:
                data = path.read_bytes()
            except OSError as error:
                self._failed(error)
                return
            self._loaded = path
            *lines, rest = data[self._offset :].split(b"\n")
            at = self._offset
            for line in lines:
                at += len(line) + 1
                record = line[9:]
                if line[:9] == b"%08x " % zlib.crc32(record):
                    self._head.append((record, at))
                else:
                    self._damaged(path, at - len(line) - 1)
            if rest:
                self._damaged(path, at)
            self._counts[path] = len(self._head)

    def _damaged(self, path: Path, offset: int) -> None:
        self.torn += 1
        log.warning("spool.record_torn", file=path.name, offset=offset)

    def _finish_head(self) -> None:
        """The oldest file is used up: away with it."""
        path = self._files.popleft()
        if not self._files:
            self._close_tail()
        self._forget(path)

    def _forget(self, path: Path) -> None:
        self._sizes.pop(path, None)
        self._counts.pop(path, None)
        if self._loaded in (path, None):
            self._loaded, self._offset = None, 0
            self._head.clear()
        try:
            # The position first: it must never outlive its file and speak of another.
            (self._home / _POSITION).unlink(missing_ok=True)
            reach("probe.spool.position-removed")
            path.unlink(missing_ok=True)
            reach("probe.spool.file-removed")
        except OSError as error:
            self._failed(error)  # what stays behind is said again by the next agent, which harms nobody

    def _bound(self) -> None:
        while len(self._files) > 1 and self.bytes_on_disk > self._max_bytes:
            self._drop_oldest("size")

    def _forget_old(self) -> None:
        oldest_allowed = time.time() - self._max_age_s
        while len(self._files) > 1:
            try:
                if self._files[0].stat().st_mtime >= oldest_allowed:
                    return
            except FileNotFoundError:
                pass
            self._drop_oldest("age")

    def _drop_oldest(self, bound: str) -> None:
        path = self._files.popleft()
        self.gone += self._counts[path]
        self._drop(self._counts[path], bound)
        self._forget(path)

    def _drop(self, count: int, bound: str) -> None:
        self.dropped += count
        log.error("spool.dropped", records=count, bound=bound, dropped_so_far=self.dropped)

    def _failed(self, error: OSError) -> None:
        if self.disk_error is None:
            log.error("spool.disk_failed", reason=error.strerror, waiting_in_memory=len(self._memory))
        self.disk_error = error.strerror or "failed"
