"""The files of the folder as they are sent: read once, compressed once, kept in memory.

Each request looks at the file (`stat`), so a page written anew is served from the next request on, by every
process that serves the folder.
"""

from __future__ import annotations

import gzip
import os
import re
from collections.abc import MutableMapping
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias

from msgspec import Struct

Message: TypeAlias = MutableMapping[str, Any]
Headers: TypeAlias = list[tuple[bytes, bytes]]

KEPT_BYTES = 96 * 1024 * 1024
"""How much one process keeps in memory; beyond it, what was read longest ago is read again."""
PAGE = b"public, max-age=10, stale-while-revalidate=60, stale-if-error=86400"
_FOR_EVER = b"public, max-age=31536000, immutable"
_TYPES = {
    ".html": b"text/html; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".svg": b"image/svg+xml",
    ".json": b"application/json",
    ".atom": b"application/atom+xml; charset=utf-8",
    ".rss": b"application/rss+xml; charset=utf-8",
    ".txt": b"text/plain; charset=utf-8",
}
_FOR_PROGRAMS = (".json", ".atom", ".rss", ".svg")
"""Read by programs of other origins, too."""
_SAFE = re.compile(r"/(?:[A-Za-z0-9_~-][A-Za-z0-9._~-]*/)*(?:[A-Za-z0-9_~-][A-Za-z0-9._~-]*)?")
"""Paths of pages. No part begins with a dot: neither a way out of the folder nor a file half written."""
_HASHED = re.compile(r"\.[0-9a-f]{8,64}\.\w+$")
_SECURITY: Headers = [
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; "
        b"base-uri 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]
_ANY_ORIGIN: Headers = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"ETag"),
]


class Form(Struct, frozen=True):
    """A file as it is sent: plain or compressed, each with an ETag of its own."""

    etag: bytes
    body: bytes
    found: Message
    unchanged: Message


class Kept(Struct, frozen=True):
    """A file in memory; `stamp` says which one it was (inode, mtime in ns, size)."""

    stamp: tuple[int, int, int]
    plain: Form
    packed: Form
    size: int


class Folder:
    """The files under `root`, as they are at each request. `secure`: the public address is https only."""

    def __init__(self, root: Path, *, secure: bool = False, kept_bytes: int = KEPT_BYTES) -> None:
        self._root = str(root.absolute())
        self._kept: dict[str, Kept] = {}
        self._size = 0
        self._kept_bytes = kept_bytes
        hsts = [(b"strict-transport-security", b"max-age=31536000")] if secure else []
        self.security: Headers = [*_SECURITY, *hsts]

    def find(self, path: str) -> Kept | None:
        """The file for a URL's `path`; a folder's is its index.html. None where there is none."""
        kept = self._kept.get(path)
        name = self._root + path + ("index.html" if path.endswith("/") else "")
        if kept is None and not _SAFE.fullmatch(path):
            return None
        try:
            found = os.stat(name)  # noqa: PTH116 - a Path for each request costs more than the look
            stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
            if kept is not None and kept.stamp == stamp:
                return kept
            return self._keep(path, self._read(name))
        except (OSError, ValueError):
            self._drop(path)
            return None

    def has_folder(self, path: str) -> bool:
        """Whether `path`, without its slash, is a folder's page."""
        return not path.endswith("/") and self.find(path + "/") is not None

    def _read(self, name: str) -> Kept:
        with open(name, "rb") as file:  # noqa: PTH123
            found = os.fstat(file.fileno())
            body = file.read()
        kind = os.path.splitext(name)[1]  # noqa: PTH122
        packed = gzip.compress(body, 6, mtime=0) if kind in _TYPES else body
        if len(packed) >= len(body):
            packed = body
        etag = sha256(body).hexdigest()[:24].encode()
        common: Headers = [
            (b"content-type", _TYPES.get(kind, b"application/octet-stream")),
            (b"cache-control", _FOR_EVER if _HASHED.search(name) else PAGE),
            (b"vary", b"Accept-Encoding"),
            *(_ANY_ORIGIN if kind in _FOR_PROGRAMS else ()),
            *self.security,
        ]
        if name.endswith("/feed.json"):
            common[0] = (b"content-type", b"application/feed+json")
        plain = _form(b'"' + etag + b'"', body, common)
        if packed is not body:
            encoded = [*common, (b"content-encoding", b"gzip")]
            squeezed = _form(b'"' + etag + b'-gz"', packed, encoded)
        else:
            squeezed = plain
        stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
        return Kept(stamp, plain, squeezed, len(body) + len(packed))

    def _keep(self, path: str, kept: Kept) -> Kept:
        self._drop(path)
        if kept.size <= self._kept_bytes:
            while self._size + kept.size > self._kept_bytes:
                self._drop(next(iter(self._kept)))
            self._kept[path] = kept
            self._size += kept.size
        return kept

    def _drop(self, path: str) -> None:
        if (old := self._kept.pop(path, None)) is not None:
            self._size -= old.size


def _form(etag: bytes, body: bytes, headers: Headers) -> Form:
    tagged = [*headers, (b"etag", etag)]
    start = {"type": "http.response.start"}
    found = {**start, "status": 200, "headers": [*tagged, (b"content-length", str(len(body)).encode())]}
    kept = [one for one in tagged if one[0] not in (b"content-type", b"content-encoding")]
    return Form(etag, body, found, {**start, "status": 304, "headers": kept})
