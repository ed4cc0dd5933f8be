"""Tells the status page facts and reads what it shows; local times as in `tests/core/telling.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.status.configuration import ComponentConfig, Configuration, GroupConfig
from services.status.history.standing import Changed, Standing, State
from services.status.site import LANGUAGES, Component, Condition, Cut, Day, Month, Site
from shared.codec import encode
from shared.facts import TermsPublished
from shared.time import HOUR, MINUTE
from shared.topics import TOPIC_OF
from tests.core.telling import When, instant

SILENT_AFTER = 90 * MINUTE
EVERY = dict.fromkeys(LANGUAGES, "")


def public(components: Mapping[str, Sequence[str]]) -> Configuration:
    """A page of these components, each with its targets."""
    found = tuple(
        ComponentConfig(name, dict.fromkeys(LANGUAGES, name), EVERY, tuple(targets))
        for name, targets in components.items()
    )
    product = dict.fromkeys(LANGUAGES, "Shop")
    return Configuration("Vendor", product, "", "", "fr", (GroupConfig("all", EVERY, found),))


class Page:
    """A page that is told a story. Partition 0 has everything."""

    def __init__(
        self,
        components: Mapping[str, Sequence[str]],
        now: When = "2026-11-01 00:00",
        state: State | None = None,
    ) -> None:
        self.standing = Standing(public(components), instant(now), SILENT_AFTER, state)
        self.now = int(instant(now))
        self.changed: Changed | None = None

    def tell(self, *told: Any, at: When | None = None) -> Page:
        """Takes each fact; terms are recorded `at`."""
        for fact in told:
            topic = TOPIC_OF[type(fact)]
            offset = self.standing.positions.get(f"{topic.name}/0", 0)
            recorded = instant(at) if at is not None and isinstance(fact, TermsPublished) else self.now
            self.standing.take(topic, 0, offset, encode(fact), (), recorded)
        return self

    def at(self, now: When) -> Site:
        """The page as it is made at `now`."""
        self.now = int(instant(now))
        site, self.changed = self.standing.site(self.now)
        return site

    def component(self, now: When, name: str = "shop") -> Component:
        return self.at(now).components[name]


def day(component: Component, named: str) -> Day:
    """A day of the last 90: "2026-11-20"."""
    return next(one for one in component.days if str(one.day) == named)


def month(component: Component, named: str) -> Month:
    """A month: "2026-11"."""
    return next(one for one in component.months if str(one.month)[:7] == named)


def story(component: Component, site: Site) -> list[tuple[int, Condition, Condition]]:
    """The component's changes, oldest first: when, from what, to what."""
    found = [one for month in site.changes.values() for one in month if one.component == component.id]
    return [(one.at, one.before, one.condition) for one in reversed(found)]


def lasted(cut: Cut) -> float:
    """Hours."""
    return cut.down_ms / HOUR
