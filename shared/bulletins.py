"""What the status page hands to notify to be sent: the body of `POST /bulletins` and its answer.

Instants are RFC 3339 in UTC, texts are in the reader's language already. `to` is personal data: it stands in
no log, and notify forgets it when asked to forget `contact`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from shared.mail.address import BadAddress, address
from shared.time import parse_instant

NAME_MOST = 200
"""Characters of a name in a mail; a page shows it whole."""
TEXT_MOST = 4_000
"""Characters of a paragraph."""
AT_ONCE = 100
"""Bulletins in one request."""

Language = Literal["fr", "de", "it", "en"]


def _instant(text: str) -> str:
    parse_instant(text)
    return text


def _sendable(text: str) -> str:
    try:
        return address(text)
    except BadAddress as error:
        raise ValueError(str(error)) from None


def _link(text: str) -> str:
    if not text.startswith(("https://", "http://")):
        raise ValueError("a link begins with https:// or http://")
    return text


Moment = Annotated[str, AfterValidator(_instant)]
Name = Annotated[str, Field(max_length=NAME_MOST)]
Link = Annotated[str, Field(max_length=800, pattern=r"^[!-~]+$"), AfterValidator(_link)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class Confirm(_Part):
    """Asks whether the reader wants the news; without the button on that page nothing follows."""

    kind: Literal["confirm"] = "confirm"
    confirm_url: Link
    hours: int = Field(ge=1)
    """How long the link works."""
    components: tuple[Name, ...] = Field(max_length=1_000)
    """Empty: all."""


class Turned(_Part):
    """A component that went down or up `at`; `lasted_ms`: how long it had been down, where it is up again."""

    name: Name
    at: Moment
    lasted_ms: int | None = Field(default=None, ge=0)


class Changed(_Part):
    """Components that went down, or up again, together."""

    kind: Literal["change"] = "change"
    condition: Literal["up", "down"]
    components: tuple[Turned, ...] = Field(min_length=1, max_length=1_000)


class Incident(_Part):
    """An update staff wrote."""

    kind: Literal["incident"] = "incident"
    title: Name
    status: Literal["investigating", "identified", "monitoring", "resolved"]
    paragraphs: tuple[Annotated[str, Field(max_length=TEXT_MOST)], ...] = Field(max_length=200)
    at: Moment
    components: tuple[Name, ...] = Field(max_length=1_000)
    url: Link


class Maintenance(_Part):
    """Planned maintenance: announced, begun, done or cancelled."""

    kind: Literal["maintenance"] = "maintenance"
    phase: Literal["announced", "running", "done", "cancelled"]
    starts_at: Moment
    ends_at: Moment
    components: tuple[Name, ...] = Field(max_length=1_000)


class Corrected(_Part):
    """The past of components is told otherwise than before: `periods` are days ("2026-11-20") or months
    ("2026-06")."""

    kind: Literal["corrected"] = "corrected"
    components: tuple[Name, ...] = Field(min_length=1, max_length=1_000)
    periods: tuple[Annotated[str, Field(pattern=r"^\d{4}-\d{2}(-\d{2})?$")], ...] = Field(
        min_length=1, max_length=200
    )


About = Annotated[Confirm | Changed | Incident | Maintenance | Corrected, Field(discriminator="kind")]


class Bulletin(_Part):
    """One mail to one reader. `id` is the same whenever the same is said to the same reader: it is sent once.
    `unsubscribe_url` (one click, RFC 8058) is empty only where nothing was subscribed to yet."""

    id: str = Field(pattern=r"^[a-z0-9/_-]{1,200}$")
    contact: str = Field(pattern=r"^status-[0-9a-z]{1,100}$")
    to: Annotated[str, AfterValidator(_sendable)]
    language: Language
    vendor: Name
    product: Name
    zone: str = Field(max_length=100)
    page_url: Link
    unsubscribe_url: Link | Literal[""] = ""
    about: About


class Bulletins(BaseModel):
    """What is handed over at once."""

    bulletins: list[Bulletin] = Field(min_length=1, max_length=AT_ONCE)


class Taken(BaseModel):
    """What became of one: its letter is in the outbox, or was there already (`state` as letters have it).
    "bouncing": mail to this reader keeps coming back, so nothing is sent any more."""

    id: str
    state: str
