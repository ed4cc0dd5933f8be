"""The route Zammad posts its webhooks to. It shows no token: each delivery is signed with a shared secret."""

from __future__ import annotations

from typing import Annotated

import structlog
from fastapi import FastAPI, Header, HTTPException, Request
from pydantic import ValidationError
from sqlalchemy import Engine
from starlette.concurrency import run_in_threadpool

from services.support import answers, zammad
from services.support.settings import SupportSettings
from services.support.zammad_payload import Delivery
from shared.database import Clock, writing

log = structlog.get_logger()

_MOST_BYTES = 5_000_000
_BODY = {
    "requestBody": {
        "required": True,
        "description": "Zammad's default payload: `ticket` and `article`",
        "content": {"application/json": {"schema": {"type": "object", "required": ["ticket"]}}},
    }
}


def add_zammad(api: FastAPI, engine: Engine, settings: SupportSettings, clock: Clock) -> None:
    """Adds it; without a secret it answers 404."""
    secret = settings.zammad_secret.get_secret_value()

    def taken(body: bytes) -> zammad.Done:
        delivery = _read(body)
        with writing(engine) as connection:
            done = zammad.take(connection, settings, delivery, clock)
        log.info("support.zammad", ticket=done.ticket, said=done.said, because=done.because)
        return done

    @api.post("/zammad", tags=["zammad"], openapi_extra=_BODY)
    async def webhook(
        request: Request,
        signature: Annotated[str | None, Header(alias="X-Hub-Signature", max_length=100)] = None,
    ) -> answers.ShownDelivery:
        """Takes a ticket and an article as Zammad's triggers post them. Again it changes nothing."""
        if not secret:
            raise HTTPException(404, "set GARANT_SUPPORT_ZAMMAD_SECRET to take Zammad's webhooks")
        body = await _body(request)
        if not zammad.signed(body, signature, secret):
            raise HTTPException(
                401,
                "the signature does not fit: give Zammad's webhook the token GARANT_SUPPORT_ZAMMAD_SECRET",
            )
        done = await run_in_threadpool(taken, body)
        return answers.ShownDelivery(ticket=done.ticket, said=list(done.said), because=done.because)


async def _body(request: Request) -> bytes:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MOST_BYTES:
            raise HTTPException(413, f"a delivery has at most {_MOST_BYTES} bytes: leave the attachments out")
    return body


def _read(body: bytes) -> Delivery:
    try:
        return Delivery.model_validate_json(body)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(str(part) for part in one['loc']) or 'body'}: {one['msg']}"
            for one in error.errors()[:5]
        )
        raise HTTPException(
            422,
            f"that is no ticket of Zammad's ({_plain(wrong)}); use the default payload, or keep its fields",
        ) from None


def _plain(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
