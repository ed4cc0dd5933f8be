"""What the command line asks a running desk."""

from __future__ import annotations

from typing import Any

from services.support.settings import TOKEN, SupportSettings
from shared.calling import Service, without_none


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
    desk = Service(TOKEN, settings.token, settings.service_url())
    return desk.call(method, path, without_none(body), key=key, query=without_none(query)).json()
