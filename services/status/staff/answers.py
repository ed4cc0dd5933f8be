"""What callers of the HTTP API get about incidents: instants in UTC."""

from __future__ import annotations

from pydantic import BaseModel, Field

from services.status import site
from services.status.site import Impact, Language, Status
from shared.time import Instant, format_instant


class Problem(BaseModel):
    detail: str


class ShownUpdate(BaseModel):
    update: str
    at: str
    status: Status
    text: dict[Language, str]


class ShownIncident(BaseModel):
    incident: str
    title: dict[Language, str]
    impact: Impact
    status: Status
    components: list[str]
    opened_at: str
    resolved_at: str | None = Field(description="null: it lasts")
    updates: list[ShownUpdate] = Field(description="The newest first")
    url: str = Field(description="Where people read it")


def incident(found: site.Incident, page_url: str) -> ShownIncident:
    """The incident as it is answered; people read it under `page_url`."""
    updates = [
        ShownUpdate(
            update=one.id,
            at=format_instant(Instant(one.at)),
            status=one.status,
            text={language: one.text[language] for language in site.LANGUAGES},
        )
        for one in found.updates
    ]
    resolved = found.resolved_at
    return ShownIncident(
        incident=found.id,
        title={language: found.title[language] for language in site.LANGUAGES},
        impact=found.impact,
        status=found.updates[0].status,
        components=list(found.components),
        opened_at=format_instant(Instant(found.opened_at)),
        resolved_at=None if resolved is None else format_instant(Instant(resolved)),
        updates=updates,
        url=f"{page_url}/incidents/{found.id}/",
    )
