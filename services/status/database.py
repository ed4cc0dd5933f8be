"""The status database: what staff wrote of incidents, who is told, and what is still to be told."""

from __future__ import annotations

from pathlib import Path

from shared.database import Keeping

PAGE = Keeping(
    "status",
    "GARANT_STATUS_DATABASE_URL",
    Path(__file__).parent / "migrations",
    "its incidents and subscribers",
)
