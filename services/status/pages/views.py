"""Each kind of page as HTML: what its template is given. Bytes depend on the Site and the language only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from markupsafe import Markup

from services.status.pages import texts
from services.status.pages.bars import bars, month_rows, rows, summary
from services.status.pages.frame import Where, below, first_of, legend, page, title_of
from services.status.pages.language import Speech, speech
from services.status.pages.lines import called, isolated, names, placed, state_text
from services.status.pages.overall import Overall, counted, counts, overall, sentence, state_of, worst_of
from services.status.site import Component, Group, Incident, Language, Maintenance, Site

GROUPED_OVER = 40
"""With more components than this the front page shows groups, so that it stays small on a bad line."""


def front(
    site: Site, language: Language, lines: Mapping[str, str], not_up: str, latest: str, where: Where
) -> bytes:
    """The first page. `lines`: by a group's id, those of its components (where grouped, its own)."""
    spoken = speech(language)
    whole = overall(site)
    grouped = len(site.components) > GROUPED_OVER
    found = whole.counts
    more = found.down + found.unmeasured + found.silent - NOT_UP
    sections = (
        [("", "".join(lines[group.id] for group in site.groups), whole.state)]
        if grouped
        else [
            (spoken.label(group.name), lines[group.id], whole.state)
            for group in site.groups
            if lines[group.id]
        ]
    )
    return page(
        site,
        spoken,
        "front.html",
        where,
        here="status",
        title=title_of(site, spoken),
        about=sentence(whole, spoken),
        state=whole.state,
        sentence=sentence(whole, spoken),
        also=_also(whole, spoken),
        incidents=[
            (incident, _placed_names(site, incident.components, spoken, where))
            for incident in site.incidents
            if incident.resolved_at is None
        ],
        works=[
            (work, _placed_names(site, work.components, spoken, where))
            for work in reversed(site.maintenance)
            if work.phase in ("announced", "running")
        ][:20],
        grouped=grouped,
        not_up=placed(not_up, where.way),
        not_up_more=spoken.say("others_more", n=more) if not_up and more > 0 else "",
        groups=[(name, placed(text, where.way), state) for name, text, state in sections if text],
        has_bars=bool(site.components) and not grouped,
        legend=legend(language),
        latest=placed(latest, where.way),
    )


NOT_UP = 20
"""How many components that are not up a grouped front page names."""


def _also(whole: Overall, spoken: Speech) -> str:
    missing = whole.counts.unmeasured + whole.counts.silent
    return spoken.count("also_unmeasured", missing) if whole.state == "down" and missing else ""


def group_page(site: Site, language: Language, group: Group, lines: str, has_bars: bool) -> bytes:
    """A group's components."""
    spoken = speech(language)
    where = below(f"groups/{group.id}/")
    found = counts(site.components[name] for name in group.components if name in site.components)
    heading = spoken.label(group.name) or spoken.say("ungrouped")
    return page(
        site,
        spoken,
        "group.html",
        where,
        title=f"{heading} · {title_of(site, spoken)}",
        heading=heading,
        state=worst_of(found),
        counted=counted(found, spoken),
        lines=placed(lines, where.way),
        has_bars=has_bars,
        legend=legend(language),
    )


def component_page(
    site: Site,
    language: Language,
    component: Component,
    incidents: Sequence[Incident],
    works: Sequence[Maintenance],
    group_name: Mapping[str, str] | None,
) -> bytes:
    """A component: condition, days, months against the promise, cuts."""
    spoken = speech(language)
    where = below(f"components/{component.id}/")
    name = called(component, spoken)
    corrected = any(month.corrected for month in component.months)
    corrected = corrected or any(part.corrected for part in component.days)
    corrected = corrected or any(part.corrected for part in component.cuts)
    return page(
        site,
        spoken,
        "component.html",
        where,
        title=f"{name} · {title_of(site, spoken)}",
        heading=texts.shown(spoken.pick(component.name)) or component.id,
        heading_short=isolated(name),
        group_name=spoken.label(group_name) if group_name else "",
        component=component,
        state=state_of(component),
        state_text=state_text(component, spoken),
        incidents=incidents,
        works=works,
        bars=bars(component, spoken),
        summary=summary(component, spoken),
        rows=rows(component, spoken),
        month_rows=month_rows(component, spoken, where.way),
        legend=legend(language),
        corrected=corrected,
    )


def history_page(
    site: Site,
    language: Language,
    month: date,
    months: Sequence[date],
    days: Sequence[tuple[date, str]],
    links: Sequence[tuple[date, int]] = (),
    day: date | None = None,
) -> bytes:
    """A month's changes by local day, newest first; or one `day` of a month that has too many (`links`)."""
    spoken = speech(language)
    where = below(f"history/{month:%Y-%m}/" + (f"{day:%d}/" if day else ""))
    heading = spoken.say("history_of", month=spoken.day(day) if day else spoken.month(month))
    return page(
        site,
        spoken,
        "history.html",
        where,
        here="history",
        title=f"{heading} · {title_of(site, spoken)}",
        heading=heading,
        months=months,
        shown_month=month,
        whole=day is None,
        incidents=[
            (incident, _placed_names(site, incident.components, spoken, where))
            for incident in site.incidents
            if day is None and first_of(incident.opened_at, site.zone) == month
        ],
        works=[
            (work, _placed_names(site, work.components, spoken, where))
            for work in site.maintenance
            if day is None and first_of(work.starts_at, site.zone) == month
        ],
        days=[(day, placed(text, where.way)) for day, text in days],
        links=links,
    )


def incident_page(site: Site, language: Language, incident: Incident) -> bytes:
    """An incident with all its updates."""
    spoken = speech(language)
    where = below(f"incidents/{incident.id}/")
    name = spoken.label(incident.title) or spoken.say("incident")
    return page(
        site,
        spoken,
        "incident.html",
        where,
        title=f"{name} · {title_of(site, spoken)}",
        heading=texts.shown(spoken.pick(incident.title)) or name,
        incident=incident,
        affected=_placed_names(site, incident.components, spoken, where),
    )


def _placed_names(site: Site, components: Sequence[str], spoken: Speech, where: Where) -> Markup:
    return placed(names(site, components, spoken), where.way)
