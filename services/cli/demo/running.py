"""The services of an installation, asked as any other program would."""

from __future__ import annotations

from typing import Any

import httpx

from services.billing.settings import TOKEN as BILLING
from services.billing.settings import BillingSettings
from services.cli.demo.installation import Installation
from services.support.settings import TOKEN as SUPPORT
from services.support.settings import SupportSettings
from shared.errors import NeedsAPerson
from shared.tokens import Token, caller_token


class DemoStuck(NeedsAPerson):
    """A step did not finish, or a service refused; the message says what to look at."""


class Running:
    """One service's HTTP API, where its settings say or where `garant up` runs it."""

    def __init__(
        self, where: Installation, token: Token, settings: BillingSettings | SupportSettings
    ) -> None:
        self._service = token.service
        self._see = where.see
        port = where.services.get(token.service, settings.port)
        url = settings.url.rstrip("/") or f"http://127.0.0.1:{port}"
        shown = caller_token(token, settings.token, where.home)
        self._client = httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {shown}"}, timeout=30, trust_env=False
        )

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """The answer's JSON; None where the service knows nothing of the kind. Raises DemoStuck."""
        try:
            answer = self._client.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise DemoStuck(f"{self._service} does not answer ({error}). See {self._see}.") from None
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        if answer.is_error:
            raise DemoStuck(f"{self._service} refused {method} {path}: {answer.text[:500]}")
        return answer.json()


def billing_of(where: Installation) -> Running:
    """The running billing service."""
    return Running(where, BILLING, BillingSettings())


def support_of(where: Installation) -> Running:
    """The running support service."""
    return Running(where, SUPPORT, SupportSettings())
