"""What Zammad posts: of its many fields those that mean something here, tolerant of what they leave out."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from shared.time import FIRST_YEAR, LAST_YEAR

Number = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,60}$")]


def _instant(given: Any) -> int:
    """Zammad writes 2020-11-13T14:34:35.282Z; an offset is understood as well."""
    if not isinstance(given, str) or len(given) > 40:
        raise ValueError("an instant is text such as 2020-11-13T14:34:35.282Z")
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        raise ValueError("an instant is text such as 2020-11-13T14:34:35.282Z") from None
    if moment.tzinfo is None or not FIRST_YEAR < moment.year < LAST_YEAR:
        raise ValueError("an instant has an offset and a plausible year")
    return int(moment.astimezone(UTC).timestamp() * 1_000)


def _name(given: Any) -> Any:
    """Associations come as an object, or as their name alone."""
    return given.get("name") if isinstance(given, dict) else given


def _tags(given: Any) -> Any:
    """A list, or one text with commas, as a customised payload has it."""
    if isinstance(given, str):
        return [one.strip() for one in given.split(",")]
    return given if given is not None else []


def _line(given: Any) -> Any:
    return " ".join(given.replace("\x00", " ").split()) if isinstance(given, str) else given


Instant = Annotated[int, BeforeValidator(_instant)]
Name = Annotated[str | None, BeforeValidator(_name)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore")


class Customer(_Part):
    """Who asks. Zammad knows people without an address."""

    email: str | None = None


class Ticket(_Part):
    """Zammad's ticket as it stands. `fields` are all it sends, the installation's own among them."""

    id: Annotated[int, Field(ge=1, le=2**53)]
    number: Number
    title: Annotated[str, BeforeValidator(_line)] = ""
    state: Name = None
    priority: Name = None
    organization: Name = None
    customer: Customer = Customer()
    create_article_sender: Name = None
    tags: Annotated[list[str], BeforeValidator(_tags)] = []
    created_at: Instant
    updated_at: Instant
    fields: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _keep(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        kept = {**given, "fields": {str(name): value for name, value in given.items()}}
        return {name: value for name, value in kept.items() if value is not None}


class Article(_Part):
    """One article. `accounted_time` is in whole units: Zammad cuts what is behind the point."""

    id: Annotated[int, Field(ge=1, le=2**53)]
    sender: Name = None
    type: Name = None
    internal: bool = False
    accounted_time: Annotated[float, Field(ge=0, le=100_000, allow_inf_nan=False)] = 0
    created_at: Instant

    @model_validator(mode="before")
    @classmethod
    def _said(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return {name: value for name, value in given.items() if value is not None}


class Delivery(_Part):
    """One webhook. A trigger without an article sends none, or an empty one."""

    ticket: Ticket
    article: Article | None = None

    @model_validator(mode="before")
    @classmethod
    def _without_empty(cls, given: Any) -> Any:
        if isinstance(given, dict) and not given.get("article"):
            return {**given, "article": None}
        return given
