"""What the status page is told by its environment (`GARANT_STATUS_...`), and its tokens."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.time import MINUTE
from shared.tokens import Token

TOKEN = Token("status", "GARANT_STATUS_TOKEN")
NOTIFY_TOKEN = Token("notify", "GARANT_STATUS_NOTIFY_TOKEN")
"""What the status page shows notify when it hands over a mail."""


class StatusSettings(BaseSettings):
    """`folder` None is `GARANT_HOME/status`; `database_url` empty is SQLite in `GARANT_HOME/status.db`;
    `token` and `notify_token` empty are the files in `GARANT_HOME`."""

    model_config = SettingsConfigDict(env_prefix="GARANT_STATUS_", extra="ignore", env_ignore_empty=True)

    config: Path | None = None
    """What is public; None is the demonstration (`example.yaml`)."""
    folder: Path | None = None
    """Where the pages are written and served from."""
    host: str = "127.0.0.1"
    port: int = Field(default=28087, ge=1, le=65_535)
    """Of the pages, for everybody."""
    workers: int = Field(default=1, ge=1, le=64)
    """Processes of `garant status web`."""
    public_url: str = ""
    """Where readers find the page, where the configuration does not say."""
    api_host: str = "127.0.0.1"
    api_port: int = Field(default=28088, ge=1, le=65_535)
    """Of the staff API, health and metrics: not for everybody."""
    url: str = ""
    """Where the command line finds the staff API; empty: on this machine at `api_port`."""
    token: SecretStr = SecretStr("")
    database_url: SecretStr = SecretStr("")
    silent_after_minutes: float = Field(default=90.0, ge=1)
    """After so long without news the page says that it knows nothing of now. Targets that are up are heard of
    once an hour."""
    save_every_s: float = Field(default=5.0, gt=0)
    """How often what was read is saved, so that the next start need not read it all again."""
    notify_url: str = "http://127.0.0.1:28085"
    """The notify service: it writes and sends the mails."""
    notify_token: SecretStr = SecretStr("")
    news_gather_s: float = Field(default=5.0, ge=0)
    """How long news waits for more before subscribers are told."""
    hook_http: bool = False
    """Whether webhooks may go to http:// addresses."""
    hook_local: bool = False
    """Whether webhooks may go to private and loopback addresses."""
    hook_ca_file: Path | None = None
    """Certificates that webhooks trust instead of the system's."""

    @field_validator("public_url", "url", "notify_url")
    @classmethod
    def _link(cls, given: str) -> str:
        if given and not given.startswith(("https://", "http://")):
            raise ValueError("an address begins with https:// or http://")
        return given.rstrip("/")

    @property
    def silent_after_ms(self) -> int:
        """`silent_after_minutes` in ms."""
        return int(self.silent_after_minutes * MINUTE)

    def folder_path(self, home: Path) -> Path:
        """Where the pages are."""
        return self.folder or home / "status"

    def state_path(self, home: Path) -> Path:
        """Where what was read is kept between runs."""
        return home / "status.state"

    def engine_url(self, home: Path) -> str:
        """The database's URL, secrets and all."""
        return self.database_url.get_secret_value() or f"sqlite:///{home.absolute() / 'status.db'}"

    def service_url(self) -> str:
        """Where the staff API answers."""
        return self.url or f"http://127.0.0.1:{self.api_port}"
