"""The HTTP API for staff, on a port of its own: incidents. Hooks are added beside them.

Every route but health and metrics wants `Authorization: Bearer TOKEN`. Errors say what to do next.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from sqlalchemy import Engine
from sqlalchemy.exc import InterfaceError, OperationalError

from services.status import metrics
from services.status.settings import TOKEN
from services.status.staff import answers, bodies
from services.status.staff.incidents import (
    Contradiction,
    Nonsense,
    Saying,
    Unknown,
    incident_of,
    incidents_since,
    open_incident,
    update_incident,
)
from shared.database import Clock, reading, writing
from shared.http import Check, Key, add_health, answer_errors, guarded, new_api
from shared.time import DAY

_DESCRIPTION = """What staff write on the status page.

Texts are plain, by language; one that is given stands in for those that are not. Routes that say something
answer 201 where it was new and 200 where it had been said. Under the same `Idempotency-Key` the same thing is
said once, another thing is a 409. Nobody's name is kept or shown."""
_WRONG = (
    (401, "No token, or another one"),
    (404, "There is no such incident"),
    (409, "The key was used to say something else, or the incident does not allow it as it stands"),
    (422, "That cannot be; `detail` says why"),
    (503, "The database does not answer; send it again with the same key"),
)
_AWAY = (
    "The status database does not answer. Nothing was changed; send it again with the same Idempotency-Key."
)

IncidentId = Annotated[str, Path(pattern=r"^[a-z0-9]{1,40}$")]


class Away(RuntimeError):
    """The database was not there yet."""


def build_api(
    engine: Engine,
    token: str,
    clock: Clock,
    components: tuple[str, ...],
    page_url: str,
    there: Callable[[], bool],
    told: Callable[[], None],
    live: Check,
    ready: Check,
    more: Callable[[FastAPI, list[Any]], None] = lambda _api, _may: None,
) -> FastAPI:
    """The application. `components` are the public ids, `page_url` is where people read, in their language;
    `there` says whether the database is, `told` is called when something was said; `more` adds its own routes
    under the same conditions."""
    api = new_api("Garant status")
    api.description = _DESCRIPTION
    api.router.responses = {
        status: {"model": answers.Problem, "description": text} for status, text in _WRONG
    }
    answer_errors(api, {Unknown: 404, Contradiction: 409, Nonsense: 422})
    for kind in (OperationalError, InterfaceError, Away):
        api.add_exception_handler(kind, _away)
    add_health(api, live, ready, metrics.REGISTRY)

    def database() -> None:
        if not there():
            raise Away

    may = [*guarded(TOKEN, token), Depends(database)]
    _incidents(api, engine, clock, components, page_url, told, may)
    more(api, may)
    return api


def _away(_request: Request, _error: Exception) -> Response:
    return JSONResponse({"detail": _AWAY}, 503, {"Retry-After": "5"})


def _incidents(
    api: FastAPI,
    engine: Engine,
    clock: Clock,
    components: tuple[str, ...],
    page_url: str,
    told: Callable[[], None],
    may: list[Any],
) -> None:
    def said(id: str, saying: Saying, response: Response, key: str | None) -> answers.ShownIncident:
        with writing(engine) as connection:
            found, new = update_incident(connection, id, saying, components, clock, key)
        told()
        response.status_code = 201 if new else 200
        return answers.incident(found, page_url)

    @api.post("/incidents", dependencies=may, status_code=201, tags=["incidents"])
    def open_(body: bodies.Open, response: Response, key: Key = None) -> answers.ShownIncident:
        """Opens an incident; it is on the page at once."""
        with writing(engine) as connection:
            found, new = open_incident(connection, body.opening(), components, clock, key)
        told()
        response.status_code = 201 if new else 200
        return answers.incident(found, page_url)

    @api.post("/incidents/{incident}/updates", dependencies=may, status_code=201, tags=["incidents"])
    def update(
        incident: IncidentId, body: bodies.Say, response: Response, key: Key = None
    ) -> answers.ShownIncident:
        """Adds words to an incident. A status other than resolved opens a resolved one again."""
        return said(incident, body.saying(), response, key)

    @api.post("/incidents/{incident}/resolve", dependencies=may, status_code=201, tags=["incidents"])
    def resolve(
        incident: IncidentId, body: bodies.Resolve, response: Response, key: Key = None
    ) -> answers.ShownIncident:
        """Says that it is over."""
        return said(incident, body.saying(), response, key)

    @api.get("/incidents", dependencies=may, tags=["incidents"])
    def listed(
        open: bool = False, days: Annotated[int, Query(ge=1, le=3_650)] = 90
    ) -> list[answers.ShownIncident]:
        """Those of the last `days`, and all that are open; the newest first. `open`: only these."""
        with reading(engine) as connection:
            found = incidents_since(connection, clock() - days * DAY)
        return [answers.incident(one, page_url) for one in found if not open or one.resolved_at is None]

    @api.get("/incidents/{incident}", dependencies=may, tags=["incidents"])
    def shown(incident: IncidentId) -> answers.ShownIncident:
        """One incident with all that was written."""
        with reading(engine) as connection:
            return answers.incident(incident_of(connection, incident), page_url)
