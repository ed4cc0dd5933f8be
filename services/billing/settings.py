"""What the billing service is told by its environment (`GARANT_BILLING_...`), and its token."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.billing.caps import Caps, parse_cap
from services.billing.issuing import Rules
from shared.calendar import UnknownZone, zone
from shared.tokens import Token


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
    cap_per_account_day: str = "10000.00"
    """What is granted an account on a day beyond this waits for a person; "none" is no cap, "0" holds all."""
    cap_per_day: str = "100000.00"
    """The same over all accounts."""

    @field_validator("cap_per_account_day", "cap_per_day")
    @classmethod
    def _readable_cap(cls, text: str) -> str:
        parse_cap(text)
        return text

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

    @property
    def caps(self) -> Caps:
        return Caps(parse_cap(self.cap_per_account_day), parse_cap(self.cap_per_day), self.zone)

    def engine_url(self, home: Path) -> str:
        """The database's URL, secrets and all."""
        return self.database_url.get_secret_value() or f"sqlite:///{home.absolute() / 'billing.db'}"

    def service_url(self) -> str:
        """Where the service's HTTP API answers."""
        return self.url.rstrip("/") or f"http://127.0.0.1:{self.port}"


TOKEN = Token("billing", "GARANT_BILLING_TOKEN")
