"""The same for machines, in the shape of Statuspage's public API v2, which existing clients read.

That shape has no word for "nobody can say". Such a component is `degraded_performance` there, neither
operational nor an outage; the `garant` object beside it says what it is, with this month's figure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

import msgspec

from services.status.pages.language import Speech, machine
from services.status.pages.overall import counts as counted
from services.status.pages.overall import overall, state_of, worst_of
from services.status.pages.texts import clean
from services.status.site import Component, Condition, Group, Incident, Maintenance, Phase, Site, Update

_STATUS = {
    "up": "operational",
    "down": "major_outage",
    "unmeasured": "degraded_performance",
    "silent": "degraded_performance",
    "maintenance": "under_maintenance",
    "nothing": "operational",
}
_PHASES = {
    Phase.ANNOUNCED: "scheduled",
    Phase.RUNNING: "in_progress",
    Phase.DONE: "completed",
    Phase.CANCELLED: "completed",
}
_CLOSED = (Phase.DONE, Phase.CANCELLED)
_encode = msgspec.json.Encoder().encode


def documents(site: Site, spoken: Speech) -> Iterator[tuple[str, bytes]]:
    """Each document's path below api/v2 and its bytes; names and texts in the language spoken."""
    page = {
        "id": "garant",
        "name": clean(spoken.pick(site.product) or site.vendor),
        "url": site.url,
        "time_zone": site.zone,
        "updated_at": machine(site.written_at),
    }
    head = {"page": page}
    status = {"status": _status(site)}
    components = {"components": list(_components(site, spoken))}
    by_id = {entry["id"]: entry for entry in components["components"]}
    incidents = [(incident, _incident(incident, spoken, by_id, site.url)) for incident in site.incidents]
    works = [(work, _maintenance(work, spoken, by_id, site)) for work in site.maintenance]
    running = [shape for incident, shape in incidents if incident.resolved_at is None]
    planned = [shape for work, shape in works if work.phase not in _CLOSED]
    upcoming = [shape for work, shape in works if work.phase is Phase.ANNOUNCED]
    active = [shape for work, shape in works if work.phase is Phase.RUNNING]
    summary = {**head, **components, "incidents": running, "scheduled_maintenances": planned, **status}
    yield "summary.json", _encode(summary)
    yield "status.json", _encode({**head, **status})
    yield "components.json", _encode({**head, **components})
    yield "incidents.json", _encode({**head, "incidents": [shape for _, shape in incidents]})
    yield "incidents/unresolved.json", _encode({**head, "incidents": running})
    every = {**head, "scheduled_maintenances": [shape for _, shape in works]}
    yield "scheduled-maintenances.json", _encode(every)
    yield "scheduled-maintenances/upcoming.json", _encode({**head, "scheduled_maintenances": upcoming})
    yield "scheduled-maintenances/active.json", _encode({**head, "scheduled_maintenances": active})


def _status(site: Site) -> dict[str, str]:
    whole = overall(site)
    found = whole.counts
    if whole.state == "down":
        everything = found.down == found.total
        indicator = "critical" if everything else "major"
        description = "Major System Outage" if everything else "Partial System Outage"
    elif whole.state in ("unmeasured", "silent"):
        indicator, description = "minor", "State Not Known"
    elif whole.state == "incident":
        open_ones = [incident.impact for incident in site.incidents if incident.resolved_at is None]
        indicator = max(open_ones, key=("none", "minor", "major", "critical").index)
        description = "Incident Under Way"
    elif whole.state == "maintenance":
        indicator, description = "maintenance", "Service Under Maintenance"
    else:
        indicator, description = "none", "All Systems Operational"
    return {"indicator": indicator, "description": description}


def _components(site: Site, spoken: Speech) -> Iterator[dict[str, Any]]:
    position = 0
    for group in site.groups:
        members = [site.components[name] for name in group.components if name in site.components]
        headed = bool(spoken.pick(group.name))
        if headed:
            position += 1
            yield _group(group, members, position, spoken)
        for component in members:
            position += 1
            yield _component(component, position, group.id if headed else None, spoken)


def _group(group: Group, members: list[Component], position: int, spoken: Speech) -> dict[str, Any]:
    state = worst_of(counted(members))
    changed = max((member.since or 0 for member in members), default=0)
    return {
        "id": f"group-{group.id}",
        "name": clean(spoken.pick(group.name)),
        "status": _partly(state, members),
        "created_at": None,
        "updated_at": machine(changed) if changed else None,
        "position": position,
        "description": None,
        "showcase": False,
        "start_date": None,
        "group_id": None,
        "page_id": "garant",
        "group": True,
        "only_show_if_degraded": False,
        "components": [member.id for member in members],
    }


