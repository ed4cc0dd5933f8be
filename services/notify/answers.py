"""What callers of the HTTP API get: instants in UTC."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct
from pydantic import BaseModel, Field

from shared.time import Instant, format_instant


class Letter(BaseModel):
    letter: str
    kind: str = Field(description="quota, at-risk, missed, terms, or status-... for a bulletin")
    account: str = Field(description="empty: a bulletin, of no account")
    subscription: str | None
    ticket: str | None
    contact: str | None = Field(description="null: one of the staff; status-...: a reader of the status page")
    recipient: str | None = Field(description="null: erased")
    state: str = Field(
        description="waiting, sending, accepted (by the relay), refused, bounced, doubtful (the relay may "
        "have it) or forgotten"
    )
    attempts: int
    created_at: str
    sent_at: str | None
    next_attempt_at: str | None
    copy_seen_at: str | None
    bounced_at: str | None
    reason: str | None


class LetterWithText(Letter):
    subject: str | None = Field(description="null: erased")
    text: str | None


class Waiting(BaseModel):
    occasion: str
    kind: str
    account: str
    subscription: str | None
    ticket: str | None
    state: str = Field(description="open, or no address: nobody to write to")
    recorded_at: str
    next_at: str
    reason: str


class Forgotten(BaseModel):
    contact: str
    letters: int = Field(description="How many letters' recipients and texts were erased")


def told(found: Struct) -> dict[str, Any]:
    """The fields of `found`, instants as text."""
    return {
        name: format_instant(value) if isinstance(value, Instant) else value
        for name, value in msgspec.structs.asdict(found).items()
    }
