"""What callers of the HTTP API send about incidents, checked field by field."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from services.status.site import Impact, Language, Status
from services.status.staff.incidents import Opening, Saying
from shared.time import parse_instant

TITLE_LENGTH, TEXT_LENGTH = 300, 20_000


def _instant(given: Any) -> int:
    if not isinstance(given, str):
        raise ValueError("an instant is text, such as 2026-11-01T08:00:00.000Z (UTC)")
    return parse_instant(given)


def _words(given: dict[str, str]) -> dict[str, str]:
    kept = {language: text.replace("\r\n", "\n").strip() for language, text in given.items()}
    if not kept or not all(kept.values()):
        raise ValueError('write it in at least one language, such as {"fr": "..."}, and leave out empty ones')
    if any(len(text) > TEXT_LENGTH for text in kept.values()):
        raise ValueError(f"a text has at most {TEXT_LENGTH:,} characters")
    if any(not (one.isprintable() or one in "\n\t") for text in kept.values() for one in text):
        raise ValueError("write plain text, without control characters")
    return kept


def _title(given: dict[str, str]) -> dict[str, str]:
    if any(len(text) > TITLE_LENGTH for text in given.values()):
        raise ValueError(f"a title has at most {TITLE_LENGTH} characters")
    if any(not text.isprintable() for text in given.values()):
        raise ValueError("write it in one line, without control characters")
    return given


def _by_name(texts: dict[Language, str]) -> dict[str, str]:
    return {str(language): text for language, text in texts.items()}


def _once(given: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(given))


Instant = Annotated[
    int,
    BeforeValidator(_instant),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-11-01T08:00:00.000Z"]}),
]
Texts = Annotated[dict[Language, str], AfterValidator(_words)]
Title = Annotated[Texts, AfterValidator(_title)]
Components = Annotated[tuple[str, ...], Field(max_length=1_000), AfterValidator(_once)]


class Body(BaseModel):
    """A request's body: strict, and a field it does not know is an error, not a silence."""

    model_config = ConfigDict(extra="forbid")


class Open(Body):
    """An incident to open."""

    title: Title
    text: Texts
    impact: Impact
    components: Components = ()
    status: Status = "investigating"
    at: Instant | None = Field(default=None, description="When it began; by default now")

    def opening(self) -> Opening:
        return Opening(
            _by_name(self.title), _by_name(self.text), self.impact, self.components, self.status, self.at
        )


class Say(Body):
    """Words to add to an incident; what is left out stays as it is."""

    text: Texts
    status: Status | None = None
    impact: Impact | None = None
    components: Components | None = None
    at: Instant | None = Field(default=None, description="By default now")

    def saying(self) -> Saying:
        return Saying(_by_name(self.text), self.status, self.impact, self.components, self.at)


class Resolve(Body):
    """The last words: it is over."""

    text: Texts
    at: Instant | None = Field(default=None, description="By default now")

    def saying(self) -> Saying:
        return Saying(_by_name(self.text), "resolved", None, None, self.at)
