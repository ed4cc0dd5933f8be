"""The route by which the status page hands its bulletins over."""

from __future__ import annotations

import asyncio

from fastapi import FastAPI
from sqlalchemy import Engine

from services.notify.bulletins import put_bulletins
from services.notify.settings import TOKEN, NotifySettings
from shared.bulletins import Bulletin, Bulletins, Taken
from shared.database import Clock, writing
from shared.failpoints import reach
from shared.http import guarded


def add_bulletins(
    api: FastAPI,
    engine: Engine,
    token: str,
    settings: NotifySettings,
    clock: Clock,
    written: asyncio.Event,
) -> None:
    """Adds `POST /bulletins`; `written` is set when letters are in the outbox."""

    def put(given: list[Bulletin]) -> list[Taken]:
        with writing(engine) as connection:
            return put_bulletins(connection, settings, given, clock)

    @api.post("/bulletins", dependencies=guarded(TOKEN, token), tags=["bulletins"])
    async def bulletins(given: Bulletins) -> list[Taken]:
        """Takes mails to readers of the status page, all or none. Said again under the same id, each is sent
        once; `DELETE /contacts/CONTACT` forgets a reader."""
        taken = await asyncio.to_thread(put, given.bulletins)
        reach("bulletins.taken")
        written.set()
        return taken
