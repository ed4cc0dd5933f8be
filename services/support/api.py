"""The HTTP API of the desk: what a help desk says about requests, and what staff decide.

Every route but health and the webhook wants `Authorization: Bearer TOKEN`; the pages take it as a password,
too.
Errors say what to do next, and never repeat what was sent: it may be somebody's words.
"""

from __future__ import annotations

from typing import cast

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy import Engine

from services.support import metrics
from services.support.api_mail import add_mail
from services.support.api_people import add_people
from services.support.api_tickets import add_tickets
from services.support.api_zammad import add_zammad
from services.support.page import add_pages
from services.support.saying import Contradiction, Nonsense, Unknown
from services.support.settings import TOKEN, SupportSettings
from shared.database import Clock
from shared.http import Check, add_health, answer_errors, guarded, guarded_page, new_api


def build_api(
    engine: Engine, settings: SupportSettings, token: str, clock: Clock, live: Check, ready: Check
) -> FastAPI:
    """The application; `live` and `ready` answer /live and /ready."""
    api = new_api("Garant support")
    answer_errors(api, {Unknown: 404, Contradiction: 409, Nonsense: 422})
    api.add_exception_handler(RequestValidationError, _invalid)
    add_health(api, live, ready, metrics.REGISTRY)
    may = guarded(TOKEN, token)
    add_tickets(api, engine, settings, clock, may)
    add_mail(api, engine, settings, clock, may)
    add_people(api, engine, clock, may)
    add_zammad(api, engine, settings, clock)
    add_pages(api, engine, settings, clock, guarded_page(TOKEN, token))
    return api


def _invalid(_request: Request, error: Exception) -> Response:
    """Which field is wrong and why, without what it held: that may be a text, or nothing JSON can say."""
    wrong = [
        {"loc": [_plain(part) for part in one["loc"]], "msg": _plain(one["msg"]), "type": one["type"]}
        for one in cast(RequestValidationError, error).errors()
    ]
    return JSONResponse({"detail": wrong}, 422)


def _plain(part: object) -> object:
    return part.encode("utf-8", "replace").decode() if isinstance(part, str) else part
