"""What telling and checking need of an installation, wherever it runs: processes here, or a cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

import httpx


class Broken(AssertionError):
    """Something did not come back, or ended as nothing should."""


class Installation(Protocol):
    """One that facts can be told to."""

    @property
    def bootstrap(self) -> str:
        """The broker's address."""

    def call_billing(self, path: str, body: object, key: str) -> None:
        """POSTs to billing until it has accepted it: the same `key` counts once. Raises Broken."""


def declare(
    urls: Callable[[], Sequence[str]], token: str, path: str, body: object, key: str, within_s: float = 180
) -> None:
    """POSTs `body` to one of billing's `urls` until one accepts it: the same `key` counts once.

    Raises Broken where it is refused, or nobody takes it within `within_s`.
    """
    deadline = time.monotonic() + within_s
    while True:
        for url in urls():
            try:
                answer = httpx.post(
                    f"{url}{path}",
                    json=body,
                    headers={"Authorization": f"Bearer {token}", "Idempotency-Key": key},
                    timeout=10,
                    trust_env=False,
                )
            except httpx.HTTPError:
                continue
            if answer.status_code < 300:
                return
            if answer.status_code < 500:
                raise Broken(f"billing refused {path}: {answer.status_code} {answer.text}")
        if time.monotonic() > deadline:
            raise Broken(f"billing took no {path} within {within_s:g} s")
        time.sleep(0.3)
