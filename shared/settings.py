"""What every service is told by its environment."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.topics import Spread, Topic


class HomeSettings(BaseSettings):
    """Where a process keeps what it must not lose: `GARANT_HOME`, by default `.garant`."""

    model_config = SettingsConfigDict(env_prefix="GARANT_", extra="ignore")

    home: Path = Path(".garant")


class KafkaSettings(BaseSettings):
    """The broker and how topics are laid out on it; environment variables `GARANT_KAFKA_...`."""

    model_config = SettingsConfigDict(env_prefix="GARANT_KAFKA_", extra="ignore")

    bootstrap: str = "127.0.0.1:29092"
    prefix: str = ""
    """Set before every topic and group name: several installations on one broker."""
    target_partitions: int = Field(default=6, ge=1, le=1_000)
    account_partitions: int = Field(default=3, ge=1, le=1_000)
    replication: int = Field(default=1, ge=1, le=9)
    wait_s: float = Field(default=60.0, ge=0)
    """How long a service waits for the broker at its start before it gives up with an error."""

    def topic(self, topic: Topic) -> str:
        """The topic's name on this broker."""
        return self.prefix + topic.name

    def group(self, name: str) -> str:
        """A consumer group's name on this broker."""
        return f"{self.prefix}garant-{name}"

    def partitions(self, topic: Topic) -> int:
        """How many partitions the topic has here."""
        return {
            Spread.TARGETS: self.target_partitions,
            Spread.ACCOUNTS: self.account_partitions,
            Spread.ONE: 1,
        }[topic.spread]
