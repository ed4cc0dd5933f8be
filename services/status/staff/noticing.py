"""The incidents as they stand in the database, held for the page: also while the database is away.

What was read last is kept in a file, so that a start without the database loses no incident from the page.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import structlog
from msgspec import DecodeError, ValidationError, json
from sqlalchemy import Engine
from sqlalchemy.exc import InterfaceError, OperationalError

from services.status import metrics
from services.status.site import Incident
from services.status.staff.incidents import incidents_since, newest_update
from shared.database import Clock, reading

log = structlog.get_logger()

LOOK_EVERY_S = 1.0
"""How soon what another instance wrote is on this one's page."""
READ_EVERY = 60
"""Looks after which all is read again: what is too old leaves the page."""
KEPT = timedelta(days=400) // timedelta(milliseconds=1)
"""Thirteen months."""


class Noticed:
    """The incidents of the page, newest first. `known`: whether they were ever read, now or before."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.incidents: tuple[Incident, ...] = ()
        self.known = False
        self.away = False
        """Whether the database did not answer the last time."""
        self.asked = asyncio.Event()
        """Set when something was written here."""
        try:
            self.incidents = json.decode(path.read_bytes(), type=tuple[Incident, ...])
            self.known = True
        except FileNotFoundError:
            pass
        except (OSError, DecodeError, ValidationError) as error:
            log.warning("status.incidents.unusable", file=str(path), error=str(error))

    def take(self, found: tuple[Incident, ...]) -> bool:
        """Whether they differ from those held. What is the same stays the same object."""
        held = {one.id: one for one in self.incidents}
        now = tuple(held[one.id] if held.get(one.id) == one else one for one in found)
        changed = now != self.incidents or not self.known
        self.incidents, self.known = now, True
        if changed:
            self._keep()
        return changed

    def _keep(self) -> None:
        new = self._path.with_name(f"{self._path.name}.new")
        try:
            with new.open("wb") as file:
                file.write(json.encode(self.incidents))
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._path)
        except OSError as error:
            log.warning("status.incidents.not-kept", file=str(self._path), error=str(error))


async def watch(
    engine: Engine, noticed: Noticed, clock: Clock, news: Callable[[], None], progress: Callable[[], None]
) -> None:
    """Looks for what was written, here or by another instance; calls `news` when there is any. Goes on for
    ever, also while the database is away."""
    newest, looks = -1, 0
    while True:
        try:
            number = await asyncio.to_thread(_newest, engine)
            if number != newest or looks >= READ_EVERY:
                found = await asyncio.to_thread(_found, engine, clock() - KEPT)
                newest, looks = number, 0
                if noticed.take(found):
                    news()
            if noticed.away:
                log.info("status.database.back")
            noticed.away = False
        except (OperationalError, InterfaceError) as error:
            if not noticed.away:
                log.warning("status.database.away", error=" ".join(str(error.orig).split()))
            noticed.away = True
        metrics.DATABASE_AWAY.set(noticed.away)
        looks += 1
        progress()
        try:
            await asyncio.wait_for(noticed.asked.wait(), LOOK_EVERY_S)
        except TimeoutError:
            continue
        noticed.asked.clear()


def _newest(engine: Engine) -> int:
    with reading(engine) as connection:
        return newest_update(connection)


def _found(engine: Engine, since_ms: int) -> tuple[Incident, ...]:
    with reading(engine) as connection:
        return incidents_since(connection, since_ms)
