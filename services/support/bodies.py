"""What callers of the HTTP API send, checked field by field."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from services.support.settings import Language
from shared.facts import Kind, Severity
from shared.time import parse_instant

ID = r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,99}$"
Id = Annotated[str, StringConstraints(pattern=ID)]
"""An account, subscription, ticket, entry or contact: letters, digits and `._:@-`. It stands in facts, which
are kept for ever: nothing that says who someone is."""


def _instant(given: Any) -> int:
    if not isinstance(given, str):
        raise ValueError("an instant is text, such as 2026-11-01T08:00:00.000Z (UTC)")
    return parse_instant(given)


def _one_line(given: str) -> str:
    if not given.isprintable():
        raise ValueError("write it in one line, without control characters")
    return given


def _text(given: str) -> str:
    if not given.strip():
        raise ValueError("there is no text to send; leave it out to state only that you answered")
    return given


Instant = Annotated[
    int,
    BeforeValidator(_instant),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-11-01T08:00:00.000Z"]}),
]
Line = Annotated[str, StringConstraints(strip_whitespace=True, max_length=300), AfterValidator(_one_line)]
Reason = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=3, max_length=1_000), AfterValidator(_one_line)
]
Text = Annotated[str, StringConstraints(max_length=100_000), AfterValidator(_text)]
Minutes = Annotated[int, Field(ge=0, le=100_000, strict=True)]


class Body(BaseModel):
    """A request's body: strict, and a field it does not know is an error, not a silence."""

    model_config = ConfigDict(extra="forbid")


class Open(Body):
    """A request to open. Without a `subscription` it is accepted, and uncovered."""

    account: Id
    subscription: Id | None = None
    severity: Severity
    kind: Kind = "unclassified"
    received_at: Instant | None = Field(default=None, description="When it reached you; by default now")
    contact: Id | None = Field(default=None, description="Who asks; needed to answer in writing")
    subject: Line | None = None
    ticket: Id | None = Field(default=None, description="An id of your own; by default the next number")
    acknowledge: bool = Field(
        default=True, description="Write to the contact when the first response is due, once that is known"
    )


class At(Body):
    """`at`: when it happened, by default now."""

    at: Instant | None = None


class Classify(At):
    """What kind of request it is: only work on requests of the account counts towards its quota."""

    kind: Kind


class ChangeSeverity(At):
    """How bad it is from `at` on; contract 5 says what becomes of the deadline."""

    severity: Severity


class Respond(At):
    """A response by a person. With a `text` it is mailed to who asked, now; without one only the fact is
    stated that somebody answered, at `at`."""

    text: Text | None = None

    @model_validator(mode="after")
    def _now(self) -> Respond:
        if self.text is not None and self.at is not None:
            raise ValueError(
                "a text goes out now: leave `at` out, or leave the text out if it was said before"
            )
        return self


class LogWork(At):
    """Minutes of work, done at `at`. `entry` is an id of your own; by default the next number."""

    entry: Id | None = None
    minutes: Minutes


class CorrectWork(At):
    """What the entry says from now on, instead; without `at` its date stays."""

    entry: Id
    minutes: Minutes


class Assign(Body):
    """Whose request it is in truth."""

    account: Id
    subscription: Id | None = Field(
        default=None, description="By default the contact's, or the only active one"
    )
    contact: Id | None = None


class Release(Body):
    """Whose mail it is. What is left out is found by the sender's address; with `ticket` it joins that
    request instead of opening one."""

    contact: Id | None = None
    account: Id | None = None
    subscription: Id | None = None
    severity: Severity | None = None
    ticket: Id | None = None


class Split(Body):
    """The mail is a request of its own. `severity` by default: what its subject says, else the usual one."""

    severity: Severity | None = None


class Discard(Body):
    """Why nobody answers this mail; no names."""

    reason: Reason


class PutContact(Body):
    """A person of an account. `addresses`: what this person writes from, the first one is written to."""

    account: Id
    addresses: Annotated[list[Annotated[str, StringConstraints(max_length=254)]], Field(max_length=50)] = []
    name: Line = ""
    language: Language
    letters: bool = Field(default=True, description="Whether warnings and notices go to this person")
    subscription: Id | None = Field(default=None, description="The one this person writes about, of several")
