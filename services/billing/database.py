"""Billing's books and who may touch what in them at one time."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection

from shared.database import Keeping, lock_id

BOOKS = Keeping("billing", "GARANT_BILLING_DATABASE_URL", Path(__file__).parent / "migrations", "its books")


def lock_subscription(connection: Connection, subscription: str) -> None:
    """Until the transaction ends nobody else books, issues, voids or declares for `subscription`."""
    lock_id(connection, subscription)
