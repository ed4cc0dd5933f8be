"""What the command line asks a running status service."""

from __future__ import annotations

from typing import Any

from services.status.settings import TOKEN, StatusSettings
from shared.calling import Service, without_none


def ask(
    method: str,
    path: str,
    body: dict[str, Any] | None = None,
    key: str | None = None,
    query: dict[str, Any] | None = None,
) -> Any:
    """What the service answers, None where that is nothing; fields of `body` that are None are left out."""
    settings = StatusSettings()
    service = Service(TOKEN, settings.token, settings.service_url())
    answer = service.call(method, path, without_none(body), key=key, query=query)
    return answer.json() if answer.content else None
