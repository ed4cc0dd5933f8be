"""A backup's folder: records as gzipped JSON Lines, each file with a checksum, and cuts that make them count.

    cuts/20261128T222512000Z.json                     up to where each partition is copied; written last
    records/sla.journal/0/00000000000000000000-00000000000000000756.jsonl.gz
    states/1795904712000/sla.uptime.state-0-0.bin

A record's line has everything the broker keeps of it, so a file can be read without Garant. A partition has a
running digest over its lines: the same digest at the same offset is the same history. A cut is never changed;
the next one goes on where it ends and names the files before it again. Files that no cut names count for
nothing.
"""

from __future__ import annotations

import gzip
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path

import msgspec
from msgspec import Struct

from shared.errors import NeedsAPerson
from shared.whole_files import put

FORMAT = 1
NOTHING = sha256(b"").hexdigest()
"""The running digest before the first record."""


class BackupUnusable(NeedsAPerson):
    """A file of the folder is missing, damaged or of another version; the message names it."""


class Kept(Struct, frozen=True, omit_defaults=True):
    """A record as the broker kept it. `value` None is a record without a value; bytes that are no text are in
    `value64`, of headers too."""

    offset: int
    timestamp: int
    key: str | None = None
    value: str | None = None
    key64: str | None = None
    value64: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    headers64: tuple[tuple[str, str | None], ...] = ()

    def key_bytes(self) -> bytes | None:
        """The key, byte for byte."""
        return _bytes(self.key, self.key64)

    def value_bytes(self) -> bytes | None:
        """The value, byte for byte."""
        return _bytes(self.value, self.value64)

    def headers_bytes(self) -> list[tuple[str, bytes | None]]:
        """The headers, byte for byte, in their order."""
        if self.headers64:
            return [(name, None if text is None else b64decode(text)) for name, text in self.headers64]
        return [(name, text.encode()) for name, text in self.headers]


def kept(
    offset: int,
    timestamp: int,
    key: bytes | None,
    value: bytes | None,
    headers: Iterable[tuple[str, bytes | None]],
) -> Kept:
    """The record with these bytes."""
    (key_text, key64), (text, text64) = _texts(key), _texts(value)
    pairs = tuple(headers)
    try:
        plain = tuple((name, (data or b"").decode()) for name, data in pairs)
        if any(data is None for _, data in pairs):
            raise ValueError
        return Kept(offset, timestamp, key_text, text, key64, text64, plain)
    except ValueError:
        coded = tuple((name, None if data is None else b64encode(data).decode()) for name, data in pairs)
        return Kept(offset, timestamp, key_text, text, key64, text64, (), coded)


class File(Struct, frozen=True):
    """Records `first` to, without, `end` of a partition, in the file at `path` within the folder; `before` is
    the running digest before the first of them."""

    path: str
    first: int
    end: int
    before: str
    sha256: str


class Part(Struct, frozen=True):
    """A partition up to, without, offset `end`. `digest` runs over all lines since the folder's first; `last`
    is the SHA-256 of the last line, by which the same log is known again."""

    topic: str
    partition: int
    end: int
    digest: str
    last: str | None
    files: tuple[File, ...]

    @property
    def first(self) -> int:
        """The offset of the first record in the files."""
        return self.files[0].first if self.files else self.end

    @property
    def name(self) -> str:
        """The partition, as errors tell it."""
        return f"{self.topic}/{self.partition}"


class SavedState(Struct, frozen=True):
    """What a fold had saved of a partition, by its own manifest; `pieces` are files within the folder."""

    topic: str
    partition: int
    version: int
    position: int
    pieces: tuple[tuple[str, str], ...]


class Cut(Struct, frozen=True):
    """Everything up to one moment, from which an installation goes on. `began_at`: databases that go with it
    must be from before. `partitions`: how many each topic has."""

    format: int
    garant: str
    began_at: str
    partitions: dict[str, int]
    parts: tuple[Part, ...]
    states: tuple[SavedState, ...] = ()

    @property
    def name(self) -> str:
        """Its file's name, without its ending."""
        return self.began_at.translate({ord(each): None for each in "-:."})


_line = msgspec.json.Encoder()
_kept = msgspec.json.Decoder(Kept)
_cut = msgspec.json.Decoder(Cut)


def line_of(record: Kept) -> bytes:
    """The record's line, without its end."""
    return _line.encode(record)


