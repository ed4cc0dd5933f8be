"""What every service's HTTP API has: a token to show, errors that say what to do, health and metrics."""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Callable, Mapping
from typing import Annotated, Any, cast

from fastapi import Depends, FastAPI, Header, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from shared.tokens import Token

Check = Callable[[], list[str]]
"""Answers what is wrong; an empty list is well."""
Key = Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=200)]
"""Said again under the same key, a thing happens once."""


def new_api(title: str) -> FastAPI:
    """An empty API. The framework's own page of documentation loads its scripts from elsewhere, so there is
    none; the description itself is at /openapi.json."""
    api = FastAPI(title=title, version="1", docs_url=None, redoc_url=None)
    api.add_exception_handler(RequestValidationError, _invalid)
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


def guarded(token: Token, value: str) -> list[Any]:
    """The dependencies of a route that only callers with the token may use: `Authorization: Bearer TOKEN`."""
    bearer = HTTPBearer(auto_error=False, description=token.setting)

    def allowed(shown: HTTPAuthorizationCredentials | None = Depends(bearer)) -> None:  # noqa: B008
        if shown is None or not _same(shown.credentials, value):
            raise HTTPException(401, _ask(token), {"WWW-Authenticate": "Bearer"})

    return [Depends(allowed)]


def guarded_page(token: Token, value: str) -> list[Any]:
    """The same for a page in a browser, which asks for a name (any) and a password (the token)."""

    def allowed(request: Request) -> None:
        kind, _, shown = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "basic":
            shown = _password(shown)
        elif kind.lower() != "bearer":
            shown = ""
        if not _same(shown, value):
            realm = f'Basic realm="garant {token.service}", charset="UTF-8"'
            raise HTTPException(401, _ask(token), {"WWW-Authenticate": realm})

    return [Depends(allowed)]


def _password(shown: str) -> str:
    try:
        return base64.b64decode(shown, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _same(shown: str, value: str) -> bool:
    return secrets.compare_digest(shown.encode(), value.encode())


def _ask(token: Token) -> str:
    return f"Show the {token.service} service's token: `Authorization: Bearer ...` ({token.setting})."


def answer_errors(api: FastAPI, statuses: Mapping[type[Exception], int]) -> None:
    """Exceptions whose message is for the caller, and the status each is answered with."""

    def answer(status: int) -> Callable[[Request, Exception], JSONResponse]:
        return lambda _request, error: JSONResponse({"detail": str(error)}, status)

    for kind, status in statuses.items():
        api.add_exception_handler(kind, answer(status))


def add_health(api: FastAPI, live: Check, ready: Check, registry: CollectorRegistry) -> None:
    """GET /live and /ready (200 or 503, with what is wrong) and /metrics."""

    def answer(wrong: list[str]) -> JSONResponse:
        return JSONResponse({"ok": not wrong, "wrong": wrong}, 503 if wrong else 200)

    @api.get("/live", tags=["health"])
    async def is_live() -> Response:
        """Whether the service's loops advance; when not, restart it."""
        return answer(live())

    @api.get("/ready", tags=["health"])
    async def is_ready() -> Response:
        """Whether the service does its work."""
        return answer(ready())

    @api.get("/metrics", tags=["health"])
    async def counts() -> Response:
        """What the service counts, for Prometheus."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
