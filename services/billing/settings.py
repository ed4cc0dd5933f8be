"""What the billing service is told by its environment (`GARANT_BILLING_...`), and its token."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.billing.issuing import Rules
from shared.calendar import UnknownZone, zone
from shared.errors import NeedsAPerson


class BillingSettings(BaseSettings):
    """`database_url` empty is SQLite in `GARANT_HOME/billing.db`; `token` empty is the file beside it."""

    model_config = SettingsConfigDict(env_prefix="GARANT_BILLING_", extra="ignore")

    database_url: SecretStr = SecretStr("")
    host: str = "127.0.0.1"
    port: int = Field(default=28083, ge=1, le=65_535)
    url: str = ""
    """Where the command line finds the service; empty: on this machine at `port`."""
    token: SecretStr = SecretStr("")
    zone: str = "Europe/Zurich"
    round_to_5: bool = False
    """Whether a line of its own brings an invoice to the nearest 0.05."""
    issue_every_s: float = Field(default=30.0, gt=0)
    relay_every_s: float = Field(default=0.2, gt=0)

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            zone(name)
        except UnknownZone as error:
            raise ValueError(str(error)) from None
        return name

    @property
    def rules(self) -> Rules:
        return Rules(self.zone, self.round_to_5)

    def engine_url(self, home: Path) -> str:
        """The database's URL, secrets and all."""
        return self.database_url.get_secret_value() or f"sqlite:///{home.absolute() / 'billing.db'}"

    def service_url(self) -> str:
        """Where the service's HTTP API answers."""
        return self.url.rstrip("/") or f"http://127.0.0.1:{self.port}"


class NoToken(NeedsAPerson):
    """The command line has nothing to show the service."""


def token_file(home: Path) -> Path:
    """Where a token is kept when the environment names none."""
    return home / "billing.token"


def service_token(settings: BillingSettings, home: Path) -> str:
    """The token callers must show: the setting, else the file's, which is made at the first start."""
    if given := settings.token.get_secret_value():
        return given
    home.mkdir(parents=True, exist_ok=True)
    path = token_file(home)
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    with os.fdopen(file, "w") as out:
        out.write(secrets.token_urlsafe(32) + "\n")
    return path.read_text().strip()


def caller_token(settings: BillingSettings, home: Path) -> str:
    """The token the command line shows. Raises NoToken where there is none."""
    if given := settings.token.get_secret_value():
        return given
    try:
        return token_file(home).read_text().strip()
    except FileNotFoundError:
        raise NoToken(
            "No token for the billing service: set GARANT_BILLING_TOKEN to the one it was started with, or "
            "set GARANT_HOME to its directory."
        ) from None
