"""Billing's books as `garant reconcile` reads them: beside the service, never written, of one schema."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from services.billing.booking import book
from services.billing.database import BOOKS
from services.billing.warnings import note
from services.cli.audit.reconcile_books import read_books, records_of
from services.cli.audit.reconcile_sheet import Sheet, digest, figures
from shared.codec import encode
from shared.database import DatabaseUnusable, migrate, open_engine, open_read_only, reading, writing
from tests.core.billing_books import KINDS, SetClock, credit, empty_url, quota_warning


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Books of each kind, in them a credit, one that contradicts it and a warning; nobody has them open."""
    with empty_url(request.param, tmp_path) as found:
        engine = open_engine(found, BOOKS)
        migrate(engine, BOOKS)
        for one in (credit("33.27"), credit("99.00")):
            book(engine, one, "sla.credits/0/0/0", SetClock())
        note(engine, quota_warning(), SetClock())
        engine.dispose()
        yield found


def test_what_is_booked_is_read_as_the_replay_would_give_it(url: str) -> None:
    engine, sheet = open_read_only(url, BOOKS), Sheet()
    booked, warning = credit("33.27"), quota_warning()
    for _ in range(2):  # once more takes the place of what was read before
        read_books(engine, sheet)
    assert sheet.rows("SELECT digest, figures FROM booked") == [(digest(encode(booked)), figures(booked))]
    assert sheet.rows("SELECT digest FROM marks") == [(digest(encode(booked)),)]
    assert sheet.rows("SELECT part, off, idx, figures FROM noted") == [(0, 0, 1, figures(warning))]
    (waiting,) = sheet.rows("SELECT digest, about, decided FROM quarantined")
    assert waiting == (digest(encode(credit("99.00"))), "S-1/uptime/2025-11 revision 1", 0)
    assert records_of(engine, [1]) == {1: encode(booked)}
    engine.dispose()


def test_books_opened_for_reading_cannot_be_written_and_are_one_view(url: str) -> None:
    engine, service = open_read_only(url, BOOKS), open_engine(url, BOOKS)
    with pytest.raises(DBAPIError, match=r"read-?only"), writing(engine) as connection:
        connection.execute(text("UPDATE quarantine SET times_seen = 9"))
    with reading(engine) as connection:
        before = connection.execute(text("SELECT count(*) FROM inbox")).scalar_one()
        book(service, credit("1.00", period="2025-12"), "sla.credits/0/2/0", SetClock())
        assert connection.execute(text("SELECT count(*) FROM inbox")).scalar_one() == before
    engine.dispose()
    service.dispose()


def test_books_of_another_schema_are_refused_with_both_versions(url: str) -> None:
    service = open_engine(url, BOOKS)
    with writing(service) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    service.dispose()
    with pytest.raises(DatabaseUnusable, match=r"has schema 9999, this version reads \d{4}"):
        open_read_only(url, BOOKS)


def test_books_that_are_not_there_are_not_made(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnusable, match="There is no billing database at"):
        open_read_only(f"sqlite:///{tmp_path / 'none' / 'billing.db'}", BOOKS)
    assert not (tmp_path / "none").exists()
    with pytest.raises(DatabaseUnusable, match=r"cannot be used: .*Start it, or set"):
        open_read_only("postgresql://nobody:secret@127.0.0.1:1/none", BOOKS)
