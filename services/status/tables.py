"""The tables. What must not be said twice is made impossible here, by constraint, not by care.

Instants are ms since the epoch. Addresses are personal data: they stand in subscribers' rows only, and go
with them.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

metadata = MetaData()

# Incidents

incidents = Table(
    "incidents",
    metadata,
    Column("incident", String(40), primary_key=True),
    Column("title", Text, nullable=False),
    Column("impact", String(20), nullable=False),
    Column("components", Text, nullable=False),
    Column("opened_at", BigInteger, nullable=False, index=True),
    Column("resolved_at", BigInteger),
    CheckConstraint("impact IN ('none', 'minor', 'major', 'critical')", name="known_impact"),
)
"""What staff write about. `title`: texts by language, `components`: public ids, both JSON."""

incident_updates = Table(
    "incident_updates",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("id", String(40), nullable=False, unique=True),
    Column("incident", ForeignKey("incidents.incident"), nullable=False, index=True),
    Column("at", BigInteger, nullable=False),
    Column("status", String(20), nullable=False),
    Column("text", Text, nullable=False),
    Column("idempotency_key", String(200), unique=True),
    Column("said", String(64), nullable=False),
    CheckConstraint(
        "status IN ('investigating', 'identified', 'monitoring', 'resolved')", name="known_status"
    ),
)
"""What was written, in the order in which it was. `text`: by language, JSON; `said`: SHA-256 of the request
that said it, so that a key is known again with other words."""

# Subscribers, bulletins and hooks

noted = Table(
    "noted",
    metadata,
    Column("entry", String(200), primary_key=True),
    Column("at", BigInteger, nullable=False, index=True),
)
"""Entries that were seen, whoever was told of them: none is told of twice. `at`: when they were seen."""

askings = Table(
    "askings",
    metadata,
    Column("asking", String(64), primary_key=True),
    Column("confirm_digest", String(64), nullable=False, unique=True),
    Column("address", String(254), nullable=False, index=True),
    Column("language", String(2), nullable=False),
    Column("components", Text),
    Column("asked_at", BigInteger, nullable=False, index=True),
    Column("confirmed_as", String(64)),
)
"""Who asked for news and has to confirm it, for 48 hours. `components`: public ids as JSON, NULL for all;
`confirmed_as`: the subscriber that came of it."""

subscribers = Table(
    "subscribers",
    metadata,
    Column("subscriber", String(64), primary_key=True),
    Column("address", String(254), nullable=False, unique=True),
    Column("language", String(2), nullable=False),
    Column("components", Text),
    Column("confirmed_at", BigInteger, nullable=False),
    Column("unsubscribe_token", String(64), nullable=False, unique=True),
)
"""Who gets the news by mail, of what is entered after `confirmed_at`."""

mails = Table(
    "mails",
    metadata,
    Column("id", String(200), primary_key=True),
    Column("purpose", String(20), nullable=False),
    Column("contact", String(64), nullable=False, index=True),
    Column("body", Text, nullable=False),
    Column("due_at", BigInteger, nullable=False, index=True),
    Column("refused", Text),
    CheckConstraint("purpose IN ('confirm', 'news', 'forget')", name="known_purpose"),
)
"""What notify is still to be told, no address in it: a mail to the asking or subscriber `contact`, or to
forget it. Gone once notify has it. `refused`: what notify has against it; it is not tried again."""

hooks = Table(
    "hooks",
    metadata,
    Column("hook", String(64), primary_key=True),
    Column("url", Text, nullable=False),
    Column("secret", String(100), nullable=False),
    Column("components", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("stopped", Text),
    Column("idempotency_key", String(200), unique=True),
    Column("said", String(64), nullable=False),
)
"""Where entries are posted to. `stopped`: why nothing is posted any more."""

hook_calls = Table(
    "hook_calls",
    metadata,
    Column("call", String(100), primary_key=True),
    Column("hook", ForeignKey("hooks.hook", ondelete="CASCADE"), nullable=False),
    Column("entry", String(200), nullable=False),
    Column("body", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("state", String(20), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", BigInteger),
    Column("ended_at", BigInteger),
    Column("reason", Text, nullable=False),
    CheckConstraint("state IN ('waiting', 'delivered', 'given up')", name="known_call_state"),
    Index("hook_calls_due", "state", "next_attempt_at"),
    Index("hook_calls_of", "hook", "created_at"),
)
"""What is posted to a hook; `call` is the webhook-id. Ended ones are kept for 30 days."""
