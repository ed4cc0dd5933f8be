"""Subscribing, confirming and unsubscribing on the public port, without JavaScript.

Whoever asks gets the same answer, whatever is known of the address. A link of a mail only shows a page with a
button: programs that open every link of a mail neither confirm nor end anything. What is posted to the
unsubscribing link ends the subscription at once (RFC 8058), whatever its body says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import parse_qs, urlsplit

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from services.status.pages import AnswerForm, answer_page
from services.status.readers.bulletins import confirm_body
from services.status.readers.form_words import WORDS, Told
from services.status.readers.metrics import REQUESTS
from services.status.readers.sources import Sources
from services.status.readers.subscribers import (
    ALLOWANCE,
    Allowance,
    TooMany,
    ask,
    can_confirm,
    confirm,
    unsubscribe,
)
from services.status.site import LANGUAGES, Language, Site
from shared.database import Clock, reading, writing
from shared.mail.address import BadAddress, address

log = structlog.get_logger()

PREFIXES = tuple(f"/{language}/{what}/" for language in LANGUAGES for what in ("confirm", "unsubscribe"))
"""Everything below, and a POST to `/{language}/subscribe/`, is answered here."""

_BODY_MOST = 128 * 1024
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; "
        "base-uri 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}

Handler = Callable[[Request], Awaitable[Response]]


class _TooLong(Exception):
    """The body is longer than any form of ours."""


def public_routes(
    engine: Engine,
    site: Callable[[], Site | None],
    clock: Clock,
    wake: asyncio.Event,
    allowance: Allowance = ALLOWANCE,
) -> ASGIApp:
    """The application for `PREFIXES` and for `POST /{language}/subscribe/`. `site` gives the newest Site: its
    `url` makes the links of mails, and without one nobody can subscribe. `wake` is set when there is
    something to tell notify."""
    sources = Sources(allowance.per_source)

    async def subscribe(request: Request) -> Response:
        now, page = site(), _page(request, site())
        REQUESTS.labels("subscribe").inc()
        if not sources.may(request.client.host if request.client else "", clock()):
            return page("too_many", 429)
        if now is None or not now.url:
            return page("impossible", 503)
        try:
            fields = parse_qs((await _body(request)).decode("utf-8", "replace"), max_num_fields=3_000)
            to = address(_one(fields, "email"))
        except (BadAddress, ValueError, _TooLong):
            return page("bad_address", 422)
        if _one(fields, "website"):  # a field people do not see: a program filled it in
            return page("asked", 200)
        try:
            await asyncio.to_thread(keep, now, to, language_of(request), _choice(fields, now))
        except TooMany:
            return page("too_many", 429)
        wake.set()
        return page("asked", 200)

    def keep(now: Site, to: str, language: Language, components: list[str] | None) -> None:
        def body(token: str) -> str:
            return confirm_body(now, language, f"{now.url}/{language}/confirm/{token}", components)

        with writing(engine) as connection:
            ask(connection, to, language, components, body, allowance, clock)

    async def show_confirm(request: Request) -> Response:
        def known() -> bool:
            with reading(engine) as connection:
                return can_confirm(connection, request.path_params["token"], clock())

        page = _page(request, site())
        return page("confirm", 200) if await asyncio.to_thread(known) else page("stale", 404)

    async def do_confirm(request: Request) -> Response:
        def done() -> bool:
            with writing(engine) as connection:
                return confirm(connection, request.path_params["token"], clock)

        REQUESTS.labels("confirm").inc()
        page = _page(request, site())
        return page("confirmed", 200) if await asyncio.to_thread(done) else page("stale", 404)

    async def show_unsubscribe(request: Request) -> Response:
        return _page(request, site())("leave", 200)

    async def do_unsubscribe(request: Request) -> Response:
        def done() -> None:
            with writing(engine) as connection:
                unsubscribe(connection, request.path_params["token"], clock)

        REQUESTS.labels("unsubscribe").inc()
        await asyncio.to_thread(
            done
        )  # a mail program asks again where an answer was lost: it is told the same
        wake.set()
        return _page(request, site())("left", 200)

    def routes(language: Language) -> list[Route]:
        return [
            _route(f"/{language}/subscribe/", subscribe, "POST", site),
            _route(f"/{language}/confirm/{{token}}", show_confirm, "GET", site),
            _route(f"/{language}/confirm/{{token}}", do_confirm, "POST", site),
            _route(f"/{language}/unsubscribe/{{token}}", show_unsubscribe, "GET", site),
            _route(f"/{language}/unsubscribe/{{token}}", do_unsubscribe, "POST", site),
        ]

    async def missing(_request: Request, _error: Exception) -> Response:
        return Response(status_code=404, headers=_HEADERS)

    every = [route for language in LANGUAGES for route in routes(language)]
    return Starlette(routes=every, exception_handlers={404: missing, 405: missing})


def _route(path: str, handler: Handler, method: str, site: Callable[[], Site | None]) -> Route:
    """The handler's route; while the database is away it says so."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except DBAPIError as error:
            log.warning("status.forms.database-away", kind=type(error).__name__)
            return _page(request, site())("later", 503)

    return Route(path, answer, methods=[method])


def language_of(request: Request) -> Language:
    """The language of the page asked for."""
    first = request.url.path.split("/")[1]
    return next(language for language in LANGUAGES if language == first)


def _page(request: Request, site: Site | None) -> Callable[[str, int], Response]:
    language = language_of(request)

    def page(name: str, status: int) -> Response:
        told: Told = getattr(WORDS[language], name)
        if site is None:
            text = "\n\n".join((told.title, *told.paragraphs)) + "\n"
            return Response(text, status, {**_HEADERS, "Content-Language": language}, "text/plain")
        root = urlsplit(site.url).path.rstrip("/") + "/"
        form = None
        if told.button:
            form = AnswerForm(action=root.rstrip("/") + request.url.path, button=told.button)
        body = answer_page(site, language, told.title, told.paragraphs, form, root)
        return Response(body, status, {**_HEADERS, "Content-Language": language}, "text/html")

    return page


async def _body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _BODY_MOST:
            raise _TooLong
    return body


def _one(fields: Mapping[str, list[str]], name: str) -> str:
    return fields.get(name, [""])[0]


def _choice(fields: Mapping[str, list[str]], site: Site) -> list[str] | None:
    """The components chosen that there are, also by their groups; None: all, also where none was chosen."""
    if _one(fields, "scope") != "some":
        return None
    wanted = set(fields.get("component", []))
    for group in site.groups:
        if group.id in fields.get("group", []):
            wanted |= set(group.components)
    return sorted(wanted & set(site.components)) or None
