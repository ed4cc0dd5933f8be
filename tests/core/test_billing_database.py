"""The schema itself refuses what must never happen to money, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, delete, func, insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from services.billing.booking import book
from services.billing.database import BOOKS
from services.billing.declaring import declare
from services.billing.issuing import Rules, issue_due, void
from services.billing.tables import APPEND_ONLY, ledger_entries, metadata
from services.billing.warnings import note
from shared.database import DatabaseUnusable, migrate, next_number, open_engine, writing
from tests.core.billing_books import KINDS, SetClock, credit, empty_books, empty_url, quota_warning, started

CLOCK = SetClock()


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    with empty_books(request.param, tmp_path) as found:
        yield found


@pytest.fixture
def full(engine: Engine) -> Engine:
    """Books with a row in every append-only table."""
    declare(engine, started(), CLOCK)
    book(engine, credit("33.27"), "sla.credits/0/0/0", CLOCK)
    first, *_ = issue_due(engine, date(2026, 1, 15), Rules(), CLOCK)
    void(engine, first, "made in error", Rules(), CLOCK)
    note(engine, quota_warning(), CLOCK)
    return engine


def test_the_migrated_schema_is_the_one_the_code_declares(engine: Engine) -> None:
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_migrating_again_changes_nothing(full: Engine) -> None:
    migrate(full, BOOKS)
    with full.connect() as connection:
        assert connection.execute(select(func.count()).select_from(ledger_entries)).scalar_one() == 3


@pytest.mark.parametrize("kind", KINDS)
def test_instances_that_start_together_migrate_once(kind: str, tmp_path: Path) -> None:
    with empty_url(kind, tmp_path) as url, ThreadPoolExecutor(4) as pool:
        engines = [open_engine(url, BOOKS) for _ in range(4)]
        list(pool.map(lambda engine: migrate(engine, BOOKS), engines))
        with engines[0].connect() as connection:
            assert connection.execute(text("SELECT count(*) FROM alembic_version")).scalar_one() == 1
        for engine in engines:
            engine.dispose()


@pytest.mark.parametrize("name", APPEND_ONLY)
def test_what_is_in_the_books_can_be_neither_changed_nor_deleted(full: Engine, name: str) -> None:
    table = metadata.tables[name]
    column = next(iter(table.c))
    with full.connect() as connection:
        before = connection.execute(select(table)).all()
    assert before
    for statement in (update(table).values({column.name: column}), delete(table)):
        with pytest.raises(DBAPIError, match="append-only"), writing(full) as connection:
            connection.execute(statement)
    with full.connect() as connection:
        assert connection.execute(select(table)).all() == before


def test_a_ledger_cannot_be_truncated_on_postgresql(tmp_path: Path) -> None:
    with (
        empty_books("postgresql", tmp_path) as engine,
        pytest.raises(DBAPIError, match="append-only"),
        writing(engine) as connection,
    ):
        connection.execute(text("TRUNCATE ledger_entries"))


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"journal_offset": 99}, id="another record of the same revision"),
        pytest.param({"revision": 2, "period": "2025-12"}, id="the same record of another revision"),
    ],
)
def test_a_credit_booked_twice_is_impossible_by_constraint(full: Engine, changed: dict[str, object]) -> None:
    columns = [column for column in ledger_entries.c if column.name != "sequence"]
    with full.connect() as connection:
        row = connection.execute(select(*columns).where(ledger_entries.c.kind == "credit")).mappings().one()
    mark = {"journal_partition": 0, "journal_offset": 99, "journal_index": 0, "digest": "", "taken_at": 0}
    with writing(full) as connection:
        connection.execute(insert(metadata.tables["inbox"]).values(mark))
    with pytest.raises(IntegrityError), writing(full) as connection:
        connection.execute(insert(ledger_entries).values({**row, **changed}))


def test_a_credit_without_its_inbox_mark_is_impossible_by_constraint(full: Engine) -> None:
    columns = [column for column in ledger_entries.c if column.name != "sequence"]
    with full.connect() as connection:
        row = connection.execute(select(*columns).where(ledger_entries.c.kind == "credit")).mappings().one()
    with pytest.raises(IntegrityError), writing(full) as connection:
        connection.execute(insert(ledger_entries).values({**row, "revision": 2, "journal_offset": 77}))


def test_a_deduction_is_reversed_at_most_once_by_constraint(full: Engine) -> None:
    columns = [column for column in ledger_entries.c if column.name != "sequence"]
    with full.connect() as connection:
        row = connection.execute(select(*columns).where(ledger_entries.c.kind == "reversal")).mappings().one()
    with pytest.raises(IntegrityError), writing(full) as connection:
        connection.execute(insert(ledger_entries).values(**row))


def test_an_invoice_below_zero_is_impossible_by_constraint(full: Engine) -> None:
    invoices = metadata.tables["invoices"]
    with full.connect() as connection:
        row = connection.execute(select(invoices)).mappings().first()
    assert row is not None
    with pytest.raises(IntegrityError), writing(full) as connection:
        connection.execute(insert(invoices).values({**row, "number": "2026-999999", "issue": 9, "total": -1}))


def test_a_number_given_back_by_a_rollback_is_given_again(engine: Engine) -> None:
    with writing(engine) as connection:
        assert next_number(connection, "x") == 1
    with engine.connect() as connection:
        assert next_number(connection, "x") == 2
        connection.rollback()
    with writing(engine) as connection:
        assert next_number(connection, "x") == 2
        assert next_number(connection, "y") == 1


def test_numbers_taken_at_once_have_no_gaps_and_no_doubles(engine: Engine) -> None:
    def take(_: int) -> int:
        with writing(engine) as connection:
            return next_number(connection, "x")

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(take, range(40))) == list(range(1, 41))


@pytest.mark.parametrize("url", ["no url", "sqlite://", "sqlite:///:memory:", "mysql://localhost/x"])
def test_an_unusable_url_says_what_to_set(url: str) -> None:
    with pytest.raises(DatabaseUnusable, match=r"sqlite:////path/billing\.db or postgresql://"):
        open_engine(url, BOOKS)


def test_an_absent_server_is_named_without_its_password() -> None:
    engine = open_engine("postgresql://me:s3cret@127.0.0.1:1/x", BOOKS)
    with pytest.raises(DatabaseUnusable, match="GARANT_BILLING_DATABASE_URL") as caught:
        migrate(engine, BOOKS)
    assert "s3cret" not in str(caught.value)
