"""What notify is told by its environment (`GARANT_NOTIFY_...`), and its token."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from shared.calendar import UnknownZone, zone
from shared.mail.settings import Address, Addresses, AddressOrNone, MailSettings
from shared.tokens import Token

Language = Literal["fr", "de", "it", "en"]
LANGUAGES: tuple[Language, ...] = get_args(Language)

TOKEN = Token("notify", "GARANT_NOTIFY_TOKEN")
SUPPORT_TOKEN = Token("support", "GARANT_NOTIFY_SUPPORT_TOKEN")
"""What notify shows the support service when it asks who is written to."""


class NotifySettings(MailSettings):
    """`database_url` empty is SQLite in `GARANT_HOME/notify.db`; `token` and `support_token` empty are the
    files beside it."""

    model_config = SettingsConfigDict(env_prefix="GARANT_NOTIFY_", extra="ignore")

    database_url: SecretStr = SecretStr("")
    host: str = "127.0.0.1"
    port: int = Field(default=28085, ge=1, le=65_535)
    url: str = ""
    """Where the command line finds the service; empty: on this machine at `port`."""
    token: SecretStr = SecretStr("")
    zone: str = "Europe/Zurich"
    """Of the dates and times in letters."""
    gather_s: float = Field(default=2.0, ge=0)
    """How long a quota warning waits for further thresholds crossed by the same entry."""
    write_every_s: float = Field(default=0.5, gt=0)
    ask_again_s: float = Field(default=60.0, gt=0)
    """How soon an account that had nobody to write to is asked about again."""

    address: Address = "letters@garant.example"
    """The sender of every letter: bounces and our own copies come to it."""
    sender_name: str = "Garant"
    vendor: str = "Garant"
    """Who signs the letters."""
    product: str = "Garant"
    """What is subscribed to, as customers call it."""
    terms_url: str = ""
    """Where the terms of service can be read; empty: no link."""
    support_address: AddressOrNone = "support@garant.example"
    """Where customers ask and reply to; empty: letters name nobody."""
    staff: Addresses = ()
    """Addresses told of deadlines at risk and missed, separated by commas."""
    staff_language: Language = "fr"
    desk_url: str = ""
    """Where staff see the open requests; empty: no link."""

    support_url: str = "http://127.0.0.1:28084"
    """The support service: it knows who is written to."""
    support_token: SecretStr = SecretStr("")

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            zone(name)
        except UnknownZone as error:
            raise ValueError(str(error)) from None
        return name

    @field_validator("staff")
    @classmethod
    def _once(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(given))

    @field_validator("terms_url", "desk_url")
    @classmethod
    def _link(cls, given: str) -> str:
        if given and not given.startswith(("https://", "http://")):
            raise ValueError("a link begins with https:// or http://")
        return given

    def engine_url(self, home: Path) -> str:
        """The database's URL, secrets and all."""
        return self.database_url.get_secret_value() or f"sqlite:///{home.absolute() / 'notify.db'}"

    def service_url(self) -> str:
        """Where the service's HTTP API answers."""
        return self.url.rstrip("/") or f"http://127.0.0.1:{self.port}"
