"""The pages kept as they should be: written at once on news, and at least every minute without any.

What comes close together is written together. Pages of an earlier run stay as they are until something can be
said that is not behind them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from services.status import metrics
from services.status.history.reading import Reading
from services.status.history.standing import Standing
from services.status.pages import Pages
from services.status.site import Site
from services.status.staff.noticing import Noticed
from shared.database import Clock

log = structlog.get_logger()

GATHER_S = 0.02
"""How long news waits for what comes with it."""
EVERY_S = 30.0
"""Half of what the page promises, so that writing may take its time."""
AGAIN_S = 5.0
_AT_ONCE = 4
PATIENCE_S = 10.0
"""How long a start waits for the broker before it writes what it knew."""


class Publishing:
    """Makes the Site of now and has it written. `news()` says that there is something new; `site` is the
    newest, None before the first; `fresh` is set with each one that has heard all there was to hear."""

    def __init__(
        self,
        standing: Standing,
        reading: Reading,
        noticed: Noticed,
        pages: Pages,
        folder: Path,
        clock: Clock,
    ) -> None:
        self._standing, self._reading, self._noticed = standing, reading, noticed
        self._pages, self._folder, self._clock = pages, folder, clock
        self._news = asyncio.Event()
        self._began = self._complete = time.monotonic()
        self._heard: float | None = None
        self.site: Site | None = None
        self.fresh = asyncio.Event()
        self.failure: str | None = None
        """Why the pages could not be written the last time."""

    def news(self) -> None:
        """Has the pages written soon."""
        if self._heard is None:
            self._heard = time.monotonic()
        self._news.set()

    def caught_up(self) -> Site | None:
        """The newest Site, None as long as not all was heard that there is: nothing is told by it."""
        return self.site if self._reading.caught_up and self._noticed.known else None

    async def keep(self, progress: Callable[[], None]) -> None:
        """Writes them for ever. A folder that cannot be written is tried again; the old pages stay."""
        pause = 0.0
        while True:
            await self._wait(pause)
            progress()
            self._news.clear()
            if not self._may():
                pause = 0.5
                continue
            heard, self._heard = self._heard, None
            try:
                complete = await self._write()
            except OSError as error:
                self._failed(f"the pages cannot be written: {error}")
                pause = AGAIN_S
                continue
            self.failure, pause = None, EVERY_S
            if heard is not None:
                metrics.WRITING_SECONDS.observe(time.monotonic() - heard)
            if complete:
                self._complete = time.monotonic()
            else:
                self._news.set()

    async def _wait(self, pause: float) -> None:
        if self._news.is_set():
            return
        try:
            await asyncio.wait_for(self._news.wait(), pause)
            await asyncio.sleep(GATHER_S)
        except TimeoutError:
            return

    def _may(self) -> bool:
        """Whether what we know is no step back behind the pages that are there."""
        if self._reading.caught_up and self._noticed.known:
            return True
        if time.monotonic() - self._began < PATIENCE_S:
            return False
        if not (self._folder / "index.html").exists():
            return True
        knew = bool(self._standing.positions) and bool(self._reading.wrong())
        return self._noticed.known and (self._reading.caught_up or knew)

    async def _write(self) -> bool:
        while not self._standing.prepare(self._clock(), _AT_ONCE):  # noqa: ASYNC110
            await asyncio.sleep(0)  # after a long history: readers and the log are served in between
        now = self._clock()
        self.site, _ = self._standing.site(now, self._noticed.incidents)
        written = await asyncio.to_thread(self._pages.write, self.site, self._hurry)
        if self.caught_up() is not None:
            self.fresh.set()
        metrics.PAGES.inc(len(written.paths))
        metrics.WRITTEN_AT.set(now / 1_000)
        metrics.SILENT.set(self.site.silent)
        return written.complete

    def _hurry(self) -> bool:
        """Whether something newer waits; what only ages gets its turn all the same."""
        return self._news.is_set() and time.monotonic() - self._complete < EVERY_S

    def _failed(self, why: str) -> None:
        metrics.FAILED.inc()
        if why != self.failure:
            log.error("status.pages.failed", error=why)
        self.failure = why
