"""The tables. What must never happen to money is made impossible here, by constraint, not by care.

Amounts are hundredths of the currency unit, instants ms since the epoch. Every table but `outbox`,
`quarantine` and `counters` is append-only: triggers of the migration refuse UPDATE and DELETE.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from shared.places import places_table

metadata = MetaData()

_Number = BigInteger().with_variant(Integer, "sqlite")

APPEND_ONLY = (
    "subscriptions",
    "subscription_facts",
    "inbox",
    "invoices",
    "voids",
    "invoice_lines",
    "ledger_entries",
    "quota_warnings",
    "cap_checks",
    "releases",
)

counters = Table(
    "counters",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("last", _Number, nullable=False),
)
"""Numbers without gaps: a counter's row stays locked until the transaction that took a number ends."""

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("subscription", String(200), primary_key=True),
    Column("account", String(200), nullable=False),
)

subscription_facts = Table(
    "subscription_facts",
    metadata,
    Column("sequence", _Number, primary_key=True, autoincrement=False),
    Column("subscription", ForeignKey("subscriptions.subscription"), nullable=False, index=True),
    Column("said_at", BigInteger, nullable=False),
    Column("idempotency_key", String(200)),
    Column("fact", Text, nullable=False),
    UniqueConstraint("subscription", "idempotency_key", name="one_fact_a_key"),
)
"""What was declared, word for word; the sequence is also the order on the log."""

outbox = Table(
    "outbox",
    metadata,
    Column("sequence", ForeignKey("subscription_facts.sequence"), primary_key=True, autoincrement=False),
    Column("sent_at", BigInteger),
    Index("outbox_unsent", "sent_at", "sequence"),
)
"""Which facts the broker has acknowledged; NULL: still to be published."""

positions = places_table(metadata)
"""The last offset of each "topic/partition" whose records are all booked or noted."""

inbox = Table(
    "inbox",
    metadata,
    Column("journal_partition", Integer, primary_key=True, autoincrement=False),
    Column("journal_offset", BigInteger, primary_key=True, autoincrement=False),
    Column("journal_index", Integer, primary_key=True, autoincrement=False),
    Column("digest", String(64), nullable=False),
    Column("taken_at", BigInteger, nullable=False),
)
"""The journal positions whose credit has been booked."""

