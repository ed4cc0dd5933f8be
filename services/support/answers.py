"""What callers of the HTTP API get: instants in UTC, dates local, minutes as numbers."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from shared.time import format_instant

Instant = Annotated[
    int,
    PlainSerializer(format_instant, return_type=str, when_used="json"),
    Field(json_schema_extra={"type": "string", "format": "date-time"}),
]


class Shown(BaseModel):
    """An answer; made of the structs the modules give."""

    model_config = ConfigDict(from_attributes=True)


class WrongField(BaseModel):
    loc: list[str | int]
    msg: str
    type: str


class Problem(BaseModel):
    """Why something was refused: a sentence, or one entry for each field that is wrong."""

    detail: str | list[WrongField]


class ShownLine(Shown):
    ticket: str
    account: str
    subscription: str | None
    subject: str | None
    severity: str
    kind: str
    standing: str = Field(
        description="overdue, at-risk, waiting, unheard (not judged yet), uncovered (nothing is promised) or "
        "answered"
    )
    received_at: Instant
    due_at: Instant | None
    responded_at: Instant | None


class ShownTicket(ShownLine):
    """A request. `revision` counts what sla.deadlines said of its due, 0: nothing yet."""

    status: str = Field(description="open, closed or withdrawn")
    contact: str | None
    language: str
    origin: str
    covered: bool | None = Field(description="Whether a first response is promised; null: not known yet")
    revision: int
    at_risk_at: Instant | None
    response: str = Field(description="waiting, at-risk, met, missed or late, as the SLA service says")
    late_by_ms: int | None = Field(description="Open time after the due instant")


class ShownFact(Shown):
    sequence: int
    said_at: Instant
    published_at: Instant | None
    fact: dict[str, Any]


class ShownMessage(Shown):
    message: int
    received_at: Instant
    state: str
    reason: str
    ticket: str | None
    contact: str | None
    sender: str | None
    sender_name: str | None
    subject: str | None
    text: str | None
    size: int


class ShownLetter(Shown):
    id: str
    purpose: str
    contact: str | None
    recipient: str | None
    state: str = Field(
        description="waiting, sending, accepted, refused, bounced, doubtful (it may have gone out), forgotten"
    )
    attempts: int
    created_at: Instant
    sent_at: Instant | None
    reason: str | None


class ShownWritten(ShownLetter):
    """A letter and what it says; null where it was erased."""

    text: str | None


class ShownWork(Shown):
    entry: str
    minutes: int
    at: Instant


class ShownThread(ShownTicket):
    """A request with everything about it."""

    work: list[ShownWork]
    facts: list[ShownFact]
    messages: list[ShownMessage]
    letters: list[ShownWritten]


class ShownLogged(ShownTicket):
    """A request, and the entry that was logged."""

    entry: str


class ShownQuota(Shown):
    account: str
    subscription: str
    year_starts_on: date
    year_ends_on: date = Field(description="Exclusive")
    quota_minutes: int
    used_minutes: int
    left_minutes: int
    warned_percent: int | None


class ShownUnclassified(Shown):
    ticket: str
    account: str
    subject: str | None
    status: str
    minutes: int


class ShownWorklist(Shown):
    """What is due next; the counts are of all, the lists hold the first 200 of each."""

    now: Instant
    waiting: list[ShownLine]
    waiting_count: int
    answered: list[ShownLine]
    answered_count: int
    quotas: list[ShownQuota]
    unclassified: list[ShownUnclassified] = Field(
        description="Work on requests nobody has classified: it counts for nothing until someone does"
    )
    unclassified_count: int
    unclassified_minutes: int
    quarantined: int
    quarantined_since: Instant | None
    unheard: int
    unheard_since: Instant | None
    letters: list[ShownLetter] = Field(description="Refused, bounced and doubtful ones")
    letters_count: int


class ShownContact(Shown):
    contact: str
    account: str
    addresses: list[str]
    name: str
    language: str
    letters: bool
    subscription: str | None


class ShownRecipient(Shown):
    """Somebody an account's letters go to."""

    contact: str
    name: str
    address: str
    language: str


class ShownForgotten(Shown):
    """What was erased of a person, and what still waits for someone to look."""

    contact: str
    addresses: int
    messages: int
    tickets: int
    letters: int
    mentioned: list[int] = Field(description="Other people's mails that name an address of this person")
    left_on_disk: bool = Field(description="Old pages could not be overwritten now: ask again")


class ShownErased(Shown):
    message: int
    left_on_disk: bool


class ShownDelivery(Shown):
    """What a delivery of Zammad's changed."""

    ticket: str | None
    said: list[str] = Field(description="The names of the facts, in order")
    because: str
