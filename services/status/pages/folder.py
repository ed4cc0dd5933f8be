"""Files written whole or not at all: a reader, or a killed process, never leaves or sees half a page."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

PLACE = re.compile(
    r"index\.html|404\.html|favicon\.svg"
    r"|(fr|de|it|en)/(index\.html|feed\.(atom|rss|json)|subscribe/index\.html"
    r"|(components|groups|incidents)/[A-Za-z0-9][A-Za-z0-9_-]{0,79}/index\.html"
    r"|history/\d{4}-\d\d/(\d\d/)?index\.html)"
    r"|api/v2/[a-z/-]+\.json|badge/[A-Za-z0-9][A-Za-z0-9_-]{0,79}\.svg"
)
"""The files that are the page's own: no other is ever written or removed. Stylesheets are apart: the old ones
stay for the pages that are still in caches."""


class NoPlace(ValueError):
    """A path that is none of the page's; an id that is no public id would make one."""


def write(folder: Path, path: str, data: bytes) -> None:
    """Puts a file in its place, at once. Raises NoPlace, OSError."""
    if not PLACE.fullmatch(path) and not re.fullmatch(r"style\.[0-9a-f]+\.css", path):
        raise NoPlace(f"{path!r} is no place of the status page: ids are letters, digits, - and _")
    target = f"{folder}/{path}"
    before, _, name = target.rpartition("/")
    fresh = f"{before}/.{name}.new"
    try:
        file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    except FileNotFoundError:
        Path(before).mkdir(parents=True, exist_ok=True)
        file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(file, view) :]
    finally:
        os.close(file)
    os.replace(fresh, target)  # noqa: PTH105 - hundreds of files at once: Path costs more than the system call


def remove(folder: Path, path: str) -> None:
    """Takes a page away, and its directory when that is empty; one that is not there is no error."""
    place = folder / path
    place.unlink(missing_ok=True)
    if path.count("/") > 1:
        try:
            place.parent.rmdir()
        except OSError:
            return


def own_files(folder: Path) -> Iterator[str]:
    """The page's own files that are in the folder, as paths in it."""
    for root, _, names in os.walk(folder):
        for name in names:
            path = os.path.relpath(f"{root}/{name}", folder)
            if PLACE.fullmatch(path):
                yield path
