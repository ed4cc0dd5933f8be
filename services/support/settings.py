"""What the support service is told by its environment (`GARANT_SUPPORT_...`), and its token."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from shared.calendar import UnknownZone, zone
from shared.facts import Severity
from shared.mail.outbox import Sending
from shared.mail.settings import Address, Addresses, MailSettings
from shared.tokens import Token

Language = Literal["fr", "de", "it", "en"]


class SupportSettings(MailSettings):
    """`database_url` empty is SQLite in `GARANT_HOME/support.db`; `token` empty is the file beside it."""

    model_config = SettingsConfigDict(env_prefix="GARANT_SUPPORT_", extra="ignore")

    database_url: SecretStr = SecretStr("")
    host: str = "127.0.0.1"
    port: int = Field(default=28084, ge=1, le=65_535)
    url: str = ""
    """Where the command line finds the service; empty: on this machine at `port`."""
    token: SecretStr = SecretStr("")
    zone: str = "Europe/Zurich"
    relay_every_s: float = Field(default=0.2, gt=0)

    address: Address = "support@garant.example"
    """The mailbox customers write to: sender of every letter, and where bounces and our own copies come."""
    sender_name: str = "Support"
    default_severity: Severity = "moderate"
    default_language: Language = "fr"
    """For people we do not know."""
    staff: Addresses = ()
    """Addresses of the people who answer, separated by commas."""
    reopen_days: int = Field(default=30, ge=0, le=3_650)
    """For how long after it was closed a request is reopened by a mail to it; later a new one is opened."""
    answers_per_hour: int = Field(default=10, ge=0)
    """How many letters one sender gets within an hour without a person; what is asked is opened all the
    same."""

    authserv_id: str = ""
    """The name under which our own mail server says what it verified (RFC 8601). Empty: nobody is
    authenticated, and every mail waits in quarantine for a person."""
    received_hops: int = Field(default=1, ge=1, le=10)
    """How many Received fields our own servers add: what stands below the last of them the sender wrote."""
    stamps_below: bool = False
    """Whether our server puts its Authentication-Results right below its Received instead of above. It must
    then strip those that bear its name from what comes in (RFC 8601 section 5)."""

    mail_in_host: str = "127.0.0.1"
    """Where SMTP and LMTP listen. Only our own mail server may reach it: what it says is believed."""
    smtp_in_port: int = Field(default=0, ge=0, le=65_535)
    """0: off."""
    lmtp_in_port: int = Field(default=0, ge=0, le=65_535)
    """0: off."""
    max_message_bytes: int = Field(default=120_000_000, ge=10_000)
    """Of a larger mail in the mailbox only the beginning is kept; by SMTP and LMTP it is refused."""

    zammad_secret: SecretStr = SecretStr("")
    """With which Zammad signs its webhooks; empty: none are taken."""
    zammad_accounts: dict[str, str] = Field(default={})
    """Zammad's organizations by name, and the account each is; contacts' addresses come first."""
    zammad_severities: dict[str, Severity] = Field(
        default={"1 low": "limited", "2 normal": "moderate", "3 high": "serious"}
    )
    """What Zammad's priorities mean; a tag `severity:down` comes first."""
    zammad_minutes_per_unit: float = Field(default=1.0, gt=0, le=10_000)
    """Minutes of one unit of Zammad's time accounting."""
    zammad_kind_field: str = "garant_kind"
    """The field of Zammad's tickets that says the kind of request; a tag `kind:bug` comes first."""

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
    def _lower(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(one.lower() for one in given)

    def sending(self) -> Sending:
        """From our mailbox, with a copy to it where mail that comes to it reaches us."""
        reached = bool(self.imap_host or self.smtp_in_port or self.lmtp_in_port)
        return Sending(self.address, self.address if reached else None, self.settle_s)

    def engine_url(self, home: Path) -> str:
        """The database's URL, secrets and all."""
        return self.database_url.get_secret_value() or f"sqlite:///{home.absolute() / 'support.db'}"

    def service_url(self) -> str:
        """Where the service's HTTP API answers."""
        return self.url.rstrip("/") or f"http://127.0.0.1:{self.port}"


TOKEN = Token("support", "GARANT_SUPPORT_TOKEN")
