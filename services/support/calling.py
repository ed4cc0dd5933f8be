"""What the command line asks a running desk, through its HTTP API: the same things under the same checks as
other programs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

import httpx
from rich.console import Console
from rich.table import Table
from rich.text import Text

from services.support.settings import TOKEN, SupportSettings
from shared.errors import NeedsAPerson
from shared.settings import HomeSettings
from shared.tokens import caller_token


class Refused(NeedsAPerson):
    """The service said no, or did not answer; the message is its own."""


def ask(
    method: str,
    path: str,
    body: dict[str, Any] | None = None,
    *,
    key: str | None = None,
    query: dict[str, Any] | None = None,
) -> Any:
    """What the desk answers; fields of `body` and `query` that are None are left out. Raises Refused."""
    settings = SupportSettings()
    headers = {"Authorization": f"Bearer {caller_token(TOKEN, settings.token, HomeSettings().home)}"}
    if key is not None:
        headers["Idempotency-Key"] = key
    url = settings.service_url()
    try:
        answer = httpx.request(
            method,
            url + path,
            json=None if body is None else _given(body),
            params=None if query is None else _given(query),
            headers=headers,
            timeout=60,
            trust_env=False,
        )
    except httpx.HTTPError as error:
        raise Refused(
            f"The desk does not answer at {url} ({error}). Start it with `garant support` or `make up`, or "
            "set GARANT_SUPPORT_URL to where it is."
        ) from None
    if answer.is_error:
        raise Refused(why(answer))
    return answer.json()


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
    """Prints the rows; an id that is cut short is no id, so nothing is. Customers' words are text, whatever
    they look like."""
    names = list(columns)
    made = Table(box=None, header_style="bold")
    for name in names:
        made.add_column(name.replace("_", " "), no_wrap=True)
    for row in rows:
        made.add_row(*(Text(plain(row[name])) for name in names))
    needed = Console(width=10_000).measure(made).maximum
    Console(width=max(Console().width, needed)).print(made)


def plain(value: object) -> str:
    """The value as one line of a terminal: a mail must not move its cursor."""
    if isinstance(value, list):
        value = ", ".join(str(one) for one in value)
    text = "" if value is None else str(value)
    return "".join(one if one.isprintable() else " " for one in text)


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
