"""Webhooks in the staff API: add, look at, test and remove them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from fastapi import FastAPI, Response
from pydantic import BaseModel, Field
from sqlalchemy import Engine

from services.status.readers.hooks import (
    Call,
    Hook,
    OtherHook,
    UnknownHook,
    add_hook,
    hook_of,
    hooks_listed,
    put_test,
    remove_hook,
)
from services.status.readers.reaching import URL_MOST, AddressRefused, Rules, check_reachable
from services.status.readers.subscribers import count_subscribers
from services.status.site import Site
from shared.database import Clock, reading, writing
from shared.http import Key, answer_errors
from shared.time import Instant, format_instant


class UnknownComponents(ValueError):
    """Components that are not on the page; the message names those that are."""


class NewHook(BaseModel):
    url: str = Field(max_length=URL_MOST, description="https://..., of a public address")
    components: list[Annotated[str, Field(max_length=40)]] | None = Field(
        default=None, min_length=1, max_length=1_000, description="Public ids; left out: all"
    )


class HookAnswer(BaseModel):
    hook: str
    url: str
    components: list[str] | None = Field(description="null: all")
    created_at: str
    stopped: str | None = Field(description="Why nothing is posted any more; a test starts it again")
    waiting: int = Field(description="Calls still to be posted")
    given_up: int = Field(description="Calls of the last 30 days that nobody took within a day")


class AddedHook(HookAnswer):
    secret: str = Field(description="What signatures are verified with (Standard Webhooks); shown only now")


class CallAnswer(BaseModel):
    call: str = Field(description="The header webhook-id")
    entry: str
    created_at: str
    state: str = Field(description="waiting, delivered or given up")
    attempts: int
    next_attempt_at: str | None
    ended_at: str | None
    reason: str


class HookWithCalls(HookAnswer):
    calls: list[CallAnswer] = Field(description="The latest 50, the newest first")


class Tested(BaseModel):
    call: str


class Readers(BaseModel):
    confirmed: int


def add_hooks(
    api: FastAPI,
    engine: Engine,
    may: list[Any],
    rules: Rules,
    clock: Clock,
    site: Callable[[], Site | None],
) -> None:
    """Adds the routes; `may` are the dependencies that let staff in, `site` gives the newest Site."""
    answer_errors(api, {UnknownHook: 404, OtherHook: 409, AddressRefused: 422, UnknownComponents: 422})

    @api.post("/hooks", dependencies=may, tags=["webhooks"], status_code=201)
    async def add(given: NewHook, response: Response, key: Key = None) -> AddedHook:
        """Adds a webhook. Under the same Idempotency-Key there is one, and its secret is shown again."""
        await check_reachable(given.url, rules)
        _check_known(given.components, site())
        return await asyncio.to_thread(put, given, response, key)

    def put(given: NewHook, response: Response, key: str | None) -> AddedHook:
        with writing(engine) as connection:
            hook, secret, new = add_hook(connection, given.url, given.components, key, clock)
            found, _ = hook_of(connection, hook)
        response.status_code = 201 if new else 200
        return AddedHook(**_told(found), secret=secret)

    @api.get("/hooks", dependencies=may, tags=["webhooks"])
    def listed() -> list[HookAnswer]:
        """Every webhook, the oldest first."""
        with reading(engine) as connection:
            return [HookAnswer(**_told(one)) for one in hooks_listed(connection)]

    @api.get("/hooks/{hook}", dependencies=may, tags=["webhooks"])
    def one(hook: str) -> HookWithCalls:
        """A webhook and its latest calls."""
        with reading(engine) as connection:
            found, calls = hook_of(connection, hook)
        return HookWithCalls(**_told(found), calls=[CallAnswer(**_told(each)) for each in calls])

    @api.post("/hooks/{hook}/test", dependencies=may, tags=["webhooks"], status_code=202)
    def test(hook: str) -> Tested:
        """Posts a test to it; a webhook that was stopped is started again."""
        with writing(engine) as connection:
            return Tested(call=put_test(connection, hook, clock()))

    @api.delete("/hooks/{hook}", dependencies=may, tags=["webhooks"], status_code=204)
    def removed(hook: str) -> None:
        """Ends it, with what was still to be posted."""
        with writing(engine) as connection:
            remove_hook(connection, hook)

    @api.get("/subscribers/count", dependencies=may, tags=["subscribers"])
    def readers() -> Readers:
        """How many readers confirmed; who they are is not told."""
        with reading(engine) as connection:
            return Readers(confirmed=count_subscribers(connection))


def _check_known(components: list[str] | None, site: Site | None) -> None:
    known = set() if site is None else set(site.components)
    if strange := sorted(set(components or ()) - known):
        raise UnknownComponents(
            f"not on the page: {', '.join(strange)}; there are {', '.join(sorted(known)) or 'none yet'}"
        )


def _told(found: Hook | Call) -> dict[str, Any]:
    return {
        name: format_instant(value) if isinstance(value, Instant) else value
        for name, value in msgspec.structs.asdict(found).items()
    }
