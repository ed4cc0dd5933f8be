"""Of several instances on one database one leads: it alone does what must not be done twice at a time.

Who leads holds a whole-database lock of PostgreSQL for as long as its session lasts: whoever is killed gives
it up. A SQLite file belongs to one process, which always leads.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from sqlalchemy import Connection, Engine

from shared.database import try_lock

T = TypeVar("T")


class Lead:
    """It is this instance's turn: the connection that holds the lock."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._in_use = connection, asyncio.Lock()

    async def whole(self, step: Callable[..., T], *args: object) -> T:
        """Runs `step(connection, *args)` in a transaction and a thread, one at a time and to its end even
        when cancelled: the connection is in nobody's hands after."""
        async with self._in_use:
            running = asyncio.ensure_future(asyncio.to_thread(self._step, step, *args))
            try:
                return await asyncio.shield(running)
            except asyncio.CancelledError:
                await asyncio.wait({running})
                raise

    def _step(self, step: Callable[..., T], *args: object) -> T:
        with self._connection.begin():
            return step(self._connection, *args)


@asynccontextmanager
async def leading(
    engine: Engine, purpose: int, every_s: float, standing_by: Callable[[], None]
) -> AsyncIterator[Lead]:
    """Enters once it is this instance's turn at `purpose` (`shared.database`), asked for each `every_s`;
    calls `standing_by` while it is another's. Raises what the database raises."""
    connection = await asyncio.to_thread(engine.connect)
    try:
        lead = Lead(connection)
        while not await lead.whole(try_lock, purpose):
            standing_by()
            await asyncio.sleep(every_s)
        yield lead
    finally:
        connection.invalidate()  # not back to the pool: the server drops the lock with the session
        connection.close()
