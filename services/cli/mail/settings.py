"""Where the local mail server listens and who has a mailbox on it."""

from __future__ import annotations

from ipaddress import ip_address

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.errors import NeedsAPerson

MB = 1024 * 1024


class MailboxOutside(NeedsAPerson):
    """The mail server would listen where others reach it."""


class MailboxSettings(BaseSettings):
    """Environment variables `GARANT_MAILBOX_...`. Its data is in `GARANT_HOME`/mail."""

    model_config = SettingsConfigDict(env_prefix="GARANT_MAILBOX_", extra="ignore", env_ignore_empty=True)

    host: str = "127.0.0.1"
    """A loopback address, unless `outside`: passwords come in without TLS."""
    outside: bool = False
    """Whether it may listen where others reach it: for a trial whose network lets nobody else in."""
    password: SecretStr = SecretStr("")
    """One for every mailbox; empty: each gets its own, made up at the first start."""
    smtp_port: int = Field(default=28025, ge=1, le=65_535)
    imap_port: int = Field(default=28143, ge=1, le=65_535)
    http_port: int = Field(default=28086, ge=1, le=65_535)
    """/live and /ready."""
    authserv_id: str = Field(default="mail.garant.example", pattern=r"^[A-Za-z0-9.-]+$")
    """The name under which it says what it verified (RFC 8601)."""
    addresses: tuple[str, ...] = (
        "support@garant.example",
        "letters@garant.example",
        "staff@garant.example",
        "anna@demo.example",
    )
    """Who has a mailbox; their passwords are in `GARANT_HOME`/mail/users, unless `password` is theirs."""
    size_limit_mb: int = Field(default=120, ge=1, le=900)
    """The largest message it takes."""
    min_free_mb: int = Field(default=100, ge=0)
    """With less room than that on the disk it answers 452 and the client tries again later."""

    @model_validator(mode="after")
    def _loopback(self) -> MailboxSettings:
        if not self.outside and not ip_address(self.host).is_loopback:
            raise MailboxOutside(
                "GARANT_MAILBOX_HOST must be a loopback address such as 127.0.0.1: nothing here is "
                "encrypted. GARANT_MAILBOX_OUTSIDE=true allows another where the network lets nobody in."
            )
        return self
