"""Letters, what there is to write about, and what is known of quotas, requests, subscriptions and terms."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "began",
        sa.Column("one", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("one = 1", name="one_row"),
        sa.PrimaryKeyConstraint("one"),
    )
    op.create_table(
        "letters",
        sa.Column("id", sa.String(length=300), nullable=False),
        sa.Column("purpose", sa.String(length=50), nullable=False),
        sa.Column("contact", sa.String(length=200), nullable=True),
        sa.Column("recipient", sa.String(length=254), nullable=True),
        sa.Column("message_id", sa.String(length=320), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=True),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("copy_to", sa.String(length=254), nullable=True),
        sa.Column("copy_seen_at", sa.BigInteger(), nullable=True),
        sa.Column("bounced_at", sa.BigInteger(), nullable=True),
        sa.Column("deferred_at", sa.BigInteger(), nullable=True),
        sa.Column("doubted_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("message_id"),
    )
    op.create_index(op.f("ix_letters_contact"), "letters", ["contact"], unique=False)
    op.create_index(op.f("ix_letters_purpose"), "letters", ["purpose"], unique=False)
    op.create_index("letters_due", "letters", ["state", "next_attempt_at"], unique=False)
    op.create_table(
        "mailbox_positions",
        sa.Column("mailbox", sa.String(length=400), nullable=False),
        sa.Column("uidvalidity", sa.BigInteger(), nullable=False),
        sa.Column("uid", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("mailbox", "uidvalidity"),
    )
    op.create_table(
        "occasions",
        sa.Column("occasion", sa.String(length=250), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("account", sa.String(length=200), nullable=False),
        sa.Column("subscription", sa.String(length=200), nullable=True),
        sa.Column("ticket", sa.String(length=200), nullable=True),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("journal_offset", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("taken_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.CheckConstraint("kind IN ('quota', 'at-risk', 'missed', 'terms')", name="known_kind"),
        sa.CheckConstraint(
            "state IN ('open', 'no address', 'written', 'overtaken', 'history')", name="known_occasion_state"
        ),
        sa.PrimaryKeyConstraint("occasion"),
    )
    op.create_index(op.f("ix_occasions_account"), "occasions", ["account"], unique=False)
    op.create_index(op.f("ix_occasions_ticket"), "occasions", ["ticket"], unique=False)
    op.create_index("occasions_due", "occasions", ["state", "next_at"], unique=False)
    op.create_table(
        "positions",
        sa.Column("place", sa.String(length=500), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("place"),
    )
    op.create_table(
        "quotas",
        sa.Column("subscription", sa.String(length=200), nullable=False),
        sa.Column("year_starts_on", sa.Date(), nullable=False),
        sa.Column("account", sa.String(length=200), nullable=False),
        sa.Column("quota_minutes", sa.Integer(), nullable=False),
        sa.Column("used_minutes", sa.Integer(), nullable=False),
        sa.Column("as_of", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("subscription", "year_starts_on"),
    )
    op.create_table(
        "requests",
        sa.Column("ticket", sa.String(length=200), nullable=False),
        sa.Column("account", sa.String(length=200), nullable=False),
        sa.Column("subscription", sa.String(length=200), nullable=True),
        sa.Column("severity", sa.String(length=20), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("response", sa.String(length=20), nullable=False),
        sa.Column("withdrawn", sa.Boolean(), nullable=False),
        sa.CheckConstraint("response IN ('waiting', 'met', 'missed', 'late')", name="known_response"),
        sa.PrimaryKeyConstraint("ticket"),
    )
    op.create_table(
        "subscriptions",
        sa.Column("subscription", sa.String(length=200), nullable=False),
        sa.Column("account", sa.String(length=200), nullable=False),
        sa.Column("language", sa.String(length=35), nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("ends_on", sa.Date(), nullable=True),
        sa.PrimaryKeyConstraint("subscription"),
    )
    op.create_index(op.f("ix_subscriptions_account"), "subscriptions", ["account"], unique=False)
    op.create_table(
        "terms",
        sa.Column("version", sa.String(length=200), nullable=False),
        sa.Column("effective_on", sa.Date(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("version", "effective_on"),
    )
    op.create_table(
        "written",
        sa.Column("letter", sa.String(length=320), nullable=False),
        sa.Column("occasion", sa.String(length=250), nullable=False),
        sa.ForeignKeyConstraint(
            ["occasion"],
            ["occasions.occasion"],
        ),
        sa.PrimaryKeyConstraint("letter"),
    )
    op.create_index(op.f("ix_written_occasion"), "written", ["occasion"], unique=False)


def downgrade() -> None:
    raise NotImplementedError(
        "letters that were sent are not taken back; restore the database from its backup"
    )
