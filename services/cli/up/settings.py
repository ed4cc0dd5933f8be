"""Where `garant up` puts what it runs: one port for each, all on loopback."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class UpSettings(BaseSettings):
    """Environment variables `GARANT_UP_...`."""

    model_config = SettingsConfigDict(env_prefix="GARANT_UP_", extra="ignore")

    demo_http_port: int = Field(default=28080, ge=1, le=65_535)
    demo_tcp_port: int = Field(default=28081, ge=1, le=65_535)
    sla_port: int = Field(default=28082, ge=1, le=65_535)
    billing_port: int = Field(default=28083, ge=1, le=65_535)
    support_port: int = Field(default=28084, ge=1, le=65_535)
    notify_port: int = Field(default=28085, ge=1, le=65_535)
    mailbox_port: int = Field(default=28086, ge=1, le=65_535)
    """Where the local mail server says whether it is ready."""
    status_port: int = Field(default=28087, ge=1, le=65_535)
    """The public status page."""
    status_api_port: int = Field(default=28088, ge=1, le=65_535)
    """What staff write on it."""
    smtp_port: int = Field(default=28025, ge=1, le=65_535)
    imap_port: int = Field(default=28143, ge=1, le=65_535)
    probe_port: int = Field(default=28091, ge=1, le=65_000)
    """The first agent's; the others follow it."""
    probes: Path | None = None
    """What the agents probe; without it, the demo application."""
    ready_s: float = Field(default=90.0, gt=0)
    """How long the start waits for everything to be ready before it says what is not, and goes on."""
