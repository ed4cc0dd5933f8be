"""The files that a Site is made into, most urgent first: each with what it depends on and how it is made.

What a file depends on is a tuple of the Site's own frozen objects: where they are the same as last time, the
file says the same, and only its "as of" has aged.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from services.status.pages import badges, feeds, forms, frame, statuspage, views
from services.status.pages.entries import newest, newest_changes
from services.status.pages.fragments import Fragments
from services.status.pages.frame import Where, below, first_of
from services.status.pages.history import history
from services.status.pages.language import SPEECHES, Speech, speech
from services.status.pages.lines import group_line
from services.status.pages.overall import counts
from services.status.pages.planned import Planned
from services.status.pages.views import GROUPED_OVER, NOT_UP
from services.status.site import LANGUAGES, Component, Condition, Group, Incident, Language, Maintenance, Site

LATEST = 8
BARS_MOST = 100
"""A group with more components than this is shown without bars; each component's page has them."""
_Affecting = tuple[list[Incident], list[Maintenance]]
_LEFT_TO_TELL = ("announced", "running")


def plan(
    site: Site, default: Language, fragments: Fragments, turned: frozenset[str] = frozenset()
) -> Iterator[Planned]:
    """All files of a Site. `turned`: components whose condition changed, whose pages are urgent."""
    around = (
        *(site.vendor, site.product, site.url, site.contact, site.zone, frame.stylesheet()),
        *(site.silent, site.news_at if site.silent else None, first_of(site.written_at, site.zone)),
    )
    everything = tuple(site.components.values())
    yield Planned(frame.stylesheet(), (), frame.stylesheet_text)
    yield from _fronts(site, default, fragments, around, everything)
    for path, data in statuspage.documents(site, speech(default)):
        yield Planned(f"api/v2/{path}", (site,), lambda data=data: data)  # type: ignore[misc]
    by_component = _affecting(site)
    in_group = {name: group for group in site.groups for name in group.components}
    for urgent in (True, False):
        for component in everything:
            if (component.id in turned) is urgent:
                yield from _component(site, component, by_component, in_group, around, urgent)
    yield Planned(
        "badge/overall.svg",
        (around, default, everything, site.incidents),
        lambda: badges.overall_badge(site, speech(default)),
    )
    yield Planned("favicon.svg", (around, everything, site.incidents), lambda: badges.favicon(site))
    for component in everything:
        depends = (around, default, component.name, component.condition, component.maintenance_now)
        yield Planned(
            f"badge/{component.id}.svg",
            depends,
            lambda component=component: badges.component_badge(component, speech(default)),  # type: ignore[misc]
        )
    yield from _feeds(site, fragments, around)
    yield from _groups(site, fragments, around, turned)
    yield from history(site, fragments, around)
    yield from _rest(site, default, around)


def _fronts(
    site: Site,
    default: Language,
    fragments: Fragments,
    around: tuple[object, ...],
    everything: tuple[Component, ...],
) -> Iterator[Planned]:
    latest = newest_changes(site, LATEST)
    depends = (around, everything, site.groups, site.incidents, site.maintenance, tuple(latest))

    def front(language: Language, where: Where) -> bytes:
        spoken = speech(language)
        grouped = len(everything) > GROUPED_OVER
        return views.front(
            site,
            language,
            {group.id: _group_lines(site, group, spoken, fragments, grouped) for group in site.groups},
            "".join(
                fragments.component(component, spoken, with_bars=False, zone=site.zone)
                for component in _not_up(everything)[:NOT_UP]
            )
            if grouped and not site.silent
            else "",
            "".join(fragments.change(change, site, spoken) for change in latest),
            where,
        )

    for language in LANGUAGES:
        yield Planned(
            f"{language}/index.html",
            depends,
            lambda language=language: front(language, below("")),  # type: ignore[misc]
            language,
        )
    yield Planned(
        "index.html",
        (*depends, default),
        lambda: front(default, Where(root="", rest="", way=f"{default}/")),
        default,
    )


