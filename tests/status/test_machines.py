"""What machines read: the documents in Statuspage's shape, and badges."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from services.status.pages import Pages
from services.status.site import Condition, Site
from tests.status import sites

ComponentStatus = Literal[
    "operational", "degraded_performance", "partial_outage", "major_outage", "under_maintenance"
]


class PageShape(msgspec.Struct):
    id: str
    name: str
    url: str
    time_zone: str
    updated_at: str


class StatusShape(msgspec.Struct):
    indicator: Literal["none", "minor", "major", "critical", "maintenance"]
    description: str


class ComponentShape(msgspec.Struct):
    """A component as existing clients declare it: every field is there, of these types."""

    id: str
    name: str
    status: ComponentStatus
    created_at: str | None
    updated_at: str | None
    position: int
    description: str | None
    showcase: bool
    start_date: str | None
    group_id: str | None
    page_id: str
    group: bool
    only_show_if_degraded: bool


class UpdateShape(msgspec.Struct):
    id: str
    status: str
    body: str
    incident_id: str
    created_at: str
    updated_at: str
    display_at: str


class IncidentShape(msgspec.Struct):
    id: str
    name: str
    status: Literal["investigating", "identified", "monitoring", "resolved"]
    created_at: str
    updated_at: str
    monitoring_at: str | None
    resolved_at: str | None
    impact: Literal["none", "minor", "major", "critical"]
    shortlink: str
    page_id: str
    incident_updates: list[UpdateShape]
    components: list[ComponentShape]


class MaintenanceShape(msgspec.Struct):
    id: str
    name: str
    status: Literal["scheduled", "in_progress", "verifying", "completed"]
    created_at: str
    updated_at: str
    resolved_at: str | None
    impact: Literal["maintenance"]
    shortlink: str
    incident_updates: list[UpdateShape]
    components: list[ComponentShape]
    scheduled_for: str
    scheduled_until: str


class Summary(msgspec.Struct):
    page: PageShape
    status: StatusShape
    components: list[ComponentShape]
    incidents: list[IncidentShape]
    scheduled_maintenances: list[MaintenanceShape]


def summary(site: Site, folder: Path) -> Summary:
    Pages(folder, "en").write(site)
    return msgspec.json.decode((folder / "api/v2/summary.json").read_bytes(), type=Summary)


@pytest.mark.parametrize("name", sites.ALL)
def test_every_site_has_the_shape_that_clients_read(name: str, tmp_path: Path) -> None:
    made = summary(sites.ALL[name](), tmp_path)

    assert [one.position for one in made.components] == list(range(1, len(made.components) + 1))
    groups = {one.id for one in made.components if one.group}
    assert {one.group_id for one in made.components if one.group_id} <= groups


@pytest.mark.parametrize(
    ("name", "indicator", "description"),
    [
        ("all-up", "none", "All Systems Operational"),
        ("one-down", "major", "Partial System Outage"),
        ("unmeasured", "minor", "State Not Known"),
        ("silent", "minor", "State Not Known"),
        ("maintenance", "maintenance", "Service Under Maintenance"),
    ],
)
def test_the_whole_is_said_in_the_words_of_that_shape(
    name: str, indicator: str, description: str, tmp_path: Path
) -> None:
    made = summary(sites.ALL[name](), tmp_path)

    assert (made.status.indicator, made.status.description) == (indicator, description)


def test_everything_down_is_critical(tmp_path: Path) -> None:
    every = [msgspec.structs.replace(one, condition=Condition.DOWN) for one in sites.usual()]

    assert summary(sites.site(every), tmp_path).status.indicator == "critical"


def test_what_nobody_can_say_is_neither_operational_nor_an_outage(tmp_path: Path) -> None:
    made = summary(sites.unmeasured(), tmp_path)

    raw: Any = msgspec.json.decode((tmp_path / "api/v2/components.json").read_bytes())
    mail = next(one for one in raw["components"] if one["id"] == "mail")
    assert mail["status"] == "degraded_performance"
    assert mail["garant"]["condition"] == "unmeasured"
    assert [one.status for one in made.components if one.id == "web"] == ["operational"]


def test_this_months_figure_stands_beside_each_component(tmp_path: Path) -> None:
    summary(sites.one_down(), tmp_path)

    raw: Any = msgspec.json.decode((tmp_path / "api/v2/components.json").read_bytes())
    api = next(one for one in raw["components"] if one["id"] == "api")["garant"]
    assert api == {
        "condition": "down",
        "since": "2026-11-28T17:05:10.000Z",
        "as_of": "2026-11-28T17:29:50.000Z",
        "maintenance": False,
        "month": "2026-11",
        "uptime_percent": "99.939",
        "coverage_percent": "100.000",
        "target_percent": "99.5",
        "met": True,
    }


def test_the_summary_has_what_is_open_and_the_lists_have_all(tmp_path: Path) -> None:
    site = msgspec.structs.replace(sites.one_down(), maintenance=sites.maintenance().maintenance)

    made = summary(site, tmp_path)

    lists: dict[str, Any] = {
        name: msgspec.json.decode((tmp_path / f"api/v2/{name}.json").read_bytes())
        for name in (
            *("incidents", "incidents/unresolved", "scheduled-maintenances"),
            *("scheduled-maintenances/upcoming", "scheduled-maintenances/active", "status"),
        )
    }
    assert [one.id for one in made.incidents] == ["i-2"]
    assert [one.id for one in made.scheduled_maintenances] == ["m4", "m3"]
    assert [one["id"] for one in lists["incidents"]["incidents"]] == ["i-2", "i-1"]
    assert [one["id"] for one in lists["incidents/unresolved"]["incidents"]] == ["i-2"]
    works = lists["scheduled-maintenances"]["scheduled_maintenances"]
    assert {one["id"]: one["status"] for one in works} == {
        "m4": "scheduled",
        "m3": "in_progress",
        "m2": "completed",
        "m1": "completed",
    }
    upcoming = lists["scheduled-maintenances/upcoming"]["scheduled_maintenances"]
    assert [one["id"] for one in upcoming] == ["m4"]
    active = lists["scheduled-maintenances/active"]["scheduled_maintenances"]
    assert [one["id"] for one in active] == ["m3"]
    assert lists["status"].keys() == {"page", "status"}
    assert lists["incidents"]["incidents"][0]["components"][0]["status"] == "major_outage"


@pytest.mark.parametrize(
    ("name", "badge", "text"),
    [
        ("all-up", "overall", "status: up"),
        ("one-down", "overall", "status: 1 down"),
        ("one-down", "api", "API: down"),
        ("unmeasured", "mail", "Outgoing mail: not measured"),
        ("silent", "overall", "status: no information"),
        ("maintenance", "base", "Database: maintenance"),
    ],
)
def test_a_badge_says_the_condition_in_words(name: str, badge: str, text: str, tmp_path: Path) -> None:
    Pages(tmp_path, "en").write(sites.ALL[name]())

    assert f'aria-label="{text}"' in (tmp_path / f"badge/{badge}.svg").read_text()
