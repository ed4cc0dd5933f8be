"""The work list and each request as plain pages: no scripts, nothing from elsewhere, no forms. What staff do
they do with `garant desk` or the API, so a page that a stranger's link opens can change nothing.
"""

from __future__ import annotations

import base64
from datetime import date, datetime, timedelta
from hashlib import sha256
from importlib.resources import files
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import FastAPI, Path
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from sqlalchemy import Engine

from services.support import bodies, requests
from services.support.settings import SupportSettings
from services.support.spans import minutes_in_words
from services.support.standing import said
from services.support.worklist import Line, Quota, Worklist, worklist
from shared.database import Clock, reading

_STYLE = files("services.support").joinpath("templates/desk.css").read_text()
_STYLE_DIGEST = base64.b64encode(sha256(_STYLE.encode()).digest()).decode()

_HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_DIGEST}'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_environment = Environment(
    loader=PackageLoader("services.support"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def add_pages(api: FastAPI, engine: Engine, settings: SupportSettings, clock: Clock, may: list[Any]) -> None:
    """Adds GET / and /tickets/{ticket}/page."""

    @api.get("/", dependencies=may, tags=["pages"], response_class=HTMLResponse)
    def desk() -> HTMLResponse:
        """The work list as a page."""
        with reading(engine) as connection:
            return HTMLResponse(desk_page(worklist(connection, clock()), settings.zone), headers=_HEADERS)

    @api.get("/tickets/{ticket}/page", dependencies=may, tags=["pages"], response_class=HTMLResponse)
    def ticket(ticket: Annotated[str, Path(pattern=bodies.ID)]) -> HTMLResponse:
        """One request as a page, with its thread."""
        now = clock()
        with reading(engine) as connection:
            found = requests.about(connection, ticket, now)
        return HTMLResponse(ticket_page(found, now, settings.zone), headers=_HEADERS)


def desk_page(found: Worklist, zone: str) -> str:
    """HTML of the work list, its times those of `zone`."""
    return _render("desk.html", zone, found.now, list=found, share=_share, a_day=timedelta(days=1))


def ticket_page(found: requests.About, now: int, zone: str) -> str:
    """HTML of one request at `now` (ms)."""
    return _render(
        "ticket.html",
        zone,
        now,
        request=found.request,
        thread=_thread(found),
        letters=found.letters,
        work=found.work,
        facts=found.facts,
    )


def _thread(found: requests.About) -> list[dict[str, Any]]:
    """Mails and letters in the order they came and went."""
    mails = [
        {
            "at": one.received_at,
            "who": one.sender_name or one.sender,
            "address": one.sender if one.sender_name else None,
            "what": f"message {one.message}, {one.state}",
            "subject": one.subject,
            "text": one.text,
            "ours": one.state == "staff",
        }
        for one in found.messages
    ]
    written = [
        {
            "at": one.created_at,
            "who": "Our letter",
            "address": one.recipient,
            "what": f"{one.purpose}, {one.state}",
            "subject": None,
            "text": one.text,
            "ours": True,
        }
        for one in found.letters
    ]
    return sorted(mails + written, key=lambda one: one["at"])


def _render(template: str, zone: str, now: int, **values: object) -> str:
    local = ZoneInfo(zone)

    def moment(ms: int) -> str:
        return datetime.fromtimestamp(ms // 1_000, local).strftime("%a %d.%m.%Y %H:%M")

    def sign(line: Line | requests.Request) -> str:
        return said(line.standing, line.due_at, now)

    return _environment.get_template(template).render(
        style=_STYLE,
        moment=moment,
        sign=sign,
        day=_day,
        minutes=minutes_in_words,
        plural=_plural,
        **values,
    )


def _day(day: date) -> str:
    return day.strftime("%d.%m.%Y")


def _plural(count: int, one: str, several: str) -> str:
    return f"{count} {one if count == 1 else several}"


def _share(quota: Quota) -> int:
    """How much is used, in percent of the bar."""
    if quota.quota_minutes <= 0:
        return 100 if quota.used_minutes else 0
    return min(100, quota.used_minutes * 100 // quota.quota_minutes)
