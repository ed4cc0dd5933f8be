"""What a start would stumble on is told before it, all of it, and nothing is changed by looking."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, inspect, make_url, text
from typer.testing import CliRunner, Result

from services.billing.database import BOOKS
from services.cli.local.ports import free_port
from services.cli.preflight.command import preflight
from services.cli.preflight.given import KINDS, Given, Secrets, given
from services.cli.preflight.outside import check_databases
from shared.database import migrate, open_engine
from tests.core.billing_books import KINDS as DATABASES
from tests.core.billing_books import empty_url

SECRET = "swordfish"  # noqa: S105


@pytest.fixture(autouse=True)
def _plain(clean_environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Settings as they are when nothing is set but a home."""
    clean_environment.setenv("GARANT_HOME", str(tmp_path / "home"))


@pytest.fixture
def mounted(tmp_path: Path, clean_environment: pytest.MonkeyPatch) -> Path:
    """Every secret of every service, as the hook mounts them, for a Kafka with users."""
    clean_environment.setenv("GARANT_KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
    folder = tmp_path / "secrets"
    for service, kind in KINDS.items():
        put(folder, service, "kafka-password", f"{SECRET}-{service}")
        if kind.keeping is not None:
            put(folder, service, "database-url", f"postgresql://{service}:{SECRET}@db/{service}")
            put(folder, service, "token", f"{SECRET}-token-{service}")
    return folder


def put(folder: Path, service: str, key: str, value: str) -> None:
    (folder / service).mkdir(parents=True, exist_ok=True)
    (folder / service / key).write_text(value + "\n")


def looked(folder: Path | None, *services: str, several: bool = False) -> dict[str, list[str]]:
    """The mistakes of each service that has any."""
    asked = services or tuple(KINDS)
    found = [given(name, asked, Secrets(folder), several) for name in asked]
    return {one.service: one.mistakes for one in found if one.mistakes}


def run(*arguments: str) -> Result:
    import typer

    app = typer.Typer()
    app.command()(preflight)
    return CliRunner().invoke(app, list(arguments))


def test_nothing_is_wrong_where_everything_is_given(mounted: Path) -> None:
    assert looked(mounted, several=True) == {}
    kafka = given("billing", ("billing",), Secrets(mounted), several=True).kafka
    assert kafka is not None
    assert (kafka.username, kafka.password_file) == ("garant-billing", mounted / "billing" / "kafka-password")


def test_on_one_machine_nothing_needs_to_be_set() -> None:
    assert looked(None) == {}


@pytest.mark.parametrize(
    ("service", "key", "told"),
    [
        ("billing", "database-url", "no database is named for its books"),
        ("support", "token", "no token for those who call it"),
        ("sla", "kafka-password", "no password for Kafka"),
        ("probe", "kafka-password", "no password for Kafka"),
        ("notify", "token", "no token for those who call it"),
    ],
)
def test_a_secret_that_is_missing_is_one_line_that_names_its_key(
    mounted: Path, service: str, key: str, told: str
) -> None:
    (mounted / service / key).unlink()
    ((line,),) = looked(mounted, several=True).values()
    assert line.startswith(told)
    assert f"put it under the key {key} into the Secret of {service} " in line
    assert looked(mounted, several=True).keys() == {service}


def test_a_service_alone_is_told_of_the_token_it_shows_to_another(mounted: Path) -> None:
    (mounted / "support" / "token").unlink()
    ((line,),) = looked(mounted, "notify").values()
    assert line.startswith("no token to show support: put it under the key token into the Secret of support ")


def test_every_secret_missing_is_every_line(clean_environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clean_environment.setenv("GARANT_KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
    found = looked(tmp_path / "nothing", several=True)
    assert {service: len(lines) for service, lines in found.items()} == {
        **{"sla": 1, "probe": 1},
        **{"billing": 3, "support": 3, "notify": 3, "status": 3},
    }


def test_the_user_of_a_service_has_the_prefix_or_the_name_that_is_given(
    mounted: Path, clean_environment: pytest.MonkeyPatch
) -> None:
    clean_environment.setenv("GARANT_KAFKA_PREFIX", "acme-")
    put(mounted, "sla", "kafka-username", "someone")
    names = {name: given(name, KINDS, Secrets(mounted), False).kafka for name in ("sla", "billing")}  # type: ignore[arg-type]
    assert {name: kafka.username for name, kafka in names.items() if kafka} == {
        "sla": "someone",
        "billing": "acme-garant-billing",
    }


def test_several_instances_take_no_sqlite_and_no_token_made_at_the_start(
    clean_environment: pytest.MonkeyPatch,
) -> None:
    clean_environment.setenv("GARANT_BILLING_DATABASE_URL", "sqlite:////var/books.db")
    assert looked(None, "billing") == {}
    sqlite, token = looked(None, "billing", several=True)["billing"]
    assert sqlite.startswith("GARANT_BILLING_DATABASE_URL is a SQLite file, which several instances cannot")
    assert token.endswith("who call it: set GARANT_BILLING_TOKEN.")
    assert looked(None, "sla", "probe", several=True) == {}


def test_two_tokens_for_one_door_are_told_without_saying_them(clean_environment: pytest.MonkeyPatch) -> None:
    urls = {"NOTIFY": "postgresql://db/notify", "SUPPORT": "postgresql://db/support"}
    for name, url in urls.items():
        clean_environment.setenv(f"GARANT_{name}_DATABASE_URL", url)
        clean_environment.setenv(f"GARANT_{name}_TOKEN", f"{SECRET}-{name}")
    clean_environment.setenv("GARANT_NOTIFY_SUPPORT_TOKEN", f"{SECRET}-another")
    ((line,),) = looked(None, "notify", "support", several=True).values()
    assert line == "GARANT_NOTIFY_SUPPORT_TOKEN is not the token support takes: give both the same."


@pytest.mark.parametrize(
    ("setting", "value", "service", "told"),
    [
        ("GARANT_BILLING_PORT", "many", "billing", "GARANT_BILLING_PORT: "),
        ("GARANT_SLA_INSTANCE", "a b", "sla", "GARANT_SLA_INSTANCE: "),
        ("GARANT_NOTIFY_ZONE", "Europe/Zuerich", "notify", "GARANT_NOTIFY_ZONE: "),
        ("GARANT_KAFKA_REPLICATION", "0", "probe", "GARANT_KAFKA_REPLICATION: "),
        ("GARANT_KAFKA_USERNAME", "me", "sla", "GARANT_KAFKA_USERNAME is set, but"),
        ("GARANT_STATUS_CONFIG", "/nowhere.yaml", "status", "/nowhere.yaml"),
        ("GARANT_SUPPORT_IMAP_HOST", "imap.example", "support", "no password for the mail server imap.exam"),
    ],
)
def test_a_setting_that_cannot_be_used_is_told_by_its_name(
    clean_environment: pytest.MonkeyPatch, setting: str, value: str, service: str, told: str
) -> None:
    clean_environment.setenv(setting, value)
    found = looked(None)[service]
    assert len(found) == 1
    assert told in found[0]


def test_settings_are_read_for_the_services_that_are_named(clean_environment: pytest.MonkeyPatch) -> None:
    clean_environment.setenv("GARANT_BILLING_PORT", "many")
    assert looked(None, "sla", "support") == {}


def test_kafka_away_is_told_once_and_everything_else_too(
    clean_environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    address = f"127.0.0.1:{free_port()}"
    clean_environment.setenv("GARANT_KAFKA_BOOTSTRAP", address)
    clean_environment.setenv("GARANT_KAFKA_WAIT_S", "0")
    clean_environment.setenv("GARANT_SLA_PORT", "many")
    agents = tmp_path / "agents.yaml"
    agents.write_text("locations: []\n")
    result = run("--probe-config", str(agents))
    assert result.exit_code == 1
    told = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    kafka = [line for line in told if line.startswith("error: kafka: ")]
    assert [f"No Kafka broker answered at {address}" in line for line in kafka] == [True]
    assert any(line.startswith("error: sla: GARANT_SLA_PORT: ") for line in told)
    assert any(line.startswith("error: probe: agents.yaml:") for line in told)
    assert [line for line in result.stdout.splitlines() if line.startswith("ok: ")] == [
        f"ok: {name}" for name in ("billing", "support", "notify", "status")
    ]
    assert not (tmp_path / "home").exists(), "looking makes nothing"


def test_a_service_that_does_not_exist_is_refused() -> None:
    result = run("sla", "biling")
    assert result.exit_code == 2
    assert "biling" in result.stderr


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with empty_url(request.param, tmp_path) as found:
        yield found


def tables(url: str) -> list[str]:
    engine = create_engine(url)
    with engine.connect() as connection:
        found = inspect(connection).get_table_names()
    engine.dispose()
    return sorted(found)


def told(url: str) -> list[str]:
    one = Given("billing", database_url=url)
    check_databases([one])
    return one.mistakes


def test_an_empty_database_and_one_of_this_version_fit_and_stay_as_they_are(url: str) -> None:
    sqlite = url.startswith("sqlite")
    assert told(url) == []
    if sqlite:
        assert not Path(make_url(url).database or "").exists()
    else:
        assert tables(url) == []
    engine = open_engine(url, BOOKS)
    migrate(engine, BOOKS)
    engine.dispose()
    before = tables(url)
    assert told(url) == []
    assert tables(url) == before


def test_a_database_of_a_newer_schema_is_one_line_and_stays_as_it_is(url: str) -> None:
    engine = open_engine(url, BOOKS)
    migrate(engine, BOOKS)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    (line,) = told(url)
    assert "has schema 9999, which this version does not know" in line
    assert "GARANT_BILLING_DATABASE_URL" in line
    engine = create_engine(url)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == "9999"
    engine.dispose()


def test_a_database_that_is_away_is_one_line_without_its_password() -> None:
    (line,) = told(f"postgresql://billing:{SECRET}@127.0.0.1:{free_port()}/billing")
    assert "cannot be used: " in line
    assert "Start it, or set GARANT_BILLING_DATABASE_URL" in line
    assert SECRET not in line
    (line,) = told("mysql://somewhere/else")
    assert line.startswith("billing keeps its books in PostgreSQL or in a SQLite file")


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[tuple[str, Any]]:
    """A PostgreSQL database as somebody sees it who may make no tables there."""
    with empty_url("postgresql", tmp_path) as url:
        owner = create_engine(url, isolation_level="AUTOCOMMIT")
        name = f"limited_{make_url(url).database}"
        with owner.connect() as connection:
            connection.execute(text(f"CREATE ROLE {name} LOGIN PASSWORD '{SECRET}'"))
            connection.execute(text("REVOKE CREATE ON SCHEMA public FROM PUBLIC"))
        yield make_url(url).set(username=name, password=SECRET).render_as_string(hide_password=False), owner
        with owner.connect() as connection:
            connection.execute(text(f"DROP OWNED BY {name}; DROP ROLE {name}"))
        owner.dispose()


def test_who_may_make_no_tables_is_told_the_grant_that_lacks(limited: tuple[str, Any]) -> None:
    url, owner = limited
    name = make_url(url).username
    (line,) = told(url)
    assert f"GRANT CREATE ON SCHEMA public TO {name}" in line
    assert SECRET not in line
    with owner.connect() as connection:
        connection.execute(text(f"GRANT CREATE ON SCHEMA public TO {name}"))
    assert told(url) == []


def test_a_database_for_two_services_is_told_before_one_ruins_the_other() -> None:
    host = f"127.0.0.1:{free_port()}"
    found = [
        Given("billing", database_url=f"postgresql://billing@{host}/garant"),
        Given("support", database_url=f"postgresql://support@{host}/garant"),
        Given("notify", database_url=f"postgresql://notify@{host}/notify"),
    ]
    check_databases(found)
    sharing = [one.service for one in found if any("is that of billing too" in line for line in one.mistakes)]
    assert sharing == ["support"]


STORED = {name: kind for name, kind in KINDS.items() if kind.keeping is not None}


@pytest.mark.parametrize("service", STORED)
def test_only_its_own_schema_fits_a_service(service: str, url: str) -> None:
    """Versions have the same names in all of them: without this, one would change the tables of another."""
    kind = STORED[service]
    assert kind.keeping is not None
    engine = open_engine(url, kind.keeping)
    migrate(engine, kind.keeping)
    engine.dispose()
    fits = []
    for name in STORED:
        one = Given(name, database_url=url)
        check_databases([one])
        if not one.mistakes:
            fits.append(name)
        for line in one.mistakes:
            assert "is that of another service" in line or "does not know" in line
    assert fits == [service]


@pytest.mark.parametrize("service", STORED)
def test_the_tables_it_is_known_by_are_of_its_first_version(service: str) -> None:
    """So that an older schema is known as well."""
    kind = STORED[service]
    assert kind.keeping is not None
    (first,) = (kind.keeping.migrations / "versions").glob("v0001_*.py")
    others = [other for name, other in STORED.items() if name != service]
    assert kind.tables
    for table in kind.tables:
        assert f'"{table}"' in first.read_text()
        assert table not in [name for other in others for name in other.tables]