def onward(digest: str, line: bytes) -> str:
    """The running digest after one more line."""
    return sha256(bytes.fromhex(digest) + line).hexdigest()


def cuts(folder: Path) -> list[str]:
    """The names of all cuts in the folder, oldest first."""
    return sorted(path.stem for path in (folder / "cuts").glob("*.json"))


def read_cut(folder: Path, name: str | None = None) -> Cut:
    """The cut of that name, or the newest one. Raises BackupUnusable."""
    names = cuts(folder)
    if not names or (name is not None and name not in names):
        known = f"it has {', '.join(names)}" if names else "`garant backup write` makes one"
        raise BackupUnusable(f"There is no {'such ' if name else ''}cut in {folder}: {known}.")
    path = folder / "cuts" / f"{name or names[-1]}.json"
    try:
        found = _cut.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        raise BackupUnusable(
            f"{path} cannot be read ({error}): take another copy, or an older cut."
        ) from None
    if found.format != FORMAT:
        raise BackupUnusable(
            f"{path} has format {found.format}, this garant reads {FORMAT}: take its version."
        )
    return found


def write_cut(folder: Path, cut: Cut) -> Path:
    """Makes everything the cut names count; the files it names are on the disk already."""
    path = folder / "cuts" / f"{cut.name}.json"
    put(path, msgspec.json.format(msgspec.json.encode(cut), indent=1))
    return path


def prune(folder: Path, keep: int) -> int:
    """Deletes all but the newest `keep` cuts, and the files that no other cut names; how many files. Raises
    BackupUnusable before anything is deleted."""
    names = cuts(folder)
    left = [read_cut(folder, name) for name in names[-keep:]]
    named = {file.path for cut in left for part in cut.parts for file in part.files}
    named |= {path for cut in left for state in cut.states for path, _ in state.pieces}
    for name in names[:-keep]:
        (folder / "cuts" / f"{name}.json").unlink()
    count = 0
    for path in [*(folder / "records").rglob("*"), *(folder / "states").rglob("*")]:
        if path.is_file() and str(path.relative_to(folder)) not in named:
            path.unlink()
            count += 1
    return count


def write_lines(
    folder: Path, topic: str, partition: int, first: int, end: int, before: str, lines: Iterable[bytes]
) -> File:
    """Writes the lines of the records from `first` to, without, `end` to a file of the folder."""
    path = f"records/{topic}/{partition}/{first:020}-{end:020}.jsonl.gz"
    data = gzip.compress(b"".join(line + b"\n" for line in lines), 6, mtime=0)
    put(folder / path, data)
    return File(path, first, end, before, sha256(data).hexdigest())


def read_file(folder: Path, path: str, checksum: str) -> bytes:
    """A file's bytes. Raises BackupUnusable where it is not what was written."""
    try:
        data = (folder / path).read_bytes()
    except OSError as error:
        raise BackupUnusable(
            f"{folder / path} cannot be read ({error.strerror}): take another copy."
        ) from None
    if sha256(data).hexdigest() != checksum:
        raise BackupUnusable(f"{folder / path} is damaged, its checksum differs: take another copy.")
    return data


def lines_of(folder: Path, file: File) -> list[bytes]:
    """The lines of a file. Raises BackupUnusable."""
    return gzip.decompress(read_file(folder, file.path, file.sha256)).splitlines()


def records_of(folder: Path, part: Part) -> Iterator[tuple[bytes, Kept]]:
    """Every record of a partition with its line, in order. Raises BackupUnusable."""
    following = part.first
    for file in part.files:
        for line in lines_of(folder, file):
            record = _kept.decode(line)
            if record.offset < following:
                raise BackupUnusable(
                    f"{folder / file.path} has offset {record.offset} twice: take an older cut."
                )
            following = record.offset + 1
            yield line, record
    if following > part.end:
        raise BackupUnusable(f"{part.name} goes beyond its end {part.end}: take an older cut.")


def _texts(data: bytes | None) -> tuple[str | None, str | None]:
    if data is None:
        return None, None
    try:
        return data.decode(), None
    except UnicodeDecodeError:
        return None, b64encode(data).decode()


def _bytes(text: str | None, coded: str | None) -> bytes | None:
    if coded is not None:
        return b64decode(coded)
    return None if text is None else text.encode()
