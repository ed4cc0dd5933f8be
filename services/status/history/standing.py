"""What stands on the log, as the public page: records in, a `Site` out. No clock, no broker, no file.

Every instance folds every record, drops what it has taken before, and ignores what the promises would reject.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any, Final, get_args

import msgspec
from msgspec import Struct

from services.sla.terms import Book, NotAcceptable, publish
from services.sla.timeline import NEVER
from services.status.configuration import Configuration
from services.status.history import planned
from services.status.history.entries import merge
from services.status.history.lines import Line, now_at, renewed
from services.status.history.watched import Watched, forget, told
from services.status.site import Change, Component, Group, Incident, Maintenance, Site
from shared import calendar
from shared.cloudevents import origin_of
from shared.codec import Undecodable, decode_fact
from shared.facts import TargetFact, TermsPublished
from shared.topics import Topic

STATE_VERSION: Final = 1
"""Of `State` as it is saved; one of another version is not read, the log is."""

_TARGET_FACTS = get_args(TargetFact)


class State(Struct):
    """All that is remembered of the log. `positions`: by "topic/partition" the offset of the next record;
    `origins`: the highest place taken of each stream; `recorded_at`: of the last terms (ms); `targets`: those
    that are public, whether anything was said of them or not."""

    version: int = STATE_VERSION
    positions: dict[str, int] = {}
    origins: dict[str, tuple[int, int]] = {}
    recorded_at: int = 0
    book: Book = msgspec.field(default_factory=Book)
    targets: dict[str, Watched] = {}


class Changed(Struct, frozen=True):
    """What differs from the site made before: ids of components, months of `Site.changes`, and the rest."""

    components: frozenset[str]
    months: frozenset[date]
    maintenance: bool
    incidents: bool
    silence: bool

    def __bool__(self) -> bool:
        """False where nothing differs but the time of writing."""
        return bool(self.components or self.months or self.maintenance or self.incidents or self.silence)


class Unusable(ValueError):
    """A record that cannot be read; the message says why."""


class Standing:
    """The fold and the page made of it. `state` is one that was saved of the same configuration's targets."""

    def __init__(
        self, configuration: Configuration, now_ms: int, silent_after_ms: int, state: State | None = None
    ) -> None:
        self.configuration = configuration
        self._silent_after_ms = silent_after_ms
        self._groups = tuple(
            Group(group.id, group.name, tuple(one.id for one in group.components))
            for group in configuration.groups
        )
        self._now = now_at(now_ms, silent_after_ms, "UTC")
        self.begin(state)

    def begin(self, state: State | None = None) -> None:
        """Starts from `state`, None from nothing: as if no record was taken before."""
        self.state = state or State()
        watched = {name: self.state.targets.get(name) or Watched() for name in self.configuration.targets}
        self.state.targets = watched
        self._lines = [
            Line(config, group, tuple(watched[name] for name in config.targets))
            for group in self.configuration.groups
            for config in group.components
        ]
        self._of_target: dict[str, list[Line]] = {}
        for line in self._lines:
            for name in line.config.targets:
                self._of_target.setdefault(name, []).append(line)
        self._components: dict[str, Component] = {}
        self._differ, self._gone = set[str](), set[date]()
        self._since: dict[str, int] = {}
        self._changes: dict[date, tuple[Change, ...]] = {}
        self._maintenance: tuple[Maintenance, ...] = ()
        self._maintenance_wakes = -NEVER
        self._before: tuple[object, ...] = ()
        self._wake_all()

    @property
    def positions(self) -> dict[str, int]:
        """By "topic/partition" the offset of the next record to take."""
        return self.state.positions

    def take(
        self,
        topic: Topic,
        partition: int,
        offset: int,
        data: bytes,
        headers: Iterable[tuple[str, bytes]] = (),
        timestamp_ms: int = 0,
    ) -> bool:
        """Folds the record at `offset`; one taken before, or of what is not public, changes nothing. Returns
        whether the page may be another now. Raises Unusable, after which the next record can be taken."""
        place = f"{topic.name}/{partition}"
        if offset < self.state.positions.get(place, 0):
            return False
        self.state.positions[place] = offset + 1
        try:
            if self._is_repeat(headers):
                return False
            fact = decode_fact(data)
        except (Undecodable, ValueError) as error:
            raise Unusable(str(error)) from None
        if type(fact) not in topic.records:
            raise Unusable(f"{type(fact).__name__} does not belong on {topic.name}")
        if isinstance(fact, TermsPublished):
            return self._published(fact, timestamp_ms)
        if not isinstance(fact, _TARGET_FACTS) or fact.target not in self._of_target:
            return False
        return self._told(fact)

    def _is_repeat(self, headers: Iterable[tuple[str, bytes]]) -> bool:
        origin = origin_of(headers)
        if origin is None:
            return False
        if origin.reached <= self.state.origins.get(origin.place, (-1, -1)):
            return True
        self.state.origins[origin.place] = origin.reached
        return False

    def _told(self, fact: Any) -> bool:
        watched = self.state.targets[fact.target]
        since = told(watched, fact)
        if len(watched.line.ats) >= watched.look_at:
            forget(watched, self._keep_from)
        if since >= NEVER:
            return False
        for line in self._of_target[fact.target]:
            line.touched = min(line.touched, since)
            line.wakes_at = -NEVER
        if fact.__class__.__name__.startswith("Maintenance"):
            self._maintenance_wakes = -NEVER
        return True

    def _published(self, fact: TermsPublished, timestamp_ms: int) -> bool:
        book, zone = self.state.book, self.state.book.zone
        self.state.recorded_at = max(self.state.recorded_at, timestamp_ms)
        try:
            publish(book, fact, self.state.recorded_at, zone_is_settled=False)
        except NotAcceptable:
            return False
        if book.zone != zone:
            self._wake_all()
        since = calendar.day_start(fact.effective_on, book.zone) if book.zone == zone else -NEVER
        for line in self._lines:
            line.touched, line.wakes_at = min(line.touched, since), -NEVER
        self._maintenance_wakes = -NEVER
        return True

    def _wake_all(self) -> None:
        """Everything is computed anew: the first time, and in another zone."""
        self._now = now_at(self._now.at, self._silent_after_ms, self.state.book.zone)
        for line in self._lines:
            line.touched = line.wakes_at = -NEVER
            line.spans = []  # nothing of it is built upon

    @property
    def _keep_from(self) -> int:
        """What says nothing of this instant (ms) or later is forgotten: a month more than is shown."""
        return calendar.day_start(calendar.add_months(self._now.first_month, -1), self.state.book.zone)

    def site(self, now_ms: int, incidents: tuple[Incident, ...] = ()) -> tuple[Site, Changed]:
        """The page at `now_ms`, and what of it differs from the one made before (the first time, all)."""
        self.prepare(now_ms, len(self._lines))
        components, months = self._renewed()
        maintenance = self._renew_maintenance()
        news_at = max((line.newest for line in self._lines), default=-NEVER)
        silent = news_at < now_ms - self._silent_after_ms
        configuration = self.configuration
        site = Site(
            configuration.vendor,
            configuration.product,
            configuration.url,
            configuration.contact,
            self.state.book.zone,
            now_ms,
            news_at if news_at > -NEVER else None,
            silent,
            self._silent_after_ms,
            self._groups,
            dict(self._components),
            incidents,
            self._maintenance,
            {month: self._changes[month] for month in sorted(self._changes, reverse=True)},
        )
        first, before = not self._before, self._before
        self._before = (incidents, silent)
        return site, Changed(
            components,
            months,
            maintenance,
            first or before[0] != incidents,
            first or before[1] != silent,
        )

    def prepare(self, now_ms: int, most: int) -> bool:
        """Computes up to `most` components anew for a page at `now_ms`. Returns whether none is left: then
        `site` has little to do. After a long history has been read a component takes some ms."""
        month = self._now.first_month
        self._now = now_at(now_ms, self._silent_after_ms, self.state.book.zone)
        if month != self._now.first_month:
            self._forget()
        for line in self._lines:
            if now_ms < line.wakes_at:
                continue
            if not most:
                return False
            self._renew(line)
            most -= 1
        return True

    def _forget(self) -> None:
        """A month began: drops what is too old to be shown."""
        for watched in self.state.targets.values():
            forget(watched, self._keep_from)
        self._maintenance_wakes = -NEVER
        for month in [month for month in self._changes if month < self._now.first_month]:
            self._gone.add(month)
            del self._changes[month]

    def _renew(self, line: Line) -> None:
        name, before = line.config.id, line.component
        since = renewed(line, self.state.book, self._now)
        assert line.component is not None  # noqa: S101 - it is made by `renewed`
        if line.component is not before:
            self._components[name] = line.component
            self._differ.add(name)
        if since < NEVER:
            self._since[name] = min(since, self._since.get(name, NEVER))

    def _renewed(self) -> tuple[frozenset[str], frozenset[date]]:
        """The components, and the months of changes, that differ since the last time this was asked."""
        touched = [line for line in self._lines if line.config.id in self._since]
        months = merge(self._changes, touched, self._since, self.state.book.zone) | self._gone
        found = frozenset(self._differ), frozenset(months)
        self._differ, self._since, self._gone = set(), {}, set()
        return found

    def _renew_maintenance(self) -> bool:
        now = self._now
        if now.at < self._maintenance_wakes:
            return False
        old = {one.id: one for one in self._maintenance}
        found = planned.planned(
            self.configuration.components,
            self.state.targets,
            now.at,
            self.state.book.zone,
            lambda month: self.state.book.on(month),
        )
        shown = [one for one in found if one.ends_at > now.shown_from]
        new = tuple(old[one.id] if old.get(one.id) == one else one for one in shown)
        differs, self._maintenance = new != self._maintenance, new
        self._maintenance_wakes = planned.next_edge(self.state.targets.values(), now.at)
        return differs
