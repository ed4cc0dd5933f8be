"""Incidents and what staff wrote of them; subscribers, bulletins and hooks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "incidents",
        sa.Column("incident", sa.String(length=40), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("impact", sa.String(length=20), nullable=False),
        sa.Column("components", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("resolved_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("impact IN ('none', 'minor', 'major', 'critical')", name="known_impact"),
        sa.PrimaryKeyConstraint("incident"),
    )
    op.create_index("ix_incidents_opened_at", "incidents", ["opened_at"])
    op.create_table(
        "incident_updates",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("incident", sa.String(length=40), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("idempotency_key", sa.String(length=200), nullable=True),
        sa.Column("said", sa.String(length=64), nullable=False),
        sa.CheckConstraint(
            "status IN ('investigating', 'identified', 'monitoring', 'resolved')", name="known_status"
        ),
        sa.ForeignKeyConstraint(["incident"], ["incidents.incident"]),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("id"),
        sa.UniqueConstraint("idempotency_key"),
    )
    op.create_index("ix_incident_updates_incident", "incident_updates", ["incident"])
    # Subscribers, bulletins and hooks
    op.create_table(
        "noted",
        sa.Column("entry", sa.String(length=200), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("entry"),
    )
    op.create_index("ix_noted_at", "noted", ["at"])
    op.create_table(
        "askings",
        sa.Column("asking", sa.String(length=64), nullable=False),
        sa.Column("confirm_digest", sa.String(length=64), nullable=False),
        sa.Column("address", sa.String(length=254), nullable=False),
        sa.Column("language", sa.String(length=2), nullable=False),
        sa.Column("components", sa.Text(), nullable=True),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("confirmed_as", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("asking"),
        sa.UniqueConstraint("confirm_digest"),
    )
    op.create_index("ix_askings_address", "askings", ["address"])
    op.create_index("ix_askings_asked_at", "askings", ["asked_at"])
    op.create_table(
        "subscribers",
        sa.Column("subscriber", sa.String(length=64), nullable=False),
        sa.Column("address", sa.String(length=254), nullable=False),
        sa.Column("language", sa.String(length=2), nullable=False),
        sa.Column("components", sa.Text(), nullable=True),
        sa.Column("confirmed_at", sa.BigInteger(), nullable=False),
        sa.Column("unsubscribe_token", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("subscriber"),
        sa.UniqueConstraint("address"),
        sa.UniqueConstraint("unsubscribe_token"),
    )
    op.create_table(
        "mails",
        sa.Column("id", sa.String(length=200), nullable=False),
        sa.Column("purpose", sa.String(length=20), nullable=False),
        sa.Column("contact", sa.String(length=64), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("refused", sa.Text(), nullable=True),
        sa.CheckConstraint("purpose IN ('confirm', 'news', 'forget')", name="known_purpose"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_mails_contact", "mails", ["contact"])
    op.create_index("ix_mails_due_at", "mails", ["due_at"])
    op.create_table(
        "hooks",
        sa.Column("hook", sa.String(length=64), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("secret", sa.String(length=100), nullable=False),
        sa.Column("components", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("stopped", sa.Text(), nullable=True),
        sa.Column("idempotency_key", sa.String(length=200), nullable=True),
        sa.Column("said", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("hook"),
        sa.UniqueConstraint("idempotency_key"),
    )
    op.create_table(
        "hook_calls",
        sa.Column("call", sa.String(length=100), nullable=False),
        sa.Column("hook", sa.String(length=64), nullable=False),
        sa.Column("entry", sa.String(length=200), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.CheckConstraint("state IN ('waiting', 'delivered', 'given up')", name="known_call_state"),
        sa.ForeignKeyConstraint(["hook"], ["hooks.hook"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("call"),
    )
    op.create_index("hook_calls_due", "hook_calls", ["state", "next_attempt_at"])
    op.create_index("hook_calls_of", "hook_calls", ["hook", "created_at"])


def downgrade() -> None:
    raise NotImplementedError("what was told is not taken back; restore the database from its backup")
