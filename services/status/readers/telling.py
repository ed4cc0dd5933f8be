"""What is new is told once: noted, and put down for each reader and each webhook it concerns, all in one
transaction. Whoever dies in between has told nobody; whoever comes again finds it noted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from hashlib import sha256

import structlog
from sqlalchemy import Connection, Engine, delete, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from services.status.readers.bulletins import bulletin_body
from services.status.readers.hooks import put_calls
from services.status.readers.metrics import ENTRIES
from services.status.readers.news import Entry, entries, today_key, together, turned
from services.status.readers.subscribers import all_subscribers, mail_row, put_mails
from services.status.site import Change, Site
from services.status.tables import noted
from shared.database import Clock, writing
from shared.failpoints import reach
from shared.time import DAY, Instant

log = structlog.get_logger()

STALE_MS = 3 * DAY
"""What is older is not told of, only shown: a page that was off for a week, or a component that is now made
up of other targets, does not send out its past."""
_FORGET_MS = 427 * DAY
"""Longer than anything stays on the page."""
_BEGAN = "began"
_AT_ONCE = 500
_AWAY_S = 5.0
_BEAT_S = 2.0


class News:
    """What was told by this process; what was ever told stands in the database. `woken` is called when there
    is something to hand over."""

    def __init__(self, engine: Engine, clock: Clock, woken: Callable[[], None]) -> None:
        self._engine, self._clock, self._woken = engine, clock, woken
        self._before: Site | None = None
        self._forgotten_at = 0

    def take(self, site: Site) -> int:
        """Notes what `site` says that was never noted and puts down whom to tell; how many entries are told.

        At the first start ever, and of a component never seen before, everything is history: noted, told to
        nobody. Raises DBAPIError while the database is away; then nothing has happened."""
        found = list(entries(self._before, site))
        unseen = set(site.components) - set(self._before.components if self._before else ())
        now, told = self._clock(), []
        if found or unseen:
            with writing(self._engine) as connection:
                told = self._told(connection, site, found, unseen, now)
                _put_down(connection, site, told, now)
                self._forget(connection, now)
                reach("status.news.telling")
        self._before = site
        for entry in told:
            ENTRIES.labels(entry.kind).inc()
            log.info("status.told", entry=entry.key)
        if told:
            self._woken()
        return len(told)

    def _told(
        self,
        connection: Connection,
        site: Site,
        found: Sequence[Entry],
        unseen: Collection[str],
        now: Instant,
    ) -> list[Entry]:
        first = bool(_note(connection, [_BEGAN], now))
        strangers = {
            key.partition("/")[2] for key in _note(connection, [f"component/{c}" for c in unseen], now)
        }
        new = _note(connection, [entry.key for entry in found], now)
        if first:
            return []
        fresh = [entry for entry in found if entry.key in new and not entry.silent]
        before = _noted(connection, [key for entry in fresh if (key := today_key(entry)) and key not in new])
        return [
            entry
            for entry in fresh
            if (entry.at is None or entry.at > now - STALE_MS)
            and not (entry.components and strangers.issuperset(entry.components))
            and today_key(entry) not in before
            and (not isinstance(entry.what, Change) or turned(site, entry.what))
        ]

    def _forget(self, connection: Connection, now: Instant) -> None:
        """Forgets keys of what is no longer on the page, once a day."""
        if now - self._forgotten_at < DAY:
            return
        self._forgotten_at = now
        kinds = or_(*(noted.c.entry.startswith(f"{kind}/") for kind in ("change", "incident", "corrected")))
        connection.execute(delete(noted).where(noted.c.at < now - _FORGET_MS, kinds))


def _note(connection: Connection, keys: Sequence[str], now: Instant) -> set[str]:
    """Which of the keys were not noted before; they are now. Another instance's are waited for."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    new: set[str] = set()
    for start in range(0, len(keys), _AT_ONCE):
        rows = [{"entry": key, "at": now} for key in sorted(set(keys[start : start + _AT_ONCE]))]
        statement = insert(noted).values(rows).on_conflict_do_nothing(index_elements=["entry"])
        new |= set(connection.execute(statement.returning(noted.c.entry)).scalars())
    return new


def _noted(connection: Connection, keys: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for start in range(0, len(keys), _AT_ONCE):
        some = select(noted.c.entry).where(noted.c.entry.in_(keys[start : start + _AT_ONCE]))
        found |= set(connection.execute(some).scalars())
    return found


def _put_down(connection: Connection, site: Site, told: Sequence[Entry], now: Instant) -> None:
    if not told:
        return
    put_calls(connection, site, told, now)
    if not site.url:  # nobody can have subscribed, and a mail could not say how to end it
        return
    bodies: dict[tuple[str, str], str] = {}
    rows = []
    for reader in all_subscribers(connection):
        his = [
            entry
            for entry in told
            if reader.wants(entry.components) and (entry.at is None or entry.at > reader.confirmed_at)
        ]
        for number, group in enumerate(together(his)):
            said = _digest(entry.key for entry in group)
            if (said, reader.language) not in bodies:
                bodies[said, reader.language] = bulletin_body(site, group, reader.language)
            body = bodies[said, reader.language]
            id = f"news/{said}/{reader.subscriber}"
            rows.append(mail_row(id, "news", reader.subscriber, body, now + number))
    put_mails(connection, rows)


def _digest(keys: Iterable[str]) -> str:
    return sha256("\n".join(sorted(keys)).encode()).hexdigest()[:32]


async def keep_telling(
    news: News,
    site: Callable[[], Site | None],
    changed: asyncio.Event,
    gather_s: float,
    progress: Callable[[], None],
) -> None:
    """Tells for ever of what is new. `site` gives the newest Site that has heard all there is to hear;
    `changed` is set with each. What follows within `gather_s` is told together, but the first is taken at
    once: what comes after it is no history. While the database is away it waits."""
    away, wait_s = False, 0.0
    while True:
        progress()
        if not await _set(changed, _BEAT_S):
            continue
        await _gather(wait_s, progress)
        changed.clear()
        now = site()
        if now is None:
            continue
        try:
            await asyncio.to_thread(news.take, now)
            away, wait_s = False, gather_s
        except DBAPIError as error:
            if not away:
                log.warning("status.news.database-away", kind=type(error).__name__)
            away = True
            changed.set()
            progress()
            await asyncio.sleep(_AWAY_S)


async def _set(changed: asyncio.Event, most_s: float) -> bool:
    try:
        await asyncio.wait_for(changed.wait(), most_s)
    except TimeoutError:
        return False
    return True


async def _gather(seconds: float, progress: Callable[[], None]) -> None:
    while seconds > 0:
        await asyncio.sleep(min(_BEAT_S, seconds))
        seconds -= _BEAT_S
        progress()
