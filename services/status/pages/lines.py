"""Fragments that stand on several pages: a component's line, a group's line, an entry of history.

Links begin with HERE, which stands for the way to the language's folder; `placed` puts the way of a page in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from markupsafe import Markup, escape

from services.status.pages.bars import DAYS, bars
from services.status.pages.language import Speech
from services.status.pages.overall import Counts, State, counted, state_of, worst_of
from services.status.pages.texts import trusted
from services.status.site import Change, Component, Condition, Group, Month, Site

HERE = "\x00"
"""Stands for the way to the language's folder; no shown text holds it (texts.clean)."""

_ICONS: Mapping[str, str] = {
    "up": '<circle cx="8" cy="8" r="7"/><path d="M4.6 8.3 7 10.7l4.5-5.2"/>',
    "down": '<path class="f" d="M5 1h6l4 4v6l-4 4H5l-4-4V5z"/><path d="m5.3 5.3 5.4 5.4m0-5.4-5.4 5.4"/>',
    "unmeasured": '<circle class="h" cx="8" cy="8" r="6.4"/><path class="s" d="M4.8 8h6.4"/>',
    "silent": '<circle class="h" cx="8" cy="8" r="6.4"/><path class="s" d="M8 4.2V8.6M8 11v.6"/>',
    "maintenance": '<path class="f" d="m8 .6 7.4 7.4L8 15.4.6 8z"/><path d="M8 4.4v4.4m0 2v.6"/>',
    "incident": '<path class="f" d="M8 1 15.6 14.6H.4z"/><path d="M8 5.6v4.2m0 2v.6"/>',
}
_ICONS = {**_ICONS, "nothing": _ICONS["unmeasured"]}


def icon(state: str) -> Markup:
    """The sign of a state: each has its own outline, so that it is known without colour."""
    return trusted(f'<svg class="i {state}" viewBox="0 0 16 16" aria-hidden="true">{_ICONS[state]}</svg>')


def placed(html: str, way: str) -> Markup:
    """Fragments with their links made relative to a page: `way` leads from it to the language's folder."""
    return trusted(html.replace(HERE, way))


def isolated(text: str) -> Markup:
    """A name that cannot turn the direction of what stands around it."""
    return Markup("<bdi>") + escape(text) + Markup("</bdi>")


def named(component: Component, spoken: Speech) -> Markup:
    """A component's name with a link to its page."""
    way = f"{HERE}components/{quote(component.id)}/"
    return trusted(f'<a href="{way}">{isolated(called(component, spoken))}</a>')


def called(component: Component, spoken: Speech) -> str:
    """A component's name in one line; its id where it has none."""
    return spoken.label(component.name) or component.id


def names(site: Site, components: Sequence[str], spoken: Speech) -> Markup:
    """The names of components in a sentence; those no longer public are left out, many are cut short."""
    known = [site.components[name] for name in components if name in site.components]
    parts: list[str] = [named(component, spoken) for component in known[:8]]
    if len(known) > 8:
        parts.append(spoken.say("others_more", n=len(known) - 8))
    return trusted(", ".join(parts))


def state_text(component: Component, spoken: Speech) -> str:
    """What a component is, in a word."""
    state = state_of(component)
    return spoken.say("maintenance_now" if state == "maintenance" else state)


def month_text(month: Month, spoken: Speech) -> Markup:
    """A month's figure beside its coverage against the promise: "99.973 % this month so far · ..."."""
    figure = month.figure
    if figure.uptime_percent is None:
        return escape(spoken.say("not_measured_yet"))
    result = ("kept" if month.met else "missed") + ("" if month.over else "_so_far")
    parts = [
        Markup("<b>")
        + escape(spoken.percent(figure.uptime_percent))
        + Markup("</b> ")
        + escape(spoken.say("this_month" if month.over else "this_month_so_far")),
        escape(spoken.say("figure_coverage", percent=spoken.percent(figure.coverage_percent or "0.000"))),
        escape(spoken.say("promised", percent=spoken.percent(month.target_percent)) + spoken.words["colon"])
        + Markup('<span class="{}">{}</span>').format("kept" if month.met else "missed", spoken.say(result)),
    ]
    if month.corrected:
        parts.append(escape(spoken.say("corrected")))
    return Markup(" · ").join(parts)


def component_line(component: Component, spoken: Speech, with_bars: bool, zone: str) -> str:
    """A component on a page with others: name, condition, this month's figure, its bars."""
    state = state_of(component)
    head = (
        f'<li class="line"><div class="head"><h3>{named(component, spoken)}</h3>'
        f'<span class="state {state}">{icon(state)}{escape(state_text(component, spoken))}</span></div>'
    )
    parts = [month_text(component.months[0], spoken)] if component.months else []
    if component.since is not None and component.condition in (Condition.DOWN, Condition.UNMEASURED):
        since = spoken.mark("since", time=spoken.when(component.since, zone))
        parts.insert(0, Markup("<strong>{}</strong> {}").format(state_text(component, spoken), since))
    month = Markup('<p class="figure">{}</p>').format(Markup(" · ").join(parts)) if parts else ""
    if not with_bars:
        return f"{head}{month}</li>\n"
    return (
        f'{head}{bars(component, spoken)}<div class="ends" aria-hidden="true">'
        f"<span>{spoken.count('days_ago', DAYS - 1)}</span><span>{spoken.say('today')}</span></div>"
        f"{month}</li>\n"
    )


def group_line(group: Group, found: Counts, spoken: Speech) -> str:
    """A group on a front page that is too small for its components: worst condition and how many are what."""
    state: State = worst_of(found)
    name = spoken.label(group.name) or spoken.say("ungrouped")
    return (
        f'<li class="line"><div class="head">'
        f'<h3><a href="{HERE}groups/{quote(group.id)}/">{isolated(name)}</a></h3>'
        f'<span class="state {state}">{icon(state)}{escape(counted(found, spoken))}</span></div>'
        f'<p class="figure">{escape(spoken.count("components", found.total))}</p></li>\n'
    )


def change_line(change: Change, site: Site, spoken: Speech) -> str:
    """An entry of history: what became what, when, when it was certain, and why."""
    component = site.components.get(change.component)
    if component is None:
        return ""
    state = change.condition.value
    details = []
    if change.before is not Condition.SILENT:
        before = spoken.say(f"before_{change.before.value}")
        details.append(escape(spoken.say("change_before", condition=before)))
    if change.confirmed_at != change.at and not change.corrected:
        details.append(spoken.mark("change_confirmed", time=spoken.when(change.confirmed_at, site.zone)))
    if change.condition is Condition.DOWN and change.causes:
        details.append(escape(spoken.say("cause", causes=spoken.causes(change.causes))))
    if change.corrected:
        details.append(escape(spoken.say("change_stated")))
    mark = f' <small class="corrected">{escape(spoken.say("corrected"))}</small>' if change.corrected else ""
    return (
        f'<li class="entry" id="c-{quote(change.id)}">{icon(state)}<div><p>{named(component, spoken)}'
        f"{escape(spoken.words['colon'])}"
        f'<strong class="{state}">{escape(spoken.say(f"change_{state}"))}</strong>{mark} '
        f"{spoken.when(change.at, site.zone)}</p>"
        f'<p class="more">{Markup(" · ").join(details)}</p></div></li>\n'
    )
