"""The installation as it is reached from a pod beside it."""

from __future__ import annotations

import os
from collections.abc import Mapping

from msgspec import Struct

from tests.faults.installation import declare

DATABASE, TOKEN, BOOTSTRAP, URL = (
    "GARANT_BILLING_DATABASE_URL",
    "GARANT_BILLING_TOKEN",
    "GARANT_KAFKA_BOOTSTRAP",
    "GARANT_BILLING_URL",
)
"""What the witness is told in its environment; the product's own names."""


class Inside(Struct, frozen=True):
    """One installation in a cluster; `database` and `billing` are URLs."""

    bootstrap: str
    database: str
    billing: str
    token: str

    def call_billing(self, path: str, body: object, key: str) -> None:
        """POSTs to billing's Service until a pod behind it has accepted it. Raises Broken."""
        declare(lambda: [self.billing], self.token, path, body, key)


def from_environment(environment: Mapping[str, str] = os.environ) -> Inside:
    """Ends the program with the names that are missing."""
    missing = [name for name in (BOOTSTRAP, DATABASE, URL, TOKEN) if not environment.get(name)]
    if missing:
        raise SystemExit(f"the witness needs {', '.join(missing)} in its environment")
    return Inside(environment[BOOTSTRAP], environment[DATABASE], environment[URL], environment[TOKEN])
