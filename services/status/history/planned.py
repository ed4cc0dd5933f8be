"""Planned maintenance as the public sees it: one for each that was announced, over all it touches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date

from services.sla.terms import Version
from services.sla.timeline import NEVER
from services.sla.timeline import Maintenance as Announced
from services.status.configuration import ComponentConfig
from services.status.history.conditions import public_id
from services.status.history.watched import Watched
from services.status.site import Maintenance, Phase
from shared import calendar
from shared.time import HOUR


def planned(
    components: Iterable[ComponentConfig],
    targets: Mapping[str, Watched],
    now: int,
    zone: str,
    terms_of: Callable[[date], Version],
) -> list[Maintenance]:
    """Every maintenance of `components` at `now` (ms), newest first. Of one that targets have at different
    times, from the first start to the last end."""
    found: dict[str, tuple[list[Announced], list[str]]] = {}
    for component in components:
        for target in component.targets:
            for name, announced in targets[target].line.maintenance.items():
                each, concerned = found.setdefault(name, ([], []))
                each.append(announced)
                if component.id not in concerned:
                    concerned.append(component.id)
    result = [_maintenance(name, *parts, now, zone, terms_of) for name, parts in found.items()]
    return sorted(result, key=lambda one: (-one.starts_at, one.id))


def _maintenance(
    name: str,
    parts: list[Announced],
    concerned: list[str],
    now: int,
    zone: str,
    terms_of: Callable[[date], Version],
) -> Maintenance:
    starts_at = min(part.starts_at for part in parts)
    taking_place = [part for part in parts if not _called_off(part)]
    ends_at = max(_ends_at(part) for part in taking_place or parts) if taking_place else parts[0].ends_at
    if not taking_place:
        phase = Phase.CANCELLED
    elif now < starts_at:
        phase = Phase.ANNOUNCED
    else:
        phase = Phase.RUNNING if now < ends_at else Phase.DONE
    return Maintenance(
        public_id("maintenance", name),
        tuple(concerned),
        starts_at,
        ends_at,
        min(part.announced_at for part in parts),
        phase,
        all(_excluded(part, zone, terms_of) for part in taking_place) and bool(taking_place),
    )


def _called_off(part: Announced) -> bool:
    return part.cancelled_at is not None and part.cancelled_at <= part.starts_at


def _ends_at(part: Announced) -> int:
    return part.ends_at if part.cancelled_at is None else min(part.ends_at, part.cancelled_at)


def _excluded(part: Announced, zone: str, terms_of: Callable[[date], Version]) -> bool:
    month = calendar.month_of(calendar.local_date(part.starts_at, zone))
    rule = terms_of(month).terms.uptime.maintenance
    return rule.excluded and part.starts_at - part.announced_at >= rule.notice_hours * HOUR


def is_running(watched: Iterable[Watched], now: int) -> bool:
    """Whether any of these targets is under maintenance at `now` (ms)."""
    return any(
        part.starts_at <= now < _ends_at(part) for each in watched for part in each.line.maintenance.values()
    )


def next_edge(watched: Iterable[Watched], now: int) -> int:
    """The next instant (ms) after `now` at which a maintenance begins or ends by itself, or NEVER."""
    edges = (
        edge
        for each in watched
        for part in each.line.maintenance.values()
        for edge in (part.starts_at, _ends_at(part))
        if edge > now
    )
    return min(edges, default=NEVER)
