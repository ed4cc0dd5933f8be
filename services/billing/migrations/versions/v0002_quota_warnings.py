"""Warnings that a support quota runs out (contract 6)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "quota_warnings",
        sa.Column("journal_partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("journal_offset", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("journal_index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("account", sa.String(length=200), nullable=False),
        sa.Column("subscription", sa.String(length=200), nullable=False),
        sa.Column("year_starts_on", sa.Date(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("percent", sa.Integer(), nullable=False),
        sa.Column("used_minutes", sa.Integer(), nullable=False),
        sa.Column("quota_minutes", sa.Integer(), nullable=False),
        sa.Column("taken_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("kind IN ('warned', 'restored')", name="known_warning"),
        sa.PrimaryKeyConstraint("journal_partition", "journal_offset", "journal_index"),
    )
    op.create_index(op.f("ix_quota_warnings_subscription"), "quota_warnings", ["subscription"], unique=False)
    if op.get_bind().dialect.name == "sqlite":
        for action in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER quota_warnings_no_{action.lower()} BEFORE {action} ON quota_warnings "
                "BEGIN SELECT RAISE(ABORT, 'quota_warnings is append-only: add an entry that undoes it'); END"
            )
        return
    op.execute(
        "CREATE TRIGGER quota_warnings_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON quota_warnings "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )


def downgrade() -> None:
    raise NotImplementedError("books are not taken back; restore the database from its backup")
