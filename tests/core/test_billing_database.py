"""The schema itself refuses what must never happen to money, on SQLite and on PostgreSQL."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, delete, func, insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from services.billing.booking import book, entries_of
from services.billing.database import BOOKS
from services.billing.declaring import declare
from services.billing.holding import Release, held_now, release
from services.billing.issuing import Rules, issue_due, void
from services.billing.ledger import balances
from services.billing.statements import invoices_of
from services.billing.tables import APPEND_ONLY, cap_checks, ledger_entries, metadata, releases
from services.billing.warnings import note
from shared.codec import encode
from shared.database import DatabaseUnusable, migrate, next_number, open_engine, reading, writing
from shared.outcomes import Credit
from tests.core.billing_books import KINDS, SetClock, credit, empty_books, empty_url, quota_warning, started

CLOCK = SetClock()
IS_THE_CREDIT = (ledger_entries.c.kind == "credit") & (ledger_entries.c.subscription == "S-1")


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
    book(engine, credit("20000.00", subscription="S-2", at=(0, 1, 0)), "sla.credits/0/1/0", CLOCK)
    release(engine, "S-2", Release("S-2/uptime/2025-11", "R-1", "anna", "looked at it"), CLOCK)
    return engine


def test_the_migrated_schema_is_the_one_the_code_declares(engine: Engine) -> None:
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_migrating_again_changes_nothing(full: Engine) -> None:
    migrate(full, BOOKS)
    with full.connect() as connection:
        assert connection.execute(select(func.count()).select_from(ledger_entries)).scalar_one() == 4


@pytest.mark.parametrize("kind", KINDS)
def test_instances_that_start_together_migrate_once(kind: str, tmp_path: Path) -> None:
    with empty_url(kind, tmp_path) as url, ThreadPoolExecutor(4) as pool:
        engines = [open_engine(url, BOOKS) for _ in range(4)]
        list(pool.map(lambda engine: migrate(engine, BOOKS), engines))
        with engines[0].connect() as connection:
            assert connection.execute(text("SELECT count(*) FROM alembic_version")).scalar_one() == 1
        for engine in engines:
            engine.dispose()


def _migrate_to(engine: Engine, version: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(BOOKS.migrations))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, version)


def _written_by_version_0002(connection: Connection, record: Credit) -> None:
    """An invoice that deducted one credit, and the open credit `record`, in the columns of then."""
    said = encode(started()).decode()
    place = (record.journal.partition, record.journal.offset, record.journal.index)
    credits = "INSERT INTO ledger_entries (sequence, kind, account, subscription, credit, amount, currency,"
    credits += " booked_at, cause, period, revision, total, journal_partition, journal_offset, journal_index,"
    credits += " record) VALUES (:n, 'credit', 'A-1', 'S-1', 'S-1/uptime/' || :period, :amount, 'CHF', 0,"
    credits += " 'uptime', :period, 1, :amount, :p, :o, :i, :record)"
    inbox = "INSERT INTO inbox VALUES (:p, :o, :i, 'x', 0)"
    for statement in (
        "INSERT INTO subscriptions VALUES ('S-1', 'A-1')",
        "INSERT INTO invoices (number, subscription, account, term_start, term_end, issue, issued_on,"
        " issued_at, language, currency, total, carried_over) VALUES ('2026-000001', 'S-1', 'A-1',"
        " '2025-01-01', '2026-01-01', 1, '2025-01-01', 0, 'fr', 'CHF', 0, 0)",
        "INSERT INTO invoice_lines (number, line, kind, amount) VALUES ('2026-000001', 1, 'fee', 120000)",
        "INSERT INTO invoice_lines VALUES ('2026-000001', 2, 'deduction', -120000, 'S-1/uptime/2025-10',"
        " 'uptime', '2025-10')",
    ):
        connection.execute(text(statement))
    connection.execute(
        text("INSERT INTO subscription_facts VALUES (1, 'S-1', 0, NULL, :said)"), {"said": said}
    )
    older = {"n": 1, "p": 0, "o": 7, "i": 0, "period": "2025-10", "amount": 120_000, "record": "older"}
    newer = dict(zip("poi", place, strict=True))
    newer |= {"n": 2, "period": "2025-11", "amount": record.amount, "record": encode(record).decode()}
    for row in (older, newer):
        connection.execute(text(inbox), {name: row[name] for name in "poi"})
        connection.execute(text(credits), row)
    connection.execute(
        text(
            "INSERT INTO ledger_entries (sequence, kind, account, subscription, credit, amount, currency,"
            " booked_at, invoice, invoice_line) VALUES (3, 'deduction', 'A-1', 'S-1', 'S-1/uptime/2025-10',"
            " -120000, 'CHF', 0, '2026-000001', 2)"
        )
    )
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT setval('ledger_entries_sequence_seq', 3)"))


@pytest.mark.parametrize("kind", KINDS)
def test_books_of_the_version_before_the_caps_migrate_and_nothing_in_them_is_held(
    kind: str, tmp_path: Path
) -> None:
    record = credit("20000.00")
    with empty_url(kind, tmp_path) as url:
        engine = open_engine(url, BOOKS)
        _migrate_to(engine, "0002")
        with engine.begin() as connection:
            _written_by_version_0002(connection, record)
        migrate(engine, BOOKS)
        with reading(engine) as connection:
            found = balances(entries_of(connection, "S-1"))
            (invoice,) = invoices_of(connection)
            assert held_now(connection) == []
        assert [(one.credit, one.open, one.held) for one in found] == [
            ("S-1/uptime/2025-10", 0, False),
            ("S-1/uptime/2025-11", 2_000_000, False),
        ]
        assert (invoice.number, invoice.total, invoice.held) == ("2026-000001", 0, 0)
        assert book(engine, record, "sla.credits/0/9/0", CLOCK) == "repeat"
        later = credit("20000.00", total="40000.00", revision=2)
        assert book(engine, later, "sla.credits/0/9/0", CLOCK) == "held"
        void(engine, invoice.number, "wrong", Rules(), CLOCK)
        with reading(engine) as connection:
            assert [one.open for one in balances(entries_of(connection, "S-1"))] == [120_000, 4_000_000]
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
        connection.execute(text("TRUNCATE ledger_entries CASCADE"))


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
        row = connection.execute(select(*columns).where(IS_THE_CREDIT)).mappings().one()
    mark = {"journal_partition": 0, "journal_offset": 99, "journal_index": 0, "digest": "", "taken_at": 0}
    with writing(full) as connection:
        connection.execute(insert(metadata.tables["inbox"]).values(mark))
    with pytest.raises(IntegrityError), writing(full) as connection:
        connection.execute(insert(ledger_entries).values({**row, **changed}))


def test_a_credit_without_its_inbox_mark_is_impossible_by_constraint(full: Engine) -> None:
    columns = [column for column in ledger_entries.c if column.name != "sequence"]
    with full.connect() as connection:
        row = connection.execute(select(*columns).where(IS_THE_CREDIT)).mappings().one()
    with pytest.raises(IntegrityError), writing(full) as connection:
        connection.execute(insert(ledger_entries).values({**row, "revision": 2, "journal_offset": 77}))


def test_a_deduction_is_reversed_at_most_once_by_constraint(full: Engine) -> None:
    columns = [column for column in ledger_entries.c if column.name != "sequence"]
    with full.connect() as connection:
        row = connection.execute(select(*columns).where(ledger_entries.c.kind == "reversal")).mappings().one()
    with pytest.raises(IntegrityError), writing(full) as connection:
        connection.execute(insert(ledger_entries).values(**row))


@pytest.mark.parametrize("other", ["release_key", "through_entry"])
def test_a_hold_is_released_once_and_a_key_used_once_by_constraint(full: Engine, other: str) -> None:
    with full.connect() as connection:
        row = dict(connection.execute(select(releases)).mappings().one())
        first = connection.execute(select(func.min(cap_checks.c.entry))).scalar_one()
    del row["sequence"]
    new = {"release_key": "R-2", "through_entry": first}
    with writing(full) as connection:
        connection.execute(insert(releases).values({**row, **new}))
    with pytest.raises(IntegrityError), writing(full) as connection:
        connection.execute(insert(releases).values({**row, **new, other: row[other]}))


def test_a_revision_is_judged_once_and_a_hold_names_its_cap_by_constraint(full: Engine) -> None:
    with full.connect() as connection:
        row = dict(
            connection.execute(select(cap_checks).where(cap_checks.c.held.is_not(None))).mappings().one()
        )
        deduction = connection.execute(
            select(ledger_entries.c.sequence).where(ledger_entries.c.kind == "deduction")
        ).scalar_one()
    for wrong in ({}, {"cap": None}, {"held": None}, {"held": "held-credit"}, {"held": "somehow"}):
        place = {} if not wrong else {"entry": deduction}
        with pytest.raises(IntegrityError), writing(full) as connection:
            connection.execute(insert(cap_checks).values({**row, **place, **wrong}))


def test_an_invoice_below_zero_is_impossible_by_constraint(full: Engine) -> None:
    invoices = metadata.tables["invoices"]
    with full.connect() as connection:
        row = connection.execute(select(invoices)).mappings().first()
    assert row is not None
    with pytest.raises(IntegrityError), writing(full) as connection:
        connection.execute(insert(invoices).values({**row, "number": "2026-999999", "issue": 9, "total": -1}))
    with pytest.raises(IntegrityError), writing(full) as connection:
        connection.execute(insert(invoices).values({**row, "number": "2026-999999", "issue": 9, "held": -1}))


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


def test_a_server_whose_machine_is_gone_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the connection and never says a word
        port = silent.getsockname()[1]
        engine = open_engine(f"postgresql://me:s3cret@127.0.0.1:{port}/x", BOOKS)
        pool = ThreadPoolExecutor(1)
        with pytest.raises(DatabaseUnusable, match="timeout"):
            pool.submit(migrate, engine, BOOKS).result(120)
        pool.shutdown(wait=False)