def _partly(state: str, members: list[Component]) -> str:
    if state == "down" and any(member.condition is not Condition.DOWN for member in members):
        return "partial_outage"
    return _STATUS[state]


def _component(component: Component, position: int, group: str | None, spoken: Speech) -> dict[str, Any]:
    first = next((day.day for day in component.days if day.figure.window_ms > 0), None)
    if component.months:
        first = min(component.months[-1].month, first or date.max)
    month = component.months[0] if component.months else None
    return {
        "id": component.id,
        "name": clean(spoken.pick(component.name)),
        "status": _STATUS[state_of(component)],
        "created_at": f"{first}T00:00:00.000Z" if first else None,
        "updated_at": None if component.since is None else machine(component.since),
        "position": position,
        "description": clean(spoken.pick(component.description)) or None,
        "showcase": True,
        "start_date": str(first) if first else None,
        "group_id": None if group is None else f"group-{group}",
        "page_id": "garant",
        "group": False,
        "only_show_if_degraded": False,
        "garant": {
            "condition": component.condition.value,
            "since": None if component.since is None else machine(component.since),
            "as_of": None if component.as_of is None else machine(component.as_of),
            "maintenance": component.maintenance_now,
            "month": None if month is None else f"{month.month:%Y-%m}",
            "uptime_percent": None if month is None else month.figure.uptime_percent,
            "coverage_percent": None if month is None else month.figure.coverage_percent,
            "target_percent": None if month is None else month.target_percent,
            "met": None if month is None else month.met,
        },
    }


def _incident(
    incident: Incident, spoken: Speech, components: Mapping[str, dict[str, Any]], url: str
) -> dict[str, Any]:
    updates = [_update(update, incident, spoken) for update in incident.updates]
    watched = [update.at for update in incident.updates if update.status == "monitoring"]
    return {
        "id": incident.id,
        "name": clean(spoken.pick(incident.title)),
        "status": incident.updates[0].status,
        "created_at": machine(incident.opened_at),
        "updated_at": machine(incident.updates[0].at),
        "monitoring_at": machine(min(watched)) if watched else None,
        "resolved_at": None if incident.resolved_at is None else machine(incident.resolved_at),
        "impact": incident.impact,
        "shortlink": f"{url}/{spoken.language}/incidents/{incident.id}/",
        "started_at": machine(incident.opened_at),
        "page_id": "garant",
        "incident_updates": updates,
        "components": [components[name] for name in incident.components if name in components],
    }


def _update(update: Update, incident: Incident, spoken: Speech) -> dict[str, Any]:
    at = machine(update.at)
    return {
        "id": update.id,
        "status": update.status,
        "body": clean(spoken.pick(update.text)),
        "incident_id": incident.id,
        "created_at": at,
        "updated_at": at,
        "display_at": at,
        "affected_components": None,
    }


def _maintenance(
    work: Maintenance, spoken: Speech, components: Mapping[str, dict[str, Any]], site: Site
) -> dict[str, Any]:
    status = _PHASES[work.phase]
    announced = machine(work.announced_at)
    # The last thing known of it that is not in the future.
    changed = machine(
        max(at for at in (work.announced_at, work.starts_at, work.ends_at) if _past(at, work, site))
    )
    concerned = [components[name] for name in work.components if name in components]
    text = spoken.say(f"phase_{work.phase.value}")
    return {
        "id": work.id,
        "name": spoken.say("maintenance_of", names=spoken.listed([entry["name"] for entry in concerned])),
        "status": status,
        "created_at": announced,
        "updated_at": changed,
        "monitoring_at": None,
        "resolved_at": machine(work.ends_at) if work.phase in _CLOSED else None,
        "impact": "maintenance",
        "shortlink": f"{site.url}/{spoken.language}/history/",
        "started_at": announced,
        "page_id": "garant",
        "incident_updates": [
            {
                "id": f"{work.id}-{work.phase.value}",
                "status": status,
                "body": text,
                "incident_id": work.id,
                "created_at": changed,
                "updated_at": changed,
                "display_at": changed,
                "affected_components": None,
            }
        ],
        "components": concerned,
        "scheduled_for": machine(work.starts_at),
        "scheduled_until": machine(work.ends_at),
    }


def _past(at: int, work: Maintenance, site: Site) -> bool:
    return at == work.announced_at or at <= site.written_at
