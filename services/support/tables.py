"""The tables. What must not happen twice is made impossible here, by constraint, not by care.

Instants are ms since the epoch. What says something about a person stands only in the columns named in
`PERSONAL`: forgetting someone empties them, and leaves ids, instants and facts as they were.
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
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from shared.mail.letters import letters_table
from shared.places import places_table

metadata = MetaData()

_Number = BigInteger().with_variant(Integer, "sqlite")

PERSONAL = {
    "contacts": ("name",),
    "addresses": ("address",),
    "messages": ("message_id", "sender", "sender_name", "subject", "text"),
    "raw_messages": ("data",),
    "tickets": ("subject",),
    "letters": ("recipient", "data"),
}
"""Every column that holds personal data, by table."""

counters = Table(
    "counters",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("last", _Number, nullable=False),
)
"""Numbers without gaps: a counter's row stays locked until the transaction that took a number ends."""

contacts = Table(
    "contacts",
    metadata,
    Column("contact", String(200), primary_key=True),
    Column("account", String(200), nullable=False, index=True),
    Column("subscription", String(200)),
    Column("name", Text),
    Column("language", String(2), nullable=False),
    Column("letters", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("forgotten_at", BigInteger),
)
"""A person of a customer. `subscription`: the one this person writes about, where the account has several;
`letters`: whether warnings and notices go to this person."""

addresses = Table(
    "addresses",
    metadata,
    Column("address", String(254), primary_key=True),
    Column("contact", ForeignKey("contacts.contact"), nullable=False, index=True),
    Column("place", Integer, nullable=False),
)
"""Who writes from where, in lower case; an address belongs to one person, whose first one (`place` 0) is
written to."""

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("subscription", String(200), primary_key=True),
    Column("account", String(200), nullable=False, index=True),
    Column("language", String(10), nullable=False),
    Column("starts_on", Date, nullable=False),
    Column("ends_on", Date),
)
"""What subscription.events says; `ends_on` is exclusive."""

positions = places_table(metadata)
"""The last offset taken of each "topic/partition", moved in the transaction that took it."""

quotas = Table(
    "quotas",
    metadata,
    Column("subscription", String(200), primary_key=True),
    Column("year_starts_on", Date, primary_key=True),
    Column("account", String(200), nullable=False),
    Column("quota_minutes", Integer, nullable=False),
    Column("used_minutes", Integer, nullable=False),
    Column("warned", String(200), nullable=False),
)
"""What sla.quota says, for the work list; `warned` are the percents whose warnings stand, "75,90"."""

tickets = Table(
    "tickets",
    metadata,
    Column("ticket", String(200), primary_key=True),
    Column("account", String(200), nullable=False, index=True),
    Column("subscription", String(200)),
    Column("contact", ForeignKey("contacts.contact"), index=True),
    Column("language", String(2), nullable=False),
    Column("subject", Text),
    Column("origin", String(300), nullable=False, index=True),
    Column("severity", String(20), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("status", String(20), nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("responded_at", BigInteger),
    Column("covered", Boolean),
    Column("revision", Integer, nullable=False),
    Column("due_at", BigInteger),
    Column("at_risk_at", BigInteger),
    Column("response", String(20), nullable=False),
    Column("late_by_ms", BigInteger),
    Column("acknowledged", Boolean, nullable=False),
    Index("tickets_by_status", "status", "due_at"),
    CheckConstraint("status IN ('open', 'closed', 'withdrawn')", name="known_status"),
    CheckConstraint("response IN ('waiting', 'at-risk', 'met', 'missed', 'late')", name="known_response"),
)
"""A request. `origin`: what it came from ("mail/17", "api", "zammad/4711"). `covered`, `revision` (0: none),
`due_at`, `at_risk_at`, `response` and `late_by_ms` are what sla.deadlines says of it; `responded_at` is the
earliest response we told; `acknowledged`: the letter with the deadline is in `letters`, or none is wanted."""

ticket_facts = Table(
    "ticket_facts",
    metadata,
    Column("sequence", _Number, primary_key=True, autoincrement=False),
    Column("ticket", ForeignKey("tickets.ticket"), nullable=False, index=True),
    Column("said_at", BigInteger, nullable=False),
    Column("idempotency_key", String(200), unique=True),
    Column("fact", Text, nullable=False),
)
"""What was said, word for word; the sequence is also the order on the log."""

outbox = Table(
    "outbox",
    metadata,
    Column("sequence", ForeignKey("ticket_facts.sequence"), primary_key=True, autoincrement=False),
    Column("sent_at", BigInteger),
    Index("outbox_unsent", "sent_at", "sequence"),
)
"""Which facts the broker has acknowledged; NULL: still to be published."""

work_entries = Table(
    "work_entries",
    metadata,
    Column("ticket", ForeignKey("tickets.ticket"), primary_key=True),
    Column("entry", String(200), primary_key=True),
    Column("minutes", Integer, nullable=False),
    Column("at", BigInteger, nullable=False),
)
"""The work on a request as it stands after corrections."""

messages = Table(
    "messages",
    metadata,
    Column("message", _Number, primary_key=True, autoincrement=False),
    Column("mailbox", String(300), nullable=False),
    Column("uidvalidity", BigInteger, nullable=False),
    Column("uid", BigInteger, nullable=False),
    Column("raw_digest", String(64), nullable=False),
    Column("content_digest", String(64), nullable=False, index=True),
    Column("received_at", BigInteger, nullable=False),
    Column("taken_at", BigInteger, nullable=False),
    Column("state", String(20), nullable=False),
    Column("reason", Text, nullable=False),
    Column("ticket", ForeignKey("tickets.ticket"), index=True),
    Column("contact", ForeignKey("contacts.contact"), index=True),
    Column("message_id", Text),
    Column("sender", String(254)),
    Column("sender_name", Text),
    Column("subject", Text),
    Column("text", Text),
    Column("attachments", Integer, nullable=False),
    Column("size", BigInteger, nullable=False),
    UniqueConstraint("mailbox", "uidvalidity", "uid", name="taken_once"),
    CheckConstraint(
        "state IN ('opened', 'threaded', 'staff', 'repeat', 'automatic', 'bounce', 'own', 'quarantined',"
        " 'released', 'discarded')",
        name="known_state",
    ),
    Index("messages_by_state", "state", "message"),
)
"""Every mail that came in and what became of it. Of mail taken by LMTP or SMTP, `uid` is its own number."""

raw_messages = Table(
    "raw_messages",
    metadata,
    Column("message", ForeignKey("messages.message"), primary_key=True),
    Column("data", LargeBinary),
)
"""The mail as it was received, compressed (zlib)."""

mailbox_positions = Table(
    "mailbox_positions",
    metadata,
    Column("mailbox", String(300), primary_key=True),
    Column("uidvalidity", BigInteger, primary_key=True),
    Column("uid", BigInteger, nullable=False),
)
"""The highest UID taken, moved in the transaction that took it."""

thread_ids = Table(
    "thread_ids",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("ticket", ForeignKey("tickets.ticket"), nullable=False),
)
"""SHA-256 of the Message-IDs that belong to a request, theirs and ours: by References a reply finds it."""

zammad_tickets = Table(
    "zammad_tickets",
    metadata,
    Column("ticket", ForeignKey("tickets.ticket"), primary_key=True),
    Column("updated_at", BigInteger, nullable=False),
)
"""Up to when Zammad's word on a ticket was taken: what is older and comes later changes nothing."""

letters = letters_table(metadata)
"""Acknowledgements, answers and replies that go out."""
Index("letters_to", letters.c.recipient, letters.c.created_at)
