"""What the services' HTTP APIs answer about a kept database at the instant it was written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from sqlalchemy import Engine

from services.billing.api import build_api as billing_api
from services.billing.database import BOOKS
from services.billing.issuing import Rules
from services.notify.api import build_api as notify_api
from services.notify.database import LETTERS
from services.support.api import build_api as support_api
from services.support.database import DESK
from services.support.settings import SupportSettings
from shared.database import Clock, Keeping, migrate, open_engine
from shared.time import Instant
from tests.upgrade.books import TOKEN, answers

SUBSCRIPTIONS = tuple(f"S-{number}" for number in range(1, 7))
TICKETS = tuple(f"T-A{number}" for number in range(1, 6))

SERVICES: dict[str, Keeping] = {"billing": BOOKS, "support": DESK, "notify": LETTERS}

_APIS: dict[str, Callable[[Engine, Clock], FastAPI]] = {
    "billing": lambda engine, clock: billing_api(engine, Rules(), TOKEN, clock, list, list),
    "support": lambda engine, clock: support_api(engine, SupportSettings(), TOKEN, clock, list, list),
    "notify": lambda engine, clock: notify_api(engine, TOKEN, clock, list, list),
}

PATHS: dict[str, tuple[str, ...]] = {
    "billing": (
        *("/subscriptions", "/invoices", "/owed", "/quarantine"),
        *(
            f"/subscriptions/{name}/{what}"
            for name in SUBSCRIPTIONS
            for what in ("credits", "ledger", "quota-warnings", "invoices", "next-invoice")
        ),
    ),
    "support": (
        *("/contacts", "/tickets", "/worklist", "/quarantine", "/letters?limit=1000"),
        *(f"/tickets/{ticket}" for ticket in TICKETS),
    ),
    "notify": ("/letters?limit=1000", "/waiting?limit=1000"),
}


def answered(service: str, database: Path, now: int) -> dict[str, Any]:
    """By path, what the service's API says at the instant `now` (ms) about the SQLite file `database`, once
    that has this version's schema."""
    engine = open_engine(f"sqlite:///{database}", SERVICES[service])
    try:
        migrate(engine, SERVICES[service])
        return answers(_APIS[service](engine, lambda: Instant(now)), PATHS[service])
    finally:
        engine.dispose()
