"""The desk's database: the only place of the installation where customers' names and texts are kept."""

from __future__ import annotations

from pathlib import Path

from shared.database import Keeping

DESK = Keeping(
    "support",
    "GARANT_SUPPORT_DATABASE_URL",
    Path(__file__).parent / "migrations",
    "requests, mails and contacts",
)
