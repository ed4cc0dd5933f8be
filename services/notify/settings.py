"""What notify is told by its environment (`GARANT_NOTIFY_...`), and its token."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from shared.calendar import UnknownZone, zone
from shared.mail.address import BadAddress, address, domain_of
from shared.mail.answers import Relay
from shared.mail.mailbox import Mailbox
from shared.mail.outbox import Sending
from shared.tokens import Token

Language = Literal["fr", "de", "it", "en"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
Tls = Literal["implicit", "starttls", "none"]

TOKEN = Token("notify", "GARANT_NOTIFY_TOKEN")
SUPPORT_TOKEN = Token("support", "GARANT_NOTIFY_SUPPORT_TOKEN")
"""What notify shows the support service when it asks who is written to."""


class NotifySettings(BaseSettings):
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

    address: str = "letters@garant.example"
    """The sender of every letter: bounces and our own copies come to it."""
    domain: str = ""
    """Of the Message-IDs of our letters; empty: the one of `address`."""
    sender_name: str = "Garant"
    vendor: str = "Garant"
    """Who signs the letters."""
    product: str = "Garant"
    """What is subscribed to, as customers call it."""
    terms_url: str = ""
    """Where the terms of service can be read; empty: no link."""
    support_address: str = "support@garant.example"
    """Where customers ask and reply to; empty: letters name nobody."""
    staff: Annotated[tuple[str, ...], NoDecode] = ()
    """Addresses told of deadlines at risk and missed, separated by commas."""
    staff_language: Language = "fr"
    desk_url: str = ""
    """Where staff see the open requests; empty: no link."""

    support_url: str = "http://127.0.0.1:28084"
    """The support service: it knows who is written to."""
    support_token: SecretStr = SecretStr("")

    smtp_host: str = ""
    """The relay that takes our letters; empty: they wait."""
    smtp_port: int = Field(default=25, ge=1, le=65_535)
    smtp_user: str = ""
    smtp_password: SecretStr = SecretStr("")
    smtp_tls: Tls = "none"
    smtp_ca_file: Path | None = None
    settle_s: float = Field(default=60.0, ge=0)
    """How long our own copy of a letter in doubt may take to arrive after the marker did."""

    imap_host: str = ""
    """The mailbox of `address`, for copies and bounces; empty: it is not watched, and a person decides on
    letters in doubt."""
    imap_port: int = Field(default=993, ge=1, le=65_535)
    imap_user: str = ""
    """Empty: `address`."""
    imap_password: SecretStr = SecretStr("")
    imap_folder: str = "INBOX"
    imap_tls: Tls = "implicit"
    imap_ca_file: Path | None = None
    imap_poll_s: float = Field(default=30.0, gt=0)

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            zone(name)
        except UnknownZone as error:
            raise ValueError(str(error)) from None
        return name

    @field_validator("staff", mode="before")
    @classmethod
    def _listed(cls, given: object) -> object:
        if not isinstance(given, str):
            return given
        if given.lstrip().startswith("["):
            return tuple(json.loads(given))
        return tuple(one.strip() for one in given.split(",") if one.strip())

    @field_validator("address")
    @classmethod
    def _one_address(cls, given: str) -> str:
        return _address(given)

    @field_validator("support_address")
    @classmethod
    def _one_or_none(cls, given: str) -> str:
        return _address(given) if given else ""

    @field_validator("staff")
    @classmethod
    def _addresses(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(_address(one) for one in given))

    @field_validator("terms_url", "desk_url")
    @classmethod
    def _link(cls, given: str) -> str:
        if given and not given.startswith(("https://", "http://")):
            raise ValueError("a link begins with https:// or http://")
        return given

    def id_domain(self) -> str:
        """The domain of our Message-IDs."""
        return self.domain or domain_of(self.address)

    def engine_url(self, home: Path) -> str:
        """The database's URL, secrets and all."""
        return self.database_url.get_secret_value() or f"sqlite:///{home.absolute() / 'notify.db'}"

    def service_url(self) -> str:
        """Where the service's HTTP API answers."""
        return self.url.rstrip("/") or f"http://127.0.0.1:{self.port}"

    def relay(self) -> Relay | None:
        """The relay that takes our letters, None where none is named."""
        if not self.smtp_host:
            return None
        return Relay(
            self.smtp_host,
            self.smtp_port,
            self.smtp_user,
            self.smtp_password.get_secret_value(),
            self.smtp_tls,
            ca_file=None if self.smtp_ca_file is None else str(self.smtp_ca_file),
        )

    def sending(self) -> Sending:
        """How letters go out: with a copy to ourselves where our mailbox is watched."""
        return Sending(
            self.address,
            copy_to=self.address if self.imap_host else None,
            settle_s=self.settle_s,
        )

    def mailbox(self) -> Mailbox | None:
        """Our own mailbox, None where none is named."""
        if not self.imap_host:
            return None
        return Mailbox(
            self.imap_host,
            self.imap_port,
            self.imap_user or self.address,
            self.imap_password.get_secret_value(),
            folder=self.imap_folder,
            tls=self.imap_tls,
            ca_file=None if self.imap_ca_file is None else str(self.imap_ca_file),
            poll_s=self.imap_poll_s,
        )


def _address(given: str) -> str:
    try:
        return address(given)
    except BadAddress as error:
        raise ValueError(f"{error}; use name@domain") from None
