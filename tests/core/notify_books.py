"""For the tests of notify: an empty, migrated database of each kind, records, and people to write to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select

from services.notify.database import LETTERS
from services.notify.recipients import Contact
from services.notify.settings import NotifySettings
from services.notify.tables import letters, occasions
from services.notify.taking import Found, Rules, Taken, take
from services.notify.writing import due, staff, write
from shared import outcomes
from shared.database import migrate, open_engine, reading, writing
from shared.mail.reading import Incoming, read
from shared.time import SECOND, Instant, parse_instant
from tests.core.billing_books import SetClock, empty_url

BEGAN = parse_instant("2026-01-01T00:00:00.000Z")
NOW = "2026-11-24T15:21:00.000Z"
YEAR = date(2026, 1, 1)
ANNA = Contact("C-1", "Anna Rochat", "anna@demo.example", "fr")
BEAT = Contact("C-2", "Beat Müller", "beat@demo.example", "de")


@contextmanager
def empty_office(kind: str, directory: Path) -> Iterator[Engine]:
    """An engine on a migrated, empty database."""
    with empty_url(kind, directory) as url:
        engine = open_engine(url, LETTERS)
        migrate(engine, LETTERS)
        try:
            yield engine
        finally:
            engine.dispose()


def warned(
    percent: int = 75,
    used: int = 405,
    quota: int = 540,
    *,
    at: tuple[int, int] = (10, 1),
    account: str = "A-1",
    subscription: str = "S-1",
    restored: bool = False,
) -> outcomes.QuotaWarned:
    """A threshold crossed (or restored) by the journal entry `at` (offset, index)."""
    kind = outcomes.QuotaRestored if restored else outcomes.QuotaWarned
    stamp = outcomes.Stamp(0, *at, digest="00")
    return kind(account, subscription, YEAR, percent, used, quota, stamp)


def used(
    minutes: int, quota: int = 540, *, at: tuple[int, int] = (10, 0), ticket: str = "T-1"
) -> outcomes.QuotaUsed:
    """The minutes used of a quota, as of the journal entry `at`."""
    return outcomes.QuotaUsed("A-1", "S-1", YEAR, ticket, minutes, quota, outcomes.Stamp(0, *at, digest="00"))


class Office:
    """Notify without its process: records are taken and due occasions written when the test says so."""

    def __init__(self, engine: Engine, **settings: Any) -> None:
        self.engine = engine
        self.clock = SetClock(NOW)
        self.settings = NotifySettings(
            **{"staff": "staff@garant.example", "vendor": "Acme SA", "product": "Acme Suite"} | settings
        )
        self.people = [ANNA]
        self.asked: list[str] = []
        self._offsets: dict[tuple[str, int], int] = {}

    def take(self, topic: str, *records: Taken, recorded_at: str = NOW, partition: int = 0) -> list[str]:
        """Takes records at the next offsets of the topic."""
        found = []
        for record in records:
            offset = self._offsets[topic, partition] = self._offsets.get((topic, partition), -1) + 1
            found.append(Found(topic, partition, offset, parse_instant(recorded_at), record))
        with writing(self.engine) as connection:
            return list(take(connection, found, Rules(BEGAN, 2 * SECOND), self.clock()))

    def write(self) -> list[str]:
        """Writes everything that is due; what became of each."""
        with reading(self.engine) as connection:
            for_staff, for_customers = due(connection, self.clock())
        self.asked += [account for _, account in for_customers]
        results = [
            write(self.engine, self.settings, one, staff(self.settings), self.clock) for one in for_staff
        ]
        return results + [
            write(self.engine, self.settings, one, self.people, self.clock) for one, _ in for_customers
        ]

    def later(self, seconds: float) -> None:
        self.clock.now = Instant(self.clock.now + int(seconds * SECOND))

    def letters(self) -> dict[str, Incoming]:
        """Every letter that has a text, by id, as its reader's program shows it."""
        with reading(self.engine) as connection:
            rows = connection.execute(select(letters.c.id, letters.c.data).order_by(letters.c.id)).all()
        return {row.id: read(row.data) for row in rows if row.data is not None}

    def states(self) -> dict[str, str]:
        """The state of each occasion."""
        with reading(self.engine) as connection:
            return {row.occasion: row.state for row in connection.execute(select(occasions))}
