"""What the feeds tell of: an entry for each change, incident update and maintenance, the newest hundred."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from heapq import nlargest
from itertools import islice
from typing import Literal

from msgspec import Struct

from services.status.pages.frame import first_of
from services.status.pages.language import Speech
from services.status.pages.lines import called
from services.status.pages.texts import shown
from services.status.site import Change, Condition, Incident, Maintenance, Phase, Site, Update

NEWEST = 100
_NAMES = uuid.UUID("5b1f3c52-9a1e-5f0e-8d0c-6f1d6a1c2b7e")
"""The namespace of entries' ids: an id never changes, whatever the page's address."""

Kind = Literal["change", "update", "maintenance"]


class Entry(Struct, frozen=True):
    """One entry in one language. `link` is below the language's folder; instants ms."""

    id: str
    kind: Kind
    at: int
    updated: int
    title: str
    text: str
    link: str


class Told(Struct, frozen=True):
    """What an entry is about, before it is said in a language: it and where it belongs."""

    at: int
    id: str
    about: Change | tuple[Incident, Update] | Maintenance


def newest(site: Site) -> list[Told]:
    """What the newest entries are about, newest first."""
    return nlargest(NEWEST, _all(site), key=lambda told: (told.at, told.id))


def newest_changes(site: Site, most: int) -> list[Change]:
    """The newest changes of components that are public."""
    changes = (
        change
        for month in sorted(site.changes, reverse=True)
        for change in site.changes[month]
        if change.component in site.components
    )
    return list(islice(changes, most))


def concerned(told: Told) -> tuple[str, ...]:
    """The ids of the components whose names its entry says."""
    if isinstance(told.about, Change):
        return (told.about.component,)
    return told.about.components if isinstance(told.about, Maintenance) else ()


def said(told: Told, site: Site, spoken: Speech) -> Entry:
    """An entry in a language."""
    if isinstance(told.about, Change):
        return _change(told, told.about, site, spoken)
    if isinstance(told.about, Maintenance):
        return _maintenance(told, told.about, site, spoken)
    return _update(told, *told.about, spoken)


def identity(kind: Kind, name: str) -> str:
    """The stable id of an entry, a URN."""
    return f"urn:uuid:{uuid.uuid5(_NAMES, f'{kind}/{name}')}"


def _all(site: Site) -> Iterator[Told]:
    for change in newest_changes(site, NEWEST):
        yield Told(at=change.at, id=identity("change", change.id), about=change)
    for incident in site.incidents:
        for update in incident.updates:
            name = f"{incident.id}/{update.id}"
            yield Told(at=update.at, id=identity("update", name), about=(incident, update))
    for work in site.maintenance:
        yield Told(at=work.announced_at, id=identity("maintenance", work.id), about=work)


def _change(told: Told, change: Change, site: Site, spoken: Speech) -> Entry:
    colon = spoken.words["colon"]
    name = called(site.components[change.component], spoken)
    condition = spoken.say(f"change_{change.condition.value}")
    lines = [
        f"{name}{colon}{condition}, {_both(change.at, site, spoken)}",
    ]
    if change.before is not Condition.SILENT:
        before = spoken.say(f"before_{change.before.value}")
        lines.append(spoken.say("change_before", condition=before))
    if change.condition is Condition.DOWN:
        lines.append(spoken.say("cause", causes=spoken.causes(change.causes)))
    if change.corrected:
        lines.append(spoken.say("change_stated"))
    elif change.confirmed_at != change.at:
        lines.append(spoken.say("change_confirmed", time=_both(change.confirmed_at, site, spoken)))
    mark = f" ({spoken.say('corrected')})" if change.corrected else ""
    return Entry(
        id=told.id,
        kind="change",
        at=change.at,
        updated=max(change.at, change.confirmed_at),
        title=f"{name}{colon}{condition}{mark}",
        text="\n".join(lines),
        link=f"history/{first_of(change.at, site.zone):%Y-%m}/#c-{change.id}",
    )


def _update(told: Told, incident: Incident, update: Update, spoken: Speech) -> Entry:
    title = spoken.label(incident.title) or spoken.say("incident")
    return Entry(
        id=told.id,
        kind="update",
        at=update.at,
        updated=update.at,
        title=f"{title}{spoken.words['colon']}{spoken.say(f'status_{update.status}')}",
        text=shown(spoken.pick(update.text)),
        link=f"incidents/{incident.id}/#u-{update.id}",
    )


def _maintenance(told: Told, work: Maintenance, site: Site, spoken: Speech) -> Entry:
    known = [called(site.components[name], spoken) for name in work.components if name in site.components]
    names = spoken.listed(known[:8] + ([spoken.say("others_more", n=len(known) - 8)] if known[8:] else []))
    phase = spoken.say(f"phase_{work.phase.value}")
    updated = {Phase.RUNNING: work.starts_at, Phase.DONE: work.ends_at}.get(work.phase, work.announced_at)
    start, end = _both(work.starts_at, site, spoken), _both(work.ends_at, site, spoken)
    lines = [phase, spoken.say("from_to", start=start, end=end)]
    if work.phase is not Phase.CANCELLED:
        lines.append(spoken.say("excluded_yes" if work.excluded else "excluded_no"))
    return Entry(
        id=told.id,
        kind="maintenance",
        at=work.announced_at,
        updated=max(updated, work.announced_at),
        title=f"{spoken.say('maintenance_of', names=names)} ({phase})",
        text="\n".join(lines),
        link=f"history/{first_of(work.starts_at, site.zone):%Y-%m}/#m-{work.id}",
    )


def _both(ms: int, site: Site, spoken: Speech) -> str:
    return f"{spoken.instant(ms, site.zone)} ({site.zone}; {spoken.instant(ms, 'UTC')} UTC)"
