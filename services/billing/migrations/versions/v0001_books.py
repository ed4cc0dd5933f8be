"""The books: subscriptions and their facts, inbox and outbox, ledger, invoices, quarantine."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

APPEND_ONLY = (
    "subscriptions",
    "subscription_facts",
    "inbox",
    "invoices",
    "voids",
    "invoice_lines",
    "ledger_entries",
)


def upgrade() -> None:
    op.create_table(
        "counters",
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("last", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "inbox",
        sa.Column("journal_partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("journal_offset", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("journal_index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("taken_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("journal_partition", "journal_offset", "journal_index"),
    )
    op.create_table(
        "quarantine",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("account", sa.String(length=200), nullable=False),
        sa.Column("subscription", sa.String(length=200), nullable=False),
        sa.Column("credit", sa.String(length=500), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
        sa.Column("origin", sa.String(length=300), nullable=False),
        sa.Column("first_seen_at", sa.BigInteger(), nullable=False),
        sa.Column("times_seen", sa.Integer(), nullable=False),
        sa.Column("resolved_at", sa.BigInteger(), nullable=True),
        sa.Column("resolution", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("digest"),
    )
    op.create_table(
        "subscriptions",
        sa.Column("subscription", sa.String(length=200), nullable=False),
        sa.Column("account", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("subscription"),
    )
    op.create_table(
        "invoices",
        sa.Column("number", sa.String(length=20), nullable=False),
        sa.Column("subscription", sa.String(length=200), nullable=False),
        sa.Column("account", sa.String(length=200), nullable=False),
        sa.Column("term_start", sa.Date(), nullable=False),
        sa.Column("term_end", sa.Date(), nullable=False),
        sa.Column("issue", sa.Integer(), nullable=False),
        sa.Column("issued_on", sa.Date(), nullable=False),
        sa.Column("issued_at", sa.BigInteger(), nullable=False),
        sa.Column("language", sa.String(length=10), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("carried_over", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("carried_over >= 0", name="carried_over_is_credit"),
        sa.CheckConstraint("total >= 0", name="never_below_zero"),
        sa.ForeignKeyConstraint(
            ["subscription"],
            ["subscriptions.subscription"],
        ),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("subscription", "term_start", "issue", name="one_invoice_a_term"),
    )
    op.create_table(
        "subscription_facts",
        sa.Column(
            "sequence",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("subscription", sa.String(length=200), nullable=False),
        sa.Column("said_at", sa.BigInteger(), nullable=False),
        sa.Column("idempotency_key", sa.String(length=200), nullable=True),
        sa.Column("fact", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["subscription"],
            ["subscriptions.subscription"],
        ),
        sa.PrimaryKeyConstraint("sequence"),
        sa.UniqueConstraint("subscription", "idempotency_key", name="one_fact_a_key"),
    )
    op.create_index(
        op.f("ix_subscription_facts_subscription"), "subscription_facts", ["subscription"], unique=False
    )
    op.create_table(
        "invoice_lines",
        sa.Column("number", sa.String(length=20), nullable=False),
        sa.Column("line", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("credit", sa.String(length=500), nullable=True),
        sa.Column("cause", sa.String(length=20), nullable=True),
        sa.Column("period", sa.String(length=200), nullable=True),
        sa.CheckConstraint(
            "(kind = 'fee' AND amount >= 0) OR (kind = 'deduction' AND amount < 0)"
            " OR (kind = 'taken-back' AND amount > 0) OR (kind = 'rounding' AND amount BETWEEN -2 AND 2)",
            name="line_has_its_sign",
        ),
        sa.CheckConstraint(
            "(kind IN ('deduction', 'taken-back')) = (credit IS NOT NULL)", name="line_of_a_credit"
        ),
        sa.ForeignKeyConstraint(
            ["number"],
            ["invoices.number"],
        ),
        sa.PrimaryKeyConstraint("number", "line"),
        sa.UniqueConstraint("number", "credit", name="one_line_a_credit"),
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
            ["subscription_facts.sequence"],
        ),
        sa.PrimaryKeyConstraint("sequence"),
    )
    op.create_index("outbox_unsent", "outbox", ["sent_at", "sequence"], unique=False)
    op.create_table(
        "voids",
        sa.Column("number", sa.String(length=20), nullable=False),
        sa.Column("voided_at", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["number"],
            ["invoices.number"],
        ),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_table(
        "ledger_entries",
        sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("account", sa.String(length=200), nullable=False),
        sa.Column("subscription", sa.String(length=200), nullable=False),
        sa.Column("credit", sa.String(length=500), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("booked_at", sa.BigInteger(), nullable=False),
        sa.Column("cause", sa.String(length=20), nullable=True),
        sa.Column("period", sa.String(length=200), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=True),
        sa.Column("total", sa.BigInteger(), nullable=True),
        sa.Column("journal_partition", sa.Integer(), nullable=True),
        sa.Column("journal_offset", sa.BigInteger(), nullable=True),
        sa.Column("journal_index", sa.Integer(), nullable=True),
        sa.Column("record", sa.Text(), nullable=True),
        sa.Column("invoice", sa.String(length=20), nullable=True),
        sa.Column("invoice_line", sa.Integer(), nullable=True),
        sa.Column("reverses", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("settlement_key", sa.String(length=200), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(kind = 'credit') = (revision IS NOT NULL AND cause IS NOT NULL AND period IS NOT NULL"
            " AND total IS NOT NULL AND journal_offset IS NOT NULL AND record IS NOT NULL)",
            name="credit_is_complete",
        ),
        sa.CheckConstraint("(kind = 'reversal') = (reverses IS NOT NULL)", name="reversal_has_entry"),
        sa.CheckConstraint(
            "(kind = 'settlement') = (note IS NOT NULL AND settlement_key IS NOT NULL)",
            name="settlement_is_signed",
        ),
        sa.CheckConstraint(
            "(kind IN ('deduction', 'reversal')) = (invoice IS NOT NULL)", name="use_has_invoice"
        ),
        sa.CheckConstraint("kind IN ('credit', 'deduction', 'reversal', 'settlement')", name="known_kind"),
        sa.ForeignKeyConstraint(
            ["invoice", "invoice_line"],
            ["invoice_lines.number", "invoice_lines.line"],
            name="entry_of_a_line",
        ),
        sa.ForeignKeyConstraint(
            ["journal_partition", "journal_offset", "journal_index"],
            ["inbox.journal_partition", "inbox.journal_offset", "inbox.journal_index"],
            name="entry_has_inbox_mark",
        ),
        sa.ForeignKeyConstraint(
            ["reverses"],
            ["ledger_entries.sequence"],
        ),
        sa.PrimaryKeyConstraint("sequence"),
        sa.UniqueConstraint(
            "journal_partition", "journal_offset", "journal_index", name="one_entry_a_record"
        ),
        sa.UniqueConstraint("reverses"),
        sa.UniqueConstraint("subscription", "cause", "period", "revision", name="one_entry_a_revision"),
        sa.UniqueConstraint("subscription", "settlement_key", name="one_settlement_a_key"),
    )
    op.create_index(op.f("ix_ledger_entries_subscription"), "ledger_entries", ["subscription"], unique=False)
    op.create_index(
        "one_deduction_a_line", "ledger_entries", ["invoice", "invoice_line", "kind"], unique=True
    )
    for table in APPEND_ONLY:
        _refuse_changes(table)


def _refuse_changes(table: str) -> None:
    """Books are not edited: UPDATE and DELETE (and TRUNCATE, where there is one) fail in the database."""
    if op.get_bind().dialect.name == "sqlite":
        for action in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{action.lower()} BEFORE {action} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only: add an entry that undoes it'); END"
            )
        return
    op.execute(
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "BEGIN RAISE EXCEPTION '% is append-only: add an entry that undoes it', TG_TABLE_NAME; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )


def downgrade() -> None:
    raise NotImplementedError("books are not taken back; restore the database from its backup")
