"""Whether a service of this version could start on a database, found out without changing anything there."""

from __future__ import annotations

from collections.abc import Collection

from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError

from shared.database import (
    DatabaseUnusable,
    Keeping,
    file_of,
    parsed_url,
    read_only_engine,
    reading,
    refuse_newer,
    unusable,
    wanted_schema,
)


def check_fit(url: str, keeping: Keeping, own_tables: Collection[str]) -> None:
    """That a service of this version could start on the database; `own_tables` are some that no other service
    has. Makes no file where there is none yet.

    Raises DatabaseUnusable where it cannot be reached, a newer version has changed its schema, it is the
    database of another service, or we may not bring its schema to this version.
    """
    parsed = parsed_url(url, keeping)
    if (path := file_of(parsed)) is not None and not path.is_file():
        return
    engine = read_only_engine(parsed)
    try:
        with reading(engine) as connection:
            refuse_newer(connection, keeping)
            _refuse_others(connection, keeping, own_tables)
            _refuse_unchangeable(connection, keeping)
    except DBAPIError as error:
        raise unusable(parsed, keeping, error) from error
    finally:
        engine.dispose()


def _refuse_others(connection: Connection, keeping: Keeping, own_tables: Collection[str]) -> None:
    """Versions have the same names in each service, so only its tables tell whose a schema is."""
    held = set(inspect(connection).get_table_names())
    if "alembic_version" in held and not held & set(own_tables):
        raise DatabaseUnusable(
            f"The {keeping.name} database {_where(connection)} is that of another service: set "
            f"{keeping.setting} to one of its own."
        )


def _refuse_unchangeable(connection: Connection, keeping: Keeping) -> None:
    found = set(MigrationContext.configure(connection).get_current_heads())
    if connection.dialect.name != "postgresql" or found == wanted_schema(keeping):
        return
    schema, who, may = connection.execute(
        text(
            "SELECT current_schema(), current_user, "
            "COALESCE(has_schema_privilege(current_schema(), 'CREATE'), false)"
        )
    ).one()
    if not may:
        schema = schema or "public"
        raise DatabaseUnusable(
            f"The {keeping.name} database {_where(connection)} lets {who} make no tables in schema {schema}: "
            f"GRANT CREATE ON SCHEMA {schema} TO {who}, or make {who} the owner of the database."
        )


def _where(connection: Connection) -> str:
    return connection.engine.url.render_as_string(hide_password=True)
