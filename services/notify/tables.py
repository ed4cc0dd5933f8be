"""The tables. What must not be written twice is made impossible here, by constraint, not by care.

Instants are ms since the epoch. Personal data stands only in `letters.recipient` and `letters.data`:
forgetting someone empties them.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

from shared.mail.letters import letters_table

metadata = MetaData()

began = Table(
    "began",
    metadata,
    Column("one", Integer, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    CheckConstraint("one = 1", name="one_row"),
)
"""When this installation's notify was first started."""

positions = Table(
    "positions",
    metadata,
    Column("place", String(500), primary_key=True),
    Column("offset", BigInteger, nullable=False),
    Column("step", Integer, nullable=False),
)
"""How far each "topic/partition" was taken, and of the journal what followed from it there: moved in the
transaction that took it."""

quotas = Table(
    "quotas",
    metadata,
    Column("subscription", String(200), primary_key=True),
    Column("year_starts_on", Date, primary_key=True),
    Column("account", String(200), nullable=False),
    Column("quota_minutes", Integer, nullable=False),
    Column("used_minutes", Integer, nullable=False),
    Column("as_of", BigInteger, nullable=False),
)
"""The current figures of each subscription year; `as_of`: when the last of them was recorded."""

requests = Table(
    "requests",
    metadata,
    Column("ticket", String(200), primary_key=True),
    Column("account", String(200), nullable=False),
    Column("subscription", String(200)),
    Column("severity", String(20)),
    Column("due_at", BigInteger),
    Column("response", String(20), nullable=False),
    Column("withdrawn", Boolean, nullable=False),
    CheckConstraint("response IN ('waiting', 'met', 'missed', 'late')", name="known_response"),
)
"""What sla.deadlines says of each request, and whether it was withdrawn."""

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("subscription", String(200), primary_key=True),
    Column("account", String(200), nullable=False, index=True),
    Column("language", String(35), nullable=False),
    Column("starts_on", Date, nullable=False),
    Column("ends_on", Date),
)
"""What subscription.events says; `ends_on` is exclusive."""

terms = Table(
    "terms",
    metadata,
    Column("version", String(200), primary_key=True),
    Column("effective_on", Date, primary_key=True),
    Column("document", Text, nullable=False),
)
"""The terms documents as they were published."""

occasions = Table(
    "occasions",
    metadata,
    Column("occasion", String(250), primary_key=True),
    Column("kind", String(20), nullable=False),
    Column("account", String(200), nullable=False, index=True),
    Column("subscription", String(200)),
    Column("ticket", String(200), index=True),
    Column("about", Text, nullable=False),
    Column("journal_offset", BigInteger, nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
    Column("taken_at", BigInteger, nullable=False),
    Column("state", String(20), nullable=False),
    Column("next_at", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    CheckConstraint("kind IN ('quota', 'at-risk', 'missed', 'terms')", name="known_kind"),
    CheckConstraint(
        "state IN ('open', 'no address', 'written', 'overtaken', 'history')", name="known_occasion_state"
    ),
    Index("occasions_due", "state", "next_at"),
)
"""What there is to write about, whoever gets a letter of it. `about`: the figures, as JSON; `next_at`: not
before; `reason`: why it still waits, or why nothing was written."""

letters = letters_table(metadata)

written = Table(
    "written",
    metadata,
    Column("letter", String(320), primary_key=True),
    Column("occasion", ForeignKey("occasions.occasion"), nullable=False, index=True),
)
"""Which letters an occasion brought about."""

mailbox_positions = Table(
    "mailbox_positions",
    metadata,
    Column("mailbox", String(400), primary_key=True),
    Column("uidvalidity", BigInteger, primary_key=True),
    Column("uid", BigInteger, nullable=False),
)
"""The highest UID of our own mailbox taken, moved in the transaction that took it."""
