"""Notify's database: what is to be written about, and the letters."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from services.notify.tables import began
from shared.database import Clock, Keeping
from shared.time import Instant

LETTERS = Keeping("notify", "GARANT_NOTIFY_DATABASE_URL", Path(__file__).parent / "migrations", "its letters")


def began_at(connection: Connection, clock: Clock) -> Instant:
    """When this installation's notify was first started: what was recorded before is history, of which
    nobody gets a letter."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    connection.execute(insert(began).values(one=1, at=clock()).on_conflict_do_nothing())
    return Instant(connection.execute(select(began.c.at)).scalar_one())
