"""What the command line asks a running service, through its HTTP API: the same things under the same checks
as other programs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

import httpx
from msgspec import Struct
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table
from rich.text import Text

from shared.errors import NeedsAPerson
from shared.settings import HomeSettings
from shared.tokens import Token, caller_token

_PATIENCE_S = 60


class Refused(NeedsAPerson):
    """The service said no, or did not answer; the message is its own."""


class Service(Struct, frozen=True):
    """A running service: where it answers (`url`), the token it wants and its setting's value, if any."""

    token: Token
    given: SecretStr
    url: str

    def call(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        key: str | None = None,
        query: dict[str, Any] | None = None,
        patience_s: float = _PATIENCE_S,
    ) -> httpx.Response:
        """What it answers within `patience_s`; `key` makes a retry safe. Raises Refused, NoToken."""
        name = self.token.service
        headers = {"Authorization": f"Bearer {caller_token(self.token, self.given, HomeSettings().home)}"}
        if key is not None:
            headers["Idempotency-Key"] = key
        try:
            answer = httpx.request(
                method,
                self.url + path,
                json=body,
                params=query,
                headers=headers,
                timeout=patience_s,
                trust_env=False,
            )
        except httpx.HTTPError as error:
            raise Refused(
                f"{name.capitalize()} does not answer at {self.url} ({error}). Start it with `garant {name}` "
                f"or `make up`, or set GARANT_{name.upper()}_URL to where it is."
            ) from None
        if answer.is_error:
            raise Refused(why(answer))
        return answer


def part(text: str) -> str:
    """An id as a part of a path."""
    return quote(text, safe="")


def why(answer: httpx.Response) -> str:
    """What a service says against it."""
    try:
        detail = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        return f"the service answered {answer.status_code}: {answer.text[:500]}"
    if isinstance(detail, list):
        return "; ".join(f"{'.'.join(str(one) for one in each['loc'][1:])}: {each['msg']}" for each in detail)
    return str(detail)


def table(columns: Iterable[str], rows: Iterable[dict[str, Any]]) -> None:
    """Prints the rows; an id that is cut short is no id, so nothing is. What people wrote is text, whatever
    it looks like."""
    names = list(columns)
    made = Table(box=None, header_style="bold")
    for name in names:
        made.add_column(name.replace("_", " "), no_wrap=True)
    for row in rows:
        made.add_row(*(Text(plain(row[name])) for name in names))
    needed = Console(width=10_000).measure(made).maximum
    Console(width=max(Console().width, needed)).print(made)


def plain(value: object) -> str:
    """The value as one line of a terminal: what people wrote must not move its cursor."""
    if isinstance(value, list):
        value = ", ".join(str(one) for one in value)
    text = "" if value is None else str(value)
    return "".join(one if one.isprintable() else " " for one in text)


def without_none(values: dict[str, Any] | None) -> dict[str, Any] | None:
    """What is said of `values`: None is not, nor of None anything."""
    return None if values is None else {name: value for name, value in values.items() if value is not None}