invoices = Table(
    "invoices",
    metadata,
    Column("number", String(20), primary_key=True),
    Column("subscription", ForeignKey("subscriptions.subscription"), nullable=False),
    Column("account", String(200), nullable=False),
    Column("term_start", Date, nullable=False),
    Column("term_end", Date, nullable=False),
    Column("issue", Integer, nullable=False),
    Column("issued_on", Date, nullable=False),
    Column("issued_at", BigInteger, nullable=False),
    Column("language", String(10), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("carried_over", BigInteger, nullable=False),
    Column("held", BigInteger, nullable=False, server_default="0"),
    CheckConstraint("held >= 0", name="held_is_credit"),
    CheckConstraint("total >= 0", name="never_below_zero"),
    CheckConstraint("carried_over >= 0", name="carried_over_is_credit"),
    UniqueConstraint("subscription", "term_start", "issue", name="one_invoice_a_term"),
)
"""`issue` counts 1, 2, .. where an invoice of the term was voided and replaced."""

voids = Table(
    "voids",
    metadata,
    Column("number", ForeignKey("invoices.number"), primary_key=True),
    Column("voided_at", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
)

invoice_lines = Table(
    "invoice_lines",
    metadata,
    Column("number", ForeignKey("invoices.number"), primary_key=True),
    Column("line", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(20), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("credit", String(500)),
    Column("cause", String(20)),
    Column("period", String(200)),
    UniqueConstraint("number", "credit", name="one_line_a_credit"),
    CheckConstraint("(kind IN ('deduction', 'taken-back')) = (credit IS NOT NULL)", name="line_of_a_credit"),
    CheckConstraint(
        "(kind = 'fee' AND amount >= 0) OR (kind = 'deduction' AND amount < 0)"
        " OR (kind = 'taken-back' AND amount > 0) OR (kind = 'rounding' AND amount BETWEEN -2 AND 2)",
        name="line_has_its_sign",
    ),
)

ledger_entries = Table(
    "ledger_entries",
    metadata,
    Column("sequence", _Number, primary_key=True),
    Column("kind", String(20), nullable=False),
    Column("account", String(200), nullable=False),
    Column("subscription", String(200), nullable=False, index=True),
    Column("credit", String(500), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("booked_at", BigInteger, nullable=False),
    Column("cause", String(20)),
    Column("period", String(200)),
    Column("revision", Integer),
    Column("total", BigInteger),
    Column("journal_partition", Integer),
    Column("journal_offset", BigInteger),
    Column("journal_index", Integer),
    Column("record", Text),
    Column("invoice", String(20)),
    Column("invoice_line", Integer),
    Column("reverses", ForeignKey("ledger_entries.sequence"), unique=True),
    Column("settlement_key", String(200)),
    Column("note", Text),
    UniqueConstraint("journal_partition", "journal_offset", "journal_index", name="one_entry_a_record"),
    UniqueConstraint("subscription", "cause", "period", "revision", name="one_entry_a_revision"),
    UniqueConstraint("subscription", "settlement_key", name="one_settlement_a_key"),
    Index("one_deduction_a_line", "invoice", "invoice_line", "kind", unique=True),
    ForeignKeyConstraint(
        ["journal_partition", "journal_offset", "journal_index"],
        ["inbox.journal_partition", "inbox.journal_offset", "inbox.journal_index"],
        name="entry_has_inbox_mark",
    ),
    ForeignKeyConstraint(
        ["invoice", "invoice_line"], ["invoice_lines.number", "invoice_lines.line"], name="entry_of_a_line"
    ),
    CheckConstraint(
        "(kind = 'credit') = (revision IS NOT NULL AND cause IS NOT NULL AND period IS NOT NULL"
        " AND total IS NOT NULL AND journal_offset IS NOT NULL AND record IS NOT NULL)",
        name="credit_is_complete",
    ),
    CheckConstraint("(kind IN ('deduction', 'reversal')) = (invoice IS NOT NULL)", name="use_has_invoice"),
    CheckConstraint("(kind = 'reversal') = (reverses IS NOT NULL)", name="reversal_has_entry"),
    CheckConstraint(
        "(kind = 'settlement') = (note IS NOT NULL AND settlement_key IS NOT NULL)",
        name="settlement_is_signed",
    ),
    CheckConstraint("kind IN ('credit', 'deduction', 'reversal', 'settlement')", name="known_kind"),
)

cap_checks = Table(
    "cap_checks",
    metadata,
    Column("entry", ForeignKey("ledger_entries.sequence"), primary_key=True, autoincrement=False),
    Column("day", Date, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("account", String(200), nullable=False),
    Column("held", String(20)),
    Column("cap", BigInteger),
    Column("passed_account", BigInteger, nullable=False),
    Column("passed_day", BigInteger, nullable=False),
    Index("passed_by_account", "day", "currency", "account", "entry"),
    Index("passed_by_day", "day", "currency", "entry"),
    CheckConstraint("held IN ('account-day', 'day', 'held-credit')", name="known_hold"),
    CheckConstraint(
        "(cap IS NOT NULL) = (held IS NOT NULL AND held <> 'held-credit')", name="hold_names_its_cap"
    ),
)
"""For each revision booked: what its day's caps said, and what had passed with it (running totals)."""

releases = Table(
    "releases",
    metadata,
    Column("sequence", _Number, primary_key=True),
    Column("subscription", String(200), nullable=False),
    Column("credit", String(500), nullable=False),
    Column("through_entry", ForeignKey("cap_checks.entry"), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("release_key", String(200), nullable=False),
    Column("author", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    Column("released_at", BigInteger, nullable=False),
    UniqueConstraint("subscription", "release_key", name="one_release_a_key"),
    UniqueConstraint("subscription", "credit", "through_entry", name="one_release_a_hold"),
    CheckConstraint("amount > 0", name="release_gives"),
)
"""A person's word that a held credit may be used, with all its revisions booked by then."""

quarantine = Table(
    "quarantine",
    metadata,
    Column("id", _Number, primary_key=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("reason", Text, nullable=False),
    Column("account", String(200), nullable=False),
    Column("subscription", String(200), nullable=False),
    Column("credit", String(500), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("record", Text, nullable=False),
    Column("origin", String(300), nullable=False),
    Column("first_seen_at", BigInteger, nullable=False),
    Column("times_seen", Integer, nullable=False),
    Column("resolved_at", BigInteger),
    Column("resolution", Text),
)
"""Records that contradict what is booked: never booked, never dropped, a person decides."""

quota_warnings = Table(
    "quota_warnings",
    metadata,
    Column("journal_partition", Integer, primary_key=True, autoincrement=False),
    Column("journal_offset", BigInteger, primary_key=True, autoincrement=False),
    Column("journal_index", Integer, primary_key=True, autoincrement=False),
    Column("account", String(200), nullable=False),
    Column("subscription", String(200), nullable=False, index=True),
    Column("year_starts_on", Date, nullable=False),
    Column("kind", String(20), nullable=False),
    Column("percent", Integer, nullable=False),
    Column("used_minutes", Integer, nullable=False),
    Column("quota_minutes", Integer, nullable=False),
    Column("taken_at", BigInteger, nullable=False),
    CheckConstraint("kind IN ('warned', 'restored')", name="known_warning"),
)
"""Thresholds of a support quota that were crossed, and fallen below again."""
