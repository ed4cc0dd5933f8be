"""The pages of history: a month each, and a day each in a month with very many changes."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import date, timedelta

from services.status.pages.fragments import Fragments
from services.status.pages.frame import first_of
from services.status.pages.language import Speech, speech
from services.status.pages.lines import change_line
from services.status.pages.planned import Planned
from services.status.pages.views import history_page
from services.status.site import LANGUAGES, Change, Site
from shared.calendar import day_start, local_date, month_of

CHANGES_MOST = 500
"""A month with more changes than this has a page for each day."""


def history(site: Site, fragments: Fragments, around: tuple[object, ...]) -> Iterator[Planned]:
    months = _months(site)
    names = tuple(component.name for component in site.components.values())
    for month in months:
        changes = site.changes.get(month, ())
        own = (
            tuple(one for one in site.incidents if first_of(one.opened_at, site.zone) == month),
            tuple(one for one in site.maintenance if first_of(one.starts_at, site.zone) == month),
        )
        depends = (around, months, names, *own, changes)
        yield from _month(site, fragments, month, months, changes, depends)


def _month(
    site: Site,
    fragments: Fragments,
    month: date,
    months: tuple[date, ...],
    changes: tuple[Change, ...],
    depends: tuple[object, ...],
) -> Iterator[Planned]:
    split = len(changes) > CHANGES_MOST
    newest = month == max(site.changes, default=month)

    def days(spoken: Speech, some: Sequence[Change], fresh: bool) -> list[tuple[date, str]]:
        # What is long past is hardly ever rendered again: it is not kept.
        said = fragments.change if fresh else change_line
        return [
            (day, "".join(said(change, site, spoken) for change in same))
            for day, same in _by_day(some, site.zone)
        ]

    by_day = _by_day(changes, site.zone) if split else []
    links = [(day, len(same)) for day, same in by_day]
    for language in LANGUAGES:
        spoken = speech(language)
        yield Planned(
            f"{language}/history/{month:%Y-%m}/index.html",
            depends,
            lambda language=language, spoken=spoken: history_page(  # type: ignore[misc]
                site, language, month, months, [] if split else days(spoken, changes, newest), links
            ),
            language,
            urgent=newest,
        )
        for day, same in by_day:
            fresh = newest and day == by_day[0][0]
            yield Planned(
                f"{language}/history/{month:%Y-%m}/{day:%d}/index.html",
                (depends[:3], same),
                lambda language=language, spoken=spoken, same=same, day=day, fresh=fresh: history_page(  # type: ignore[misc]
                    site, language, month, months, days(spoken, same, fresh), day=day
                ),
                language,
                urgent=fresh,
            )


def _by_day(changes: Sequence[Change], zone_name: str) -> list[tuple[date, Sequence[Change]]]:
    """Changes, newest first, by local date. Looks at one of each day: a month may have a hundred thousand."""
    found = []
    start = 0
    while start < len(changes):
        day = local_date(changes[start].at, zone_name)
        midnight = day_start(day, zone_name)
        end = bisect_right(changes, -midnight, lo=start + 1, key=lambda change: -change.at)
        found.append((day, changes[start:end]))
        start = end
    return found


def _months(site: Site) -> tuple[date, ...]:
    """The months that have a page, newest first: from the first thing told of to this one, without a gap."""
    last = first_of(site.written_at, site.zone)
    firsts = [
        *site.changes,
        *(first_of(incident.opened_at, site.zone) for incident in site.incidents),
        *(first_of(work.starts_at, site.zone) for work in site.maintenance),
        *(month.month for component in site.components.values() for month in component.months[-1:]),
    ]
    first, last = min(firsts, default=last), max([*firsts, last])
    months = [last]
    while months[-1] > first:
        months.append(month_of(months[-1] - timedelta(days=1)))
    return tuple(months)
