"""The worksheet of a reconciliation: every place in the journal and what stands there, on disk, as digests.

A temporary SQLite file that vanishes with the process: histories of any length are compared in little memory.
SQLite keeps it in the directory SQLITE_TMPDIR or TMPDIR names.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from msgspec import Struct

from shared import outcomes
from shared.codec import encode

Progress = Callable[[str], None]
"""Is told what is being read, for a person who waits."""

_AT_ONCE = 2_000
_CACHE_KB = 65_536
"""Of the worksheet that is held in memory."""
_TABLES = """
CREATE TABLE concluded (part, off, idx, topic, digest, about, credit, amount, total, figures,
    PRIMARY KEY (part, off, idx)) WITHOUT ROWID;
CREATE TABLE said (topic, tpart, toff, part, off, idx, digest, about);
CREATE INDEX said_at ON said (part, off, idx);
CREATE TABLE unread (topic, tpart, toff, reason);
CREATE TABLE journalled (part, off, topic, tpart, toff, origin, digest);
CREATE INDEX journalled_from ON journalled (part, topic, tpart, toff);
CREATE INDEX journalled_under ON journalled (part, origin);
CREATE TABLE told (topic, tpart, toff, origin, digest, about, late,
    PRIMARY KEY (topic, tpart, toff)) WITHOUT ROWID;
CREATE INDEX told_under ON told (origin) WHERE origin IS NOT NULL;
CREATE TABLE dead (place, digest);
CREATE INDEX dead_at ON dead (place);
CREATE TABLE seen (origin PRIMARY KEY, digest, about) WITHOUT ROWID;
CREATE TABLE booked (sequence, part, off, idx, digest, credit, amount, figures);
CREATE INDEX booked_at ON booked (part, off, idx);
CREATE TABLE marks (part, off, idx, digest);
CREATE INDEX marks_at ON marks (part, off, idx);
CREATE TABLE noted (part, off, idx, about, figures);
CREATE INDEX noted_at ON noted (part, off, idx);
CREATE TABLE quarantined (id, digest, about, reason, origin, decided);
CREATE INDEX quarantined_of ON quarantined (digest);
CREATE TABLE declared (origin PRIMARY KEY, digest, about) WITHOUT ROWID;
CREATE TABLE sent (origin PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE ends (part PRIMARY KEY, early, late);
"""
"""Digests are the first 16 bytes of SHA-256; `part`, `off` and `idx` are a place in the journal, `tpart` and
`toff` one on a topic; `figures` is JSON.

concluded: what the replay gives. said: what stands on the outcome topics; unread: what cannot be read there.
journalled: the journal's entries. told: the facts' own topics; `late` where read after the journal's end was
taken. dead: dead.letters. seen: what the uptime fold gives. ends: of the journal, when it was replayed, and
when all else had been read. The others are billing's."""


class Sheet:
    """The worksheet; rows go in by table and come out by query."""

    def __init__(self) -> None:
        self._file = sqlite3.connect("", isolation_level=None)
        self._file.executescript(f"PRAGMA journal_mode=OFF; PRAGMA cache_size=-{_CACHE_KB};" + _TABLES)
        self._waiting: dict[str, list[tuple[Any, ...]]] = {}

    def add(self, table: str, *row: Any) -> None:
        """Adds a row to `table`, in place of one with the same key."""
        waiting = self._waiting.setdefault(table, [])
        waiting.append(row)
        if len(waiting) >= _AT_ONCE:
            self._insert(table, waiting)

    def _insert(self, table: str, rows: list[tuple[Any, ...]]) -> None:
        marks = ", ".join("?" * len(rows[0]))
        self._file.execute("BEGIN")
        self._file.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", rows)  # noqa: S608
        self._file.execute("COMMIT")
        rows.clear()

    def _settled(self) -> sqlite3.Connection:
        for table, rows in self._waiting.items():
            if rows:
                self._insert(table, rows)
        return self._file

    def clear(self, *tables: str) -> None:
        """Empties `tables`."""
        for table in tables:
            self._settled().execute(f"DELETE FROM {table}")  # noqa: S608

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """All that `query` finds: for what is rare."""
        return self._settled().execute(query, values).fetchall()

    def count(self, query: str, *values: Any) -> int:
        """The one number `query` finds."""
        return int(self._settled().execute(query, values).fetchone()[0])

    def close(self) -> None:
        self._file.close()


class Place(Struct, frozen=True, order=True):
    """An outcome's place in the journal, written "PARTITION/OFFSET/INDEX"."""

    partition: int
    offset: int
    index: int

    def __str__(self) -> str:
        return f"{self.partition}/{self.offset}/{self.index}"


def digest(data: bytes) -> bytes:
    """What is kept of a record's bytes."""
    return sha256(data).digest()[:16]


def subject(outcome: outcomes.Outcome) -> str:
    """What an outcome is about, as a person names it: "CreditGranted S-1/uptime/2026-10"."""
    match outcome:
        case outcomes.CreditGranted():
            told = f"{outcome.credit} revision {outcome.revision}"
        case outcomes.MonthClosed():
            told = f"{outcome.subscription} {outcome.month} revision {outcome.revision}"
        case outcomes.QuotaWarned():
            told = f"{outcome.subscription} {outcome.year_starts_on} {outcome.percent} %"
        case outcomes.QuotaOpened() | outcomes.QuotaUsed():
            told = f"{outcome.subscription} {outcome.year_starts_on}"
        case outcomes.TermsNoticeDue():
            told = f"{outcome.account} {outcome.version}"
        case outcomes.FactRejected():
            source = outcome.source
            told = "of nothing" if source is None else f"{source.topic}/{source.partition}/{source.offset}"
        case _:
            told = outcome.ticket
    return f"{type(outcome).__name__} {told}"


def figures(outcome: outcomes.Outcome) -> str | None:
    """What billing keeps of an outcome in columns of its own, as JSON: of a credit and of a warning."""
    if isinstance(outcome, outcomes.CreditGranted):
        return encode({name: getattr(outcome, name) for name in CREDIT_FIGURES}).decode()
    if isinstance(outcome, outcomes.QuotaWarned):
        kind = "restored" if isinstance(outcome, outcomes.QuotaRestored) else "warned"
        kept = {name: getattr(outcome, name) for name in WARNING_FIGURES}
        return encode(kept | {"kind": kind}).decode()
    return None


CREDIT_FIGURES = (
    *("account", "subscription", "credit", "cause", "period", "revision", "amount", "total", "currency"),
)
WARNING_FIGURES = ("account", "subscription", "year_starts_on", "percent", "used_minutes", "quota_minutes")
