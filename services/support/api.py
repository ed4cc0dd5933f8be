"""The HTTP API of the desk: what a help desk says about requests, and what staff decide.

Every route but health and the webhook wants `Authorization: Bearer TOKEN`; the pages take it as a password,
too. Errors say what to do next, and never repeat what was sent: it may be somebody's words.
"""

from __future__ import annotations

from fastapi import FastAPI
from sqlalchemy import Engine

from services.support import answers, metrics
from services.support.api_mail import add_mail
from services.support.api_people import add_people
from services.support.api_tickets import add_tickets
from services.support.api_zammad import add_zammad
from services.support.page import add_pages
from services.support.saying import Contradiction, Nonsense, Unknown
from services.support.settings import TOKEN, SupportSettings
from shared.database import Clock
from shared.http import Check, add_health, answer_errors, guarded, guarded_page, new_api

_DESCRIPTION = """What a help desk says about support requests, and what staff decide.

What is said becomes facts that are kept for ever: ids (accounts, contacts, tickets, entries, idempotency
keys) must not say who somebody is. Names, addresses and texts belong in the fields for them; they can be
forgotten.

Routes that say something answer 201 where it was new and 200 where it had been said. Under the same
`Idempotency-Key` the same thing is said once, another thing is a 409."""
_TAGS = [
    {"name": "requests", "description": "Open, answer, classify, close."},
    {"name": "work", "description": "Minutes worked, and corrections."},
    {"name": "work list", "description": "What is due next."},
    {"name": "quarantine", "description": "Mails nobody vouches for."},
    {"name": "letters", "description": "What goes out."},
    {"name": "people", "description": "Contacts, and forgetting them."},
    {"name": "zammad", "description": "Zammad's webhooks."},
    {"name": "pages", "description": "The same to look at."},
    {"name": "health"},
]
_WRONG = (
    (401, "No token, or another one"),
    (404, "There is no such thing"),
    (409, "The key or the id was used to say something else"),
    (422, "That cannot be; `detail` says why"),
)


def build_api(
    engine: Engine, settings: SupportSettings, token: str, clock: Clock, live: Check, ready: Check
) -> FastAPI:
    """The application; `live` and `ready` answer /live and /ready."""
    api = new_api("Garant support")
    answer_errors(api, {Unknown: 404, Contradiction: 409, Nonsense: 422})
    add_health(api, live, ready, metrics.REGISTRY)
    api.description, api.openapi_tags = _DESCRIPTION, _TAGS
    api.router.responses = {
        status: {"model": answers.Problem, "description": text} for status, text in _WRONG
    }
    may = guarded(TOKEN, token)
    add_tickets(api, engine, settings, clock, may)
    add_mail(api, engine, settings, clock, may)
    add_people(api, engine, clock, may)
    add_zammad(api, engine, settings, clock)
    add_pages(api, engine, settings, clock, guarded_page(TOKEN, token))
    return api
