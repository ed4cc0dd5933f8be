"""A Site becomes files: only those that say something else than before, the most urgent first."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from services.status.pages import folder as files
from services.status.pages.fragments import Fragments
from services.status.pages.frame import stamped
from services.status.pages.plan import plan
from services.status.pages.planned import Planned
from services.status.site import Component, Language, Site

AGED_MS = 20_000
"""Pages whose "as of" is older than this are written again: with a `write` at least every 30 s, none is ever
older than a minute."""
AT_LEAST = 25
"""So many of the less urgent files are written each time, whatever the hurry, so that all get their turn."""


class Written(Struct, frozen=True):
    """The paths written or removed, and whether all of the Site is in the folder."""

    paths: tuple[str, ...]
    complete: bool


class _Kept(Struct):
    """What is known of a file that was written: its content apart from the "as of", and that (ms)."""

    depends: tuple[object, ...]
    digest: bytes
    as_of: int


class Pages:
    """The pages in a folder. Keeps what it wrote, so that it knows what has changed; one thread at a time.

    `default` is the language of the root's page, of badges, of 404.html and of the JSON. Files that are none
    of the page's are left alone.
    """

    def __init__(self, folder: Path, default: Language = "fr") -> None:
        self._folder = folder
        self._default = default
        self._fragments = Fragments()
        self._kept: dict[str, _Kept] = {}
        self._components: dict[str, Component] = {}
        self._swept = False

    def write(self, site: Site, hurry: Callable[[], bool] = lambda: False) -> Written:
        """Brings the folder to what `site` says. Urgent files first; before each of the others `hurry` is
        asked: True, because something newer waits, leaves the rest to the next call. Raises OSError."""
        turned = frozenset(
            component.id
            for component in site.components.values()
            if component.id in self._components and _turned(self._components[component.id], component)
        )
        written: list[str] = []
        planned: set[str] = set()
        later: list[Planned] = []
        for file in plan(site, self._default, self._fragments, turned):
            planned.add(file.path)
            if file.urgent and not self._says_the_same(file):
                self._make(file, site, written)
            elif self._is_due(file, site):
                later.append(file)
        self._components = dict(site.components)
        complete = self._write_later(later, site, hurry, written)
        self._remove_others(planned, written)
        self._fragments.forget(site)
        return Written(paths=tuple(written), complete=complete)

    def _write_later(
        self, later: list[Planned], site: Site, hurry: Callable[[], bool], written: list[str]
    ) -> bool:
        later.sort(key=lambda file: (self._says_the_same(file), self._as_of(file.path)))
        for number, file in enumerate(later):
            if number >= AT_LEAST and hurry():
                return False
            if self._says_the_same(file):
                self._age(file, site, written)
            else:
                self._make(file, site, written)
        return True

    def _says_the_same(self, file: Planned) -> bool:
        kept = self._kept.get(file.path)
        return kept is not None and kept.depends == file.depends

    def _is_due(self, file: Planned, site: Site) -> bool:
        if not self._says_the_same(file):
            return True
        return file.language is not None and site.written_at - self._as_of(file.path) >= AGED_MS

    def _as_of(self, path: str) -> int:
        kept = self._kept.get(path)
        return 0 if kept is None else kept.as_of

    def _make(self, file: Planned, site: Site, written: list[str]) -> None:
        data = file.make()
        digest = hashlib.blake2b(data, digest_size=16).digest()
        kept = self._kept.get(file.path)
        if kept is None or kept.digest != digest:
            files.write(self._folder, file.path, data)
            written.append(file.path)
        self._kept[file.path] = _Kept(depends=file.depends, digest=digest, as_of=site.written_at)

    def _age(self, file: Planned, site: Site, written: list[str]) -> None:
        """Writes a page again as it is, true as of now."""
        try:
            page = (self._folder / file.path).read_bytes()
        except FileNotFoundError:
            self._kept.pop(file.path)
            self._make(file, site, written)
            return
        assert file.language is not None  # noqa: S101 - only pages are due without having changed
        data = stamped(page, site, file.language)
        files.write(self._folder, file.path, data)
        written.append(file.path)
        digest = hashlib.blake2b(data, digest_size=16).digest()
        self._kept[file.path] = _Kept(depends=file.depends, digest=digest, as_of=site.written_at)

    def _remove_others(self, planned: set[str], written: list[str]) -> None:
        gone = self._kept.keys() - planned
        if not self._swept:
            # What an earlier process wrote and nobody plans any more.
            gone |= {path for path in files.own_files(self._folder) if path not in planned}
            self._swept = True
        for path in sorted(gone):
            files.remove(self._folder, path)
            self._kept.pop(path, None)
            written.append(path)


def _turned(before: Component, after: Component) -> bool:
    return before is not after and (before.condition, before.since, before.maintenance_now) != (
        after.condition,
        after.since,
        after.maintenance_now,
    )
