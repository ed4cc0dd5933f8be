"""The outbox: letters in the service's own database, each given to the relay exactly once.

A letter is marked `sending` before the relay sees it. If no answer was noted, because this process was
killed or the connection broke, it is `doubtful`: the relay may have it. `shared.mail.doubt` resolves that
where there is a `copy_to`; without, a person does (`resend`, `mark_accepted`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import structlog
from sqlalchemy import Engine, Table

from shared.database import SENDING, Clock
from shared.failpoints import reach
from shared.leading import Lead, leading
from shared.mail.attempts import Sending, Taken, one_round, without_copy
from shared.mail.doubt import doubt_all
from shared.mail.letters import (
    MARKER,
    Listed,
    Outgoing,
    Standing,
    bounced,
    copy_seen,
    counts,
    forget,
    letters_table,
    listing,
    mark_accepted,
    put,
    resend,
)
from shared.mail.relay import Later, Line, Relay, Result

__all__ = [
    "MARKER",
    "Listed",
    "Outgoing",
    "Sending",
    "Standing",
    "bounced",
    "copy_seen",
    "counts",
    "deliver",
    "forget",
    "letters_table",
    "listing",
    "mark_accepted",
    "put",
    "resend",
]

log = structlog.get_logger()

GRACE_S = 8.0
"""How long answers under way are waited for at the end."""
_PAUSE_MOST_S = 60.0


async def deliver(
    engine: Engine,
    letters: Table,
    relay: Relay,
    sending: Sending,
    clock: Clock,
    progress: Callable[[], None] = lambda: None,
    wake: asyncio.Event | None = None,
) -> None:
    """Sends for ever. `progress` is called at each round, for the liveness check; set `wake` after a `put`
    to spare the wait. On PostgreSQL one process delivers at a time; the others wait for its lock.

    When cancelled it waits a few seconds for answers that are under way. Raises what the database raises.
    """
    async with leading(engine, SENDING, sending.every_s, progress) as lead:
        if cut_off := await lead.whole(doubt_all, letters, clock()):
            log.warning("mail.doubtful", letters=cut_off)
            reach("mail.letters.doubted")
        books = _Books(lead, letters, sending, clock)
        await _rounds(books, relay, progress, wake or asyncio.Event())


async def _rounds(books: _Books, relay: Relay, progress: Callable[[], None], wake: asyncio.Event) -> None:
    """Each round notes what has ended and marks what goes next, in one transaction: one wait for the disk."""
    loop, sending = asyncio.get_running_loop(), books.sending
    free = [Line(relay) for _ in range(sending.workers)]
    lines = list(free)
    running: dict[asyncio.Task[Result], tuple[Taken, Line]] = {}
    taken: list[Taken] = []
    failures, until = 0, 0.0
    try:
        while True:
            wake.clear()
            ended = _ended(running, free)
            unreached = [result for _, result in ended if isinstance(result, Later) and not result.reached]
            if unreached and loop.time() >= until:
                until = loop.time() + min(_PAUSE_MOST_S, 2.0**failures)
                failures += 1
                log.warning("mail.relay.away", reason=unreached[0].text, again_in_s=until - loop.time())
            elif len(ended) > len(unreached):
                failures, until = 0, 0.0
            # While the relay is away one letter tries the door, not all of them.
            room = 0 if loop.time() < until else len(free) if not failures else 0 if running else 1
            await books.round(ended, room, taken)
            if ended:
                reach("mail.letters.noted")
            if taken:
                reach("mail.letters.claimed")
            while taken:
                letter, line = taken.pop(0), free.pop()
                task = asyncio.create_task(books.send(line, letter))
                running[task] = (letter, line)
            progress()
            woken = asyncio.create_task(wake.wait())
            await asyncio.wait(
                {*running, woken}, timeout=sending.every_s, return_when=asyncio.FIRST_COMPLETED
            )
            woken.cancel()
    finally:
        if running:
            await asyncio.wait(running, timeout=GRACE_S)
        unsent = Later(None, "stopped before it was sent", reached=False)
        ended = [(letter, unsent) for letter in taken]
        with contextlib.suppress(Exception):  # the reason for the end is already on its way
            ended += _ended(running, free)
        for task in running:
            task.cancel()
        await asyncio.wait([asyncio.create_task(line.close()) for line in lines], timeout=2)
        with contextlib.suppress(Exception):
            await books.round(ended, 0, taken)


def _ended(
    running: dict[asyncio.Task[Result], tuple[Taken, Line]], free: list[Line]
) -> list[tuple[Taken, Result]]:
    """What came of the letters whose sending has ended; their lines are free again."""
    ended = []
    for task in [task for task in running if task.done()]:
        letter, line = running.pop(task)
        free.append(line)
        ended.append((letter, task.result()))
    return ended


class _Books:
    """By which this process, leading, takes and notes."""

    def __init__(self, lead: Lead, letters: Table, sending: Sending, clock: Clock) -> None:
        self.lead, self.letters, self.sending, self.clock = lead, letters, sending, clock

    async def round(self, ended: list[tuple[Taken, Result]], room: int, taken: list[Taken]) -> None:
        """Notes what has ended and marks what goes next."""
        await self.lead.whole(one_round, self.letters, self.sending, self.clock(), ended, room, taken)

    async def send(self, line: Line, letter: Taken) -> Result:
        """One attempt."""

        async def copyless() -> None:
            # Noted before the relay can have it: no copy will tell of this letter.
            await self.lead.whole(without_copy, self.letters, letter.id)

        sender = self.sending.mail_from
        return await line.submit(sender, letter.recipient, letter.copy_to, letter.data, copyless)
