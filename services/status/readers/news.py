"""What is new on a Site, as entries with keys that never change: whoever notes the keys tells of each once.

Pure. Only what is not the same object as before is looked at: a change among 500 components costs little.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from hashlib import sha256
from typing import Literal

from msgspec import Struct

from services.status.site import (
    Change,
    Component,
    Condition,
    Incident,
    Maintenance,
    Month,
    Phase,
    Site,
    Update,
)

Kind = Literal["change", "incident", "maintenance", "corrected"]

JUDGED = (Condition.UP, Condition.DOWN)
_PHASES = (Phase.ANNOUNCED, Phase.RUNNING, Phase.DONE)


class Written(Struct, frozen=True):
    """An update staff wrote."""

    incident: Incident
    update: Update


class Corrected(Struct, frozen=True):
    """A component's past is told otherwise than before: of a day ("2026-11-20") or a month ("2026-06")."""

    component: str
    period: str


class Entry(Struct, frozen=True):
    """Something to tell. `at` (ms): since when it can be known, None where only its appearance tells (now);
    `components`: whom it concerns, none: everybody. `silent`: to be noted, told to nobody."""

    key: str
    kind: Kind
    at: int | None
    components: tuple[str, ...]
    what: Change | Written | Maintenance | Corrected
    silent: bool = False


def entries(before: Site | None, site: Site) -> Iterator[Entry]:
    """What `site` says that `before` does not say yet; of None: everything. Oldest first within a kind.

    A key may come again (after a restart, always): what was noted once is not new."""
    yield from _changes(before, site)
    yield from _incidents(before, site)
    yield from _maintenance(before, site)
    for component in site.components.values():
        known = None if before is None else before.components.get(component.id)
        if component is not known:
            yield from _corrected(known, component)


def _changes(before: Site | None, site: Site) -> Iterator[Entry]:
    for month in sorted(site.changes):
        known = () if before is None else before.changes.get(month, ())
        if site.changes[month] is known:
            continue
        ids = {change.id for change in known}
        for change in reversed(site.changes[month]):
            if change.id not in ids and change.condition in JUDGED:
                # A correction is told as one, by its days; the page has every change of it.
                yield Entry(
                    f"change/{change.id}",
                    "change",
                    change.confirmed_at,
                    (change.component,),
                    change,
                    silent=change.corrected,
                )


def _incidents(before: Site | None, site: Site) -> Iterator[Entry]:
    known = set() if before is None else {id(incident) for incident in before.incidents}
    for incident in reversed(site.incidents):
        if id(incident) not in known:
            for update in reversed(incident.updates):
                key = f"incident/{incident.id}/{update.id}"
                yield Entry(key, "incident", update.at, incident.components, Written(incident, update))


def _maintenance(before: Site | None, site: Site) -> Iterator[Entry]:
    known = set() if before is None else {id(one) for one in before.maintenance}
    for one in reversed(site.maintenance):
        if id(one) in known:
            continue
        at = {Phase.ANNOUNCED: one.announced_at, Phase.RUNNING: one.starts_at, Phase.DONE: one.ends_at}
        passed = _PHASES[: _PHASES.index(one.phase)] if one.phase in _PHASES else _PHASES
        for phase in (*passed, one.phase):
            key = f"maintenance/{one.id}/{phase}"
            yield Entry(key, "maintenance", at.get(phase), one.components, one, silent=phase != one.phase)


def _corrected(known: Component | None, component: Component) -> Iterator[Entry]:
    """Days that a correction touches, of the last 90; months of before. A month is noted in silence as long
    as its days are there: they have told of it."""
    same = set() if known is None else {id(one) for one in (*known.days, *known.months)}
    first = component.days[0].day if component.days else None
    for day in component.days:
        if day.corrected and id(day) not in same:
            figures = f"{day.figure.down_ms}/{day.figure.unmeasured_ms}" if day.over else ""
            yield _period(component, day.day.isoformat(), figures, silent=False)
    for month in component.months:
        if month.corrected and month.over and id(month) not in same:
            figures = f"{month.figure.down_ms}/{month.figure.unmeasured_ms}"
            shown = first is not None and _last_day(month) >= first
            yield _period(component, f"{month.month:%Y-%m}", figures, silent=shown)


def _last_day(month: Month) -> date:
    following = (month.month.replace(day=1) + timedelta(days=32)).replace(day=1)
    return following - timedelta(days=1)


def _period(component: Component, period: str, figures: str, *, silent: bool) -> Entry:
    digest = sha256(f"{component.id}/{period}/{figures}".encode()).hexdigest()[:20]
    key = f"corrected/{component.id}/{period}/{digest}"
    return Entry(key, "corrected", None, (component.id,), Corrected(component.id, period), silent)


def today_key(entry: Entry) -> str | None:
    """The key under which the same correction was told while its day was not over; None: it is no day's."""
    if not isinstance(entry.what, Corrected):
        return None
    component, period = entry.what.component, entry.what.period
    return f"corrected/{component}/{period}/{sha256(f'{component}/{period}/'.encode()).hexdigest()[:20]}"


def turned(site: Site, change: Change) -> bool:
    """Whether the change is news: its component was last known to be otherwise. Up after a while in which
    nobody could say, and up before it, is none."""
    last = _judged_before(site, change)
    return change.condition is Condition.DOWN if last is None else last is not change.condition


def _judged_before(site: Site, change: Change) -> Condition | None:
    for month in sorted(site.changes, reverse=True):
        for one in site.changes[month]:
            if one.component == change.component and one.at < change.at and one.condition in JUDGED:
                return one.condition
    return None


def lasted_ms(site: Site, change: Change) -> int | None:
    """How long it was down, of a change to up that ends a cut."""
    if change.condition is not Condition.UP:
        return None
    cuts = site.components[change.component].cuts
    return next((change.at - cut.starts_at for cut in cuts if cut.ends_at == change.at), None)


def together(told: Iterable[Entry]) -> list[tuple[Entry, ...]]:
    """Entries told in one mail, in order: components that went down together, that came up together, the days
    corrected together. Incidents and maintenance stand alone. Of a component that turned several times the
    last turn is told: mails may overtake each other, and up says how long it had been down."""
    found = list(told)
    last: dict[str, int] = {}
    for entry in found:
        if isinstance(entry.what, Change):
            last[entry.what.component] = max(entry.what.at, last.get(entry.what.component, entry.what.at))
    groups: dict[str, list[Entry]] = {}
    for entry in found:
        name = entry.key
        if isinstance(entry.what, Change):
            if entry.what.at != last[entry.what.component]:
                continue
            name = f"change {entry.what.condition}"
        elif isinstance(entry.what, Corrected):
            name = "corrected"
        groups.setdefault(name, []).append(entry)
    return [tuple(group) for group in groups.values()]
