"""Rendered lines kept for as long as what they are made of stays the same object."""

from __future__ import annotations

from collections.abc import Sequence

from services.status.pages.entries import Entry, Told, concerned, said
from services.status.pages.language import Speech
from services.status.pages.lines import change_line, component_line
from services.status.site import LANGUAGES, Change, Component, Site

_RECENT = 3_000


class Fragments:
    """Rendered lines of components and changes, kept for as long as they are the same objects."""

    def __init__(self) -> None:
        self._components: dict[tuple[str, str, bool], tuple[Component, str]] = {}
        self._changes: dict[tuple[str, str], tuple[tuple[object, ...], str]] = {}
        self._entries: dict[str, dict[str, tuple[tuple[object, ...], Entry]]] = {}

    def component(self, component: Component, spoken: Speech, with_bars: bool, zone: str) -> str:
        """A component's line."""
        key = (component.id, spoken.language, with_bars)
        kept = self._components.get(key)
        if kept is None or kept[0] is not component:
            kept = (component, component_line(component, spoken, with_bars, zone))
            self._components[key] = kept
        return kept[1]

    def change(self, change: Change, site: Site, spoken: Speech) -> str:
        """An entry of history."""
        component = site.components.get(change.component)
        depends = (change, component.name if component else None, site.zone)
        key = (change.id, spoken.language)
        kept = self._changes.get(key)
        if kept is None or kept[0] != depends:
            kept = (depends, change_line(change, site, spoken))
            self._changes[key] = kept
        return kept[1]

    def entries(self, told: Sequence[Told], site: Site, spoken: Speech) -> list[Entry]:
        """The feeds' entries in a language; only these are kept."""
        kept = self._entries.get(spoken.language, {})
        fresh: dict[str, tuple[tuple[object, ...], Entry]] = {}
        for one in told:
            names = tuple(site.components[name].name for name in concerned(one) if name in site.components)
            depends = (one.about, names, site.zone)
            before = kept.get(one.id)
            same = before is not None and before[0] == depends
            fresh[one.id] = before if before and same else (depends, said(one, site, spoken))
        self._entries[spoken.language] = fresh
        return [entry for _, entry in fresh.values()]

    def forget(self, site: Site) -> None:
        """Drops what the Site no longer holds, and entries that are not recent."""
        if len(self._components) > 8 * max(len(site.components), 1):
            self._components = {
                key: kept for key, kept in self._components.items() if key[0] in site.components
            }
        newest_month = max(site.changes, default=None)
        recent = site.changes[newest_month][:_RECENT] if newest_month else ()
        if len(self._changes) > len(LANGUAGES) * (len(recent) + 1_000):
            held = {change.id for change in recent}
            self._changes = {key: kept for key, kept in self._changes.items() if key[0] in held}
