"""Where the local mail server listens and who has a mailbox on it."""

from __future__ import annotations

from ipaddress import ip_address

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

MB = 1024 * 1024


class MailboxSettings(BaseSettings):
    """Environment variables `GARANT_MAILBOX_...`. Its data is in `GARANT_HOME`/mail."""

    model_config = SettingsConfigDict(env_prefix="GARANT_MAILBOX_", extra="ignore")

    host: str = "127.0.0.1"
    """A loopback address: passwords come in without TLS."""
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
    """Who has a mailbox; each gets a password in `GARANT_HOME`/mail/users."""
    size_limit_mb: int = Field(default=120, ge=1, le=900)
    """The largest message it takes."""
    min_free_mb: int = Field(default=100, ge=0)
    """With less room than that on the disk it answers 452 and the client tries again later."""

    @field_validator("host")
    @classmethod
    def _loopback(cls, host: str) -> str:
        if not ip_address(host).is_loopback:
            raise ValueError("must be a loopback address such as 127.0.0.1: nothing here is encrypted")
        return host
