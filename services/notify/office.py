"""The loop that writes: asks who is written to, outside of any transaction, and puts the letters down."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httpx
import structlog
from sqlalchemy import Engine

from services.notify import metrics
from services.notify.recipients import Contact, SupportAway, letters_to
from services.notify.settings import NotifySettings
from services.notify.writing import due, staff, write
from shared.database import Clock, reading
from shared.failpoints import reach
from shared.time import Instant
from shared.tokens import NoToken

log = structlog.get_logger()

_AWAY_MOST_S = 30.0


async def keep_writing(
    engine: Engine,
    settings: NotifySettings,
    token: Callable[[], str],
    clock: Clock,
    wake: asyncio.Event,
    written: asyncio.Event,
    progress: Callable[[], None],
) -> None:
    """Writes for ever. `token` gives what the support service is shown; set `wake` when there may be
    something to write about; `written` is set when letters are in the outbox. While support is away, letters
    to customers wait and those to staff go out."""
    loop = asyncio.get_running_loop()
    pause, ask_at = 1.0, loop.time()
    async with httpx.AsyncClient(trust_env=False) as client:
        while True:
            progress()
            for_staff, for_customers = await asyncio.to_thread(_due, engine, clock())
            for occasion in for_staff:
                await _write(engine, settings, occasion, staff(settings), clock, written)
            asked: dict[str, list[Contact]] = {}
            for occasion, account in for_customers if loop.time() >= ask_at else ():
                progress()
                try:
                    if account not in asked:
                        url = settings.support_url
                        asked[account] = await letters_to(client, url, _shown(token), account)
                except SupportAway as error:
                    log.warning("support.away", reason=str(error), again_in_s=pause)
                    metrics.SUPPORT_AWAY.set(1)
                    ask_at, pause = loop.time() + pause, min(_AWAY_MOST_S, pause * 2)
                    break
                metrics.SUPPORT_AWAY.set(0)
                pause = 1.0
                reach("notify.letter.asked")
                await _write(engine, settings, occasion, asked[account], clock, written)
            wake.clear()
            if not for_staff and not (for_customers and loop.time() >= ask_at):
                await _wait(wake, settings.write_every_s)


def _shown(token: Callable[[], str]) -> str:
    try:
        return token()
    except NoToken as error:
        raise SupportAway(str(error)) from None


def _due(engine: Engine, now: Instant) -> tuple[list[str], list[tuple[str, str]]]:
    with reading(engine) as connection:
        return due(connection, now)


async def _write(
    engine: Engine,
    settings: NotifySettings,
    occasion: str,
    people: list[Contact],
    clock: Clock,
    written: asyncio.Event,
) -> None:
    result = await asyncio.to_thread(write, engine, settings, occasion, people, clock)
    if result in ("written", "overtaken"):
        metrics.OCCASIONS.labels(result).inc()
        log.info(f"occasion.{result}", occasion=occasion, letters=len(people))
    if result == "written":
        reach("notify.letter.written")
        written.set()


async def _wait(wake: asyncio.Event, most_s: float) -> None:
    try:
        await asyncio.wait_for(wake.wait(), most_s)
    except TimeoutError:
        return
