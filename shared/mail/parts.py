"""A mail's headers and MIME parts as places in its bytes: nothing is copied that is not asked for.

The email package would build every part of a 50 MB mail in memory before one is looked at, and its address
and parameter parsers take quadratic time or recurse on hostile text. Here each byte is searched a bounded
number of times, whatever the mail says.
"""

from __future__ import annotations

import re
from binascii import a2b_qp
from collections.abc import Iterator

from msgspec import Struct

from shared.mail.encoded import base64_of, text_of

HEAD_MOST = 4_194_304
_PART_HEAD_MOST = 65_536
_LINES_MOST = 50_000
_VALUE_MOST = 1_048_576
_DEPTH_MOST = 20
PARTS_MOST = 1_000
_HITS_MOST = 50_000
_FIELD = re.compile(rb"([!-9;-~]{1,200})[ \t]*:")
_KIND = re.compile(r"\s*([\w!#$&^.+-]{1,80}/[\w!#$&^.+-]{1,80})")
_PARAMETER = re.compile(r';\s*([\w-]{1,40})\*?(?:0\*?)?\s*=\s*("(?:[^"\\]|\\.)*+"|[^;\s"]*)', re.DOTALL)


class Headers(Struct, frozen=True):
    """Header fields in their order, names in lower case, values unfolded but not decoded."""

    fields: tuple[tuple[str, bytes], ...]
    problems: tuple[str, ...] = ()

    def all(self, name: str) -> list[str]:
        """Every value of `name`, as text; bytes beyond ASCII are UTF-8, else Western."""
        return [text_of(value, "").strip() for found, value in self.fields if found == name]

    def first(self, name: str) -> str | None:
        """The topmost value of `name`."""
        return next((text_of(value, "").strip() for found, value in self.fields if found == name), None)


class Part(Struct, frozen=True):
    """A leaf of the MIME tree: its media type, parameters, headers and where its body lies."""

    kind: str
    parameters: dict[str, str]
    headers: Headers
    start: int
    end: int

    @property
    def attached(self) -> bool:
        """Whether it is an attachment rather than something to read."""
        disposition = (self.headers.first("content-disposition") or "").lower()
        return self.kind not in ("text/plain", "text/html") or disposition.startswith("attachment")

    def decoded(self, raw: bytes, most: int) -> bytes:
        """At least the first `most` bytes of its content if it has so many, decoded; seldom more."""
        encoding = (self.headers.first("content-transfer-encoding") or "").lower()
        if encoding == "base64":
            return base64_of(raw[self.start : min(self.end, self.start + most * 2)])
        if encoding == "quoted-printable":
            return a2b_qp(raw[self.start : min(self.end, self.start + most * 4)])
        return raw[self.start : min(self.end, self.start + most)]


def head(raw: bytes, start: int = 0, end: int | None = None, most: int = HEAD_MOST) -> tuple[Headers, int]:
    """The header fields at `start`, and where the body begins. Never raises."""
    end = len(raw) if end is None else end
    if raw.startswith(b"From ", start):  # an mbox's separator
        start = min(end, raw.find(b"\n", start, start + 1_000) + 1 or start)
    if raw.startswith((b"\n", b"\r\n"), start):
        return Headers(()), min(end, start + (1 if raw.startswith(b"\n", start) else 2))
    limit = min(end, start + most)
    ends = [
        (at, at + len(mark)) for mark in (b"\n\r\n", b"\n\n") if (at := raw.find(mark, start, limit)) >= 0
    ]
    stop, body = min(ends, default=(limit, limit))
    if not _FIELD.match(raw, start, stop):
        return Headers((), ("no-headers",) if start < end else ("empty",)), start
    problems = () if ends or limit == end else ("long-head",)
    fields, bad = _fields(raw[start:stop])
    return Headers(fields, (*problems, *bad)), body


def _fields(text: bytes) -> tuple[tuple[tuple[str, bytes], ...], tuple[str, ...]]:
    fields: list[tuple[str, list[bytes]]] = []
    bad = False
    for line in text.split(b"\n", _LINES_MOST)[:_LINES_MOST]:
        line = line.removesuffix(b"\r")
        if line[:1] in (b" ", b"\t") and fields:
            fields[-1][1].append(line)
        elif found := _FIELD.match(line):
            fields.append((found[1].decode().lower(), [line[found.end() :]]))
        else:
            bad = True
    return tuple((name, b"".join(lines)[:_VALUE_MOST]) for name, lines in fields), (
        ("bad-header",) if bad else ()
    )


def content_type(headers: Headers) -> tuple[str, dict[str, str]]:
    """The media type in lower case and its parameters; text/plain if none or nonsense is said."""
    value = (headers.first("content-type") or "")[:2_000]
    found = _KIND.match(value)
    if not found:
        return "text/plain", {}
    parameters: dict[str, str] = {}
    for name, said in _PARAMETER.findall(value, found.end()):
        quoted = said[:1] == '"'
        parameters.setdefault(name.lower(), re.sub(r"\\(.)", r"\1", said[1:-1]) if quoted else said)
    return found[1].lower(), parameters


def leaves(raw: bytes, top: Headers, body: int, problems: list[str]) -> Iterator[Part]:
    """The leaf parts in their order, at most PARTS_MOST; words are added to `problems`. Never raises."""
    kind, parameters = content_type(top)
    ahead = [(0, Part(kind, parameters, top, body, len(raw)))]
    seen = 0
    while ahead and seen < PARTS_MOST:
        depth, part = ahead.pop()
        seen += 1
        if not part.kind.startswith("multipart/"):
            yield part
            continue
        if depth >= _DEPTH_MOST:
            problems.append("deep")
            continue
        ranges = _between(raw, part, PARTS_MOST - seen)
        if not ranges:
            problems.append("no-boundary")
            yield Part("text/plain", {}, part.headers, part.start, part.end)
            continue
        for start, end in reversed(ranges):
            headers, inner = head(raw, start, end, _PART_HEAD_MOST)
            ahead.append((depth + 1, Part(*content_type(headers), headers, inner, end)))
    if ahead:
        problems.append("many-parts")


def _between(raw: bytes, part: Part, most: int) -> list[tuple[int, int]]:
    """Where the parts of a multipart lie, by its boundary; empty if it has none."""
    boundary = part.parameters.get("boundary", "").rstrip().encode("utf-8", "replace")
    if not boundary:
        return []
    line = b"--" + boundary
    found: list[tuple[int, int]] = []
    begun, at = -1, part.start
    for _ in range(_HITS_MOST):
        at = raw.find(line, at, part.end)
        if at < 0 or len(found) > most:
            break
        after = at + len(line)
        rest = raw[after : after + 100].split(b"\n", 1)[0].strip()
        if (at == part.start or raw[at - 1 : at] == b"\n") and rest in (b"", b"--"):
            if begun >= 0:
                found.append((begun, max(begun, at - (2 if raw[at - 2 : at - 1] == b"\r" else 1))))
            begun = -1
            if rest == b"--":
                return found
            next_line = raw.find(b"\n", after, part.end)
            begun = part.end if next_line < 0 else next_line + 1
        at = after
    if begun >= 0 and len(found) <= most:
        found.append((begun, part.end))  # it was never closed
    return found