def _not_up(everything: Sequence[Component]) -> list[Component]:
    """The components that are not up: down first, then in the page's order."""
    found = [component for component in everything if component.condition is not Condition.UP]
    return sorted(found, key=lambda component: component.condition is not Condition.DOWN)


def _group_lines(site: Site, group: Group, spoken: Speech, fragments: Fragments, grouped: bool) -> str:
    members = [site.components[name] for name in group.components if name in site.components]
    if grouped:
        return group_line(group, counts(members), spoken) if members else ""
    return "".join(
        fragments.component(component, spoken, with_bars=True, zone=site.zone) for component in members
    )


def _groups(
    site: Site, fragments: Fragments, around: tuple[object, ...], turned: frozenset[str]
) -> Iterator[Planned]:
    if len(site.components) <= GROUPED_OVER:
        return
    for group in site.groups:
        members = [site.components[name] for name in group.components if name in site.components]
        with_bars = len(members) <= BARS_MOST

        def make(
            language: Language,
            group: Group = group,
            members: Sequence[Component] = members,
            bars: bool = with_bars,
        ) -> bytes:
            spoken = speech(language)
            lines = "".join(fragments.component(component, spoken, bars, site.zone) for component in members)
            return views.group_page(site, language, group, lines, bars)

        for language in LANGUAGES:
            yield Planned(
                f"{language}/groups/{group.id}/index.html",
                (around, group, *members),
                lambda language=language, make=make: make(language),  # type: ignore[misc]
                language,
                urgent=not turned.isdisjoint(group.components),
            )


def _affecting(site: Site) -> dict[str, _Affecting]:
    """The open incidents and the maintenance to come or running, of each component that has any."""
    found: dict[str, _Affecting] = defaultdict(lambda: ([], []))
    for incident in site.incidents:
        if incident.resolved_at is None:
            for name in incident.components:
                found[name][0].append(incident)
    for work in site.maintenance:
        if work.phase in _LEFT_TO_TELL:
            for name in work.components:
                found[name][1].append(work)
    return found


def _component(
    site: Site,
    component: Component,
    by_component: Mapping[str, _Affecting],
    in_group: dict[str, Group],
    around: tuple[object, ...],
    urgent: bool,
) -> Iterator[Planned]:
    incidents, works = by_component.get(component.id, ([], []))
    group = in_group.get(component.id)
    name = group.name if group else None
    depends = (around, component, name, *incidents, *works)
    for language in LANGUAGES:
        yield Planned(
            f"{language}/components/{component.id}/index.html",
            depends,
            lambda language=language: views.component_page(  # type: ignore[misc]
                site, language, component, incidents, works, name
            ),
            language,
            urgent=urgent,
        )


def _feeds(site: Site, fragments: Fragments, around: tuple[object, ...]) -> Iterator[Planned]:
    told = newest(site)
    names = tuple(component.name for component in site.components.values())
    depends = (*around[:5], site.written_at // 86_400_000 if not told else None, names, *told)
    for spoken in SPEECHES:
        for name, make in (
            ("feed.atom", feeds.atom),
            ("feed.rss", feeds.rss),
            ("feed.json", feeds.json_feed),
        ):
            yield Planned(
                f"{spoken.language}/{name}",
                depends,
                lambda make=make, spoken=spoken: make(  # type: ignore[misc]
                    site, spoken, fragments.entries(told, site, spoken)
                ),
            )


def _rest(site: Site, default: Language, around: tuple[object, ...]) -> Iterator[Planned]:
    names = tuple((component.id, component.name) for component in site.components.values())
    for language in LANGUAGES:
        for incident in site.incidents:
            yield Planned(
                f"{language}/incidents/{incident.id}/index.html",
                (around, incident, names),
                lambda language=language, incident=incident: views.incident_page(site, language, incident),  # type: ignore[misc]
                language,
            )
        yield Planned(
            f"{language}/subscribe/index.html",
            (around, names, site.groups),
            lambda language=language: forms.subscribe_page(site, language),  # type: ignore[misc]
            language,
        )
    yield Planned(
        "404.html",
        (around, default),
        lambda: forms.missing_page(site, default, frame.root_of(site)),
        default,
    )
