"""Billing's books and who may touch what in them at one time."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, text

from shared.database import Keeping, lock_id

BOOKS = Keeping("billing", "GARANT_BILLING_DATABASE_URL", Path(__file__).parent / "migrations", "its books")

_STANDS_STILL_MS = 30_000


def lock_subscription(connection: Connection, subscription: str) -> None:
    """Until the transaction ends nobody else books, issues, voids or declares for `subscription`."""
    lock_id(connection, subscription)


def lock_day(connection: Connection) -> None:
    """Until the transaction ends nobody else books a credit: what passes the caps of a day is counted in
    turn.

    Taken after `lock_subscription`, never before it, and nothing is waited for under it but the database:
    so no two transactions wait for each other. A process that stands still in the middle of a booking loses
    its connection, and with it the lock: others must not wait for it.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SET LOCAL idle_in_transaction_session_timeout = {_STANDS_STILL_MS}"))
    lock_id(connection, "\0credits of the day")  # no id of a record holds this character
