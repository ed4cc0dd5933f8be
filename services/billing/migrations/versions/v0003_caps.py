"""Caps that hold credits for a person, and releases (ADR 0012). What was booked before is not held."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.execute(
        "ALTER TABLE invoices ADD COLUMN held BIGINT DEFAULT '0' NOT NULL "
        "CONSTRAINT held_is_credit CHECK (held >= 0)"
    )
    op.create_table(
        "cap_checks",
        sa.Column("entry", _NUMBER, autoincrement=False, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("account", sa.String(length=200), nullable=False),
        sa.Column("held", sa.String(length=20), nullable=True),
        sa.Column("cap", sa.BigInteger(), nullable=True),
        sa.Column("passed_account", sa.BigInteger(), nullable=False),
        sa.Column("passed_day", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("held IN ('account-day', 'day', 'held-credit')", name="known_hold"),
        sa.CheckConstraint(
            "(cap IS NOT NULL) = (held IS NOT NULL AND held <> 'held-credit')", name="hold_names_its_cap"
        ),
        sa.ForeignKeyConstraint(["entry"], ["ledger_entries.sequence"]),
        sa.PrimaryKeyConstraint("entry"),
    )
    op.create_index("passed_by_account", "cap_checks", ["day", "currency", "account", "entry"])
    op.create_index("passed_by_day", "cap_checks", ["day", "currency", "entry"])
    op.create_table(
        "releases",
        sa.Column("sequence", _NUMBER, nullable=False),
        sa.Column("subscription", sa.String(length=200), nullable=False),
        sa.Column("credit", sa.String(length=500), nullable=False),
        sa.Column("through_entry", _NUMBER, nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("release_key", sa.String(length=200), nullable=False),
        sa.Column("author", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("released_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount > 0", name="release_gives"),
        sa.ForeignKeyConstraint(["through_entry"], ["cap_checks.entry"]),
        sa.PrimaryKeyConstraint("sequence"),
        sa.UniqueConstraint("subscription", "release_key", name="one_release_a_key"),
        sa.UniqueConstraint("subscription", "credit", "through_entry", name="one_release_a_hold"),
    )
    for table in ("cap_checks", "releases"):
        _refuse_changes(table)


def _refuse_changes(table: str) -> None:
    if op.get_bind().dialect.name == "sqlite":
        for action in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{action.lower()} BEFORE {action} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only: add an entry that undoes it'); END"
            )
        return
    op.execute(
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )


def downgrade() -> None:
    raise NotImplementedError("books are not taken back; restore the database from its backup")
