"""The desk: contacts, requests and their facts, mails, letters, what is known of subscriptions and quotas."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "contacts",
        sa.Column("contact", sa.String(length=200), nullable=False),
        sa.Column("account", sa.String(length=200), nullable=False),
        sa.Column("subscription", sa.String(length=200), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("language", sa.String(length=2), nullable=False),
        sa.Column("letters", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("forgotten_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("contact"),
    )
    op.create_index(op.f("ix_contacts_account"), "contacts", ["account"], unique=False)
    op.create_table(
        "counters",
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("last", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.PrimaryKeyConstraint("name"),
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
    op.create_index("letters_to", "letters", ["recipient", "created_at"], unique=False)
    op.create_table(
        "mailbox_positions",
        sa.Column("mailbox", sa.String(length=300), nullable=False),
        sa.Column("uidvalidity", sa.BigInteger(), nullable=False),
        sa.Column("uid", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("mailbox", "uidvalidity"),
    )
    op.create_table(
        "positions",
        sa.Column("place", sa.String(length=300), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("place"),
    )
    op.create_table(
        "quotas",
        sa.Column("subscription", sa.String(length=200), nullable=False),
        sa.Column("year_starts_on", sa.Date(), nullable=False),
        sa.Column("account", sa.String(length=200), nullable=False),
        sa.Column("quota_minutes", sa.Integer(), nullable=False),
        sa.Column("used_minutes", sa.Integer(), nullable=False),
        sa.Column("warned", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("subscription", "year_starts_on"),
    )
    op.create_table(
        "subscriptions",
        sa.Column("subscription", sa.String(length=200), nullable=False),
        sa.Column("account", sa.String(length=200), nullable=False),
        sa.Column("language", sa.String(length=10), nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("ends_on", sa.Date(), nullable=True),
        sa.PrimaryKeyConstraint("subscription"),
    )
    op.create_index(op.f("ix_subscriptions_account"), "subscriptions", ["account"], unique=False)
    op.create_table(
        "addresses",
        sa.Column("address", sa.String(length=254), nullable=False),
        sa.Column("contact", sa.String(length=200), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["contact"],
            ["contacts.contact"],
        ),
        sa.PrimaryKeyConstraint("address"),
    )
    op.create_index(op.f("ix_addresses_contact"), "addresses", ["contact"], unique=False)
    op.create_table(
        "tickets",
        sa.Column("ticket", sa.String(length=200), nullable=False),
        sa.Column("account", sa.String(length=200), nullable=False),
        sa.Column("subscription", sa.String(length=200), nullable=True),
        sa.Column("contact", sa.String(length=200), nullable=True),
        sa.Column("language", sa.String(length=2), nullable=False),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("origin", sa.String(length=300), nullable=False),
        sa.Column("severity", sa.String(length=20), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("responded_at", sa.BigInteger(), nullable=True),
        sa.Column("covered", sa.Boolean(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("at_risk_at", sa.BigInteger(), nullable=True),
        sa.Column("response", sa.String(length=20), nullable=False),
        sa.Column("late_by_ms", sa.BigInteger(), nullable=True),
        sa.Column("acknowledged", sa.Boolean(), nullable=False),
        sa.CheckConstraint(
            "response IN ('waiting', 'at-risk', 'met', 'missed', 'late')", name="known_response"
        ),
        sa.CheckConstraint("status IN ('open', 'closed', 'withdrawn')", name="known_status"),
        sa.ForeignKeyConstraint(
            ["contact"],
            ["contacts.contact"],
        ),
        sa.PrimaryKeyConstraint("ticket"),
    )
    op.create_index(op.f("ix_tickets_account"), "tickets", ["account"], unique=False)
    op.create_index(op.f("ix_tickets_contact"), "tickets", ["contact"], unique=False)
    op.create_index(op.f("ix_tickets_origin"), "tickets", ["origin"], unique=False)
    op.create_index("tickets_by_status", "tickets", ["status", "due_at"], unique=False)
    op.create_table(
        "messages",
        sa.Column(
            "message",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("mailbox", sa.String(length=300), nullable=False),
        sa.Column("uidvalidity", sa.BigInteger(), nullable=False),
        sa.Column("uid", sa.BigInteger(), nullable=False),
        sa.Column("raw_digest", sa.String(length=64), nullable=False),
        sa.Column("content_digest", sa.String(length=64), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("taken_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("ticket", sa.String(length=200), nullable=True),
        sa.Column("contact", sa.String(length=200), nullable=True),
        sa.Column("message_id", sa.Text(), nullable=True),
        sa.Column("sender", sa.String(length=254), nullable=True),
        sa.Column("sender_name", sa.Text(), nullable=True),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("attachments", sa.Integer(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "state IN ('opened', 'threaded', 'staff', 'repeat', 'automatic', 'bounce',"
            " 'own', 'quarantined', 'released', 'discarded')",
            name="known_state",
        ),
        sa.ForeignKeyConstraint(
            ["contact"],
            ["contacts.contact"],
        ),
        sa.ForeignKeyConstraint(
            ["ticket"],
            ["tickets.ticket"],
        ),
        sa.PrimaryKeyConstraint("message"),
        sa.UniqueConstraint("mailbox", "uidvalidity", "uid", name="taken_once"),
    )
    op.create_index(op.f("ix_messages_contact"), "messages", ["contact"], unique=False)
    op.create_index(op.f("ix_messages_content_digest"), "messages", ["content_digest"], unique=False)
    op.create_index(op.f("ix_messages_ticket"), "messages", ["ticket"], unique=False)
    op.create_index("messages_by_state", "messages", ["state", "message"], unique=False)
    op.create_table(
        "thread_ids",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("ticket", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(
            ["ticket"],
            ["tickets.ticket"],
        ),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_table(
        "ticket_facts",
        sa.Column(
            "sequence",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("ticket", sa.String(length=200), nullable=False),
        sa.Column("said_at", sa.BigInteger(), nullable=False),
        sa.Column("idempotency_key", sa.String(length=200), nullable=True),
        sa.Column("fact", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["ticket"],
            ["tickets.ticket"],
        ),
        sa.PrimaryKeyConstraint("sequence"),
        sa.UniqueConstraint("idempotency_key"),
    )
    op.create_index(op.f("ix_ticket_facts_ticket"), "ticket_facts", ["ticket"], unique=False)
    op.create_table(
        "work_entries",
        sa.Column("ticket", sa.String(length=200), nullable=False),
        sa.Column("entry", sa.String(length=200), nullable=False),
        sa.Column("minutes", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["ticket"],
            ["tickets.ticket"],
        ),
        sa.PrimaryKeyConstraint("ticket", "entry"),
    )
    op.create_table(
        "outbox",
        sa.Column(
            "sequence",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("sent_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["sequence"],
            ["ticket_facts.sequence"],
        ),
        sa.PrimaryKeyConstraint("sequence"),
    )
    op.create_index("outbox_unsent", "outbox", ["sent_at", "sequence"], unique=False)
    op.create_table(
        "raw_messages",
        sa.Column("message", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(
            ["message"],
            ["messages.message"],
        ),
        sa.PrimaryKeyConstraint("message"),
    )


def downgrade() -> None:
    raise NotImplementedError("the desk is not taken back; restore the database from its backup")
