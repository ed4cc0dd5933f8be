"""Alembic's entry: migrations run on the connection `database.migrate` gives, in its transaction."""

from __future__ import annotations

from alembic import context

from services.status.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
