"""The desk's schema: what the code declares, also after migration, and what it makes impossible."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import CheckConstraint, Engine, insert, inspect, select, text
from sqlalchemy.exc import IntegrityError

from services.support.contacts import Contact, by_address, find, letters_to, listed, put
from services.support.database import DESK
from services.support.saying import Contradiction, Nonsense, Unknown
from services.support.tables import PERSONAL, messages, metadata
from shared.database import migrate, open_engine, writing
from tests.core.billing_books import KINDS, SetClock, empty_url
from tests.core.support_mail import ANNA, Desk, clear, empty_desk, furnish, mail

CLOCK = SetClock()


@pytest.fixture(scope="module", params=KINDS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with empty_desk(request.param, tmp_path_factory.mktemp("desk")) as found:
        yield found


@pytest.fixture
def engine(made: Engine) -> Engine:
    clear(made)
    return made


def test_the_migrated_schema_is_the_one_the_code_declares(engine: Engine) -> None:
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        for name, table in metadata.tables.items():
            found = {check["name"] for check in inspect(connection).get_check_constraints(name)}
            assert found == {one.name for one in table.constraints if isinstance(one, CheckConstraint)}


def test_what_is_personal_is_named_and_can_be_emptied(engine: Engine) -> None:
    for name, columns in PERSONAL.items():
        for column in columns:
            found = metadata.tables[name].c[column]
            assert found.nullable or found.primary_key


@pytest.mark.parametrize("kind", KINDS)
def test_instances_that_start_together_migrate_once(kind: str, tmp_path: Path) -> None:
    with empty_url(kind, tmp_path) as url, ThreadPoolExecutor(4) as pool:
        engines = [open_engine(url, DESK) for _ in range(4)]
        list(pool.map(lambda engine: migrate(engine, DESK), engines))
        with engines[0].connect() as connection:
            assert connection.execute(text("SELECT count(*) FROM alembic_version")).scalar_one() == 1
        for engine in engines:
            engine.dispose()


def test_a_mail_taken_twice_is_impossible_by_constraint(engine: Engine) -> None:
    desk = Desk(engine, CLOCK)
    desk.one(mail())
    with engine.connect() as connection:
        row = connection.execute(select(messages)).mappings().one()
    with pytest.raises(IntegrityError), writing(engine) as connection:
        connection.execute(insert(messages).values({**row, "message": 99}))


def test_given_a_contact_put_again_then_it_is_what_was_said_last(engine: Engine) -> None:
    anna = Contact("C-1", "A-1", ("Anna@Demo.example", "a.rossi@demo.example"), "Anna", "it", True, "S-1")
    with writing(engine) as connection:
        assert put(connection, anna, CLOCK)
        found = find(connection, "C-1")
        assert found.addresses == ("anna@demo.example", "a.rossi@demo.example")
        assert not put(
            connection, Contact("C-1", "A-1", ("new@demo.example",), "Anna R.", "de", False), CLOCK
        )
        assert find(connection, "C-1") == Contact("C-1", "A-1", ("new@demo.example",), "Anna R.", "de", False)
        assert by_address(connection, "NEW@demo.example") is not None
        assert by_address(connection, "anna@demo.example") is None
        assert letters_to(connection, "A-1") == []
        assert [one.contact for one in listed(connection, "A-1")] == ["C-1"]
        assert listed(connection, "B-1") == []


def test_given_an_address_of_somebody_else_then_it_stays_theirs(engine: Engine) -> None:
    furnish(engine, CLOCK)
    with pytest.raises(Contradiction, match="C-1"), writing(engine) as connection:
        put(connection, Contact("C-9", "A-1", (ANNA.upper(),), "", "fr"), CLOCK)
    with pytest.raises(Contradiction, match="A-1"), writing(engine) as connection:
        put(connection, Contact("C-1", "B-1", (), "", "fr"), CLOCK)
    with pytest.raises(Unknown), writing(engine) as connection:
        find(connection, "C-9")


@pytest.mark.parametrize(
    "wrong",
    [
        Contact("", "A-1", (), "", "fr"),
        Contact("C-1", "A-1", ("no address",), "", "fr"),
        Contact("C-1", "A-1", ("a@b.example\r\nBcc: x@y.example",), "", "fr"),
        Contact("C-1", "A-1", (), "Anna\nBcc: x", "fr"),
        Contact("C-1", "A-1", (), "", "xx"),  # type: ignore[arg-type]
    ],
)
def test_given_nonsense_about_a_contact_then_it_is_refused(engine: Engine, wrong: Contact) -> None:
    with pytest.raises(Nonsense), writing(engine) as connection:
        put(connection, wrong, CLOCK)
