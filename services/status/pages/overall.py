"""The state of the whole in one word and one sentence: never better than what is known."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from services.status.pages.language import Speech
from services.status.site import Component, Condition, Site

State = Literal["up", "down", "unmeasured", "silent", "maintenance", "incident", "nothing"]


class Counts(Struct, frozen=True):
    """How many components are what."""

    total: int
    down: int
    unmeasured: int
    silent: int
    maintenance: int


class Overall(Struct, frozen=True):
    state: State
    counts: Counts
    worst: Component | None
    """The component that it is about, where it is only one."""


def counts(components: Iterable[Component]) -> Counts:
    """How many of some components are what."""
    every = list(components)
    conditions = [component.condition for component in every]
    return Counts(
        total=len(every),
        down=conditions.count(Condition.DOWN),
        unmeasured=conditions.count(Condition.UNMEASURED),
        silent=conditions.count(Condition.SILENT),
        maintenance=sum(component.maintenance_now for component in every),
    )


def state_of(component: Component) -> State:
    """What a component is shown as: maintenance only where it is not down and somebody can say so."""
    if component.condition is Condition.UP and component.maintenance_now:
        return "maintenance"
    return component.condition.value


def worst_of(found: Counts) -> State:
    """What some components are together."""
    if not found.total:
        return "nothing"
    if found.down:
        return "down"
    if found.unmeasured or found.silent:
        return "silent" if found.silent == found.total else "unmeasured"
    return "maintenance" if found.maintenance else "up"


def overall(site: Site) -> Overall:
    """The state of the whole page: silence first, then the worst component, then incidents staff work on."""
    found = counts(site.components.values())
    state = worst_of(found)
    if site.silent and found.total:
        state = "silent"
    elif state in ("up", "maintenance") and any(
        incident.resolved_at is None and incident.impact != "none" for incident in site.incidents
    ):
        state = "incident"
    about = None
    if state in ("down", "unmeasured"):
        kinds = (Condition.DOWN,) if state == "down" else (Condition.UNMEASURED, Condition.SILENT)
        concerned = [component for component in site.components.values() if component.condition in kinds]
        about = concerned[0] if len(concerned) == 1 else None
    return Overall(state=state, counts=found, worst=about)


def sentence(whole: Overall, spoken: Speech) -> str:
    """The state of the whole in one sentence."""
    found = whole.counts
    if whole.state == "down":
        if found.total > 1 and found.down == found.total:
            return spoken.say("overall_all_down")
        if whole.worst:
            return spoken.say("overall_down_one", name=spoken.label(whole.worst.name) or whole.worst.id)
        return spoken.say("overall_down", n=found.down, total=found.total)
    if whole.state == "unmeasured":
        if whole.worst:
            return spoken.say("overall_unmeasured_one", name=spoken.label(whole.worst.name) or whole.worst.id)
        return spoken.say("overall_unmeasured", n=found.unmeasured + found.silent, total=found.total)
    return spoken.say(f"overall_{whole.state}")


def counted(found: Counts, spoken: Speech) -> str:
    """Counts in words: "1 down, 2 not measured"; "all up"."""
    parts = [
        spoken.say(f"n_{kind}", n=n)
        for kind, n in (("down", found.down), ("unmeasured", found.unmeasured), ("silent", found.silent))
        if n
    ]
    return ", ".join(parts) or spoken.say("all_up")
